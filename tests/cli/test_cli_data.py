import errno
import json
import subprocess
import sys

import pytest
from spacy.tokens import DocBin
from tokenizers import Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from spacy_xlt import detection
from spacy_xlt.cli import xlt_cli
from spacy_xlt.corpora.layout import Corpus, Row, read_corpus, read_record, write_corpus

CSV = "text,label,lang\n" + "".join(
    f"{lang} sentence number {i},{'sport' if i % 2 else 'travel'},{lang}\n"
    for lang in ("en", "sw")
    for i in range(60)
)


def run(*arguments, code=0):
    """Lines of output of a command that ends with the exit code, without a traceback."""
    result = CliRunner().invoke(xlt_cli, ["data", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def flat(output):
    return " ".join(output.split())


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "MY.csv"
    path.write_text(CSV)
    return path


def test_from_a_table_to_splits(table, tmp_path):
    out = run("import", table, tmp_path / "c", "--licence", "CC0", "--address", "here")
    assert "train          2        120            60       2" in out
    assert "Languages: en, sw" in out and f"The corpus is in {tmp_path / 'c'}" in flat(out)
    assert read_record(tmp_path / "c")["sources"][0]["licence"] == "CC0"
    out = run("split", tmp_path / "c", tmp_path / "c", "--ratios", "train=0.5,dev=0.25,test=0.25")
    assert "train          2         60            30       2" in out
    assert "dev            2         30            15       2" in out


def test_source_language_only(tmp_path):
    path = tmp_path / "MY.csv"
    path.write_text(CSV.replace(",sw\n", ",en\n"))
    run("import", path, tmp_path / "c", "--lang", "en")
    run("split", tmp_path / "c", tmp_path / "out")
    assert {row.lang for row in read_corpus(tmp_path / "out").rows} == {"en"}


def test_file_without_a_language(tmp_path):
    path = tmp_path / "MY.csv"
    path.write_text("text,label\nx,a\ny,b\n")
    out = flat(run("import", path, tmp_path / "c"))
    assert "Languages: unknown" in out and "Some documents have no language" in out


def test_options_of_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("q|a|kind|nr|part|imp\nQ|A|x;y|7|test|2\n")
    out = flat(
        run(
            "import",
            path,
            tmp_path / "c",
            "--text-column",
            "q",
            "--pair-column",
            "a",
            "--label-column",
            "kind",
            "--id-column",
            "nr",
            "--split-column",
            "part",
            "--weight-column",
            "imp",
            "--label-separator",
            ";",
            "--delimiter",
            "|",
            "--lang",
            "swh",
            "--labels",
            "x, y, z",
        )  # fmt: skip
    )
    row = Row("Q", {"x": 1.0, "y": 1.0}, "sw", "test", "7", "A", 2.0)
    assert read_corpus(tmp_path / "c").rows == [row]
    assert "The second texts are kept in doc.user_data['xlt_pair']" in out


def test_label_map_and_join_pair(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,more,label\na,b,old\nc,d,gone\n")
    (tmp_path / "map.tsv").write_text("old\tnew\ngone\t\n")
    out = run(
        "import", path, tmp_path / "c", "--label-map", tmp_path / "map.tsv",
        "--pair-column", "more", "--join-pair", " / ",
    )  # fmt: skip
    (row,) = read_corpus(tmp_path / "c").rows
    assert (row.text, row.labels) == ("a / b", ["new"])
    assert "1 of 2 rows left out: they have only labels that the label map drops" in flat(out)
    assert "xlt_pair" not in out


def test_bad_rows(table, tmp_path):
    with table.open("ab") as file:
        file.write(b"x,sport\n,sport,en\n\xff,sport,en\n")
    out = run("import", table, tmp_path / "c", code=1)
    assert "3 of 123 rows are bad:" in out
    assert "\n  MY.csv:122: 2 columns, expected 3\n" in out
    assert "\n  MY.csv:123: no text\n" in out
    assert "\n  MY.csv:124: undecodable bytes: not UTF-8\n" in out
    assert not (tmp_path / "c").exists()
    out = flat(run("import", table, tmp_path / "c", "--on-error", "skip"))
    assert "3 of 123 rows left out: they are bad, see" in out
    rejects = (tmp_path / "c" / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejects] == [122, 123, 124]


def test_sib200(tmp_path):
    for code in ("eng_Latn", "swh_Latn"):
        (tmp_path / "sib" / code).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / "sib" / code / f"{split}.tsv").write_text(
                "index_id\tcategory\ttext\n"
                + "".join(f"{i}\ttravel\t{split} {i}\n" for i in range(4))
            )
    out = run(
        "import", tmp_path / "sib", tmp_path / "c", "--format", "sib200",
        "--langs", "sw", "--ids", "odd",
    )  # fmt: skip
    assert "train          1          2             2       1" in out and "Languages: sw" in out
    assert "2 of 12 rows left out: they have an id that was not asked for" in flat(out)


def test_assist(tmp_path):
    out = run(
        "import", "assist", tmp_path / "c", "--langs", "de,sw", "--source-lang", "fr",
        "--seed", "3", "--train-per-intent", "5", "--test-per-intent", "2",
    )  # fmt: skip
    assert "Languages: de, fr" in out
    assert "because too few of the labels have templates there: sw" in flat(out)
    record = read_record(tmp_path / "c")
    assert record["seed"] == 3 and record["source_lang"] == "fr"
    assert max(record["counts"]["train"]["fr"]["labels"].values()) == 5
    assert max(record["counts"]["test"]["de"]["labels"].values()) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        (["--format", "xml"], "--format is 'xml'. Allowed are auto, sib200."),
        (["--ids", "odd"], "it needs --format sib200"),
        (["--langs", "de"], "The language of a file's rows is given with --lang or --lang-column"),
        (["--on-error", "shrug"], "on_error is 'shrug'. Allowed are stop and skip."),
        (["--text-column", "words"], "has no text column (looked for: words)"),
        (["--label-map", "none.json"], "There is no label map 'none.json'"),
        (["--lang", "English"], "'English' is not a language tag"),
        (["more.csv"], "There is no file or directory"),
    ],
)
def test_bad_options(table, tmp_path, options, message):
    assert message in flat(run("import", table, *options, tmp_path / "c", code=1))
    assert not (tmp_path / "c").exists()


