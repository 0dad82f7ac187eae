"""Pseudo-labels: what teachers and alike texts say about texts without labels. Arrays in and out.

A teacher is wrong about many texts in languages far from those it was trained on, while the same
matters in nearer languages give it no trouble. In the vectors of an encoder that was not tuned,
with each language's own mean taken away, a text's nearest ones are about the same matter in
whatever language. So each text gets, besides what the teachers say of it, what its nearest ones
get, until nothing changes.
"""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

# Chosen on the unlabelled texts of six languages of SIB-200; all near them do about as well.
N_NEIGHBOURS = 10
# How far what the nearest texts count goes, beside what the teachers say of a text itself.
NEIGHBOUR_SHARE = 0.8
# Neighbours count by exp(CLOSENESS * cosine), and a text itself as one at this cosine: half of all
# translations are nearer, and hardly any text about another matter is. Without it labels of texts
# that have no translation among the others got worse by ten points.
CLOSENESS = 10.0
OWN_COSINE = 0.6
# Languages are taught in which the first teacher's answers have at most this likeness; see
# `find_likeness`. On SIB-200 it parts those where pseudo-labels are better than zero-shot answers
# from those where they are about as good, and a student loses what a tuned encoder knew.
MAX_LIKENESS = 0.85
# Power of the probabilities, brought back to a sum of 1. Spreading levels them, and a power of 2
# undoes that, but students were no better for it on development texts.
SHARPNESS = 1.0
# Rounds of spreading; each changes less than NEIGHBOUR_SHARE of what the one before did.
N_SPREADS = 20
# Rows of cosines in memory at once.
CHUNK = 1024


@dataclass(frozen=True)
class LabelSettings:
    """How pseudo-labels are made of what teachers say.

    neighbours (float): How far what alike texts count goes, beside what teachers say of a text
        itself, in [0, 1).
    sharpness (float): Power of the probabilities; 1 leaves them as they are.
    balance (float): How far each language gets a given mix of labels, in [0, 1].
    max_likeness (float): In which languages texts get any: where the first teacher's answers have
        at most this mean likeness, in [0, 1]; 1 for all.
    RAISES (ValueError): If one is out of range.
    """

    neighbours: float = NEIGHBOUR_SHARE
    sharpness: float = SHARPNESS
    balance: float = 0.0
    max_likeness: float = MAX_LIKENESS

    def __post_init__(self) -> None:
        if not 0.0 <= self.neighbours < 1.0:
            raise ValueError(f"neighbours is {self.neighbours}; allowed is 0 up to, not with, 1.")
        if not 1.0 <= self.sharpness < float("inf"):
            raise ValueError(f"sharpness is {self.sharpness}; allowed is 1, for none, or more.")
        if not 0.0 <= self.balance <= 1.0:
            raise ValueError(f"balance is {self.balance}; allowed is 0, for none, to 1.")
        if not 0.0 <= self.max_likeness <= 1.0:
            raise ValueError(
                f"max_likeness is {self.max_likeness}; allowed is 0 to 1, for all languages."
            )


# Rows of each text's nearest ones, and what each of them counts; from `find_neighbours`.
Alike = Tuple[np.ndarray, np.ndarray]


