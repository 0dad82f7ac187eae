import json

import pytest
import spacy
import srsly
from running import run_command

from spacy_xlt.corpora.layout import read_corpus
from spacy_xlt.corpora.reader import create_corpus_v1

TEXTS = [
    ("en", "the red house", "A"),
    ("en", "two red dogs\nand *one* ^cat$", "B"),
    ("en", "nothing 😀", "A"),
    ("de", "ein rotes Haus", "B"),
]
GERMAN = ["das rot Haus", "zwei rot dogs\nand *one* ^cat$", "nothing 😀"]


@pytest.fixture
def run(tmp_path):
    return lambda *arguments, code=0: run_command("translate", *arguments, code=code)


@pytest.fixture
def lexicon(tmp_path):
    path = tmp_path / "lexicons" / "en-de.tsv"
    path.parent.mkdir()
    path.write_text("house\tHaus\nred\trot\nthe\tdas\ntwo\tzwei\n", encoding="utf8")
    return path


@pytest.fixture
def source(make_split):
    return make_split(TEXTS, name="source")


def rows_of(out):
    return read_corpus(out).rows


def test_a_corpus_of_translations(run, source, lexicon, tmp_path):
    out = tmp_path / "new" / "out"
    output = run(source / "en.spacy", out, "--to", "deu", "--with", f"lexicon:{lexicon}")
    assert "German (de), by lexicon:en-de:" in output and "The corpus is in" in output
    rows = rows_of(out)
    assert [row.text for row in rows] == GERMAN
    assert [row.labels for row in rows] == [["A"], ["B"], ["A"]]
    assert [row.id for row in rows] == ["en-0", "en-1", "en-2"]
    assert {row.lang for row in rows} == {"de"} and {row.split for row in rows} == {"train"}
    assert rows[0].origin["text"] == "the red house" and 0 < rows[0].origin["quality"] <= 1
    record = json.loads((out / "corpus.json").read_text())["translations"]["de"]
    assert (record["from"], record["documents"], record["left_out"]) == ("en", 3, 0)
    assert record["translator"].startswith("lexicon:en-de:")
    assert (tmp_path / "new" / "out.translations.sqlite").is_file()
    examples = list(create_corpus_v1(path=str(out / "train"))(spacy.blank("xx")))
    assert examples[0].reference._.xlt_origin["lang"] == "en"


def test_originals_may_stay_and_languages_be_chosen(run, source, lexicon, tmp_path):
    out = tmp_path / "out"
    spelling = f"lexicon:{lexicon.parent}"
    message = run(source, out, "--to", "de", "--with", spelling, code=1)
    assert "The texts are in 2 languages or unknown ones (de 1, en 3)" in message
    run(source, out, "--to", "de", "--with", spelling, "--from", "eng", "--keep-source")
    by_lang = {}
    for row in rows_of(out):
        by_lang.setdefault(row.lang, []).append(row.id)
    assert by_lang == {"de": ["en-0", "en-1", "en-2"], "en": ["en-0", "en-1", "en-2"]}


def test_splits_of_a_corpus(run, tmp_path, lexicon):
    table = tmp_path / "data.jsonl"
    rows = [
        {"text": f"red {s}", "label": x, "split": s} for s in ("train", "dev", "test") for x in "AB"
    ]
    srsly.write_jsonl(table, [{**row, "text": f"{row['text']} {row['label']}"} for row in rows])
    run_command("data", "import", table, tmp_path / "corpus", "--lang", "en")
    arguments = (
        tmp_path / "corpus",
        tmp_path / "out",
        "--to",
        "de",
        "--with",
        f"lexicon:{lexicon}",
    )
    run(*arguments)
    assert [row.split for row in rows_of(tmp_path / "out")] == ["train", "train", "dev", "dev"]
    run(*arguments, "--splits", "test")
    assert {row.split for row in rows_of(tmp_path / "out")} == {"test"}
    assert "has no split x or y. It has: dev, test, train" in run(
        *arguments, "--splits", "x,y", code=1
    )


