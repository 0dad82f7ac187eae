"""Losses over labels that may be soft, weighted or missing. NumPy only, so the linear probe and
the component's training share one definition."""

from typing import Callable, Dict, Tuple

import numpy

# (logits, targets, known, weights) -> (summed loss, gradient of the logits)
Loss = Callable[
    [numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray], Tuple[float, numpy.ndarray]
]
# (logits, other logits, known, weights) -> (summed divergence, gradients of both logits)
Disagreement = Callable[..., Tuple[float, numpy.ndarray, numpy.ndarray]]

_TINY = 1e-12


def cross_entropy(
    logits: numpy.ndarray, targets: numpy.ndarray, known: numpy.ndarray, weights: numpy.ndarray
) -> Tuple[float, numpy.ndarray]:
    """Summed cross-entropy of exclusive labels; unknown labels take no part in the softmax.

    logits (numpy.ndarray): Scores before the softmax. Shape: (n_docs, n_labels)
    targets (numpy.ndarray): Gold probabilities; rows need not sum to 1. Shape: (n_docs, n_labels)
    known (numpy.ndarray): 1 where the gold probability is known, else 0. Shape: (n_docs, n_labels)
    weights (numpy.ndarray): What each document counts. Shape: (n_docs,)
    RETURNS (Tuple[float, numpy.ndarray]): Weighted sum of the losses, and its gradient.
    """
    scores = numpy.where(known > 0, logits, -numpy.inf)
    top = scores.max(axis=1, keepdims=True, initial=-1e30)
    exp = numpy.where(known > 0, numpy.exp(scores - top), 0.0)
    total = numpy.maximum(exp.sum(axis=1, keepdims=True), _TINY)
    probs = exp / total
    gold = targets * known
    mass = gold.sum(axis=1, keepdims=True)
    log_probs = numpy.where(known > 0, scores - top - numpy.log(total), 0.0)
    loss = float(-(weights[:, None] * gold * log_probs).sum())
    d_logits = weights[:, None] * (probs * mass - gold)
    return loss, d_logits.astype(logits.dtype)


def binary_cross_entropy(
    logits: numpy.ndarray, targets: numpy.ndarray, known: numpy.ndarray, weights: numpy.ndarray
) -> Tuple[float, numpy.ndarray]:
    """Summed binary cross-entropy of independent labels; unknown labels count nothing.

    Arguments and result are those of `cross_entropy`.
    """
    counts = known * weights[:, None]
    # log(1 + exp(-|x|)) never overflows
    losses = numpy.maximum(logits, 0) - logits * targets + numpy.log1p(numpy.exp(-abs(logits)))
    d_logits = counts * (sigmoid(logits) - targets)
    return float((counts * losses).sum()), d_logits.astype(logits.dtype)


def disagreement(
    a: numpy.ndarray, b: numpy.ndarray, known: numpy.ndarray, weights: numpy.ndarray
) -> Tuple[float, numpy.ndarray, numpy.ndarray]:
    """Summed symmetric divergence of two predictions of exclusive labels, the mean of that of one
    from the other and the reverse; unknown labels take no part in the softmax.

    a, b (numpy.ndarray): Logits. Shapes: (n_docs, n_labels)
    known, weights (numpy.ndarray): As for `cross_entropy`.
    RETURNS (Tuple[float, numpy.ndarray, numpy.ndarray]): Weighted sum, and its gradients.
    """
    log_p, log_q = _log_softmax(a, known), _log_softmax(b, known)
    p, q = numpy.exp(log_p) * known, numpy.exp(log_q) * known
    ratio, half = (log_p - log_q) * known, 0.5 * weights[:, None]
    p_from_q = (p * ratio).sum(axis=1, keepdims=True)
    q_from_p = -(q * ratio).sum(axis=1, keepdims=True)
    d_a = half * (p * (ratio - p_from_q) + p - q)
    d_b = half * (q * (-ratio - q_from_p) + q - p)
    gap = float((half * (p_from_q + q_from_p)).sum())
    return gap, d_a.astype(a.dtype), d_b.astype(b.dtype)


