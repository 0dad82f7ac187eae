"""Learning curves: accuracy against the number of labels, and a curve that leads on from there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from .metrics import Count, Share
from .results import read_checked
from .uncertainty import Interval, draw_units, percentile_interval

FORMAT = "spacy_xlt.learning_curve.v1"
# Exponents of the inverse power, and how many scales from one document to SCALE_RANGE times the
# largest number of labels: the curve is the best of these.
POWERS = (0.25, 0.5, 1.0, 2.0)
N_SCALES = 16
SCALE_RANGE = 3.0
# A curve of three numbers needs more points than that to be a finding.
MIN_POINTS = 4
# How many times the labels there are a curve is drawn out to.
AHEAD = 2.0


class Trial(TypedDict):
    """One training and what came of it.

    lang (str): Target language.
    shots (Optional[int]): Labels per class that were drawn; None for all.
    draw (int): Number of the draw.
    n_labels (int): Documents that were trained on.
    accuracy (float): On the documents measured on.
    macro_f (Optional[float]): The same.
    correct (str): A 0 or 1 for each of these.
    seconds (float): Time of the training.
    """

    lang: str
    shots: Optional[int]
    draw: int
    n_labels: Count
    accuracy: Share
    macro_f: Optional[Share]
    correct: str
    seconds: float


class LearningPoint(TypedDict):
    """Trainings with one number of labels.

    shots (Optional[int]): Labels per class that were drawn; None for all.
    n_labels (float): Documents trained on, on average over draws.
    n_draws (int): Draws.
    accuracy (float): Mean over draws.
    sd (Optional[float]): Standard deviation over draws; None of one.
    """

    shots: Optional[int]
    n_labels: float
    n_draws: Count
    accuracy: Share
    sd: Optional[float]


class LearningCurve(TypedDict):
    """The curve of a language, or of the mean over languages.

    lang (str): Its tag; "" for the mean.
    n_measured (int): Documents measured on, in each language.
    points (List[LearningPoint]): By number of labels.
    fitted (List[Tuple[float, float, float, float]]): Number of labels, accuracy by the curve and
        its 95 % interval, from none to AHEAD times what there is; empty if there are too few
        points.
    gain (Optional[float]): What the labels brought, as measured: with all against with none.
    gain_interval (Optional[Interval]): Its 95 % interval.
    ahead (Optional[float]): What AHEAD times the labels would bring more, by the curve.
    ahead_interval (Optional[Interval]): Its 95 % interval.
    """

    lang: str
    n_measured: Count
    points: List[LearningPoint]
    fitted: List[Tuple[float, float, float, float]]
    gain: Optional[float]
    gain_interval: Optional[Interval]
    ahead: Optional[float]
    ahead_interval: Optional[Interval]


class LearningCurves(TypedDict):
    """All curves, and what they are of.

    format (str): `spacy_xlt.learning_curve.v1`.
    pipeline, recipe (str): What was trained further, and how; "head" for its head alone.
    languages (List[LearningCurve]): By falling gain of more labels.
    mean (Optional[LearningCurve]): Over languages; None of one.
    """

    format: str
    pipeline: str
    recipe: str
    languages: List[LearningCurve]
    mean: Optional[LearningCurve]


_TRIAL = TypeAdapter(Trial)


def read_trial(path: Path) -> Trial:
    """RAISES (ValueError): If the file is no trial, or is damaged."""
    again = "Delete it, and the command makes it again."
    trial: Trial = read_checked(path, _TRIAL, what="a trial of a learning curve", again=again)
    return trial


@dataclass(frozen=True)
class Outcome:
    """Trials of a language as arrays.

    n_labels (np.ndarray): Documents trained on, by number of shots. Shape: (n_points,)
    right (np.ndarray): How often draws had each document right. Shape: (n_points, n_docs)
    draws (List[np.ndarray]): The same for each draw, by point. Shapes: (n_draws, n_docs)
    """

    shots: List[Optional[int]]
    n_labels: np.ndarray
    draws: List[np.ndarray]

    def resample(self, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Accuracies if documents and draws were others.

        counts (np.ndarray): How often each document is in a sample. Shape: (n_samples, n_docs)
        RETURNS (np.ndarray): Shape: (n_samples, n_points)
        """
        shares = counts / counts.sum(axis=1, keepdims=True)
        n_draws = max(len(right) for right in self.draws)
        # The same draws at every point, since a smaller draw is part of a larger one.
        picked = rng.integers(0, n_draws, size=(len(counts), n_draws))
        columns = []
        for right in self.draws:
            by_draw = shares @ right.T
            own = by_draw[np.arange(len(counts))[:, None], picked % by_draw.shape[1]]
            columns.append(own.mean(axis=1))
        return np.stack(columns, axis=1)


