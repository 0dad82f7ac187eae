import json
import random

import numpy
import pytest
import torch
from test_shim import TEXTS, train, weights
from thinc.api import SGD, Adam, RAdam

from spacy_xlt.layers.training_state import (
    TrainingState,
    get_random_state,
    set_random_state,
)
from spacy_xlt.optimizers import create_adafactor_v1, create_sgd_v1

OPTIMIZERS = {
    "adam": lambda: Adam(1e-4, L2=0.0),
    "adamw": lambda: Adam(1e-4, L2=0.01, L2_is_weight_decay=True),
    "radam": lambda: RAdam(1e-4),
    "sgd": lambda: SGD(1e-4),
    "momentum": lambda: create_sgd_v1(learn_rate=1e-4, momentum=0.9),
    "adafactor": lambda: create_adafactor_v1(learn_rate=1e-4),
}


@pytest.fixture
def shim(make_shim):
    made = make_shim()
    made.set_run_length(6)
    return made


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("n_before", [0, 1, 4])
def test_going_on_is_as_if_it_had_not_stopped(kind, n_before, shim, make_shim, tmp_path):
    """In another process' shim, before averaging starts (after 0.3 * 6 steps) and after."""
    optimizer = OPTIMIZERS[kind]()
    train(shim, n_before, optimizer=optimizer)
    state = shim.training_state()
    state.to_disk(tmp_path / "state.safetensors")
    assert state.n_bytes == pytest.approx((tmp_path / "state.safetensors").stat().st_size, abs=4e4)
    train(shim, 6 - n_before, optimizer=optimizer)
    other = make_shim()
    other.set_run_length(6)
    other.set_training_state(TrainingState.from_disk(tmp_path / "state.safetensors"))
    assert other.n_steps == n_before
    train(other, 6 - n_before, optimizer=OPTIMIZERS[kind]())
    for name, tensor in weights(shim).items():
        assert torch.equal(weights(other)[name], tensor), name
    for name, tensor in shim.tensors().items():
        assert torch.equal(other.tensors()[name], tensor), name
    assert torch.equal(shim.predict(TEXTS), other.predict(TEXTS))


@pytest.mark.parametrize("n_before", [0, 1, 4])
def test_going_on_knows_where_the_run_started(n_before, make_shim, tmp_path):
    shim, other = make_shim(start_share=0.4), make_shim(start_share=0.4)
    for each in (shim, other):
        each.set_run_length(6)
    train(shim, n_before, optimizer=Adam(1e-4))
    shim.training_state().to_disk(tmp_path / "state")
    train(shim, 6 - n_before, optimizer=Adam(1e-4))
    # what was done in the meantime does not count
    train(other, 2, optimizer=Adam(1e-3))
    other.set_training_state(TrainingState.from_disk(tmp_path / "state"))
    train(other, 6 - n_before, optimizer=Adam(1e-4))
    if n_before:
        for name, tensor in shim.tensors().items():
            assert torch.equal(other.tensors()[name], tensor), name
    else:
        assert torch.equal(shim.predict(TEXTS), other.predict(TEXTS))


def test_a_state_does_away_with_what_was_done_since(shim):
    train(shim, 3)
    state = shim.training_state()
    kept = TrainingState(
        weights={name: tensor.clone() for name, tensor in state.weights.items()},
        means={name: tensor.clone() for name, tensor in state.means.items()},
        start={},
        moments={},
        optimizer=state.optimizer,
        n_steps=state.n_steps,
        n_averaged=state.n_averaged,
    )
    before = shim.predict(TEXTS)
    train(shim, 2)
    assert not torch.equal(shim.predict(TEXTS), before)
    shim.set_training_state(kept)
    assert torch.equal(shim.predict(TEXTS), before)


@pytest.mark.parametrize("changes", [{"freeze": "encoder"}, {"n_labels": 4}])
def test_the_state_of_another_classifier(changes, shim, make_shim):
    other = make_shim(**changes)
    with pytest.raises(ValueError, match="that of another classifier"):
        other.set_training_state(shim.training_state())


def test_an_unknown_optimizer(shim):
    train(shim, 1)
    state = shim.training_state()
    odd = TrainingState(state.weights, {}, {}, state.moments, "lion", 1, 0)
    with pytest.raises(ValueError, match="no optimizer 'lion'. Allowed: adam, adamw"):
        shim.set_training_state(odd)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 100, "cut"])
def test_a_damaged_file(content, shim, tmp_path):
    path = tmp_path / "state.safetensors"
    if content == "cut":
        shim.training_state().to_disk(path)
        content = path.read_bytes()[:-10]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="state.safetensors' is damaged"):
        TrainingState.from_disk(path)


def test_a_file_of_something_else(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "state.safetensors")
    with pytest.raises(ValueError, match="is damaged"):
        TrainingState.from_disk(tmp_path / "state.safetensors")


def draw():
    return random.random(), numpy.random.normal(size=3).tolist(), torch.randn(3).tolist()


def test_random_numbers_go_on():
    random.seed(1)
    random.gauss(0, 1)
    numpy.random.normal()  # keeps a second number back
    state = json.loads(json.dumps(get_random_state()))
    expected = draw()
    assert draw() != expected
    set_random_state(state)
    assert draw() == expected
