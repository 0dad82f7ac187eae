import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import batch_of

from spacy_xlt.layers.window_cache import WindowCache

WIDTH = 4


class Compute:
    """Vectors that depend on a piece and its place; remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, batch):
        self.asked += [tuple(ids) for ids in batch.split_ids()]
        assert sum(group.n_pieces for group in batch.groups) == batch.ids.size
        numbers = torch.from_numpy(batch.ids + 0.5 * batch.positions).float()
        return numbers[:, None].expand(-1, WIDTH).contiguous()


texts_of = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=6)


@given(batches=st.lists(texts_of, min_size=1, max_size=4), max_bytes=st.integers(0, 400))
def test_cached_or_not_the_vectors_are_the_same(batches, max_bytes):
    cache = WindowCache(max_bytes)
    for texts in batches:
        batch = batch_of(texts)
        found = cache.get(batch, Compute())
        assert torch.equal(found, Compute()(batch))
        assert found.dtype == torch.float32
        assert cache.n_bytes <= max_bytes


def test_a_window_is_computed_once():
    cache, compute = WindowCache(10_000), Compute()
    cache.get(batch_of([[1, 2], [3]]), compute)
    cache.get(batch_of([[3], [4, 5, 6], [1, 2]]), compute)
    assert compute.asked == [(1, 2), (3,), (4, 5, 6)]


def test_a_full_cache_keeps_what_it_has():
    cache, compute = WindowCache(2 * WIDTH * 4), Compute()
    for _ in range(3):
        cache.get(batch_of([[1, 2], [3]]), compute)
    assert compute.asked == [(1, 2), (3,), (3,), (3,)]


@pytest.mark.parametrize("chosen", [[0], [1], [0, 2], [0, 1, 2]])
def test_some_windows_of_a_batch(chosen):
    batch = batch_of([[1, 2, 3, 4], [5, 6, 7], [8]])
    part = batch.select(chosen)
    windows = batch.split_ids()
    assert [ids.tolist() for ids in part.split_ids()] == [windows[i].tolist() for i in chosen]
    assert part.docs.tolist() == [batch.docs[i] for i in chosen]
    assert part.positions.tolist() == [p for i in chosen for p in range(windows[i].size)]
    assert sum(group.n_windows for group in part.groups) == len(chosen)
