import pytest
import spacy

from spacy_xlt.cli._texts import Text, with_languages

TEXTS = [
    Text("Das Wetter wird heute wieder schlechter, und morgen regnet es.", "", "1"),
    Text("Das Wetter wird heute wieder schlechter, und morgen regnet es.", "sw", "2"),
    Text("12345", "", "3"),
    Text(""),
]


def test_the_pipeline_tells_languages_that_are_not_recorded():
    pytest.importorskip("py3langid")
    nlp = spacy.blank("xx")
    assert with_languages(nlp, TEXTS) == TEXTS
    nlp.add_pipe("xlt_language")
    found = with_languages(nlp, TEXTS)
    assert [text.lang for text in found] == ["de", "sw", "", ""]
    assert [(text.text, text.id) for text in found] == [(text.text, text.id) for text in TEXTS]
