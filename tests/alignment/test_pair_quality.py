import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.alignment.quality import (
    PairQuality,
    chrf,
    judge_pairs,
    length_fits,
    paired_cosines,
    relate_to_chance,
)


def judge(texts, translations, **settings):
    n = len(texts)
    settings = {"langs": [""] * n, "are_foreign": [False] * n, **settings}
    return judge_pairs(texts, translations, **settings)


def test_chrf_by_hand():
    # One-grams 2 of 3, two-grams 1 of 2, three-grams none, in precision and recall: 7/18.
    assert chrf("abc", "abd") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert chrf("a b c", "abc") == 1.0
    assert chrf("", "abc") == chrf("abc", "") == 0.0 and chrf("", " ") == 1.0
    assert chrf("xyz", "abc") == 0.0


def test_chrf_is_that_of_sacrebleu():
    metric = pytest.importorskip("sacrebleu").CHRF()
    pairs = [
        ("The cat sat on the mat.", "A cat is sitting on the mat."),
        ("short", "a much longer text than the other one"),
        ("我们今天想要比萨", "我们今天吃比萨"),
        ("same", "same"),
    ]
    for text, reference in pairs:
        expected = metric.sentence_score(text, [reference]).score / 100
        assert chrf(text, reference) == pytest.approx(expected, abs=1e-6)


@given(st.text(), st.text())
def test_chrf_is_a_share(text, reference):
    assert 0.0 <= chrf(text, reference) <= 1.0 + 1e-9
    assert chrf(text, text) == pytest.approx(1.0)


def test_lengths_fit_by_the_usual_ratio():
    texts, translations = ["a" * 9] * 3, ["b" * 19, "b" * 19, "b" * 39]
    assert length_fits(texts, translations) == pytest.approx([1.0, 1.0, 0.5])
    assert length_fits([], []) == [] and length_fits([""], ["x" * 99]) == [1.0]


def test_cosines_are_related_to_those_of_strangers():
    first = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    second = first.copy()
    second[2] = first[0]
    cosines = paired_cosines(first, second)
    assert cosines == pytest.approx([1.0, 1.0, 0.5])
    # Strangers have 0.5 with each other, but the third one's partner is the first one's double.
    chance = (0.5 * 4 + 1.0 + 0.5) / 6
    expected = np.clip((np.array([1.0, 1.0, 0.5]) - chance) / (1 - chance), 0, 1)
    assert relate_to_chance(cosines, first, second) == pytest.approx(expected)
    assert relate_to_chance(cosines[:1], first[:1], second[:1]) == pytest.approx([1.0])


def test_vectors_of_zeros_and_of_one_kind_do_no_harm():
    same = np.ones((4, 3))
    assert np.isfinite(relate_to_chance(paired_cosines(same, same), same, same)).all()
    zeros = np.zeros((4, 3))
    assert paired_cosines(zeros, same).tolist() == [0.0] * 4


def test_the_score_is_the_mean_of_what_is_known():
    assert PairQuality(None, None, None, 0.8, "", False).score == 0.8
    assert PairQuality(0.9, 0.5, None, 1.0, "es", False).score == pytest.approx(0.75)
    assert PairQuality(0.9, 0.5, 0.3, 1.0, "es", False).score == pytest.approx(0.6)
    assert PairQuality(1.0, 1.0, 1.0, 1.0, "en", True).score == 0.0


def test_pairs_are_judged_together():
    vectors = np.eye(2)
    first, second = judge(
        ["one house", "two dogs"],
        ["una casa", "two dogs"],
        langs=["es", "en"],
        are_foreign=[False, True],
        vectors=vectors,
        translation_vectors=vectors,
        returned=["one house", "two dogs"],
    )
    assert first.to_dict() == {
        "quality": first.score,
        "cosine": 1.0,
        "round_trip": 1.0,
        "length_fit": round(first.length_fit, 4),
        "detected": "es",
    } | {"quality": round(first.score, 4)}
    assert second.score == 0.0 and second.cosine == 1.0
    assert judge([], []) == []
