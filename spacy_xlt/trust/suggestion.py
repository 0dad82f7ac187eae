"""What to label next: the texts, and the languages, from which a classifier would learn most."""

import heapq
import math
import zlib
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

# What makes a text worth a label: what it tells about the texts in doubt, its own doubt, what it
# tells about all texts; or nothing.
STRATEGIES = ("mix", "uncertainty", "diversity", "random")
# What the labels are for: the mean accuracy of the languages, or that of the worst one.
GOALS = ("mean", "worst")
# Strategies that compare texts with one another.
COMPARING = ("mix", "diversity")
# Noise of a label beside the variance of the vectors, whose mean length is 1. On six languages of
# SIB-200, values from 0.1 to 10 were equally good.
NOISE = 1.0
# Texts compared with one another at once, and suggestions made from them.
PART_TEXTS, PART_SUGGESTIONS = 4000, 1000

# Vectors of the texts at some indices. Shape: (n_indices, width)
Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Suggestion:
    """A text to label.

    index (int): Its place in the pool.
    n_alike (Optional[int]): Texts of its language that are nearer to it than to the other
        suggestions, itself included; None where texts were not compared.
    """

    index: int
    n_alike: Optional[int] = None


def find_doubts(scores: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Probability that the answer is wrong, as the classifier's own scores have it.

    Of independent labels the one in most doubt counts.

    scores (np.ndarray): Shape: (n_texts, n_labels)
    RETURNS (np.ndarray): Shape: (n_texts,)
    """
    if exclusive:
        return 1.0 - scores.max(axis=1)
    return np.minimum(scores, 1.0 - scores).max(axis=1)


def suggest(
    langs: Sequence[str],
    doubts: np.ndarray,
    n: int,
    *,
    embed: Optional[Embed] = None,
    strategy: str = "mix",
    goal: str = "mean",
    minimum: int = 0,
    seed: int = 0,
) -> Dict[str, List[Suggestion]]:
    """Choose texts of a pool of several languages.

    langs (Sequence[str]): Language of each text.
    doubts (np.ndarray): Those of `find_doubts`. Shape: (n_texts,)
    n (int): Texts to choose; all if there are fewer.
    embed (Optional[Embed]): Needed by the strategies in COMPARING.
    strategy (str): One of STRATEGIES.
    goal (str): One of GOALS.
    minimum (int): Texts to choose in each language, as far as they go.
    seed (int): Another seed gives another draw, where something is drawn.
    RETURNS (Dict[str, List[Suggestion]]): By language, in its order of choice; languages are
        sorted.
    RAISES (ValueError): If a setting is out of range.
    """
    check_settings(n, strategy, goal)
    tags = np.array(langs, dtype=object)
    indices = {lang: np.flatnonzero(tags == lang) for lang in sorted(set(langs))}
    shares = share_out(
        {lang: float(doubts[own].mean()) for lang, own in indices.items()},
        {lang: len(own) for lang, own in indices.items()},
        n,
        goal=goal,
        minimum=minimum,
    )
    chosen: Dict[str, List[Suggestion]] = {}
    for lang, own in indices.items():
        # A language's draw does not depend on which other languages there are.
        rng = np.random.default_rng([seed, zlib.crc32(lang.encode("utf8"))])
        chosen[lang] = _choose(own, doubts[own], shares[lang], strategy, embed, rng)
    return chosen


def check_settings(n: int, strategy: str, goal: str) -> None:
    """RAISES (ValueError): If a setting is out of range, whatever the texts."""
    check_choice("strategy", strategy, STRATEGIES)
    check_choice("goal", goal, GOALS)
    if n < 1:
        raise ValueError(f"The number of texts to suggest is {n}; allowed is 1 or more.")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """RAISES (ValueError): If a value is not among those allowed."""
    if value not in allowed:
        raise ValueError(f"The {name} is '{value}'; allowed are: {', '.join(allowed)}.")


def share_out(
    doubts: Mapping[str, float],
    sizes: Mapping[str, int],
    n: int,
    *,
    goal: str,
    minimum: int = 0,
) -> Dict[str, int]:
    """How many of `n` labels each language gets.

    For the mean, in proportion to the wrong answers that a language is expected to have; for the
    worst, to the language that is expected to have most, then to the next when it has no more
    texts.

    doubts (Mapping[str, float]): Mean doubt of each language, which is its expected share of
        wrong answers.
    sizes (Mapping[str, int]): Texts of each language.
    minimum (int): Labels for each language before that, as far as `n` and its texts go.
    """
    if minimum < 0:
        raise ValueError(f"The minimum per language is {minimum}; allowed is 0 or more.")
    if minimum * len(sizes) > n:
        raise ValueError(
            f"A minimum of {minimum} for each of {len(sizes)} languages is more than {n} in all. "
            f"Lower it, ask for more texts, or choose fewer languages."
        )
    shares = {lang: min(minimum, size) for lang, size in sizes.items()}
    queue = [(-_need(doubts[lang], shares[lang], goal), lang) for lang in sorted(sizes)]
    heapq.heapify(queue)
    left = n - sum(shares.values())
    while left and queue:
        _, lang = heapq.heappop(queue)
        if shares[lang] < sizes[lang]:
            shares[lang] += 1
            left -= 1
            heapq.heappush(queue, (-_need(doubts[lang], shares[lang], goal), lang))
    return shares


def _need(doubt: float, n_labels: int, goal: str) -> float:
    """How much a language needs another label: the largest need is served first.

    SOURCE: for the mean, the rule of D'Hondt, which gives seats in proportion to votes.
    """
    return doubt / (n_labels + 1) if goal == "mean" else doubt


def _choose(
    indices: np.ndarray,
    doubts: np.ndarray,
    n: int,
    strategy: str,
    embed: Optional[Embed],
    rng: np.random.Generator,
) -> List[Suggestion]:
    """Choose among the texts of one language."""
    if strategy == "random":
        return [Suggestion(int(i)) for i in rng.permutation(indices)[:n]]
    if strategy == "uncertainty":
        return [Suggestion(int(i)) for i in indices[np.argsort(-doubts, kind="stable")[:n]]]
    if embed is None:
        raise ValueError(f"The strategy '{strategy}' needs vectors of the texts.")
    found: List[Suggestion] = []
    n_parts = max(1, math.ceil(n / PART_SUGGESTIONS))
    for k, part in enumerate(np.array_split(rng.permutation(len(indices)), n_parts)):
        rows = np.sort(part[:PART_TEXTS])
        own = (k + 1) * n // n_parts - k * n // n_parts
        if not own:
            continue
        vectors = embed(indices[rows])
        weights = doubts[rows] if strategy == "mix" else np.ones(len(rows))
        chosen = choose_telling(vectors, weights, own)
        alike = count_alike(vectors, chosen) * len(part) // len(rows)
        found += [
            Suggestion(int(indices[rows[i]]), int(n_alike))
            for i, n_alike in zip(chosen, alike, strict=True)
        ]
    return found


def choose_telling(vectors: np.ndarray, weights: np.ndarray, n: int) -> List[int]:
    """The texts whose labels would tell most about those of all texts, one after the other.

    Labels are taken for a random linear function of the vectors. Each choice lowers the variance
    of the function, summed over all texts with their weights, as much as one choice can.

    vectors (np.ndarray): Shape: (n_texts, width)
    weights (np.ndarray): How much each text counts. Shape: (n_texts,)
    n (int): Texts to choose, at most as many as there are.
    SOURCE: transductive experimental design of Yu, Bi and Tresp (2006,
        https://doi.org/10.1145/1143844.1143980), the sequential form, here with weights.
    """
    cov = _products(vectors) + 1.0
    weights = weights.astype(np.float32)
    chosen: List[int] = []
    is_free = np.ones(len(cov), dtype=bool)
    for _ in range(n):
        gains = np.einsum("i,ij,ij->j", weights, cov, cov, optimize=False)
        gains /= cov.diagonal() + NOISE
        best = int(np.argmax(np.where(is_free, gains, -1.0)))
        chosen.append(best)
        is_free[best] = False
        column = cov[:, best].copy()
        cov -= np.outer(column, column / (column[best] + NOISE))
    return chosen


def count_alike(vectors: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Texts whose nearest chosen text is this one, for each of them. Shape: (n_chosen,)"""
    products = _products(vectors)
    distances = products.diagonal()[None, list(chosen)] - 2 * products[:, list(chosen)]
    distances[list(chosen), np.arange(len(chosen))] = -np.inf
    return np.bincount(distances.argmin(axis=1), minlength=len(chosen))


def _products(vectors: np.ndarray) -> np.ndarray:
    """Products of centred vectors, whose mean length is 1. Shape: (n_texts, n_texts)"""
    centred = vectors.astype(np.float32)
    centred -= centred.mean(axis=0)
    length = float(np.linalg.norm(centred, axis=1).mean())
    centred /= length if length > 0.0 else 1.0
    return np.asarray(centred @ centred.T)
