import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_xlt.layers.windows import MAX_PADDING, pack_into_batches, split_into_windows

BEFORE, AFTER = [900, 901], [990]
CPU = torch.device("cpu")


def split(lengths, *, window_pieces=16, overlap_pieces=4, pooling="mean", **kwargs):
    """Windows of documents whose pieces are numbered 0, 1, 2, …"""
    return split_into_windows(
        [numpy.arange(n, dtype="int32") for n in lengths],
        before=BEFORE,
        after=AFTER,
        window_pieces=window_pieces,
        overlap_pieces=overlap_pieces,
        pooling=pooling,
        **kwargs,
    )


@st.composite
def splits(draw):
    overlap = draw(st.integers(0, 20))
    room = overlap + draw(st.integers(1, 20))
    lengths = draw(st.lists(st.integers(0, 90), max_size=6))
    return lengths, {"window_pieces": room + 3, "overlap_pieces": overlap}


@given(splits())
def test_every_piece_is_owned_exactly_once(case):
    lengths, sizes = case
    windows = split(lengths, **sizes)
    counts = [numpy.zeros(n) for n in lengths]
    for ids, weights, doc in zip(windows.ids, windows.weights, windows.docs, strict=True):
        counts[doc][ids[2:-1]] += weights[2:-1]
    for count in counts:
        assert (count == 1.0).all()


@given(splits())
def test_windows_overlap_in_order_and_none_is_too_long_or_idle(case):
    lengths, sizes = case
    windows = split(lengths, **sizes)
    assert windows.n_docs == len(lengths)
    assert list(windows.docs) == sorted(windows.docs)
    assert set(windows.docs) == {i for i, n in enumerate(lengths) if n > 0}
    last = {}
    for ids, weights, doc in zip(windows.ids, windows.weights, windows.docs, strict=True):
        assert ids.size <= sizes["window_pieces"]
        assert list(ids[:2]) == BEFORE and list(ids[-1:]) == AFTER
        assert weights[2:-1].sum() >= 1.0
        own = ids[2:-1]
        assert (numpy.diff(own) == 1).all()
        assert own[0] == (last[doc] + 1 - sizes["overlap_pieces"] if doc in last else 0)
        last[doc] = own[-1]
    assert last == {i: n - 1 for i, n in enumerate(lengths) if n > 0}


def test_each_half_of_an_overlap_belongs_to_the_window_where_it_stands_further_inside():
    windows = split([20], window_pieces=13, overlap_pieces=4)
    assert [list(ids[2:-1]) for ids in windows.ids] == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [12, 13, 14, 15, 16, 17, 18, 19],
    ]
    assert [list(ids[2:-1][w[2:-1] > 0]) for ids, w in zip(*pairs(windows), strict=True)] == [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [8, 9, 10, 11, 12, 13],
        [14, 15, 16, 17, 18, 19],
    ]


def pairs(windows):
    return windows.ids, windows.weights


@pytest.mark.parametrize(("pooling", "place"), [("cls", 0), ("last", -1)])
def test_pooling_by_one_piece_gives_it_the_weight_of_the_window(pooling, place):
    mean = split([5, 40])
    one = split([5, 40], pooling=pooling)
    for mean_weights, weights in zip(mean.weights, one.weights, strict=True):
        assert weights[place] == mean_weights.sum() == weights.sum()


@given(st.integers(0, 200), st.integers(1, 5), st.integers(0, 9))
def test_sampled_windows_are_some_of_all_and_in_order(n_pieces, max_windows, seed):
    all_of = split([n_pieces])
    some = split([n_pieces], max_windows=max_windows, rng=numpy.random.default_rng(seed))
    assert len(some.ids) == min(max_windows, len(all_of.ids))
    everything = [tuple(ids) for ids in all_of.ids]
    places = [everything.index(tuple(ids)) for ids in some.ids]
    assert places == sorted(set(places))
    for place, weights in zip(places, some.weights, strict=True):
        assert (weights == all_of.weights[place]).all()


def test_sampling_follows_its_seed():
    def draw(seed):
        windows = split([2000], max_windows=3, rng=numpy.random.default_rng(seed))
        return [int(ids[2]) for ids in windows.ids]

    assert draw(1) == draw(1)
    assert len({tuple(draw(seed)) for seed in range(5)}) > 1


def test_a_window_without_room_is_refused():
    with pytest.raises(ValueError, match=r"window of 10 pieces with 3 special.*more than 10, or"):
        split([5], window_pieces=10, overlap_pieces=7)
    assert len(split([5], window_pieces=11, overlap_pieces=7).ids) == 1


def pack(lengths, max_pieces):
    return pack_into_batches(split(lengths), max_pieces=max_pieces)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 200))
def test_batches_hold_every_window_once_within_their_limit(lengths, max_pieces):
    windows = split(lengths)
    batches = pack_into_batches(windows, max_pieces=max_pieces)
    found = []
    for batch in batches:
        assert batch.ids.size <= max_pieces or batch.lengths.size == 1
        assert sorted(batch.lengths, reverse=True) == list(batch.lengths)
        bounds = numpy.cumsum(batch.lengths)[:-1]
        parts = (numpy.split(a, bounds) for a in (batch.ids, batch.positions, batch.weights))
        for doc, ids, positions, weights in zip(batch.docs, *parts, strict=True):
            assert list(positions) == list(range(ids.size))
            found.append((int(doc), *ids, *weights))
        assert sum(group.n_windows for group in batch.groups) == batch.lengths.size
        assert list(numpy.concatenate([g.lengths for g in batch.groups])) == list(batch.lengths)
        for group in batch.groups:
            assert group.n_windows * group.longest <= MAX_PADDING * group.n_pieces
    wanted = [
        (int(doc), *ids, *weights)
        for ids, weights, doc in zip(windows.ids, windows.weights, windows.docs, strict=True)
    ]
    assert sorted(found) == sorted(wanted)
    longest = [batch.lengths[0] for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_nothing_gives_no_batch():
    assert pack([], 10) == [] and pack([0, 0], 10) == []


def test_groups_tell_where_pieces_stand_when_padded():
    (batch,) = pack([8, 7], 100)
    (group,) = batch.groups
    index, mask = group.to_torch(CPU)
    # 11 and 10 pieces with the special ones: the last place of the second row is empty
    assert index.tolist() == list(range(21))
    assert mask.shape == (2, 1, 1, 11)
    assert mask[1, 0, 0].tolist() == [True] * 10 + [False]
    (full,) = pack([8, 8], 100)[0].groups
    assert full.to_torch(CPU) == (None, None)


def test_padded_arrays_of_each_group():
    batch = pack([8, 7, 1], 100)[0]
    (ids, mask), (short_ids, short_mask) = batch.padded(77, CPU)
    assert ids.shape == mask.shape == (2, 11)
    assert mask.sum(dim=1).tolist() == [11, 10]
    assert ids[1].tolist() == [900, 901, 0, 1, 2, 3, 4, 5, 6, 990, 77]
    assert short_ids.tolist() == [[900, 901, 0, 990]] and short_mask.tolist() == [[1, 1, 1, 1]]


def test_pool_matrix_sums_the_pieces_of_each_window():
    batch = pack([8, 3], 100)[0]
    matrix = batch.pool_matrix(CPU)
    assert matrix.shape == (2, 17)
    assert matrix.sum(dim=1).tolist() == [11.0, 6.0]
    assert matrix[1, :11].sum() == 0.0
