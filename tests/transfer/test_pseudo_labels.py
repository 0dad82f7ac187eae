import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spacy_xlt.transfer.pseudo_labels import (
    CLOSENESS,
    OWN_COSINE,
    LabelSettings,
    balance_labels,
    center_languages,
    count_effective_labels,
    find_agreement,
    find_answers,
    find_likeness,
    find_neighbours,
    make_pseudo_labels,
    mean_by_language,
    mean_scores,
    sharpen,
    spread_scores,
)


@pytest.fixture
def topics():
    """Texts of three topics in four languages: vectors, languages, topics. A language adds its own
    large offset to all its vectors."""
    rng = np.random.default_rng(0)
    centers, offsets = rng.normal(size=(3, 16)), 5 * rng.normal(size=(4, 16))
    gold = np.tile(np.repeat([0, 1, 2], 10), 4)
    langs = np.repeat(["de", "fr", "ru", "yo"], 30)
    place = np.repeat(np.arange(4), 30)
    vectors = centers[gold] + offsets[place] + 0.3 * rng.normal(size=(120, 16))
    return vectors, list(langs), gold


def soft(gold, n_labels=3, sure=0.8):
    scores = np.full((len(gold), n_labels), (1 - sure) / (n_labels - 1))
    scores[np.arange(len(gold)), gold] = sure
    return scores


def test_the_mean_of_teachers():
    scores = mean_scores([[[0.2, 0.8]], [[0.6, 0.4]]])
    assert scores == pytest.approx(np.array([[0.4, 0.6]]))
    with pytest.raises(ValueError, match=r"1 of 2 texts got scores that are not numbers"):
        mean_scores([np.array([[0.5, 0.5], [np.nan, 1.0]])])


def test_answers_and_agreement():
    a, b = np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([[0.6, 0.6], [0.9, 0.1]])
    assert find_answers(a, exclusive=True).tolist() == [[1, 0], [0, 1]]
    assert find_answers(b, exclusive=False).tolist() == [[1, 1], [1, 0]]
    assert find_agreement([a, b], exclusive=True).tolist() == [True, False]
    assert find_agreement([a, b], exclusive=False).tolist() == [False, False]
    assert find_agreement([a], exclusive=True).tolist() == [True, True]


def test_neighbours_are_those_of_the_topic_in_all_languages(topics):
    vectors, langs, gold = topics
    rows, weights = find_neighbours(center_languages(vectors, langs))
    assert rows.shape == weights.shape == (120, 10)
    assert (weights > 0.0).all() and (weights.sum(axis=1) < 1.0).all()
    assert not (rows == np.arange(120)[:, None]).any()
    assert (gold[rows] == gold[:, None]).mean() > 0.95
    tags = np.array(langs)
    assert (tags[rows] != tags[:, None]).mean() > 0.5
    # Without centring a text's neighbours are those of its language.
    plain = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    plain_rows, _ = find_neighbours(plain.astype(np.float32))
    assert (tags[plain_rows] == tags[:, None]).mean() > 0.9


def test_neighbours_are_the_same_in_chunks(topics, monkeypatch):
    vectors, langs, _ = topics
    directions = center_languages(vectors, langs)
    rows, weights = find_neighbours(directions)
    monkeypatch.setattr("spacy_xlt.transfer.pseudo_labels.CHUNK", 7)
    again, again_weights = find_neighbours(directions)
    order, again_order = np.argsort(rows, axis=1), np.argsort(again, axis=1)
    assert (np.take_along_axis(rows, order, 1) == np.take_along_axis(again, again_order, 1)).all()
    assert np.take_along_axis(weights, order, 1) == pytest.approx(
        np.take_along_axis(again_weights, again_order, 1), abs=1e-5
    )


def test_few_texts():
    rows, weights = find_neighbours(np.eye(3, dtype="f"))
    one = np.exp(-CLOSENESS * OWN_COSINE)
    assert rows.shape == (3, 2) and weights == pytest.approx(np.full((3, 2), one / (1 + 2 * one)))
    with pytest.raises(ValueError, match="2 texts or more to find alike ones; found 1"):
        find_neighbours(np.eye(1, dtype="f"))
    assert np.isfinite(center_languages(np.zeros((2, 4)), ["sw", "sw"])).all()


def test_wrong_labels_of_a_language_are_mended_by_alike_texts(topics):
    vectors, langs, gold = topics
    rng = np.random.default_rng(1)
    said = gold.copy()
    weak = np.array(langs) == "yo"
    wrong = weak & (rng.random(120) < 0.5)
    said[wrong] = (said[wrong] + 1) % 3
    scores = soft(said)
    spread = spread_scores(scores, *find_neighbours(center_languages(vectors, langs)))
    assert (scores.argmax(axis=1) == gold)[weak].mean() < 0.7
    assert (spread.argmax(axis=1) == gold)[weak].mean() > 0.95
    assert (spread.argmax(axis=1) == gold)[~weak].mean() > 0.95
    assert spread.sum(axis=1) == pytest.approx(np.ones(120))


