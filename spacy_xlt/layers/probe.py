"""The linear probe that a head starts from."""

from typing import Optional, Tuple

import numpy
from scipy.optimize import minimize

from .losses import Loss


def fit_probe(
    features: numpy.ndarray,
    targets: numpy.ndarray,
    known: numpy.ndarray,
    weights: numpy.ndarray,
    *,
    loss: Loss,
    C: float = 3.0,
    offset: Optional[numpy.ndarray] = None,
    bias_penalty: float = 1.0,
    max_iterations: int = 300,
) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Logistic regression on fixed features, as weight and bias of a linear layer.

    The features are centred and brought to a mean length of 1 for the fit, which makes `C` mean
    the same for every encoder; the result applies to the features as they came.

    features (numpy.ndarray): One vector per document. Shape: (n_docs, width)
    targets, known, weights: As for `losses.cross_entropy`.
    loss (Loss): The loss that training will use.
    C (float): Inverse strength of the L2 penalty, as in scikit-learn's LogisticRegression.
    offset (Optional[numpy.ndarray]): Logits that the layer's are added to. Then its bias has a
        penalty too, so that it changes nothing that the documents say nothing about. Shape:
        (n_docs, n_labels)
    bias_penalty (float): That penalty, as a multiple of the one of weights.
    max_iterations (int): Limit for L-BFGS.
    RETURNS (Tuple[numpy.ndarray, numpy.ndarray]): Weight, shape (n_labels, width), and bias,
        shape (n_labels,).
    """
    X = features.astype(numpy.float64)
    Y = targets.astype(numpy.float64)
    n_labels, width = Y.shape[1], X.shape[1]
    centre = X.mean(axis=0)
    scale = 1.0 / max(float(numpy.linalg.norm(X, axis=1).mean()), 1e-12)
    X = (X - centre) * scale
    base, b_penalty = (0.0, 0.0) if offset is None else (offset, bias_penalty / C)

    def objective(flat: numpy.ndarray) -> Tuple[float, numpy.ndarray]:
        W = flat[: n_labels * width].reshape(n_labels, width)
        b = flat[n_labels * width :]
        value, d_logits = loss(X @ W.T + b + base, Y, known, weights)
        dW = d_logits.T @ X + W / C
        db = d_logits.sum(axis=0) + b_penalty * b
        penalty = 0.5 * (float((W**2).sum()) / C + b_penalty * float((b**2).sum()))
        return value + penalty, numpy.concatenate([dW.ravel(), db])

    result = minimize(
        objective,
        numpy.zeros(n_labels * (width + 1)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations},
    )
    W = result.x[: n_labels * width].reshape(n_labels, width) * scale
    b = result.x[n_labels * width :] - W @ centre
    return W.astype(numpy.float32), b.astype(numpy.float32)
