import numpy as np
import pytest
from fake_translators import FakeTranslator
from spacy.vocab import Vocab

from spacy_xlt.alignment.pairing import Pair
from spacy_xlt.alignment.quality import PairQuality
from spacy_xlt.corpora.layout import Row, doc_to_row, docbin_docs, rows_to_docbin
from spacy_xlt.detection import load_detector
from spacy_xlt.transfer.translating import (
    choose_source,
    find_worries,
    identify_rows,
    judge_rows,
    keep_quality,
    project_labels,
    tabulate_quality,
    translate_rows,
    unify_labels,
)

CATS = {"food": 1.0, "music": 0.0}


def make_rows(*texts, lang="en", **settings):
    return [Row(text, dict(CATS), lang, **settings) for text in texts]


def make_quality(score, **settings):
    return PairQuality(
        cosine=None,
        closeness=None,
        round_trip=None,
        lang="",
        is_foreign=False,
        **settings,
        length_fit=score,
    )


# -- what is translated ---------------------------------------------------------------------


def test_the_only_language_is_the_source():
    rows = make_rows("a", "b")
    assert choose_source(rows, None) == ("en", rows)
    both = [*rows, *make_rows("c", lang="de")]
    assert choose_source(both, "de") == ("de", both[2:])
    unknown = make_rows("a", lang="")
    (row,) = choose_source(unknown, "fr")[1]
    assert row.lang == "fr"


@pytest.mark.parametrize(
    ("langs", "asked", "message"),
    [
        (("en", "de"), None, r"in 2 languages or unknown ones \(de 1, en 1\)"),
        (("",), None, r"unknown ones \(unknown 1\), so it is unclear which to translate. Name one"),
        (("en", "de"), "sw", "No text is in 'sw'. Documents by language: de 1, en 1"),
    ],
)
def test_a_source_that_is_not_clear(langs, asked, message):
    with pytest.raises(ValueError, match=message):
        choose_source([row for lang in langs for row in make_rows("a", lang=lang)], asked)


def test_ids_are_kept_or_made_of_the_text():
    named, first, second, other = identify_rows(
        [*make_rows("a", id="7"), *make_rows("a", "a", "b")]
    )
    assert named.id == "7"
    assert first.id == second.id != other.id and first.id.startswith("text-")


def test_labels_are_unified():
    rows = make_rows("a", "b")
    rows.append(Row("c", {"food": 0.0, "music": 1.0}, "en"))
    mapped = unify_labels(rows, {"food": "eating", "music": "art"})
    assert mapped[0].cats == {"eating": 1.0, "art": 0.0}
    assert [
        row.text for row in unify_labels([*rows, Row("d", {"x": 1.0})], {"x": None, "*": "*"})
    ] == [
        *("a", "b", "c"),
    ]


def test_a_map_that_merges_everything_is_refused_with_the_numbers():
    rows = [*make_rows("a", "b"), Row("c", {"food": 0.0, "music": 1.0}, "en")]
    with pytest.raises(
        ValueError,
        match="merges all 2 labels into 'x', which each of the 3 documents has.*'food' 2, 'mu",
    ):
        unify_labels(rows, {"*": "x"})
    with pytest.raises(ValueError, match="drops all labels of the 3 documents"):
        unify_labels(rows, {"*": None})
    with pytest.raises(ValueError, match="unknown label 'music'"):
        unify_labels(rows, {"food": "x"})


# -- translations ---------------------------------------------------------------------------


def test_translations_keep_everything_but_text_and_language():
    (row,) = make_rows("a", id="7", split="dev", weight=0.5, pair="p")
    (made,) = translate_rows([row], FakeTranslator()).rows
    assert made == Row(
        *("de:a", CATS, "de", "dev", "7", "de:p", 0.5),
        {"text": "a", "lang": "en", "translator": "fake:en-de"},
    )
    (doc,) = docbin_docs("x", rows_to_docbin([made]), Vocab())
    assert doc._.xlt_origin["text"] == "a" and doc_to_row(doc, "dev") == made


def test_empty_translations_are_set_aside_and_unchanged_ones_counted():
    translator = FakeTranslator(translate_one=lambda text: "" if text == "b" else text)
    found = translate_rows(make_rows("a", "b", "c"), translator)
    assert [row.text for row in found.rows] == ["a", "c"] and found.n_unchanged == 2
    (bad,) = found.set_aside
    assert (bad.line, bad.content, bad.reason) == (2, "b", "no translation into 'de'")
    lost = FakeTranslator(translate_one=lambda text: "" if text == "p" else text)
    assert translate_rows(make_rows("a", pair="p"), lost).rows == []
    worries = find_worries("de", [make_quality(1.0)] * 2, n_unchanged=found.n_unchanged)
    assert worries == ["2 of 2 texts in German are the originals, unchanged."]


