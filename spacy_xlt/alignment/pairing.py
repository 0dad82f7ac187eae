"""Which texts of two languages are translations of each other."""

from collections import Counter
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from .quality import unit_rows

# SOURCE: Artetxe and Schwenk (2019), section 3, for the 4 neighbours. Of their margin of 1.06 the
# encoders of this package need less, since they find any two texts rather alike: on the selection
# languages of tests/benchmarks/translation.py all pairs from 1.02 on are right.
N_NEIGHBOURS = 4
MIN_MARGIN = 1.02
# Rows whose cosines with all others are held in memory at once.
BLOCK_ROWS = 512
BY_NEIGHBOURS = "Pair them by neighbours instead: --by neighbours --encoder ENCODER."


class Pair(NamedTuple):
    """Numbers of a text and its translation, and how much closer they are than their neighbours.

    margin (float): 1.0 for pairs as close as neighbours are on average; 0.0 for pairs by id.
    """

    source: int
    target: int
    margin: float


def pair_by_id(source_ids: Sequence[str], target_ids: Sequence[str]) -> List[Pair]:
    """Texts with the same id, in the order of the sources. Texts without an id have no partner.

    RAISES (ValueError): If one side has an id twice, or there is no common one.
    """
    for side, ids in (("source", source_ids), ("target", target_ids)):
        for id, n in Counter(id for id in ids if id).most_common(1):
            if n > 1:
                raise ValueError(
                    f"The {side} texts have the id '{id}' {n} times, so it is unclear which one "
                    f"is meant. {BY_NEIGHBOURS}"
                )
    places = {id: i for i, id in enumerate(target_ids) if id}
    pairs = [Pair(i, places[id], 0.0) for i, id in enumerate(source_ids) if id in places]
    if not pairs:
        raise ValueError(
            f"None of the {len(source_ids):,} source texts has an id that one of the "
            f"{len(target_ids):,} target texts has too. {BY_NEIGHBOURS}"
        )
    return pairs


def pair_by_neighbours(
    source: np.ndarray,
    target: np.ndarray,
    *,
    min_margin: float = MIN_MARGIN,
    n_neighbours: int = N_NEIGHBOURS,
) -> List[Pair]:
    """Texts that are each other's closest, by the ratio of their cosine to that of neighbours.

    source (np.ndarray): Vectors of the source texts. Shape: (n_source, width)
    target (np.ndarray): Vectors of the target texts. Shape: (n_target, width)
    min_margin (float): Pairs below it are left out.
    n_neighbours (int): Neighbours on each side to compare with.
    RETURNS (List[Pair]): In the order of the sources; no text is in two of them.
    RAISES (ValueError): If vectors are not numbers or have different widths.
    SOURCE: Artetxe and Schwenk (2019), "Margin-based Parallel Corpus Mining",
        https://arxiv.org/abs/1811.01136, equation 2 with the ratio, and the intersection of both
        directions.
    """
    if len(source) == 0 or len(target) == 0:
        return []
    if source.shape[1] != target.shape[1]:
        raise ValueError(
            f"Source vectors are {source.shape[1]} wide and target vectors {target.shape[1]}. "
            f"Use one encoder for both."
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("Some vectors are not numbers. Use another encoder.")
    first, second = unit_rows(source), unit_rows(target)
    source_means = _neighbour_means(first, second, n_neighbours)
    target_means = _neighbour_means(second, first, n_neighbours)
    there, margins = _best_partners(first, second, source_means, target_means)
    back, _ = _best_partners(second, first, target_means, source_means)
    return [
        Pair(i, int(j), float(margins[i]))
        for i, j in enumerate(there)
        if back[j] == i and margins[i] >= min_margin
    ]


def _neighbour_means(first: np.ndarray, second: np.ndarray, k: int) -> np.ndarray:
    """Mean cosine of each row with its k nearest of the other side. Shape: (n_first,)"""
    k = min(k, len(second))
    means = np.empty(len(first), dtype="f")
    for start in range(0, len(first), BLOCK_ROWS):
        cosines = first[start : start + BLOCK_ROWS] @ second.T
        means[start : start + BLOCK_ROWS] = -np.partition(-cosines, k - 1, axis=1)[:, :k].mean(1)
    return means


def _best_partners(
    first: np.ndarray, second: np.ndarray, first_means: np.ndarray, second_means: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """The partner of each row with the highest margin, and that margin. Shape: (n_first,)"""
    partners = np.empty(len(first), dtype=int)
    margins = np.empty(len(first), dtype="f")
    for start in range(0, len(first), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        usual = (first_means[rows, None] + second_means[None, :]) / 2.0
        ratio = (first[rows] @ second.T) / np.maximum(usual, 1e-6)
        partners[rows] = ratio.argmax(axis=1)
        margins[rows] = ratio.max(axis=1)
    return partners, margins
