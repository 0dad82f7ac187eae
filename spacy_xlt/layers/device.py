"""Where and in which precision the torch modules run."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, List, Optional

import torch
from thinc.api import CupyOps
from thinc.util import torch2xp, xp2torch
from torch import Tensor

from ..compat import default_device
from ..types import Precision

# torch keeps the compiled kernels of the last 1,024 shapes of matrix products, twice over, and
# texts make ever new shapes: 20 MB per training step, up to 2 GB. A step needs about 40. Read
# from the environment at the first product, so that what a user has set counts.
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "64")
# Large tensors in large pages, and so at round addresses: batches of ever other sizes then leave
# fewer holes in the heap (1.27 instead of 1.47 GB after 20,000 texts), and a single text takes
# less time.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def resolve_device(device: str) -> torch.device:
    """The device that a setting means.

    device (str): torch's name of a device, or "auto".
    RETURNS (torch.device): The device.
    RAISES (ValueError): If torch does not know the name.
    """
    name = default_device() if device == "auto" else device
    try:
        return torch.device(name)
    except RuntimeError as e:
        raise ValueError(
            f"'{device}' is not a device. Allowed are 'auto', 'cpu', 'cuda', 'cuda:N' and 'mps'."
        ) from e


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The arithmetic of the encoder's matrix products.

    "auto" is bfloat16 where the hardware multiplies in it, not merely where torch accepts it:
    without such hardware it is slower than fp32.
    """
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16_hardware(device) else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def has_bfloat16_hardware(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16 products."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, bool)() for name in checks)
    return False


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Context in which matrix products run in `dtype`; nothing for fp32."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def to_ops(ops: Any, tensor: Tensor) -> Any:
    """A torch tensor as the array type of Thinc's ops."""
    if isinstance(ops, CupyOps) and tensor.is_cuda:
        return torch2xp(tensor.contiguous(), ops=ops)
    return ops.asarray(tensor.cpu().numpy())


def to_torch(array: Any, device: torch.device) -> Tensor:
    """An array of Thinc's as a torch tensor on a device."""
    return xp2torch(array, device=torch.device("cpu") if device.type == "cpu" else device).to(
        device
    )


# A forked worker has its parent's locks but not its threads, so more than one thread of torch's or
# of the tokenizer's could wait for ever; and workers together use all cores anyway.
_TOKENIZER_THREADS = "TOKENIZERS_PARALLELISM"


def _before_fork() -> None:
    # Set before the fork: the tokenizers library looks, and complains, while it happens.
    _TOKENIZER_SETTINGS.append(os.environ.get(_TOKENIZER_THREADS))
    os.environ[_TOKENIZER_THREADS] = "false"


def _after_fork_in_parent() -> None:
    setting = _TOKENIZER_SETTINGS.pop()
    if setting is None:
        del os.environ[_TOKENIZER_THREADS]
    else:
        os.environ[_TOKENIZER_THREADS] = setting


def _after_fork_in_child() -> None:
    torch.set_num_threads(1)


_TOKENIZER_SETTINGS: List[Optional[str]] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
