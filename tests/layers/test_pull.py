import copy

import pytest
import torch
from thinc.api import SGD, Adam
from torch import nn

from spacy_xlt.layers.pull import PullToStart
from spacy_xlt.types import RobustSettings

TEXTS = ["we want pizza today", "taxi"]


def step(shim, optimizer):
    logits, backprop = shim.begin_update(TEXTS)
    backprop(torch.tensor([[1.0, -1.0, 0.0]]).expand_as(logits))
    shim.weight_seen += 2.0
    shim.finish_update(optimizer)


def weights(shim):
    return {name: p.detach().clone() for name, p in shim.classifier.named_parameters()}


def distance(shim, start, part):
    squares = [(w - start[n]).square().sum() for n, w in weights(shim).items() if part in n]
    return float(sum(squares)) ** 0.5


def make(make_shim, strength, **settings):
    return make_shim(robust=RobustSettings(pull_to_start=strength), **settings)


def test_with_a_constant_gradient_the_way_is_a_geometric_series():
    """d ← (1 - rate · strength) · d - rate · g, from d = 0."""
    rate, strength, n = 0.1, 2.0, 7
    start = torch.tensor([1.0, -3.0])
    parameter, gradient = nn.Parameter(start.clone()), torch.tensor([0.5, -2.0])
    pull = PullToStart([parameter], strength)
    for _ in range(n):
        pull.step([parameter], rate)
        with torch.no_grad():
            parameter -= rate * gradient
    keep = 1.0 - rate * strength
    wanted = start - rate * gradient * (1.0 - keep**n) / (1.0 - keep)
    torch.testing.assert_close(parameter.detach(), wanted)


def test_no_step_goes_beyond_the_start_and_others_are_left_alone():
    near, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    pull = PullToStart([near], 1e6)
    with torch.no_grad():
        near += 5.0
        other += 5.0
    pull.step([near, other], 0.1)
    assert near.tolist() == [1.0, 1.0] and other.tolist() == [6.0, 6.0]


@pytest.mark.parametrize("optimizer", [Adam, SGD])
def test_the_encoder_stays_closer_and_the_head_does_not(make_shim, optimizer):
    free, held = make(make_shim, 0.0), make(make_shim, 500.0)
    start = weights(free)
    for shim in (free, held):
        for _ in range(6):
            step(shim, optimizer(4e-4, L2=0.0, grad_clip=0.0))
    assert distance(held, start, "encoder") < 0.8 * distance(free, start, "encoder")
    assert distance(held, start, "head") > 0.9 * distance(free, start, "head")


def test_the_rate_of_a_layer_counts(make_shim):
    """With a pull of 1 / rate, the top layer is back at its start before each step."""
    shim = make(make_shim, 1.0 / 4e-4, layer_decay=0.5)
    start = weights(shim)
    for _ in range(5):
        step(shim, SGD(4e-4, L2=0.0, grad_clip=0.0))
    alone = make(make_shim, 0.0, layer_decay=0.5)
    step(alone, SGD(4e-4, L2=0.0, grad_clip=0.0))
    top, low = "encoder.layer.1.", "encoder.layer.0."
    assert distance(shim, start, top) == pytest.approx(distance(alone, start, top), rel=0.1)
    assert distance(shim, start, low) > 1.5 * distance(alone, start, low)


def test_a_run_that_goes_on_knows_its_start(make_shim):
    """Weights of another process, which initialized the same pipeline."""

    def optimizer():
        return Adam(4e-4, L2=0.0, grad_clip=0.0)

    whole = make(make_shim, 300.0)
    for _ in range(3):
        step(whole, optimizer())
    state = copy.deepcopy(whole.training_state())
    resumed = make(make_shim, 300.0)
    resumed.set_training_state(state)
    for shim in (whole, resumed):
        for _ in range(3):
            step(shim, optimizer())
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], tensor, atol=1e-6, rtol=1e-5)
