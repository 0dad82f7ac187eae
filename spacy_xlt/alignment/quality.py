"""How good translations are: each text beside what it was made of."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

# SOURCE: Popović (2015), "chrF", with its recommended n-grams of characters and weight of recall.
MAX_NGRAM = 6
RECALL_WEIGHT = 2.0


@dataclass(frozen=True)
class PairQuality:
    """How good a translation is; None for what was not measured.

    cosine (Optional[float]): Of both vectors in an encoder, in [-1, 1].
    closeness (Optional[float]): The cosine between what pairs drawn at random have (0) and
        identity (1), in [0, 1].
    round_trip (Optional[float]): chrF of the text translated back against the text, in [0, 1].
    length_fit (float): How usual the ratio of both lengths is in these texts, in (0, 1].
    lang (str): Detected language of the translation, "" if unknown.
    is_foreign (bool): Whether that is another language than it should be.
    """

    cosine: Optional[float]
    closeness: Optional[float]
    round_trip: Optional[float]
    length_fit: float
    lang: str
    is_foreign: bool

    @property
    def score(self) -> float:
        """The mean of what was measured, in [0, 1]; 0 for a text in another language."""
        known = [x for x in (self.closeness, self.round_trip, self.length_fit) if x is not None]
        return 0.0 if self.is_foreign else float(np.mean(known))

    def to_dict(self) -> Dict[str, Any]:
        """What was measured, and the score as "quality"."""
        parts = {
            "quality": self.score,
            "cosine": self.cosine,
            "round_trip": self.round_trip,
            "length_fit": self.length_fit,
        }
        rounded = {key: round(value, 4) for key, value in parts.items() if value is not None}
        return {**rounded, "detected": self.lang} if self.lang else rounded


def judge_pairs(
    texts: Sequence[str],
    translations: Sequence[str],
    *,
    langs: Sequence[str],
    are_foreign: Sequence[bool],
    vectors: Optional[np.ndarray] = None,
    translation_vectors: Optional[np.ndarray] = None,
    returned: Optional[Sequence[str]] = None,
) -> List[PairQuality]:
    """The quality of each translation.

    texts (Sequence[str]): The originals.
    translations (Sequence[str]): Their translations.
    langs (Sequence[str]): Detected languages of these; "" where unknown.
    are_foreign (Sequence[bool]): Whether that is a wrong one.
    vectors (Optional[np.ndarray]): Of the originals in an encoder. Shape: (n_pairs, width)
    translation_vectors (Optional[np.ndarray]): Of the translations. Shape: (n_pairs, width)
    returned (Optional[Sequence[str]]): The translations translated back.
    RETURNS (List[PairQuality]): One for each pair.
    """
    cosines: List[Optional[float]] = [None] * len(texts)
    closeness = cosines
    if vectors is not None and translation_vectors is not None:
        found = paired_cosines(vectors, translation_vectors)
        cosines, closeness = (
            x.tolist() for x in (found, relate_to_chance(found, vectors, translation_vectors))
        )
    fits = length_fits(texts, translations)
    back: List[Optional[float]] = [None] * len(texts)
    if returned is not None:
        back = [chrf(a, b) for a, b in zip(returned, texts, strict=True)]
    parts = zip(cosines, closeness, back, fits, langs, are_foreign, strict=True)
    return [PairQuality(*values) for values in parts]


def paired_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each vector with its partner. Shape: (n_pairs,)"""
    return np.einsum("ij,ij->i", unit_rows(first), unit_rows(second))


def relate_to_chance(cosines: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosines of pairs between the mean over strangers (0) and identity (1). Shape: (n_pairs,)

    Encoders differ much in how alike they find texts that have nothing in common. The mean over
    all strangers is that of the mean vectors without the pairs themselves.
    """
    n = len(cosines)
    if n < 2:
        return np.clip(cosines, 0.0, 1.0)
    total = unit_rows(first).sum(axis=0) @ unit_rows(second).sum(axis=0)
    chance = min((total - cosines.sum()) / (n * (n - 1)), 0.999)
    return np.clip((cosines - chance) / (1.0 - chance), 0.0, 1.0)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; zeros stay zeros."""
    vectors = np.asarray(vectors, dtype="f")
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def length_fits(texts: Sequence[str], translations: Sequence[str]) -> List[float]:
    """How usual the ratio of both lengths is, in (0, 1]: 1 for the median, 0.5 for twice it."""
    ratios = np.array(
        [(len(b) + 1.0) / (len(a) + 1.0) for a, b in zip(texts, translations, strict=True)]
    )
    if not ratios.size:
        return []
    return np.exp(-np.abs(np.log(ratios / np.median(ratios)))).tolist()


def chrf(text: str, reference: str) -> float:
    """How much a text is like a reference, by their n-grams of characters, in [0, 1].

    SOURCE: Popović (2015), "chrF: character n-gram F-score for automatic MT evaluation",
        https://aclanthology.org/W15-3049, for one sentence and without spaces.
    """
    found, wanted = ("".join(x.split()) for x in (text, reference))
    precisions, recalls = [], []
    for n in range(1, min(MAX_NGRAM, len(found), len(wanted)) + 1):
        a, b = _ngrams(found, n), _ngrams(wanted, n)
        common = (a & b).total()
        precisions.append(common / a.total())
        recalls.append(common / b.total())
    if not precisions:
        return float(found == wanted)
    precision, recall = math.fsum(precisions), math.fsum(recalls)
    weight = RECALL_WEIGHT**2
    divisor = (weight * precision + recall) * len(precisions)
    return (1.0 + weight) * precision * recall / divisor if divisor else 0.0


def _ngrams(text: str, n: int) -> Counter:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
