import math
import time
from collections import Counter
from random import Random

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from spacy_xlt.pieces import PieceTokenizer
from spacy_xlt.subwords import SubwordSampler

PIECES = {"a": -1.0, "b": -1.5, "ab": -1.2, "ba": -3.0, "aba": -2.0, "bab": -4.0, "▁": -2.0}
NASTY = ["", " ", "\0", "a\0b", "🍕", "🍕🍕 🍕", "\ud83d", "\n\t", "我" * 100, "zz pizza zz"]


def make_tokenizer(pieces=PIECES, **model):
    vocab = [("<unk>", 0.0), ("<s>", 0.0), *pieces.items()]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0, **model))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PieceTokenizer(tokenizer)


@pytest.fixture(scope="module")
def tokenizer():
    return PieceTokenizer(tiny.make_tokenizer())


def segmentations(word, pieces):
    """Every way to divide a word, by recursion."""
    if not word:
        return [()]
    return [
        (piece, *rest)
        for piece in pieces
        if word.startswith(piece)
        for rest in segmentations(word[len(piece) :], pieces)
    ]


@pytest.mark.parametrize("sharpness", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("word", ["ababa", "abba", "a"])
def test_frequencies_are_those_of_all_segmentations(sharpness, word):
    names = dict(enumerate(["<unk>", "<s>", *PIECES]))
    weights = {
        s: math.exp(sharpness * sum(PIECES[piece] for piece in s))
        for s in segmentations(word, PIECES)
    }
    total = sum(weights.values())
    sampler, rng, n = SubwordSampler(make_tokenizer(), sharpness=sharpness), Random(0), 20_000
    counts = Counter(tuple(names[i] for i in sampler.encode(word, rng)) for _ in range(n))
    assert set(counts) <= set(weights)
    for segmentation, weight in weights.items():
        share = weight / total
        error = math.sqrt(share * (1.0 - share) / n)
        assert counts[segmentation] / n == pytest.approx(share, abs=4.0 * error + 1e-9)


@pytest.mark.parametrize("text", ["we want pizza today", "我们今天想要taxi", *NASTY])
def test_the_sharpest_draw_is_the_usual_one(tokenizer, text):
    ids = SubwordSampler(tokenizer, sharpness=1e5).encode(text, Random(0))
    assert ids.tolist() == tokenizer.encode([text])[0].tolist()


@pytest.mark.parametrize("text", ["we want pizza today", *NASTY])
def test_at_rate_0_every_word_is_divided_as_usual(tokenizer, text):
    ids = SubwordSampler(tokenizer, sharpness=0.0).encode(text, Random(0), rate=0.0)
    assert ids.tolist() == tokenizer.encode([text])[0].tolist()
    assert ids.dtype == "int32"


def test_special_pieces_in_a_text_are_text(tokenizer):
    ids = SubwordSampler(tokenizer, sharpness=1e5).encode("<s> taxi", Random(0))
    assert not {0, 2} & set(ids.tolist())


def test_the_rate_is_the_share_of_words_that_are_drawn():
    sampler = SubwordSampler(make_tokenizer(), sharpness=0.0)
    usual = sampler.encode("ababa", Random(0), rate=0.0).tolist()
    n_ways, n = len(segmentations("ababa", PIECES)), 20_000
    rng = Random(1)
    same = sum(sampler.encode("ababa", rng, rate=0.4).tolist() == usual for _ in range(n))
    assert same / n == pytest.approx(0.6 + 0.4 / n_ways, abs=0.015)


@given(st.text(alphabet="ab ▁", max_size=40), st.integers(0, 5))
def test_pieces_spell_the_text(text, seed):
    names = dict(enumerate(["<unk>", "<s>", *PIECES]))
    ids = SubwordSampler(make_tokenizer(), sharpness=0.2).encode(text, Random(seed))
    assert "".join(names[i] for i in ids) == "".join(text.split())


@given(st.text(max_size=60), st.integers(0, 5))
def test_any_text_has_pieces_of_the_vocabulary(text, seed):
    library = PieceTokenizer(tiny.make_tokenizer())
    ids = SubwordSampler(library, sharpness=0.2).encode(text, Random(seed))
    assert ids.min(initial=0) >= 0 and ids.max(initial=0) < library.n_pieces
    assert not set(ids.tolist()) & (library.added_ids - {library.unknown_id})


def test_neighbouring_unknown_characters_are_one_piece():
    sampler = SubwordSampler(make_tokenizer(), sharpness=0.3)
    assert sampler.encode("xyz", Random(0)).tolist() == [0]
    assert sampler.encode("xyz xyz", Random(0)).tolist() == [0, 0]
    ids = sampler.encode("xab", Random(0)).tolist()
    assert ids[0] == 0 and 0 not in ids[1:]


def test_chance_comes_from_the_generator(tokenizer):
    sampler = SubwordSampler(tokenizer, sharpness=0.1)
    text = "we want pizza today " * 5

    def draw(seed):
        return sampler.encode(text, Random(seed)).tolist()

    assert draw(0) == draw(0) != draw(1)


def test_words_are_those_of_the_normalizer():
    library = make_tokenizer()._tokenizer
    library.normalizer = normalizers.Lowercase()
    library.pre_tokenizer = None
    tokenizer = PieceTokenizer(library)
    assert tokenizer.split_words("AB ba") == ["ab ba"] and tokenizer.split_words("") == []
    sampler = SubwordSampler(tokenizer, sharpness=1e5)
    assert sampler.encode("AB", Random(0)).tolist() == tokenizer.encode(["AB"])[0].tolist()


def test_a_vocabulary_without_an_unknown_piece():
    library = Tokenizer(models.Unigram([("a", -1.0), ("aa", -2.0)]))
    sampler = SubwordSampler(PieceTokenizer(library), sharpness=0.3)
    assert sampler.encode("axa", Random(0)).size == 0
    assert sampler.encode("aa", Random(0)).size in (1, 2)


def test_a_text_of_20000_characters_without_spaces_is_quick(tokenizer):
    sampler = SubwordSampler(tokenizer, sharpness=0.3)
    started = time.process_time()
    assert sampler.encode("我们今天想要" * 3400, Random(0)).size > 3_000
    assert time.process_time() - started < 5.0


def test_tokenizers_that_divide_words_in_one_way_only():
    vocab = {"[UNK]": 0, "a": 1}
    library = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    with pytest.raises(ValueError, match=r"is a WordPiece model; only a plain Unigram.*mask_rate"):
        SubwordSampler(PieceTokenizer(library), sharpness=0.3)
    with pytest.raises(ValueError, match=r"is a Unigram with byte fallback model"):
        SubwordSampler(make_tokenizer(byte_fallback=True), sharpness=0.3)
