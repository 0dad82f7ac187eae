import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from spacy_xlt.evaluation.learning import (
    AHEAD,
    MIN_POINTS,
    fit_and_predict,
    make_curves,
    read_trial,
)

SHOTS = {0: 0, 4: 28, 8: 56, 16: 112, 32: 224, None: 350}


def make_trials(curve, *, lang="sw", n_docs=200, n_draws=4, shots=SHOTS, seed=0):
    """Trials whose accuracy follows a curve; documents are easy or hard in all of them."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=n_docs)
    trials = []
    for n, n_labels in shots.items():
        for draw in range(1 if n in (0, None) else n_draws):
            noise = np.sqrt(0.7) * difficulty + np.sqrt(0.3) * rng.normal(size=n_docs)
            right = (noise < norm.ppf(curve(n_labels))).astype(int)
            trials.append(
                {
                    "lang": lang,
                    "shots": n,
                    "draw": draw,
                    "n_labels": n_labels,
                    "accuracy": float(right.mean()),
                    "macro_f": None,
                    "correct": "".join(map(str, right)),
                    "seconds": 0.1,
                }
            )
    return trials


def rising(n, start=0.6, end=0.85, scale=100.0, power=0.5):
    return end - (end - start) * (1 + np.asarray(n) / scale) ** -power


def curve_of(trials, **settings):
    (curve,) = make_curves(trials, pipeline="xx_test", recipe="head", **settings)["languages"]
    return curve


# -- the fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0, 2.0])
def test_a_curve_of_its_kind_is_found_again(power):
    n = np.array(list(SHOTS.values()))
    at = np.array([0.0, 100.0, 700.0])
    (found,) = fit_and_predict(n, rising(n, power=power)[None], at)
    np.testing.assert_allclose(found, rising(at, power=power), atol=0.01)


@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=8), st.integers(1, 10_000))
def test_a_fit_is_a_share_whatever_the_points(accuracies, most):
    n = np.linspace(0, most, len(accuracies))
    at = np.linspace(0, AHEAD * most, 20)
    (found,) = fit_and_predict(n, np.array([accuracies]), at)
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()
    steps = np.diff(found)
    assert (steps >= -1e-9).all() or (steps <= 1e-9).all()  # in one direction


def test_nothing_learnt_is_a_flat_line():
    (found,) = fit_and_predict(np.array([0, 10, 20, 40]), np.full((1, 4), 0.7), np.array([80.0]))
    assert found == pytest.approx(0.7)


# -- curves ---------------------------------------------------------------------------------


def test_points_are_means_over_draws():
    trials = make_trials(rising)
    curve = curve_of(list(reversed(trials)))
    assert [point["shots"] for point in curve["points"]] == list(SHOTS)
    assert [point["n_labels"] for point in curve["points"]] == list(SHOTS.values())
    own = [trial["accuracy"] for trial in trials if trial["shots"] == 8]
    point = curve["points"][2]
    assert point["n_draws"] == 4 and point["accuracy"] == pytest.approx(np.mean(own))
    assert point["sd"] == pytest.approx(np.std(own, ddof=1))
    assert curve["points"][0]["sd"] is None and curve["n_measured"] == 200
    first, last = curve["points"][0]["accuracy"], curve["points"][-1]["accuracy"]
    assert curve["gain"] == pytest.approx(last - first)
    assert curve["gain_interval"][0] < curve["gain"] < curve["gain_interval"][1]
    assert curve["fitted"][0][0] == 0 and curve["fitted"][-1][0] == AHEAD * 350
    assert all(low <= high for _, _, low, high in curve["fitted"])


def test_intervals_hold_what_is_true():
    """What twice as many labels bring is within the interval about as often as it says."""
    rng = np.random.default_rng(3)
    held, held_end = [], []
    for seed in range(40):
        start, scale = rng.uniform(0.55, 0.75), rng.uniform(20, 300)
        power = rng.choice([0.5, 0.7, 1.0])

        def true(n, start=start, scale=scale, power=power):
            return rising(n, start=start, scale=scale, power=power)

        curve = curve_of(make_trials(true, seed=seed))
        low, high = curve["ahead_interval"]
        held.append(low <= true(700) - true(350) <= high)
        _, _, low, high = curve["fitted"][-1]
        held_end.append(low <= true(700) <= high)
    assert np.mean(held) >= 0.85 and np.mean(held_end) >= 0.85


def test_the_mean_over_languages_and_the_order():
    steep = make_trials(lambda n: rising(n, start=0.4, scale=300.0, power=1.0), lang="yo")
    flat = make_trials(lambda n: 0.8 + 0.0 * np.asarray(n), lang="de")
    curves = make_curves([*flat, *steep], pipeline="xx_test", recipe="finetune")
    assert [curve["lang"] for curve in curves["languages"]] == ["yo", "de"]
    mean = curves["mean"]
    for i, point in enumerate(mean["points"]):
        own = [curve["points"][i]["accuracy"] for curve in curves["languages"]]
        assert point["accuracy"] == pytest.approx(np.mean(own))
    assert mean["lang"] == "" and mean["gain"] > 0
    assert make_curves(flat, pipeline="x", recipe="head")["mean"] is None


def test_the_mean_is_over_numbers_of_labels_that_all_have():
    few = {n: SHOTS[n] for n in (0, 4, None)}
    trials = [*make_trials(rising, lang="yo"), *make_trials(rising, lang="sw", shots=few)]
    curves = make_curves(trials, pipeline="x", recipe="head")
    assert [point["shots"] for point in curves["mean"]["points"]] == list(few)
    by_lang = {curve["lang"]: curve for curve in curves["languages"]}
    assert len(few) < MIN_POINTS and by_lang["sw"]["fitted"] == []
    assert by_lang["sw"]["ahead"] is None and by_lang["sw"]["gain"] is not None


def test_it_is_the_same_at_every_call():
    assert curve_of(make_trials(rising)) == curve_of(make_trials(rising))


def test_what_makes_no_curve():
    with pytest.raises(ValueError, match="There is no trial to make a learning curve of"):
        make_curves([], pipeline="x", recipe="head")
    trials = [*make_trials(rising), *make_trials(rising, n_docs=99)]
    with pytest.raises(ValueError, match="Trials in 'sw' were measured on different documents"):
        make_curves(trials, pipeline="x", recipe="head")


def test_trials_are_read_and_checked(tmp_path):
    (trial, *_) = make_trials(rising)
    path = tmp_path / "trial.json"
    path.write_text(json.dumps(trial))
    assert read_trial(path) == trial
    path.write_text(json.dumps({**trial, "accuracy": 7}))
    with pytest.raises(ValueError, match="is not a trial of a learning curve, or is damaged: acc"):
        read_trial(path)
