import json

import pytest

from spacy_xlt.encoder_files import (
    MODEL_TYPES,
    check_encoder_config,
    read_encoder_config,
    read_encoder_record,
)


@pytest.fixture
def directory(tmp_path):
    def make(config=None, record=None):
        for name, content in (("config.json", config), ("xlt_encoder.json", record)):
            if content is not None:
                text = content if isinstance(content, str) else json.dumps(content)
                (tmp_path / name).write_text(text, encoding="utf8")
        return tmp_path

    return make


def test_a_good_directory(directory):
    path = directory({"model_type": "bert", "hidden_size": 8}, {"prefix": "query: "})
    assert read_encoder_config(path) == {"model_type": "bert", "hidden_size": 8}
    assert read_encoder_config(str(path))["model_type"] == "bert"
    assert read_encoder_record(path) == {"prefix": "query: "}


def test_a_directory_without_a_record(directory):
    assert read_encoder_record(directory({"model_type": "bert"})) == {}


def test_no_directory(tmp_path):
    for path in (tmp_path / "nowhere", directory_of_a_file(tmp_path)):
        with pytest.raises(ValueError, match=r"No encoder at .*no such directory.*encoder fetch"):
            read_encoder_config(path)


def directory_of_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    return path


def test_not_an_encoder(tmp_path):
    with pytest.raises(ValueError, match=r"is not an encoder .*no config\.json \(found: nothing\)"):
        read_encoder_config(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"\(found: notes\.txt\)\. An encoder directory holds"):
        read_encoder_config(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "\x00"])
def test_a_config_that_is_no_json(directory, content):
    with pytest.raises(ValueError, match=r"config\.json' is not valid JSON"):
        read_encoder_config(directory(content))


@pytest.mark.parametrize(("content", "kind"), [([], "list"), ("null", "NoneType"), (3, "int")])
def test_a_config_that_is_no_object(directory, content, kind):
    with pytest.raises(ValueError, match=rf"config\.json' holds {kind}, expected an object"):
        read_encoder_config(directory(content))


@pytest.mark.parametrize("record", ["{", "[]"])
def test_a_damaged_record(directory, record):
    with pytest.raises(ValueError, match=r"xlt_encoder\.json' (is not valid JSON|holds list)"):
        read_encoder_record(directory(record=record))


@pytest.mark.parametrize("key", ["auto_map", "custom_pipelines"])
def test_foreign_code(directory, key):
    path = directory({"model_type": "bert", key: {"AutoModel": "evil.Model"}})
    with pytest.raises(ValueError, match=rf"comes with the model \('{key}': .*evil.*refused"):
        read_encoder_config(path)
    check_encoder_config({"model_type": "bert", key: None}, source="x")


@pytest.mark.parametrize("model_type", [None, "llama", "BERT", "", ["bert"], {"bert": 1}])
def test_unknown_types(model_type):
    with pytest.raises(ValueError, match=r"the file has model_type .*Supported are: bert, deberta"):
        check_encoder_config({"model_type": model_type}, source="the file")


def test_every_type_on_the_list_can_be_built():
    from spacy_xlt.layers.encoder import _CLASSES

    assert set(_CLASSES) == set(MODEL_TYPES)
