import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.evaluation.metrics import compare
from spacy_xlt.trust import conformal
from spacy_xlt.trust.conformal import find_set_threshold, fit_set_thresholds


def covered(outcomes, threshold):
    return (outcomes.scores >= threshold)[outcomes.gold & outcomes.known].mean()


def test_without_a_prior_it_is_the_quantile_of_split_conformal(draw, monkeypatch):
    monkeypatch.setattr(conformal, "PRIOR_LABELS", 1e-12)
    outcomes = draw(99)
    gold = np.sort(outcomes.scores[outcomes.gold])
    # The 90th highest of 99, which is ceil(0.9 * (99 + 1)).
    assert find_set_threshold(outcomes, 0.9) == pytest.approx(gold[-90], rel=1e-5)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_the_coverage_wanted_is_met_on_other_documents(draw, exclusive, coverage):
    found = [
        covered(
            draw(1000, exclusive=exclusive, seed=100 + seed),
            find_set_threshold(draw(99, exclusive=exclusive, seed=seed), coverage),
        )
        for seed in range(60)
    ]
    assert np.mean(found) == pytest.approx(coverage, abs=0.015)
    assert np.std(found) < 0.035


def test_probabilities_that_are_wrong_are_outvoted(draw):
    outcomes = draw(600, temperature=0.4)
    threshold = find_set_threshold(outcomes, 0.9)
    assert covered(draw(3000, temperature=0.4, seed=1), threshold) == pytest.approx(0.9, abs=0.03)


def test_languages_get_their_own_and_others_that_of_all(draw):
    by_lang = {"de": draw(400, temperature=3.0), "sw": draw(400, temperature=0.3, seed=1)}
    found = fit_set_thresholds(by_lang, 0.9)
    assert set(found) == {"", "de", "sw"}
    assert min(found["de"], found["sw"]) < found[""] < max(found["de"], found["sw"])


def test_three_documents(draw):
    found = find_set_threshold(draw(3), 0.9)
    usual = find_set_threshold(draw(2000, seed=1), 0.9)
    assert found == pytest.approx(usual, abs=0.12)


def test_a_coverage_out_of_reach_takes_all_labels():
    scores = np.array([[1.0, 0.0], [1.0, 0.0]])
    wrong = compare(1 - scores, scores, exclusive=True, threshold=None)
    assert find_set_threshold(wrong, 0.99) == 0.0


def test_no_label_applies_anywhere():
    nothing = compare(np.zeros((4, 2)), np.full((4, 2), 0.3), exclusive=False, threshold=0.5)
    assert 0.0 <= find_set_threshold(nothing, 0.9) <= 0.3


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_a_higher_coverage_never_takes_a_higher_threshold(seed, n):
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), size=n)
    gold = np.eye(3)[rng.integers(0, 3, size=n)]
    outcomes = compare(gold, scores, exclusive=True, threshold=None)
    found = [find_set_threshold(outcomes, coverage) for coverage in (0.5, 0.8, 0.9, 0.99)]
    assert found == sorted(found, reverse=True)
    assert all(0.0 <= threshold <= 1.0 for threshold in found)
