import pytest
import torch
from torch import nn

from spacy_xlt.layers.averaging import RunningMean, interpolate


def test_it_is_the_mean_of_all_steps():
    torch.manual_seed(0)
    parameters = {"a": nn.Parameter(torch.zeros(3, 2)), "b": nn.Parameter(torch.zeros(4))}
    mean = RunningMean(parameters)
    assert mean.means == {} and mean.n_steps == 0
    history = []
    for _ in range(7):
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.add_(torch.randn_like(parameter))
        history.append({name: p.detach().clone() for name, p in parameters.items()})
        mean.update()
    assert mean.n_steps == 7
    for name in parameters:
        wanted = torch.stack([step[name] for step in history]).mean(dim=0)
        torch.testing.assert_close(mean.means[name], wanted)
        assert not mean.means[name].requires_grad


def make_weights(seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"head.weight": (3, 4), "head.bias": (3,), "encoder.matrix": (4, 4)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_between_two_classifiers(share):
    start, end = make_weights(0), make_weights(1)
    between = interpolate(start, end, share)
    for name, tensor in between.items():
        torch.testing.assert_close(tensor, share * start[name] + (1.0 - share) * end[name])
        if share in (0.0, 1.0):
            assert torch.equal(tensor, (start if share else end)[name])
    between["head.bias"].zero_()
    assert start["head.bias"].all() and end["head.bias"].all()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_labels_that_the_start_does_not_know_are_those_of_the_end(share):
    """Halved, their logits would stand below those of the labels that both know."""
    start, end = make_weights(0), make_weights(1)
    start["head.weight"][1], start["head.bias"][1] = 0.0, 0.0
    start["head.weight"][2] = 0.0  # a bias alone is a classifier too
    between = interpolate(start, end, share)
    for name in ("head.weight", "head.bias"):
        assert torch.equal(between[name][1], end[name][1])
        wanted = share * start[name] + (1.0 - share) * end[name]
        torch.testing.assert_close(between[name][[0, 2]], wanted[[0, 2]])
