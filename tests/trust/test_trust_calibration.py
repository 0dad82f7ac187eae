import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.evaluation.metrics import compare
from spacy_xlt.trust.calibration import (
    OTHERS,
    SPREAD,
    Calibrator,
    apply_temperature,
    fit_temperature,
    fit_temperatures,
    to_scores,
)

LABELS = ["a", "b", "c", "d"]


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(draw, temperature, exclusive):
    outcomes = draw(4000, temperature, exclusive=exclusive)
    assert fit_temperature(outcomes, exclusive=exclusive) == pytest.approx(temperature, rel=0.08)


def test_against_a_grid(draw):
    outcomes = draw(60, 2.0)

    def loss(temperature):
        scores = apply_temperature(outcomes.scores, temperature, exclusive=True)
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
def test_the_check_is_on_other_documents(draw, exclusive):
    by_lang = {
        "de": draw(800, 1.0, exclusive=exclusive),
        "sw": draw(800, 3.0, exclusive=exclusive, seed=1),
        "yo": draw(3, 1.0, exclusive=exclusive, seed=2),
    }
    found = Calibrator(LABELS, exclusive, 0.5, precision=0.8, coverage=0.9).check(by_lang)
    assert [row.n for row in found.values()] == [800, 800, 3]
    assert found["sw"].before > 0.08 > 0.03 > abs(found["sw"].after)
    assert abs(found["de"].after) < 0.03
    for lang in ("de", "sw"):
        kept, sets = found[lang].selective["precision"], found[lang].selective["coverage"]
        assert kept["precision"] > 0.78 and 0.2 < kept["share_answered"] < 0.99
        assert sets["set_coverage"] == pytest.approx(0.9, abs=0.03)
        assert 1.0 < sets["set_size"] < 3.0


def test_only_what_is_wanted_is_fitted(draw):
    by_lang = {"de": draw(100, 1.0)}
    assert set(Calibrator(LABELS, True).fit(by_lang)) == {"temperatures"}
    found = Calibrator(LABELS, True, precision=0.9).fit(by_lang)
    assert set(found) == {"temperatures", "thresholds", "precision"}
    found = Calibrator(LABELS, True, coverage=0.9).fit(by_lang)
    assert set(found) == {"temperatures", "set_thresholds", "coverage"}


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, float("nan")])
@pytest.mark.parametrize("name", ["precision", "coverage"])
def test_what_cannot_be_wanted(name, value):
    with pytest.raises(ValueError, match=f"The {name} wanted is .*; allowed is between 0 and 1"):
        Calibrator(LABELS, True, **{name: value})


def test_one_document_only(draw):
    by_lang = {"de": draw(1, 1.0)}
    calibrator = Calibrator(LABELS, True, precision=0.9, coverage=0.9)
    found = calibrator.check(by_lang)["de"]
    assert found.n == 1 and np.isfinite(found.after)
    # Nothing is left to fit to, so nothing is answered and everything may be right.
    assert found.selective["precision"]["share_answered"] == 0.0
    assert found.selective["precision"]["precision"] is None
    assert found.selective["coverage"]["set_size"] == 4.0
    assert calibrator.fit({})["thresholds"] == {OTHERS: {}}


def test_the_same_text_over_and_over():
    scores = np.tile([0.7, 0.1, 0.1, 0.1], (60, 1))
    gold = np.eye(4)[np.arange(60) % 2]
    by_lang = {"de": compare(gold, scores, exclusive=True, threshold=None)}
    calibrator = Calibrator(LABELS, True, precision=0.9, coverage=0.9)
    calibration = calibrator.fit(by_lang)
    assert calibration["thresholds"] == {"": {}, "de": {}}
    assert calibration["set_thresholds"]["de"] < calibration["temperatures"]["de"]
    found = calibrator.check(by_lang)["de"].selective
    assert found["coverage"]["set_coverage"] == 1.0


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
    after = apply_temperature(scores, temperature, exclusive=exclusive)
    assert (np.argsort(after, axis=1) == np.argsort(scores, axis=1)).all()
    assert np.isfinite(after).all() and (after >= 0).all() and (after <= 1).all()
    if exclusive:
        assert after.sum(axis=1) == pytest.approx(1.0)
    else:
        assert ((after > 0.5) == (scores > 0.5)).all()
