import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spacy_xlt.layers.linear import can_lay_out, cast_map, laid_out_map

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture
def modules():
    torch.manual_seed(0)
    return [nn.Linear(24, width) for width in (8, 16, 40)]


@pytest.mark.skipif(not can_lay_out(torch.device("cpu")), reason="needs oneDNN")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n_rows", [1, 7, 600])
@pytest.mark.parametrize("gelu", [False, True])
def test_laid_out_weights_give_the_same(modules, dtype, n_rows, gelu):
    x = torch.randn(n_rows, 24)
    expected = torch.cat([module(x) for module in modules], dim=1)
    expected = F.gelu(expected) if gelu else expected
    with torch.inference_mode():
        laid_out = laid_out_map(modules, dtype)(x.to(dtype), gelu)
    assert laid_out.dtype == dtype
    assert (laid_out.float() - expected).abs().max() < TOLERANCE[dtype]
    cast = cast_map(modules, dtype)(x.to(dtype), gelu)
    assert (cast.float() - expected).abs().max() < TOLERANCE[dtype]


def test_gradients_reach_every_module_that_was_joined(modules):
    cast_map(modules, torch.bfloat16)(torch.ones(3, 24).bfloat16(), True).sum().backward()
    for module in modules:
        assert module.weight.grad.abs().sum() > 0
        assert module.bias.grad.abs().sum() > 0


def test_other_devices_have_no_such_kernels():
    assert not can_lay_out(torch.device("meta"))
