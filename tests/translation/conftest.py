"""A script in the place of the `apertium` command."""

import stat

import pytest

from spacy_xlt.translation import apertium

_CACHED = (apertium.installed_directions, apertium._describe_version)


@pytest.fixture(autouse=True)
def forget_what_is_installed():
    """It may change from test to test."""
    for function in _CACHED:
        function.cache_clear()
    yield
    for function in _CACHED:
        function.cache_clear()


@pytest.fixture
def make_command(tmp_path, monkeypatch):
    """Makes a shell script the command; of its options it has -l and -V."""

    def make(script="cat", directions=("eng-spa", "es-pt_BR", "eco-es-fr")):
        path = tmp_path / "apertium"
        path.write_text(
            f"#!/bin/sh\nif [ $1 = -l ]; then printf '  %s\\n' {' '.join(directions)}; exit; fi\n"
            f"if [ $1 = -V ]; then echo 3; exit; fi\n{script}\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return make
