"""Temperatures: one number per language that makes probabilities mean what they say."""

from typing import Dict, Mapping, Optional

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from ..components.decisions import OTHERS
from ..evaluation.metrics import Outcomes, join_outcomes
from ..layers.losses import to_logits

# Standard deviation of a language's log temperature around that of all: chosen by
# cross-validation on the development texts of six languages of SIB-200, 99 each.
SPREAD = 0.2
# Range of log temperatures that are looked at.
BOUNDS = (-3.0, 3.0)


def to_scores(logits: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Probabilities. Shape: that of logits."""
    return np.exp(log_softmax(logits, axis=1) if exclusive else log_expit(logits))


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
        `OTHERS`. It is 1 if there are no documents at all.
    """
    if not by_lang:
        return {OTHERS: 1.0}
    general = fit_temperature(join_outcomes(list(by_lang.values())), exclusive=exclusive)
    own = {
        lang: fit_temperature(outcomes, exclusive=exclusive, center=general)
        for lang, outcomes in by_lang.items()
        if lang != OTHERS
    }
    return {OTHERS: general, **own}
