import numpy as np
import pytest

from spacy_xlt.evaluation.calibration import (
    brier_score,
    calibration_curve,
    calibration_error,
    perfect_calibration_error,
)


def test_by_hand():
    confidence = np.array([0.92, 0.92, 0.5, 1.0])
    correct = np.array([1, 0, 1, 1])
    # 0.92 is in one bin: 1 of 2 right; 0.5 right; 1.0, in the same bin as nothing else, right.
    assert calibration_error(confidence, correct) == pytest.approx((0.84 + 0.5 + 0.0) / 4)


@pytest.mark.parametrize("n", [20, 99, 5000])
def test_a_calibrated_model_shows_no_excess(n):
    rng = np.random.default_rng(0)
    excess = []
    for _ in range(40):
        confidence = rng.uniform(0.3, 1.0, size=n)
        correct = rng.random(n) < confidence
        excess.append(
            calibration_error(confidence, correct) - perfect_calibration_error(confidence)
        )
    assert np.mean(excess) == pytest.approx(0.0, abs=3 * np.std(excess) / np.sqrt(40) + 1e-3)


def test_an_overconfident_model_shows_its_excess():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.8, 1.0, size=20_000)
    correct = rng.random(20_000) < confidence - 0.2
    error = calibration_error(confidence, correct)
    assert error == pytest.approx(0.2, abs=0.01)
    assert error - perfect_calibration_error(confidence) == pytest.approx(0.2, abs=0.015)


def test_one_document_and_sure_ones():
    assert calibration_error(np.array([0.7]), np.array([1])) == pytest.approx(0.3)
    # Right with 0.7 and 0.3 off, or wrong and 0.7 off.
    assert perfect_calibration_error(np.array([0.7])) == pytest.approx(0.42, abs=0.02)
    assert perfect_calibration_error(np.ones(5)) == 0.0


def test_the_brier_score_against_scikit_learn():
    from sklearn.metrics import brier_score_loss

    rng = np.random.default_rng(2)
    scores = rng.dirichlet(np.ones(2), size=50)
    gold = np.eye(2)[rng.integers(0, 2, size=50)]
    # The other library's is that of the second of two labels: half of the sum.
    assert brier_score(scores, gold) == pytest.approx(
        2 * brier_score_loss(gold[:, 1], scores[:, 1])
    )
    assert brier_score(np.eye(3), np.eye(3)) == 0.0
    assert brier_score(np.eye(3), np.eye(3)[[1, 2, 0]]) == 2.0


def test_the_curve_by_hand():
    confidence = np.array([0.9] * 15 + [0.5] * 16)
    correct = np.array([1] * 15 + [1] * 8 + [0] * 8)
    low, high = calibration_curve(confidence, correct)
    assert (low["n"], low["confidence"], low["accuracy"]) == (16, pytest.approx(0.5), 0.5)
    assert (high["n"], high["confidence"], high["accuracy"]) == (15, pytest.approx(0.9), 1.0)
    assert low["interval"][0] < 0.5 < low["interval"][1] and high["interval"][1] == 1.0


@pytest.mark.parametrize("n", [0, 1, 14, 29, 150, 5000])
def test_the_curve_holds_every_document_in_order(n):
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.2, 1.0, size=n)
    curve = calibration_curve(confidence, rng.random(n) < confidence)
    assert sum(point["n"] for point in curve) == n
    assert len(curve) == (0 if n == 0 else min(10, max(1, n // 15)))
    means = [point["confidence"] for point in curve]
    assert means == sorted(means)
