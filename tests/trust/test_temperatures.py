import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.components.decisions import OTHERS
from spacy_xlt.evaluation.metrics import compare
from spacy_xlt.layers.losses import to_logits
from spacy_xlt.trust.temperatures import (
    SPREAD,
    fit_temperature,
    fit_temperatures,
    to_scores,
)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(draw, temperature, exclusive):
    outcomes = draw(4000, temperature, exclusive=exclusive)
    assert fit_temperature(outcomes, exclusive=exclusive) == pytest.approx(temperature, rel=0.08)


def test_against_a_grid(draw):
    outcomes = draw(60, 2.0)

    def loss(temperature):
        scores = to_scores(to_logits(outcomes.scores, exclusive=True) / temperature, exclusive=True)
        return -np.log(scores[outcomes.gold]).sum()

    grid = np.exp(np.linspace(-2, 2, 4001))
    best = grid[np.argmin([loss(t) for t in grid])]
    assert fit_temperature(outcomes, exclusive=True) == pytest.approx(best, rel=2e-3)


def test_few_documents_stay_near_the_center(draw):
    outcomes = draw(2000, 3.0)
    found = [
        fit_temperature(outcomes[np.arange(n)], exclusive=True, center=1.0)
        for n in (1, 20, 200, 2000)
    ]
    assert found == sorted(found)
    assert found[0] < np.exp(SPREAD) and found[-1] == pytest.approx(3.0, rel=0.15)


def test_languages_get_their_own_and_others_that_of_all(draw):
    by_lang = {"de": draw(600, 1.2), "sw": draw(600, 2.5, seed=1), "": draw(50, 1.0, seed=2)}
    found = fit_temperatures(by_lang, exclusive=True)
    assert set(found) == {"de", "sw", OTHERS}
    assert found["de"] < found[OTHERS] < found["sw"]
    alone = fit_temperatures({"en": by_lang["sw"]}, exclusive=True)
    assert alone["en"] == pytest.approx(alone[OTHERS], rel=1e-3)


@pytest.mark.parametrize("exclusive", [True, False])
def test_scores_of_0_and_1_and_labels_never_right(exclusive):
    scores, gold = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 1, 1]]
    outcomes = compare(gold, scores, exclusive=exclusive, threshold=0.5)
    assert 1.0 < fit_temperature(outcomes, exclusive=exclusive) < 21
    always = compare(scores, scores, exclusive=exclusive, threshold=0.5)
    assert 0.0 < fit_temperature(always, exclusive=exclusive) < 21


def test_labels_that_are_not_annotated_do_not_count(draw):
    outcomes = draw(500, 2.0, exclusive=False)
    gold = np.where(outcomes.gold, 1.0, 0.0)
    gold[:, 0] = np.nan
    partly = compare(gold, outcomes.scores, exclusive=False, threshold=0.5)
    rest = compare(gold[:, 1:], outcomes.scores[:, 1:], exclusive=False, threshold=0.5)
    assert fit_temperature(partly, exclusive=False) == pytest.approx(
        fit_temperature(rest, exclusive=False)
    )


@given(st.floats(0.5, 20.0), st.integers(0, 10_000), st.booleans())
def test_a_temperature_changes_no_order(temperature, seed, exclusive):
    scores = to_scores(np.random.default_rng(seed).normal(0, 3, size=(5, 3)), exclusive=exclusive)
    after = to_scores(to_logits(scores, exclusive=exclusive) / temperature, exclusive=exclusive)
    assert (np.argsort(after, axis=1) == np.argsort(scores, axis=1)).all()
    assert np.isfinite(after).all() and (after >= 0).all() and (after <= 1).all()
    if exclusive:
        assert after.sum(axis=1) == pytest.approx(1.0)
    else:
        assert ((after > 0.5) == (scores > 0.5)).all()
