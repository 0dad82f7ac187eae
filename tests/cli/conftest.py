"""A pipeline on disk whose answers stand in the texts; see `standin_textcat.py`."""

import importlib.util
from pathlib import Path

import pytest
import spacy
import srsly
import tiny
from spacy.tokens import DocBin

from spacy_xlt.languages import set_doc_language

UNLABELLED_WORDS = ["pizza", "jazz", "taxi", "opera", "sushi", "hotel"]
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


@pytest.fixture(scope="session")
def frozen_dir(tmp_path_factory, encoder_dir):
    """A pipeline whose encoder is as it was, as frozen.cfg makes it."""
    nlp = spacy.blank("xx")
    model = {
        "@architectures": "spacy_xlt.TextCat.v1",
        "precision": "fp32",
        "freeze": "encoder",
        "encoder": {"@architectures": "spacy_xlt.Encoder.v1", "path": str(encoder_dir)},
    }
    nlp.add_pipe("xlt_textcat", name="textcat", config={"model": model})
    nlp.initialize(lambda: tiny.make_examples(nlp))
    path = tmp_path_factory.mktemp("frozen") / "model-best"
    nlp.to_disk(path)
    return path


@pytest.fixture
def texts(tmp_path):
    """Unlabelled texts of three languages; Swahili is named by its file."""
    folder = tmp_path / "texts"
    folder.mkdir()
    rows = [
        {"text": line.format(word), "lang": lang}
        for lang in ("de", "ar")
        for line in tiny.SENTENCES[lang]
        for word in UNLABELLED_WORDS
    ]
    srsly.write_jsonl(folder / "rows.jsonl", rows)
    swahili = [line.format(word) for line in tiny.SENTENCES["sw"] for word in UNLABELLED_WORDS]
    path = tmp_path / "sw.txt"
    path.write_text("\n".join([*swahili, "", swahili[0]]), encoding="utf8")
    return [folder, path]


@pytest.fixture
def source(corpus_dir):
    return corpus_dir / "train.spacy"
