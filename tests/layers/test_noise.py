import numpy
import pytest
import tiny
from tokenizers import Tokenizer, models

from spacy_xlt.layers.noise import PieceNoise
from spacy_xlt.pieces import PieceTokenizer
from spacy_xlt.types import RobustSettings

TEXTS = ["we want pizza today", "", "这里有taxi吗", "jazz " * 100, "🍕", "\ud83d"]


@pytest.fixture(scope="module")
def tokenizer():
    return PieceTokenizer(tiny.make_tokenizer())


def change(tokenizer, texts=TEXTS, *, seed=0, **settings):
    """Usual and changed pieces."""
    pieces = tokenizer.encode(texts)
    return pieces, PieceNoise(tokenizer, RobustSettings(**settings))(texts, pieces, seed)


def as_lists(pieces):
    return [ids.tolist() for ids in pieces]


def test_without_rates_nothing_changes(tokenizer):
    usual, changed = change(tokenizer)
    assert as_lists(usual) == as_lists(changed)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_share_of_pieces_is_masked(tokenizer, rate):
    (usual,), (changed,) = change(tokenizer, ["jazz opera " * 5000], mask_rate=rate)
    assert changed.dtype == numpy.int32 and changed.size == usual.size
    is_masked = changed == tokenizer.blank_id
    assert is_masked.mean() == pytest.approx(rate, abs=0.02)
    assert (changed[~is_masked] == usual[~is_masked]).all()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_share_of_pieces_is_left_out(tokenizer, rate):
    (usual,), (changed,) = change(tokenizer, ["jazz opera " * 5000], drop_rate=rate)
    assert changed.size / usual.size == pytest.approx(1.0 - rate, abs=0.02)


def test_one_piece_is_left_of_a_text_that_has_any(tokenizer):
    usual, changed = change(tokenizer, drop_rate=0.99)
    assert [min(1, ids.size) for ids in usual] == [min(1, ids.size) for ids in changed]
    for old, new in zip(as_lists(usual), as_lists(changed), strict=True):
        assert set(new) <= set(old)


def test_words_are_divided_in_other_ways(tokenizer):
    usual, changed = change(tokenizer, subword_rate=1.0, subword_sharpness=0.0)
    assert sum(ids.size for ids in changed) > 1.5 * sum(ids.size for ids in usual)
    usual, changed = change(tokenizer, subword_rate=1.0, subword_sharpness=1e5)
    assert as_lists(usual) == as_lists(changed)


@pytest.mark.parametrize(
    "settings",
    [{"mask_rate": 0.3}, {"drop_rate": 0.3}, {"subword_rate": 0.5, "subword_sharpness": 0.0}],
)
def test_chance_comes_from_the_seed(tokenizer, settings):
    first, again, other = (
        as_lists(change(tokenizer, seed=seed, **settings)[1]) for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_usual_pieces_stay_as_they_are(tokenizer):
    usual, _ = change(tokenizer, mask_rate=0.5, drop_rate=0.5, subword_rate=0.5)
    assert as_lists(usual) == as_lists(tokenizer.encode(TEXTS))


def test_nothing_to_mask_with():
    tokenizer = PieceTokenizer(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ValueError, match=r"mask_rate is 0\.1, but.*no piece for masked.*drop_rate"):
        change(tokenizer, ["a"], mask_rate=0.1)
    assert change(tokenizer, ["a"], drop_rate=0.1)[1][0].tolist() == [0]
