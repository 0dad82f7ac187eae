import json

import numpy
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from spacy_xlt.pieces import BoundedCache, PieceTokenizer, text_hash

NASTY = ["", " ", "\0", "a\0b", "🍕", "\ud83d", "x\udfffy", "\n\t", "\u200d\ufeff", "我" * 20_000]


@pytest.fixture(scope="module")
def tokenizer():
    return PieceTokenizer(tiny.make_tokenizer())


def wordpiece(**special):
    vocab = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4, "##b": 5}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_ids_are_whole_and_plain(tokenizer):
    found, nothing, word = tokenizer.encode(["we want pizza", "", "jazz"])
    library = tiny.make_tokenizer()
    assert found.tolist() == library.encode("we want pizza", add_special_tokens=False).ids
    assert found.dtype == numpy.int32
    assert nothing.size == 0 and word.size == 2
    assert tokenizer.encode([]) == []


def test_truncation_and_padding_of_the_file_are_ignored():
    library = tiny.make_tokenizer()
    library.enable_truncation(4)
    library.enable_padding(length=10)
    long, short = PieceTokenizer(library).encode(["pizza" + " pizza" * 49, "pizza"])
    assert long.size == 100 and short.size == 2


@pytest.mark.parametrize("text", NASTY)
def test_any_text_has_pieces_and_the_same_alone_and_in_a_batch(tokenizer, text):
    (alone,) = tokenizer.encode([text])
    together = tokenizer.encode(["pizza", text, "taxi"])
    assert together[1].tolist() == alone.tolist()
    assert together[0].tolist() == tokenizer.encode(["pizza"])[0].tolist()


@pytest.mark.parametrize("text", ["we want pizza", "我们今天想要pizza", *NASTY])
def test_where_pieces_stand(tokenizer, text):
    (alone,) = tokenizer.encode([text])
    ((ids, offsets),) = tokenizer.encode_with_offsets([text])
    assert ids.tolist() == alone.tolist() and ids.dtype == numpy.int32
    assert offsets.shape == (ids.size, 2)
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    assert offsets.min(initial=0) == 0 and offsets.max(initial=0) <= len(text)


def test_the_piece_that_says_nothing():
    assert PieceTokenizer(tiny.make_tokenizer()).blank_id == tiny.SPECIAL.index("<unk>")
    library = tiny.make_tokenizer()
    library.add_special_tokens(["<mask>"])
    assert PieceTokenizer(library).blank_id == library.token_to_id("<mask>")


@given(st.lists(st.text(alphabet=st.characters(codec=None), max_size=20), max_size=5))
def test_any_list_of_texts(texts):
    tokenizer = PieceTokenizer(tiny.make_tokenizer())
    found = tokenizer.encode(texts)
    assert len(found) == len(texts)
    assert all(((ids >= 0) & (ids < tokenizer.n_pieces)).all() for ids in found)


def test_special_pieces_come_from_the_post_processor(tokenizer):
    assert (tokenizer.starts, tokenizer.ends) == ([0], [2])
    plain = PieceTokenizer(wordpiece())
    assert (plain.starts, plain.ends) == ([], [])
    bert = wordpiece()
    bert.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    assert (PieceTokenizer(bert).starts, PieceTokenizer(bert).ends) == ([1], [2])
    xlnet = wordpiece()
    xlnet.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    assert (PieceTokenizer(xlnet).starts, PieceTokenizer(xlnet).ends) == ([], [2, 1])


def test_a_post_processor_that_does_more_is_refused():
    tokenizer = wordpiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP] $A", special_tokens=[("[SEP]", 2)]
    )
    with pytest.raises(ValueError, match=r"post-processor changes the pieces of a text \(\[3, 3\]"):
        PieceTokenizer(tokenizer)


def test_unknown_pieces(tokenizer):
    assert tokenizer.unknown_id == 3
    assert tokenizer.unknown_share(tokenizer.encode(["pizza"])[0]) == 0.0
    assert tokenizer.unknown_share(tokenizer.encode(["ᚠᛇᚻ"])[0]) == 0.5  # "▁" is known
    assert tokenizer.unknown_share(numpy.zeros(0, dtype="int32")) == 0.0
    assert PieceTokenizer(wordpiece()).unknown_id == 0
    bytes_only = Tokenizer(models.BPE({"a": 0}, []))
    assert PieceTokenizer(bytes_only).unknown_id is None
    assert PieceTokenizer(bytes_only).unknown_share(numpy.array([0])) == 0.0


