import numpy as np
import pytest

from spacy_xlt.alignment import pairing
from spacy_xlt.alignment.pairing import Pair, pair_by_id, pair_by_neighbours


def test_pairs_by_id():
    pairs = pair_by_id(["a", "", "b", "c"], ["c", "x", "a", ""])
    assert pairs == [Pair(0, 2, 0.0), Pair(3, 0, 0.0)]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((["a", "a"], ["a"]), "source texts have the id 'a' 2 times, so it is unclear"),
        ((["a"], ["b", "b", "a"]), "target texts have the id 'b' 2 times"),
        ((["", "a"], ["b"]), "None of the 2 source texts has an id that one of the 1 target texts"),
        ((["", ""], ["", ""]), "None of the 2 source texts"),
    ],
)
def test_ids_that_tell_nothing(ids, message):
    with pytest.raises(ValueError, match=message):
        pair_by_id(*ids)


def make_vectors(n=60, width=24, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(n, width))
    order = rng.permutation(n)
    return first, (first + noise * rng.normal(size=first.shape))[order], order


def test_a_known_shuffle_is_undone():
    first, second, order = make_vectors()
    pairs = pair_by_neighbours(first, second)
    assert [pair.source for pair in pairs] == list(range(60))
    assert all(order[pair.target] == pair.source for pair in pairs)
    assert min(pair.margin for pair in pairs) > 1.06


def test_texts_without_a_partner_have_none():
    first, second, order = make_vectors()
    pairs = pair_by_neighbours(first[:40], second)
    assert {pair.source for pair in pairs} == set(range(40))
    assert all(order[pair.target] == pair.source for pair in pairs)
    strangers = np.random.default_rng(9).normal(size=(50, 24))
    assert len(pair_by_neighbours(first, strangers, min_margin=1.6)) < 5


def test_the_margin_is_that_of_the_paper():
    first, second, _ = make_vectors(n=7)
    k = 3

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    table = np.array([[cosine(a, b) for b in second] for a in first])
    near_first = np.sort(table, axis=1)[:, -k:].mean(axis=1)
    near_second = np.sort(table, axis=0)[-k:].mean(axis=0)
    for pair in pair_by_neighbours(first, second, min_margin=0.0, n_neighbours=k):
        usual = (near_first[pair.source] + near_second[pair.target]) / 2
        assert pair.margin == pytest.approx(table[pair.source, pair.target] / usual, rel=1e-5)


def test_blocks_change_nothing(monkeypatch):
    first, second, _ = make_vectors()
    whole = pair_by_neighbours(first, second)
    monkeypatch.setattr(pairing, "BLOCK_ROWS", 7)
    parts = pair_by_neighbours(first, second)
    assert [pair[:2] for pair in parts] == [pair[:2] for pair in whole]


def test_odd_vectors():
    first, second, _ = make_vectors(n=4)
    assert pair_by_neighbours(first[:0], second) == [] == pair_by_neighbours(first, second[:0])
    assert len(pair_by_neighbours(first[:1], first[:1], min_margin=0.0)) == 1
    assert pair_by_neighbours(np.zeros((3, 2)), np.zeros((3, 2))) == []
    with pytest.raises(ValueError, match="vectors are 24 wide and target vectors 3. Use one"):
        pair_by_neighbours(first, second[:, :3])
    first[1, 2] = np.nan
    with pytest.raises(ValueError, match="Some vectors are not numbers"):
        pair_by_neighbours(first, second)