def binary_disagreement(
    a: numpy.ndarray, b: numpy.ndarray, known: numpy.ndarray, weights: numpy.ndarray
) -> Tuple[float, numpy.ndarray, numpy.ndarray]:
    """The same of independent labels, each of which is a distribution over yes and no.

    Arguments and result are those of `disagreement`.
    """
    p, q = sigmoid(a), sigmoid(b)
    half = 0.5 * known * weights[:, None]
    d_a = half * (p * (1.0 - p) * (a - b) + p - q)
    d_b = half * (q * (1.0 - q) * (b - a) + q - p)
    return float((half * (p - q) * (a - b)).sum()), d_a.astype(a.dtype), d_b.astype(b.dtype)


def _log_softmax(logits: numpy.ndarray, known: numpy.ndarray) -> numpy.ndarray:
    """Logarithms of probabilities among known labels; 0 for unknown ones."""
    scores = numpy.where(known > 0, logits, -numpy.inf)
    scores = scores - scores.max(axis=1, keepdims=True, initial=-1e30)
    total = numpy.maximum(numpy.exp(scores).sum(axis=1, keepdims=True), _TINY)
    return numpy.where(known > 0, scores - numpy.log(total), 0.0)


def softmax(logits: numpy.ndarray) -> numpy.ndarray:
    """Probabilities of exclusive labels. Shape: (n_docs, n_labels)"""
    exp = numpy.exp(logits - logits.max(axis=1, keepdims=True, initial=-1e30))
    return exp / numpy.maximum(exp.sum(axis=1, keepdims=True), _TINY)


def sigmoid(logits: numpy.ndarray) -> numpy.ndarray:
    """Probabilities of independent labels. Shape: (n_docs, n_labels)"""
    small = numpy.exp(-abs(logits))
    return numpy.where(logits >= 0, 1.0, small) / (1.0 + small)


def to_logits(scores: numpy.ndarray, *, exclusive: bool, smallest: float = 1e-12) -> numpy.ndarray:
    """Logits of probabilities, up to what the probabilities do not depend on.

    smallest (float): Probabilities this near to 0, or to 1 where labels are independent, count as
        this near.
    RETURNS (numpy.ndarray): Shape: that of scores.
    """
    logs = numpy.log(numpy.clip(scores, smallest, 1.0))
    return logs if exclusive else logs - numpy.log(numpy.clip(1.0 - scores, smallest, 1.0))


def smooth_labels(
    targets: numpy.ndarray, known: numpy.ndarray, smoothing: float, *, exclusive: bool
) -> numpy.ndarray:
    """Move a share of every gold distribution to the uniform one.

    targets (numpy.ndarray): Gold probabilities. Shape: (n_docs, n_labels)
    known (numpy.ndarray): 1 where the gold probability is known. Shape: (n_docs, n_labels)
    smoothing (float): The share, in [0, 1).
    exclusive (bool): Whether a document's known labels are one distribution, or each label is
        one of its own, over yes and no.
    RETURNS (numpy.ndarray): Smoothed probabilities. Shape: (n_docs, n_labels)
    """
    n_outcomes = numpy.maximum(known.sum(axis=1, keepdims=True), 1.0) if exclusive else 2.0
    return targets * (1.0 - smoothing) + smoothing * known / n_outcomes


# whether labels exclude each other -> loss, and what turns logits into probabilities
LOSSES: Dict[bool, Loss] = {True: cross_entropy, False: binary_cross_entropy}
DISAGREEMENTS: Dict[bool, Disagreement] = {True: disagreement, False: binary_disagreement}
ACTIVATIONS: Dict[bool, Callable[[numpy.ndarray], numpy.ndarray]] = {True: softmax, False: sigmoid}
