from pathlib import Path

import pytest
import spacy
from spacy.training import Example

from spacy_xlt.components.starting import Started
from spacy_xlt.components.train_langs import choose_langs, labelled_languages, languages_of


def example(lang, cats=None):
    doc = spacy.blank("xx").make_doc("pizza")
    doc._.xlt_lang = lang
    doc.cats = cats or {}
    return Example(doc.copy(), doc)


EXAMPLES = [
    example("deu", {"food": 1.0}),
    example("sw"),
    example("", {"food": 0.0}),
    example("en", {"food": 1.0}),
]


def started(**cfg):
    return Started(Path("textcat"), cfg)


def test_unknown_languages_are_none():
    assert languages_of(EXAMPLES) == {"de", "en", "sw"}
    assert labelled_languages(EXAMPLES) == {"de", "en"}
    assert languages_of([]) == labelled_languages([]) == set()


@pytest.mark.parametrize(
    ("declared", "start", "sources", "tuned"),
    [
        (None, None, ["de", "en"], []),
        (["eng"], None, ["en"], ["de"]),
        ([], None, [], ["de", "en"]),
        (None, started(train_langs=["fr"], tuned_langs=["sw"]), ["fr"], ["de", "en", "sw"]),
        (["en"], started(train_langs=["fr"], tuned_langs=["en"]), ["en"], ["de"]),
        # of a pipeline of an older version
        (None, started(), ["de", "en"], []),
    ],
)
def test_sources_are_declared_or_taken_over_or_seen(declared, start, sources, tuned):
    assert choose_langs(EXAMPLES, declared, start) == (sources, tuned)


def test_a_declared_language_that_is_none():
    with pytest.raises(ValueError, match="nonsense!"):
        choose_langs(EXAMPLES, ["nonsense!"], None)
