import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.evaluation.metrics import compare
from spacy_xlt.trust.calibration import (
    OTHERS,
    SPREAD,
    apply_temperature,
    check_temperatures,
    fit_temperature,
    fit_temperatures,
)


def draw(n, temperature, *, exclusive=True, n_labels=4, seed=0):
    """Documents of a classifier that is calibrated after its logits are divided by a number."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, size=(n, n_labels))
    true = apply_temperature(_scores(logits, exclusive), 1.0, exclusive=exclusive)
    if exclusive:
        gold = np.eye(n_labels)[[rng.choice(n_labels, p=p / p.sum()) for p in true]]
    else:
        gold = (rng.random(true.shape) < true).astype(float)
    scores = apply_temperature(true, 1.0 / temperature, exclusive=exclusive)
    return compare(gold, scores, exclusive=exclusive, threshold=0.5)


def _scores(logits, exclusive):
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True) if exclusive else odds / (1 + odds)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(temperature, exclusive):
    outcomes = draw(4000, temperature, exclusive=exclusive)
    assert fit_temperature(outcomes, exclusive=exclusive) == pytest.approx(temperature, rel=0.08)


def test_against_a_grid():
    outcomes = draw(60, 2.0)

    def loss(temperature):
        scores = apply_temperature(outcomes.scores, temperature, exclusive=True)
        return -np.log(scores[outcomes.gold]).sum()

    grid = np.exp(np.linspace(-2, 2, 4001))
    best = grid[np.argmin([loss(t) for t in grid])]
    assert fit_temperature(outcomes, exclusive=True) == pytest.approx(best, rel=2e-3)


def test_few_documents_stay_near_the_center():
    outcomes = draw(2000, 3.0)
    found = [
        fit_temperature(outcomes[np.arange(n)], exclusive=True, center=1.0)
        for n in (1, 20, 200, 2000)
    ]
    assert found == sorted(found)
    assert found[0] < np.exp(SPREAD) and found[-1] == pytest.approx(3.0, rel=0.15)


def test_languages_get_their_own_and_others_that_of_all():
    by_lang = {"de": draw(600, 1.2), "sw": draw(600, 2.5, seed=1), "": draw(50, 1.0, seed=2)}
    found = fit_temperatures(by_lang, exclusive=True)
    assert set(found) == {"de", "sw", OTHERS}
    assert found["de"] < found[OTHERS] < found["sw"]
    alone = fit_temperatures({"en": by_lang["sw"]}, exclusive=True)
    assert alone["en"] == pytest.approx(alone[OTHERS], rel=1e-3)


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_check_is_on_other_documents(exclusive):
    by_lang = {
        "de": draw(800, 1.0, exclusive=exclusive),
        "sw": draw(800, 3.0, exclusive=exclusive, seed=1),
        "yo": draw(3, 1.0, exclusive=exclusive, seed=2),
    }
    temperatures = fit_temperatures(by_lang, exclusive=exclusive)
    found = check_temperatures(by_lang, temperatures, exclusive=exclusive)
    assert [row.n for row in found.values()] == [800, 800, 3]
    assert found["sw"].before > 0.08 > 0.03 > abs(found["sw"].after)
    assert abs(found["de"].after) < 0.03
    assert found["sw"].temperature == temperatures["sw"]


def test_one_document_only():
    by_lang = {"de": draw(1, 1.0)}
    temperatures = fit_temperatures(by_lang, exclusive=True)
    found = check_temperatures(by_lang, temperatures, exclusive=True)
    assert found["de"].n == 1 and np.isfinite(found["de"].after)


@pytest.mark.parametrize("exclusive", [True, False])
def test_scores_of_0_and_1_and_labels_never_right(exclusive):
    scores, gold = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 1, 1]]
    outcomes = compare(gold, scores, exclusive=exclusive, threshold=0.5)
    assert 1.0 < fit_temperature(outcomes, exclusive=exclusive) < 21
    always = compare(scores, scores, exclusive=exclusive, threshold=0.5)
    assert 0.0 < fit_temperature(always, exclusive=exclusive) < 21


def test_labels_that_are_not_annotated_do_not_count():
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
    scores = _scores(np.random.default_rng(seed).normal(0, 3, size=(5, 3)), exclusive)
    after = apply_temperature(scores, temperature, exclusive=exclusive)
    assert (np.argsort(after, axis=1) == np.argsort(scores, axis=1)).all()
    assert np.isfinite(after).all() and (after >= 0).all() and (after <= 1).all()
    if exclusive:
        assert after.sum(axis=1) == pytest.approx(1.0)
    else:
        assert ((after > 0.5) == (scores > 0.5)).all()