def make_curves(trials: Sequence[Trial], *, pipeline: str, recipe: str) -> LearningCurves:
    """Curves of all languages and of their mean.

    trials (Sequence[Trial]): All trials; those of a language measured on the same documents.
    RAISES (ValueError): If there are none, or trials of a language were measured on others.
    """
    by_lang: Dict[str, List[Trial]] = {}
    for trial in trials:
        by_lang.setdefault(trial["lang"], []).append(trial)
    if not by_lang:
        raise ValueError("There is no trial to make a learning curve of.")
    outcomes = {lang: _to_outcome(own) for lang, own in by_lang.items()}
    languages = [_make_curve(lang, [outcome]) for lang, outcome in outcomes.items()]
    languages.sort(key=lambda curve: (-(curve["ahead"] or 0.0), curve["lang"]))
    return {
        "format": FORMAT,
        "pipeline": pipeline,
        "recipe": recipe,
        "languages": languages,
        "mean": _make_curve("", list(outcomes.values())) if len(outcomes) > 1 else None,
    }


def _to_outcome(trials: Sequence[Trial]) -> Outcome:
    sizes = {len(trial["correct"]) for trial in trials}
    if len(sizes) > 1:
        raise ValueError(
            f"Trials in '{trials[0]['lang']}' were measured on different documents ({sizes})."
        )
    groups: Dict[Tuple[bool, int], List[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial["shots"] is None, trial["shots"] or 0), []).append(trial)
    ordered = [sorted(groups[key], key=lambda trial: trial["draw"]) for key in sorted(groups)]
    return Outcome(
        shots=[own[0]["shots"] for own in ordered],
        n_labels=np.array([np.mean([trial["n_labels"] for trial in own]) for own in ordered]),
        draws=[np.array([list(map(int, trial["correct"])) for trial in own]) for own in ordered],
    )


def _make_curve(lang: str, outcomes: Sequence[Outcome]) -> LearningCurve:
    """The curve of one language, or of the mean over several at the shots that all have."""
    shared = [
        shots for shots in outcomes[0].shots if all(shots in other.shots for other in outcomes)
    ]
    parts = [_select(outcome, shared) for outcome in outcomes]
    n_labels = np.mean([part.n_labels for part in parts], axis=0)
    accuracies = np.mean([[right.mean() for right in part.draws] for part in parts], axis=0)
    samples = _resample(parts)
    points: List[LearningPoint] = [
        {
            "shots": shots,
            "n_labels": float(n_labels[i]),
            "n_draws": max(len(part.draws[i]) for part in parts),
            "accuracy": float(accuracies[i]),
            "sd": _spread([part.draws[i] for part in parts]),
        }
        for i, shots in enumerate(shared)
    ]
    curve: LearningCurve = {
        "lang": lang,
        "n_measured": max(part.draws[0].shape[1] for part in parts),
        "points": points,
        "fitted": [],
        "gain": None,
        "gain_interval": None,
        "ahead": None,
        "ahead_interval": None,
    }
    if len(shared) > 1 and n_labels[0] == 0.0:
        curve["gain"] = float(accuracies[-1] - accuracies[0])
        curve["gain_interval"] = percentile_interval(samples[:, -1] - samples[:, 0])
    if len(shared) >= MIN_POINTS:
        most = float(n_labels[-1])
        at = np.concatenate([np.linspace(0.0, 1.0, 41) ** 2 * most * AHEAD, [most]])
        (values,) = fit_and_predict(n_labels, accuracies[None], at)
        resampled = fit_and_predict(n_labels, samples, at)
        lows, highs = np.quantile(resampled, [0.025, 0.975], axis=0)
        rows = zip(at, values, lows, highs, strict=True)
        curve["fitted"] = [tuple(map(float, row)) for row in list(rows)[:-1]]  # type: ignore[misc]
        curve["ahead"] = float(values[-2] - values[-1])
        curve["ahead_interval"] = percentile_interval(resampled[:, -2] - resampled[:, -1])
    return curve


