"""What one opinion of texts should count beside another, by texts that neither was fitted to."""

import numpy
from scipy.optimize import minimize
from scipy.special import expit, logit

from .losses import Loss

# Standard deviations of the log odds of a share around what is expected, and of the log of the
# scale. Labels of a few dozen texts say more than they allow for.
SHARE_SPREAD = 1.0
SCALE_SPREAD = 1.0


def fit_share(
    logits: numpy.ndarray,
    others: numpy.ndarray,
    targets: numpy.ndarray,
    known: numpy.ndarray,
    weights: numpy.ndarray,
    *,
    loss: Loss,
    share: float,
) -> float:
    """The share of `others` in a mean with `logits` under which gold labels are most likely.

    The mean is scaled as fits best, so that opinions which are all too sure or too unsure of
    themselves change nothing: only what they count beside each other.

    logits, others (numpy.ndarray): Both opinions. Shapes: (n_docs, n_labels)
    targets, known, weights: As for `losses.cross_entropy`.
    loss (Loss): The loss that training uses.
    share (float): What is expected, between 0 and 1; the fewer texts, the nearer it is.
    RETURNS (float): Between 0 and 1.
    SOURCE: Linear opinion pools of logits, weighted by held-out likelihood: stacking of Wolpert
        (1992, https://doi.org/10.1016/S0893-6080(05)80023-1).
    """
    weights = weights * (len(weights) / max(float(weights.sum()), 1e-12))
    expected = logit(share)

    def objective(at: numpy.ndarray) -> float:
        own, scale = expit(at[0]), numpy.exp(at[1])
        mixed = scale * ((1.0 - own) * logits + own * others)
        penalty = ((at[0] - expected) / SHARE_SPREAD) ** 2 + (at[1] / SCALE_SPREAD) ** 2
        return loss(mixed, targets, known, weights)[0] + 0.5 * float(penalty)

    found = minimize(objective, numpy.array([expected, 0.0]), method="Nelder-Mead")
    return float(expit(found.x[0]))
