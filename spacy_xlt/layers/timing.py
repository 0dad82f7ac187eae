"""What the encoder alone can do on this machine: the bound for everything around it."""

import time
from dataclasses import dataclass
from typing import Callable, Sequence

import torch

from .dropout import Dropout
from .encoder import Encoder, linear_parameters
from .windows import WindowBatch

# Rows and columns of the product that the machine's rate is measured with: those of the first
# linear map of a small encoder's inner layer, and a batch of some twenty sentences.
_ROWS, _WIDTH, _INNER_WIDTH = 1024, 384, 1536
_BURST = 10


@dataclass(frozen=True)
class EncoderRun:
    """The encoder's work on some texts, without tokenizing, pooling and head.

    run (Callable[[], None]): Does the work; returns when it is done.
    n_pieces (int): Word pieces, special pieces and prefixes included.
    n_operations (int): Floating-point operations of its linear maps.
    device (str): torch's name of the device.
    precision (str): Precision of the matrix products, such as bfloat16.
    n_threads (int): Threads of the CPU.
    product_rate (float): Operations per second that a lone matrix product reaches here.
    """

    run: Callable[[], None]
    n_pieces: int
    n_operations: int
    device: str
    precision: str
    n_threads: int
    product_rate: float


def prepare_run(
    encoder: Encoder, batches: Sequence[WindowBatch], device: torch.device, dtype: torch.dtype
) -> EncoderRun:
    """An encoder's work on batches.

    encoder (Encoder): Prepared for prediction in `dtype`, on `device`.
    """

    def run() -> None:
        last = torch.zeros(1)
        with torch.inference_mode():
            for batch in batches:
                last = encoder(batch, dtype=dtype, dropout=Dropout(0.0))
        last.sum().item()  # waits for a GPU

    n_pieces = sum(batch.ids.size for batch in batches)
    weights = (p.numel() for p in linear_parameters(encoder) if p.ndim == 2)
    return EncoderRun(
        run=run,
        n_pieces=n_pieces,
        n_operations=2 * n_pieces * sum(weights),
        device=str(device),
        precision=precision_name(dtype),
        n_threads=torch.get_num_threads(),
        product_rate=measure_product_rate(device, dtype),
    )


def measure_product_rate(
    device: torch.device, dtype: torch.dtype, *, seconds: float = 0.3
) -> float:
    """Operations per second of a matrix product of a small encoder's shape.

    The best of many short bursts, so that what else happens on the machine does not count.

    seconds (float): How long to measure.
    """
    a = torch.ones((_ROWS, _WIDTH), dtype=dtype, device=device)
    b = torch.ones((_WIDTH, _INNER_WIDTH), dtype=dtype, device=device)
    with torch.inference_mode():
        (a @ b).sum().item()
        shortest, end = float("inf"), time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            for _ in range(_BURST):
                c = a @ b
            c[0, 0].item()  # waits for a GPU
            shortest = min(shortest, time.perf_counter() - start)
    return 2 * _ROWS * _WIDTH * _INNER_WIDTH * _BURST / shortest


def precision_name(dtype: torch.dtype) -> str:
    """Name of a precision as torch has it, without its module."""
    return str(dtype).removeprefix("torch.")
