"""Figures of merit of a text classifier, from arrays of gold labels and predicted scores."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from pydantic import Field
from typing_extensions import Annotated, TypedDict

# A gold probability of at least this counts as a yes; gold labels may be soft.
GOLD_THRESHOLD = 0.5
# What spaCy takes where a component with independent labels sets no threshold.
DEFAULT_THRESHOLD = 0.5
# Standard normal quantile of a two-sided 95 % interval.
Z_95 = 1.959963984540054

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Metrics(TypedDict):
    """Figures for one group of documents; None where a figure is not defined.

    n (int): Labelled documents.
    accuracy (Optional[float]): Share of documents that are wholly right: the highest score is
        that of the gold label, or, with independent labels, every annotated label is on the right
        side of the threshold (exact match). It is that of the scores, whether or not there is
        an answer.
    macro_p, macro_r, macro_f (Optional[float]): Precision, recall and F1, averaged over the labels
        that the group's gold has at least once.
    macro_auc (Optional[float]): Area under the ROC curve, one label against the rest, averaged
        over the labels that the group's gold has and also lacks.
    """

    n: Count
    accuracy: Optional[Share]
    macro_p: Optional[Share]
    macro_r: Optional[Share]
    macro_f: Optional[Share]
    macro_auc: Optional[Share]


@dataclass(frozen=True)
class Outcomes:
    """What a classifier said about labelled documents. All arrays: (n_docs, n_labels).

    gold (np.ndarray): Whether the label applies.
    known (np.ndarray): Whether the gold says anything about the label.
    predicted (np.ndarray): Whether the classifier gave the label.
    scores (np.ndarray): The classifier's scores; minus infinity in documents without a usable
        prediction.
    abstained (Optional[np.ndarray]): Which documents it gave no answer; None if it abstains from
        nothing. Shape: (n_docs,)
    given (Optional[np.ndarray]): The labels of its answers; None if it abstains from nothing.
    sets (Optional[np.ndarray]): Which labels may be right; None if it does not say.
    """

    gold: np.ndarray
    known: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray
    abstained: Optional[np.ndarray] = None
    given: Optional[np.ndarray] = None
    sets: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.gold)

    def __getitem__(self, rows: np.ndarray) -> "Outcomes":
        return Outcomes(
            self.gold[rows],
            self.known[rows],
            self.predicted[rows],
            self.scores[rows],
            None if self.abstained is None else self.abstained[rows],
            None if self.given is None else self.given[rows],
            None if self.sets is None else self.sets[rows],
        )

    @property
    def answered(self) -> np.ndarray:
        """Which documents have a usable prediction. Shape: (n_docs,)."""
        return np.isfinite(self.scores).all(axis=1)

    @property
    def decided(self) -> np.ndarray:
        """Which documents have an answer: a usable prediction, and no abstention. Shape:
        (n_docs,)."""
        return self.answered if self.abstained is None else self.answered & ~self.abstained

    @property
    def correct(self) -> np.ndarray:
        """Which documents are wholly right. Shape: (n_docs,)."""
        agrees = (self.gold == self.predicted) | ~self.known
        return agrees.all(axis=1) & self.answered


def join_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """The documents of several groups together; all of one classifier."""
    joined: Dict[str, Any] = {}
    for field in dataclasses.fields(Outcomes):
        arrays = [getattr(part, field.name) for part in parts]
        joined[field.name] = None if arrays[0] is None else np.concatenate(arrays)
    return Outcomes(**joined)


@dataclass(frozen=True)
class Given:
    """The answers that a classifier gave itself, where it may abstain.

    labels (np.ndarray): Whether the label was given. Shape: (n_docs, n_labels)
    abstained (np.ndarray): Whether there was no answer. Shape: (n_docs,)
    sets (Optional[np.ndarray]): Whether the label may be right; None if it does not say.
        Shape: (n_docs, n_labels)
    """

    labels: np.ndarray
    abstained: np.ndarray
    sets: Optional[np.ndarray]


def compare(
    gold: np.ndarray,
    scores: np.ndarray,
    *,
    exclusive: bool,
    threshold: Optional[float],
    given: Optional[Given] = None,
) -> Outcomes:
    """Turn scores into decisions and gold probabilities into yes and no.

    A document without a usable prediction (a score is NaN or infinite, or all were withheld with
    the answer) gets no label and is never right.

    gold (np.ndarray): Gold probabilities, NaN where not annotated. Shape: (n_docs, n_labels).
    scores (np.ndarray): Predicted scores. Shape: (n_docs, n_labels).
    exclusive (bool): Whether exactly one label applies to a document. Then the highest score
        decides, and a label that is not annotated does not apply.
    threshold (Optional[float]): Score from which an independent label is given.
    given (Optional[Given]): The answers that the classifier gave itself.
    RETURNS (Outcomes): One row for each document.
    """
    answered = np.isfinite(scores).all(axis=1, keepdims=True)
    if given is not None:
        answered &= ~given.abstained[:, None] | scores.any(axis=1, keepdims=True)
    if exclusive:
        known = np.ones_like(gold, dtype=bool)
        decided = one_hot(scores)
        applies = one_hot(np.nan_to_num(gold, nan=0.0))
    else:
        known = ~np.isnan(gold)
        decided = scores >= (DEFAULT_THRESHOLD if threshold is None else threshold)
        applies = np.nan_to_num(gold, nan=0.0) >= GOLD_THRESHOLD
    outcomes = Outcomes(applies, known, decided & answered, np.where(answered, scores, -np.inf))
    if given is None:
        return outcomes
    return dataclasses.replace(
        outcomes, abstained=given.abstained, given=given.labels & answered, sets=given.sets
    )


def measure(outcomes: Outcomes) -> Metrics:
    """Figures for one group of documents."""
    support = (outcomes.gold & outcomes.known).any(axis=0)
    precision, recall, f_score = (values[support] for values in label_prf(outcomes))
    areas = [area for area in label_auc(outcomes) if area is not None]
    return {
        "n": len(outcomes),
        "accuracy": mean(outcomes.correct),
        "macro_p": mean(precision),
        "macro_r": mean(recall),
        "macro_f": mean(f_score),
        "macro_auc": mean(areas),
    }


class Selective(TypedDict):
    """What a classifier that may abstain answers, and how often that is right.

    n_answered (int): Documents with an answer.
    share_answered (float): Their share of all.
    accuracy (Optional[float]): Share of them that is wholly right.
    precision (Optional[float]): Share of the labels given that is right.
    set_size (Optional[float]): Labels in a document's set, on average; None without sets.
    set_coverage (Optional[float]): Share of the gold labels that is in the sets.
    """

    n_answered: Count
    share_answered: Optional[Share]
    accuracy: Optional[Share]
    precision: Optional[Share]
    set_size: Optional[Annotated[float, Field(ge=0)]]
    set_coverage: Optional[Share]


def measure_selective(outcomes: Outcomes) -> Optional[Selective]:
    """Figures of a group of documents; None if the classifier abstains from nothing."""
    if outcomes.given is None:
        return None
    decided, given, sets = outcomes.decided, outcomes.given, outcomes.sets
    answers = dataclasses.replace(outcomes, predicted=given)[decided]
    right = outcomes.gold & outcomes.known
    return {
        "n_answered": int(decided.sum()),
        "share_answered": mean(decided),
        "accuracy": mean(answers.correct),
        "precision": mean(outcomes.gold[given & outcomes.known]),
        "set_size": None if sets is None else mean(sets.sum(axis=1)),
        "set_coverage": None if sets is None else mean(sets[right]),
    }


def label_counts(outcomes: Outcomes) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and false negatives of each label. Shapes: (n_labels,)."""
    tp, fp, fn = (events.sum(axis=0) for events in label_events(outcomes))
    return tp, fp, fn


