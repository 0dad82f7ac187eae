"""Encoders against the transformers library's own forward pass, one text at a time."""

import json
import shutil

import numpy
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from spacy_xlt.encoder_files import MODEL_TYPES
from spacy_xlt.layers.dropout import Dropout
from spacy_xlt.layers.encoder import Encoder, build_encoder, load_encoder, set_dropout
from spacy_xlt.layers.packed_bert import supports_packing

PACKED = ["bert", "roberta", "xlm-roberta"]
TYPES = sorted(MODEL_TYPES)
LENGTHS = [3, 60, 17, 17, 1, 42, 2]
NO_DROPOUT = Dropout(0.0)


def texts_of(lengths, seed=0):
    """Piece ids of random texts, special pieces left out."""
    random = numpy.random.default_rng(seed)
    return [random.integers(4, 60, size=n) for n in lengths]


def encode(encoder, texts, *, dtype=torch.float32, dropout=NO_DROPOUT):
    """Vectors of each text, in order."""
    batch = tiny.batch_of(texts)
    vectors = encoder(batch, dtype=dtype, dropout=dropout).split(batch.lengths.tolist())
    return [vectors[i] for i in numpy.argsort(batch.docs)]


def reference(transformer, texts):
    """What the library gives for each text alone."""
    return [transformer(input_ids=torch.from_numpy(ids)[None])[0][0] for ids in texts]


@pytest.fixture(scope="module")
def encoder(encoders):
    """An encoder as read from its directory, by model type."""
    return lambda model_type: load_encoder(encoders(model_type)).eval()


@pytest.mark.parametrize("model_type", TYPES)
def test_vectors_are_those_of_the_library(encoder, model_type):
    texts = texts_of(LENGTHS)
    with torch.no_grad():
        wanted = reference(tiny.make_transformer(model_type), texts)
        found = encode(encoder(model_type), texts)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("model_type", TYPES)
def test_gradients_are_those_of_the_library(encoder, model_type):
    texts = texts_of(LENGTHS)
    ours, theirs = encoder(model_type), tiny.make_transformer(model_type)
    directions = [torch.randn(n, tiny.WIDTH) for n in LENGTHS]

    def gradients(vectors, module):
        total = sum((v * d).sum() for v, d in zip(vectors, directions, strict=True))
        total.backward()
        return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}

    found = gradients(encode(ours, texts), ours.transformer)
    wanted = gradients(reference(theirs, texts), theirs)
    assert set(found) == set(wanted)
    for name, gradient in wanted.items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(found[name] / scale, gradient / scale, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("model_type", TYPES)
def test_bfloat16_is_close(encoder, model_type):
    module = encoder(model_type)
    texts = texts_of(LENGTHS)
    with torch.no_grad():
        exact = torch.cat(encode(module, texts))
        rough = torch.cat(encode(module, texts, dtype=torch.bfloat16))
    assert rough.dtype == torch.float32
    assert 0.0 < (exact - rough).norm() / exact.norm() < 0.05


def test_which_types_are_packed(encoder):
    packed = [t for t in TYPES if supports_packing(encoder(t).transformer)]
    assert packed == PACKED


@pytest.mark.parametrize(
    "setting",
    [{"hidden_act": "relu"}, {"position_embedding_type": "relative_key"}, {"is_decoder": True}],
)
def test_unusual_berts_are_not_packed(setting):
    """They go the padded way, and are right there."""
    transformer = tiny.make_transformer("bert", **setting)
    assert not supports_packing(transformer)
    texts = texts_of([9, 5])
    with torch.no_grad():
        found, wanted = encode(Encoder(transformer), texts), reference(transformer, texts)
    torch.testing.assert_close(torch.cat(found), torch.cat(wanted), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("model_type", TYPES)
def test_dropout_reaches_training_and_can_be_switched_off_again(encoder, model_type):
    module = encoder(model_type).train()
    texts = texts_of([20, 20])

    def run(rate):
        return torch.cat(encode(module, texts, dropout=Dropout(rate))).detach()

    torch.manual_seed(0)
    exact, noisy, other = run(0), run(0.5), run(0.5)
    assert (exact - noisy).abs().max() > 0.1
    assert (noisy - other).abs().max() > 0.1
    torch.testing.assert_close(run(0.0), exact)
    torch.manual_seed(1)
    again = run(0.5)
    torch.manual_seed(1)
    assert (run(0.5) == again).all()


@pytest.mark.parametrize("model_type", TYPES)
def test_a_dropout_rate_reaches_modules_and_functions(encoder, model_type):
    module = encoder(model_type)
    set_dropout(module, 0)
    set_dropout(module, 0.5)
    assert all(part.p == 0.5 for part in module.modules() if isinstance(part, torch.nn.Dropout))
    if model_type in ("t5", "mt5"):
        assert module.transformer.encoder.block[0].layer[0].SelfAttention.dropout == 0.5


@pytest.mark.parametrize("model_type", TYPES)
def test_depths_go_from_the_table_to_the_top(encoder, model_type):
    module = encoder(model_type)
    assert module.n_layers == tiny.LAYERS and module.width == tiny.WIDTH
    depths = {name: depth for name, _, depth in module.named_depths()}
    assert set(depths) == {name for name, _ in module.named_parameters()}
    per_depth = [list(depths.values()).count(depth) for depth in range(tiny.LAYERS + 1)]
    assert all(per_depth) and sum(per_depth) == len(depths)
    (table,) = [name for name, p in module.named_parameters() if p is module.piece_table]
    assert depths[table] == 0
    assert module.piece_table.shape == (tiny.make_tokenizer().get_vocab_size(), tiny.WIDTH)
    above = {
        "deberta-v2": "transformer.encoder.rel_embeddings.weight",
        "gpt2": "transformer.wpe.weight",
        "bert": "transformer.embeddings.LayerNorm.bias",
    }
    if model_type in above:
        assert depths[above[model_type]] == 0
    top = {"mt5": "transformer.encoder.final_layer_norm.weight", "gpt2": "transformer.ln_f.weight"}
    if model_type in top:
        assert depths[top[model_type]] == tiny.LAYERS


def test_longest_input(encoder):
    limits = {t: encoder(t).max_pieces for t in ("bert", "xlm-roberta", "distilbert", "gpt2")}
    assert limits == {"bert": 66, "xlm-roberta": 64, "distilbert": 64, "gpt2": 64}
    assert encoder("mt5").max_pieces == encoder("xlnet").max_pieces == 512


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "gpt2"])
def test_the_longest_input_can_be_read(encoder, model_type):
    module = encoder(model_type)
    with torch.no_grad():
        (vectors,) = encode(module, texts_of([module.max_pieces]))
        assert vectors.isfinite().all()
        with pytest.raises((IndexError, RuntimeError)):
            encode(module, texts_of([module.max_pieces + 1]))