def test_the_size_counts_added_pieces():
    library = tiny.make_tokenizer()
    n_pieces = PieceTokenizer(library).n_pieces
    library.add_special_tokens(["<more>"])
    assert PieceTokenizer(library).n_pieces == n_pieces + 1


def test_round_trip_through_json(tokenizer, encoder_dir):
    texts = ["we want pizza", "这里有taxi吗"]
    wanted = [ids.tolist() for ids in tokenizer.encode(texts)]
    for other in (
        PieceTokenizer.from_json(tokenizer.to_json()),
        PieceTokenizer.from_path(encoder_dir),
        PieceTokenizer.from_path(str(encoder_dir)),
    ):
        assert [ids.tolist() for ids in other.encode(texts)] == wanted
        assert other.ends == tokenizer.ends


def test_files_that_are_no_tokenizer(tmp_path):
    with pytest.raises(ValueError, match=r"No tokenizer\.json in .*encoder fetch NAME DIRECTORY"):
        PieceTokenizer.from_path(tmp_path)
    for content in ("", "{", json.dumps({"model": {"type": "Strange"}}), "[]"):
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf8")
        with pytest.raises(ValueError, match=r"tokenizer\.json' is not a tokenizer that the token"):
            PieceTokenizer.from_path(tmp_path)


# -- the cache ------------------------------------------------------------------------------


def array(n_bytes, value=0):
    return numpy.full(n_bytes, value, dtype="uint8")


def test_what_comes_when_it_is_full_is_not_kept():
    cache = BoundedCache(30)
    for key, n_bytes in ((b"a", 10), (b"b", 21), (b"c", 20), (b"d", 1), (b"e", 0)):
        cache.put(key, array(n_bytes))
    assert [cache.get(key) is not None for key in (b"a", b"b", b"c", b"d", b"e")] == [1, 0, 1, 0, 1]
    assert len(cache) == 3 and cache.n_bytes == 30


def test_the_first_value_of_a_key_stays():
    cache = BoundedCache(30)
    cache.put(b"a", array(10, 1))
    cache.put(b"a", array(20, 2))
    assert cache.get(b"a").tolist() == [1] * 10 and cache.n_bytes == 10 and len(cache) == 1


def test_what_is_missing_is_computed_at_once_and_kept_where_there_is_room():
    cache, asked = BoundedCache(30), []

    def compute(missing):
        asked.append(list(missing))
        return [array(10 * (i + 1), i) for i in missing]

    cache.put(b"b", array(5, 9))
    for _ in range(2):
        found = cache.get_all([b"a", b"b", b"c"], compute)
        assert [own.tolist() for own in found] == [[0] * 10, [9] * 5, [2] * 30]
    assert cache.get_all([], compute) == [] and cache.get_all([b"a"], compute)[0].size == 10
    assert asked == [[0, 2], [2]] and len(cache) == 2


def test_clearing():
    cache = BoundedCache(30)
    cache.put(b"a", array(10))
    cache.clear()
    assert len(cache) == cache.n_bytes == 0 and cache.get(b"a") is None


@given(st.lists(st.tuples(st.binary(max_size=1), st.integers(0, 40)), max_size=40))
def test_the_count_of_bytes_is_right_and_within_the_limit(puts):
    cache = BoundedCache(64)
    for key, n_bytes in puts:
        cache.put(key, array(n_bytes))
    kept = [cache.get(key) for key in {key for key, _ in puts}]
    assert cache.n_bytes == sum(value.nbytes for value in kept if value is not None) <= 64


def test_hashes_tell_texts_apart():
    texts = ["", " ", "a", "A", "\ud83d", "\ud83e", "a\0", "我"]
    hashes = {text_hash(text) for text in texts}
    assert len(hashes) == len(texts) and all(len(h) == 16 for h in hashes)
    assert text_hash("a") == text_hash("a")
