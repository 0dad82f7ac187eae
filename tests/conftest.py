"""Fixtures shared by all tests: tiny encoders, tokenizers and corpora, all made on the spot."""

import os

# Several threads slow tiny models down, and a forked worker must not inherit a pool of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import spacy
import tiny
from hypothesis import settings
from spacy.vocab import Vocab
from thinc.api import Adam, fix_random_seed

# The same examples at every run, and no failure because the machine is busy.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--gpu", action="store_true", help="also run the tests that need CUDA")


def pytest_collection_modifyitems(config, items):
    for marker in ("slow", "gpu"):
        if not config.getoption(f"--{marker}"):
            skip = pytest.mark.skip(reason=f"run with --{marker}")
            for item in items:
                if marker in item.keywords:
                    item.add_marker(skip)


@pytest.fixture(scope="session")
def encoders(tmp_path_factory):
    """Path of a tiny encoder directory by model type, made when first asked for."""
    root = tmp_path_factory.mktemp("encoders")

    def get(model_type):
        path = root / model_type
        return path if path.exists() else tiny.make_encoder(path, model_type)

    return get


@pytest.fixture(scope="session")
def encoder_dir(encoders):
    """A BERT with an XLM-R tokenizer, as multilingual-e5-small is one: 2 layers, width 32."""
    return encoders("bert")


@pytest.fixture
def make_nlp(encoder_dir):
    """A blank pipeline with one component that reads the tiny encoder.

    `model` holds settings of `spacy_xlt.TextCat.v1`, `encoder` those of `spacy_xlt.Encoder.v1`;
    all others are the component's.
    """

    def make(factory="xlt_textcat", *, name="textcat", model=None, encoder=None, **config):
        nlp = spacy.blank("xx")
        reading = {
            "@architectures": "spacy_xlt.Encoder.v1",
            "path": str(encoder_dir),
            "window_pieces": 64,
            "overlap_pieces": 8,
            **(encoder or {}),
        }
        config["model"] = {
            "@architectures": "spacy_xlt.TextCat.v1",
            "precision": "fp32",
            "encoder": reading,
            **(model or {}),
        }
        nlp.add_pipe(factory, name=name, config=config)
        return nlp

    return make


@pytest.fixture
def make_ready(make_nlp):
    """The same, initialized on the tiny corpus."""

    def make(*args, langs=("en",), **kwargs):
        nlp = make_nlp(*args, **kwargs)
        fix_random_seed(0)
        nlp.initialize(lambda: tiny.make_examples(nlp, langs))
        return nlp

    return make


@pytest.fixture(scope="session")
def trained_dir(tmp_path_factory, encoder_dir):
    """A pipeline trained on the tiny corpus in English, as `spacy train` leaves it."""
    nlp = spacy.blank("xx")
    model = {
        "@architectures": "spacy_xlt.TextCat.v1",
        "precision": "fp32",
        "encoder": {"@architectures": "spacy_xlt.Encoder.v1", "path": str(encoder_dir)},
    }
    nlp.add_pipe("xlt_textcat", name="textcat", config={"model": model})
    fix_random_seed(0)
    examples = tiny.make_examples(nlp)
    nlp.initialize(lambda: examples)
    optimizer = Adam(5e-4, L2=0.01, L2_is_weight_decay=True, use_averages=False)
    for _ in range(20):
        nlp.update(examples, sgd=optimizer)
    path = tmp_path_factory.mktemp("trained") / "model-last"
    nlp.to_disk(path)
    return path


@pytest.fixture
def trained(trained_dir):
    """That pipeline, loaded."""
    return spacy.load(trained_dir)


@pytest.fixture(scope="session")
def corpus_dir(tmp_path_factory):
    """The tiny corpus as DocBins.

    train.spacy: English. dev/<lang>.spacy: a quarter of German, Swahili, Chinese and Arabic each.
    plain.spacy: English without languages, as made without this package.
    """
    root = tmp_path_factory.mktemp("corpus")
    vocab = Vocab()
    tiny.write_docbin(root / "train.spacy", tiny.make_docs(["en"], vocab))
    for lang in ("de", "sw", "zh", "ar"):
        tiny.write_docbin(root / "dev" / f"{lang}.spacy", tiny.make_docs([lang], vocab, every=4))
    plain = tiny.make_docs(["en"], vocab)
    tiny.write_docbin(root / "plain.spacy", plain, with_language=False)
    return root
