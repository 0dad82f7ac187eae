"""What a training run needs to go on later as if it had not stopped."""

import base64
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, cast

import numpy
import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from .storage import write_tensors

# Tensors of one name, such as the moments of an optimizer, by their own names.
Moments = Dict[str, Tensor]


@dataclass(frozen=True)
class TrainingState:
    """A classifier between two steps. Tensors are by the parameters' names.

    weights (Dict[str, Tensor]): Trained parameters as they are, not averaged.
    means (Dict[str, Tensor]): Their running means; empty before averaging starts.
    moments (Dict[str, Moments]): What the optimizer keeps of each.
    optimizer (Optional[str]): Kind of the optimizer; None before the first step.
    start (Dict[str, Tensor]): Parameters before the first step; empty where nothing needs them.
    n_steps (int): Steps taken.
    n_averaged (int): Steps in the means.
    """

    weights: Dict[str, Tensor]
    means: Dict[str, Tensor]
    start: Dict[str, Tensor]
    moments: Dict[str, Moments]
    optimizer: Optional[str]
    n_steps: int
    n_averaged: int

    @property
    def n_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self._flat().values())

    def _flat(self) -> Dict[str, Tensor]:
        """All tensors; "weights", "means", "start" or a moment's name stands before the
        parameter's."""
        flat = {f"weights/{name}": tensor for name, tensor in self.weights.items()}
        flat.update({f"means/{name}": tensor for name, tensor in self.means.items()})
        flat.update({f"start/{name}": tensor for name, tensor in self.start.items()})
        for name, moments in self.moments.items():
            flat.update({f"moments/{key}/{name}": tensor for key, tensor in moments.items()})
        return flat

    def to_disk(self, path: Path) -> None:
        """Write one safetensors file. RAISES (OSError): If that fails."""
        counts = {"n_steps": str(self.n_steps), "n_averaged": str(self.n_averaged)}
        write_tensors(path, self._flat(), {**counts, "optimizer": self.optimizer or ""})

    @classmethod
    def from_disk(cls, path: Path) -> "TrainingState":
        """Read what `to_disk` wrote. RAISES (ValueError): If it is missing or damaged."""
        tensors: Dict[str, Dict[str, Tensor]] = {"weights": {}, "means": {}, "start": {}}
        moments: Dict[str, Moments] = {}
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts = file.metadata()
                for key in sorted(file.keys()):
                    kind, _, name = key.partition("/")
                    if kind == "moments":
                        moment, _, name = name.partition("/")
                        moments.setdefault(name, {})[moment] = file.get_tensor(key)
                    else:
                        tensors[kind][name] = file.get_tensor(key)
            return cls(
                **tensors,
                moments=moments,
                optimizer=facts["optimizer"] or None,
                n_steps=int(facts["n_steps"]),
                n_averaged=int(facts["n_averaged"]),
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as e:
            raise ValueError(f"'{path}' is damaged ({e}).") from e


def get_random_state() -> Dict[str, Any]:
    """State of every generator that training draws from, ready for JSON."""
    _, words, *rest = cast(Sequence[Any], numpy.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": [words.tolist(), *rest],
        "torch": _to_text(torch.get_rng_state()),
        "cuda": [_to_text(s) for s in torch.cuda.get_rng_state_all()] if _has_cuda() else [],
    }


def set_random_state(state: Dict[str, Any]) -> None:
    """Set the generators to what `get_random_state` gave, also after a way through JSON."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    numpy.random.set_state(("MT19937", *state["numpy"]))
    torch.set_rng_state(_from_text(state["torch"]))
    if _has_cuda() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([_from_text(s) for s in state["cuda"]])


def _has_cuda() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()


def _to_text(state: Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode("ascii")


def _from_text(text: str) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
