from dataclasses import replace

import numpy
import pytest
import spacy
import tiny
from spacy.vocab import Vocab

from spacy_xlt.corpora.layout import Row, doc_to_row
from spacy_xlt.transfer.learning_curve import (
    Head,
    Job,
    LanguagePart,
    divide,
    draw,
    find_pipe,
    gold_of,
    make_trial,
    plan_jobs,
    weigh,
    with_gold,
)


def tiny_rows(lang, *, labels=None):
    rows = [doc_to_row(doc, "train") for doc in tiny.make_docs([lang], Vocab())]
    return [row for row in rows if labels is None or row.labels[0] in labels]


def cut(rows):
    return rows[::2], rows[1::2]


# -- documents ------------------------------------------------------------------------------


def test_texts_that_are_measured_on_are_not_trained_on():
    pool, measured = cut(tiny_rows("de"))
    leaked = Row(f"  {measured[0].text.upper()} ", measured[0].cats, "de")
    parts = divide([*pool, leaked], measured, None)
    assert parts["de"] == LanguagePart(pool, measured, 1)
    with pytest.raises(ValueError, match="All 13 documents to draw in 'de' are also to be measur"):
        divide(measured, measured, None)


def test_languages_that_have_both():
    pool = [*tiny_rows("de")[::2], *tiny_rows("sw"), Row("none", {}, "zh")]
    measured = [*tiny_rows("de")[1::2], *tiny_rows("zh")]
    assert list(divide(pool, measured, None)) == ["de"]
    with pytest.raises(ValueError, match="There are not in zh. To draw: de 14, sw 27. To measure"):
        divide(pool, measured, ["de", "zh"])
    with pytest.raises(ValueError, match="There are not in any language. To draw: none"):
        divide([], measured, None)


def test_jobs_are_rough_first_and_leave_out_what_is_not_there():
    pool, measured = cut(tiny_rows("de"))
    jobs = plan_jobs(divide(pool, measured, None), tiny.LABELS, shots=[16, 2, 1, 2], draws=2)
    assert jobs == [
        Job("de", 0, 0),
        Job("de", None, 0),
        Job("de", 1, 0),
        Job("de", 2, 0),
        Job("de", 1, 1),
        Job("de", 2, 1),
    ]
    assert [job.name for job in jobs[:3]] == [
        "de-shots0-draw0",
        "de-shotsall-draw0",
        "de-shots1-draw0",
    ]


def test_draws_are_nested_and_differ():
    part = LanguagePart(tiny_rows("de"), tiny_rows("de"), 0)
    small, large, other = (draw(part, Job("de", n, k)) for n, k in ((2, 0), (4, 0), (4, 1)))
    assert len(small) == 6 and len(large) == 12
    assert {row.text for row in small} < {row.text for row in large}
    assert {row.text for row in other} != {row.text for row in large}
    assert draw(part, Job("de", 0, 0)) == [] and draw(part, Job("de", None, 0)) == part.pool


# -- the head -------------------------------------------------------------------------------


def test_without_labels_it_is_the_pipeline(trained):
    pipe = trained.get_pipe("textcat")
    rows = tiny_rows("sw")
    scores = Head(trained, "textcat").train([], rows)
    docs = [trained.make_doc(row.text) for row in rows]
    numpy.testing.assert_allclose(scores, pipe.predict(docs), atol=1e-5)


@pytest.mark.parametrize("factory", ["xlt_textcat", "xlt_textcat_multilabel"])
def test_it_learns_what_it_is_told(make_ready, factory):
    """Labels that are turned round in the target are turned round in the answers."""
    nlp = make_ready(factory)
    turned = {"food": "music", "music": "travel", "travel": "food"}
    rows = [
        Row(row.text, {x: float(x == turned[row.labels[0]]) for x in tiny.LABELS}, "sw")
        for row in tiny_rows("sw")
    ] * 40
    head = Head(nlp, "textcat")
    gold = gold_of(nlp, head.pipe, rows[:27]).targets.argmax(axis=1)
    before, after = (head.train(own, rows[:27]) for own in ([], rows))
    assert (before.argmax(axis=1) == gold).mean() < 0.5
    assert (after.argmax(axis=1) == gold).mean() > 0.8
    weights = nlp.get_pipe("textcat").predict([nlp.make_doc(rows[0].text)])
    numpy.testing.assert_allclose(weights, before[:1], atol=1e-5)  # the pipeline is as it was


