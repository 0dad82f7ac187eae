import pytest

from spacy_xlt.cli._pipeline import split_langs


def test_lists_of_languages():
    assert split_langs(None) is None
    assert split_langs("de, fr ,sw") == ["de", "fr", "sw"]
    with pytest.raises(ValueError, match="',' names no language"):
        split_langs(",")