def test_labels_by_a_map(run, source, lexicon, tmp_path):
    arguments = (
        source / "en.spacy",
        tmp_path / "out",
        "--to",
        "de",
        "--with",
        f"lexicon:{lexicon}",
    )
    (tmp_path / "map.tsv").write_text("A\tnew\nB\tB\n")
    run(*arguments, "--label-map", tmp_path / "map.tsv")
    assert [row.labels for row in rows_of(tmp_path / "out")] == [["new"], ["B"], ["new"]]
    (tmp_path / "map.tsv").write_text("*\tone\n")
    message = run(*arguments, "--label-map", tmp_path / "map.tsv", code=1)
    assert "The label map merges all 2 labels into 'one', which each of the 3 documents" in message
    assert "'A' 2, 'B' 1" in message
    assert [row.labels for row in rows_of(tmp_path / "out")] == [["new"], ["B"], ["new"]]


@pytest.fixture
def failing(monkeypatch):
    """Makes translators from a spelling "fail:N", which fail after N batches, and "mute"."""
    from fake_translators import FakeTranslator

    made = []

    def make(spelling, from_lang, to_lang, *, cache):
        from spacy_xlt.translation.cache import CachedTranslator

        kind, _, n = spelling.partition(":")
        made.append(
            FakeTranslator(
                from_lang,
                to_lang,
                fails_after=int(n) if kind == "fail" else None,
                translate_one=(lambda text: "" if "dogs" in text else text.upper())
                if kind == "mute"
                else None,
                n_lost=kind == "lose",
            )
        )
        return CachedTranslator(made[-1], cache)

    monkeypatch.setattr("spacy_xlt.translation.choosing.make_translator", make)
    return made


def test_a_run_that_failed_goes_on_with_the_same_command(run, source, tmp_path, failing):
    out = tmp_path / "out"
    arguments = (source / "en.spacy", out, "--to", "de", "--batch-size", "1", "--with")
    message = run(*arguments, "fail:2", code=1)
    assert "2 of 3 texts are translated; then 'fake:en-de' failed: out of ink" in message
    assert not out.exists()
    run(*arguments, "well")
    assert [len(translator.calls) for translator in failing] == [2, 1]
    assert [row.text[:3] for row in rows_of(out)] == ["de:"] * 3


def test_translators_that_lose_texts(run, source, tmp_path, failing):
    out = tmp_path / "out"
    arguments = (source / "en.spacy", out, "--to", "de", "--with")
    assert "it returned 2 texts for 3. Nothing is kept" in run(*arguments, "lose", code=1)
    message = run(*arguments, "mute", "--on-empty", "stop", code=1)
    assert "1 of 3 texts got no translation into 'de' from 'fake:en-de', the first" in message
    assert not out.exists()
    output = run(*arguments, "mute")
    assert "1 translations left out, see" in output and len(rows_of(out)) == 2
    (reject,) = srsly.read_jsonl(out / "rejects.jsonl")
    assert reject["reason"] == "no translation into 'de'" and "two red dogs" in reject["content"]


def test_quality_by_encoder_and_round_trip(run, source, lexicon, tmp_path, encoder_dir):
    (tmp_path / "back").mkdir()
    back = tmp_path / "back" / "de-en.tsv"
    back.write_text("Haus\thouse\nrot\tred\n", encoding="utf8")
    arguments = (
        source / "en.spacy",
        tmp_path / "out",
        "--to",
        "de",
        "--with",
        f"lexicon:{lexicon}",
    )
    output = run(*arguments, "--encoder", encoder_dir, "--round-trip", f"lexicon:{back}", "--weigh")
    assert "Quality Documents Cosine Round trip Length" in output and "–" not in output
    rows = rows_of(tmp_path / "out")
    assert all({"cosine", "round_trip", "quality"} <= set(row.origin) for row in rows)
    assert all(row.weight == pytest.approx(row.origin["quality"], abs=1e-4) for row in rows)
    lowest = min(row.weight for row in rows)
    output = run(
        *arguments, "--encoder", encoder_dir, "--round-trip", f"lexicon:{back}",
        "--min-quality", str(lowest + 0.001),
    )  # fmt: skip
    assert len(rows_of(tmp_path / "out")) < 3 and "translations left out" in output