def test_one_label_makes_nothing_certain(trained):
    """A few documents of one label do not make all others impossible."""
    rows = tiny_rows("sw")
    own = [row for row in rows if row.labels == ["food"]][:2]
    scores = Head(trained, "textcat").train(own, rows)
    assert scores.max() < 0.95 and scores.min() > 0.02


def test_with_the_source_it_is_fitted_anew(trained):
    """Source documents alone make a head that works; turned ones in the target change that."""
    source, rows = tiny_rows("en"), tiny_rows("sw")
    gold = gold_of(trained, trained.get_pipe("textcat"), rows).targets.argmax(axis=1)
    head = Head(trained, "textcat", [*source, Row("unknown", {"sport": 1.0}, "en")])
    assert len(head.source) == 27
    assert (head.train([], rows).argmax(axis=1) == gold).mean() > 0.7
    turned = {"food": "music", "music": "travel", "travel": "food"}
    wrong = [replace(row, cats={turned[row.labels[0]]: 1.0}, weight=50.0) for row in rows]
    assert (head.train(wrong, rows).argmax(axis=1) == gold).mean() < 0.3


def test_labels_count_as_frequently_as_in_the_pool():
    pool = [Row(f"a{i}", {"a": 1.0}) for i in range(30)] + [Row("b", {"b": 1.0}, weight=2.0)] * 10
    drawn = weigh([*pool[:4], *pool[-4:]], pool)
    assert [row.weight for row in drawn] == pytest.approx([1.5] * 4 + [2.0 * 0.5] * 4)
    assert [row.weight for row in weigh(pool, pool)] == [row.weight for row in pool]
    several = [Row("ab", {"a": 1.0, "b": 1.0}), Row("none", {"a": 0.0, "b": 0.0})]
    assert [row.weight for row in weigh(several, several)] == [1.0, 1.0]
    assert weigh([], pool) == []


def test_each_text_is_read_once(trained, monkeypatch):
    head = Head(trained, "textcat")
    seen = []
    embed = head.pipe.embed
    monkeypatch.setattr(
        head.pipe, "embed", lambda docs: seen.extend(doc.text for doc in docs) or embed(docs)
    )
    rows = tiny_rows("sw")
    head.train(rows[:5] * 2, rows)
    head.train(rows, rows)
    assert sorted(seen) == sorted(row.text for row in rows)


def test_what_has_no_vectors():
    nlp = spacy.blank("xx")
    nlp.add_pipe("sentencizer")
    with pytest.raises(ValueError, match="'sentencizer' has no encoder of its own, so it has no l"):
        find_pipe(nlp, "sentencizer")


# -- trials ---------------------------------------------------------------------------------


def test_a_trial_counts_what_is_right(trained):
    pipe = trained.get_pipe("textcat")
    rows = tiny_rows("sw")[:3]  # food, music, travel
    scores = numpy.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.0, 0.1, 0.9]])
    trial = make_trial(
        Job("sw", 4, 1),
        rows[:2],
        gold_of(trained, pipe, rows),
        scores,
        exclusive=True,
        threshold=0.0,
        started=0.0,
    )
    assert trial["correct"] == "101" and trial["accuracy"] == pytest.approx(2 / 3)
    assert (trial["lang"], trial["shots"], trial["draw"], trial["n_labels"]) == ("sw", 4, 1, 2)


def test_independent_labels_are_right_all_together(make_ready):
    nlp = make_ready("xlt_textcat_multilabel")
    rows = [Row("a", {"food": 1.0, "music": 1.0, "travel": 0.0}, "sw"), Row("b", {"food": 0.0})]
    scores = numpy.array([[0.9, 0.4, 0.1], [0.2, 0.9, 0.9]])
    pipe = nlp.get_pipe("textcat")
    trial = make_trial(
        Job("sw", 0, 0),
        [],
        gold_of(nlp, pipe, rows),
        scores,
        exclusive=False,
        threshold=0.5,
        started=0.0,
    )
    assert trial["correct"] == "01"  # labels that are not annotated do not count


def test_rows_without_a_label_of_the_component(trained):
    rows = [Row("a", {"sport": 1.0}), Row("b", {}), Row("c", {"food": 1.0})]
    assert with_gold(trained.get_pipe("textcat"), rows) == rows[2:]
