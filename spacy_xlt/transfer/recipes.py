"""Ways of carrying a classifier into another language, as a table: what each trains, what it needs
and how long it takes."""

import re
import shlex
from dataclasses import dataclass
from typing import Dict, List, Mapping, Tuple

# What all gains are against.
BASELINE = "zero_shot"


@dataclass(frozen=True)
class Needs:
    """What has to be there for a recipe.

    source_labels (bool): Labelled texts in a source language.
    target_labels (int): Labelled texts per label in a target language, at least.
    unlabelled (int): Texts without labels in a target language, at least.
    lexicons (bool): Bilingual lexicons from a source into a target language.
    glosses (bool): Bilingual lexicons of a source and a target language, in either direction.
    translator (bool): A translator from a source into a target language.
    parallel (bool): The source's texts, or some of them, in a target language.
    teacher (bool): A trained pipeline to learn from, larger than the one to be made.
    start (bool): A trained pipeline to go on from, which the baseline makes.
    """

    source_labels: bool = True
    target_labels: int = 0
    unlabelled: int = 0
    lexicons: bool = False
    glosses: bool = False
    translator: bool = False
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
        {start}, {source} (labelled texts of the source languages alone), {source_lang},
        {source_list} (the same as JSON), {target_langs}, {all_langs}, {unlabelled}, {lexicons},
        {parallel}, {pairing} (how parallel texts are paired), {teacher}; see `fill_commands`.
        They come after those of the baseline if the recipe goes on from there.
    """

    name: str
    what: str
    when: str
    needs: Needs = Needs()
    time: float = 1.0
    commands: Tuple[str, ...] = ()


def _train(recipe: str, name: str, *more: str) -> Tuple[str, str]:
    """Command lines that train a recipe under another name, with more on the first of them."""
    given = "--train {train} --dev {dev} --encoder {encoder} --source-langs {source_lang}"
    fill = f"python -m spacy xlt transfer {recipe} --output {name}.cfg"
    train = f"python -m spacy xlt train {name}.cfg --output training/{name}"
    return " ".join((fill, given, *more)), train


def _train_beside(made: str, name: str) -> Tuple[str, str]:
    """Command lines that train the baseline on texts of target languages too, that were made."""
    # What was made is no labelled text of its language, so the source stays what it is.
    source = "--initialize.components.textcat.train_langs {source_list}"
    fill, train = _train(BASELINE, name, "--train", made, source)
    return fill.replace("{source_lang}", "{all_langs}"), train


# Of `frozen`: training texts vote.
_VOTES = "--components.textcat.model.neighbours 10"
# Of `frozen`: the mean vectors of languages are taken off.
_CENTRES = "--initialize.components.textcat.centre_texts {unlabelled}"
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
            *_train("frozen", "neighbours", _VOTES),
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
            *_train("agree", "twice"),
            *_train("frozen", "votes", _VOTES),
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
        "a pipeline of agree further, on pseudo-labels in all languages that it does not know "
        "well, beside a frozen one with the means of languages taken off, in which training texts "
        "vote",
        "target texts without labels, in languages where zero-shot is below 70 %; the student "
        "alone (--beside 0) was as good in half the time of prediction",
        Needs(unlabelled=100),
        time=7.0,
        commands=(
            *_train("agree", "twice"),
            *_train("frozen", "centred", f"{_VOTES} {_CENTRES}"),
            "python -m spacy xlt init-config self_train self_train.cfg",
            "python -m spacy xlt self-train self_train.cfg --output training/self_trained "
            "--texts {unlabelled} --langs {target_langs} --teacher training/twice/model-best "
            "--teacher training/centred/model-best --paths.source {source} --paths.dev {dev} "
            "--paths.encoder {encoder}",
        ),
    ),
    Recipe(
        "distill",
        "a few of the layers of a trained pipeline, to answer as it does",
        "speed: 4 of 12 layers are 2.7 times as fast",
        Needs(unlabelled=100, start=True),
        time=6.0,
        commands=(
            "python -m spacy xlt distill {start} {train} {unlabelled} --output training/student "
            "--layers 4",
        ),
    ),
    Recipe(
        "translate_train",
        "as zero_shot, with translations of the source's texts",
        "languages that a translator knows better than the encoder",
        Needs(translator=True),
        time=1.5,
        commands=(
            "python -m spacy xlt translate {train} training/translated --from {source_lang} "
            "--to {target_langs} --with apertium",
            *_train_beside("training/translated/train", "translate_train"),
        ),
    ),
    Recipe(
        "parallel",
        "as zero_shot, with translations that are there, which get the labels of the source's "
        "texts",
        "languages in which the source's texts, or some of them, are there",
        Needs(parallel=True),
        time=1.5,
        commands=(
            "python -m spacy xlt align {train} {parallel} training/aligned --from {source_lang} "
            "--by {pairing} --encoder {encoder}",
            *_train_beside("training/aligned/train", "parallel"),
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
        "nothing; a trained pipeline reads texts word by word too, by bilingual lexicons",
        "languages that the encoder hardly knows; prediction there takes twice the time",
        Needs(glosses=True, start=True),
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


class _Capitals(Dict[str, str]):
    """Values by name; the name in capitals where there is none."""

    def __missing__(self, name: str) -> str:
        return name.upper()


def fill_commands(recipe: Recipe, values: Mapping[str, str]) -> List[str]:
    """Command lines of a recipe with what a user has.

    values (Mapping[str, str]): By the names in braces. A name in capitals, such as DEV, stands for
        what is not there; an option whose value is "" is left out.
    """
    quoted = _Capitals({name: shlex.quote(value) for name, value in values.items()})
    lines = (line.format_map(quoted) for line in recipe.commands)
    return [re.sub(r" --[\w-]+ ''", "", line) for line in lines]
