"""The guard of self-training: signs, without a label in any target language, that a student is
worse than what taught it."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np

from .pseudo_labels import count_effective_labels, find_likeness

# How far a sign may fall before it counts, beside what chance explains.
MAX_FALL = 0.02
# Part of the labels in use before that must still be in use.
MIN_LABELS_KEPT = 0.7
# Standard errors that chance explains.
N_ERRORS = 2.0


@dataclass(frozen=True)
class Signs:
    """What can be seen of a pipeline without labels in the target languages.

    likeness (float): Mean part of a held-out text and those alike to it, in all languages, that
        gets its answer, by `find_likeness`. Where answers are wrong they differ among texts about
        the same matter: one random answer in ten takes 11 points away where languages have the
        same texts. In [0, 1].
    n_held_out (int): Held-out texts.
    n_labels (float): Labels in use, by `count_effective_labels`.
    source_accuracy (Optional[float]): Share right of labelled texts in the source languages that
        it was not trained on; None without such texts.
    n_source (int): Those texts.
    """

    likeness: float
    n_held_out: int
    n_labels: float
    source_accuracy: Optional[float] = None
    n_source: int = 0


def read_signs(
    answers: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    held_out: np.ndarray,
    source_right: Sequence[int] = (),
) -> Signs:
    """Signs of a pipeline.

    answers (np.ndarray): Its own answers, 0 or 1. Shape: (n_texts, n_labels)
    rows, weights: Alike texts, from `find_neighbours`.
    held_out (np.ndarray): Rows of texts that no student was trained on. Shape: (n_held_out,)
    source_right (Sequence[int]): 1 for each labelled source text that it has right, else 0.
    RAISES (ValueError): If no text is held out.
    """
    if not len(held_out):
        raise ValueError("No text is held out, so nothing can be seen of a student.")
    likeness = find_likeness(answers, rows, weights)[held_out]
    return Signs(
        likeness=float(likeness.mean()),
        n_held_out=len(held_out),
        n_labels=count_effective_labels(answers[held_out]),
        source_accuracy=float(np.mean(source_right)) if len(source_right) else None,
        n_source=len(source_right),
    )


def draw_held_out(langs: Sequence[str], share: float, *, seed: int = 0) -> np.ndarray:
    """Rows of texts to keep from students: a share of each language's, one of it at least.

    langs (Sequence[str]): Language of each text.
    share (float): Between 0 and 1.
    RAISES (ValueError): If it is not.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"The share of held-out texts is {share}; allowed is between 0 and 1.")
    tags = np.array(langs, dtype=object)
    rng = np.random.default_rng(seed)
    drawn: List[int] = []
    for lang in sorted(set(langs)):
        own = np.flatnonzero(tags == lang)
        drawn.extend(rng.choice(own, size=max(1, round(share * len(own))), replace=False))
    return np.sort(np.array(drawn, dtype=np.int64))


def find_worsening(before: Signs, now: Signs) -> str:
    """In what a student is worse than what taught it, with the figures; "" for nothing.

    before (Signs): Of the pipeline that it is compared with.
    now (Signs): Of the student, on the same texts.
    """
    found = []
    if now.n_labels < MIN_LABELS_KEPT * before.n_labels:
        found.append(
            f"its answers use {now.n_labels:.1f} labels, where {before.n_labels:.1f} were in use: "
            f"labels collapse"
        )
    if _falls(before.likeness, now.likeness, before.n_held_out):
        found.append(
            f"held-out texts and those alike to them agree to only {100 * now.likeness:.1f} %, "
            f"where it was {100 * before.likeness:.1f} %"
        )
    if before.source_accuracy is None or now.source_accuracy is None:
        return "; ".join(found)
    if _falls(before.source_accuracy, now.source_accuracy, before.n_source):
        found.append(
            f"it has {100 * now.source_accuracy:.1f} % of {now.n_source:,} labelled source texts "
            f"right, where {100 * before.source_accuracy:.1f} % were"
        )
    return "; ".join(found)


def _falls(before: float, now: float, n: int) -> bool:
    """Whether a share is lower by more than chance, and a little, explain."""
    chance = N_ERRORS * (before * (1.0 - before) / max(n, 1)) ** 0.5
    return before - now > max(MAX_FALL, chance)
