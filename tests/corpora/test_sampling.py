import warnings
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.corpora.layout import Corpus, Row, read_corpus, write_corpus
from spacy_xlt.corpora.sampling import Candidate, draw_shots, sample_corpus

LABELS = ["a", "b", "c"]


def candidates(n, lang="de"):
    return [Candidate(f"text {i}", (LABELS[i % 3],), lang) for i in range(n)]


def counts(drawn, found):
    return Counter((found[i].lang, label) for i in drawn for label in found[i].labels)


def test_one_label_each():
    found = candidates(30) + candidates(30, "sw")
    drawn = draw_shots(found, shots=4, seed=0)
    assert counts(drawn, found) == {(lang, x): 4 for lang in ("de", "sw") for x in LABELS}
    assert drawn == sorted(drawn)


def test_the_draw_does_not_depend_on_order():
    found = candidates(30)
    back = found[::-1]
    one = {found[i].text for i in draw_shots(found, shots=4, seed=0)}
    assert one == {back[i].text for i in draw_shots(back, shots=4, seed=0)}
    assert one != {found[i].text for i in draw_shots(found, shots=4, seed=1)}


def test_a_small_draw_is_part_of_a_large_one():
    found = candidates(60)
    assert set(draw_shots(found, shots=2, seed=3)) < set(draw_shots(found, shots=5, seed=3))


def test_equal_texts_are_drawn_once():
    found = [Candidate(text, ("a",), "de") for text in ("Eins", "eins", "EINS ", "zwei")]
    assert len(draw_shots(found, shots=2, seed=0)) == 2
    with pytest.warns(UserWarning, match=r"In German fewer than 3 .*: a \(2\)\."):
        assert len(draw_shots(found, shots=3, seed=0)) == 2


def test_documents_without_a_label_are_drawn_too():
    found = candidates(9) + [Candidate(f"none {i}", (), "de") for i in range(9)]
    drawn = draw_shots(found, shots=2, seed=0)
    assert len(drawn) == 8 and sum(not found[i].labels for i in drawn) == 2


@given(
    st.lists(
        st.tuples(
            st.text(max_size=3), st.sets(st.sampled_from(LABELS)), st.sampled_from(["de", ""])
        ),
        max_size=40,
    ),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_no_label_gets_more_than_its_share(found, shots, seed):
    found = [Candidate(text, tuple(sorted(labels)), lang) for text, labels, lang in found]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = draw_shots(found, shots=shots, seed=seed)
    assert len(set(drawn)) == len(drawn)
    assert all(n <= shots for n in counts(drawn, found).values())
    # every label that any document has is drawn in every language, unless all its documents
    # have a label that is full already
    for i, candidate in enumerate(found):
        if len(candidate.labels) == 1 and i not in drawn:
            have = counts(drawn, found)[candidate.lang, candidate.labels[0]]
            same = [j for j in drawn if found[j].lang == candidate.lang]
            texts = {" ".join(found[j].text.casefold().split()) for j in same}
            assert have == shots or " ".join(candidate.text.casefold().split()) in texts


def test_shots_below_one():
    with pytest.raises(ValueError, match="shots is 0; expected at least 1"):
        draw_shots([], shots=0, seed=0)


@pytest.fixture
def corpus(tmp_path):
    rows = [
        Row(f"{lang} {split} {i}", {x: float(x == LABELS[i % 3]) for x in LABELS}, lang, split)
        for lang in ("en", "de")
        for split in (("train", "test") if lang == "en" else ("pool", "test"))
        for i in range(12)
    ]
    write_corpus(tmp_path / "c", Corpus(rows, {"sources": []}))
    return tmp_path / "c"


def test_sample_corpus(corpus, tmp_path):
    record = sample_corpus(corpus, tmp_path / "out", shots=2, seed=5)
    assert record["sample"] == {"from": "pool", "per_label": 2, "seed": 5}
    assert record["counts"] == {"pool": {"de": {"documents": 6, "labels": dict.fromkeys("abc", 2)}}}
    assert record["labels"] == LABELS
    assert len(read_corpus(tmp_path / "out").rows) == 6


def test_sample_of_a_split_and_language(corpus, tmp_path):
    record = sample_corpus(corpus, tmp_path / "out", shots=1, split="test", langs=["deu"])
    assert list(record["counts"]) == ["test"] and list(record["counts"]["test"]) == ["de"]


def test_sample_of_what_is_not_there(corpus, tmp_path):
    with pytest.raises(ValueError, match="has no split 'dev'. It has: train, pool, test"):
        sample_corpus(corpus, tmp_path / "out", shots=1, split="dev")
    with pytest.raises(ValueError, match=r"no document in 'en' in its split 'pool'.*there: de\."):
        sample_corpus(corpus, tmp_path / "out", shots=1, langs=["en"])
