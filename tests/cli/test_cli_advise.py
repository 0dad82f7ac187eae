import json
import shlex

import pytest
import tiny
from running import run_command
from spacy.vocab import Vocab

from spacy_xlt.cli.advise import format_gain
from spacy_xlt.corpora.layout import Corpus, doc_to_row, write_corpus
from spacy_xlt.evaluation.gains import Gain
from spacy_xlt.languages import set_doc_language
from spacy_xlt.transfer.recipes import RECIPES, Needs, Recipe


def rows_of(lang, split, *, every=1):
    return [doc_to_row(doc, split) for doc in tiny.make_docs([lang], Vocab(), every=every)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """An arranged corpus: English to train on, a pool in Swahili, tests in both and in German."""
    rows = rows_of("en", "train") + rows_of("en", "dev", every=3) + rows_of("sw", "pool")
    rows += [row for lang in ("en", "sw", "de") for row in rows_of(lang, "test", every=4)]
    path = tmp_path_factory.mktemp("advise") / "corpus"
    write_corpus(path, Corpus(rows))
    return path


@pytest.fixture
def figures(tmp_path):
    """Run the command; what it writes."""

    def run(*arguments):
        run_command("advise", *arguments, "--json", tmp_path / "advice.json")
        return json.loads((tmp_path / "advice.json").read_text())

    return run


def test_a_corpus_with_its_splits(corpus, encoder_dir, figures):
    text = run_command("advise", corpus, "--encoder", encoder_dir)
    assert "What there is, for 3 labels" in text
    assert "English (source) en 27 9 to 9" in text and "Swahili sw 27 9 to 9" in text
    assert "German de 0" in text
    assert "Recipes that fit, the best first" in text and "1 of 2" in text
    assert "Gains are over zero-shot on SIB-200" in text and "gn ha ku quy sw yo zu; " in text
    assert "Recipes that do not fit" in text and "lexicon It needs a lexicon" in text
    assert "about 1 minute" in text and "DEV stands for" not in text
    text = run_command("advise", corpus)
    assert "ENCODER stands for the directory of an encoder. Fetch one with: python -m" in text
    found = figures(corpus)
    assert found["format"] == "spacy_xlt.advice.v1"
    assert found["situation"]["source_langs"] == ["en"]
    assert set(found["situation"]["languages"]) == {"en", "sw", "de"}
    (tuned,) = [one for one in found["recommended"] if one["recipe"] == "finetune"]
    assert tuned["langs"] == ["sw"] and tuned["gain"] is None
    (refitted,) = [one for one in found["recommended"] if one["recipe"] == "few_shot"]
    assert refitted["gain"]["mean"] != 0 and refitted["gain"]["labels_per_class"] == 8
    assert tuned["commands"] == [
        f"python -m spacy xlt transfer zero_shot --train {corpus}/train --dev {corpus}/dev "
        "--encoder ENCODER --source-langs en --output zero_shot.cfg",
        "python -m spacy xlt train zero_shot.cfg --output training/zero_shot",
        f"python -m spacy xlt transfer finetune --train {corpus}/pool --dev {corpus}/dev "
        "--encoder ENCODER --target-langs sw --start training/zero_shot/model-best "
        "--source-langs en --output finetune.cfg",
        "python -m spacy xlt train finetune.cfg --output training/finetune",
    ]


@pytest.mark.parametrize(
    ("interval", "by_sentence", "text"),
    [
        (None, False, "+1.5 (no interval)"),
        ((-1.0, 4.0), True, "+1.5 (-1.0 to +4.0)"),
        ((-1.0, 4.0), False, "+1.5 (-1.0 to +4.0) *"),
    ],
)
def test_how_a_gain_is_written(interval, by_sentence, text):
    gain = Gain("x", None, 1.5, interval, by_sentence, ("sw",), 1, None, "assets")
    assert format_gain(gain) == text


def test_the_commands_run(corpus, encoder_dir, figures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = figures(corpus, "--encoder", encoder_dir)
    (frozen,) = [one for one in found["recommended"] if one["recipe"] == "frozen"]
    for line in frozen["commands"]:
        words = shlex.split(line)
        assert words[:4] == ["python", "-m", "spacy", "xlt"]
        run_command(*words[4:])
    assert (tmp_path / "training" / "frozen" / "model-best" / "meta.json").is_file()


def test_commands_of_a_recipe_that_is_more_than_a_config(corpus, figures, monkeypatch):
    lines = ("python -m spacy xlt self-train {start} --texts {unlabelled} --langs {target_langs}",)
    needs = Needs(start=True, unlabelled=5)
    recipe = Recipe("selves", "with its own labels", "", needs, commands=lines)
    monkeypatch.setitem(RECIPES, "selves", recipe)
    found = figures(corpus, "--unlabelled", corpus / "pool")
    (selves,) = [one for one in found["recommended"] if one["recipe"] == "selves"]
    assert len(selves["commands"]) == 3
    assert selves["commands"][-1] == (
        "python -m spacy xlt self-train training/zero_shot/model-best "
        f"--texts {corpus}/pool --langs sw"
    )


def test_every_config_can_be_filled_in(
    corpus, encoder_dir, figures, trained_dir, tmp_path, monkeypatch
):
    """Commands that are shown are complete, with targets in a split of their own too."""
    lexicons = tmp_path / "lexicons"
    lexicons.mkdir()
    (lexicons / "en-sw.tsv").write_text("today\tleo\n")
    monkeypatch.chdir(tmp_path)
    given = ("--encoder", encoder_dir, "--start", trained_dir, "--lexicons", lexicons)
    found = figures(corpus, *given, "--unlabelled", corpus / "pool", "--teacher", trained_dir)
    assert {"few_shot", "finetune", "lexicon"} <= {x["recipe"] for x in found["recommended"]}
    for one in found["recommended"]:
        for line in one["commands"]:
            words = shlex.split(line)
            if words[4] == "transfer":
                run_command(*words[4:])
                assert (tmp_path / words[words.index("--output") + 1]).is_file()


def test_texts_lexicons_and_translations(corpus, figures, tmp_path, trained_dir):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "yo.jsonl").write_text(
        "\n".join(json.dumps({"text": f"ọrọ {i}", "lang": "yo"}) for i in range(12))
    )
    lexicons = tmp_path / "lexicons"
    lexicons.mkdir()
    (lexicons / "en-sw.tsv").write_text("today\tleo\nhere\thapa\nhere\tpale\n")
    (lexicons / "sw-de.tsv").write_text("leo\theute\n")
    parallel = tmp_path / "de.jsonl"
    parallel.write_text(
        "\n".join(json.dumps({"text": f"wir {i}", "label": "food", "lang": "de"}) for i in range(5))
    )
    found = figures(
        corpus,
        *("--unlabelled", texts, "--lexicons", lexicons, "--parallel", parallel),
        *("--start", trained_dir, "--translator", "spa,de"),
    )
    languages = found["situation"]["languages"]
    assert languages["yo"]["n_unlabelled"] == 12
    assert languages["sw"]["n_lexicon"] == 2 and languages["de"]["n_lexicon"] == 0
    assert languages["de"]["n_parallel"] == 5
    assert languages["es"]["has_translator"] and not languages["sw"]["has_translator"]
    assert languages["sw"]["n_gloss"] == 3 and languages["de"]["n_gloss"] == 0
    commands = {one["recipe"]: one["commands"] for one in found["recommended"]}
    assert commands["translate_train"][0] == (
        f"python -m spacy xlt translate {corpus}/train training/translated --from en --to de,es "
        "--with apertium"
    )
    assert (
        "--source-langs en,de,es --train training/translated/train"
        in commands["translate_train"][1]
    )
    assert """train_langs '["en"]'""" in commands["translate_train"][1]
    assert commands["parallel"][0].endswith(
        f"{parallel} training/aligned --from en --by neighbours --encoder ENCODER"
    )
    assert f"--lexicons {lexicons}" in commands["lexicon"][-2]
    assert len(commands["finetune"]) == 2 and f"--start {trained_dir}" in commands["finetune"][0]


def test_texts_in_a_file_named_by_its_language(corpus, figures, tmp_path):
    (tmp_path / "yo.txt").write_text("ọrọ kan\nọrọ meji\n\nọrọ kan\n")
    found = figures(corpus, "--unlabelled", tmp_path / "yo.txt")
    assert found["situation"]["languages"]["yo"]["n_unlabelled"] == 2


def test_bare_files_and_named_languages(corpus_dir, figures):
    found = figures(corpus_dir / "train.spacy", "--target-langs", "swh,zu")
    assert list(found["situation"]["languages"]) == ["en", "sw", "zu"]
    first = found["recommended"][0]["commands"][0]
    assert first.startswith("python -m spacy xlt transfer zero_shot --train ")
    assert "--dev DEV --encoder ENCODER" in first


def test_documents_without_a_language(corpus_dir, figures):
    found = figures(corpus_dir / "plain.spacy", "--target-langs", "sw")
    assert found["situation"]["source_langs"] == [""]
    first = found["recommended"][0]["commands"][0]
    assert first.startswith("python -m spacy xlt transfer zero_shot --train ")
    assert "--source-langs" not in first


def test_a_corpus_to_test_on(tmp_path):
    write_corpus(tmp_path / "corpus", Corpus(rows_of("en", "test")))
    text = run_command("advise", tmp_path / "corpus", code=1)
    assert "has no split to train on (train or pool). Divide it with:" in text


def test_a_language_that_cannot_be_read(corpus_dir, encoder_dir, tmp_path):
    strange = tmp_path / "sat.txt"
    strange.write_text("\n".join(f"ᱚᱞ ᱪᱤᱠᱤ {'ᱚ' * i}" for i in range(1, 30)))
    text = run_command(
        "advise", corpus_dir / "train.spacy", "-u", strange, "--encoder", encoder_dir
    )
    assert "The encoder cannot read Santali: more than 5 % of the word pieces" in text


def test_too_little_time(corpus, encoder_dir):
    text = run_command("advise", corpus, "--encoder", encoder_dir, "--minutes", "1e-9")
    assert "No recipe fits into 1e-09 minutes" in text and "Recipes that fit" not in text


def test_nothing_labelled(tmp_path):
    doc = tiny.make_doc("habari", Vocab(), cats={})
    set_doc_language(doc, "sw")
    text = run_command("advise", tiny.write_docbin(tmp_path / "sw.spacy", [doc]))
    assert "There is no labelled text, so nothing can be trained." in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--minutes", "3"], "--minutes needs --encoder, to know how long recipes take with it."),
        (["--minutes", "0"], "--minutes is 0; allowed is more than 0."),
        (["--encoder", "none"], "There is no 'none', which --encoder names."),
        (["--teacher", "none"], "There is no 'none', which --teacher names."),
        (["--unlabelled", "none"], "There is no file or directory 'none' with texts."),
        (["--parallel", "none"], "There is no file or directory 'none' with texts."),
        (["--target-langs", "zz"], "'zz' is not a language tag."),
        (["none"], "There is no corpus at 'none'."),
    ],
)
def test_bad_arguments(corpus, more, message):
    assert message in run_command("advise", corpus, *more, code=1)
