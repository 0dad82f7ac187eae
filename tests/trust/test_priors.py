import numpy as np
import pytest

from spacy_xlt.trust.priors import FEW_DOCS, estimate_mix, estimate_mixes, known_mixes

LABELS = ["a", "b", "c", "d"]
SKEWED = [0.1, 0.2, 0.4, 3.0]


def shares(outcomes):
    return outcomes.gold.mean(axis=0)


def corrected(outcomes, mix):
    return outcomes.scores * (mix.found / mix.before)


def test_another_mix_is_found_and_helps(draw):
    labelled, other = draw(500), draw(500, seed=1, weights=SKEWED)
    mix = estimate_mix(labelled.scores, other.scores, exclusive=True)
    assert mix.is_other and mix.n == 500
    assert mix.found == pytest.approx(shares(other), abs=0.05)
    assert mix.before == pytest.approx(shares(labelled), abs=0.06)
    after = corrected(other, mix).argmax(axis=1) == other.gold.argmax(axis=1)
    assert after.mean() > other.correct.mean() + 0.05


@pytest.mark.parametrize("seed", range(1, 9))
def test_the_same_mix_is_not_corrected(draw, seed):
    labelled = draw(99)
    mix = estimate_mix(labelled.scores, draw(204, seed=seed).scores, exclusive=True)
    assert not mix.is_other


def test_the_documents_of_the_assumed_mix_themselves(draw):
    scores = draw(300).scores
    mix = estimate_mix(scores, scores, exclusive=True)
    assert mix.found == pytest.approx(mix.before, abs=1e-3) and not mix.is_other


def test_a_few_documents_prove_nothing(draw):
    labelled = draw(300)
    mix = estimate_mix(labelled.scores, draw(3, seed=1, weights=SKEWED).scores, exclusive=True)
    assert not mix.is_other


def test_every_text_the_same():
    labelled = np.full((50, 4), 0.25)
    assert not estimate_mix(labelled, labelled, exclusive=True).is_other
    certain = np.tile([1.0, 0.0, 0.0, 0.0], (50, 1))
    mix = estimate_mix(labelled, certain, exclusive=True)
    assert np.isfinite(list(mix.shifts(LABELS, exclusive=True).values())).all()


def test_independent_labels_are_corrected_one_by_one(draw):
    labelled = draw(500, exclusive=False)
    other = draw(500, exclusive=False, seed=1)
    rows = np.flatnonzero(other.gold[:, 0])
    other = other[np.concatenate([rows, rows])]
    mix = estimate_mix(labelled.scores, other.scores, exclusive=False)
    assert mix.is_other and mix.found[0] == pytest.approx(1.0, abs=0.1)
    found = mix.shifts(LABELS, exclusive=False)
    assert found["a"] > 2.0
    assert [found[label] for label in "bcd"] == pytest.approx([0.0] * 3, abs=1e-9)


def test_shifts_give_the_probabilities_of_the_new_mix(draw):
    mix = estimate_mix(draw(500).scores, draw(500, weights=SKEWED).scores, exclusive=True)
    logits = np.log(draw(5, seed=3).scores) + list(mix.shifts(LABELS, exclusive=True).values())
    odds = np.exp(logits)
    expected = corrected(draw(5, seed=3), mix)
    assert odds / odds.sum(axis=1, keepdims=True) == pytest.approx(
        expected / expected.sum(axis=1, keepdims=True)
    )


def test_languages_are_compared_with_their_own_labelled_texts_if_there_are_enough(draw):
    by_lang = {
        "de": draw(300),
        "sw": draw(300, seed=1, weights=SKEWED),
        "yo": draw(FEW_DOCS - 1, seed=2),
    }
    scores = {lang: draw(300, seed=4, weights=SKEWED).scores for lang in ("de", "sw", "yo", "fr")}
    mixes = estimate_mixes(by_lang, scores, exclusive=True)
    assert mixes["de"].is_other and not mixes["sw"].is_other
    assert mixes["yo"].before.tolist() == mixes["fr"].before.tolist()


def test_a_known_mix(draw):
    row = {"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1}
    mix = known_mixes({"de": draw(99)}, {"sw": row}, LABELS, exclusive=True)["sw"]
    assert mix.n is None and mix.is_other and mix.found.tolist() == list(row.values())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": 1.0}, r"those of \['a'\]; give one for each of: a, b, c, d"),
        ({"a": 1.0, "b": 0.0, "c": 0.0, "x": 0.0}, "give one for each of"),
        ({"a": 1.5, "b": -0.5, "c": 0.0, "d": 0.0}, "allowed is 0 to 1"),
        ({"a": float("nan"), "b": 0.5, "c": 0.0, "d": 0.0}, "allowed is 0 to 1"),
        ({"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.0}, "add up to 1.500; .* must add up to 1"),
    ],
)
def test_what_is_no_mix(draw, row, message):
    with pytest.raises(ValueError, match=message):
        known_mixes({"de": draw(5)}, {"sw": row}, LABELS, exclusive=True)
