import copy

import numpy
import pytest
import spacy
import tiny

from spacy_xlt.components.warning import MAX_UNKNOWN_SHARE, find_warning
from spacy_xlt.layers.shim import TextCatShim
from spacy_xlt.pieces import PieceTokenizer

UNREADABLE = "ᱚᱞ ᱪᱤᱠᱤ"
FINE = {"accuracy": 0.8, "interval": [0.7, 0.9], "alarm": False, "reason": ""}
BAD = {"accuracy": 0.3, "interval": [0.2, 0.4], "alarm": True, "reason": "Not to be trusted."}
NOTHING_KNOWN = "How far labels in French can be trusted is not known."


def warn(nlp, text="we want pizza today", lang=""):
    doc = nlp.make_doc(text)
    doc._.xlt_lang = lang
    return nlp(doc)._.xlt_warning


def test_texts_that_need_no_forecast(trained):
    assert warn(trained) == ""
    assert warn(trained, "") == warn(trained, " \n\t") == "There is no text."
    assert warn(trained, UNREADABLE).startswith("The encoder cannot read ")
    assert warn(trained, UNREADABLE).endswith(" % of the pieces.")
    assert warn(trained, "pizza " * 200 + UNREADABLE) == ""


def test_languages_with_forecasts(trained, tmp_path):
    trained.get_pipe("textcat").set_forecasts({"deu": FINE, "swh": BAD, "pt": BAD})
    trained.to_disk(tmp_path / "out")
    for nlp in (trained, spacy.load(tmp_path / "out")):
        assert warn(nlp, lang="de") == warn(nlp, lang="en") == warn(nlp, lang="en-GB") == ""
        assert warn(nlp, lang="sw") == warn(nlp, lang="pt-BR") == "Not to be trusted."
        assert warn(nlp, lang="fr") == NOTHING_KNOWN
        for unknown in ("", "no tag!"):
            assert warn(nlp, lang=unknown).startswith("Its language is not known")
        both = warn(nlp, UNREADABLE, "fr")
        assert both.startswith("The encoder") and both.endswith(NOTHING_KNOWN)
    trained.get_pipe("textcat").set_forecasts({})
    assert warn(trained, lang="sw") == ""


def test_forecasts_of_no_language_and_after_training(trained, tmp_path):
    pipe = trained.get_pipe("textcat")
    with pytest.raises(ValueError, match="is not a language tag"):
        pipe.set_forecasts({"nonsense!": FINE})
    pipe.set_forecasts({"de": FINE})
    examples = tiny.make_examples(trained)
    pipe.initialize(lambda: examples, nlp=trained)
    assert pipe.cfg["forecasts"] == {}


def test_it_can_be_turned_off(trained):
    trained.get_pipe("textcat").cfg["warn"] = False
    assert warn(trained, "") == ""


def test_a_document_read_again_has_the_new_warning_only(trained):
    doc = trained.make_doc("we want pizza today")
    trained.get_pipe("textcat").set_forecasts({"sw": BAD})
    doc._.xlt_lang = "sw"
    assert trained(doc)._.xlt_warning == "Not to be trusted."
    doc._.xlt_lang = "fr"
    assert trained(doc)._.xlt_warning == NOTHING_KNOWN
    doc._.xlt_lang = "en"
    assert trained(doc)._.xlt_warning == ""


def test_several_on_one_document(make_nlp):
    nlp = make_nlp(name="first")
    other = make_nlp(name="second")
    nlp.initialize(lambda: tiny.make_examples(nlp))
    other.initialize(lambda: tiny.make_examples(other))
    nlp.add_pipe("second", source=other)
    assert warn(nlp, "") == "There is no text."  # said once
    nlp.get_pipe("first").set_forecasts({"sw": BAD})
    assert warn(nlp, lang="sw") == "Not to be trusted."
    nlp.get_pipe("second").set_forecasts({"sw": {**BAD, "reason": "Nor is this."}})
    assert warn(nlp, lang="sw") == "Not to be trusted. Nor is this."


def test_several_processes_and_memory_zones(trained):
    texts = ["we want pizza today", "", UNREADABLE] * 3
    expected = [doc._.xlt_warning for doc in trained.pipe(texts)]
    assert any(expected) and not all(expected)
    assert [doc._.xlt_warning for doc in trained.pipe(texts, n_process=2)] == expected
    with trained.memory_zone():
        assert [doc._.xlt_warning for doc in trained.pipe(texts)] == expected


def test_warnings_are_kept_on_disk(trained):
    doc = trained("")
    assert spacy.tokens.Doc(doc.vocab).from_bytes(doc.to_bytes())._.xlt_warning


def test_texts_are_divided_into_pieces_once(trained, monkeypatch):
    calls = []
    encode = PieceTokenizer.encode
    monkeypatch.setattr(
        PieceTokenizer, "encode", lambda self, texts: calls.append(texts) or encode(self, texts)
    )
    list(trained.pipe(["we want pizza", UNREADABLE, "we want pizza"]))
    assert sum(UNREADABLE in texts for texts in calls) == 1


def test_scores_of_another_time_are_warned_of_too(trained):
    pipe = trained.get_pipe("textcat")
    doc = trained.make_doc(UNREADABLE)
    scores = pipe.predict([doc])
    pipe.predict([trained.make_doc("something else")])
    pipe.set_annotations([doc], scores)
    assert "cannot read" in doc._.xlt_warning


def test_predictions_before_calibration(trained):
    pipe, docs = trained.get_pipe("textcat"), [trained.make_doc("we want pizza")]
    before = pipe.predict(docs)
    pipe.set_calibration({"temperatures": {"": 3.0}})
    assert not numpy.allclose(pipe.predict(docs), before)
    numpy.testing.assert_allclose(pipe.predict(docs, calibrated=False), before)


def test_pieces_are_counted(trained):
    pipe = trained.get_pipe("textcat")
    (n, n_unknown), nothing = pipe.count_pieces([UNREADABLE, ""])
    assert nothing == (0, 0) and 0 < n_unknown <= n
    assert n_unknown / n >= MAX_UNKNOWN_SHARE


@pytest.mark.parametrize("share", [0.0, MAX_UNKNOWN_SHARE - 0.01])
def test_a_few_unknown_pieces_are_no_matter(share):
    assert find_warning("text", "", share, forecasts={}, labelled_langs=[]) == ""


def test_copies_do_not_share_what_was_read(trained):
    shim = trained.get_pipe("textcat").model.get_ref("output_layer").shims[0]
    trained(UNREADABLE)
    assert isinstance(shim, TextCatShim) and shim.reader._unknown_shares
    assert copy.copy(shim.reader)._unknown_shares == {}
