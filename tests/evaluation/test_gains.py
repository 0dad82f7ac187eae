import importlib
import json
from pathlib import Path

import pytest

from spacy_xlt.evaluation.gains import (
    GAINS_FILE,
    GAINS_FORMAT,
    Gain,
    find_gain,
    measured_gains,
)
from spacy_xlt.transfer.recipes import BASELINE

ROOT = Path(__file__).parents[2]


def make_gain(labels_per_class, mean=1.0, interval=(0.5, 1.5), recipe="few_shot"):
    return Gain(recipe, labels_per_class, mean, interval, True, ("sw",), 3, 1.0, "assets/results/x")


def test_gains_are_those_of_the_runs(monkeypatch):
    """README and advice are written from the same runs by one script."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    benchmark = importlib.import_module("transfer")
    written = GAINS_FILE.read_text(encoding="utf8")
    assert written == benchmark.gains_json(), "run: python tests/benchmarks/transfer.py table"
    assert json.loads(written)["format"] == GAINS_FORMAT
    for gain in measured_gains():
        assert gain.recipe != BASELINE and gain.n_runs > 0 and gain.langs
        assert (ROOT / gain.source).is_dir()
        if gain.interval is not None:
            assert gain.interval[0] <= gain.mean <= gain.interval[1]


@pytest.mark.parametrize(
    ("per_class", "nearest"), [(0.0, 1), (1, 1), (5, 8), (20, 32), (1000, 50), (40, 32)]
)
def test_the_nearest_measurement_counts(per_class, nearest):
    gains = [make_gain(n) for n in (1, 8, 32, 50)]
    gains[0:0] = [make_gain(int(per_class) + 1, recipe="other")]
    assert find_gain("few_shot", per_class, gains).labels_per_class == nearest


def test_what_was_not_measured_has_no_gain():
    assert find_gain("nope", 3, [make_gain(8)]) is None
    assert find_gain("few_shot", 3, []) is None


@pytest.mark.parametrize(
    ("interval", "sure"), [((0.1, 2.0), True), ((-0.1, 2.0), False), (None, False)]
)
def test_a_gain_is_sure_if_its_interval_is_above_zero(interval, sure):
    assert make_gain(8, interval=interval).is_sure == sure
