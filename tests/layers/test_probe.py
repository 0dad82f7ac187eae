import numpy
import pytest
from sklearn.linear_model import LogisticRegression

from spacy_xlt.layers.losses import binary_cross_entropy, cross_entropy, sigmoid, softmax
from spacy_xlt.layers.probe import fit_probe


def make_data(n_labels, seed=0, n_docs=200, width=6):
    random = numpy.random.default_rng(seed)
    features = random.normal(size=(n_docs, width)) * 5.0 + 3.0
    labels = (
        features @ random.normal(size=(width, n_labels)) + random.gumbel(size=n_labels)
    ).argmax(axis=1)
    weights = random.uniform(0.2, 2.0, size=n_docs)
    return features.astype("f"), labels, weights.astype("f")


def scaled(features):
    """The scaling that the probe documents: centred, mean length 1."""
    length = numpy.linalg.norm(features, axis=1).mean()
    return (features - features.mean(axis=0)) / length


def probabilities(features, weight, bias, activation=softmax):
    return activation(features @ weight.T + bias)


@pytest.mark.parametrize("C", [0.1, 10.0, 1000.0])
def test_it_is_scikit_learns_logistic_regression(C):
    features, labels, weights = make_data(3)
    targets = numpy.eye(3)[labels]
    weight, bias = fit_probe(
        features, targets, numpy.ones_like(targets), weights, loss=cross_entropy, C=C
    )
    reference = LogisticRegression(C=C, max_iter=5000, tol=1e-10)
    reference.fit(scaled(features), labels, sample_weight=weights)
    wanted = reference.predict_proba(scaled(features))
    numpy.testing.assert_allclose(probabilities(features, weight, bias), wanted, atol=5e-3)
    assert weight.shape == (3, 6) and bias.shape == (3,)
    assert weight.dtype == bias.dtype == numpy.float32


def test_independent_labels_are_one_regression_each():
    features, labels, weights = make_data(3)
    targets = numpy.eye(3)[labels]
    weight, bias = fit_probe(
        features, targets, numpy.ones_like(targets), weights, loss=binary_cross_entropy, C=10.0
    )
    found = probabilities(features, weight, bias, sigmoid)
    for i in range(3):
        reference = LogisticRegression(C=10.0, max_iter=5000, tol=1e-10)
        reference.fit(scaled(features), labels == i, sample_weight=weights)
        wanted = reference.predict_proba(scaled(features))[:, 1]
        numpy.testing.assert_allclose(found[:, i], wanted, atol=5e-3)


def test_soft_labels_are_shares_of_hard_ones():
    features, labels, _ = make_data(2, n_docs=60)
    soft = numpy.where(labels[:, None] == numpy.arange(2), 0.75, 0.25)
    known = numpy.ones_like(soft)
    one = fit_probe(features, soft, known, numpy.ones(60), loss=cross_entropy)
    both = numpy.concatenate([features, features])
    hard = numpy.concatenate([numpy.eye(2)[labels], numpy.eye(2)[1 - labels]])
    shares = numpy.repeat([0.75, 0.25], 60)
    two = fit_probe(both, hard, numpy.ones_like(hard), shares, loss=cross_entropy)
    for a, b in zip(one, two, strict=True):
        numpy.testing.assert_allclose(a, b, atol=1e-3)


def test_the_scale_and_place_of_features_do_not_matter():
    features, labels, weights = make_data(3)
    targets = numpy.eye(3)[labels]
    known = numpy.ones_like(targets)
    found = []
    for factor in (1.0, 1000.0):
        head = fit_probe(features * factor, targets, known, weights, loss=cross_entropy)
        found.append(probabilities(features * factor, *head))
    numpy.testing.assert_allclose(found[0], found[1], atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_features_that_say_nothing_leave_the_frequencies(value):
    targets = numpy.eye(2)[[0, 0, 0, 1]]
    head = fit_probe(
        numpy.full((4, 5), value, dtype="f"),
        targets,
        numpy.ones_like(targets),
        numpy.ones(4),
        loss=cross_entropy,
    )
    found = probabilities(numpy.full((1, 5), value), *head)
    numpy.testing.assert_allclose(found, [[0.75, 0.25]], atol=1e-3)


def test_one_document():
    targets = numpy.array([[1.0, 0.0]])
    weight, bias = fit_probe(
        numpy.ones((1, 3), dtype="f"),
        targets,
        numpy.ones((1, 2)),
        numpy.ones(1),
        loss=cross_entropy,
    )
    assert numpy.isfinite(weight).all() and numpy.isfinite(bias).all()
    assert probabilities(numpy.ones((1, 3)), weight, bias)[0, 0] > 0.9


def test_beside_logits_it_learns_what_they_lack():
    features, labels, weights = make_data(3)
    targets, known = numpy.eye(3)[labels], numpy.ones((200, 3))
    settings = {"loss": cross_entropy, "C": 10.0}
    right = 30.0 * targets
    weight, bias = fit_probe(features, targets, known, weights, offset=right, **settings)
    assert abs(weight).max() < 1e-5 and abs(bias).max() < 1e-4
    weight, bias = fit_probe(features, targets, known, weights, offset=0.0 * right, **settings)
    alone = fit_probe(features, targets, known, weights, **settings)
    found, wanted = (probabilities(features, *head) for head in ((weight, bias), alone))
    numpy.testing.assert_allclose(found, wanted, atol=0.02)  # only the bias has a penalty more


def test_beside_logits_one_label_proves_little():
    """Without a penalty the bias of the only label that is seen grows without end."""
    features, _, _ = make_data(3, n_docs=4)
    targets, ones = numpy.eye(3)[[0, 0, 0, 0]], numpy.ones((4, 3))
    _, bias = fit_probe(
        features, targets, ones, numpy.ones(4), loss=cross_entropy, C=0.5, offset=0.0 * ones
    )
    _, without = fit_probe(features, targets, ones, numpy.ones(4), loss=cross_entropy, C=0.5)
    assert 0.0 < bias[0] - bias[1] < 2.0 < without[0] - without[1]


def test_a_penalty_on_the_bias_keeps_how_frequent_labels_are():
    """Features that say nothing, labels drawn evenly, and logits that know better."""
    targets = numpy.eye(2)[[0, 1] * 8]
    offset = numpy.tile([2.0, 0.0], (16, 1))
    biases = []
    for penalty in (0.01, 1.0, 100.0):
        _, bias = fit_probe(
            numpy.zeros((16, 3), dtype="f"),
            targets,
            numpy.ones_like(targets),
            numpy.ones(16),
            loss=cross_entropy,
            C=1.0,
            offset=offset,
            bias_penalty=penalty,
        )
        biases.append(float(bias[1] - bias[0]))
    assert biases[0] == pytest.approx(2.0, abs=0.05)
    assert biases[0] > biases[1] > biases[2] > 0.0
    assert biases[2] < 0.2
