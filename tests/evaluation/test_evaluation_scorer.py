import pickle
from io import StringIO

import pytest
import spacy
import srsly
import standin_textcat  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy import registry
from spacy.scorer import Scorer
from spacy.training import Example
from spacy.training.loggers import console_logger_v3
from spacy.training.loop import create_evaluation_callback

from spacy_xlt.evaluation.scorer import (
    make_textcat_by_language_scorer_v1,
    score_textcat_by_language,
)
from spacy_xlt.languages import set_doc_language

NAME = "spacy_xlt.textcat_by_language.v1"
NLP = spacy.blank("xx")
FLAT = ["acc", "target_acc", "target_macro_f", "worst_acc", "spread_acc", "transfer_gap"]


def example(gold, predicted, lang=""):
    reference, doc = NLP.make_doc("text"), NLP.make_doc("text")
    reference.cats, doc.cats = dict(gold), dict(predicted)
    set_doc_language(reference, lang)
    return Example(doc, reference)


def one(gold, predicted, lang="", labels="AB"):
    """An example of exclusive labels, named by one letter each."""
    return example(
        {label: float(label == gold) for label in labels},
        {label: 0.9 if label == predicted else 0.1 for label in labels},
        lang,
    )


@pytest.fixture
def nlp():
    nlp = spacy.blank("xx")
    nlp.add_pipe("standin_textcat", name="textcat")
    return nlp


def labelled(nlp, rows):
    for text, gold, lang in rows:
        reference = nlp.make_doc(text)
        reference.cats = {"A": float(gold == "A"), "B": float(gold == "B")}
        set_doc_language(reference, lang)
        yield Example(nlp.make_doc(text), reference)


MANY = [("an A", "A", "en"), ("ein A", "A", "de"), ("un B", "A", "fr"), ("une B", "B", "fr")]


def test_it_is_registered_and_survives_a_pickle():
    scorer = pickle.loads(pickle.dumps(registry.scorers.get(NAME)()))
    assert scorer([one("A", "A", "de")], labels=["A", "B"])["cats_acc_de"] == 1.0


def test_figures_by_hand():
    examples = [
        one("A", "A", "en"),
        one("B", "B", "en"),
        one("A", "A", "de"),
        one("A", "B", "de"),
        one("B", "A", "swh"),
        one("A", "A", ""),
    ]
    scores = score_textcat_by_language(examples, labels=["A", "B"], train_langs=["eng"])
    assert scores["cats_acc"] == pytest.approx(4 / 6)
    assert (scores["cats_acc_en"], scores["cats_acc_de"], scores["cats_acc_sw"]) == (1, 0.5, 0)
    assert scores["cats_acc_unknown"] == 1.0
    assert scores["cats_target_acc"] == pytest.approx(0.25)
    assert scores["cats_worst_acc"] == 0.0
    assert scores["cats_spread_acc"] == pytest.approx(0.25)
    assert scores["cats_transfer_gap"] == pytest.approx(0.75)
    assert scores["cats_macro_f_de"] == pytest.approx(2 / 3)
    assert list(scores["cats_by_lang"]) == ["unknown", "de", "en", "sw"]
    assert scores["cats_by_lang"]["de"] == {
        "n": 2,
        "accuracy": 0.5,
        "macro_p": 1.0,
        "macro_r": 0.5,
        "macro_f": pytest.approx(2 / 3),
        "macro_auc": None,
    }


