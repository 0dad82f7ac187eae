"""Several processes that train one model together, as torch's launcher starts them.

Each reads the same batches and works on its share of the documents; gradients are summed, so all
of them take the same step.
"""

import os
from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence, TypeVar

import torch
from torch import distributed, nn

T = TypeVar("T")


def rank() -> int:
    """Number of this process; 0 if it is alone."""
    return distributed.get_rank() if _is_running() else 0


def n_ranks() -> int:
    """Number of processes that train together; 1 without a launcher."""
    return distributed.get_world_size() if _is_running() else 1


def launched_ranks() -> int:
    """Number of processes that the launcher started, before they have met."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """Number of this process among those on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined_ranks(device: str) -> Iterator[int]:
    """Meet the other processes that the launcher started, if any; part at the end.

    device (str): torch's name of the device that this process trains on.
    YIELDS (int): Number of this process.
    """
    if launched_ranks() == 1 or _is_running():
        yield rank()
        return
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield rank()
    finally:
        distributed.destroy_process_group()


def own_share(items: Sequence[T]) -> List[T]:
    """Every n-th item, from this process's number on, so that sorted items are shared fairly."""
    return list(items[rank() :: n_ranks()])


def sum_of_ranks(value: float) -> float:
    """A number summed over all processes."""
    if n_ranks() == 1:
        return value
    total = torch.tensor([value], dtype=torch.float64, device=_meeting_device())
    distributed.all_reduce(total)
    return float(total)


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Let every process have the sum of all processes' gradients.

    A parameter without a gradient in one process counts as zero there; without one in any, it
    stays without.
    """
    if n_ranks() == 1 or not parameters:
        return
    device = parameters[0].device
    has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=device)
    distributed.all_reduce(has, op=distributed.ReduceOp.MAX)
    used = [p for p, one in zip(parameters, has.tolist(), strict=True) if one]
    for parameter in used:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    # In one piece: a message per tensor would take longer than the sum.
    gradients = [p.grad for p in used if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _is_running() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _meeting_device() -> Optional[torch.device]:
    return torch.device("cuda") if distributed.get_backend() == "nccl" else None
