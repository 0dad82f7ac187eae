"""Tensors that nothing trains, which are stored and copied with a module all the same."""

from torch import Tensor, nn


def fixed(tensor: Tensor) -> nn.Parameter:
    """A parameter without gradients."""
    return nn.Parameter(tensor, requires_grad=False)
