"""What frozen layers give for a window, computed once in a run rather than once in an epoch."""

from typing import Callable

import torch
from torch import Tensor

from ..pieces import BoundedCache
from .windows import WindowBatch


class WindowCache:
    """Keeps the vectors of windows by their pieces, up to a limit of bytes.

    max_bytes (int): The limit; windows that come when it is full are computed each time.
    """

    def __init__(self, max_bytes: int):
        self._kept: BoundedCache[Tensor] = BoundedCache(max_bytes)

    @property
    def n_bytes(self) -> int:
        return self._kept.n_bytes

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
                # A copy, since a view would keep its whole batch.
                self._kept.put(keys[i], own.clone())
        return torch.cat([own for own in vectors if own is not None]).float()

    def clear(self) -> None:
        self._kept.clear()
