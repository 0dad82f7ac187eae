import json
from collections import Counter

import numpy as np
import pytest

from spacy_xlt.evaluation.comparison import compare_evaluations, transfer_intervals
from spacy_xlt.evaluation.evaluate import make_key
from spacy_xlt.evaluation.metrics import wilson_interval


def rows_of(lang, n, wrong):
    """n documents of which those of the numbers are wrong; the number is in the text."""
    for i in range(n):
        gold = "AB"[i % 2]
        yield lang, f"{i} {'BA'[i % 2] if i in wrong else gold}", gold


@pytest.fixture
def two_runs(make_nlp, make_examples):
    """Evaluate rows of two runs; ids are the numbers in the texts, the same in all languages."""
    from spacy_xlt.evaluation.evaluate import evaluate_pipeline

    def run(rows, name):
        nlp = make_nlp()

        def examples():
            for eg in make_examples(nlp, rows):
                eg.reference.user_data["xlt_id"] = eg.reference.text.split()[0]
                yield eg

        return evaluate_pipeline(nlp, examples, name=name)

    return lambda a, b: (run(a, "first"), run(b, "second"))


def test_a_comparison_by_hand(two_runs):
    a, b = two_runs(
        [*rows_of("en", 20, ()), *rows_of("de", 20, range(12)), *rows_of("sw", 20, (1, 2))],
        [*rows_of("en", 20, ()), *rows_of("de", 20, (0, 1)), *rows_of("sw", 20, (2, 3))],
    )
    comparison = compare_evaluations(a, b)
    assert (comparison["a"], comparison["b"]) == ("first", "second")
    assert (comparison["n_only_a"], comparison["n_only_b"]) == (0, 0)
    assert [row["lang"] for row in comparison["languages"]] == ["de", "en", "sw"]
    de, en, sw = comparison["languages"]
    assert (de["n"], de["a"], de["b"], de["difference"]) == (20, 0.4, 0.9, 0.5)
    # Ten documents that only the second run has right, none that only the first has.
    assert de["p"] == pytest.approx(2 / 2**10)
    assert de["p_adjusted"] == pytest.approx(3 * de["p"])
    assert de["interval"][0] > 0.2 and de["interval"][1] < 0.75
    assert en["p"] == en["p_adjusted"] == 1.0 and en["difference"] == 0.0
    assert sw["difference"] == 0.0 and sw["p"] == 1.0
    assert comparison["means"]["source"]["difference"] == 0.0
    assert comparison["means"]["source"]["interval"] == (0.0, 0.0)
    target = comparison["means"]["target"]
    assert (target["n_langs"], target["difference"]) == (2, pytest.approx(0.25))
    assert (target["a"], target["b"]) == (pytest.approx(0.65), pytest.approx(0.9))
    assert 0.05 < target["interval"][0] < 0.25 < target["interval"][1] < 0.45
    assert target["p"] < 0.01
    json.dumps(comparison, allow_nan=False)


def test_the_other_way_round_is_the_same_with_other_signs(two_runs):
    rows = [*rows_of("de", 30, range(12))], [*rows_of("de", 30, range(8, 15))]
    forth, back = (compare_evaluations(*two_runs(*runs)) for runs in (rows, rows[::-1]))
    one, other = forth["languages"][0], back["languages"][0]
    assert one["difference"] == -other["difference"] and one["p"] == other["p"]
    assert one["interval"] == pytest.approx([-x for x in reversed(other["interval"])])
    mean, other_mean = forth["means"]["target"], back["means"]["target"]
    assert mean["p"] == other_mean["p"]
    assert mean["interval"] == pytest.approx([-x for x in reversed(other_mean["interval"])])


def test_order_and_documents_of_one_run_alone_do_not_count(two_runs):
    a, b = two_runs(
        [*rows_of("de", 20, range(6))],
        [*reversed(list(rows_of("de", 25, range(3)))), *rows_of("sw", 5, ())],
    )
    comparison = compare_evaluations(a, b)
    assert [row["lang"] for row in comparison["languages"]] == ["de"]
    assert comparison["languages"][0]["n"] == 20
    assert comparison["languages"][0]["difference"] == pytest.approx(3 / 20)
    assert (comparison["n_only_a"], comparison["n_only_b"]) == (0, 10)


