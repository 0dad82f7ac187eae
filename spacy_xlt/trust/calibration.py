"""Calibration as a whole, and temperatures: one number per language that makes probabilities mean
what they say."""

from dataclasses import dataclass, replace
from typing import Dict, List, Mapping, Optional, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from ..components.decisions import NEEDED, OTHERS, Abstain, Calibration, adjust_logits, decide
from ..evaluation.calibration import calibration_error, perfect_calibration_error
from ..evaluation.metrics import Outcomes, Selective, join_outcomes, measure_selective
from .conformal import fit_set_thresholds
from .thresholds import fit_thresholds

# Standard deviation of a language's log temperature around that of all: chosen by
# cross-validation on the development texts of six languages of SIB-200, 99 each.
SPREAD = 0.2
# Range of log temperatures that are looked at.
BOUNDS = (-3.0, 3.0)
# Probabilities this near to 0 or 1 count as this near.
SMALLEST = 1e-12
N_FOLDS = 5


@dataclass(frozen=True)
class Calibrator:
    """What is to be fitted to a classifier of which labels.

    threshold (Optional[float]): From where independent labels are given otherwise.
    precision (Optional[float]): Share of each label's answers that is to be right; None for no
        thresholds.
    coverage (Optional[float]): Share of gold labels that is to be in the sets; None for no sets.
    """

    labels: Sequence[str]
    exclusive: bool
    threshold: Optional[float] = None
    precision: Optional[float] = None
    coverage: Optional[float] = None

    def __post_init__(self) -> None:
        for name in ("precision", "coverage"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"The {name} wanted is {value}; allowed is between 0 and 1.")

    def fit(self, by_lang: Mapping[str, Outcomes]) -> Calibration:
        """Fit all that is wanted to labelled documents, all of them answered, by language."""
        calibration = Calibration(temperatures={OTHERS: 1.0})
        calibrated: Dict[str, Outcomes] = {}
        if by_lang:
            calibration["temperatures"] = fit_temperatures(by_lang, exclusive=self.exclusive)
            calibrated = {
                lang: self.calibrate(o, [lang] * len(o), calibration) for lang, o in by_lang.items()
            }
        if self.precision is not None:
            calibration["precision"] = self.precision
            calibration["thresholds"] = {OTHERS: {}}
            if calibrated:
                calibration["thresholds"] = fit_thresholds(
                    calibrated, self.labels, self.precision, exclusive=self.exclusive
                )
        if self.coverage is not None:
            calibration["coverage"] = self.coverage
            calibration["set_thresholds"] = {OTHERS: 0.0}
            if calibrated:
                calibration["set_thresholds"] = fit_set_thresholds(calibrated, self.coverage)
        return calibration

    def calibrate(
        self, outcomes: Outcomes, langs: Sequence[str], calibration: Calibration
    ) -> Outcomes:
        """The documents with the probabilities that a calibrated component gives."""
        logits = to_logits(outcomes.scores, exclusive=self.exclusive)
        logits = adjust_logits(logits, langs, self.labels, calibration)
        return replace(outcomes, scores=to_scores(logits, exclusive=self.exclusive))

    def abstain(
        self, outcomes: Outcomes, langs: Sequence[str], calibration: Calibration, how: Abstain
    ) -> Outcomes:
        """Documents with calibrated probabilities and the answers of a component that abstains."""
        decisions = decide(
            outcomes.scores,
            langs,
            self.labels,
            calibration,
            abstain=how,
            exclusive=self.exclusive,
            threshold=self.threshold,
        )
        return replace(
            outcomes,
            predicted=decisions.given,
            abstained=~decisions.answered,
            sets=decisions.sets,
        )

    def check(self, by_lang: Mapping[str, Outcomes]) -> Dict[str, "Calibrated"]:
        """What `fit` is worth in each language, on documents that it was not fitted to."""
        rng = np.random.default_rng(0)
        folds = {lang: rng.permutation(len(o)) % N_FOLDS for lang, o in by_lang.items()}
        parts: Dict[str, Dict[Abstain, List[Outcomes]]] = {lang: {} for lang in by_lang}
        for fold in range(N_FOLDS):
            others = {lang: o[folds[lang] != fold] for lang, o in by_lang.items()}
            calibration = self.fit({lang: o for lang, o in others.items() if len(o)})
            ways = [way for way, part in NEEDED.items() if part in calibration]
            for lang, outcomes in by_lang.items():
                held = outcomes[folds[lang] == fold]
                langs = [lang] * len(held)
                held = self.calibrate(held, langs, calibration)
                parts[lang].setdefault("none", []).append(held)
                for way in ways:
                    found = self.abstain(held, langs, calibration, way)
                    parts[lang].setdefault(way, []).append(found)
        return {
            lang: self._compare(
                outcomes, {way: join_outcomes(held) for way, held in parts[lang].items()}
            )
            for lang, outcomes in by_lang.items()
        }

    def _compare(self, before: Outcomes, after: Mapping[Abstain, Outcomes]) -> "Calibrated":
        found = {way: measure_selective(after[way]) for way in NEEDED if way in after}
        return Calibrated(
            n=len(before),
            before=excess_error(before.scores, before, exclusive=self.exclusive),
            after=excess_error(after["none"].scores, after["none"], exclusive=self.exclusive),
            selective={way: one for way, one in found.items() if one is not None},
        )


@dataclass(frozen=True)
class Calibrated:
    """What calibration is worth in one language.

    n (int): Labelled documents.
    before, after (float): Excess calibration error without calibration, and with what was fitted
        to the other four fifths of the documents.
    selective (Dict[str, Selective]): What would be answered by each way of abstaining that was
        fitted, and how often that is right, with what was fitted to the others.
    """

    n: int
    before: float
    after: float
    selective: Dict[Abstain, Selective]


def to_logits(scores: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Logits, up to what the probabilities do not depend on. Shape: that of scores."""
    scores = np.clip(scores, SMALLEST, 1.0)
    if exclusive:
        return np.log(scores)
    return np.log(scores) - np.log(np.clip(1.0 - scores, SMALLEST, 1.0))


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
        `OTHERS`.
    """
    general = fit_temperature(join_outcomes(list(by_lang.values())), exclusive=exclusive)
    own = {
        lang: fit_temperature(outcomes, exclusive=exclusive, center=general)
        for lang, outcomes in by_lang.items()
        if lang != OTHERS
    }
    return {OTHERS: general, **own}


def apply_temperature(scores: np.ndarray, temperature: float, *, exclusive: bool) -> np.ndarray:
    """Probabilities after a temperature. Shape: that of scores."""
    return to_scores(to_logits(scores, exclusive=exclusive) / temperature, exclusive=exclusive)


def excess_error(scores: np.ndarray, outcomes: Outcomes, *, exclusive: bool) -> float:
    """Calibration error beyond that of a calibrated classifier with these probabilities.

    Of exclusive labels the chosen one counts, of independent ones every one that is annotated.
    """
    if exclusive:
        confidence, correct = scores.max(axis=1), outcomes.correct
    else:
        confidence, correct = scores[outcomes.known], outcomes.gold[outcomes.known]
    return calibration_error(confidence, correct) - perfect_calibration_error(confidence)
