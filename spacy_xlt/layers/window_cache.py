"""What frozen layers give for a window, computed once in a run rather than once in an epoch."""

from typing import Callable, Dict

import torch
from torch import Tensor

from .windows import WindowBatch


class WindowCache:
    """Keeps the vectors of windows by their pieces, up to a limit of bytes.

    Windows that come when it is full are computed each time: training asks for all windows once
    an epoch, so to drop the oldest would be to drop what comes next.

    max_bytes (int): The limit.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._kept: Dict[bytes, Tensor] = {}

    def get(self, batch: WindowBatch, compute: Callable[[WindowBatch], Tensor]) -> Tensor:
        """Vectors of a batch's pieces.

        compute (Callable[[WindowBatch], Tensor]): Gives the vectors of a batch of windows that
            are not known yet, in the precision to keep them in. Shape: (n_pieces, width)
        RETURNS (Tensor): fp32. Shape: (n_pieces, width)
        """
        keys = [ids.tobytes() for ids in batch.split_ids()]
        vectors = [self._kept.get(key) for key in keys]
        missing = [i for i, known in enumerate(vectors) if known is None]
        if missing:
            part = batch.select(missing)
            computed = compute(part).split(part.lengths.tolist())
            for i, own in zip(missing, computed, strict=True):
                vectors[i] = own
                self._keep(keys[i], own)
        return torch.cat([own for own in vectors if own is not None]).float()

    def clear(self) -> None:
        self._kept.clear()
        self.n_bytes = 0

    def _keep(self, key: bytes, vectors: Tensor) -> None:
        if self.n_bytes + vectors.nbytes <= self.max_bytes:
            self.n_bytes += vectors.nbytes
            # A copy, since a view would keep its whole batch.
            self._kept[key] = vectors.clone()
