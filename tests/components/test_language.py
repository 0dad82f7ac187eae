import pickle

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_xlt import compat, detection
from spacy_xlt.components.language import XltLanguage
from spacy_xlt.detection import REQUIREMENT

ENGLISH = "The government raised the taxes on fuel, and nobody was happy about it."
GERMAN = "Die Regierung hat die Steuern auf Benzin erhöht, und niemand war froh darüber."
SWAHILI = "Serikali iliongeza ushuru wa mafuta, na hakuna mtu aliyefurahi kuhusu hilo."
TEXTS = [ENGLISH, GERMAN, "", "🎉 123", SWAHILI, "ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ", "ok"]
TAGS = ["en", "de", "", "", "sw", "", ""]


def make(**config):
    nlp = spacy.blank("xx")
    nlp.add_pipe("xlt_language", config=config)
    return nlp


def tags(docs):
    return [doc._.xlt_lang for doc in docs]


def test_it_sets_language_and_confidence():
    docs = [make()(text) for text in TEXTS]
    assert tags(docs) == TAGS
    for doc in docs:
        assert isinstance(doc._.xlt_lang_confidence, float)
        assert doc._.xlt_lang_confidence > 0.9 if doc._.xlt_lang else not doc._.xlt_lang_confidence
        assert doc._.xlt_langs == {}


def annotate(nlp, text, lang):
    doc = nlp.make_doc(text)
    doc._.xlt_lang = lang
    return nlp(doc)


def test_a_recorded_language_stays():
    doc = annotate(make(), ENGLISH, "sw")
    assert doc._.xlt_lang == "sw" and doc._.xlt_lang_confidence == 0.0
    assert annotate(make(), ENGLISH, "no tag!")._.xlt_lang == "en"


def test_a_recorded_language_is_overwritten_by_a_known_one():
    nlp = make(overwrite=True)
    assert annotate(nlp, ENGLISH, "sw")._.xlt_lang == "en"
    doc = annotate(nlp, "ok", "sw")
    assert doc._.xlt_lang == "sw" and doc._.xlt_lang_confidence == 0.0


def test_settings():
    assert make()("Bonjour")._.xlt_lang == ""
    assert make(min_confidence=0.1)("Bonjour")._.xlt_lang == "fr"
    assert make(langs=["eng", "fr"])("Bonjour")._.xlt_lang == "fr"
    assert make(min_confidence=1.0)(ENGLISH[:20])._.xlt_lang == ""


def test_texts_in_several_languages():
    doc = make(shares=True)(f"{ENGLISH} {GERMAN} {ENGLISH}")
    assert list(doc._.xlt_langs) == ["en", "de"] and doc._.xlt_lang == "en"
    assert sum(doc._.xlt_langs.values()) == pytest.approx(1.0)
    # also where the language is recorded, which stays
    doc = annotate(make(shares=True), GERMAN, "sw")
    assert doc._.xlt_langs == {"de": 1.0} and doc._.xlt_lang == "sw"


def test_settings_out_of_range():
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="min_confidence is .*; allowed is 0 to 1"):
            XltLanguage(min_confidence=value)
    with pytest.raises(ValueError, match="name two languages or more"):
        make(langs=["de"])


def test_making_and_loading_it_loads_no_detector(tmp_path, monkeypatch):
    def refuse(*args):
        raise AssertionError("the detector is loaded")

    monkeypatch.setattr(detection, "_load_identifier", refuse)
    detection.load_detector.cache_clear()
    make(langs=["en", "de"]).to_disk(tmp_path / "nlp")
    nlp = spacy.load(tmp_path / "nlp")
    pickle.dumps(nlp.get_pipe("xlt_language"))
    assert annotate(nlp, ENGLISH, "sw")._.xlt_lang == "sw"
    with pytest.raises(AssertionError, match="is loaded"):
        nlp(ENGLISH)


def test_without_the_library(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named '{name}'")

    nlp = make()
    monkeypatch.setattr(compat, "import_module", missing)
    detection._load_identifier.cache_clear()
    detection.load_detector.cache_clear()
    with pytest.raises(ImportError, match=r"Detecting .* needs .*'spacy-xlt\[language\]'"):
        nlp(ENGLISH)


def test_storage_keeps_the_settings(tmp_path):
    nlp = make(langs=["en", "fr"], min_confidence=0.3)
    nlp.to_disk(tmp_path / "nlp")
    for again in (spacy.load(tmp_path / "nlp"), spacy.blank("xx").from_config(nlp.config)):
        assert tags(map(again, ["Bonjour", ENGLISH])) == ["fr", "en"]
    pipe = pickle.loads(pickle.dumps(nlp.get_pipe("xlt_language")))
    assert isinstance(pipe, XltLanguage) and pipe(nlp.make_doc("Bonjour"))._.xlt_lang == "fr"


def test_annotations_are_stored_with_docs():
    doc = make(shares=True)(f"{ENGLISH} {GERMAN}")
    for again in (
        Doc(doc.vocab).from_bytes(doc.to_bytes()),
        *DocBin(docs=[doc], store_user_data=True).get_docs(doc.vocab),
    ):
        assert again._.xlt_lang == doc._.xlt_lang and again._.xlt_langs == doc._.xlt_langs
        assert again._.xlt_lang_confidence == doc._.xlt_lang_confidence


@pytest.mark.parametrize("n_process", [1, 2])
def test_streams(n_process):
    nlp = make()
    docs = nlp.pipe(TEXTS * 3, batch_size=4, n_process=n_process)
    assert tags(docs) == TAGS * 3


def test_memory_zones():
    nlp = make()
    n_strings = len(nlp.vocab.strings)
    for _ in range(2):
        with nlp.memory_zone():
            assert tags(nlp.pipe(TEXTS)) == TAGS
    assert len(nlp.vocab.strings) == n_strings


def test_packages_require_the_detector(tmp_path):
    nlp = make()
    assert nlp.meta["requirements"] == [REQUIREMENT]
    nlp.to_disk(tmp_path / "nlp")
    again = spacy.load(tmp_path / "nlp")
    assert again.meta["requirements"] == [REQUIREMENT]
    again.add_pipe("xlt_language", name="second")
    assert again.meta["requirements"] == [REQUIREMENT]


def test_temperatures_follow_the_detected_language(trained):
    trained.get_pipe("textcat").set_calibration({"temperatures": {"": 1.0, "de": 5.0}})
    before = {text: trained(text).cats for text in (ENGLISH, GERMAN)}
    trained.add_pipe("xlt_language", before="textcat")
    after = {text: trained(text).cats for text in (ENGLISH, GERMAN)}
    assert after[ENGLISH] == before[ENGLISH]
    assert max(after[GERMAN].values()) < max(before[GERMAN].values())


def test_it_stands_in_a_pipeline_that_is_trained(make_nlp):
    from tiny import make_examples

    nlp = make_nlp()
    nlp.add_pipe("xlt_language", first=True)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    assert nlp.update(examples)["textcat"] > 0.0
    assert "cats_acc" in nlp.evaluate(examples)
