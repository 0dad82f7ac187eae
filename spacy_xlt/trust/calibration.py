"""Temperatures: one number per language that makes probabilities mean what they say."""

from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from ..evaluation.calibration import calibration_error, perfect_calibration_error
from ..evaluation.metrics import Outcomes

# Key of the temperature of all languages that have none of their own.
OTHERS = ""
# Standard deviation of a language's log temperature around that of all: chosen by
# cross-validation on the development texts of six languages of SIB-200, 99 each.
SPREAD = 0.2
# Range of log temperatures that are looked at.
BOUNDS = (-3.0, 3.0)
# Probabilities this near to 0 or 1 count as this near.
SMALLEST = 1e-12
N_FOLDS = 5


@dataclass(frozen=True)
class Calibrated:
    """What a temperature does in one language.

    n (int): Labelled documents.
    temperature (float): Fitted to all of them.
    before, after (float): Excess calibration error without a temperature, and with those that
        were fitted to the other four fifths of the documents.
    """

    n: int
    temperature: float
    before: float
    after: float


def to_logits(scores: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Logits, up to what the probabilities do not depend on. Shape: that of scores."""
    scores = np.clip(scores, SMALLEST, 1.0)
    if exclusive:
        return np.log(scores)
    return np.log(scores) - np.log(np.clip(1.0 - scores, SMALLEST, 1.0))


def log_likelihood(
    logits: np.ndarray, outcomes: Outcomes, temperature: float, *, exclusive: bool
) -> float:
    """Log probability of the gold labels, summed over documents and annotated labels."""
    logits = logits / temperature
    if exclusive:
        return float(log_softmax(logits, axis=1)[outcomes.gold].sum())
    signs = np.where(outcomes.gold, 1.0, -1.0)
    return float(log_expit(signs * logits)[outcomes.known].sum())


def fit_temperature(
    outcomes: Outcomes, *, exclusive: bool, center: Optional[float] = None
) -> float:
    """The temperature under which the gold labels are most likely.

    outcomes (Outcomes): Labelled documents, all of them answered.
    center (Optional[float]): A temperature that it is likely to be near, the more so the fewer
        documents there are; None for no such thing.
    SOURCE: temperature scaling of Guo et al. (2017, https://arxiv.org/abs/1706.04599), here with a
        normal prior on its logarithm.
    """
    logits = to_logits(outcomes.scores, exclusive=exclusive)

    def loss(log_temperature: float) -> float:
        fit = log_likelihood(logits, outcomes, np.exp(log_temperature), exclusive=exclusive)
        if center is None:
            return -fit
        return -fit + (log_temperature - np.log(center)) ** 2 / (2 * SPREAD**2)

    return float(np.exp(minimize_scalar(loss, bounds=BOUNDS, method="bounded").x))


def fit_temperatures(by_lang: Mapping[str, Outcomes], *, exclusive: bool) -> Dict[str, float]:
    """A temperature for each language, shrunk towards that of all of them together.

    by_lang (Mapping[str, Outcomes]): Labelled documents, all of them answered.
    RETURNS (Dict[str, float]): By language; that of all together stands for other languages, at
        `OTHERS`.
    """
    general = fit_temperature(_join(list(by_lang.values())), exclusive=exclusive)
    own = {
        lang: fit_temperature(outcomes, exclusive=exclusive, center=general)
        for lang, outcomes in by_lang.items()
        if lang != OTHERS
    }
    return {OTHERS: general, **own}


def check_temperatures(
    by_lang: Mapping[str, Outcomes], temperatures: Mapping[str, float], *, exclusive: bool
) -> Dict[str, Calibrated]:
    """What temperatures do in each language, on documents that they were not fitted to.

    by_lang (Mapping[str, Outcomes]): What they were fitted to.
    temperatures (Mapping[str, float]): Those of `fit_temperatures`.
    """
    rng = np.random.default_rng(0)
    folds = {lang: rng.permutation(len(o)) % N_FOLDS for lang, o in by_lang.items()}
    tempered = {lang: np.array(o.scores, dtype=float) for lang, o in by_lang.items()}
    for fold in range(N_FOLDS):
        others = {lang: o[folds[lang] != fold] for lang, o in by_lang.items()}
        rest = {lang: o for lang, o in others.items() if len(o)}
        fitted = fit_temperatures(rest, exclusive=exclusive) if rest else {OTHERS: 1.0}
        for lang, outcomes in by_lang.items():
            rows = folds[lang] == fold
            temperature = fitted.get(lang, fitted[OTHERS])
            tempered[lang][rows] = apply_temperature(
                outcomes.scores[rows], temperature, exclusive=exclusive
            )
    return {
        lang: Calibrated(
            n=len(outcomes),
            temperature=temperatures[lang],
            before=excess_error(outcomes.scores, outcomes, exclusive=exclusive),
            after=excess_error(tempered[lang], outcomes, exclusive=exclusive),
        )
        for lang, outcomes in by_lang.items()
    }


def apply_temperature(scores: np.ndarray, temperature: float, *, exclusive: bool) -> np.ndarray:
    """Probabilities after a temperature. Shape: that of scores."""
    logits = to_logits(scores, exclusive=exclusive) / temperature
    return np.exp(log_softmax(logits, axis=1) if exclusive else log_expit(logits))


def excess_error(scores: np.ndarray, outcomes: Outcomes, *, exclusive: bool) -> float:
    """Calibration error beyond that of a calibrated classifier with these probabilities.

    Of exclusive labels the chosen one counts, of independent ones every one that is annotated.
    """
    if exclusive:
        confidence, correct = scores.max(axis=1), outcomes.correct
    else:
        confidence, correct = scores[outcomes.known], outcomes.gold[outcomes.known]
    return calibration_error(confidence, correct) - perfect_calibration_error(confidence)


def _join(parts: Sequence[Outcomes]) -> Outcomes:
    return Outcomes(
        np.concatenate([part.gold for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
