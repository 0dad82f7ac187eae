"""Whether probabilities mean what they say."""

import numpy as np

from .uncertainty import MAX_CELLS

N_BINS = 15
N_DRAWS = 500


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
