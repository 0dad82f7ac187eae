import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from spacy_xlt.layers.losses import (
    binary_cross_entropy,
    binary_disagreement,
    cross_entropy,
    disagreement,
    sigmoid,
    smooth_labels,
    softmax,
    to_logits,
)

LOSSES = [cross_entropy, binary_cross_entropy]


def make_case(seed, n_docs=5, n_labels=4):
    random = numpy.random.default_rng(seed)
    logits = random.normal(scale=3.0, size=(n_docs, n_labels))
    targets = random.dirichlet(numpy.ones(n_labels), size=n_docs)
    weights = random.uniform(0.0, 3.0, size=n_docs)
    return logits, targets, weights


def ones(logits):
    return numpy.ones_like(logits)


@pytest.mark.parametrize("hard", [True, False])
def test_cross_entropy_is_torchs(hard):
    logits, targets, weights = make_case(0)
    if hard:
        targets = numpy.eye(4)[targets.argmax(axis=1)]
    x = torch.tensor(logits, requires_grad=True)
    wanted = (F.cross_entropy(x, torch.tensor(targets), reduction="none")).mul(
        torch.tensor(weights)
    )
    wanted.sum().backward()
    loss, d_logits = cross_entropy(logits, targets, ones(logits), weights)
    assert loss == pytest.approx(float(wanted.sum().detach()))
    numpy.testing.assert_allclose(d_logits, x.grad.numpy(), atol=1e-12)


