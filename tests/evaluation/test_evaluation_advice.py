import re

import pytest

from spacy_xlt.evaluation.advice import (
    compare_runs,
    find_warnings,
    further_steps,
    gain_of_labels,
    next_step,
)
from spacy_xlt.evaluation.gains import Gain, measured_gains


def warnings_of(evaluation, start):
    return [text for text in find_warnings(evaluation) if text.startswith(start)]


def test_languages_far_below_the_source_are_named(evaluate, many_rows):
    evaluation = evaluate(many_rows)
    (text,) = warnings_of(evaluation, "Not to be trusted, more than 20 points below the source")
    assert "Thai (50\u00a0%), Swahili (0\u00a0%)." in text
    assert "German" not in text


def test_guessing_is_named_where_there_are_enough_documents(evaluate, many_rows):
    (text,) = warnings_of(evaluate(many_rows), "No better than always answering")
    assert "Thai" in text and "Swahili" not in text and "English" not in text


def test_small_test_sets_are_named(evaluate, many_rows):
    (text,) = warnings_of(evaluate(many_rows), "Fewer than 50 documents")
    assert "Swahili (0\u00a0%)" in text and "Thai" not in text


def test_overconfidence_is_named(evaluate, many_rows):
    (text,) = warnings_of(evaluate(many_rows), "The probabilities promise too much")
    assert "Thai" in text and "English" not in text


def test_nothing_to_worry_about_gives_no_warning(evaluate):
    rows = [(lang, label, label) for lang in ("en", "de") for label in "AB" for _ in range(40)]
    assert find_warnings(evaluate(rows)) == []


def test_documents_without_prediction_are_told(evaluate):
    (text,) = warnings_of(evaluate([("en", "NONE", "A")]), "Some documents got no usable")
    assert "English (0\u00a0%)" in text


def test_what_could_not_be_measured_is_told(evaluate):
    config = {"labels": ["A", "B", "C", "D"], "train_langs": []}
    warnings = find_warnings(
        evaluate([("", "A", "A"), ("de", "C", "B"), ("de", "A", {})], config=config)
    )
    assert "No test document has the label C, D: nothing is known about it." in warnings
    assert "Never predicted although it should be: B." in warnings
    assert "1 documents without a gold label were left out." in warnings
    assert any(text.startswith("The language of some documents is not rec") for text in warnings)
    assert any("Name them with --source-langs" in text for text in warnings)
    assert any(
        text.startswith("No test document in the source language (English)")
        for text in find_warnings(evaluate([("de", "A", "A")]))
    )


def test_independent_labels_are_never_guessing(evaluate, many_rows):
    evaluation = evaluate(many_rows, factory="standin_textcat_multilabel")
    assert not warnings_of(evaluation, "No better than")
    assert not warnings_of(evaluation, "The probabilities")


def test_a_long_list_of_languages_is_cut(evaluate):
    langs = ["de", "fr", "es", "it", "pt", "ru", "uk", "pl", "cs", "sk"]
    evaluation = evaluate([("en", "A", "A")] + [(lang, "A", "B") for lang in langs])
    (text,) = warnings_of(evaluation, "Not to be trusted")
    assert text.endswith("and 2 more.")


def rows(lang, n, n_wrong, label="A", given="B"):
    return [(lang, given if i < n_wrong else label, label) for i in range(n)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (rows("en", 60, 5), "Evaluate on labelled texts of a language that was not trained on"),
        (rows("en", 60, 5) + rows("de", 9, 3), "Label more test documents: 1 of 1 target"),
        (rows("de", 60, 20), "Add test documents in the source language"),
        (rows("en", 60, 24) + rows("de", 60, 30), "Most errors are not errors of transfer"),
        (rows("en", 60, 3) + rows("de", 60, 30), "fine-tune on a few hundred .*German"),
    ],
)
def test_the_next_step_follows_the_errors(evaluate, data, expected):
    assert re.search(expected, next_step(evaluate(data)))


def test_the_next_step_names_a_confusion_that_stands_out(evaluate):
    text = next_step(evaluate(rows("en", 60, 24) + rows("de", 60, 30)))
    assert "Of 100 target documents 50 are wrong; in the source language it is 40." in text
    assert "'A' taken for 'B': 100\u00a0% of all errors" in text


def test_the_next_step_doubts_the_encoder_where_it_guesses(evaluate):
    data = rows("en", 60, 3) + [("th", "A", "AB"[i % 2]) for i in range(60)]
    assert "In Thai (50\u00a0%) it is no better than guessing" in next_step(evaluate(data))
    assert "guessing" not in next_step(evaluate(rows("en", 60, 0) + rows("de", 60, 10, "B", "A")))


def test_the_next_step_says_what_it_brought_elsewhere(evaluate):
    text = next_step(evaluate(rows("en", 60, 3) + rows("de", 60, 30)))
    assert "fine-tune on a few hundred labelled documents" in text
    assert gain_of_labels(measured_gains()) in text and "labels per class brought" in text


def test_calibration_is_advised_where_probabilities_are_off(evaluate):
    (text,) = further_steps(evaluate(rows("en", 60, 3) + rows("de", 60, 40)))
    assert "which are 28 points off on average" in text and "spacy xlt calibrate" in text
    assert "from 9 points to 3 with source labels alone" in text
    # 0.9 is promised, and 54 of 60 are right.
    assert further_steps(evaluate(rows("en", 60, 6) + rows("de", 60, 6))) == []
    assert (
        further_steps(evaluate([("en", "A B", ["A"])], factory="standin_textcat_multilabel")) == []
    )


def test_labels_from_right_to_left_do_not_turn_the_sentence(evaluate):
    config = {"labels": ["A", "سياسة"]}
    warnings = find_warnings(evaluate([("en", "A", "A")] * 60, config=config))
    assert (
        "No test document has the label \u2068سياسة\u2069: nothing is known about it." in warnings
    )


def test_runs_on_other_files_or_labels_are_told(evaluate):
    one = evaluate([("en", "A", "A")], name="one", corpora=[{"path": "x", "sha256": "1"}])
    other = {**one, "name": "two", "labels": ["A", "C"]}
    assert compare_runs([one, one]) == []
    assert compare_runs([one, other]) == ["one and two differ in labels (B, C)."]
    reordered = {**one, "name": "two", "labels": ["B", "A"]}
    assert compare_runs([one, reordered]) == ["one and two differ in order of labels."]
    signature = {**one["signature"], "corpora": [{"path": "x", "sha256": "2"}]}
    (text,) = compare_runs([one, {**one, "name": "two", "signature": signature}])
    assert text.startswith("one and two were not measured on the same files")


def make_gain(labels_per_class, interval=(-0.5, 1.5), langs=("sw", "yo")):
    return Gain("few_shot", labels_per_class, 1.25, interval, True, langs, 3, None, "assets/x")


def test_what_labels_brought_is_told_as_it_was_measured():
    gains = [make_gain(32), make_gain(None), make_gain(8, None, ("sw",))]
    assert gain_of_labels(gains) == (
        " On SIB-200 8 labels per class brought +1.2 (no interval) points in 1 language "
        "(few_shot), 32 labels per class brought +1.2 (-0.5 to +1.5) points in 2 languages "
        "(few_shot)."
    )
    assert gain_of_labels([make_gain(None)]) == gain_of_labels([]) == ""
