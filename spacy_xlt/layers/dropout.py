"""Dropout whose masks cost little on a CPU."""

import numpy
import torch
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 2**16


class Dropout:
    """Zeroes a share of values and scales up the rest.

    torch draws one full random number per value, a sixth of a training step on a CPU; here two
    bytes decide, from a generator that makes eight at a time.

    rate (float): Share of values to drop, in [0, 1); rounded to a 65,536th.
    """

    def __init__(self, rate: float):
        if not 0.0 <= rate < 1.0:
            raise ValueError(
                f"The dropout rate is {rate}; allowed is 0 up to, but not with, 1. Set "
                f"training.dropout."
            )
        self.rate = rate
        # Seeded from torch's generator, which spaCy seeds from training.seed.
        seed = int(torch.randint(2**62, (1,))) if rate > 0.0 else 0
        self._rng = numpy.random.Generator(numpy.random.SFC64(seed))

    def __call__(self, x: Tensor) -> Tensor:
        if self.rate == 0.0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        n = x.numel()
        bits = self._rng.integers(0, 2**64, size=(n + 3) // 4, dtype=numpy.uint64)
        threshold = round(self.rate * _LEVELS)
        kept = torch.from_numpy(bits.view(numpy.uint16)[:n] >= threshold).view(x.shape)
        return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - threshold))
