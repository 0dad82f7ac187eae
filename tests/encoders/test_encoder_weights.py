import json
import struct

import numpy
import pytest
from safetensors.numpy import load_file, save_file

from spacy_xlt.encoders import weights
from spacy_xlt.encoders.weights import merge_shards, needed_files, read_shapes

GOOD = ["config.json", "tokenizer.json", "model.safetensors"]
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def test_junk_is_not_needed():
    names = [*GOOD, "pytorch_model.bin", "optimizer.pt", "modeling.py", "README.md", *SHARDS]
    assert needed_files(reversed(names), source="x") == GOOD


def test_shards_are_taken_where_there_is_no_single_file():
    assert needed_files({*GOOD[:2], *SHARDS}, source="x") == [*GOOD[:2], *SHARDS]


@pytest.mark.parametrize(
    "names, message",
    [
        ([], r"x is not an encoder: it has no config.json \(found: nothing\)"),
        (["a.txt"], r"has no config.json \(found: a.txt\)"),
        (["config.json"], "x has no model.safetensors, no weights.*save_pretrained"),
        (
            ["config.json", "tokenizer.json", "pytorch_model.bin", "tf_model.h5"],
            r"only weights in other formats \(pytorch_model.bin, tf_model.h5\).*Only safetensors",
        ),
        (
            ["config.json", "model.safetensors", "spiece.model"],
            r"x has no tokenizer.json \(found: .*spiece.model\).*AutoTokenizer",
        ),
        (
            ["config.json", "tokenizer.json", SHARDS[1]],
            f"has 1 of the 2 files of weights that '{SHARDS[1]}' is one of. Get the missing",
        ),
    ],
)
def test_missing_files_are_named(names, message):
    with pytest.raises(ValueError, match=message):
        needed_files(names, source="x")


@pytest.fixture
def shards(tmp_path):
    """Three files of weights: several types, an empty tensor, none at all in the last."""
    parts = [
        {"a": numpy.arange(6, dtype="float32").reshape(2, 3), "b": numpy.ones(3, "float16")},
        {"c": numpy.arange(5, dtype="int64"), "d": numpy.zeros((0, 4), "float32")},
        {},
    ]
    paths = [tmp_path / f"{i}.safetensors" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        save_file(part, path, metadata={"format": "np"})
    return parts, paths


def test_shapes_are_read(shards):
    _, paths = shards
    assert read_shapes(paths[0]) == {"a": (2, 3), "b": (3,)}
    assert read_shapes(paths[1]) == {"c": (5,), "d": (0, 4)}
    assert read_shapes(paths[2]) == {}


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
def test_merged_is_the_sum_of_its_parts(chunk, shards, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "CHUNK_BYTES", chunk)
    parts, paths = shards
    seen = []
    merge_shards(paths, tmp_path / "all", on_bytes=seen.append)
    merged = load_file(tmp_path / "all")
    expected = {name: value for part in parts for name, value in part.items()}
    assert merged.keys() == expected.keys()
    for name, value in expected.items():
        assert merged[name].dtype == value.dtype
        numpy.testing.assert_array_equal(merged[name], value)
    assert seen[-1] == sum(value.nbytes for value in expected.values())


def test_a_name_that_stands_twice_is_refused(shards, tmp_path):
    _, paths = shards
    with pytest.raises(ValueError, match="Tensor 'a' is in .*0.safetensors' and in another"):
        merge_shards([paths[0], paths[0]], tmp_path / "all")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:9],
        lambda data: struct.pack("<Q", 2**60) + data[8:],
        lambda data: b"\x80\x04pickle",
        lambda data: struct.pack("<Q", 2) + json.dumps([]).encode(),
    ],
)
def test_damaged_files_are_refused(damage, shards, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(damage(shards[1][0].read_bytes()))
    for function in (read_shapes, lambda path: merge_shards([path], tmp_path / "all")):
        with pytest.raises(ValueError, match="bad.safetensors' is not a whole safetensors file"):
            function(path)