def _select(outcome: Outcome, shots: Sequence[Optional[int]]) -> Outcome:
    rows = [outcome.shots.index(one) for one in shots]
    return Outcome(list(shots), outcome.n_labels[rows], [outcome.draws[i] for i in rows])


def _spread(parts: Sequence[np.ndarray]) -> Optional[float]:
    """Standard deviation over draws, of the mean over languages. Shapes: (n_draws, n_docs)"""
    n_draws = min(len(right) for right in parts)
    if n_draws < 2:
        return None
    means = np.mean([right[:n_draws].mean(axis=1) for right in parts], axis=0)
    return float(np.std(means, ddof=1))


def _resample(parts: Sequence[Outcome]) -> np.ndarray:
    """Mean accuracies over languages for other documents and draws. Shape: (n_samples, n_points)

    Languages with as many documents are taken to have the same sentences, as parallel corpora do.
    """
    counts: Dict[int, np.ndarray] = {}
    rng = np.random.default_rng(0)
    columns = []
    for part in parts:
        n_docs = part.draws[0].shape[1]
        if n_docs not in counts:
            counts[n_docs] = np.concatenate(list(draw_units(n_docs)))
        columns.append(part.resample(counts[n_docs], rng))
    return np.mean(columns, axis=0)


def fit_and_predict(n_labels: np.ndarray, accuracies: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Fit inverse powers and read them elsewhere.

    accuracy(n) = end + (start - end) * (1 + n / scale) ** -power, which may rise or fall, but in
    one direction, and levels off. For each power and scale, start and end follow by least
    squares; the best of all is taken. So there is always a fit, and always the same.

    n_labels (np.ndarray): Numbers of labels, from 0 up. Shape: (n_points,)
    accuracies (np.ndarray): One row for each fit. Shape: (n_fits, n_points)
    at (np.ndarray): Numbers of labels to read the curves at. Shape: (n_at,)
    RETURNS (np.ndarray): Accuracies, kept from 0 to 1. Shape: (n_fits, n_at)
    SOURCE: Viering and Loog (2022), "The Shape of Learning Curves", which finds inverse powers with
        an offset among the best; the shift by `scale` makes them begin at no label.
    """
    n_labels = np.asarray(n_labels, dtype=float)
    most = max(1.0, float(n_labels.max()))
    best = np.full(len(accuracies), np.inf)
    found = np.zeros((len(accuracies), len(at)))
    for power in POWERS:
        for scale in np.geomspace(1.0, SCALE_RANGE * most, N_SCALES):
            X = np.stack([np.ones_like(n_labels), (1.0 + n_labels / scale) ** -power], axis=1)
            solution = accuracies @ np.linalg.pinv(X).T
            errors = ((solution @ X.T - accuracies) ** 2).sum(axis=1)
            better = errors < best
            best[better] = errors[better]
            there = np.stack([np.ones_like(at), (1.0 + at / scale) ** -power])
            found[better] = solution[better] @ there
    return np.clip(found, 0.0, 1.0)
