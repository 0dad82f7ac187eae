import numpy as np
import pytest
from scipy.stats import beta

from spacy_xlt.components.decisions import NOTHING, nothing_scores
from spacy_xlt.evaluation.metrics import compare
from spacy_xlt.trust.thresholds import (
    MAX_CANDIDATES,
    PRIOR_ANSWERS,
    SURE,
    Answers,
    find_threshold,
    find_unreached,
    fit_thresholds,
)

LABELS = ["a", "b", "c", "d"]


def answers(scores, right):
    order = np.argsort(-np.array(scores), kind="stable")
    return Answers(np.array(scores, dtype=float)[order], np.array(right, dtype=bool)[order])


def reference(own, pooled, precision):
    """The rule in words: from the top down, as long as one can be sure enough."""
    found = None
    for bound in sorted(set(pooled.scores), reverse=True):
        mine = own.scores >= bound
        n, right = mine.sum(), own.right[mine].sum()
        others = pooled.scores[pooled.scores >= bound].mean()
        expected = (own.scores[mine].sum() + PRIOR_ANSWERS * others) / (n + PRIOR_ANSWERS)
        a, b = right + PRIOR_ANSWERS * expected, n - right + PRIOR_ANSWERS * (1 - expected)
        if beta.ppf(1 - SURE, a, b) < precision:
            return found
        found = bound
    return 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("precision", [0.6, 0.8, 0.9])
def test_against_the_rule_in_words(seed, precision):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.2, 1.0, size=80).round(2)
    pooled = answers(scores, rng.random(80) < scores)
    own = answers(scores[:12], pooled.right[:12])
    expected = reference(own, pooled, precision)
    found = find_threshold(own, pooled, precision)
    assert (found is None) == (expected is None)
    assert found is None or found == pytest.approx(expected, rel=1e-5)


def test_the_precision_wanted_is_reached_on_other_documents(draw):
    thresholds = fit_thresholds({"de": draw(500)}, LABELS, 0.85, exclusive=True)["de"]
    other = draw(20_000, seed=1)
    chosen = other.scores.argmax(axis=1)
    bounds = np.array([thresholds[label] for label in LABELS])[chosen]
    kept = other.scores.max(axis=1) >= bounds
    assert 0.84 < other.correct[kept].mean() < 0.93
    assert 0.25 < kept.mean() < 0.48  # at best 0.476


def test_a_higher_precision_takes_a_higher_threshold(draw):
    by_lang = {"de": draw(400)}
    found = [
        fit_thresholds(by_lang, LABELS, precision, exclusive=True)["de"]["a"]
        for precision in (0.5, 0.7, 0.9)
    ]
    assert found == sorted(found) and found[0] < found[2]


def test_few_answers_stay_near_the_threshold_of_all(draw):
    many = draw(2000)
    by_lang = {"de": many, "yo": draw(3, seed=5)}
    found = fit_thresholds(by_lang, LABELS, 0.8, exclusive=True)
    for label in LABELS:
        assert found["yo"][label] == pytest.approx(found[""][label], abs=0.15)


def test_a_language_that_is_worse_than_its_probabilities(draw):
    right = draw(300)
    wrong = draw(300, seed=1)
    gold = np.roll(wrong.gold, 1, axis=1).astype(float)
    bad = compare(gold, wrong.scores, exclusive=True, threshold=None)
    found = fit_thresholds({"de": right, "sw": bad}, LABELS, 0.8, exclusive=True)
    assert not found["sw"] or min(found["sw"].values()) > max(found["de"].values())
    assert set(found["de"]) == set(LABELS)


def test_a_label_never_predicted_is_never_given(draw):
    outcomes = draw(200)
    scores = outcomes.scores.copy()
    scores[:, 0] = 0.0
    never = compare(outcomes.gold.astype(float), scores, exclusive=True, threshold=None)
    found = fit_thresholds({"de": never}, LABELS, 0.6, exclusive=True)
    assert "a" not in found["de"] and "a" not in found[""]
    assert find_unreached(found, LABELS)["de"] == ["a"]


def test_what_cannot_be_reached_has_no_threshold():
    scores = np.full(50, 0.6)
    half = answers(scores, np.arange(50) % 2)
    assert find_threshold(half, half, 0.9) is None
    assert find_threshold(answers([], []), answers([], []), 0.1) is None
    # All are right: even the least likely of them is kept.
    every = answers(np.linspace(0.8, 1.0, 200), np.ones(200))
    assert find_threshold(every, every, 0.8) == 0.0


def test_independent_labels_may_have_a_lower_threshold_than_a_half():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=(2000, 1))
    gold = (rng.random((2000, 1)) < np.sqrt(scores)).astype(float)
    gold[::7] = np.nan
    outcomes = compare(gold, scores, exclusive=False, threshold=0.5)
    found = fit_thresholds({"de": outcomes}, ["a"], 0.7, exclusive=False)["de"]["a"]
    kept = (scores[:, 0] >= found) & outcomes.known[:, 0]
    assert found < 0.5 and outcomes.gold[kept, 0].mean() == pytest.approx(0.71, abs=0.03)


def test_no_label_has_a_threshold_like_a_label():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.0, 0.6, size=(4000, 2))
    gold = (rng.random((4000, 2)) < scores).astype(float)
    gold[::9, 1] = np.nan  # says nothing about whether there is none
    outcomes = compare(gold, scores, exclusive=False, threshold=0.5)
    found = fit_thresholds({"de": outcomes}, ["a", "b"], 0.8, exclusive=False)["de"][NOTHING]
    none = nothing_scores(scores) >= found
    whole = none & outcomes.known.all(axis=1)
    assert none.any() and (~outcomes.gold[whole].any(axis=1)).mean() == pytest.approx(0.8, abs=0.05)
    exclusive = compare(np.eye(2)[[0, 1] * 50], np.full((100, 2), 0.5), exclusive=True, threshold=0)
    assert NOTHING not in fit_thresholds({"de": exclusive}, ["a", "b"], 0.1, exclusive=True)["de"]


def test_many_scores_are_looked_at_in_steps():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=5 * MAX_CANDIDATES)
    many = answers(scores, rng.random(len(scores)) < scores)
    found = find_threshold(many, many, 0.8)
    # Above t, uniform scores are right in (1 + t) / 2.
    assert found == pytest.approx(0.6, abs=0.05)