def test_sib200_takes_one_folder(tmp_path):
    out = run("import", "a", "b", tmp_path / "c", "--format", "sib200", code=1)
    assert "--format sib200 takes one folder, not 2." in out


def test_full_disk(table, tmp_path, monkeypatch):
    run("import", table, tmp_path / "c")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DocBin, "to_disk", full)
    out = flat(run("import", table, tmp_path / "c", "--split", "test", code=1))
    assert "The system refused a file operation" in out and "The disk is full" in out
    assert {row.split for row in read_corpus(tmp_path / "c").rows} == {"train"}


def test_split_that_is_not_clear(table, tmp_path):
    run("import", table, tmp_path / "c")
    run("split", tmp_path / "c", tmp_path / "c")
    out = flat(run("split", tmp_path / "c", tmp_path / "c", code=1))
    assert "has the splits train, dev, test. Say which one to divide with --split." in out
    out = flat(run("split", tmp_path / "c", tmp_path / "c", "--ratios", "half", code=1))
    assert "'half' is no share of a split" in out


def test_sample(table, tmp_path):
    run("import", table, tmp_path / "c")
    out = run("sample", tmp_path / "c", tmp_path / "few", "--per-label", "8", "--lang", "sw")
    assert "train          1         16            16       2" in out
    out = flat(run("sample", tmp_path / "c", tmp_path / "few", "-n", "31", "--seed", "2"))
    assert "In Swahili fewer than 31 different documents per label could be drawn" in out