@pytest.mark.parametrize("model_type", TYPES)
def test_an_encoder_is_built_again_from_its_configuration(encoder, model_type):
    module = encoder(model_type)
    config = json.loads(json.dumps(module.to_json()))
    twin = build_encoder(config, attention="sdpa")
    tensors = {name: p.detach() for name, p in module.named_parameters()}
    twin.load_state_dict(tensors, strict=False, assign=True)
    twin.tie_weights()
    texts = texts_of(LENGTHS)
    with torch.no_grad():
        found, wanted = encode(twin.eval(), texts), encode(module, texts)
    torch.testing.assert_close(torch.cat(found), torch.cat(wanted), atol=1e-4, rtol=1e-4)
    assert not any(key.startswith("_") for key in config)


def test_padding_is_bounded_where_windows_cannot_be_packed(encoder, monkeypatch):
    """One long window among many short ones must not make all of them long."""
    module = encoder("distilbert")
    places = []

    def count(*args, **kwargs):
        places.append(kwargs["input_ids"].numel())
        return original(*args, **kwargs)

    original = module.transformer.forward
    monkeypatch.setattr(module.transformer, "forward", count)
    texts = texts_of([60, *[2] * 100])
    with torch.no_grad():
        found = encode(module, texts)
    assert sum(places) <= 1.2 * sum(ids.size for ids in texts)
    monkeypatch.undo()
    with torch.no_grad():
        wanted = reference(tiny.make_transformer("distilbert"), texts)
    torch.testing.assert_close(torch.cat(found), torch.cat(wanted), atol=1e-4, rtol=1e-4)


# -- reading directories --------------------------------------------------------------------


@pytest.fixture
def directory(encoder_dir, tmp_path):
    """A copy of the tiny encoder that a test may damage."""
    return shutil.copytree(encoder_dir, tmp_path / "encoder")


def test_weights_beside_the_encoder_are_not_worth_a_warning(encoder_dir, capfd):
    """The tiny encoder's file has a pooling layer, as most have."""
    assert "pooler.dense.weight" in load_file(encoder_dir / "model.safetensors")
    names = {name for name, _ in load_encoder(encoder_dir).named_parameters()}
    assert not any("pooler" in name for name in names)
    assert capfd.readouterr() == ("", "")


def change_config(directory, **values):
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_pickled_weights_are_refused(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"no \*\.safetensors\. Weights in pickle files"):
        load_encoder(directory)


def test_damaged_weights(directory):
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"(damaged|Cannot read the encoder in).*encoder"):
        load_encoder(directory)


def test_empty_weights(directory):
    (directory / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"(damaged|Cannot read the encoder in).*encoder"):
        load_encoder(directory)


def test_missing_tensors(directory):
    tensors = load_file(directory / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 tensors of a 'bert'.*layer\.1\.output\.dense"):
        load_encoder(directory)


def test_weights_of_another_shape(directory):
    change_config(directory, intermediate_size=65)
    with pytest.raises(ValueError, match="Cannot read the encoder in"):
        load_encoder(directory)


def test_a_configuration_that_makes_no_sense(directory):
    change_config(directory, num_attention_heads=5)
    with pytest.raises(ValueError, match="not a multiple of the number of attention heads"):
        load_encoder(directory)


def test_foreign_code_is_refused_before_anything_is_read(directory):
    change_config(directory, auto_map={"AutoModel": "modeling_evil.EvilModel"})
    (directory / "modeling_evil.py").write_text("raise SystemExit('code of the directory ran')")
    with pytest.raises(ValueError, match="asks for code that comes with the model"):
        load_encoder(directory)


def test_an_unknown_type_is_refused_in_a_pipeline_too():
    with pytest.raises(ValueError, match="encoder configuration has model_type 'llama'"):
        build_encoder({"model_type": "llama"})
