"""Classifiers whose probabilities are right, but for a temperature that is put in."""

import numpy as np
import pytest

from spacy_xlt.evaluation.metrics import compare
from spacy_xlt.layers.losses import to_logits
from spacy_xlt.trust.temperatures import to_scores


@pytest.fixture
def draw():
    """Documents of a classifier that is calibrated after its logits are divided by a number.

    `weights` are those of the labels' mix, if it is another than its probabilities assume.
    """

    def make(n, temperature=1.0, *, exclusive=True, n_labels=4, seed=0, weights=None):
        rng = np.random.default_rng(seed)
        true = to_scores(rng.normal(0.0, 2.0, size=(n, n_labels)), exclusive=exclusive)
        if exclusive:
            gold = np.eye(n_labels)[[rng.choice(n_labels, p=p / p.sum()) for p in true]]
        else:
            gold = (rng.random(true.shape) < true).astype(float)
        if weights is not None:
            rows = gold @ np.array(weights)
            kept = rng.choice(n, size=n, p=rows / rows.sum())
            true, gold = true[kept], gold[kept]
        logits = to_logits(true, exclusive=exclusive) * temperature
        scores = to_scores(logits, exclusive=exclusive)
        return compare(gold, scores, exclusive=exclusive, threshold=0.5)

    return make