def make_pseudo_labels(
    views: Sequence[np.ndarray],
    langs: Sequence[str],
    settings: LabelSettings,
    *,
    exclusive: bool,
    alike: Optional[Alike] = None,
    mix: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Probabilities to teach. Shape: (n_texts, n_labels)

    views (Sequence[np.ndarray]): Probabilities of each teacher. Shape of each: the same.
    langs (Sequence[str]): Language of each text.
    exclusive (bool): Whether labels exclude each other.
    alike (Optional[Alike]): Which texts are alike; None if that is not known.
    mix (Optional[np.ndarray]): Share of each label to balance languages towards. Shape:
        (n_labels,)
    RAISES (ValueError): If a teacher's score is not finite.
    """
    scores = mean_scores(views)
    if alike is not None:
        scores = spread_scores(scores, *alike, share=settings.neighbours)
    if mix is not None and settings.balance:
        scores = balance_labels(scores, langs, mix, settings.balance)
    return sharpen(scores, settings.sharpness, exclusive=exclusive)


def mean_scores(views: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of what several teachers say. Shape: (n_texts, n_labels)

    views (Sequence[np.ndarray]): Probabilities of each teacher. Shape of each: the same.
    RAISES (ValueError): If a score is not finite.
    """
    scores = np.mean([np.asarray(view, dtype=np.float64) for view in views], axis=0)
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    if bad:
        raise ValueError(
            f"{bad:,} of {len(scores):,} texts got scores that are not numbers. The weights of a "
            f"teacher are damaged; train or copy it again."
        )
    return scores


def find_answers(scores: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Which labels probabilities amount to, as 0 and 1: the likeliest, or all from 0.5 up.

    scores (np.ndarray): Probabilities. Shape: (n_texts, n_labels)
    RETURNS (np.ndarray): Shape: (n_texts, n_labels)
    """
    if not exclusive:
        return (scores >= 0.5).astype(np.int8)
    answers = np.zeros(scores.shape, dtype=np.int8)
    answers[np.arange(len(scores)), scores.argmax(axis=1)] = 1
    return answers


def find_agreement(views: Sequence[np.ndarray], *, exclusive: bool) -> np.ndarray:
    """Whether all views of a text amount to the same labels. Shape: (n_texts,)

    views (Sequence[np.ndarray]): Probabilities. Shape of each: (n_texts, n_labels)
    """
    first, *others = (find_answers(view, exclusive=exclusive) for view in views)
    return np.all([(answers == first).all(axis=1) for answers in [first, *others]], axis=0)


def center_languages(vectors: np.ndarray, langs: Sequence[str]) -> np.ndarray:
    """Directions of vectors from the middle of their own language. Shape: (n_texts, width)

    vectors (np.ndarray): Of texts, by an encoder. Shape: (n_texts, width)
    langs (Sequence[str]): Language of each text.
    SOURCE: centring as in Libovický et al. (2020, https://arxiv.org/abs/2004.05160).
    """
    directions = _unit(np.asarray(vectors, dtype=np.float32))
    tags = np.array(langs, dtype=object)
    for lang in set(langs):
        own = tags == lang
        directions[own] -= directions[own].mean(axis=0)
    return _unit(directions)


def find_neighbours(directions: np.ndarray, n_neighbours: int = N_NEIGHBOURS) -> Alike:
    """The nearest other texts of each text, in any language, and what each of them counts.

    directions (np.ndarray): Vectors of length 1. Shape: (n_texts, width)
    n_neighbours (int): How many; fewer where there are not so many other texts.
    RETURNS (Alike): Their rows and their weights, which with that of the text itself sum to 1.
        Shape of both: (n_texts, n_neighbours)
    RAISES (ValueError): If there are not two texts.
    """
    n_texts = len(directions)
    k = min(n_neighbours, n_texts - 1)
    if k < 1:
        raise ValueError(f"There must be 2 texts or more to find alike ones; found {n_texts}.")
    rows = np.empty((n_texts, k), dtype=np.int64)
    cosines = np.empty((n_texts, k), dtype=np.float32)
    for start in range(0, n_texts, CHUNK):
        part = directions[start : start + CHUNK] @ directions.T
        own = np.arange(len(part))
        part[own, start + own] = -np.inf
        nearest = np.argpartition(-part, k - 1, axis=1)[:, :k]
        rows[start : start + CHUNK] = nearest
        cosines[start : start + CHUNK] = np.take_along_axis(part, nearest, axis=1)
    weights = np.exp(CLOSENESS * (cosines - OWN_COSINE))
    return rows, weights / (1.0 + weights.sum(axis=1, keepdims=True))


def spread_scores(
    scores: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    *,
    share: float = NEIGHBOUR_SHARE,
) -> np.ndarray:
    """Scores of texts mixed with those of alike texts, which are mixed in the same way.

    scores (np.ndarray): What the teachers say. Shape: (n_texts, n_labels)
    rows, weights: From `find_neighbours`.
    share (float): How far their weights go, in [0, 1).
    RETURNS (np.ndarray): Shape: (n_texts, n_labels)
    SOURCE: Zhou et al. (2004), Learning with local and global consistency; here a text without near
        neighbours keeps more of its own, and nothing is labelled for certain.
    """
    spread, own = scores, 1.0 - share * weights.sum(axis=1, keepdims=True)
    for _ in range(N_SPREADS if share else 0):
        spread = own * scores + share * _sum_of_neighbours(spread, rows, weights)
    return spread


def sharpen(scores: np.ndarray, power: float = SHARPNESS, *, exclusive: bool) -> np.ndarray:
    """Probabilities nearer to 0 and 1, the order as it was. Shape: (n_texts, n_labels)

    power (float): 1 leaves them as they are; it is 1 or more.
    """
    raised = np.clip(scores, 0.0, 1.0) ** power
    others = raised.sum(axis=1, keepdims=True) - raised if exclusive else (1.0 - scores) ** power
    return raised / np.maximum(raised + others, 1e-30)


def balance_labels(
    scores: np.ndarray, langs: Sequence[str], prior: np.ndarray, strength: float
) -> np.ndarray:
    """Probabilities whose mean in each language is nearer to a mix of labels.

    scores (np.ndarray): Of labels that exclude each other. Shape: (n_texts, n_labels)
    langs (Sequence[str]): Language of each text.
    prior (np.ndarray): Share of each label, such as the source's. Shape: (n_labels,)
    strength (float): From 0, for as they are, to 1, for means that are that mix.
    RETURNS (np.ndarray): Shape: (n_texts, n_labels)
    SOURCE: Sinkhorn and Knopp (1967): rows are brought to a sum of 1 and columns to their share
        by turns.
    """
    balanced = np.array(scores, dtype=np.float64)
    tags = np.array(langs, dtype=object)
    for lang in set(langs):
        own = balanced[tags == lang]
        mean = np.maximum(own.mean(axis=0), 1e-9)
        wanted = mean ** (1.0 - strength) * np.maximum(prior, 1e-9) ** strength
        wanted /= wanted.sum()
        for _ in range(N_SPREADS):
            own = own * (wanted / np.maximum(own.mean(axis=0), 1e-9))
            own /= own.sum(axis=1, keepdims=True)
        balanced[tags == lang] = own
    return balanced


def count_effective_labels(answers: np.ndarray) -> float:
    """How many labels are in use: their number if all are equally frequent, 1 if only one is.

    answers (np.ndarray): From `find_answers`. Shape: (n_texts, n_labels)
    RETURNS (float): The exponential of the entropy of the answers' shares; 0 without any answer.
    """
    counts = answers.sum(axis=0, dtype=np.float64)
    shares = counts[counts > 0] / max(counts.sum(), 1.0)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def find_likeness(answers: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What part of a text and its neighbours has its answer, by their weights. Shape: (n_texts,)

    answers (np.ndarray): From `find_answers`. Shape: (n_texts, n_labels)
    rows, weights: From `find_neighbours`.
    """
    same = [(answers[column] == answers).all(axis=1) for column in rows.T]
    return 1.0 - (~np.stack(same, axis=1) * weights).sum(axis=1)


def mean_by_language(values: np.ndarray, langs: Sequence[str]) -> Dict[str, float]:
    """Mean of a value of texts, such as their likeness, in each language.

    values (np.ndarray): Shape: (n_texts,)
    langs (Sequence[str]): Language of each text.
    """
    tags = np.array(langs, dtype=object)
    return {lang: float(values[tags == lang].mean()) for lang in sorted(set(langs))}


def _sum_of_neighbours(scores: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    parts: List[np.ndarray] = [
        weights[:, i, None] * scores[rows[:, i]] for i in range(rows.shape[1])
    ]
    return np.sum(parts, axis=0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
