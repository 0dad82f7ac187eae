"""What recipes brought where they were measured."""

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple

from pydantic import TypeAdapter

# Written by tests/benchmarks/transfer.py, from the same runs as the table in the README.
GAINS_FILE = Path(__file__).with_name("measured_gains.json")
GAINS_FORMAT = "spacy_xlt.measured_gains.v1"


@dataclass(frozen=True)
class Gain:
    """What a recipe brought over the baseline, in points of accuracy.

    recipe (str): The recipe.
    labels_per_class (Optional[int]): Target labels per class and language that it had; None for
        none.
    mean (float): Mean over languages and runs.
    interval (Optional[Tuple[float, float]]): 95 % interval; None of too few languages.
    by_sentence (bool): Whether the interval is from drawing sentences, or from how languages
        differ.
    langs (Tuple[str, ...]): Languages it is the mean over.
    n_runs (int): Runs: seeds, or draws in each language.
    time (Optional[float]): Time of training as a multiple of the baseline's, as measured; that of a
        first stage is in it.
    source (str): Where the runs are kept.
    """

    recipe: str
    labels_per_class: Optional[int]
    mean: float
    interval: Optional[Tuple[float, float]]
    by_sentence: bool
    langs: Tuple[str, ...]
    n_runs: int
    time: Optional[float]
    source: str

    @property
    def is_sure(self) -> bool:
        """Whether the interval is above 0."""
        return self.interval is not None and self.interval[0] > 0.0

    @property
    def points(self) -> str:
        """The mean with its interval, if that is known."""
        if self.interval is None:
            return f"{self.mean:+.1f} (no interval)"
        return f"{self.mean:+.1f} ({self.interval[0]:+.1f} to {self.interval[1]:+.1f})"


_GAINS = TypeAdapter(Tuple[Gain, ...])


@functools.lru_cache(maxsize=1)
def measured_gains() -> Tuple[Gain, ...]:
    """All gains that were measured."""
    return _GAINS.validate_python(json.loads(GAINS_FILE.read_text(encoding="utf8"))["gains"])


def find_gain(recipe: str, labels_per_class: float, gains: Sequence[Gain]) -> Optional[Gain]:
    """The measurement of a recipe that is nearest to a number of target labels; None if there is
    none.

    labels_per_class (float): Target labels per class that there are.
    gains (Sequence[Gain]): Where to look.
    """

    def distance(gain: Gain) -> float:
        return abs(math.log1p(gain.labels_per_class or 0) - math.log1p(labels_per_class))

    return min((gain for gain in gains if gain.recipe == recipe), key=distance, default=None)
