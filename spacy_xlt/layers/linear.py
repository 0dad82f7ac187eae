"""Linear maps of the packed forward pass: cast for training, laid out for kernels to predict."""

from typing import Callable, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# From rows, and whether GELU follows, to rows.
LinearMap = Callable[[Tensor, bool], Tensor]
MakeMap = Callable[[Sequence[nn.Linear], torch.dtype], LinearMap]
# Rows for which the CPU's kernels lay out weights; the choice hardly matters.
_TYPICAL_ROWS = 512


def cast_map(modules: Sequence[nn.Linear], dtype: torch.dtype) -> LinearMap:
    """Linear modules on the same input as one map, which gradients go through.

    modules (Sequence[nn.Linear]): Their outputs are put side by side.
    dtype (torch.dtype): Arithmetic of the product.
    """
    weight, bias = _join(modules, dtype)

    def linear(x: Tensor, gelu: bool) -> Tensor:
        out = F.linear(x, weight, bias)
        return F.gelu(out) if gelu else out

    return linear


def laid_out_map(modules: Sequence[nn.Linear], dtype: torch.dtype) -> LinearMap:
    """The same with the weights copied into the order that the CPU's kernels multiply in.

    Plain weights are brought into that order at each product, which takes a tenth of the time of
    a large batch and half of that of one short text. GELU is part of the kernel. Not for
    training: there are no gradients, and later changes of the modules are not seen.
    """
    weight, bias = _join(modules, dtype)
    weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _TYPICAL_ROWS)
    bias = bias.detach()

    def linear(x: Tensor, gelu: bool) -> Tensor:
        # "none" as GELU's algorithm is the exact one, as in F.gelu.
        after, algorithm = ("gelu", "none") if gelu else ("none", "")
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], algorithm)

    return linear


def can_lay_out(device: torch.device) -> bool:
    """Whether the CPU's kernels, which torch has no public name for, are there."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in names)
    )


def _join(modules: Sequence[nn.Linear], dtype: torch.dtype) -> Tuple[Tensor, Tensor]:
    weights = [module.weight.to(dtype) for module in modules]
    biases = [module.bias.to(dtype) for module in modules]
    if len(modules) == 1:
        return weights[0], biases[0]
    return torch.cat(weights), torch.cat(biases)
