import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.trust import suggestion
from spacy_xlt.trust.suggestion import (
    GOALS,
    NOISE,
    STRATEGIES,
    choose_telling,
    count_alike,
    find_doubts,
    share_out,
    suggest,
)


def indices(chosen):
    return [found.index for own in chosen.values() for found in own]


def draw(n, width=8, seed=0):
    """Languages, doubts and vectors of a pool."""
    rng = np.random.default_rng(seed)
    langs = rng.choice(["sw", "yo", ""], size=n).tolist()
    return langs, rng.random(n).astype("f"), rng.normal(size=(n, width)).astype("f")


def test_doubt_is_the_probability_that_the_answer_is_wrong():
    scores = np.array([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]])
    assert find_doubts(scores, exclusive=True) == pytest.approx([0.3, 0.6])
    # Of independent labels, the one nearest to falling the other way.
    scores = np.array([[0.9, 0.45, 0.0], [0.95, 0.99, 1.0]])
    assert find_doubts(scores, exclusive=False) == pytest.approx([0.45, 0.05])


def test_shares_for_the_mean_go_by_doubt_and_for_the_worst_to_it():
    doubts, sizes = {"de": 0.1, "sw": 0.2, "yo": 0.4}, {"de": 500, "sw": 500, "yo": 500}
    mean = share_out(doubts, sizes, 350, goal="mean")
    assert mean == {"de": 50, "sw": 100, "yo": 200}
    assert share_out(doubts, sizes, 350, goal="worst") == {"de": 0, "sw": 0, "yo": 350}
    # What is left when the worst has no more goes to the next.
    sizes["yo"] = 300
    assert share_out(doubts, sizes, 350, goal="worst") == {"de": 0, "sw": 50, "yo": 300}
    assert share_out(doubts, sizes, 350, goal="worst", minimum=20) == {
        "de": 20,
        "sw": 30,
        "yo": 300,
    }


def test_equal_languages_get_equal_shares():
    shares = share_out({"a": 0.3, "b": 0.3}, {"a": 9, "b": 9}, 10, goal="mean")
    assert shares == {"a": 5, "b": 5}
    assert sum(share_out({"a": 0.0, "b": 0.0}, {"a": 9, "b": 9}, 4, goal="mean").values()) == 4


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 30)), min_size=1, max_size=5),
    st.integers(1, 100),
    st.sampled_from(GOALS),
    st.integers(0, 3),
)
def test_shares_add_up_and_fit(languages, n, goal, minimum):
    doubts = {str(i): doubt for i, (doubt, _) in enumerate(languages)}
    sizes = {str(i): size for i, (_, size) in enumerate(languages)}
    if minimum * len(sizes) > n:
        with pytest.raises(ValueError, match="is more than"):
            share_out(doubts, sizes, n, goal=goal, minimum=minimum)
        return
    shares = share_out(doubts, sizes, n, goal=goal, minimum=minimum)
    assert sum(shares.values()) == min(n, sum(sizes.values()))
    assert all(min(minimum, sizes[lang]) <= shares[lang] <= sizes[lang] for lang in sizes)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_is_repeatable_and_chooses_each_text_once(strategy):
    langs, doubts, vectors = draw(60)

    def run(seed=0, n=20):
        return suggest(
            langs, doubts, n, embed=lambda rows: vectors[rows], strategy=strategy, seed=seed
        )

    found = indices(run())
    assert len(set(found)) == 20 and run() == run()
    assert all(langs[i] == lang for lang, own in run().items() for i in [s.index for s in own])
    assert (indices(run(seed=1)) != found) == (strategy == "random")
    assert sorted(indices(run(n=500))) == list(range(60))


def test_uncertainty_takes_the_most_doubtful_first():
    doubts = np.array([0.1, 0.5, 0.3, 0.5])
    found = suggest(["sw"] * 4, doubts, 3, strategy="uncertainty")
    assert indices(found) == [1, 3, 2]


def test_the_most_telling_text_stands_in_the_middle_of_the_others():
    # Two groups of near copies, a large and a small one, and a lonely text of no weight.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.array([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]]), [20, 10, 1], axis=0)
    vectors = groups + rng.normal(0, 0.1, size=groups.shape)
    weights = np.array([1.0] * 30 + [0.0])
    first, second = choose_telling(vectors, weights, 2)
    assert {first < 20, second < 20} == {True, False} and max(first, second) < 30
    # Weights say which groups matter.
    weights = np.array([0.0] * 20 + [1.0] * 10 + [0.0])
    assert 20 <= choose_telling(vectors, weights, 1)[0] < 30