def test_texts_with_no_alike_ones_keep_their_labels(topics):
    """As where the texts of two languages are no translations of each other."""
    vectors, langs, gold = topics
    alone = np.random.default_rng(1).normal(size=(30, 64))
    both = np.zeros((150, 16 + 64))
    both[:120, :16], both[120:, 16:] = vectors, alone
    said = np.concatenate([gold, (gold[:30] + 1) % 3])
    rows, weights = find_neighbours(center_languages(both, [*langs, *["sw"] * 30]))
    assert weights[120:].sum(axis=1).mean() < weights[:120].sum(axis=1).min()
    spread = spread_scores(soft(said), rows, weights)
    assert (spread.argmax(axis=1) == said)[120:].all()


def test_spreading_is_the_solution_of_its_equation(topics):
    """scores' = (1 - a W 1) scores + a W scores', solved by numpy."""
    vectors, langs, gold = topics
    rows, weights = find_neighbours(center_languages(vectors, langs))
    scores = soft(gold)
    W = np.zeros((120, 120))
    np.put_along_axis(W, rows, weights, axis=1)
    own = 1.0 - 0.5 * W.sum(axis=1, keepdims=True)
    exact = np.linalg.solve(np.eye(120) - 0.5 * W, own * scores)
    assert spread_scores(scores, rows, weights, share=0.5) == pytest.approx(exact, abs=1e-5)
    assert (spread_scores(scores, rows, weights, share=0.0) == scores).all()


probabilities = arrays(np.float64, (4, 3), elements=st.floats(0.01, 1.0, allow_nan=False)).map(
    lambda x: x / x.sum(axis=1, keepdims=True)
)


@given(probabilities, st.floats(1.0, 8.0))
def test_sharper_probabilities_are_probabilities_in_the_same_order(scores, power):
    sharp = sharpen(scores, power, exclusive=True)
    assert sharp.sum(axis=1) == pytest.approx(np.ones(4))
    assert (sharp.max(axis=1) >= scores.max(axis=1) - 1e-9).all()
    assert (sharp.argmax(axis=1) == scores.argmax(axis=1)).all() or power > 1.0
    each = sharpen(scores, power, exclusive=False)
    assert ((each >= 0.5 - 1e-9) == (scores >= 0.5 - 1e-9)).all()


def test_sharpness():
    scores = np.array([[0.6, 0.3, 0.1]])
    assert sharpen(scores, 1.0, exclusive=True) == pytest.approx(scores)
    assert sharpen(scores, 2.0, exclusive=True) == pytest.approx(
        np.array([[0.36, 0.09, 0.01]]) / 0.46
    )
    assert sharpen(scores, 2.0, exclusive=False)[0, 0] == pytest.approx(0.36 / 0.52)
    assert np.isfinite(sharpen(np.zeros((1, 3)), 2.0, exclusive=True)).all()


def test_balance(topics):
    _, langs, _ = topics
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([4.0, 1.0, 1.0], size=120)
    prior = np.array([0.2, 0.3, 0.5])
    full = balance_labels(scores, langs, prior, 1.0)
    tags = np.array(langs)
    for lang in set(langs):
        assert full[tags == lang].mean(axis=0) == pytest.approx(prior, abs=0.01)
    assert full.sum(axis=1) == pytest.approx(np.ones(120))
    half = balance_labels(scores, langs, prior, 0.5)
    distance = [np.abs(x.mean(axis=0) - prior).sum() for x in (scores, half, full)]
    assert distance[0] > distance[1] > distance[2]


@pytest.mark.parametrize("name", ["neighbours", "sharpness", "balance", "max_likeness"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} is {value}; allowed is"):
        LabelSettings(**{name: value})


def test_all_together(topics):
    vectors, langs, gold = topics
    views = [soft(gold, sure=0.9), soft(gold, sure=0.5)]
    alike = find_neighbours(center_languages(vectors, langs))
    plain = LabelSettings(neighbours=0.0)
    made = make_pseudo_labels(views, langs, plain, exclusive=True, alike=alike)
    assert made == pytest.approx(soft(gold, sure=0.7))
    assert (make_pseudo_labels(views, langs, plain, exclusive=True) == made).all()
    sharp = LabelSettings(neighbours=0.5, sharpness=3.0, balance=1.0)
    mix = np.array([0.5, 0.25, 0.25])
    made = make_pseudo_labels(views, langs, sharp, exclusive=True, alike=alike, mix=mix)
    spread = spread_scores(soft(gold, sure=0.7), *alike, share=0.5)
    assert made == pytest.approx(
        sharpen(balance_labels(spread, langs, mix, 1.0), 3.0, exclusive=True)
    )


def test_labels_in_use_and_likeness():
    answers = np.eye(3, dtype=np.int8)[[0, 0, 1, 1, 2, 2]]
    assert count_effective_labels(answers) == pytest.approx(3.0)
    assert count_effective_labels(answers[:2]) == pytest.approx(1.0)
    assert count_effective_labels(np.zeros((4, 3), dtype=np.int8)) == 0.0
    rows = np.array([[1, 2], [0, 2], [3, 0], [2, 0], [5, 0], [4, 0]])
    weights = np.tile([0.6, 0.2], (6, 1))  # 0.2 is what a text itself counts
    assert find_likeness(answers, rows, weights) == pytest.approx(np.full(6, 0.8))
    means = mean_by_language(np.array([0.5, 1.0, 0.0]), ["sw", "de", "sw"])
    assert means == {"de": 1.0, "sw": 0.25} and list(means) == ["de", "sw"]
