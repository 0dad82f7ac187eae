import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_xlt.corpora.batchers import create_batch_by_pieces_v1, estimate_pieces
from spacy_xlt.corpora.layout import make_doc

VOCAB = Vocab()


def example(text):
    return Example(Doc(VOCAB), make_doc(VOCAB, text))


def texts(batches):
    return [[eg.reference.text for eg in batch] for batch in batches]


@pytest.fixture
def encoder(letter_encoder):
    return str(letter_encoder)


def test_batches_are_closed_at_their_size():
    batcher = create_batch_by_pieces_v1(size=2)
    assert texts(batcher(example(t) for t in "abcde")) == [["a", "b"], ["c", "d"], ["e"]]


def test_batches_are_closed_before_they_have_too_many_pieces(encoder):
    # 3 + 2, 1 + 2, 4 + 2 pieces
    batcher = create_batch_by_pieces_v1(max_pieces=8, tokenizer=encoder)
    assert texts(batcher(map(example, ["aaa", "b", "abab"]))) == [["aaa", "b"], ["abab"]]


def test_a_document_counts_for_at_most_its_share(encoder):
    batcher = create_batch_by_pieces_v1(max_pieces=8, max_doc_pieces=4, tokenizer=encoder)
    assert texts(batcher(map(example, ["a" * 50, "b" * 50, "a"]))) == [["a" * 50, "b" * 50], ["a"]]


def test_a_long_document_is_a_batch_of_its_own(encoder):
    batcher = create_batch_by_pieces_v1(max_pieces=8, tokenizer=encoder)
    assert texts(batcher(map(example, ["a", "b" * 50, "a"]))) == [["a"], ["b" * 50], ["a"]]


def test_special_pieces_count(encoder):
    assert create_batch_by_pieces_v1(tokenizer=encoder).count("abab") == 6
    assert create_batch_by_pieces_v1(tokenizer=encoder).count("") == 2


def test_each_text_is_counted_once(encoder, monkeypatch):
    batcher = create_batch_by_pieces_v1(tokenizer=encoder)
    seen = []
    count = batcher._count
    monkeypatch.setattr(batcher, "_count", lambda text: seen.append(text) or count(text))
    for _ in range(3):
        list(batcher(map(example, ["a", "b", "a"])))
    assert seen == ["a", "b"]


def test_tokenizer_is_read_late_and_its_absence_is_explained(tmp_path):
    batcher = create_batch_by_pieces_v1(tokenizer=str(tmp_path))
    with pytest.raises(ValueError, match=r"No tokenizer\.json in"):
        list(batcher([example("a")]))


@pytest.mark.parametrize("setting", ["size", "max_pieces", "max_doc_pieces"])
def test_numbers_below_one_are_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} is 0; a batch needs at least 1"):
        create_batch_by_pieces_v1(**{setting: 0})


@pytest.mark.parametrize(
    "text, pieces", [("", 2), ("abcdef", 4), ("一二", 4), ("สวัสดี", 8), ("\ud800", 2)]
)
def test_estimate(text, pieces):
    assert estimate_pieces(text) == pieces


def test_no_example_no_batch():
    assert list(create_batch_by_pieces_v1()([])) == []


@given(
    st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40), max_size=40),
    st.integers(1, 7),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_nothing_is_lost_reordered_or_too_large(given_texts, size, max_pieces, max_doc_pieces):
    batcher = create_batch_by_pieces_v1(
        size=size, max_pieces=max_pieces, max_doc_pieces=max_doc_pieces
    )
    batches = texts(batcher(map(example, given_texts)))
    assert [text for batch in batches for text in batch] == given_texts
    for batch in batches:
        counts = [min(estimate_pieces(text), max_doc_pieces) for text in batch]
        assert 1 <= len(batch) <= size
        assert sum(counts) <= max_pieces or len(batch) == 1


def test_is_found_in_the_registry():
    config = {"batcher": {"@batchers": "spacy_xlt.batch_by_pieces.v1", "size": 3}}
    batcher = spacy.registry.resolve(config)["batcher"]
    assert texts(batcher(map(example, "abcd"))) == [["a", "b", "c"], ["d"]]