def test_near_copies_are_not_all_chosen():
    rng = np.random.default_rng(0)
    doubts = np.array([0.6] * 10 + [0.3] * 10)
    copies = np.repeat(rng.normal(size=(1, 16)), 10, axis=0)
    vectors = np.concatenate([copies, rng.normal(size=(10, 16))])
    vectors += rng.normal(0, 0.01, size=vectors.shape)

    def n_copies(strategy):
        found = suggest(["sw"] * 20, doubts, 6, embed=lambda rows: vectors[rows], strategy=strategy)
        return sum(i < 10 for i in indices(found))

    assert n_copies("uncertainty") == 6 and 1 <= n_copies("mix") <= 2


def test_choices_are_those_of_the_plain_formula():
    """Each choice, against the variances of a Gaussian process that has seen those before it."""
    rng = np.random.default_rng(1)
    vectors, weights = rng.normal(size=(12, 4)), rng.random(12)
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1).mean()
    prior = centred @ centred.T + 1.0

    def variance(known):
        if not known:
            return prior.diagonal()
        seen = prior[np.ix_(known, known)] + NOISE * np.eye(len(known))
        return prior.diagonal() - np.einsum(
            "ij,ji->i", prior[:, known], np.linalg.solve(seen, prior[known])
        )

    expected = []
    for _ in range(5):
        rest = [i for i in range(12) if i not in expected]
        expected.append(min(rest, key=lambda i: float(weights @ variance([*expected, i]))))
    assert choose_telling(vectors, weights, 5) == expected


def test_alike_counts_every_text_once():
    vectors = np.array([[0.0, 0], [0.1, 0], [5, 5], [5, 5.1], [5.2, 5]])
    assert count_alike(vectors, [1, 3]).tolist() == [2, 3]
    # Equal texts: each chosen one stands at least for itself.
    assert count_alike(np.ones((4, 2)), [0, 2]).min() >= 1


@pytest.mark.parametrize("strategy", ["mix", "diversity"])
def test_equal_vectors_and_vectors_of_zeros(strategy):
    for vectors in (np.ones((6, 3)), np.zeros((6, 3))):
        found = suggest(
            ["sw"] * 6, np.zeros(6), 6, embed=lambda rows, v=vectors: v[rows], strategy=strategy
        )
        assert sorted(indices(found)) == list(range(6))


def test_a_large_pool_is_looked_at_in_parts(monkeypatch):
    monkeypatch.setattr(suggestion, "PART_TEXTS", 20)
    monkeypatch.setattr(suggestion, "PART_SUGGESTIONS", 5)
    _, doubts, vectors = draw(300)
    asked = []

    def embed(rows):
        asked.append(len(rows))
        return vectors[rows]

    found = suggest(["sw"] * 300, doubts, 12, embed=embed)
    assert len(set(indices(found))) == 12 and asked == [20, 20, 20]
    assert sum(s.n_alike for s in found["sw"]) == pytest.approx(300, abs=20)
    asked.clear()
    everything = suggest(["sw"] * 300, doubts, 300, embed=embed)
    assert sorted(indices(everything)) == list(range(300)) and max(asked) <= 20


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(STRATEGIES), st.integers(0, 99))
def test_as_many_as_asked_for_or_as_there_are(size, n, strategy, seed):
    langs, doubts, vectors = draw(size, seed=seed)
    found = suggest(langs, doubts, n, embed=lambda rows: vectors[rows], strategy=strategy)
    assert len(indices(found)) == len(set(indices(found))) == min(n, size)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"strategy": "best"}, "The strategy is 'best'; allowed are: mix, uncertainty"),
        ({"goal": "all"}, "The goal is 'all'; allowed are: mean, worst"),
        ({"n": 0}, "The number of texts to suggest is 0; allowed is 1 or more"),
        ({"minimum": -1}, "The minimum per language is -1; allowed is 0 or more"),
        ({"minimum": 2, "n": 3}, "A minimum of 2 for each of 2 languages is more than 3 in all"),
        ({"strategy": "mix"}, "The strategy 'mix' needs vectors of the texts"),
    ],
)
def test_odd_settings(settings, message):
    settings = {"strategy": "random", "n": 3, **settings}
    with pytest.raises(ValueError, match=message):
        suggest(["sw", "yo"], np.array([0.1, 0.2]), settings.pop("n"), **settings)
