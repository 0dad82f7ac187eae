import pytest
import torch

from spacy_xlt.architectures import build_encoder_v1
from spacy_xlt.layers.shim import ClassifierSettings, TextCatShim


@pytest.fixture
def make_shim(encoders):
    """A shim around the tiny encoder with three labels; `reading` holds settings of
    `spacy_xlt.Encoder.v1`, all others are the classifier's."""

    def make(model_type="bert", *, ready=True, reading=None, n_labels=3, **settings):
        reading = {"window_pieces": 64, "overlap_pieces": 8, **(reading or {})}
        reading.setdefault("path", str(encoders(model_type)))
        settings = {"precision": "fp32", **settings}
        shim = TextCatShim(ClassifierSettings(**settings), build_encoder_v1(**reading))
        if ready:
            torch.manual_seed(0)
            shim.load_encoder(n_labels)
        return shim

    return make
