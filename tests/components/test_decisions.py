import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_xlt.components.decisions import adjust_logits, decide, write_decisions

LABELS = ["A", "B", "C"]
SCORES = numpy.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.1, 0.0, 0.9]], dtype="f")
LANGS = ["de", "de", "sw"]


def find(calibration, abstain, *, scores=SCORES, langs=LANGS, exclusive=True, threshold=None):
    return decide(
        scores,
        langs,
        LABELS,
        calibration,
        abstain=abstain,
        exclusive=exclusive,
        threshold=threshold,
    )


def test_precision_keeps_the_likeliest_label_from_its_threshold_up():
    found = find({"thresholds": {"": {"A": 0.5, "B": 0.1}, "sw": {"C": 0.95}}}, "precision")
    assert found.answered.tolist() == [True, False, False]
    assert found.given.astype(int).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert found.sets is None


def test_coverage_answers_where_only_one_label_may_be_right():
    found = find({"set_thresholds": {"": 0.3, "sw": 0.95}}, "coverage")
    assert found.sets.astype(int).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found.answered.tolist() == [True, False, True]
    assert found.given.astype(int).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_independent_labels_by_precision():
    calibration = {"thresholds": {"": {"A": 0.3, "B": 0.3}}}
    found = find(calibration, "precision", exclusive=False, threshold=0.5)
    assert found.given.astype(int).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert found.answered.tolist() == [True, True, False]


def test_no_label_is_an_answer_of_independent_labels():
    scores = numpy.array([[0.1, 0.1, 0.0], [0.4, 0.4, 0.4], [0.9, 0.0, 0.0]], dtype="f")
    settings = {"scores": scores, "exclusive": False, "threshold": 0.5, "langs": ["de"] * 3}
    labels = {"A": 0.95, "B": 0.95, "C": 0.95}
    for bound, answered in ((0.0, [True, True, False]), (0.8, [True, False, False]), (0.9, [])):
        found = find({"thresholds": {"": {**labels, "": bound}}}, "precision", **settings)
        assert found.answered.tolist() == (answered or [False] * 3)
        assert not found.given.any()
    # Without a threshold it is never given, as a label would not be.
    found = find({"thresholds": {"": labels}}, "precision", **settings)
    assert not found.answered.any()
    assert find({"thresholds": {"": {}}}, "precision").answered.tolist() == [False] * 3


def test_independent_labels_by_coverage():
    found = find({"set_thresholds": {"": 0.22}}, "coverage", exclusive=False, threshold=0.3)
    assert found.sets.astype(int).tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert found.answered.tolist() == [True, False, True]
    assert found.given.astype(int).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_no_documents():
    nothing = numpy.zeros((0, 3))
    for abstain in ("precision", "coverage"):
        calibration = {"thresholds": {"": {}}, "set_thresholds": {"": 0.5}}
        found = find(calibration, abstain, scores=nothing, langs=[])
        assert found.given.shape == (0, 3) and found.answered.shape == (0,)
    adjusted = adjust_logits(nothing, [], LABELS, {"temperatures": {"": 2.0}, "shifts": {"": {}}})
    assert adjusted.shape == (0, 3)


def test_logits_keep_their_precision():
    logits = numpy.ones((2, 3), dtype="f")
    calibration = {"temperatures": {"": 2.0}, "shifts": {"sw": {"B": 1.0}}}
    found = adjust_logits(logits, ["de", "sw"], LABELS, calibration)
    assert found.dtype == logits.dtype
    assert found.tolist() == [[0.5, 0.5, 0.5], [0.5, 1.5, 0.5]]


def test_several_components_write_to_one_doc():
    doc = Doc(Vocab(), words=["x"])
    found = find({"set_thresholds": {"": 0.3}}, "coverage", scores=SCORES[1:2], langs=[""])
    write_decisions([doc], "topic", found, LABELS, exclusive=True)
    write_decisions([doc], "tone", found, ["X", "Y", "Z"], exclusive=False)
    assert doc._.xlt_decisions == {
        "topic": {"label": None, "set": ["A", "B"]},
        "tone": {"label": None, "set": ["X", "Y"]},
    }
    assert Doc(Vocab(), words=["y"])._.xlt_decisions == {}


@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.booleans())
def test_a_lower_threshold_makes_no_set_smaller(seed, bound, exclusive):
    scores = numpy.random.default_rng(seed).dirichlet([1.0, 1.0, 1.0], size=6)
    sets = [
        find(
            {"set_thresholds": {"": value}},
            "coverage",
            scores=scores,
            langs=[""] * 6,
            exclusive=exclusive,
        ).sets
        for value in (bound, bound / 2)
    ]
    assert (sets[0] <= sets[1]).all()
    if exclusive:
        assert sets[0].any(axis=1).all()


@pytest.mark.parametrize("exclusive", [True, False])
def test_thresholds_of_zero_keep_every_answer(exclusive):
    calibration = {"thresholds": {"": dict.fromkeys(LABELS, 0.0)}}
    found = find(calibration, "precision", exclusive=exclusive)
    assert found.answered.all()
    assert found.given.sum() == (3 if exclusive else 9)
