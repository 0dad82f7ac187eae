"""Whether probabilities mean what they say."""

from typing import List

import numpy as np
from typing_extensions import TypedDict

from .metrics import Count, Share, wilson_interval
from .uncertainty import MAX_CELLS, Interval

N_BINS = 15
N_DRAWS = 500
# A calibration curve has at most so many points, of at least so many documents each.
MAX_POINTS = 10
MIN_POINT_DOCS = 15


class CurvePoint(TypedDict):
    """Documents with like confidence.

    n (int): How many.
    confidence (float): Mean probability of the chosen label.
    accuracy (float): Share that is right.
    interval (Interval): 95 % interval of it (Wilson).
    """

    n: Count
    confidence: Share
    accuracy: Share
    interval: Interval


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error: distance of confidence and accuracy, averaged over documents.

    confidence (np.ndarray): Probability of the chosen label. Shape: (n_docs,)
    correct (np.ndarray): Whether it was right. Shape: (n_docs,)
    SOURCE: Guo et al. (2017), with 15 bins of equal width.
    """
    surplus = (correct - confidence) @ _one_hot_bins(confidence)
    return float(np.abs(surplus).sum() / len(confidence))


def perfect_calibration_error(confidence: np.ndarray) -> float:
    """The expected calibration error of a model that is right exactly as often as it says.

    It is not zero, since some documents fall together in a bin by chance, and the fewer there are
    the larger it is. What a model shows beyond it is its own doing.

    confidence (np.ndarray): Probability of the chosen label. Shape: (n_docs,)
    """
    rng, n = np.random.default_rng(0), len(confidence)
    bins, total = _one_hot_bins(confidence), 0.0
    step = max(1, MAX_CELLS // n)
    for start in range(0, N_DRAWS, step):
        drawn = rng.random((min(step, N_DRAWS - start), n), dtype=np.float32) < confidence
        total += float(np.abs((drawn - confidence) @ bins).sum())
    return total / (N_DRAWS * n)


def calibration_curve(confidence: np.ndarray, correct: np.ndarray) -> List[CurvePoint]:
    """Accuracy against confidence, by parts of equal size from the least sure documents up.

    Parts of equal size rather than width, so that no point stands for a handful of documents.

    confidence (np.ndarray): Probability of the chosen label. Shape: (n_docs,)
    correct (np.ndarray): Whether it was right. Shape: (n_docs,)
    """
    n_points = min(MAX_POINTS, max(1, len(confidence) // MIN_POINT_DOCS))
    curve: List[CurvePoint] = []
    for rows in np.array_split(np.argsort(confidence, kind="stable"), n_points):
        n, n_correct = len(rows), int(correct[rows].sum())
        interval = wilson_interval(n_correct, n)
        if interval is not None:
            curve.append(
                {
                    "n": n,
                    "confidence": float(confidence[rows].mean()),
                    "accuracy": n_correct / n,
                    "interval": interval,
                }
            )
    return curve


def brier_score(scores: np.ndarray, gold: np.ndarray) -> float:
    """Mean over documents of the squared distance of probabilities and gold; 0 to 2.

    scores (np.ndarray): Probabilities. Shape: (n_docs, n_labels)
    gold (np.ndarray): Whether each label applies. Shape: (n_docs, n_labels)
    SOURCE: Brier (1950), summed over the labels.
    """
    return float(((scores - gold) ** 2).sum(axis=1).mean())


def _one_hot_bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each document. Shape: (n_docs, N_BINS)"""
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    return np.eye(N_BINS)[bins]
