import json
import struct

import numpy
import pytest
from encoder_fakes import pack_encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from transformers import BertModel

from spacy_xlt.encoders import packed as packed_module
from spacy_xlt.encoders.packed import (
    BLOCK,
    PackedTensor,
    read_header,
    unpack_encoder,
    unpack_tensor,
)

PACKED = pack_encoder()


@pytest.fixture
def packed():
    return PACKED


def unpack(data, directory, **settings):
    path = directory / "packed.bin"
    path.write_bytes(data)
    directory.joinpath("out").mkdir()
    unpack_encoder(path, directory / "out", **settings)
    return directory / "out"


def test_weights_equal_the_slow_reference(packed, tmp_path):
    weights = load_file(unpack(packed.data, tmp_path) / "model.safetensors")
    assert weights.keys() == packed.weights.keys()
    for name, expected in packed.weights.items():
        assert weights[name].dtype == numpy.float32
        numpy.testing.assert_array_equal(weights[name], expected, err_msg=name)


def test_small_chunks_give_the_same(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(packed_module, "CHUNK_BLOCKS", 3)
    weights = load_file(unpack(packed.data, tmp_path) / "model.safetensors")
    for name, expected in packed.weights.items():
        numpy.testing.assert_array_equal(weights[name], expected, err_msg=name)


def test_transformers_finds_every_weight_and_no_other(packed, tmp_path):
    model, info = BertModel.from_pretrained(
        unpack(packed.data, tmp_path), add_pooling_layer=False, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    state = model.state_dict()
    for name, expected in packed.weights.items():
        numpy.testing.assert_array_equal(state[name].numpy(), expected, err_msg=name)


def test_config_says_what_the_header_says(packed, tmp_path):
    config = json.loads((unpack(packed.data, tmp_path) / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["hidden_act"] == "gelu"
    assert config["layer_norm_eps"] == 1e-12
    assert (config["hidden_size"], config["num_hidden_layers"]) == (32, 2)
    assert (config["num_attention_heads"], config["intermediate_size"]) == (4, 64)
    assert (config["max_position_embeddings"], config["type_vocab_size"]) == (16, 2)
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (0, 2, 1)


def test_progress_ends_at_the_total(packed, tmp_path):
    seen = []
    out = unpack(packed.data, tmp_path, on_bytes=lambda done, total: seen.append((done, total)))
    n_bytes = sum(weights.nbytes for weights in packed.weights.values())
    assert seen[-1] == (n_bytes, n_bytes)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert (out / "model.safetensors").stat().st_size > n_bytes


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # scales may be infinite
@settings(deadline=None, derandomize=True)
@given(st.binary(min_size=18, max_size=18 * 5).map(lambda data: data[: len(data) // 18 * 18]))
def test_any_blocks_equal_the_formula(data):
    n_blocks = len(data) // BLOCK.itemsize
    tensor = PackedTensor("x", True, n_blocks * 32, 0, len(data))
    found = numpy.concatenate(list(unpack_tensor(data, tensor)))
    for i in range(n_blocks):
        block = data[18 * i : 18 * (i + 1)]
        scale = numpy.float32(struct.unpack("<e", block[:2])[0])
        for j in range(16):
            low, high = block[2 + j] & 15, block[2 + j] >> 4
            numpy.testing.assert_equal(found[32 * i + j], numpy.float32(low - 8) * scale)
            numpy.testing.assert_equal(found[32 * i + j + 16], numpy.float32(high - 8) * scale)


@pytest.mark.parametrize("data", [b"", b"E5", b"PK\x03\x04rest", pack_encoder(magic=b"GGUF").data])
def test_another_kind_of_file_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="is not a packed encoder: it starts with"):
        unpack(data, tmp_path)


def test_another_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match="of version 2; only version 1 is known"):
        unpack(pack_encoder(version=2).data, tmp_path)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(share, tmp_path_factory):
    data = PACKED.data
    directory = tmp_path_factory.mktemp("cut")
    message = "cut short|not a packed encoder"
    with pytest.raises(ValueError, match=message):
        unpack(data[: int(share * len(data))], directory)
    assert not list((directory / "out").iterdir())


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_a_damaged_header_is_refused_or_harmless(data):
    place = data.draw(st.integers(0, PACKED.header_end - 1))
    damaged = bytearray(PACKED.data)
    damaged[place] = data.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(damaged), source="x")
        layout = packed_module.tensor_layout(header)
        packed_module.check_tensors(header, layout, n_bytes=len(damaged), source="x")
    except ValueError:
        return
    for name in layout:
        values = numpy.concatenate(list(unpack_tensor(bytes(damaged), header.tensors[name])))
        assert values.size == header.tensors[name].n_elements


def replaced(data, old, new):
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


@pytest.mark.parametrize(
    "old, new, message",
    [
        (b"l1.fo.w", b"l1.xx.w", "lacks the tensor 'l1.fo.w'"),
        (b"l1.fo.w", b"a1.fo.w", "has an unknown tensor 'a1.fo.w'"),
        (struct.pack("<2i", 32, 2), struct.pack("<2i", 32, 3), "37 tensors; 3 layers call for 53"),
        (struct.pack("<2i", 32, 2), struct.pack("<2i", 40, 2), "'width': 40.*multiples of 32"),
        (struct.pack("<2i", 32, 2), struct.pack("<2i", 32, -2), "expected positive numbers"),
        (struct.pack("<2i", 32, 2), struct.pack("<2i", 64, 2), "weights in .* bytes, expected"),
        (struct.pack("<fi", 1e-12, 32), struct.pack("<fi", 1e-12, 64), "in blocks of 64"),
        (b"emb.word\x01", b"emb.word\x07", "'emb.word' is of kind 7; expected 0 .* or 1"),
    ],
)
def test_damage_is_named(packed, old, new, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        unpack(replaced(packed.data, old, new), tmp_path)
