"""What an evaluation should make its reader worry about, and what to do next."""

import unicodedata
from typing import List, Optional, Sequence, Tuple

from ..languages import language_name
from .gains import Gain, measured_gains
from .metrics import mean
from .results import Evaluation, LanguageResult

# A target language further below the source than this must not be trusted.
MAX_GAP = 0.20
# With fewer documents the interval of an accuracy is wider than about ±14 points.
FEW_DOCS = 50
# Probabilities that promise this much more than the classifier keeps.
MAX_OVERCONFIDENCE = 0.10
# Calibration error beyond chance, in the mean over languages, that is worth calibrating for.
MAX_EXCESS_ERROR = 0.03
# What it brought where this package was measured, on SIB-200 (see the README).
GAIN_OF_CALIBRATION = (
    "On SIB-200 it took the error from 9 points to 3 with source labels alone, and to 1 with 99 "
    "labels per language."
)


def find_warnings(evaluation: Evaluation) -> List[str]:
    """What should worry the user, the gravest first; nothing if all is well."""
    languages = evaluation["languages"]
    source = evaluation["transfer"]["source_accuracy"]
    targets = [result for result in languages if result["role"] == "target"]
    checks = [
        (
            f"Not to be trusted, more than {100 * MAX_GAP:.0f} points below the source",
            [result for result in targets if not is_trusted(result, source)],
        ),
        (
            "No better than always answering with the most frequent label",
            [result for result in languages if is_guessing(result, evaluation["exclusive"])],
        ),
        (
            f"Fewer than {FEW_DOCS} documents, so the figure is a rough one",
            [result for result in languages if result["n"] < FEW_DOCS],
        ),
        (
            "The probabilities promise too much (mean probability of the chosen label at least "
            f"{100 * MAX_OVERCONFIDENCE:.0f} points above the accuracy)",
            [result for result in languages if is_overconfident(result)],
        ),
        (
            "Some documents got no usable prediction and count as wrong",
            [result for result in languages if result["n_unanswered"]],
        ),
    ]
    warnings = [f"{text}: {_list_languages(results)}." for text, results in checks if results]
    return warnings + _find_gaps_in_data(evaluation)


def is_trusted(result: LanguageResult, source_accuracy: Optional[float]) -> bool:
    """Whether a language stands at most MAX_GAP below the source; true where none is known."""
    accuracy = result["accuracy"]
    if source_accuracy is None or accuracy is None:
        return True
    return source_accuracy - accuracy <= MAX_GAP


def is_guessing(result: LanguageResult, exclusive: bool) -> bool:
    """Whether the accuracy may be that of always giving the language's most frequent label."""
    if not exclusive or not result["interval"] or result["n"] < FEW_DOCS:
        return False
    most_frequent = max(counts["tp"] + counts["fn"] for counts in result["labels"].values())
    return result["interval"][0] <= most_frequent / result["n"] < 1


def is_overconfident(result: LanguageResult) -> bool:
    """Whether the mean probability of the chosen label is far above the accuracy."""
    confidence, accuracy = result["confidence"], result["accuracy"]
    if confidence is None or accuracy is None or result["n"] < FEW_DOCS:
        return False
    return confidence["mean"] - accuracy >= MAX_OVERCONFIDENCE


def compare_runs(evaluations: Sequence[Evaluation]) -> List[str]:
    """Why the figures of several runs may not be comparable; nothing if they are."""
    first, *others = evaluations
    warnings = []
    for other in others:
        if other["labels"] != first["labels"]:
            differing = sorted(set(other["labels"]) ^ set(first["labels"]))
            what = f"labels ({_join(differing)})" if differing else "order of labels"
            warnings.append(f"{first['name']} and {other['name']} differ in {what}.")
        if _hashes(other) != _hashes(first):
            warnings.append(
                f"{first['name']} and {other['name']} were not measured on the same files, so "
                f"they are comparable only as far as the files are."
            )
    return warnings


def next_step(evaluation: Evaluation) -> str:
    """The one step that would help most, with the figures that speak for it."""
    transfer = evaluation["transfer"]
    target, source = transfer["target_accuracy"], transfer["source_accuracy"]
    if target is None:
        return (
            "Evaluate on labelled texts of a language that was not trained on: without them, "
            "nothing is known about transfer."
        )
    targets = [result for result in evaluation["languages"] if result["role"] == "target"]
    small = [result for result in targets if result["n"] < FEW_DOCS]
    if len(small) > len(targets) / 2:
        return (
            f"Label more test documents: {len(small)} of {len(targets)} target languages have "
            f"fewer than {FEW_DOCS}, too few to tell progress from chance. 200 per language give "
            f"about ±5 points."
        )
    if source is None:
        return (
            "Add test documents in the source language, or name it with --source-langs: without "
            "it, errors of transfer and errors of the task cannot be told apart."
        )
    shares = (
        f"Of 100 target documents {100 * (1 - target):.0f} are wrong; in the source language it "
        f"is {100 * (1 - source):.0f}."
    )
    if 1 - source >= source - target:
        hint = ""
        pair = _worst_confusion(evaluation)
        if pair and pair[2] >= 0.1:
            gold, predicted, share = pair
            percent = f"{100 * share:.0f}\u00a0% of all errors"
            hint = (
                f" Look first at '{_isolate(gold)}' taken for '{_isolate(predicted)}': {percent}."
            )
        return (
            f"{shares} Most errors are not errors of transfer: more or cleaner training labels in "
            f"the source language help every language at once.{hint}"
        )
    worst = sorted(targets, key=lambda result: result["accuracy"] or 0.0)[:3]
    guessed = [result for result in targets if is_guessing(result, evaluation["exclusive"])]
    hint = ""
    if guessed:
        hint = (
            f" In {_list_languages(guessed)} it is no better than guessing; there the encoder may "
            f"not know the script: see the share of unknown pieces in 'spacy xlt data check', and "
            f"try another encoder."
        )
    return (
        f"{shares} Most errors come from transfer: fine-tune on a few hundred labelled documents "
        f"of the languages you need, beginning with the weakest: {_list_languages(worst)}."
        f"{gain_of_labels(measured_gains())}{hint}"
    )


