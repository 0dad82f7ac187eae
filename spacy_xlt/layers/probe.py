"""The linear probe that a head starts from."""

from typing import Optional, Tuple, Union

import numpy
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

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
    centre = X.mean(axis=0)
    scale = 1.0 / max(float(numpy.linalg.norm(X, axis=1).mean()), 1e-12)
    weight, bias = fit_linear(
        (X - centre) * scale,
        targets,
        known,
        weights,
        loss=loss,
        C=C,
        offset=offset,
        bias_penalty=bias_penalty,
        max_iterations=max_iterations,
    )
    weight *= scale
    bias -= weight @ centre
    return weight.astype(numpy.float32), bias.astype(numpy.float32)


def fit_linear(
    features: Union[numpy.ndarray, csr_matrix],
    targets: numpy.ndarray,
    known: numpy.ndarray,
    weights: numpy.ndarray,
    *,
    loss: Loss,
    C: float,
    offset: Optional[numpy.ndarray] = None,
    bias_penalty: float = 1.0,
    max_iterations: int = 300,
) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """The same on features as they are, which may be sparse.

    RETURNS (Tuple[numpy.ndarray, numpy.ndarray]): Weight and bias, as above, in float64.
    """
    Y = targets.astype(numpy.float64)
    n_labels, width = Y.shape[1], features.shape[1]
    base, b_penalty = (0.0, 0.0) if offset is None else (offset, bias_penalty / C)

    def objective(flat: numpy.ndarray) -> Tuple[float, numpy.ndarray]:
        W = flat[: n_labels * width].reshape(n_labels, width)
        b = flat[n_labels * width :]
        value, d_logits = loss(features @ W.T + b + base, Y, known, weights)
        dW = (features.T @ d_logits).T + W / C
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
    return result.x[: n_labels * width].reshape(n_labels, width), result.x[n_labels * width :]
