"""Evaluations made on the spot: a stand-in pipeline and texts that tell it what to answer."""

import pytest
import spacy
import standin_textcat  # noqa: F401
from spacy.training import Example

from spacy_xlt.evaluation.evaluate import evaluate_pipeline
from spacy_xlt.languages import set_doc_language


@pytest.fixture
def make_nlp():
    def make(factory="standin_textcat", **config):
        nlp = spacy.blank("xx")
        nlp.add_pipe(factory, name="textcat", config=config)
        return nlp

    return make


@pytest.fixture
def make_examples():
    """Rows of (language, text, gold); gold is a label, a list of labels or a dict of cats."""

    def make(nlp, rows, labels=("A", "B")):
        for lang, text, gold in rows:
            reference = nlp.make_doc(text)
            golds = [gold] if isinstance(gold, str) else gold
            is_cats = isinstance(gold, dict)
            reference.cats = gold if is_cats else {k: float(k in golds) for k in labels}
            set_doc_language(reference, lang)
            yield Example(nlp.make_doc(text), reference)

    return make


@pytest.fixture
def evaluate(make_nlp, make_examples):
    """Evaluate rows with a stand-in; `config` is that of the component."""

    def run(rows, *, factory="standin_textcat", config=None, **settings):
        config = config or {}
        nlp = make_nlp(factory, **config)
        labels = config.get("labels", ["A", "B"])
        return evaluate_pipeline(nlp, lambda: make_examples(nlp, rows, labels), **settings)

    return run


@pytest.fixture
def many_rows():
    """60 documents in each of en (90 % right), de (80 %), th (50 %) and 5 in sw (0 %)."""

    def rows_of(lang, n, n_wrong):
        for i in range(n):
            gold = "AB"[i % 2]
            yield lang, "BA"[i % 2] if i < n_wrong else gold, gold

    return [
        *rows_of("en", 60, 6),
        *rows_of("de", 60, 12),
        *rows_of("th", 60, 30),
        *rows_of("sw", 5, 5),
    ]