LABEL = st.sampled_from("ABC")
HARD = st.lists(
    st.tuples(
        LABEL,
        st.fixed_dictionaries({label: st.sampled_from([0.0, 0.2, 0.5, 0.7]) for label in "ABC"}),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(HARD, st.booleans())
def test_spacys_own_keys_have_spacys_values(rows, exclusive):
    examples = [
        example({label: float(label == gold) for label in "ABC"}, dict(sorted(scores.items())))
        for gold, scores in rows
    ]
    labels = ["A", "B", "C"]
    theirs = Scorer.score_cats(
        examples, "cats", labels=labels, multi_label=not exclusive, threshold=0.5
    )
    ours = score_textcat_by_language(examples, labels=labels, exclusive=exclusive, threshold=0.5)
    for key, value in theirs.items():
        if isinstance(value, float):
            assert ours[key] == pytest.approx(value), key
        elif isinstance(value, dict):
            assert {k: pytest.approx(v) for k, v in value.items()} == ours[key], key
        else:
            assert ours[key] == value, key


def test_the_main_score_of_a_binary_task():
    examples = [one("A", "A"), one("A", "B"), one("B", "B")]
    scores = score_textcat_by_language(examples, labels=["A", "B"], positive_label="A")
    assert scores["cats_score"] == scores["cats_f_per_type"]["A"]["f"] == pytest.approx(2 / 3)
    assert scores["cats_score_desc"] == "F (A)"


def test_labels_of_other_components_are_ignored():
    both = example({"A": 1.0, "B": 0.0, "X": 1.0}, {"X": 0.0, "Y": 9.0, "A": 0.6, "B": 0.4}, "de")
    theirs_only = example({"X": 1.0}, {"X": 1.0, "A": 0.4, "B": 0.6}, "de")
    zeros_only = example({"A": 0.0, "B": 0.0, "X": 1.0}, {"A": 0.4, "B": 0.6}, "de")
    scores = score_textcat_by_language([both, theirs_only, zeros_only], labels=["A", "B"])
    assert scores["cats_by_lang"]["de"]["n"] == 1
    assert scores["cats_acc"] == 1.0
    assert set(scores["cats_f_per_type"]) == {"A", "B"}


def test_with_independent_labels_none_of_them_is_an_answer():
    examples = [example({"A": 0.0, "B": 0.0}, {"A": 0.1, "B": 0.2}), example({}, {"A": 0.9})]
    scores = score_textcat_by_language(examples, labels=["A", "B"], exclusive=False)
    assert scores["cats_acc"] == 1.0
    assert scores["cats_by_lang"]["unknown"]["n"] == 1


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_doc_without_predictions_is_wrong_and_no_crash(exclusive):
    examples = [one("A", "A", "de"), example({"A": 1.0, "B": 0.0}, {}, "de")]
    examples.append(example({"A": 1.0, "B": 0.0}, {"A": float("nan"), "B": 0.1}, "de"))
    scores = score_textcat_by_language(examples, labels=["A", "B"], exclusive=exclusive)
    assert scores["cats_acc_de"] == pytest.approx(1 / 3)
    assert scores["cats_f_per_type"]["A"]["r"] == pytest.approx(1 / 3)
    assert scores["cats_f_per_type"]["B"]["p"] == 0.0
    srsly.json_dumps(scores)


def test_the_threshold_counts_for_independent_labels_only():
    examples = [example({"A": 1.0, "B": 0.0}, {"A": 0.4, "B": 0.3})]
    labels = ["A", "B"]
    assert score_textcat_by_language(examples, labels=labels, threshold=0.5)["cats_acc"] == 1.0
    for threshold, accuracy in [(0.5, 0.0), (None, 0.0), (0.35, 1.0), (0.2, 0.0)]:
        scores = score_textcat_by_language(
            examples, labels=labels, exclusive=False, threshold=threshold
        )
        assert scores["cats_acc"] == accuracy


def test_a_prefix_keeps_two_components_apart():
    examples = [example({"A": 1, "B": 0, "X": 1, "Y": 0}, {"A": 1, "B": 0, "X": 0, "Y": 1}, "de")]
    topic = make_textcat_by_language_scorer_v1()(examples, labels=["A", "B"])
    tone = make_textcat_by_language_scorer_v1(prefix="tone")(examples, labels=["X", "Y"])
    assert not set(topic) & set(tone)
    assert (topic["cats_acc"], tone["tone_acc"], tone["tone_score"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("labels", [[], ["A", "B"]])
def test_without_documents_every_key_is_there(labels):
    scores = score_textcat_by_language([], labels=labels)
    assert [scores[f"cats_{key}"] for key in FLAT] == [None] * len(FLAT)
    assert scores["cats_by_lang"] == {}
    assert scores["cats_score"] == 0.0


def test_a_bad_language_tag_says_what_is_allowed():
    bad = one("A", "A")
    bad.reference._.xlt_lang = "english please"
    with pytest.raises(ValueError, match="'english please' is not a language tag.*BCP 47"):
        score_textcat_by_language([bad], labels=["A", "B"])


def test_nlp_evaluate_gives_plain_values(nlp):
    scores = nlp.evaluate(labelled(nlp, MANY))
    assert scores["cats_target_acc"] == pytest.approx(0.75)
    assert scores["cats_transfer_gap"] == pytest.approx(0.25)
    assert type(scores["cats_acc"]) is float
    assert srsly.json_loads(srsly.json_dumps(scores))["cats_by_lang"]["fr"]["n"] == 2


@pytest.mark.parametrize("rows", [MANY, MANY[:1], MANY[1:2], []], ids=["many", "en", "de", "none"])
def test_spacy_train_shows_the_scores_and_they_tie_at_weight_zero(nlp, rows):
    nlp.config["training"]["score_weights"] = dict.fromkeys([f"cats_{key}" for key in FLAT], 0.0)
    evaluate = create_evaluation_callback(
        nlp, lambda nlp: labelled(nlp, rows), nlp.config["training"]["score_weights"]
    )
    out = StringIO()
    log_step, _ = console_logger_v3()(nlp, out, out)
    for step in range(2):
        score, other_scores = evaluate()
        assert score == 0.0
        log_step(
            {
                "epoch": 0,
                "step": step,
                "losses": {"textcat": 0.0},
                "score": score,
                "other_scores": other_scores,
            }
        )
    table = out.getvalue().splitlines()
    assert len(table) == 4
    assert "CATS_TARGE..." in table[0]
    assert ("75.00" in table[2]) == (rows == MANY)
