"""An encoder trained against a classifier that tells languages apart by its vectors."""

import math
from typing import Any, Dict, List, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .ranks import sum_gradients

# The critic must keep up with the encoder, which moves at a tenth of this at most.
CRITIC_RATE = 1e-3


class LanguageCritic:
    """Tells the languages of texts by their vectors, and turns round what it teaches the encoder.

    It lives as long as a training process: nothing of it is stored.

    SOURCE: Gradient reversal and its schedule are those of Ganin et al. (2016), "Domain-adversarial
        training of neural networks", section 5.2.2, https://arxiv.org/abs/1505.07818; for languages
        of texts Keung et al. (2019), https://arxiv.org/abs/1909.00153. Here the classifier is
        linear, and has as many classes as there are languages.

    langs (Sequence[str]): The languages, in the same order in all processes.
    width (int): Length of the vectors.
    weight (float): What its loss counts for the encoder at the end of the run.
    RAISES (ValueError): If there are no languages to tell apart.
    """

    def __init__(self, langs: Sequence[str], width: int, weight: float, device: torch.device):
        if len(langs) < 2:
            raise ValueError(
                f"language_reversal is {weight}, but the training corpus has the languages "
                f"{list(langs)}; it needs at least 2. Put texts without labels in the target "
                f"languages beside those of the source, with their language recorded, or set "
                f"it to 0.0 in the component's model.robust."
            )
        self.weight = weight
        self._index: Dict[str, int] = {lang: i for i, lang in enumerate(langs)}
        self._linear = nn.Linear(width, len(langs), device=device)
        nn.init.zeros_(self._linear.weight)
        nn.init.zeros_(self._linear.bias)
        self._optimizer = torch.optim.AdamW(self._linear.parameters(), lr=CRITIC_RATE)

    def loss(self, pooled: Tensor, langs: Sequence[str], progress: float) -> Tensor:
        """Summed cross-entropy of languages, whose gradient for the vectors points the other way.

        pooled (Tensor): Vectors of texts. Shape: (n_docs, width)
        langs (Sequence[str]): Their languages; unknown ones do not count.
        progress (float): Share of the run that is over, in [0, 1].
        """
        rows = [i for i, lang in enumerate(langs) if lang in self._index]
        classes = torch.tensor([self._index[langs[i]] for i in rows], device=pooled.device)
        strength = self.weight * (2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0)
        scores = self._linear(_Reverse.apply(pooled[rows], strength))
        return F.cross_entropy(scores, classes.long(), reduction="sum")

    def step(self) -> None:
        """Step with the gradients since the last step."""
        parameters: List[nn.Parameter] = list(self._linear.parameters())
        sum_gradients(parameters)
        self._optimizer.step()
        self._optimizer.zero_grad()


class _Reverse(torch.autograd.Function):
    """The identity, but for gradients: they change sign and are multiplied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tuple[Tensor, None]:
        return grads[0] * -ctx.strength, None