@pytest.fixture
def letter_encoder(tmp_path):
    """A tokenizer with a piece for each letter, that knows only a and b."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    (tmp_path / "encoder").mkdir()
    tokenizer.save(str(tmp_path / "encoder" / "tokenizer.json"))
    return tmp_path / "encoder"


def test_check(tmp_path, letter_encoder):
    rows = [
        Row(f"ab {split} {i}", {"x": float(i % 2), "y": float(i % 2 == 0)}, "sat", split)
        for split in ("train", "test")
        for i in range(20)
    ]
    rows.append(Row("AB train 0", {"x": 0.0, "y": 1.0}, "sat", "test"))
    write_corpus(tmp_path / "c", Corpus(rows))
    out = run("check", tmp_path / "c", "--encoder", letter_encoder, "--json", tmp_path / "r.json")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    header = "Split Language Docs Labels Characters max Pieces max unknown Repeated"
    assert header in flat(out)
    assert "train sat Santali 20 2/2 10 11 10 11 71.4 % 0" in flat(out)
    assert "Label  train  test  Languages" in out
    assert flat(out).index("1 of 21 documents in test (4.8 %) also stand in train") < flat(
        out
    ).index("of the word pieces in Santali are unknown")
    assert json.loads((tmp_path / "r.json").read_text())["leaks"][0]["documents"] == 1


def test_check_of_a_sound_corpus(tmp_path):
    rows = [
        Row(f"{split} {i}", {"x": float(i % 2), "y": float(i % 2 == 0)}, "de", split)
        for split in ("train", "test")
        for i in range(40)
    ]
    write_corpus(tmp_path / "c", Corpus(rows))
    assert "Nothing here should worry you." in run("check", tmp_path / "c")


def untranslated(path):
    english = "The government raised the taxes on fuel in year {}, and nobody was happy about it."
    rows = [Row(english.format(1900 + i), {"x": 1.0}, "sw") for i in range(20)]
    write_corpus(path, Corpus(rows))
    return path


def test_check_of_texts_that_were_not_translated(tmp_path):
    out = flat(run("check", untranslated(tmp_path / "c")))
    assert "20 of 20 documents in train that are recorded as Swahili (100.0 %) seem to be" in out
    assert "was not checked" not in out


def test_check_without_a_detector_says_what_was_not_checked(tmp_path, monkeypatch):
    def missing(*args):
        raise ImportError("Install it with: pip install 'spacy-xlt[language]'")

    monkeypatch.setattr(detection, "load_detector", missing)
    out = flat(run("check", untranslated(tmp_path / "c"), "--json", tmp_path / "r.json"))
    assert "Whether the texts are in the languages recorded was not checked" in out
    assert "spacy-xlt[language]" in out and "seem to be" not in out
    part = json.loads((tmp_path / "r.json").read_text())["parts"][0]
    assert part["other_languages"] is None


def test_check_of_long_names_stays_narrow(tmp_path):
    label = "a label with a name that is much longer than any column of a table should be"
    rows = [
        Row(f"{lang} {split} {i}", {label: 1.0}, lang, split)
        for split in ("train", "a-very-long-name-of-a-split", "test")
        for lang in ("zh-Hant-HK", "sr-Latn", "")
        for i in range(3)
    ]
    write_corpus(tmp_path / "c", Corpus(rows))
    assert max(map(len, run("check", tmp_path / "c").splitlines())) <= 100


def test_check_of_something_else(tmp_path):
    assert "is not a corpus: it has no corpus.json" in flat(run("check", tmp_path, code=1))
    assert "No tokenizer.json in" in flat(
        run("check", _tiny(tmp_path / "c"), "--encoder", tmp_path, code=1)
    )


def test_damaged_corpus(tmp_path):
    path = _tiny(tmp_path / "c") / "train" / "de.spacy"
    path.write_bytes(path.read_bytes()[:20])
    for command in (["check"], ["split", tmp_path / "o"], ["sample", tmp_path / "o", "-n", "1"]):
        arguments = [command[0], tmp_path / "c", *command[1:]]
        assert "de.spacy' is not a readable DocBin" in flat(run(*arguments, code=1))


def test_loading_the_commands_stays_light():
    """`python -m spacy` loads them for every command."""
    code = (
        "import sys, spacy.cli; before = set(sys.modules); import spacy_xlt.cli.data; "
        "heavy = {'sklearn', 'scipy.special', 'pyarrow', 'hassil', 'transformers'}; "
        "heavy |= {'home_assistant_intents'}; "
        "assert not heavy & (set(sys.modules) - before), heavy & set(sys.modules); "
        "assert not any(m.startswith('spacy_xlt.corpora.') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _tiny(path):
    write_corpus(path, Corpus([Row(f"text {i}", {"x": 1.0}, "de") for i in range(9)]))
    return path
