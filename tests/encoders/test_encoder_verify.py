import json
import os

import numpy
import pytest
from encoder_fakes import LAYERS, WIDTH, make_directory, pack_encoder
from safetensors.numpy import save_file

from spacy_xlt.encoders import verify
from spacy_xlt.encoders.fetch import fetch_encoder
from spacy_xlt.encoders.verify import config_width, inspect_encoder, verify_encoder


@pytest.fixture
def fetched(index, tmp_path):
    fetch_encoder("tiny-e5", tmp_path / "e5", source="index")
    return tmp_path / "e5"


def change_record(directory, **values):
    path = directory / "xlt_encoder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_report(fetched, index):
    events = []
    report = verify_encoder(fetched, on_progress=lambda *event: events.append(event))
    assert (report.width, report.n_pieces) == (WIDTH, 31)
    assert report.n_tensors == len(index.packed.weights) == 5 + LAYERS * 16
    assert report.n_bytes == sum(path.stat().st_size for path in fetched.iterdir())
    assert report.record["name"] == "tiny-e5"
    assert report.cosines == ()
    total = report.n_bytes - (fetched / "xlt_encoder.json").stat().st_size
    assert events[-1] == ("verify", total, total)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_damage_to_any_file_is_found(name, damage, fetched):
    path = fetched / name
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
        message = f"e5' lacks {name}. Fetch it again: .* fetch tiny-e5 .*e5 --force"
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes({"flip": data, "cut": data[:-1], "empty": b""}[damage])
        message = (
            f"{name}' was changed or damaged: its SHA-256 is [0-9a-f]{{64}}, expected "
            f"[0-9a-f]{{64}}. Fetch it again: .* fetch tiny-e5 .*e5 --force"
        )
    with pytest.raises(ValueError, match=message):
        verify_encoder(fetched)


@pytest.mark.parametrize("files", [{}, [], None, "x"])
def test_a_record_without_hashes(files, fetched):
    change_record(fetched, files=files)
    with pytest.raises(ValueError, match="has no hashes of the files beside it .*Fetch it again"):
        verify_encoder(fetched)


def test_directories_without_a_record(tmp_path):
    with pytest.raises(ValueError, match="nowhere': there is no such directory"):
        verify_encoder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"it has no config.json \(found: nothing\)"):
        verify_encoder(tmp_path / "empty")
    local = make_directory(tmp_path / "mine")
    with pytest.raises(ValueError, match="no xlt_encoder.json .*cannot be verified. Copy it into"):
        verify_encoder(local)


def test_an_unreadable_record(fetched):
    (fetched / "xlt_encoder.json").write_text("[1")
    with pytest.raises(ValueError, match="xlt_encoder.json' is not valid JSON"):
        verify_encoder(fetched)


@pytest.mark.parametrize(
    "config, expected",
    [({"hidden_size": 3}, 3), ({"d_model": 4}, 4), ({"n_embd": 5}, 5), ({"dim": 6}, 6)]
    + [({}, None), ({"hidden_size": "3"}, None)],
)
def test_width_by_any_name(config, expected):
    assert config_width(config) == expected


@pytest.mark.parametrize(
    "model_type, width_key, table",
    [
        ("xlm-roberta", "hidden_size", "roberta.embeddings.word_embeddings.weight"),
        ("modernbert", "hidden_size", "embeddings.tok_embeddings.weight"),
        ("distilbert", "dim", "distilbert.embeddings.word_embeddings.weight"),
        ("mt5", "d_model", "shared.weight"),
        ("xlnet", "d_model", "transformer.word_embedding.weight"),
        ("gpt2", "n_embd", "transformer.wte.weight"),
    ],
)
def test_the_table_is_found_in_every_family(model_type, width_key, table, tmp_path):
    config = {"model_type": model_type, "hidden_size": None, width_key: 8, "vocab_size": 40}
    local = make_directory(tmp_path / "mine", **config)
    save_file({table: numpy.zeros((40, 8), "float32")}, local / "model.safetensors")
    assert inspect_encoder(local).width == 8
    save_file({"head.weight": numpy.zeros((40, 8), "float32")}, local / "model.safetensors")
    with pytest.raises(ValueError, match="has no table of piece vectors"):
        inspect_encoder(local)
    save_file({table: numpy.zeros(40, "float32")}, local / "model.safetensors")
    with pytest.raises(ValueError, match=r"has shape \(40,\), but the config.json beside it calls"):
        inspect_encoder(local)
    os.unlink(local / "model.safetensors")
    with pytest.raises(ValueError, match="No model.safetensors in .*mine'. Fetch it again"):
        inspect_encoder(local)


def test_a_tokenizer_with_more_pieces_than_vectors(tmp_path):
    local = make_directory(tmp_path / "mine", vocab_size=30)
    weights = pack_encoder().weights
    table = "embeddings.word_embeddings.weight"
    save_file({**weights, table: weights[table][:30]}, local / "model.safetensors")
    with pytest.raises(ValueError, match="has 31 pieces, but there are vectors for 30 only"):
        inspect_encoder(local)


def test_vectors_need_known_values(fetched):
    message = r"No vectors are known for .*'tiny-e5' \(q4\).*only for: multilingual-e5-small \(q4\)"
    with pytest.raises(ValueError, match=message):
        verify_encoder(fetched, vectors=True)


def test_vectors_are_computed_and_compared(fetched, monkeypatch):
    key = ("tiny-e5", "q4")
    monkeypatch.setitem(verify.KNOWN_COSINES, key, (("abc", "abc", 1.0), ("abc", "xyz", 0.5)))
    with pytest.raises(ValueError, match=r"of 'abc' and 'xyz' is .*, expected 0.5 \(± 0.003\)"):
        verify_encoder(fetched, vectors=True)

    # An independent way to the same number.
    from transformers import AutoTokenizer, BertModel

    model = BertModel.from_pretrained(fetched, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(fetched)
    batch = tokenizer(["query: abc", "query: xyz"], return_tensors="pt")
    states = model(batch["input_ids"]).last_hidden_state.detach().numpy()
    a, b = states.mean(1)
    cosine = float(a @ b / numpy.sqrt((a @ a) * (b @ b)))
    monkeypatch.setitem(verify.KNOWN_COSINES, key, (("abc", "xyz", cosine),))
    ((_, _, found, expected),) = verify_encoder(fetched, vectors=True).cosines
    assert found == pytest.approx(expected, abs=1e-5)


def test_broken_weights_do_not_pass_as_vectors(fetched, monkeypatch):
    key = ("tiny-e5", "q4")
    monkeypatch.setitem(verify.KNOWN_COSINES, key, (("abc", "xyz", 0.5),))
    monkeypatch.setattr(
        verify, "_mean_vectors", lambda directory, texts: numpy.full((2, 3), numpy.nan)
    )
    with pytest.raises(ValueError, match="is nan, expected 0.5"):
        verify_encoder(fetched, vectors=True)
