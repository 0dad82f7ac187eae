import pytest
import spacy
from running import run_command

from spacy_xlt.languages import set_doc_language


@pytest.fixture
def lexicons(tmp_path):
    folder = tmp_path / "lexicons"
    folder.mkdir()
    (folder / "en-ku.tsv").write_text("sea\tderya\nopera\tstran\n", encoding="utf8")
    (folder / "sw-en.tsv").write_text("chakula\tpizza\n", encoding="utf8")
    (folder / "en-de.tsv").write_text("opera\tOper\n", encoding="utf8")
    return folder


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.tsv"
    rows = ["text\tlang", "deryayê stran\tku", "li deryayê\tku", "chakula\tsw"]
    path.write_text("\n".join(rows) + "\n", encoding="utf8")
    return path


def read(nlp, text, lang):
    doc = nlp.make_doc(text)
    set_doc_language(doc, lang)
    return nlp(doc)


def test_a_pipeline_reads_texts_word_by_word_too(trained_dir, lexicons, texts, tmp_path):
    output = tmp_path / "glossed"
    arguments = (trained_dir, lexicons, "--output", output, "--langs", "ku,sw", "--texts", texts)
    shown = run_command("gloss", *arguments)
    assert "word by word too: ku (2 words), sw (1 words)" in shown
    assert "ku: 3 of 4 words known (75 %)" in shown and "sw: 1 of 1 words known" in shown
    assert "Texts must say their language" in shown
    nlp = spacy.load(output)
    assert nlp.pipe_names == ["gloss", "textcat"]
    doc = read(nlp, "deryayê stran", "ku")
    assert doc._.xlt_translation == "sea opera" and doc._.xlt_translation_share == 0.5
    before = spacy.load(trained_dir)
    assert read(nlp, "Oper", "de").cats == pytest.approx(read(before, "Oper", "de").cats, abs=1e-6)
    # The lexicons are part of it, and others take their place.
    (lexicons / "sw-en.tsv").unlink()
    assert read(spacy.load(output), "chakula", "sw")._.xlt_translation == "pizza"
    again = tmp_path / "again"
    shown = run_command("gloss", output, lexicons, "-o", again, "--share", "0.25")
    assert "de (1 words), ku (2 words)" in shown
    nlp = spacy.load(again)
    assert nlp.pipe_names == ["gloss", "textcat"]
    assert read(nlp, "stran", "ku")._.xlt_translation_share == 0.25
    assert read(nlp, "chakula", "sw")._.xlt_translation == ""


def test_what_was_fitted_to_other_answers_goes(trained, lexicons, tmp_path):
    trained.get_pipe("textcat").set_calibration({"temperatures": {"en": 2.0}})
    trained.add_pipe("xlt_language", first=True)
    trained.to_disk(tmp_path / "calibrated")
    shown = run_command("gloss", tmp_path / "calibrated", lexicons, "-o", tmp_path / "glossed")
    assert "know words of your texts was not looked at: see --texts." in shown
    assert "calibration and forecasts are dropped" in shown and "must say" not in shown
    assert spacy.load(tmp_path / "glossed").get_pipe("textcat").cfg["calibration"] == {}


def test_a_lexicon_in_the_wrong_direction_is_refused(trained_dir, texts, tmp_path):
    path = tmp_path / "ku-en.tsv"
    path.write_text("sea\tderyayê\nopera\tstran\n", encoding="utf8")
    with texts.open("a", encoding="utf8") as file:
        file.write("stran li deryayê\tku\n")
    arguments = (trained_dir, path, "-o", tmp_path / "out", "--texts", texts)
    assert "it is in the wrong direction" in run_command("gloss", *arguments, code=1)
    assert not (tmp_path / "out").exists()


def test_a_lexicon_that_knows_nothing_is_told(trained_dir, texts, tmp_path):
    for lang in ("ku", "yo"):
        (tmp_path / f"{lang}-en.tsv").write_text("xyz\tzyx\n", encoding="utf8")
    arguments = (trained_dir, tmp_path, "-o", tmp_path / "out", "--texts", texts)
    shown = run_command("gloss", *arguments)
    assert "knows 0 of the 4 words looked at (0.0 %), less than 1 %" in shown
    assert "has no text in 'yo', so its lexicon is unchecked" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--langs", "yo"), "no lexicon between 'en' and yo"),
        (("--to", "fr"), "no lexicon between 'fr' and any other language"),
        (("--share", "0"), "share is 0.0; allowed is above 0"),
        (("--component", "x"), "'x' is not one"),
    ],
)
def test_mistakes_are_named(trained_dir, lexicons, tmp_path, options, message):
    output = tmp_path / "out"
    shown = run_command("gloss", trained_dir, lexicons, "-o", output, *options, code=1)
    assert message in shown and not output.exists()


def test_the_language_to_read_in_must_be_clear(trained, lexicons, tmp_path):
    trained.get_pipe("textcat").cfg["train_langs"] = ["de", "en"]
    trained.to_disk(tmp_path / "two")
    shown = run_command("gloss", tmp_path / "two", lexicons, "-o", tmp_path / "out", code=1)
    assert "was trained in de, en, so it is unclear what to read texts in" in shown
    run_command("gloss", tmp_path / "two", lexicons, "-o", tmp_path / "out", "--to", "en")


def test_what_reads_no_translations_is_told(lexicons, tmp_path):
    nlp = spacy.blank("xx")
    nlp.add_pipe("textcat").add_label("a")
    nlp.to_disk(tmp_path / "stock")
    shown = run_command("gloss", tmp_path / "stock", lexicons, "-o", tmp_path / "out", code=1)
    assert "'textcat' (textcat) reads no translations" in shown
