"""How far figures would move with other test documents: intervals and paired tests.

The unit that is drawn is a sentence, not a document: where a corpus has the same sentences in many
languages, as its ids tell, they are easy or hard in all of them together, so a mean over languages
is less certain than that many independent documents would make it.
"""

from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np

from .metrics import Z_95

N_RESAMPLES = 2000
N_FLIPS = 9999
# Cells of the arrays that are held at once.
MAX_CELLS = 2**23

Interval = Tuple[float, float]


def number_units(documents: Sequence[Sequence[int]]) -> Tuple[List[np.ndarray], int]:
    """Numbers from 0 for the units that documents belong to.

    documents (Sequence[Sequence[int]]): Key of each document, by language; equal keys are one
        unit.
    RETURNS (Tuple[List[np.ndarray], int]): Unit of each document, by language, and how many
        there are.
    """
    sizes = [len(keys) for keys in documents]
    keys = np.array([key for keys in documents for key in keys], dtype=np.int64)
    unique, numbers = np.unique(keys, return_inverse=True)
    return np.split(numbers, np.cumsum(sizes)[:-1]), len(unique)


def sum_by_unit(units: np.ndarray, values: np.ndarray, n_units: int) -> np.ndarray:
    """Sums over documents. Shapes: (n_docs,), (n_docs, …); (n_units, …)"""
    sums = np.zeros((n_units, *values.shape[1:]))
    np.add.at(sums, units, values)
    return sums


def draw_units(n_units: int, *, n_resamples: int = N_RESAMPLES) -> Iterator[np.ndarray]:
    """How often each unit is in a sample drawn with replacement; the same on each call.

    YIELDS (np.ndarray): Some of the samples. Shape: (n, n_units)
    """
    rng = np.random.default_rng(0)
    step = max(1, MAX_CELLS // max(n_units, 1))
    for start in range(0, n_resamples, step):
        n = min(step, n_resamples - start)
        drawn = rng.integers(0, n_units, size=(n, n_units)) + n_units * np.arange(n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=n * n_units).reshape(n, n_units).astype("f")


def resample_ratios(
    parts: np.ndarray, wholes: np.ndarray, *, n_resamples: int = N_RESAMPLES
) -> np.ndarray:
    """Ratios of sums over samples of units, such as accuracies.

    parts, wholes (np.ndarray): By unit. Shape: (n_units, n_figures)
    RETURNS (np.ndarray): NaN where a sample has nothing of the whole.
        Shape: (n_resamples, n_figures)
    """
    parts, wholes = parts.astype("f"), wholes.astype("f")
    ratios = []
    for counts in draw_units(len(parts), n_resamples=n_resamples):
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios.append((counts @ parts).astype(float) / (counts @ wholes))
    return np.concatenate(ratios)


def resample_macro_f(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Macro F over samples of units, each over the labels that its gold has.

    tp, fp, fn (np.ndarray): Counts by unit. Shape: (n_units, n_labels)
    RETURNS (np.ndarray): NaN where a sample's gold has no label. Shape: (n_resamples,)
    """
    values = []
    for counts in draw_units(len(tp)):
        true, missed = counts @ tp.astype("f"), counts @ fn.astype("f")
        f_score = 2 * true / np.maximum(2 * true + counts @ fp.astype("f") + missed, 1)
        has_gold = true + missed > 0
        with np.errstate(invalid="ignore"):
            values.append((f_score * has_gold).sum(axis=1) / has_gold.sum(axis=1))
    return np.concatenate(values)


def percentile_interval(values: np.ndarray) -> Optional[Interval]:
    """95 % interval from resampled values; None where too many are not defined.

    SOURCE: the percentile method of Efron (1979).
    """
    values = values[np.isfinite(values)]
    if len(values) < N_RESAMPLES / 2:
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def mcnemar(n_only_a: int, n_only_b: int) -> float:
    """Probability of at least so uneven a split of the documents that one of two runs has right.

    SOURCE: McNemar (1947), in its exact form.
    """
    from scipy import stats

    n = n_only_a + n_only_b
    return float(stats.binomtest(n_only_a, n).pvalue) if n else 1.0


def paired_interval(n_only_a: int, n_only_b: int, n: int) -> Interval:
    """95 % interval of the accuracy of b minus that of a on the same documents.

    SOURCE: Agresti and Min (2005): Wald's interval after half a document is added to each of the
        four outcomes, which keeps its level for few documents and few differences.
    """
    only_a, only_b, total = n_only_a + 0.5, n_only_b + 0.5, n + 2
    center = (only_b - only_a) / total
    half = Z_95 * np.sqrt(only_a + only_b - (only_b - only_a) ** 2 / total) / total
    return max(-1.0, float(center - half)), min(1.0, float(center + half))


def flip_test(differences: np.ndarray) -> float:
    """Probability of a sum at least as far from zero if each unit's sign were a coin's.

    differences (np.ndarray): By unit. Shape: (n_units,)
    SOURCE: Fisher (1935), the paired randomization test, with drawn signs.
    """
    rng = np.random.default_rng(0)
    observed = abs(differences.sum())
    n_beyond, step = 0, max(1, MAX_CELLS // max(len(differences), 1))
    for start in range(0, N_FLIPS, step):
        n = min(step, N_FLIPS - start)
        signs = 2.0 * rng.integers(0, 2, size=(n, len(differences)), dtype=np.int8) - 1.0
        n_beyond += int((np.abs(signs @ differences) >= observed - 1e-12).sum())
    return (n_beyond + 1) / (N_FLIPS + 1)


def adjust_p(values: Sequence[float]) -> List[float]:
    """p values of many tests, so that one of all being below 0.05 by chance is as rare as that.

    SOURCE: Holm (1979).
    """
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.maximum.accumulate(np.array(values, dtype=float)[order] * factors)
    result = np.empty(len(values))
    result[order] = np.minimum(adjusted, 1.0)
    return result.tolist()
