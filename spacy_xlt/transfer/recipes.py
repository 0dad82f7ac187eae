"""Ways of carrying a classifier into another language, as a table: what each trains, what it needs,
how long it takes and what it brought where it was measured."""

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

from pydantic import TypeAdapter

# Written by tests/benchmarks/transfer.py, from the same runs as the table in the README.
GAINS_FILE = Path(__file__).with_name("measured_gains.json")
GAINS_FORMAT = "spacy_xlt.measured_gains.v1"
# What all gains are against.
BASELINE = "zero_shot"


@dataclass(frozen=True)
class Needs:
    """What has to be there for a recipe.

    source_labels (bool): Labelled texts in a source language.
    target_labels (int): Labelled texts per label in a target language, at least.
    unlabelled (int): Texts without labels in a target language, at least.
    lexicons (bool): Bilingual lexicons from a source into a target language.
    parallel (bool): The source's texts, or some of them, in a target language, or a translator
        that makes them.
    teacher (bool): A trained pipeline to learn from, larger than the one to be made.
    start (bool): A trained pipeline to go on from, which the baseline makes.
    """

    source_labels: bool = True
    target_labels: int = 0
    unlabelled: int = 0
    lexicons: bool = False
    parallel: bool = False
    teacher: bool = False
    start: bool = False


@dataclass(frozen=True)
class Recipe:
    """One way.

    name (str): Name of the recipe, and of its config.
    what (str): What it trains, in a few words.
    when (str): What it is good for, in a few words.
    needs (Needs): What has to be there.
    time (float): Time of training as a multiple of the baseline's, about, where it was not
        measured; of a second stage, that of the stage alone.
    commands (Tuple[str, ...]): Command lines of a recipe that is more than a config to fill in
        and to train with, with names in braces for what the user has: {train}, {dev}, {encoder},
        {start}, {source_lang}, {target_langs}, {unlabelled}, {lexicons}, {parallel}, {teacher}.
        They come after those of the baseline if the recipe goes on from there.
    """

    name: str
    what: str
    when: str
    needs: Needs = Needs()
    time: float = 1.0
    commands: Tuple[str, ...] = ()


_TABLE = (
    Recipe(
        "zero_shot",
        "the encoder but its embedding table, and the head, on the source language",
        "a start in any case",
    ),
    Recipe(
        "frozen",
        "the head, on the untouched encoder's vectors",
        "seconds instead of minutes",
        time=0.1,
    ),
    Recipe(
        "finetune",
        "a trained pipeline further, on target documents only",
        "target labels of any number; a few move it little",
        Needs(target_labels=1, start=True),
        time=0.3,
    ),
    Recipe(
        "few_shot",
        "a trained pipeline further, on source and target documents together",
        "hundreds of target labels; with few it loses",
        Needs(target_labels=1, start=True),
        time=1.0,
    ),
    Recipe(
        "lexicon",
        "as zero_shot, with copies of texts whose words bilingual lexicons translate",
        "languages that the encoder hardly knows; in ours it brought nothing",
        Needs(lexicons=True),
        time=1.1,
    ),
    Recipe(
        "shared_transformer",
        "as zero_shot, on the encoder of a spacy-transformers component",
        "pipelines that share one encoder among components",
        time=4.0,
    ),
)
# By name; a new config needs an entry, which may also be of a recipe without one.
RECIPES: Dict[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}


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
    time (Optional[float]): Time of training as a multiple of the baseline's, as measured.
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