def label_events(outcomes: Outcomes) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and false negatives. Shapes: (n_docs, n_labels)."""
    gold, predicted, known = outcomes.gold, outcomes.predicted, outcomes.known
    return gold & predicted & known, ~gold & predicted & known, gold & ~predicted & known


def label_prf(outcomes: Outcomes) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each label, 0 where undefined. Shapes: (n_labels,)."""
    return prf(*label_counts(outcomes))


def prf(
    tp: np.ndarray, fp: np.ndarray, fn: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 from counts, 0 where undefined; element by element."""
    return (
        tp / np.maximum(tp + fp, 1),
        tp / np.maximum(tp + fn, 1),
        2 * tp / np.maximum(2 * tp + fp + fn, 1),
    )


def label_auc(outcomes: Outcomes) -> List[Optional[float]]:
    """Area under the ROC curve of each label; None where gold is all yes or all no."""
    columns = zip(outcomes.gold.T, outcomes.scores.T, outcomes.known.T, strict=True)
    return [roc_auc(gold[known], scores[known]) for gold, scores, known in columns]


def roc_auc(gold: np.ndarray, scores: np.ndarray) -> Optional[float]:
    """Probability that a positive scores higher than a negative, ties counting one half.

    gold (np.ndarray): Whether each item is positive. Shape: (n_docs,).
    scores (np.ndarray): Shape: (n_docs,).
    RETURNS (Optional[float]): The area under the ROC curve, or None without both kinds.
    SOURCE: Hanley and McNeil (1982), the rank-sum form.
    """
    n_positive = int(gold.sum())
    n_negative = len(gold) - n_positive
    if not n_positive or not n_negative:
        return None
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    # Equal scores share the mean of the ranks they occupy, counted from 1.
    last_rank = np.cumsum(size)
    rank = (last_rank - (size - 1) / 2)[group]
    above = rank[gold].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def wilson_interval(n_correct: int, n: int) -> Optional[Tuple[float, float]]:
    """95 % confidence interval of a share; None without observations.

    SOURCE: Wilson (1927), without continuity correction. Unlike the usual mean ± 2 standard errors
    it keeps its level for shares near 0 and 1 and for few documents.
    """
    if n == 0:
        return None
    share = n_correct / n
    z2 = Z_95**2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends the formula gives the end itself, but for rounding.
    low = 0.0 if n_correct == 0 else center - half
    high = 1.0 if n_correct == n else center + half
    return low, high


class Transfer(TypedDict):
    """How well a classifier carries over to other languages; None where not defined.

    source_accuracy, target_accuracy (Optional[float]): Mean over the languages, each counting the
        same whatever its number of documents.
    target_macro_f (Optional[float]): Mean of macro F over the target languages.
    worst_accuracy (Optional[float]): Lowest accuracy of a target language.
    worst_lang (Optional[str]): The language it belongs to.
    spread_accuracy (Optional[float]): Standard deviation of accuracy over the target languages
        (population form, 0 for one language).
    transfer_gap (Optional[float]): source_accuracy minus target_accuracy.
    """

    source_accuracy: Optional[Share]
    target_accuracy: Optional[Share]
    target_macro_f: Optional[Share]
    worst_accuracy: Optional[Share]
    worst_lang: Optional[str]
    spread_accuracy: Optional[float]
    transfer_gap: Optional[float]


def is_target(lang: str, source_langs: Sequence[str]) -> bool:
    """Whether a language is one that the classifier saw no labels in.

    Documents without a recorded language ("") are neither source nor target.
    """
    return bool(lang) and lang not in source_langs


def measure_transfer(by_lang: Dict[str, Metrics], source_langs: Sequence[str]) -> Transfer:
    """Compare source and target languages.

    by_lang (Dict[str, Metrics]): Figures for each language tag.
    source_langs (Sequence[str]): Languages of the training labels.
    RETURNS (Transfer): The comparison.
    """
    accuracy = {k: v["accuracy"] for k, v in by_lang.items() if v["accuracy"] is not None}
    targets = {k: v for k, v in accuracy.items() if is_target(k, source_langs)}
    source_accuracy = mean([v for k, v in accuracy.items() if k in source_langs])
    target_accuracy = mean(list(targets.values()))
    worst_lang = min(targets, key=lambda lang: targets[lang]) if targets else None
    macro_fs = [by_lang[lang]["macro_f"] for lang in targets]
    return {
        "source_accuracy": source_accuracy,
        "target_accuracy": target_accuracy,
        "target_macro_f": mean([f for f in macro_fs if f is not None]),
        "worst_accuracy": targets[worst_lang] if worst_lang else None,
        "worst_lang": worst_lang,
        "spread_accuracy": float(np.std(list(targets.values()))) if targets else None,
        "transfer_gap": (
            None
            if source_accuracy is None or target_accuracy is None
            else source_accuracy - target_accuracy
        ),
    }


def mean(values: Union[Sequence[float], np.ndarray]) -> Optional[float]:
    """Mean as a plain float, or None of nothing."""
    return float(np.mean(values)) if len(values) else None


def one_hot(values: np.ndarray) -> np.ndarray:
    """Whether each value is the first of its row's highest. Shape: that of values."""
    chosen = np.zeros(values.shape, dtype=bool)
    if values.size:
        chosen[np.arange(len(values)), values.argmax(axis=1)] = True
    return chosen
