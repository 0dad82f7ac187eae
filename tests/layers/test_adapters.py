"""Adapters in the packed forward pass against the peft and transformers libraries' own."""

import copy
import json

import numpy
import pytest
import tiny
import torch
from safetensors.torch import load_file
from test_layers_encoder import LENGTHS, encode, reference, texts_of
from test_shim import TEXTS, gradients, train, weights
from thinc.api import Adam

from spacy_xlt.encoder_files import MODEL_TYPES
from spacy_xlt.layers.adapters import is_adapter_name, plain_name
from spacy_xlt.layers.encoder import load_encoder, set_dropout
from spacy_xlt.types import BottleneckSettings, LoRASettings, PrefixSettings

LORA = LoRASettings(rank=4, alpha=8.0, dropout=0.0, targets=None)
ADAPTERS = {"lora": LORA, "bottleneck": BottleneckSettings(8), "prefix": PrefixSettings(3)}
KINDS = sorted(ADAPTERS)
SOME_TARGETS = LoRASettings(rank=2, alpha=4.0, dropout=0.0, targets=("value", "output.dense"))


@pytest.fixture
def make_encoder(encoders):
    """An encoder whose adapter does something, and where only the adapter is trained."""

    def make(adapter, model_type="bert"):
        encoder = load_encoder(encoders(model_type))
        encoder.set_adapter(adapter)
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(is_adapter_name(name))
        stir(encoder)
        return encoder.eval()

    return make


