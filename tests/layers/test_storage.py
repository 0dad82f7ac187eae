import json
import shutil

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from thinc.api import Adam

from spacy_xlt.layers import storage
from spacy_xlt.layers.classifier import TextClassifier
from spacy_xlt.layers.shim import ClassifierSettings, TextCatShim

TEXTS = ["we want pizza today", "", "这里有taxi吗", "jazz " * 200]
FILES = ["config.json", "frozen.safetensors", "model.safetensors", "tokenizer.json"]


def step(shim):
    """One step of training, so that saved weights are not the encoder's own."""
    logits, backprop = shim.begin_update(TEXTS[:1])
    backprop(torch.ones_like(logits) - logits)
    shim.weight_seen += 1.0
    shim.finish_update(Adam(4e-4))


def files(path):
    return sorted(p.name for p in path.iterdir())


def same(a, b):
    return bool((a.predict(TEXTS) == b.predict(TEXTS)).all())


@pytest.mark.parametrize("freeze", ["none", "embeddings", "half", "encoder"])
@pytest.mark.parametrize("model_type", ["bert", "mt5", "gpt2", "xlnet", "deberta-v2", "distilbert"])
def test_the_same_scores_from_disk_and_from_bytes(make_shim, tmp_path, freeze, model_type):
    shim = make_shim(model_type, freeze=freeze)
    step(shim)
    shim.to_disk(tmp_path / "model")
    for other in (
        make_shim(model_type, ready=False).from_disk(tmp_path / "model"),
        make_shim(model_type, ready=False).from_bytes(shim.to_bytes()),
    ):
        assert same(shim, other)
        assert other.record == shim.record and other.tokenizer.to_json() == shim.tokenizer.to_json()


def test_what_is_written_is_safetensors_and_json(make_shim, tmp_path):
    shim = make_shim()
    shim.to_disk(tmp_path / "a" / "b")
    assert files(tmp_path / "a" / "b") == sorted([*FILES, "xlt_encoder.json"])
    config = json.loads((tmp_path / "a" / "b" / "config.json").read_text(encoding="utf8"))
    assert config["model_type"] == "bert" and "_name_or_path" not in config
    frozen = load_file(tmp_path / "a" / "b" / "frozen.safetensors")
    assert list(frozen) == ["encoder.transformer.embeddings.word_embeddings.weight"]
    trained = load_file(tmp_path / "a" / "b" / "model.safetensors")
    assert not set(frozen) & set(trained)
    assert set(frozen) | set(trained) == set(shim.tensors())


def test_frozen_weights_are_written_once(make_shim, tmp_path):
    shim = make_shim()
    shim.to_disk(tmp_path)
    frozen, trained = tmp_path / "frozen.safetensors", tmp_path / "model.safetensors"
    before = frozen.stat(), trained.stat()
    step(shim)
    shim.to_disk(tmp_path)
    assert frozen.stat().st_ino == before[0].st_ino
    assert frozen.stat().st_mtime_ns == before[0].st_mtime_ns
    assert trained.stat().st_ino != before[1].st_ino
    assert same(shim, make_shim(ready=False).from_disk(tmp_path))


@pytest.mark.parametrize("change", ["deleted", "truncated", "of another run"])
def test_frozen_weights_are_written_again_if_the_file_is_another(make_shim, tmp_path, change):
    shim = make_shim()
    shim.to_disk(tmp_path)
    frozen = tmp_path / "frozen.safetensors"
    if change == "deleted":
        frozen.unlink()
    elif change == "truncated":
        frozen.write_bytes(frozen.read_bytes()[:100])
    else:
        other = make_shim()
        with torch.no_grad():
            other.classifier.encoder.piece_table.add_(1.0)
        other.to_disk(tmp_path)
    shim.to_disk(tmp_path)
    assert same(shim, make_shim(ready=False).from_disk(tmp_path))


def test_a_new_encoder_replaces_frozen_weights_of_the_old_one(make_shim, tmp_path):
    shim = make_shim()
    shim.to_disk(tmp_path)
    shim.load_encoder(3)
    with torch.no_grad():
        shim.classifier.encoder.piece_table.mul_(2.0)
    shim.to_disk(tmp_path)
    assert same(shim, make_shim(ready=False).from_disk(tmp_path))


def test_without_frozen_weights_an_old_file_of_them_goes(make_shim, tmp_path):
    make_shim().to_disk(tmp_path)
    shim = make_shim(freeze="none")
    shim.to_disk(tmp_path)
    assert "frozen.safetensors" not in files(tmp_path)
    assert same(shim, make_shim(ready=False).from_disk(tmp_path))


def test_saving_over_the_directory_it_was_loaded_from(make_shim, tmp_path):
    make_shim().to_disk(tmp_path)
    shim = make_shim(ready=False).from_disk(tmp_path)
    for _ in range(2):
        step(shim)
        shim.to_disk(tmp_path)
        assert same(shim, make_shim(ready=False).from_disk(tmp_path))
    bystander = make_shim(ready=False).from_disk(tmp_path)
    before = bystander.predict(TEXTS)
    step(shim)
    shim.to_disk(tmp_path)
    assert (bystander.predict(TEXTS) == before).all()


