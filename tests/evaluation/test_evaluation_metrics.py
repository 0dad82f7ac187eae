import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from spacy_xlt.evaluation.metrics import (
    compare,
    is_target,
    label_auc,
    label_counts,
    measure,
    measure_transfer,
    roc_auc,
    wilson_interval,
)

NAN = float("nan")
# Few distinct values, so that ties are common.
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])


def exclusive_case(n_docs, n_labels):
    gold = st.lists(st.integers(0, n_labels - 1), min_size=n_docs, max_size=n_docs)
    return st.tuples(gold, arrays(float, (n_docs, n_labels), elements=SCORES))


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 12), st.integers(2, 4)).flatmap(lambda size: exclusive_case(*size)))
def test_exclusive_figures_are_those_of_scikit_learn(case):
    gold, scores = case
    n_labels = scores.shape[1]
    predicted = scores.argmax(axis=1)
    got = measure(compare(np.eye(n_labels)[gold], scores, exclusive=True, threshold=0.9))
    supported = sorted(set(gold))
    p, r, f, _ = precision_recall_fscore_support(
        gold, predicted, labels=supported, average="macro", zero_division=0
    )
    assert got["n"] == len(gold)
    assert got["accuracy"] == pytest.approx((predicted == np.array(gold)).mean())
    assert (got["macro_p"], got["macro_r"], got["macro_f"]) == pytest.approx((p, r, f))
    areas = [
        roc_auc_score(np.array(gold) == label, scores[:, label])
        for label in supported
        if len(set(gold)) > 1
    ]
    assert got["macro_auc"] == (pytest.approx(np.mean(areas)) if areas else None)


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, (7, 3), elements=st.sampled_from([0.0, 1.0])),
    arrays(float, (7, 3), elements=SCORES),
)
def test_independent_figures_are_those_of_scikit_learn(gold, scores):
    got = measure(compare(gold, scores, exclusive=False, threshold=0.25))
    predicted = scores >= 0.25
    assert got["accuracy"] == pytest.approx((predicted == (gold == 1)).all(axis=1).mean())
    supported = [label for label in range(3) if gold[:, label].any()]
    if not supported:
        assert got["macro_f"] is None
        return
    p, r, f, _ = precision_recall_fscore_support(
        gold, predicted, labels=supported, average="macro", zero_division=0
    )
    assert (got["macro_p"], got["macro_r"], got["macro_f"]) == pytest.approx((p, r, f))


def test_a_missing_gold_label_is_neither_right_nor_wrong():
    gold = np.array([[1.0, NAN], [NAN, 0.0], [0.0, 1.0]])
    scores = np.array([[0.9, 0.9], [0.9, 0.1], [0.1, 0.2]])
    outcomes = compare(gold, scores, exclusive=False, threshold=None)
    assert outcomes.correct.tolist() == [True, True, False]
    tp, fp, fn = label_counts(outcomes)
    assert (tp.tolist(), fp.tolist(), fn.tolist()) == ([1, 0], [0, 0], [0, 1])


def test_a_missing_exclusive_label_does_not_apply():
    outcomes = compare(np.array([[NAN, 1.0]]), np.array([[0.8, 0.2]]), exclusive=True, threshold=0)
    assert outcomes.gold.tolist() == [[False, True]]
    assert outcomes.correct.tolist() == [False]


def test_soft_gold_counts_from_one_half_or_by_the_highest():
    soft = np.array([[0.4, 0.35, 0.25]])
    scores = np.array([[0.9, 0.05, 0.05]])
    assert compare(soft, scores, exclusive=True, threshold=None).correct.all()
    assert compare(soft, scores, exclusive=False, threshold=None).gold.sum() == 0


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("broken", [NAN, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_never_right(exclusive, broken):
    gold = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0 if not exclusive else 1.0]])
    scores = np.array([[0.9, 0.1], [broken, 0.1], [0.1, broken]])
    outcomes = compare(gold, scores, exclusive=exclusive, threshold=0.5)
    assert outcomes.correct.tolist() == [True, False, False]
    assert outcomes.answered.tolist() == [True, False, False]
    assert outcomes.predicted[1:].sum() == 0
    assert all(isinstance(area, (float, type(None))) for area in label_auc(outcomes))


def test_nothing_measured_is_none_and_not_zero():
    empty = compare(np.zeros((0, 2)), np.zeros((0, 2)), exclusive=True, threshold=None)
    assert measure(empty) == {
        "n": 0,
        "accuracy": None,
        "macro_p": None,
        "macro_r": None,
        "macro_f": None,
        "macro_auc": None,
    }


def test_area_under_the_curve_by_hand():
    gold = np.array([True, True, False, False])
    assert roc_auc(gold, np.array([0.9, 0.4, 0.5, 0.1])) == 0.75
    assert roc_auc(gold, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert roc_auc(gold, np.array([-np.inf, 1.0, 0.5, 0.1])) == 0.5
    assert roc_auc(gold[:2], np.array([0.9, 0.4])) is None
    assert roc_auc(gold[:0], np.array([])) is None


def test_wilson_interval_against_published_values():
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_within_bounds(case):
    n_correct, n = case
    low, high = wilson_interval(n_correct, n)
    assert 0.0 <= low <= n_correct / n <= high <= 1.0
    assert wilson_interval(n - n_correct, n) == pytest.approx((1 - high, 1 - low))
    assert wilson_interval(0, 0) is None


def row(accuracy, macro_f=0.5):
    return {
        "n": 10,
        "accuracy": accuracy,
        "macro_p": 0.5,
        "macro_r": 0.5,
        "macro_f": macro_f,
        "macro_auc": 0.5,
    }


def test_transfer_by_hand():
    by_lang = {"en": row(0.9), "fr": row(0.8), "de": row(0.6, 0.4), "sw": row(0.4, 0.3)}
    by_lang[""] = row(0.0)
    got = measure_transfer(by_lang, ["en", "fr"])
    assert got["source_accuracy"] == pytest.approx(0.85)
    assert got["target_accuracy"] == pytest.approx(0.5)
    assert got["target_macro_f"] == pytest.approx(0.35)
    assert got["worst_accuracy"] == pytest.approx(0.4)
    assert got["worst_lang"] == "sw"
    assert got["spread_accuracy"] == pytest.approx(0.1)
    assert got["transfer_gap"] == pytest.approx(0.35)


def test_transfer_with_one_language():
    alone = measure_transfer({"en": row(0.9)}, ["en"])
    assert alone["source_accuracy"] == 0.9
    assert {value for key, value in alone.items() if key != "source_accuracy"} == {None}
    target = measure_transfer({"de": row(0.7)}, ["en"])
    assert (target["target_accuracy"], target["spread_accuracy"]) == (0.7, 0.0)
    assert (target["worst_lang"], target["transfer_gap"]) == ("de", None)


def test_an_unknown_language_is_no_target():
    assert is_target("de", ["en"])
    assert not is_target("en", ["en"])
    assert not is_target("", ["en"])
