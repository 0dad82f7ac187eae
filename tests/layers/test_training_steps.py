import pytest
import torch
from test_shim import TEXTS, gradients, weights
from thinc.api import SGD

from spacy_xlt.layers.training_steps import TrainingSteps, set_weights


def take(shim, steps, n_steps, *, run_length=0):
    for _ in range(n_steps):
        gradients(shim, TEXTS[:1])
        steps.step(SGD(4e-4, L2=0.0, grad_clip=0.0), weight=1.0, run_length=run_length)


@pytest.fixture
def make_steps(make_shim):
    def make(**settings):
        shim = make_shim(**settings)
        return shim, TrainingSteps(shim.classifier, shim.settings)

    return make


def test_nothing_is_averaged_before_its_time(make_steps):
    shim, steps = make_steps(average_last=0.5)
    take(shim, steps, 2, run_length=4)
    assert steps.n_steps == 2 and steps.n_averaged == 0 and steps.averages() == {}
    take(shim, steps, 2, run_length=4)
    assert steps.n_averaged == 2
    assert steps.averages().keys() == set(weights(shim)) - set(shim.frozen_names())


def test_settled_averages_are_the_weights_to_go_on_from(make_steps):
    shim, steps = make_steps(average_last=1.0, start_share=0.25)
    take(shim, steps, 3, run_length=6)
    wanted = {name: tensor.clone() for name, tensor in steps.averages().items()}
    steps.settle()
    assert steps.averages() == {} and steps.n_steps == 3
    for name, tensor in wanted.items():
        assert torch.equal(weights(shim)[name], tensor)
    steps.settle()
    assert all(torch.equal(weights(shim)[name], tensor) for name, tensor in wanted.items())


def test_a_copy_counts_on_and_does_not_repeat_warnings(make_steps, recwarn):
    shim, steps = make_steps(average_last=1.0, rate_factor=10.0)
    take(shim, steps, 2, run_length=4)
    other = steps.for_copy(shim.classifier)
    assert other.n_steps == 2 and other.averages() == {}
    take(shim, other, 1, run_length=4)
    assert [str(w.message).count("usually forgets") for w in recwarn.list] == [1]
    assert (steps.n_steps, other.n_steps) == (2, 3)


def test_lower_layers_rest_at_first(make_steps):
    shim, steps = make_steps(freeze="none", unfreeze=1.0)
    names = {n: depth for n, _, depth in shim.classifier.encoder.named_depths()}
    moved = []
    for _ in range(4):
        before = weights(shim)
        take(shim, steps, 1, run_length=4)
        changed = [
            n
            for n in names
            if not torch.equal(weights(shim)[f"encoder.{n}"], before[f"encoder.{n}"])
        ]
        moved.append(min((names[n] for n in changed), default=None))
    assert moved == [None, 2, 2, 1]


def test_weights_are_set_by_name(make_shim):
    shim = make_shim()
    bias = torch.tensor([1.0, 2.0, 3.0])
    before = weights(shim)
    set_weights(shim.classifier, {"head.bias": bias, "no.such.name": bias})
    assert torch.equal(weights(shim)["head.bias"], bias)
    assert torch.equal(weights(shim)["head.weight"], before["head.weight"])
