"""Another mix of labels than in the labelled texts: found in unlabelled ones, and corrected for."""

from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Sequence

import numpy as np

from ..evaluation.metrics import Outcomes, join_outcomes

# With fewer labelled documents, a language is compared with all of them.
FEW_DOCS = 30
# Documents that the mix of the labelled texts counts as.
PRIOR_DOCS = 20
# A classifier leans towards some labels in a language without any other mix there; how much is
# not known. That counts as the noise of a sample of so many documents.
BIAS_DOCS = 50
# A mix is another one if chance and such a bias explain the difference this rarely.
SIGNIFICANCE = 0.05
N_STEPS = 500
SMALLEST = 1e-6


@dataclass(frozen=True)
class Mix:
    """The mix of labels in one language.

    n (Optional[int]): Unlabelled documents; None if the mix was known.
    before, found (np.ndarray): Share of each label that probabilities assume, and that was found.
        Shape: (n_labels,)
    is_other (bool): Whether the difference is more than chance and a bias explain, so that it
        is corrected.
    """

    n: Optional[int]
    before: np.ndarray
    found: np.ndarray
    is_other: bool

    def shifts(self, labels: Sequence[str], *, exclusive: bool) -> Dict[str, float]:
        """What the logit of each label gets added."""
        found = np.clip(self.found, SMALLEST, 1.0 - SMALLEST)
        before = np.clip(self.before, SMALLEST, 1.0 - SMALLEST)
        values = np.log(found / before)
        if not exclusive:
            values -= np.log((1.0 - found) / (1.0 - before))
        return dict(zip(labels, values.tolist(), strict=True))


def estimate_mixes(
    by_lang: Mapping[str, Outcomes], unlabelled: Mapping[str, np.ndarray], *, exclusive: bool
) -> Dict[str, Mix]:
    """The mix of labels in unlabelled texts, by language.

    by_lang (Mapping[str, Outcomes]): Labelled documents with calibrated probabilities.
    unlabelled (Mapping[str, np.ndarray]): Calibrated probabilities. Shapes: (n_docs, n_labels)
    """
    return {
        lang: estimate_mix(_reference(by_lang, lang), scores, exclusive=exclusive)
        for lang, scores in unlabelled.items()
    }


def known_mixes(
    by_lang: Mapping[str, Outcomes],
    shares: Mapping[str, Mapping[str, float]],
    labels: Sequence[str],
    *,
    exclusive: bool,
) -> Dict[str, Mix]:
    """The same where the shares of all labels are known.

    RAISES (ValueError): If a label is unknown or lacks a share, a share is not in [0, 1], or those
        of exclusive labels do not add up to 1.
    """
    mixes = {}
    for lang, row in shares.items():
        if set(row) != set(labels):
            raise ValueError(
                f"The shares of labels in '{lang}' are those of {sorted(row)}; give one for each "
                f"of: {', '.join(labels)}."
            )
        found = np.array([float(row[label]) for label in labels])
        if not ((found >= 0.0) & (found <= 1.0)).all():
            raise ValueError(f"The shares of labels in '{lang}' are {row}; allowed is 0 to 1.")
        if exclusive and abs(found.sum() - 1.0) > 0.01:
            raise ValueError(
                f"The shares of labels in '{lang}' add up to {found.sum():.3f}; a document has "
                f"exactly one label, so they must add up to 1."
            )
        before = _reference(by_lang, lang).mean(axis=0)
        mixes[lang] = Mix(n=None, before=before, found=found, is_other=True)
    return mixes


def estimate_mix(reference: np.ndarray, scores: np.ndarray, *, exclusive: bool) -> Mix:
    """The mix of labels in documents, from probabilities that assume another.

    reference (np.ndarray): Probabilities of documents with the mix that they assume.
        Shape: (n_reference, n_labels)
    scores (np.ndarray): Probabilities of the documents. Shape: (n_docs, n_labels)
    SOURCE: expectation maximization of Saerens et al. (2002), with the assumed mix as a Dirichlet
        prior. On development texts it was as good as BBSE (Lipton et al., 2018) with a ridge, or
        better where the mix differed much.
    """
    if exclusive:
        before, found = reference.mean(axis=0), _maximize(reference, scores)
        return Mix(len(scores), before, found, _differs(reference, scores))
    # Each label and its absence exclude each other.
    pairs = [[np.stack([1 - p, p], axis=1) for p in part.T] for part in (reference, scores)]
    found = np.array([_maximize(*pair)[1] for pair in zip(*pairs, strict=True)])
    is_other = np.array([_differs(*pair) for pair in zip(*pairs, strict=True)])
    before = reference.mean(axis=0)
    found = np.where(is_other, found, before)
    return Mix(len(scores), before, found, bool(is_other.any()))


def _maximize(reference: np.ndarray, scores: np.ndarray) -> np.ndarray:
    before = np.maximum(reference.mean(axis=0), SMALLEST)
    found = before
    for _ in range(N_STEPS):
        shares = scores * (found / before)
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), SMALLEST)
        last = found
        found = (shares.sum(axis=0) + PRIOR_DOCS * before) / (len(scores) + PRIOR_DOCS)
        if abs(found - last).max() < SMALLEST:
            break
    return found / found.sum()


def _differs(reference: np.ndarray, scores: np.ndarray) -> bool:
    """Whether the mean probabilities differ by more than chance and a bias explain."""
    from scipy.stats import chi2

    before = reference.mean(axis=0)
    difference = scores.mean(axis=0) - before
    # Of both together: a few documents do not tell how much documents vary.
    variance = np.cov(np.concatenate([reference, scores]).T, bias=True)
    variance = variance * (1.0 / len(reference) + 1.0 / len(scores))
    variance += (np.diag(before) - np.outer(before, before)) / BIAS_DOCS
    statistic = float(difference @ np.linalg.pinv(variance, hermitian=True) @ difference)
    return bool(statistic > chi2.ppf(1.0 - SIGNIFICANCE, len(before) - 1))


def _reference(by_lang: Mapping[str, Outcomes], lang: str) -> np.ndarray:
    own = by_lang.get(lang)
    if own is not None and len(own) >= FEW_DOCS:
        return own.scores
    return join_outcomes(list(by_lang.values())).scores
