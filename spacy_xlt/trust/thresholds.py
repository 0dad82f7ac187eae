"""Thresholds by label and language from which answers are right as often as is wanted."""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence

import numpy as np

from ..components.decisions import NOTHING, OTHERS, nothing_scores
from ..evaluation.metrics import Outcomes, one_hot

# Labelled answers that what was known before counts as, and how sure a precision must be: chosen
# on the development texts of six languages of SIB-200, 50 each, as what kept most answers with the
# precision wanted (0.8, 0.9 or 0.95) in each language but one that is wrong in every second text.
PRIOR_ANSWERS = 20
SURE = 0.75
# Thresholds that are looked at, at most.
MAX_CANDIDATES = 1000
# Scores are computed in single precision.
SLACK = 1e-6


@dataclass(frozen=True)
class Answers:
    """One label's answers, from the highest score down.

    scores (np.ndarray): Probability of the label. Shape: (n_answers,)
    right (np.ndarray): Whether the label applies. Shape: (n_answers,)
    """

    scores: np.ndarray
    right: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def sums_above(self, bounds: np.ndarray) -> np.ndarray:
        """Number, right ones and summed scores of the answers from each bound up. Shape: (3, n)"""
        terms = np.stack([np.ones(len(self)), self.right, self.scores])
        sums = np.concatenate([np.zeros((3, 1)), np.cumsum(terms, axis=1)], axis=1)
        return sums[:, np.searchsorted(-self.scores, -bounds, side="right")]


def fit_thresholds(
    by_lang: Mapping[str, Outcomes], labels: Sequence[str], precision: float, *, exclusive: bool
) -> Dict[str, Dict[str, float]]:
    """The lowest probability for each label and language from which answers are precise enough.

    by_lang (Mapping[str, Outcomes]): Labelled documents with calibrated probabilities, all of them
        answered. Of exclusive labels, the likeliest is a document's answer; of independent ones,
        each that is annotated is one, and that none holds where all are.
    precision (float): Share of the answers kept that is to be right, for each label.
    RETURNS (Dict[str, Dict[str, float]]): By language, with what holds for the others at `OTHERS`.
        A label that is not precise enough from any threshold up is not there.
    """
    if not by_lang:
        return {OTHERS: {}}
    thresholds: Dict[str, Dict[str, float]] = {lang: {} for lang in (OTHERS, *by_lang)}
    columns: List[Optional[int]] = [*range(len(labels)), *([] if exclusive else [None])]
    for column in columns:
        label = NOTHING if column is None else labels[column]
        own = {
            lang: _no_label(outcomes) if column is None else _answers(outcomes, column, exclusive)
            for lang, outcomes in by_lang.items()
        }
        pooled = _join(list(own.values()))
        for lang, row in thresholds.items():
            answers = pooled if lang == OTHERS else own[lang]
            threshold = find_threshold(answers, pooled, precision)
            if threshold is not None:
                row[label] = threshold
    return thresholds


def find_threshold(own: Answers, pooled: Answers, precision: float) -> Optional[float]:
    """The lowest threshold from which a label's answers are precise enough; None if there is none.

    It goes down from the highest score, and stops before the first threshold from which one cannot
    be sure enough. How sure one is follows from the answers seen, right and wrong, and from what
    calibrated probabilities led to expect of them and of those in all languages.

    own (Answers): Those in the language.
    pooled (Answers): Those in all languages.
    SOURCE: going down until the first failure is fixed-sequence testing, as in Learn then Test
        (Angelopoulos et al., 2021, https://arxiv.org/abs/2110.01052), here with a quantile of a
        beta posterior instead of a p value, since a dozen answers prove nothing alone.
    """
    from scipy.special import betaincinv

    if not len(pooled):
        return None
    bounds = np.unique(pooled.scores)[::-1]
    if len(bounds) > MAX_CANDIDATES:
        bounds = bounds[np.linspace(0, len(bounds) - 1, MAX_CANDIDATES).astype(int)]
    n, right, scores = own.sums_above(bounds)
    n_pooled, _, scores_pooled = pooled.sums_above(bounds)
    expected = scores_pooled / n_pooled
    expected = (scores + PRIOR_ANSWERS * expected) / (n + PRIOR_ANSWERS)
    expected = np.clip(expected, SLACK, 1.0 - SLACK)
    bound = betaincinv(
        right + PRIOR_ANSWERS * expected,
        n - right + PRIOR_ANSWERS * (1.0 - expected),
        1.0 - SURE,
    )
    n_passed = int(np.logical_and.accumulate(bound >= precision).sum())
    if not n_passed:
        return None
    return 0.0 if n_passed == len(bounds) else float(bounds[n_passed - 1] * (1.0 - SLACK))


def _answers(outcomes: Outcomes, column: int, exclusive: bool) -> Answers:
    given = one_hot(outcomes.scores) if exclusive else outcomes.known
    rows = np.flatnonzero(given[:, column])
    return _sorted(outcomes.scores[rows, column], outcomes.gold[rows, column])


def _no_label(outcomes: Outcomes) -> Answers:
    """That no label holds, as an answer of the documents in which all are annotated."""
    rows = np.flatnonzero(outcomes.known.all(axis=1))
    has_none = np.asarray(~outcomes.gold[rows].any(axis=1))
    return _sorted(nothing_scores(outcomes.scores[rows]), has_none)


def _join(parts: Sequence[Answers]) -> Answers:
    return _sorted(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.right for part in parts]),
    )


def _sorted(scores: np.ndarray, right: np.ndarray) -> Answers:
    order = np.argsort(-scores, kind="stable")
    return Answers(scores[order].astype(float), right[order])


def find_unreached(
    thresholds: Mapping[str, Mapping[str, float]], labels: Sequence[str]
) -> Dict[str, List[str]]:
    """Answers that are never given, by language, where there are any.

    labels (Sequence[str]): The labels, and `NOTHING` where that is an answer.
    """
    absent = {lang: [x for x in labels if x not in row] for lang, row in thresholds.items()}
    return {lang: names for lang, names in absent.items() if names}