def test_training_a_loaded_classifier_leaves_the_files_alone(make_shim, tmp_path):
    make_shim(freeze="none").to_disk(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    shim = make_shim(ready=False, freeze="none").from_disk(tmp_path)
    step(shim)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_head_without_an_encoder(tmp_path):
    shim = TextCatShim(ClassifierSettings())
    shim.set_classifier(TextClassifier(None, 4, 2, normalize=False))
    shim.to_disk(tmp_path)
    assert files(tmp_path) == ["model.safetensors"]
    x = torch.randn(3, 4)
    for other in (
        TextCatShim(ClassifierSettings()).from_disk(tmp_path),
        TextCatShim(ClassifierSettings()).from_bytes(shim.to_bytes()),
    ):
        assert (other.predict(x) == shim.predict(x)).all()


def test_an_empty_shim_has_no_bytes(make_shim):
    shim = make_shim(ready=False)
    assert shim.to_bytes() == b""
    assert not shim.from_bytes(b"").is_ready


# -- faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "frozen.safetensors"])
@pytest.mark.parametrize("n_bytes", [0, 7, 1000])
def test_truncated_weights(make_shim, tmp_path, name, n_bytes):
    make_shim().to_disk(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match=rf"{name}' is damaged .*Copy or train the pipeline ag"):
        make_shim(ready=False).from_disk(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.safetensors", r"incomplete: 'head\.weight' is missing"),
        ("frozen.safetensors", r"1 tensors are missing .*word_embeddings"),
        ("config.json", r"incomplete: no config\.json"),
        ("tokenizer.json", r"incomplete: no tokenizer\.json"),
    ],
)
def test_missing_files(make_shim, tmp_path, name, message):
    make_shim().to_disk(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=message):
        make_shim(ready=False).from_disk(tmp_path)


def test_an_empty_directory(make_shim, tmp_path):
    with pytest.raises(ValueError, match=r"No weights in .*model\.safetensors is missing"):
        make_shim(ready=False).from_disk(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "xlt_encoder.json"])
def test_damaged_json(make_shim, tmp_path, name):
    make_shim().to_disk(tmp_path)
    (tmp_path / name).write_text('{"model_type": ', encoding="utf8")
    with pytest.raises(ValueError, match=name):
        make_shim(ready=False).from_disk(tmp_path)


def test_a_configuration_that_asks_for_code_is_refused_in_a_pipeline_too(make_shim, tmp_path):
    make_shim().to_disk(tmp_path)
    path = tmp_path / "config.json"
    config = {**json.loads(path.read_text(encoding="utf8")), "auto_map": {"AutoModel": "evil.M"}}
    path.write_text(json.dumps(config), encoding="utf8")
    with pytest.raises(ValueError, match="asks for code that comes with the model"):
        make_shim(ready=False).from_disk(tmp_path)


@pytest.mark.parametrize("error", [SafetensorError("No space left"), OSError("No space left")])
def test_a_full_disk_leaves_what_was_there(make_shim, tmp_path, monkeypatch, error):
    shim = make_shim()
    shim.to_disk(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(storage.safetensors.torch, "save_file", fail)
    step(shim)
    with pytest.raises(OSError, match="No space left"):
        shim.to_disk(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("freeze", ["none", "embeddings", "half", "encoder"])
def test_frozen_matrices_are_kept_in_half_precision(make_shim, tmp_path, freeze):
    shim = make_shim(freeze=freeze)
    whole = make_shim(freeze=freeze, half_precision="none")
    step(shim)
    shim.to_disk(tmp_path)
    stored = {
        name: tensor
        for file in tmp_path.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }
    frozen = set(shim.frozen_names())
    for name, tensor in stored.items():
        assert tensor.dtype == (
            torch.float16 if name in frozen and tensor.ndim > 1 else torch.float32
        )
        if name in frozen:
            original = whole.tensors()[name]
            assert torch.equal(tensor, original.to(tensor.dtype)), name
    assert same(shim, make_shim(freeze=freeze, ready=False).from_disk(tmp_path))


def test_what_is_trained_on_is_widened(make_shim, tmp_path):
    make_shim(freeze="encoder").to_disk(tmp_path)
    shim = make_shim(freeze="none", ready=False).from_disk(tmp_path)
    assert {tensor.dtype for tensor in shim.tensors().values()} == {torch.float32}
    step(shim)


def test_a_table_that_half_precision_cannot_hold_stays_as_it_is(make_shim, encoder_dir, tmp_path):
    shutil.copytree(encoder_dir, tmp_path / "encoder")
    path = tmp_path / "encoder" / "model.safetensors"
    tensors = load_file(path)
    tensors["embeddings.word_embeddings.weight"][5, 0] = 1e6
    save_file(tensors, path)
    table = make_shim(reading={"path": str(tmp_path / "encoder")}).classifier.encoder.piece_table
    assert table.dtype == torch.float32 and float(table[5, 0].detach()) == 1e6


@pytest.mark.parametrize("model_type", ["bert", "mt5"])
def test_all_weights_in_half_precision_on_the_disk(make_shim, tmp_path, model_type):
    shim = make_shim(model_type, half_precision="all")
    step(shim)
    shim.to_disk(tmp_path)
    for tensor in load_file(tmp_path / "model.safetensors").values():
        assert tensor.dtype == (torch.float16 if tensor.ndim > 1 else torch.float32)
    other = make_shim(model_type, half_precision="all", ready=False).from_disk(tmp_path)
    assert torch.allclose(shim.predict(TEXTS), other.predict(TEXTS), atol=1e-2)
    step(other)
