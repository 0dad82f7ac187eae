import numpy as np
import pytest

from spacy_xlt.components.decisions import OTHERS
from spacy_xlt.evaluation.metrics import compare
from spacy_xlt.trust.calibration import Calibrator

LABELS = ["a", "b", "c", "d"]


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
