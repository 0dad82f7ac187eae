"""Weights to predict with: the mean over a run's last part, and between that and the start."""

from typing import Dict, List, Optional

import torch
from torch import Tensor, nn


class RunningMean:
    """Mean of parameters over the steps since it started, kept beside them in fp32.

    SOURCE: uniform averaging over a run's last steps, as for stochastic weight averaging
        (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407), but at every step.

    parameters (Dict[str, nn.Parameter]): What to average, by name.
    means (Optional[Dict[str, Tensor]]): Mean so far, to go on from.
    n_steps (int): Steps in it.
    """

    def __init__(
        self,
        parameters: Dict[str, nn.Parameter],
        means: Optional[Dict[str, Tensor]] = None,
        n_steps: int = 0,
    ):
        self._parameters = parameters
        self.means = means or {}
        self.n_steps = n_steps

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters as they are now into the mean."""
        if not self.means:
            self.means = {name: p.detach().clone() for name, p in self._parameters.items()}
        else:
            means: List[Tensor] = list(self.means.values())
            current = [p.detach() for p in self._parameters.values()]
            torch._foreach_lerp_(means, current, 1.0 / (self.n_steps + 1))
        self.n_steps += 1


@torch.no_grad()
def interpolate(
    start: Dict[str, Tensor], end: Dict[str, Tensor], share: float
) -> Dict[str, Tensor]:
    """Weights on the straight line between two classifiers for the same labels.

    A label whose row of the head was all zeros at the start, as that of a new label is, had no
    classifier there; its row is that of the end.

    start, end (Dict[str, Tensor]): Weights by name, those of the head among them.
    share (float): What the start counts, in [0, 1].
    RETURNS (Dict[str, Tensor]): New tensors.
    SOURCE: Wortsman et al. (2022), https://arxiv.org/abs/2109.01903, section 3
    """
    had_row = (start["head.weight"] != 0.0).any(dim=1) | (start["head.bias"] != 0.0)
    row_shares = share * had_row.float()
    shares = {"head.weight": row_shares[:, None], "head.bias": row_shares}
    return {
        name: torch.lerp(tensor, start[name], shares.get(name, share))
        for name, tensor in end.items()
    }
