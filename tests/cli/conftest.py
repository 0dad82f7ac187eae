"""A pipeline on disk whose answers stand in the texts; see `standin_textcat.py`."""

import importlib.util
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_xlt.languages import set_doc_language

STANDIN = Path(__file__).parents[1] / "evaluation" / "standin_textcat.py"


@pytest.fixture(scope="session")
def standin():
    """Path of the code that registers the stand-in components."""
    spec = importlib.util.spec_from_file_location("standin_textcat", STANDIN)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return STANDIN


@pytest.fixture
def make_pipeline(standin, tmp_path):
    def make(factory="standin_textcat", **config):
        nlp = spacy.blank("xx")
        nlp.add_pipe(factory, name="textcat", config=config)
        nlp.to_disk(tmp_path / "pipeline")
        return tmp_path / "pipeline"

    return make


@pytest.fixture
def make_split(tmp_path):
    """Write rows of (language, text, gold) as tmp_path/NAME/<lang>.spacy."""

    def make(rows, name="test", labels=("A", "B")):
        nlp = spacy.blank("xx")
        for lang in {row[0] for row in rows}:
            docbin = DocBin(store_user_data=True)
            for i, (_, text, gold) in enumerate(row for row in rows if row[0] == lang):
                doc = nlp.make_doc(text)
                doc.cats = {label: float(label == gold) for label in labels} if gold else {}
                set_doc_language(doc, lang)
                doc.user_data["xlt_id"] = f"{lang}-{i}"
                docbin.add(doc)
            (tmp_path / name).mkdir(exist_ok=True)
            docbin.to_disk(tmp_path / name / f"{lang or 'und'}.spacy")
        return tmp_path / name

    return make
