"""Weights that stay close to where they started."""

from typing import Dict, Iterable, List

import torch
from torch import Tensor, nn


class PullToStart:
    """Draws parameters to the values they have now, a little in each step.

    SOURCE: L2-SP of Li et al. (2018), "Explicit inductive bias for transfer learning with
        convolutional networks", equation 2, https://arxiv.org/abs/1802.01483; as decoupled from
        the gradient as weight decay is in AdamW, which Adam's division would distort.

    parameters (Iterable[nn.Parameter]): What to draw; other parameters are left alone.
    strength (float): Share of the way back in a step, as a multiple of the learning rate.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], strength: float):
        self.strength = strength
        self._starts: Dict[nn.Parameter, Tensor] = {p: p.detach().clone() for p in parameters}

    @torch.no_grad()
    def step(self, parameters: List[nn.Parameter], rate: float) -> None:
        """Draw some of the parameters.

        rate (float): Their learning rate.
        """
        own: List[Tensor] = [p for p in parameters if p in self._starts]
        if own:
            starts = [self._starts[p] for p in parameters if p in self._starts]
            torch._foreach_lerp_(own, starts, min(1.0, rate * self.strength))