def test_binary_cross_entropy_is_torchs():
    logits, targets, weights = make_case(1)
    x = torch.tensor(logits, requires_grad=True)
    wanted = F.binary_cross_entropy_with_logits(
        x, torch.tensor(targets), weight=torch.tensor(weights)[:, None], reduction="sum"
    )
    wanted.backward()
    loss, d_logits = binary_cross_entropy(logits, targets, ones(logits), weights)
    assert loss == pytest.approx(float(wanted.detach()))
    numpy.testing.assert_allclose(d_logits, x.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_label_is_as_if_it_were_not_there(loss):
    logits, targets, weights = make_case(2)
    known = ones(logits)
    known[:, 2] = 0.0
    targets[:, 2] = 123.0
    value, d_logits = loss(logits, targets, known, weights)
    rest = [0, 1, 3]
    wanted, d_wanted = loss(logits[:, rest], targets[:, rest], ones(logits[:, rest]), weights)
    assert value == pytest.approx(wanted)
    numpy.testing.assert_allclose(d_logits[:, rest], d_wanted, atol=1e-12)
    assert (d_logits[:, 2] == 0.0).all()


@pytest.mark.parametrize("loss", LOSSES)
@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_gradients_by_finite_differences(loss, seed):
    logits, targets, weights = make_case(seed, n_docs=2, n_labels=3)
    known = numpy.random.default_rng(seed).integers(0, 2, size=logits.shape).astype("float64")
    _, d_logits = loss(logits, targets, known, weights)
    for place in numpy.ndindex(*logits.shape):
        step = numpy.zeros_like(logits)
        step[place] = 1e-5
        above, _ = loss(logits + step, targets, known, weights)
        below, _ = loss(logits - step, targets, known, weights)
        assert (above - below) / 2e-5 == pytest.approx(d_logits[place], abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_of_two_is_the_document_twice(loss):
    logits, targets, _ = make_case(3, n_docs=1)
    once = loss(logits, targets, ones(logits), numpy.array([2.0]))
    both = [numpy.repeat(a, 2, axis=0) for a in (logits, targets, ones(logits))]
    twice = loss(*both, numpy.ones(2))
    assert once[0] == pytest.approx(twice[0])
    numpy.testing.assert_allclose(once[1][0], twice[1].sum(axis=0))


@pytest.mark.parametrize("loss", LOSSES)
def test_huge_logits_and_nothing_known_stay_finite(loss):
    logits = numpy.array([[1e4, -1e4, 0.0], [3.0, 1.0, 2.0]], dtype="f")
    targets = numpy.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype="f")
    known = numpy.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], dtype="f")
    with numpy.errstate(all="raise", under="ignore"):
        value, d_logits = loss(logits, targets, known, numpy.ones(2, dtype="f"))
    # exclusive: all the mass lies on the wrong label; independent: both labels are wrong
    assert value == pytest.approx(
        2e4 + (0.6931472 if loss is binary_cross_entropy else 0), rel=1e-3
    )
    assert d_logits.dtype == logits.dtype
    assert numpy.isfinite(d_logits).all() and (d_logits[1] == 0.0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_an_empty_batch(loss):
    empty = numpy.zeros((0, 3))
    value, d_logits = loss(empty, empty, empty, numpy.zeros(0))
    assert value == 0.0 and d_logits.shape == (0, 3)


def test_activations_are_torchs():
    logits, _, _ = make_case(4)
    logits[0] = [1e4, -1e4, 0.0, 3.0]
    x = torch.tensor(logits)
    numpy.testing.assert_allclose(softmax(logits), torch.softmax(x, dim=1).numpy(), atol=1e-12)
    numpy.testing.assert_allclose(sigmoid(logits), torch.sigmoid(x).numpy(), atol=1e-12)
    assert softmax(numpy.zeros((0, 3))).shape == (0, 3)


def test_label_smoothing_is_torchs():
    logits, targets, _ = make_case(5)
    targets = numpy.eye(4)[targets.argmax(axis=1)]
    wanted = F.cross_entropy(
        torch.tensor(logits), torch.tensor(targets), label_smoothing=0.2, reduction="sum"
    )
    smoothed = smooth_labels(targets, ones(targets), 0.2, exclusive=True)
    loss, _ = cross_entropy(logits, smoothed, ones(logits), numpy.ones(5))
    assert loss == pytest.approx(float(wanted))
    assert (smooth_labels(targets, ones(targets), 0.0, exclusive=True) == targets).all()


def test_label_smoothing_of_independent_labels_pulls_each_towards_a_half():
    targets = numpy.array([[1.0, 0.0, 1.0, 0.0]])
    smoothed = smooth_labels(targets, ones(targets), 0.2, exclusive=False)
    numpy.testing.assert_allclose(smoothed, [[0.9, 0.1, 0.9, 0.1]])


def test_label_smoothing_leaves_unknown_labels_out():
    targets, known = numpy.array([[1.0, 0.0, 0.0]]), numpy.array([[1.0, 1.0, 0.0]])
    numpy.testing.assert_allclose(
        smooth_labels(targets, known, 0.2, exclusive=True), [[0.9, 0.1, 0.0]]
    )


# -- disagreement of two passes -------------------------------------------------------------

DISAGREEMENTS = [disagreement, binary_disagreement]


def torch_disagreement(a, b, known, weights, *, exclusive):
    """By torch's divergence, document by document, over known labels only."""
    total = torch.zeros((), dtype=torch.float64)
    for row in range(len(weights)):
        columns = torch.tensor(known[row] > 0)
        x, y = a[row][columns], b[row][columns]
        if exclusive:
            pairs = [(torch.log_softmax(x, dim=0), torch.log_softmax(y, dim=0))]
        else:
            yes_no = [
                (torch.stack([v, -v]), torch.stack([w, -w])) for v, w in zip(x, y, strict=True)
            ]
            pairs = [(F.logsigmoid(v), F.logsigmoid(w)) for v, w in yes_no]
        for p, q in pairs:
            there = F.kl_div(q, p, log_target=True, reduction="sum")
            back = F.kl_div(p, q, log_target=True, reduction="sum")
            total = total + weights[row] * 0.5 * (there + back)
    return total


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_disagreement_is_torchs_divergence(exclusive, masked):
    a, _, weights = make_case(3)
    b = make_case(4)[0]
    known = ones(a)
    if masked:
        known[0, 1] = known[1, :2] = known[2] = 0.0
    x, y = (torch.tensor(logits, requires_grad=True) for logits in (a, b))
    wanted = torch_disagreement(x, y, known, weights, exclusive=exclusive)
    wanted.backward()
    gap, d_a, d_b = DISAGREEMENTS[0 if exclusive else 1](a, b, known, weights)
    assert gap == pytest.approx(float(wanted.detach()))
    numpy.testing.assert_allclose(d_a, x.grad.numpy(), atol=1e-12)
    numpy.testing.assert_allclose(d_b, y.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("function", DISAGREEMENTS)
def test_equal_predictions_do_not_disagree(function):
    logits, _, weights = make_case(5)
    gap, d_a, d_b = function(logits, logits, ones(logits), weights)
    assert gap == 0.0 and not d_a.any() and not d_b.any()


@pytest.mark.parametrize("function", DISAGREEMENTS)
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_disagreement_of_large_logits_is_finite(function, size):
    a = numpy.asarray([[size, -size, 0.0]], dtype="f")
    gap, d_a, d_b = function(a, -a, ones(a), numpy.ones(1, dtype="f"))
    assert gap > 0.0 and numpy.isfinite([gap, *d_a[0], *d_b[0]]).all()
    assert d_a.dtype == d_b.dtype == numpy.float32


def test_logits_of_scores():
    scores = numpy.array([[0.0, 1.0], [0.25, 0.75]])
    assert numpy.isfinite(to_logits(scores, exclusive=True)).all()
    found = to_logits(scores, exclusive=False)
    numpy.testing.assert_allclose(1 / (1 + numpy.exp(-found[1])), [0.25, 0.75])
