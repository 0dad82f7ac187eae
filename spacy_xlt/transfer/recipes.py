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
        "mixed",
        "beside a zero-shot pipeline a head on the untouched encoder, with votes of training texts",
        "twice the time of prediction is no matter; best where texts resemble training texts",
        Needs(start=True),
        time=0.1,
        commands=(
            "python -m spacy xlt transfer frozen --output neighbours.cfg --train {train} "
            "--dev {dev} --encoder {encoder} --source-langs {source_lang} "
            "--components.textcat.model.neighbours 10",
            "python -m spacy xlt train neighbours.cfg --output training/neighbours",
            "python -m spacy xlt ensemble {start} training/neighbours/model-best "
            "--output training/mixed",
        ),
    ),
    Recipe(
        "agree",
        "the upper half of the encoder, by reading each text twice, in other word pieces",
        "languages that the encoder hardly knows",
        time=1.3,
    ),
    Recipe(
        "agree_mixed",
        "both: such a pipeline, and a frozen one in which training texts vote",
        "the best we have without target text; twice the time of prediction is no matter",
        time=1.4,
        commands=(
            "python -m spacy xlt transfer agree --output twice.cfg --train {train} --dev {dev} "
            "--encoder {encoder} --source-langs {source_lang}",
            "python -m spacy xlt train twice.cfg --output training/twice",
            "python -m spacy xlt transfer frozen --output votes.cfg --train {train} --dev {dev} "
            "--encoder {encoder} --source-langs {source_lang} "
            "--components.textcat.model.neighbours 10",
            "python -m spacy xlt train votes.cfg --output training/votes",
            "python -m spacy xlt ensemble training/twice/model-best training/votes/model-best "
            "--output training/agree_mixed",
        ),
    ),
    Recipe(
        "lora",
        "small matrices beside the encoder's own, by the peft library",
        "many tasks on one encoder: 3 MB each, as accurate as zero_shot",
        time=0.5,
    ),
    Recipe(
        "finetune",
        "the start halfway back to the untouched encoder, then target documents only",
        "target labels of any number and kind",
        Needs(target_labels=1, start=True),
        time=0.3,
    ),
    Recipe(
        "few_shot",
        "the head of a trained pipeline, refitted halfway back to the untouched encoder",
        "few labels in languages that the encoder hardly knows, in seconds",
        Needs(target_labels=1, start=True),
        time=0.1,
    ),
    Recipe(
        "joint",
        "a trained pipeline further, on all languages and data sets together",
        "labels in several target languages",
        Needs(target_labels=1, start=True),
        time=3.0,
    ),
    Recipe(
        "self_train",
        "a student of source labels and of pseudo-labels in all target languages",
        "zero-shot below 70 %; where it is above 85 %, leave it",
        Needs(unlabelled=100, start=True),
        time=3.0,
        commands=(
            "python -m spacy xlt init-config self_train self_train.cfg",
            "python -m spacy xlt self-train self_train.cfg --output training/self_trained "
            "--texts {unlabelled} --teacher {start} --paths.source {train} --paths.dev {dev} "
            "--paths.encoder {encoder}",
        ),
    ),
    Recipe(
        "distill",
        "a few of the layers of a trained pipeline, to answer as it does",
        "speed: 4 of 12 layers are 2.7 times as fast",
        Needs(unlabelled=100, start=True),
        time=2.0,
        commands=(
            "python -m spacy xlt distill {start} {train} {unlabelled} --output training/student "
            "--layers 4",
        ),
    ),
    Recipe(
        "translate_train",
        "as zero_shot, with translations of the source's texts",
        "languages that a translator knows better than the encoder",
        Needs(parallel=True),
        time=1.5,
        commands=(
            "python -m spacy xlt translate {train} training/translated --to {target_langs} "
            "--with apertium",
        ),
    ),
    Recipe(
        "plain",
        "the whole encoder, as most people fine-tune it",
        "a baseline to measure recipes against",
        time=3.0,
    ),
    Recipe(
        "lexicon",
        "as zero_shot, with copies of texts whose words bilingual lexicons translate",
        "languages that the encoder hardly knows; in ours it brought nothing",
        Needs(lexicons=True),
        time=1.1,
    ),
    Recipe(
        "gloss",
        "nothing: a trained pipeline reads texts word by word too, by bilingual lexicons",
        "languages that the encoder hardly knows; prediction there takes twice the time",
        Needs(lexicons=True, start=True),
        time=0.01,
        commands=(
            "python -m spacy xlt gloss {start} {lexicons} --langs {target_langs} "
            "--output training/gloss",
        ),
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