def test_labels_are_carried_over_to_parallel_texts():
    sources = make_rows("a", "b", id="1", split="dev", pair="p")
    targets = [Row("x", {"music": 1.0}, "de"), Row("y", {}, "de", id="9")]
    made = project_labels(sources, targets, [Pair(1, 0, 1.23), Pair(0, 1, 0.0)], maker="ids")
    assert [row.text for row in made] == ["x", "y"]
    assert {(row.lang, row.id, row.split, row.pair) for row in made} == {("de", "1", "dev", "")}
    assert made[0].cats == CATS
    assert made[0].origin == {"text": "b", "lang": "en", "translator": "ids", "margin": 1.23}
    assert "margin" not in made[1].origin


# -- quality --------------------------------------------------------------------------------


def test_rows_are_judged_by_all_that_is_given():
    rows = translate_rows(make_rows("one", "two"), FakeTranslator()).rows
    vectors = {"one": [1, 0], "de:one": [1, 0], "two": [0, 1], "de:two": [0.6, 0.8]}
    back = FakeTranslator("de", "en", translate_one=lambda text: text.removeprefix("de:"))
    first, second = judge_rows(
        rows, embed=lambda texts: np.array([vectors[text] for text in texts]), back=back
    )
    assert first.round_trip == second.round_trip == 1.0
    assert first.cosine == pytest.approx(1.0) and second.cosine == pytest.approx(0.8)
    assert first.score > second.score and first.length_fit == 1.0
    bare = judge_rows(rows)
    assert bare[0].cosine is None and bare[0].round_trip is None


def test_source_text_in_the_place_of_translations_is_seen():
    texts = [
        "The train leaves at seven in the morning.",
        "We would like to have a table for two this evening.",
        "Nobody knows where the old books have gone.",
    ]
    translator = FakeTranslator(translate_one=lambda text: text + " ")
    found = translate_rows(make_rows(*texts), translator)
    qualities = judge_rows(found.rows, detector=load_detector(("de", "en")))
    assert [quality.score for quality in qualities] == [0.0] * 3
    (worry,) = find_worries("de", qualities)
    assert "3 of 3 texts that should be in German are in another language: English 3" in worry
    # A language that the detector does not know is not judged.
    found = translate_rows(make_rows(*texts), FakeTranslator(to_lang="ee"))
    assert not any(q.is_foreign for q in judge_rows(found.rows, detector=load_detector()))


def test_weak_pairs_are_weighted_down_or_left_out():
    rows = translate_rows(make_rows("a", "b", weight=2.0), FakeTranslator()).rows
    qualities = [make_quality(0.9), make_quality(0.4)]
    kept, left_out = keep_quality(rows, qualities, weigh=True)
    assert [row.weight for row in kept] == [1.8, 0.8] and left_out == []
    assert kept[0].origin["quality"] == 0.9 and kept[0].origin["text"] == "a"
    (row,), (weak,) = keep_quality(rows, qualities, min_quality=0.5)
    assert row.weight == 2.0 and weak.reason == "quality 0.400 is below 0.5"
    with pytest.raises(
        ValueError, match="All 2 translations are below the quality of 0.95; the best"
    ):
        keep_quality(rows, qualities, min_quality=0.95)
    with pytest.raises(ValueError, match="min_quality is 1.5; allowed is 0 to 1"):
        keep_quality(rows, qualities, min_quality=1.5)


def test_a_table_of_quality_and_accuracy():
    qualities = [make_quality(score) for score in (0.9, 0.5, 1.0, 0.55, 0.6)]
    low, high = tabulate_quality(qualities, n_bins=2, correct=[True, False, True, True, False])
    assert (low["documents"], low["from"], low["to"]) == (3, 0.5, 0.6)
    assert (high["documents"], high["from"], high["to"]) == (2, 0.9, 1.0)
    assert low["accuracy"] == pytest.approx(1 / 3) and high["accuracy"] == 1.0
    assert high["length_fit"] == pytest.approx(0.95) and np.isnan(low["cosine"])
    assert "accuracy" not in tabulate_quality(qualities)[0]
    assert len(tabulate_quality(qualities[:2])) == 2 and tabulate_quality([]) == []