def gain_of_labels(gains: Sequence[Gain]) -> str:
    """What labels in target languages brought, by how many there were; "" if none was measured."""
    measured = [gain for gain in gains if gain.labels_per_class]
    if not measured:
        return ""
    brought = [
        f"{gain.labels_per_class} labels per class brought {gain.points} points in "
        f"{len(gain.langs)} language{'' if len(gain.langs) == 1 else 's'} ({gain.recipe})"
        for gain in sorted(measured, key=lambda gain: gain.labels_per_class or 0)
    ]
    return f" On SIB-200 {', '.join(brought)}."


def further_steps(evaluation: Evaluation) -> List[str]:
    """Cheaper steps that are worth taking as well, each with the command and what it brings."""
    steps = []
    languages = evaluation["languages"]
    errors = [row["confidence"]["excess_error"] for row in languages if row["confidence"]]
    error = mean(errors)
    if error is not None and error > MAX_EXCESS_ERROR:
        steps.append(
            f"Calibrate the probabilities, which are {100 * error:.0f} points off on average, "
            f"with labelled texts that the pipeline was not trained on: spacy xlt calibrate. "
            f"{GAIN_OF_CALIBRATION}"
        )
    return steps


def _worst_confusion(evaluation: Evaluation) -> Optional[Tuple[str, str, float]]:
    """Gold label, wrong label, and their share of all wrong answers."""
    labels, matrix = evaluation["labels"], evaluation["overall"]["confusion"] or []
    counts = {
        (gold, predicted): n
        for gold, row in zip(labels, matrix, strict=False)
        for predicted, n in zip(labels, row, strict=True)
        if gold != predicted and n
    }
    if not counts:
        return None
    pair = max(counts, key=lambda pair: counts[pair])
    return (*pair, counts[pair] / sum(counts.values()))


def _find_gaps_in_data(evaluation: Evaluation) -> List[str]:
    """What the test data did not allow to measure."""
    warnings = []
    counts = evaluation["overall"]["labels"]
    unseen = [label for label, count in counts.items() if not count["tp"] + count["fn"]]
    if unseen:
        warnings.append(
            f"No test document has the label {_join(unseen)}: nothing is known about it."
        )
    never = [
        label
        for label, count in counts.items()
        if count["fn"] and not count["tp"] and not count["fp"]
    ]
    if never:
        warnings.append(f"Never predicted although it should be: {_join(never)}.")
    if evaluation["n_unlabelled"]:
        warnings.append(
            f"{evaluation['n_unlabelled']:,} documents without a gold label were left out."
        )
    if any(result["role"] == "unknown" for result in evaluation["languages"]):
        warnings.append("The language of some documents is not recorded; they are 'unknown'.")
    if not evaluation["source_langs"]:
        warnings.append(
            "The pipeline does not record what languages it was trained on, so every language "
            "counts as a target. Name them with --source-langs."
        )
    elif evaluation["transfer"]["source_accuracy"] is None:
        langs = ", ".join(language_name(lang) for lang in evaluation["source_langs"])
        warnings.append(f"No test document in the source language ({langs}): no gap is known.")
    return warnings


def _join(labels: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(labels) - limit} more" if len(labels) > limit else ""
    return ", ".join(map(_isolate, labels[:limit])) + more


def _isolate(label: str) -> str:
    """A label that does not turn the words around it if it runs from right to left."""
    turns = any(unicodedata.bidirectional(char) in ("R", "AL") for char in label)
    return f"\u2068{label}\u2069" if turns else label


def _hashes(evaluation: Evaluation) -> List[str]:
    return sorted(corpus["sha256"] for corpus in evaluation["signature"]["corpora"])


def _list_languages(results: Sequence[LanguageResult], limit: int = 8) -> str:
    names = [
        f"{language_name(result['lang'])} ({100 * (result['accuracy'] or 0):.0f}\u00a0%)"
        for result in results[:limit]
    ]
    more = f" and {len(results) - limit} more" if len(results) > limit else ""
    return ", ".join(names) + more
