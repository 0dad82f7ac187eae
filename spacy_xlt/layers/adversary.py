"""Small changes of what an encoder sees that make its answer as wrong as they can."""

from typing import Callable, Iterator, List, Optional, Tuple

import torch
from torch import Tensor

# From vectors and the document of each to other vectors. Shapes: (n_rows, width), (n_rows,)
ChangeInput = Callable[[Tensor, Tensor], Tensor]


class Adversary:
    """Moves a pass's input along the gradient that another pass of the same input had.

    SOURCE: Miyato et al. (2017), "Adversarial training methods for semi-supervised text
        classification", section 3, https://arxiv.org/abs/1605.07725: one step of fixed length per
        document along the gradient of its loss. There embeddings are normalized to give lengths
        a meaning; here the length is a share of that of the document's vectors, which are those
        that enter the trained layers: after the embeddings' LayerNorm, or above frozen layers.

    radius (float): The share.
    """

    def __init__(self, radius: float):
        self.radius = radius
        self._watched: List[Tuple[Tensor, Tensor]] = []
        self._moves: Optional[Iterator[Tensor]] = None

    def watch(self, x: Tensor, docs: Tensor) -> Tensor:
        """Take note of an input of the first pass, whose backward pass will set its gradient."""
        if not x.requires_grad:
            x.requires_grad_()
        x.retain_grad()
        self._watched.append((x, docs))
        return x

    def move(self, x: Tensor, docs: Tensor) -> Tensor:
        """Move an input of the second pass; they come in the order of the first."""
        if self._moves is None:
            self._moves = iter(self._find_moves())
        return x + next(self._moves)

    def _find_moves(self) -> List[Tensor]:
        inputs = [x.detach() for x, _ in self._watched]
        slopes = [torch.zeros_like(x) if x.grad is None else x.grad for x, _ in self._watched]
        docs = [own for _, own in self._watched]
        # A document without a gradient, such as one without labels, stays where it is.
        steepness = _lengths(slopes, docs).clamp(min=1e-30)
        factors = self.radius * _lengths(inputs, docs) / steepness
        return [slope * factors[own, None] for slope, own in zip(slopes, docs, strict=True)]


def _lengths(parts: List[Tensor], docs: List[Tensor]) -> Tensor:
    """Length of each document's rows as one vector. Shape: (n_docs,)"""
    rows = torch.cat(docs)
    squares = torch.cat(parts).float().square().sum(dim=1)
    return squares.new_zeros(int(rows.max()) + 1).index_add_(0, rows, squares).sqrt()
