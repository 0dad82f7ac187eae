import numpy
import pytest
from scipy.special import expit

from spacy_xlt.layers.losses import LOSSES
from spacy_xlt.layers.shares import fit_share


def make_opinions(n_texts, *, good, bad, n_labels=3, seed=0):
    """Gold labels, and two opinions that are right about them in these shares of texts."""
    rng = numpy.random.default_rng(seed)
    gold = rng.integers(n_labels, size=n_texts)

    def guess(right):
        shown = numpy.where(rng.random(n_texts) < right, gold, rng.integers(n_labels, size=n_texts))
        return 2.0 * numpy.eye(n_labels)[shown] + 0.1 * rng.normal(size=(n_texts, n_labels))

    return numpy.eye(n_labels)[gold], guess(good), guess(bad)


def measure(targets, one, other, *, exclusive=True, share=0.4, known=None, weights=None):
    known = numpy.ones_like(targets) if known is None else known
    weights = numpy.ones(len(targets)) if weights is None else weights
    return fit_share(one, other, targets, known, weights, loss=LOSSES[exclusive], share=share)


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_better_opinion_counts_more(exclusive):
    targets, good, bad = make_opinions(300, good=0.9, bad=0.2)
    assert measure(targets, good, bad, exclusive=exclusive) < 0.3
    assert measure(targets, bad, good, exclusive=exclusive) > 0.7


def test_as_a_grid_has_it():
    targets, good, bad = make_opinions(200, good=0.8, bad=0.6)

    def penalised(share, scale):
        mixed = scale * ((1 - share) * good + share * bad)
        top = mixed - mixed.max(axis=1, keepdims=True)
        log_probs = top - numpy.log(numpy.exp(top).sum(axis=1, keepdims=True))
        prior = (numpy.log(share / (1 - share)) ** 2 + numpy.log(scale) ** 2) / 2
        return prior - (targets * log_probs).sum()

    grid = [(s, c) for s in expit(numpy.arange(-3, 3, 0.02)) for c in numpy.arange(0.5, 2, 0.05)]
    best = min(grid, key=lambda at: penalised(*at))[0]
    assert measure(targets, good, bad, share=0.5) == pytest.approx(best, abs=0.02)


def test_how_sure_both_are_of_themselves_does_not_count():
    targets, good, bad = make_opinions(2000, good=0.8, bad=0.6)
    shares = [measure(targets, good * by, bad * by) for by in (0.5, 1.0, 5.0)]
    assert max(shares) - min(shares) < 0.01


def test_few_texts_say_little_and_none_nothing():
    targets, good, bad = make_opinions(600, good=0.9, bad=0.2)
    shares = [measure(targets[:n], good[:n], bad[:n]) for n in (0, 3, 30, 600)]
    assert shares[0] == pytest.approx(0.4, abs=1e-3)
    assert all(a > b for a, b in zip(shares, shares[1:], strict=False))


def test_weights_count_beside_each_other_only_and_unknown_labels_not():
    targets, good, bad = make_opinions(100, good=0.9, bad=0.4)
    wanted = measure(targets, good, bad)
    assert measure(targets, good, bad, weights=numpy.full(100, 7.0)) == pytest.approx(wanted)
    halves = numpy.repeat([1.0, 0.0], 50)
    one = measure(targets, good, bad, weights=halves)
    # the other half of the texts counts nothing, but this half counts for all
    doubled = [numpy.concatenate([values[:50]] * 2) for values in (targets, good, bad)]
    assert one == pytest.approx(measure(*doubled), abs=1e-3)
    nothing = measure(targets, good, bad, known=numpy.zeros_like(targets))
    assert nothing == pytest.approx(0.4, abs=1e-3)
    assert measure(targets, good, bad, weights=numpy.zeros(100)) == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("size", [0.0, 1e6])
def test_opinions_of_any_size(size):
    targets, good, bad = make_opinions(20, good=0.9, bad=0.4)
    assert 0.0 < measure(targets, good * size, bad) < 1.0
