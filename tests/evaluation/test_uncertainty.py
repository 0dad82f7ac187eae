"""Intervals and tests against simulation, against exact values, and against scipy."""

import numpy as np
import pytest
from scipy import stats

from spacy_xlt.evaluation.metrics import wilson_interval
from spacy_xlt.evaluation.uncertainty import (
    adjust_p,
    draw_units,
    flip_test,
    mcnemar,
    number_units,
    paired_interval,
    percentile_interval,
    resample_macro_f,
    resample_ratios,
    sum_by_unit,
)


def test_equal_keys_are_one_unit():
    units, n_units = number_units([[7, 3, 7], [3, 9], []])
    assert [numbers.tolist() for numbers in units] == [[1, 0, 1], [0, 2], []]
    assert n_units == 3


def test_sums_by_unit():
    sums = sum_by_unit(np.array([1, 0, 1]), np.array([[1, 2], [3, 4], [5, 6]]), 3)
    assert sums.tolist() == [[3, 4], [6, 8], [0, 0]]


@pytest.mark.parametrize("n_units", [1, 5, 3000])
def test_samples_are_of_the_size_of_the_whole_and_always_the_same(n_units, monkeypatch):
    first = np.concatenate(list(draw_units(n_units, n_resamples=300)))
    assert first.shape == (300, n_units)
    assert (first.sum(axis=1) == n_units).all()
    assert first.mean(axis=0) == pytest.approx(np.ones(n_units), abs=0.4)
    assert (np.concatenate(list(draw_units(n_units, n_resamples=300))) == first).all()


def simulate(rng, n_units, n_langs, n_sets):
    """Test sets of sentences that are easy or hard in all languages together.

    YIELDS: Whether each document is right. Shape: (n_units, n_langs)
    RETURNS the true accuracies first.
    """
    ability = rng.normal(0.8, 0.7, size=n_langs)
    grid = stats.norm.ppf((np.arange(2000) + 0.5) / 2000) * 1.2
    truth = (1 / (1 + np.exp(-(ability[:, None] + grid)))).mean(axis=1)
    yield truth
    for _ in range(n_sets):
        ease = rng.normal(0.0, 1.2, size=(n_units, 1))
        yield rng.random((n_units, n_langs)) < 1 / (1 + np.exp(-(ability + ease)))


def coverage(n_sets, n_units, *, n_langs=22):
    """Share of simulated test sets whose intervals hold the truth: of accuracies, of the mean."""
    sets = simulate(np.random.default_rng(1), n_units, n_langs, n_sets)
    truth = next(sets)
    in_language, in_mean, in_naive = [], [], []
    for right in sets:
        intervals = [wilson_interval(int(column.sum()), n_units) for column in right.T]
        in_language += [low <= t <= high for (low, high), t in zip(intervals, truth, strict=True)]
        means = resample_ratios(right, np.ones_like(right)).mean(axis=1)
        low, high = percentile_interval(means)
        in_mean.append(low <= truth.mean() <= high)
        low, high = wilson_interval(int(right.sum()), right.size)
        in_naive.append(low <= truth.mean() <= high)
    return np.mean(in_language), np.mean(in_mean), np.mean(in_naive)


def test_intervals_hold_the_truth_as_often_as_they_say():
    in_language, in_mean, in_naive = coverage(200, 204)
    assert 0.93 <= in_language <= 0.97
    assert 0.91 <= in_mean <= 0.985  # 200 sets: two standard errors are 0.03
    # As if all documents were independent: far too narrow.
    assert in_naive < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("n_units", [99, 204])
def test_intervals_hold_the_truth_in_a_thousand_test_sets(n_units):
    in_language, in_mean, _ = coverage(1000, n_units)
    print(f"{n_units} sentences: {in_language:.3f} of accuracies, {in_mean:.3f} of means")
    assert 0.93 <= in_language <= 0.97
    assert 0.93 <= in_mean <= 0.97


def test_ratios_of_what_is_not_there():
    parts, wholes = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[2.0, 0.0], [2.0, 0.0]])
    ratios = resample_ratios(parts, wholes)
    assert (ratios[:, 0] == 0.5).all() and np.isnan(ratios[:, 1]).all()
    assert percentile_interval(ratios[:, 0]) == (0.5, 0.5)
    assert percentile_interval(ratios[:, 1]) is None


def test_macro_f_of_a_sample_is_over_the_labels_of_its_gold():
    # One sentence of each of two labels, of which the second is wrong.
    tp, fp = np.array([[1, 0], [0, 0]]), np.array([[0, 0], [1, 0]])
    fn = np.array([[0, 0], [0, 1]])
    values = resample_macro_f(tp, fp, fn)
    # Twice the first: 1; twice the second: 0; both: (2/3 + 0) / 2.
    assert set(np.round(values, 4)) == {1.0, 0.0, 0.3333}


def test_mcnemar_is_a_sign_test():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(3, 9) == mcnemar(9, 3) == pytest.approx(0.146, abs=1e-3)


def test_paired_intervals_stay_sane():
    assert paired_interval(0, 0, 3) == pytest.approx((-0.392, 0.392), abs=1e-3)
    low, high = paired_interval(0, 2, 2)
    assert 0.0 < high == 1.0 and low < 1.0


def test_paired_intervals_hold_the_truth():
    rng, held = np.random.default_rng(0), []
    for _ in range(2000):
        draws = rng.choice(3, size=99, p=[0.1, 0.17, 0.73])
        only_a, only_b = int((draws == 0).sum()), int((draws == 1).sum())
        low, high = paired_interval(only_a, only_b, 99)
        held.append(low <= 0.07 <= high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_flip_test_against_scipy():
    differences = np.random.default_rng(2).normal(0.25, 1.0, size=40)
    expected = stats.permutation_test(
        (differences,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(3),
    ).pvalue
    assert flip_test(differences) == pytest.approx(expected, abs=0.01)
    assert flip_test(np.zeros(5)) == 1.0
    assert flip_test(np.ones(60)) == pytest.approx(1e-4)


def test_the_flip_test_is_rarely_wrong_without_a_difference():
    rng = np.random.default_rng(4)
    values = [flip_test(rng.choice([-1.0, 0.0, 1.0], size=60)) for _ in range(200)]
    assert np.mean(np.array(values) < 0.05) < 0.1


def test_holm_by_hand():
    assert adjust_p([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjust_p([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert adjust_p([]) == []