def stir(module, spread=0.3):
    """Give an adapter's parameters random values; some of them start at zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if is_adapter_name(name):
                parameter.normal_(std=spread)


# -- what it computes -----------------------------------------------------------------------


@pytest.mark.parametrize("adapter", [LORA, SOME_TARGETS])
@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta"])
def test_lora_is_that_of_peft(make_encoder, adapter, model_type):
    encoder, texts = make_encoder(adapter, model_type), texts_of(LENGTHS)
    plain = reference(tiny.make_transformer(model_type), texts)
    check_like_library(encoder, lambda: reference(encoder.transformer, texts), texts, plain)


def test_a_bottleneck_is_a_block_after_the_inner_map(make_encoder):
    encoder, texts = make_encoder(ADAPTERS["bottleneck"]), texts_of(LENGTHS)
    transformer = tiny.make_transformer("bert")
    plain = reference(transformer, texts)

    def add_block(own, output):
        down, up = own.bottleneck_down, own.bottleneck_up
        return output + up(torch.nn.functional.gelu(down(output)))

    for layer, own in zip(
        transformer.encoder.layer, encoder.transformer.encoder.layer, strict=True
    ):
        block = own.output.dense
        layer.output.dense.register_forward_hook(lambda m, x, y, block=block: add_block(block, y))
    check_like_library(encoder, lambda: reference(transformer, texts), texts, plain)


def test_a_prefix_is_past_keys_and_values(make_encoder):
    """The library has these for models that generate text; positions are as without them."""
    encoder, texts = make_encoder(ADAPTERS["prefix"]), texts_of(LENGTHS)
    transformer = tiny.make_transformer("bert")
    plain = reference(transformer, texts)

    def run(ids):
        past = [
            layer.attention.self.prefix.view(2, 1, 3, 4, 8).transpose(2, 3).unbind(0)
            for layer in encoder.transformer.encoder.layer
        ]
        ids = torch.from_numpy(ids)[None]
        positions = torch.arange(ids.shape[1])[None]
        mask = torch.ones(1, ids.shape[1] + 3)
        return transformer(
            input_ids=ids, position_ids=positions, attention_mask=mask, past_key_values=past
        )[0][0]

    check_like_library(encoder, lambda: [run(ids) for ids in texts], texts, plain)


def check_like_library(encoder, run_library, texts, plain):
    """Vectors for training and prediction, and gradients, are the library's."""
    wanted = run_library()
    adapted = [p for p in encoder.parameters() if p.requires_grad]
    wanted_gradients = torch.autograd.grad(sum((v**2).sum() for v in wanted), adapted)
    found = encode(encoder, texts)
    found_gradients = torch.autograd.grad(sum((v**2).sum() for v in found), adapted)
    encoder.prepare_for_prediction(torch.float32)
    with torch.inference_mode():
        predicted = encode(encoder, texts)
    for rows in zip(found, predicted, wanted, plain, strict=True):
        found_row, predicted_row, wanted_row, plain_row = (row.detach() for row in rows)
        torch.testing.assert_close(found_row, wanted_row, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(predicted_row, wanted_row, atol=1e-4, rtol=1e-4)
        assert (wanted_row - plain_row).abs().max() > 1e-2
    for a, b in zip(found_gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_close(make_encoder, kind):
    encoder, texts = make_encoder(ADAPTERS[kind]), texts_of(LENGTHS)
    stir(encoder, spread=0.1)
    with torch.no_grad():
        exact = encode(encoder, texts)
        close = encode(encoder, texts, dtype=torch.bfloat16)
    assert max(float((a - b).abs().max()) for a, b in zip(exact, close, strict=True)) < 0.1


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_at_first_it_changes_nothing(encoders, kind):
    encoder, texts = load_encoder(encoders("bert")), texts_of(LENGTHS)
    with torch.no_grad():
        before = encode(encoder, texts)
        encoder.set_adapter(ADAPTERS[kind])
        for a, b in zip(before, encode(encoder, texts), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_dropout_of_lora_is_for_training_only(make_encoder):
    adapter = LoRASettings(rank=4, alpha=8.0, dropout=0.5, targets=None)
    encoder, (text,) = make_encoder(adapter), texts_of([20])
    with torch.no_grad():
        (still,), (again,) = encode(encoder, [text]), encode(encoder, [text])
        (dropped,) = encode(encoder.train(), [text])
    assert torch.equal(still, again)
    assert not torch.allclose(still, dropped, atol=1e-3)


def test_dropout_of_lora_is_its_own(make_encoder):
    adapter = LoRASettings(rank=4, alpha=8.0, dropout=0.5, targets=None)
    transformer = make_encoder(adapter, "distilbert").transformer
    set_dropout(transformer, 0.1)
    rates = {"lora_dropout" in n: m.p for n, m in transformer.named_modules() if hasattr(m, "p")}
    assert rates == {True: 0.5, False: 0.1}


@pytest.mark.parametrize("model_type", ["bert", "mt5", "distilbert", "modernbert", "deberta-v2"])
def test_merged_lora_gives_the_same(make_encoder, encoders, model_type):
    encoder, texts = make_encoder(LORA, model_type), texts_of(LENGTHS)
    with torch.no_grad():
        before = encode(encoder, texts)
        encoder.set_adapter(None)
        after = encode(encoder, texts)
    assert encoder.adapter is None and not any(map(is_adapter_name, names_of(encoder)))
    assert names_of(encoder) == names_of(load_encoder(encoders(model_type)))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def names_of(encoder):
    return [name for name, _ in encoder.named_parameters()]


# -- what it cannot be put on ---------------------------------------------------------------


def test_targets_that_are_not_there(encoders):
    adapter = LoRASettings(rank=4, alpha=8.0, dropout=0.0, targets=("q_proj", "uery"))
    with pytest.raises(
        ValueError, match=r"targets are .*'q_proj', 'uery'.*which have: attention\."
    ):
        load_encoder(encoders("bert")).set_adapter(adapter)


def test_an_encoder_without_linear_maps(encoders):
    with pytest.raises(ValueError, match=r"LoRA's targets are None.*which have: none"):
        load_encoder(encoders("gpt2")).set_adapter(LORA)


@pytest.mark.parametrize("kind", ["bottleneck", "prefix"])
def test_some_adapters_are_for_the_bert_family(encoders, kind):
    with pytest.raises(ValueError, match=r"'mt5' encoder cannot have the adapter .*LoRA\.v1"):
        load_encoder(encoders("mt5")).set_adapter(ADAPTERS[kind])


@pytest.mark.parametrize("kind", ["bottleneck", "prefix"])
def test_what_is_no_part_of_the_weights_cannot_be_merged(make_encoder, kind):
    with pytest.raises(ValueError, match=r"cannot become part of its weights\. Set the same"):
        make_encoder(ADAPTERS[kind]).set_adapter(None)


# -- in a classifier ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_adapter_and_the_head_are_trained(make_shim, kind):
    shim = make_shim(adapter=ADAPTERS[kind])
    before = weights(shim)
    train(shim, 2, optimizer=Adam(1e-2))
    after = weights(shim)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {n for n in before if is_adapter_name(n) or n.startswith("head.")}
    for name in set(before) - moved:
        assert before[name].dtype == (torch.float16 if before[name].ndim > 1 else torch.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("freeze", ["embeddings", "half", 1])
def test_stored_and_copied(make_shim, tmp_path, kind, freeze):
    shim = make_shim(adapter=ADAPTERS[kind], freeze=freeze)
    stir(shim.classifier)
    train(shim, 1)
    n_below = 0 if freeze == "embeddings" else 1
    layers = {int(n.split(".")[4]) for n in names_of(shim.classifier) if is_adapter_name(n)}
    assert layers == {0, 1} - set(range(n_below))
    shim.to_disk(tmp_path)
    trained = load_file(tmp_path / "model.safetensors")
    assert all(is_adapter_name(name) or name.startswith("head.") for name in trained)
    wanted = shim.predict(TEXTS)
    empty = [make_shim(adapter=ADAPTERS[kind], freeze=freeze, ready=False) for _ in range(2)]
    others = [
        empty[0].from_disk(tmp_path),
        empty[1].from_bytes(shim.to_bytes()),
        copy.deepcopy(shim),
    ]
    for other in others:
        assert torch.equal(other.predict(TEXTS), wanted)
        gradients(other, TEXTS[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_is_as_if_it_had_not_stopped(make_shim, kind):
    whole, first, second = (make_shim(adapter=ADAPTERS[kind]) for _ in range(3))
    for shim in (whole, first, second):
        shim.set_run_length(6)
    train(whole, 6, optimizer=Adam(1e-3))
    train(first, 4, optimizer=Adam(1e-3))
    second.set_training_state(first.training_state())
    optimizer = Adam(1e-3)
    train(second, 2, optimizer=optimizer)
    torch.testing.assert_close(second.predict(TEXTS), whole.predict(TEXTS), atol=1e-6, rtol=1e-5)


def test_averages_are_what_predicts(make_shim):
    shim = make_shim(adapter=LORA)
    shim.set_run_length(4)
    train(shim, 4, optimizer=Adam(1e-2))
    assert set(shim.steps.averages()) == set(shim.tensors()) - set(shim.frozen_names())
    other = copy.deepcopy(shim)
    assert torch.equal(other.predict(TEXTS), shim.predict(TEXTS))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_pieces(make_shim, kind):
    """What word pieces add, by gradients, sums to the change of the score that they make."""
    shim = make_shim(adapter=ADAPTERS[kind])
    stir(shim.classifier, spread=0.05)
    directions = numpy.eye(3, dtype="f")[:1]
    (found,) = shim.attribute(["we want pizza today"], directions, n_steps=64)
    assert found.total == pytest.approx(found.weights.sum(), abs=1e-3) and abs(found.total) > 1e-3


def test_another_setting_starts_from_the_merged_weights(make_shim, tmp_path):
    shim = make_shim(adapter=LORA)
    stir(shim.classifier)
    shim.to_disk(tmp_path)
    for adapter in (None, SOME_TARGETS):
        other = make_shim(adapter=adapter, ready=False).from_disk(tmp_path)
        torch.testing.assert_close(other.predict(TEXTS), shim.predict(TEXTS), atol=1e-4, rtol=1e-4)
        other.to_disk(tmp_path / "other")
        assert (tmp_path / "other" / "adapter.json").exists() == (adapter is not None)


def test_a_pipeline_without_gets_one(make_shim, tmp_path):
    plain = make_shim()
    train(plain, 1)
    plain.to_disk(tmp_path)
    shim = make_shim(adapter=LORA, ready=False).from_disk(tmp_path)
    torch.testing.assert_close(shim.predict(TEXTS), plain.predict(TEXTS), atol=1e-6, rtol=1e-6)
    trained = [n for n, p in shim.classifier.named_parameters() if p.requires_grad]
    assert trained and all(is_adapter_name(n) or n.startswith("head.") for n in trained)


@pytest.mark.parametrize("n", [2, 9])
def test_no_layer_is_left_to_it(make_shim, n):
    with pytest.raises(ValueError, match=r"freeze (leaves none of the encoder's 2 layers|is 9)"):
        make_shim(adapter=LORA, freeze=n)


@pytest.mark.parametrize("model_type", sorted(set(MODEL_TYPES) - {"gpt2"}))
def test_lora_in_every_kind_of_encoder(make_shim, model_type, tmp_path):
    shim = make_shim(model_type, adapter=LORA)
    train(shim, 2, optimizer=Adam(1e-2))
    shim.to_disk(tmp_path)
    other = make_shim(model_type, adapter=LORA, ready=False).from_disk(tmp_path)
    torch.testing.assert_close(other.predict(TEXTS), shim.predict(TEXTS), atol=1e-5, rtol=1e-5)


def test_a_batch_gives_each_text_what_it_gets_alone(make_shim):
    for kind in KINDS:
        shim = make_shim(adapter=ADAPTERS[kind])
        stir(shim.classifier)
        together = shim.predict(TEXTS)
        alone = torch.cat([shim.predict([text]) for text in TEXTS])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "hypernetwork"}, r"describes no adapter of this version"),
        ({"rank": None, "size": 3}, r"describes no adapter of this version"),
        (None, r"adapter\.json' is damaged"),
    ],
)
def test_a_damaged_description(make_shim, tmp_path, change, message):
    make_shim(adapter=LORA).to_disk(tmp_path)
    path = tmp_path / "adapter.json"
    text = "{" if change is None else json.dumps({**json.loads(path.read_text()), **change})
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        make_shim(adapter=LORA, ready=False).from_disk(tmp_path)


def test_without_the_library(make_shim, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"LoRA needs the library 'peft'.*spacy-xlt\[peft\]"):
        make_shim(adapter=LORA)
    make_shim(adapter=ADAPTERS["bottleneck"])


def test_plain_names():
    name = "transformer.encoder.layer.0.attention.self.query.{}weight"
    assert plain_name(name.format("base_layer.")) == plain_name(name.format(""))
    assert not is_adapter_name(name.format("base_layer."))
    assert is_adapter_name(name.format("lora_A.default."))
