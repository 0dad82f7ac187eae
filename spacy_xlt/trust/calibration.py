"""Calibration as a whole: what is fitted to labelled texts, and what that is worth."""

from dataclasses import dataclass, replace
from typing import Dict, List, Mapping, Optional, Sequence

import numpy as np

from ..components.decisions import NEEDED, Abstain, Calibration, adjust_logits, decide
from ..evaluation.calibration import calibration_error, perfect_calibration_error
from ..evaluation.metrics import Outcomes, Selective, join_outcomes, measure_selective
from ..layers.losses import to_logits
from .conformal import fit_set_thresholds
from .temperatures import fit_temperatures, to_scores
from .thresholds import fit_thresholds

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
        calibration = Calibration(temperatures=fit_temperatures(by_lang, exclusive=self.exclusive))
        calibrated = self.calibrate(by_lang, calibration)
        if self.precision is not None:
            calibration["precision"] = self.precision
            calibration["thresholds"] = fit_thresholds(
                calibrated, self.labels, self.precision, exclusive=self.exclusive
            )
        if self.coverage is not None:
            calibration["coverage"] = self.coverage
            calibration["set_thresholds"] = fit_set_thresholds(calibrated, self.coverage)
        return calibration

    def calibrate(
        self, by_lang: Mapping[str, Outcomes], calibration: Calibration
    ) -> Dict[str, Outcomes]:
        """The documents with the probabilities that a calibrated component gives."""
        calibrated = {}
        for lang, outcomes in by_lang.items():
            logits = to_logits(outcomes.scores, exclusive=self.exclusive)
            logits = adjust_logits(logits, [lang] * len(outcomes), self.labels, calibration)
            scores = to_scores(logits, exclusive=self.exclusive)
            calibrated[lang] = replace(outcomes, scores=scores)
        return calibrated

    def abstain(
        self, by_lang: Mapping[str, Outcomes], calibration: Calibration, how: Abstain
    ) -> Dict[str, Outcomes]:
        """Documents with calibrated probabilities and the answers of a component that abstains."""
        abstaining = {}
        for lang, outcomes in by_lang.items():
            decisions = decide(
                outcomes.scores,
                [lang] * len(outcomes),
                self.labels,
                calibration,
                abstain=how,
                exclusive=self.exclusive,
                threshold=self.threshold,
            )
            abstaining[lang] = replace(
                outcomes,
                abstained=~decisions.answered,
                given=decisions.given,
                sets=decisions.sets,
            )
        return abstaining

    def check(self, by_lang: Mapping[str, Outcomes]) -> Dict[str, "Calibrated"]:
        """What `fit` is worth in each language, on documents that it was not fitted to."""
        rng = np.random.default_rng(0)
        folds = {lang: rng.permutation(len(o)) % N_FOLDS for lang, o in by_lang.items()}
        parts: Dict[Abstain, Dict[str, List[Outcomes]]] = {}
        for fold in range(N_FOLDS):
            others = {lang: o[folds[lang] != fold] for lang, o in by_lang.items()}
            calibration = self.fit({lang: o for lang, o in others.items() if len(o)})
            held = {lang: o[folds[lang] == fold] for lang, o in by_lang.items()}
            held = self.calibrate(held, calibration)
            found: Dict[Abstain, Dict[str, Outcomes]] = {"none": held}
            for way, part in NEEDED.items():
                if part in calibration:
                    found[way] = self.abstain(held, calibration, way)
            for way, by_way in found.items():
                for lang, outcomes in by_way.items():
                    parts.setdefault(way, {}).setdefault(lang, []).append(outcomes)
        return {
            lang: self._compare(
                outcomes, {way: join_outcomes(by_way[lang]) for way, by_way in parts.items()}
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


def excess_error(scores: np.ndarray, outcomes: Outcomes, *, exclusive: bool) -> float:
    """Calibration error beyond that of a calibrated classifier with these probabilities.

    Of exclusive labels the chosen one counts, of independent ones every one that is annotated.
    """
    if exclusive:
        confidence, correct = scores.max(axis=1), outcomes.correct
    else:
        confidence, correct = scores[outcomes.known], outcomes.gold[outcomes.known]
    return calibration_error(confidence, correct) - perfect_calibration_error(confidence)