def test_a_trained_pipeline_compares_too(run, source, lexicon, tmp_path, trained_dir):
    arguments = (
        source / "en.spacy",
        tmp_path / "out",
        "--to",
        "de",
        "--with",
        f"lexicon:{lexicon}",
    )
    run(*arguments, "--encoder", trained_dir)
    assert all(-1.0 <= row.origin["cosine"] <= 1.0 for row in rows_of(tmp_path / "out"))
    spacy.blank("xx").to_disk(tmp_path / "bare")
    message = run(*arguments, "--encoder", tmp_path / "bare", code=1)
    assert "has 0 classifiers with an encoder; needed is one" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SOURCE", "OUT", "--to", "de", "--with", "google"], "'google' is no translator. Allowed"),
        (["SOURCE", "OUT", "--to", "en", "--with", "LEX"], "The texts are in 'en' already"),
        (
            ["SOURCE", "OUT", "--to", "sw", "--with", "LEX"],
            "needed is a translator from 'en' into 'sw'",
        ),
        (["SOURCE", "OUT", "--to", "?", "--with", "LEX"], "'?' is not a language tag"),
        (["SOURCE", "OUT", "--to", ",", "--with", "LEX"], "names no language"),
        (["nope", "OUT", "--to", "de", "--with", "LEX"], "There is no corpus at 'nope'"),
        (
            ["SOURCE", "OUT", "--to", "de", "--with", "LEX", "--on-empty", "x"],
            "Allowed are skip, stop",
        ),
        (
            ["SOURCE", "OUT", "--to", "de", "--with", "LEX", "--min-quality", "2"],
            "allowed is 0 to 1",
        ),
        (["SOURCE", "OUT", "--to", "de", "--with", "LEX", "-b", "0"], "batch_size is 0"),
        (["SOURCE", "OUT", "--to", "de", "--with", "LEX", "-e", "nope"], "nope"),
        (["SOURCE", "TAKEN", "--to", "de", "--with", "LEX"], "TAKEN"),
    ],
)
def test_mistakes_are_told_without_a_traceback(run, source, lexicon, tmp_path, arguments, message):
    (tmp_path / "TAKEN").mkdir()
    (tmp_path / "TAKEN" / "diary.txt").write_text("mine")
    places = {
        "SOURCE": source / "en.spacy",
        "OUT": tmp_path / "out",
        "TAKEN": tmp_path / "TAKEN",
        "LEX": f"lexicon:{lexicon}",
    }
    assert message in run(*(places.get(x, x) for x in arguments), code=1)
    assert not (tmp_path / "out").exists() and (tmp_path / "TAKEN" / "diary.txt").is_file()


def test_a_translator_that_knows_nothing_of_the_texts_is_refused(run, source, tmp_path):
    (tmp_path / "en-sw.tsv").write_text("unheard\tx\n", encoding="utf8")
    arguments = (source / "en.spacy", tmp_path / "out", "--to", "sw", "--with")
    message = run(*arguments, f"lexicon:{tmp_path / 'en-sw.tsv'}", code=1)
    assert "All 3 translations into 'sw' are the originals, unchanged: 'lexicon:en-sw:" in message
    assert "Check that the texts are in 'en'" in message and not (tmp_path / "out").exists()


def test_a_missing_tool_is_named_with_how_to_get_it(run, source, tmp_path, monkeypatch):
    from spacy_xlt.translation.apertium import installed_directions

    installed_directions.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    output = run(source / "en.spacy", tmp_path / "out", "--to", "es", code=1)
    assert "command 'apertium', which is not installed. Install it" in output
    assert "apt-get install apertium apertium-eng-spa" in output
    listed = run_command("translators")
    assert "lexicon:PATH" in listed and "not installed: apt-get install apertium" in listed
    installed_directions.cache_clear()
