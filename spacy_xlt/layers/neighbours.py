"""What the training texts nearest to a text say about its labels."""

from typing import Optional, Sequence, Tuple

import numpy
import torch
from torch import Tensor, nn

from .fixed import fixed

# How much closer a text must be to count more: a lead of this much in cosine counts e times as
# much. Vectors of an encoder lie close together, also after their centre is taken off.
TEMPERATURE = 0.05
# Cosines that are held at once.
MAX_COSINES = 2**24
# Keeps votes without dissent from being certain: they count as odds of about 20.
DOUBT = 0.05


class Neighbours(nn.Module):
    """Vectors of training texts with their labels, which vote on the labels of texts near them.

    All tensors are parameters that nothing trains, so they are stored and copied as such.

    vectors (Tensor): Unit length around the centre. Shape: (n_texts, width)
    centre (Tensor): Mean of the vectors as they came. Shape: (width,)
    targets (Tensor): Probabilities of labels. Shape: (n_texts, n_labels)
    counts (Tensor): What each of them counts; 0 where it is unknown. Shape: (n_texts, n_labels)
    """

    def __init__(self, n_texts: int, n_labels: int, width: int):
        super().__init__()
        self.vectors = fixed(torch.zeros(n_texts, width))
        self.centre = fixed(torch.zeros(width))
        self.targets = fixed(torch.zeros(n_texts, n_labels))
        self.counts = fixed(torch.zeros(n_texts, n_labels))

    @classmethod
    def of_texts(
        cls, vectors: numpy.ndarray, targets: numpy.ndarray, counts: numpy.ndarray
    ) -> "Neighbours":
        """Remember texts. Shapes: (n_texts, width), (n_texts, n_labels), (n_texts, n_labels)"""
        made = cls(len(vectors), targets.shape[1], vectors.shape[1])
        made.centre = fixed(torch.from_numpy(vectors.mean(axis=0)).float())
        made.vectors = fixed(made._place(torch.from_numpy(vectors).float()))
        made.targets = fixed(torch.from_numpy(targets).float())
        made.counts = fixed(torch.from_numpy(counts).float())
        return made

    def select_labels(self, columns: Sequence[Optional[int]]) -> "Neighbours":
        """The same texts with other labels; None is one of which nothing is known."""
        made = Neighbours(len(self.vectors), len(columns), len(self.centre))
        made.vectors, made.centre = self.vectors, self.centre
        for new, old in enumerate(columns):
            if old is not None:
                made.targets[:, new] = self.targets[:, old]
                made.counts[:, new] = self.counts[:, old]
        return made

    def sway(self, logits: Tensor, vectors: Tensor, *, n_nearest: int, share: float) -> Tensor:
        """Logits between those given and the log odds of the nearest texts' votes.

        logits (Tensor): What a head says. Shape: (n_docs, n_labels)
        vectors (Tensor): The texts' vectors. Shape: (n_docs, width)
        n_nearest (int): How many texts vote.
        share (float): What their votes count, in [0, 1]; nothing for a label that is unknown for
            all of them.
        RETURNS (Tensor): Shape: (n_docs, n_labels)
        """
        n_at_once = max(1, MAX_COSINES // len(self.vectors))
        parts = [self._vote(part, n_nearest) for part in vectors.float().split(n_at_once)]
        votes, total = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        odds = torch.log((votes + DOUBT) / (1.0 - votes + DOUBT))
        return torch.lerp(logits, odds, share * (total > 0.0).float())

    def _vote(self, vectors: Tensor, n_nearest: int) -> Tuple[Tensor, Tensor]:
        """Probabilities of labels among the nearest texts, and what these count altogether."""
        cosines = self._place(vectors) @ self.vectors.T
        nearest = cosines.topk(min(n_nearest, len(self.vectors)), dim=1)
        closeness = torch.softmax(nearest.values / TEMPERATURE, dim=1)
        counts = closeness[:, :, None] * self.counts[nearest.indices]
        total = counts.sum(dim=1)
        votes = (counts * self.targets[nearest.indices]).sum(dim=1)
        return votes / total.clamp(min=1e-12), total

    def _place(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors - self.centre, dim=1)
