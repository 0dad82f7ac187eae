"""Figures of classifiers that may abstain."""

import numpy as np
import pytest

from spacy_xlt.evaluation.evaluate import evaluate_pipeline, make_prediction
from spacy_xlt.evaluation.metrics import Given, compare, join_outcomes, measure_selective
from spacy_xlt.evaluation.results import dump_json, read_evaluation
from spacy_xlt.evaluation.scorer import (
    compare_examples,
    make_textcat_by_language_scorer_v1,
    read_decision,
    to_given,
)
from spacy_xlt.evaluation.task import find_task

ROWS = [("en", "A", "A"), ("en", "A:0.6", "B"), ("de", "B", "B"), ("de", "NAN", "A")]
SURE = {"label": "A", "set": ["A"]}
UNSURE = {"label": None, "set": ["A", "B"]}


def make_given(labels, abstained, sets=None):
    rows = None if sets is None else np.array(sets, dtype=bool)
    return Given(np.array(labels, dtype=bool), np.array(abstained), rows)


def test_what_is_answered_and_how_often_that_is_right():
    gold, scores = np.eye(2)[[0, 1, 1, 0]], np.eye(2)[[0, 0, 1, 1]]
    given = make_given(
        [[1, 0], [0, 0], [0, 1], [0, 1]],
        [False, True, False, False],
        [[1, 0], [1, 1], [0, 1], [0, 1]],
    )
    outcomes = compare(gold, scores, exclusive=True, threshold=None, given=given)
    # Accuracy is that of the scores, whatever is answered.
    assert outcomes.correct.tolist() == [True, False, True, False]
    assert outcomes.decided.tolist() == [True, False, True, True]
    assert measure_selective(outcomes) == {
        "n_answered": 3,
        "share_answered": 0.75,
        "accuracy": pytest.approx(2 / 3),
        "precision": pytest.approx(2 / 3),
        "set_size": 1.25,
        "set_coverage": 0.75,
    }
    assert measure_selective(outcomes[np.array([1])])["accuracy"] is None
    assert measure_selective(outcomes[np.array([], dtype=int)]) == {
        "n_answered": 0,
        **dict.fromkeys(["share_answered", "accuracy", "precision", "set_size"]),
        "set_coverage": None,
    }
    halves = [outcomes[:2], outcomes[2:]]
    assert measure_selective(join_outcomes(halves)) == measure_selective(outcomes)


def test_a_document_whose_scores_are_withheld_is_wrong_even_if_no_label_applies():
    given = make_given([[0, 0], [0, 0]], [True, False])
    outcomes = compare(
        np.zeros((2, 2)), np.zeros((2, 2)), exclusive=False, threshold=0.5, given=given
    )
    assert outcomes.answered.tolist() == outcomes.correct.tolist() == [False, True]
    found = measure_selective(outcomes)
    assert (found["precision"], found["set_size"]) == (None, None)


def test_answers_to_independent_labels_may_differ_from_those_of_the_threshold():
    given = make_given([[1, 0], [0, 0]], [False, True])
    scores = np.array([[0.4, 0.1], [0.6, 0.1]])
    outcomes = compare(
        np.array([[1.0, 0.0], [0.0, 1.0]]), scores, exclusive=False, threshold=0.5, given=given
    )
    assert outcomes.correct.tolist() == [False, False]
    assert measure_selective(outcomes)["accuracy"] == 1.0


def test_a_classifier_that_abstains_from_nothing():
    outcomes = compare(np.eye(2), np.eye(2), exclusive=True, threshold=None)
    assert measure_selective(outcomes) is None
    assert to_given([], ["A"]) is None and to_given([None, None], ["A"]) is None


def test_a_document_without_a_decision_among_others():
    found = to_given([SURE, None], ["A", "B"])
    assert found.abstained.tolist() == [False, True]
    assert found.sets.astype(int).tolist() == [[1, 0], [0, 0]]
    found = to_given([{"label": ["B"], "set": None}, {"label": [], "set": None}], ["A", "B"])
    assert found.labels.astype(int).tolist() == [[0, 1], [0, 0]]
    assert found.abstained.tolist() == [False, False] and found.sets is None


@pytest.fixture
def decided(make_nlp, make_examples):
    """A pipeline and its predicted examples, with decisions of the component `textcat`."""

    def make(decisions):
        nlp = make_nlp()
        examples = list(make_examples(nlp, ROWS))
        for eg, decision in zip(examples, decisions, strict=True):
            eg.predicted = nlp(eg.predicted)
            if decision is not None:
                eg.predicted._.xlt_decisions["textcat"] = decision
        return nlp, examples

    return make


def test_scores_follow_the_decisions_of_the_component(decided):
    _, examples = decided([SURE, UNSURE, {"label": "B", "set": ["B"]}, UNSURE])
    score = make_textcat_by_language_scorer_v1()
    scores = score(examples, labels=["A", "B"], component="textcat", train_langs=["en"])
    assert scores["cats_acc"] == 0.5
    assert scores["cats_selective"]["n_answered"] == 2
    assert scores["cats_selective_by_lang"]["en"]["set_size"] == 1.5
    # Another component's decisions say nothing.
    scores = score(examples, labels=["A", "B"], component="tone", train_langs=["en"])
    assert "cats_selective" not in scores


def test_an_evaluation_has_them_by_language_and_is_read_again(decided, tmp_path):
    nlp, examples = decided([SURE, UNSURE, {"label": "B", "set": ["B"]}, UNSURE])
    decisions = {eg.text: read_decision(eg.predicted, "textcat") for eg in examples}

    class Deciding(type(nlp.get_pipe("textcat"))):
        def __call__(self, doc):
            doc = super().__call__(doc)
            doc._.xlt_decisions["textcat"] = decisions[doc.text]
            return doc

    nlp.get_pipe("textcat").__class__ = Deciding
    lines = []
    evaluation = evaluate_pipeline(nlp, lambda: iter(examples), on_prediction=lines.append)
    rows = {row["lang"]: row["selective"] for row in evaluation["languages"]}
    assert rows["en"]["share_answered"] == 0.5 and rows["en"]["accuracy"] == 1.0
    assert evaluation["overall"]["selective"]["n_answered"] == 2
    assert [line["predicted"] for line in lines] == ["A", None, "B", None]
    assert lines[1]["set"] == ["A", "B"]
    path = tmp_path / "figures.json"
    path.write_text(dump_json(evaluation))
    assert read_evaluation(path)["overall"]["selective"] == evaluation["overall"]["selective"]
    del evaluation["overall"]["selective"]
    path.write_text(dump_json(evaluation))
    with pytest.raises(ValueError, match=r"is damaged: overall\.selective: Field required"):
        read_evaluation(path)


def test_the_line_of_a_document_without_decision_has_no_set(decided):
    nlp, examples = decided([None] * 4)
    line = make_prediction(examples[0], find_task(nlp))
    assert line["predicted"] == "A" and "set" not in line
    _, outcomes = compare_examples(
        examples, ["A", "B"], exclusive=True, threshold=None, component="textcat"
    )
    assert outcomes.abstained is None
