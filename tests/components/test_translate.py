import pytest
import spacy
from fake_translators import FakeTranslator

from spacy_xlt.components.translate import XltTranslate
from spacy_xlt.languages import set_doc_language


def make_doc(nlp, text, lang):
    doc = nlp.make_doc(text)
    set_doc_language(doc, lang)
    return doc


@pytest.fixture
def translators():
    return [FakeTranslator("de", "en"), FakeTranslator("pt", "en")]


@pytest.fixture
def pipe(translators):
    return XltTranslate("xlt_translate", translators)


ROWS = [
    *(("eins", "de"), ("one", "en"), ("um", "pt-BR"), ("zwei", "de"), ("???", ""), ("mbili", "sw")),
    *((" \n", "de"), ("eins", "de")),
]
TRANSLATIONS = ["en:eins", "", "en:um", "en:zwei", "", "", "", "en:eins"]


def test_docs_keep_both_texts(pipe, translators):
    nlp = spacy.blank("xx")
    docs = [make_doc(nlp, *row) for row in ROWS]
    assert [doc._.xlt_translation for doc in pipe.pipe(docs)] == TRANSLATIONS
    assert [doc.text for doc in docs] == [text for text, _ in ROWS]
    assert translators[0].calls == [["eins", "zwei"]] and translators[1].calls == [["um"]]
    # What is there is not made again.
    list(pipe.pipe(docs))
    assert len(translators[0].calls) == 1


def test_one_by_one_is_as_in_batches(pipe):
    nlp = spacy.blank("xx")
    for size in (1, 3, 100):
        docs = [make_doc(nlp, *row) for row in ROWS]
        found = [doc._.xlt_translation for doc in pipe.pipe(docs, batch_size=size)]
        assert found == TRANSLATIONS
    assert [pipe(make_doc(nlp, *row))._.xlt_translation for row in ROWS] == TRANSLATIONS


def test_a_translation_that_is_blank_is_none():
    pipe = XltTranslate("x", [FakeTranslator("de", "en", translate_one=lambda text: " ")])
    assert pipe(make_doc(spacy.blank("xx"), "eins", "de"))._.xlt_translation == ""


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "go into no language; allowed is one language"),
        ([("de", "en"), ("fr", "es")], r"go into \['en', 'es'\]; allowed is one language"),
        ([("de", "en"), ("deu", "en")], r"are from \['de', 'deu'\]; allowed is one for each"),
    ],
)
def test_translators_that_do_not_go_together(pairs, message):
    with pytest.raises(ValueError, match=message):
        XltTranslate("xlt_translate", [FakeTranslator(*pair) for pair in pairs])


def test_what_is_no_translator_is_named():
    with pytest.raises(ValueError, match=r"translators\] german is str; needed is a translator"):
        spacy.blank("xx").add_pipe("xlt_translate", config={"translators": {"german": "x"}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"fails_after": 0}, "out of ink"), ({"n_lost": 1}, "returned 1 texts for 2")],
)
def test_a_translator_that_fails_stops_unless_told_otherwise(settings, message):
    nlp = spacy.blank("xx")
    pipe = XltTranslate("x", [FakeTranslator("de", "en", **settings)])
    docs = [make_doc(nlp, text, "de") for text in ("eins", "zwei")]
    with pytest.raises((ValueError, RuntimeError), match=message):
        list(pipe.pipe(docs))
    errors = []
    pipe.set_error_handler(lambda name, proc, docs, e: errors.append((name, len(docs))))
    assert list(pipe.pipe(docs)) == [] and errors == [("x", 2)]


@pytest.fixture
def lexicons(tmp_path):
    (tmp_path / "de-en.tsv").write_text("klänge\tjazz opera radio\n", encoding="utf8")
    lexicon = {
        "@misc": "spacy_xlt.Lexicon.v1",
        "path": str(tmp_path / "de-en.tsv"),
        "lemmas": False,
    }
    return {"german": {"@misc": "spacy_xlt.LexiconTranslator.v1", "lexicon": lexicon}}


def test_the_classifier_reads_the_translation(trained, lexicons, tmp_path):
    trained.add_pipe("xlt_translate", before="textcat", config={"translators": lexicons})
    music = trained("jazz opera radio").cats
    foreign = trained(make_doc(trained, "klänge", "de"))
    assert foreign._.xlt_translation == "jazz opera radio" and foreign.text == "klänge"
    assert foreign.cats == pytest.approx(music, abs=1e-5)
    unknown = trained("klänge")
    assert unknown._.xlt_translation == "" and unknown.cats != pytest.approx(music, abs=1e-3)
    docs = [make_doc(trained, "klänge", lang) for lang in ("de", "", "de")]
    piped = [doc.cats for doc in trained.pipe(docs)]
    assert piped[0] == pytest.approx(music, abs=1e-4) == piped[2]
    # It is saved and loaded with the pipeline.
    trained.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    assert loaded(make_doc(loaded, "klänge", "de")).cats == pytest.approx(music, abs=1e-5)
    assert loaded.get_pipe("textcat").cfg["read_translations"] is True
    # And reading translations may be switched off.
    loaded.get_pipe("textcat").cfg["read_translations"] = False
    foreign = loaded(make_doc(loaded, "klänge", "de"))
    assert foreign._.xlt_translation and foreign.cats == pytest.approx(unknown.cats, abs=1e-5)


def test_a_translation_may_count_beside_the_text(trained, lexicons):
    config = {"translators": lexicons, "share": 0.5}
    trained.add_pipe("xlt_translate", before="textcat", config=config)
    own, other = trained("klänge").cats, trained("jazz opera radio").cats
    doc = trained(make_doc(trained, "klänge", "de"))
    assert doc._.xlt_translation_share == 0.5
    products = {label: (own[label] * other[label]) ** 0.5 for label in own}
    expected = {label: value / sum(products.values()) for label, value in products.items()}
    assert doc.cats == pytest.approx(expected, abs=1e-5)
    trained.get_pipe("textcat").cfg["read_translations"] = False
    assert trained(make_doc(trained, "klänge", "de")).cats == pytest.approx(own, abs=1e-5)


def test_warnings_are_about_what_was_read(trained, lexicons):
    trained.add_pipe("xlt_translate", before="textcat", config={"translators": lexicons})
    before = trained("ᱚᱞ ᱪᱤᱠᱤ")._.xlt_warning
    assert before
    doc = trained.make_doc("ᱚᱞ ᱪᱤᱠᱤ")
    doc._.xlt_translation = "jazz opera radio"
    assert trained(doc)._.xlt_warning == ""


def test_a_document_of_a_hundred_thousand_characters(trained, lexicons):
    trained.add_pipe("xlt_translate", before="textcat", config={"translators": lexicons})
    doc = trained(make_doc(trained, "klänge " * 15_000, "de"))
    assert len(doc._.xlt_translation) == 15_000 * 17 and max(doc.cats, key=doc.cats.get) == "music"