def test_texts_without_ids_are_paired_by_text_and_order(evaluate):
    rows = [("de", "A", "A"), ("de", "A", "B"), ("de", "B A:0.1", "B"), ("sw", "A", "A")]
    a, b = evaluate(rows, name="a"), evaluate([rows[i] for i in (2, 0, 1, 3)], name="b")
    b["languages"] = [row for row in b["languages"] if row["lang"] == "de"]
    (row,) = compare_evaluations(a, b)["languages"]
    assert (row["n"], row["difference"], row["p"]) == (3, 0.0, 1.0)


def test_nothing_in_common(two_runs, evaluate):
    a = evaluate([("de", "A", "A")], name="a")
    for rows in ([("de", "B", "B")], [("sw", "A", "A")]):
        with pytest.raises(ValueError, match="'a' and 'b' have no document in common"):
            compare_evaluations(a, evaluate(rows, name="b"))


def test_one_document_in_one_language(evaluate):
    a, b = (evaluate([("de", text, "A")], name=text) for text in ("A", "A"))
    comparison = compare_evaluations(a, b)
    assert comparison["languages"][0]["interval"] == pytest.approx((-0.65, 0.65), abs=0.01)
    assert comparison["means"]["target"]["interval"] == (0.0, 0.0)


def test_a_language_with_another_role_has_no_part_in_means(evaluate):
    rows = [*rows_of("en", 10, ()), *rows_of("de", 10, ())]
    a, b = evaluate(rows), evaluate(rows, source_langs=["de"])
    comparison = compare_evaluations(a, b)
    assert len(comparison["languages"]) == 2 and comparison["means"] == {}


def test_means_know_that_sentences_are_the_same_in_all_languages(two_runs):
    """Six languages that are wrong on the same sentences are no surer than one."""
    langs = ("de", "sw", "th", "fr", "ru", "am")
    same = [row for lang in langs for row in rows_of(lang, 60, range(20))]
    other = [
        row for i, lang in enumerate(langs) for row in rows_of(lang, 60, range(10 * i, 10 * i + 20))
    ]
    together, apart = two_runs(same, other)
    wide, narrow = (
        np.ptp(transfer_intervals(run["languages"])["target_accuracy"]) for run in (together, apart)
    )
    assert wide == pytest.approx(np.ptp(wilson_interval(40, 60)), abs=0.03)
    assert narrow < 0.6 * wide
    assert together["intervals"] == transfer_intervals(together["languages"])
    # All documents together are not 360 independent ones either.
    assert np.ptp(together["overall"]["interval"]) == pytest.approx(wide, abs=1e-6)


def test_intervals_of_a_run(evaluate, many_rows):
    evaluation = evaluate(many_rows)
    intervals = evaluation["intervals"]
    assert set(intervals) == {"source_accuracy", "target_accuracy", "transfer_gap"}
    for name, (low, high) in intervals.items():
        assert low < evaluation["transfer"][name] < high
    for row in evaluation["languages"]:
        assert row["macro_f_interval"][0] <= row["macro_f"] <= row["macro_f_interval"][1]
    without_source = evaluate([row for row in many_rows if row[0] != "en"])
    assert set(without_source["intervals"]) == {"target_accuracy"}
    assert transfer_intervals([]) == {}


def keys_of(docs):
    seen = Counter()
    return [make_key(doc, seen) for doc in docs]


def test_keys_of_documents(make_nlp):
    nlp = make_nlp()
    docs = [nlp.make_doc(text) for text in ("a", "a", "b", "\0", "", "a")]
    docs[-1]._.xlt_lang = "de"
    keys = keys_of(docs)
    # Without ids all are documents of their own, in every run the same ones.
    assert len(set(keys)) == 6 and keys == keys_of(docs)
    for doc, name in zip(docs, (1, "1", "a", None, "1", 1), strict=True):
        doc.user_data["xlt_id"] = name
    named = keys_of(docs)
    assert named[0] == named[1] == named[4] == named[5]
    assert named[2] not in keys and named[3] == keys[3]
    assert all(0 <= key < 2**48 for key in keys + named)
