from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.corpora.arrange import arrange_corpus, arrange_rows
from spacy_xlt.corpora.layout import Corpus, Row, read_corpus, write_corpus


def row(text, lang="en", label="a", split="train", id=""):
    return Row(text, {"a": float(label == "a"), "b": float(label == "b")}, lang, split, id)


def rows(lang, n, *, split="train", ids=False):
    """Rows with texts of their own; ids are the same in every language."""
    return [
        row(f"{lang} {split} {i}", lang, "ab"[i % 2], split, f"{split}{i}" if ids else "")
        for i in range(n)
    ]


def count(arranged):
    return Counter((row.lang, row.split) for row in arranged)


def test_an_undivided_corpus():
    arranged = arrange_rows([*rows("en", 100), *rows("sw", 40), *rows("zh", 20)], "en")
    assert count(arranged) == {
        ("en", "train"): 80,
        ("en", "dev"): 10,
        ("en", "test"): 10,
        ("sw", "pool"): 20,
        ("sw", "test"): 20,
        ("zh", "pool"): 10,
        ("zh", "test"): 10,
    }


def test_translations_of_training_texts_are_not_tested_on():
    arranged = arrange_rows([*rows("en", 100, ids=True), *rows("sw", 100, ids=True)], "en")
    split_of = {(r.lang, r.id): r.split for r in arranged}
    for i in range(100):
        source, target = split_of["en", f"train{i}"], split_of["sw", f"train{i}"]
        assert target == ("test" if source == "test" else "pool")
    assert count(arranged)["sw", "test"] == count(arranged)["en", "test"] == 10


def test_given_splits_stay():
    given = [
        *rows("en", 20),
        *rows("en", 4, split="dev"),
        *rows("en", 4, split="test"),
        *rows("sw", 10, split="pool"),
        *rows("sw", 6, split="test"),
    ]
    assert set(map(repr, arrange_rows(given, "en"))) == set(map(repr, given))


def test_missing_splits_of_the_source_are_taken_from_its_training_set():
    given = [*rows("en", 100), *rows("en", 7, split="test"), *rows("en", 3, split="pool")]
    arranged = arrange_rows(given, "en")
    counts = count(arranged)
    assert counts["en", "test"] == 7
    assert counts["en", "train"] + counts["en", "dev"] == 103
    assert 8 <= counts["en", "dev"] <= 12


def test_targets_have_a_pool_and_a_test_set():
    given = [
        *rows("en", 20),
        *rows("en", 4, split="dev"),
        *rows("en", 4, split="test"),
        *rows("sw", 9),
        *rows("sw", 3, split="dev"),
        *rows("sw", 5, split="test"),
        *rows("zh", 8),
    ]
    counts = count(arrange_rows(given, "en"))
    assert counts["sw", "pool"] == 12 and counts["sw", "test"] == 5
    assert counts["zh", "pool"] == 4 and counts["zh", "test"] == 4


def test_a_pool_has_no_translations_of_training_texts():
    """As in SIB-200: the same sentences and splits in every language."""
    given = [
        r
        for lang in ("en", "sw")
        for split, n in (("train", 20), ("dev", 6), ("test", 8))
        for r in rows(lang, n, split=split, ids=True)
    ]
    arranged = arrange_rows(given, "en")
    assert count(arranged)["sw", "pool"] == 6
    assert {r.id for r in arranged if r.split == "pool"} == {f"dev{i}" for i in range(6)}
    # Where there is nothing else, they are better than nothing.
    without_dev = [r for r in given if r.lang == "en" or r.split != "dev"]
    assert count(arrange_rows(without_dev, "en"))["sw", "pool"] == 20


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["en", "sw", "zh"]),
            st.sampled_from(["train", "dev", "test", "pool"]),
            st.sampled_from(["", "1", "2", "3"]),
        ),
        max_size=30,
    )
)
def test_every_row_is_kept_with_its_content(drawn):
    given = rows("en", 12) + [
        row(f"text {i}", lang, split=split, id=id) for i, (lang, split, id) in enumerate(drawn)
    ]
    given += rows("en", 3, split="dev") + rows("en", 3, split="test")
    given += rows("sw", 4) + rows("zh", 4)
    arranged = arrange_rows(given, "en", seed=1)
    left_out = Counter((r.text, r.lang) for r in given) - Counter(
        (r.text, r.lang) for r in arranged
    )
    trained_on = {r.id for r in arranged if r.lang == "en" and r.split == "train"} - {""}
    assert all(r.id in trained_on for r in given if (r.text, r.lang) in left_out)
    assert {r.split for r in arranged if r.lang == "en"} == {"train", "dev", "test"}
    assert {r.split for r in arranged if r.lang != "en"} == {"pool", "test"}
    assert arranged == arrange_rows(given, "en", seed=1)


def test_another_seed_gives_another_division():
    given = [*rows("en", 40), *rows("sw", 40)]
    assert arrange_rows(given, "en", seed=0) != arrange_rows(given, "en", seed=1)


def test_too_few_rows_and_no_training_rows():
    with pytest.raises(ValueError, match="too few for the splits train, dev, test"):
        arrange_rows(rows("en", 2), "en")
    only_dev = [*rows("en", 20, split="dev"), *rows("sw", 20)]
    with pytest.raises(ValueError, match="The source language has no training documents"):
        arrange_rows(only_dev, "en")


@pytest.fixture
def corpus(tmp_path):
    def write(given, **record):
        write_corpus(tmp_path / "corpus", Corpus(list(given), record))
        return tmp_path / "corpus"

    return write


def test_a_corpus_in_place(corpus):
    path = corpus([*rows("en", 30), *rows("sw", 10), *rows("zh", 10)], licence="X")
    record = arrange_corpus(path, path, source_lang="eng", target_langs=["swh", "en"], seed=3)
    assert record["arranged"] == {
        "source_lang": "en",
        "target_langs": ["sw"],
        "seed": 3,
        "left_out": 10,
    }
    assert record["licence"] == "X"
    assert {r.lang for r in read_corpus(path).rows} == {"en", "sw"}


def test_texts_without_any_language_are_in_the_source_language(corpus):
    path = corpus(rows("", 30))
    record = arrange_corpus(path, path, source_lang="de")
    assert record["arranged"]["target_langs"] == []
    assert count(read_corpus(path).rows) == {
        ("de", "train"): 24,
        ("de", "dev"): 3,
        ("de", "test"): 3,
    }


def test_bad_languages(corpus):
    path = corpus([*rows("en", 30), *rows("sw", 10)])
    with pytest.raises(ValueError, match="No document is in 'de'. Languages found: en, sw."):
        arrange_corpus(path, path, source_lang="de")
    with pytest.raises(ValueError, match="No document is in 'zh'. Languages found: en, sw."):
        arrange_corpus(path, path, source_lang="en", target_langs=["zh"])
    path = corpus([*rows("en", 30), *rows("", 10)])
    with pytest.raises(ValueError, match="10 of the 40 documents have no language"):
        arrange_corpus(path, path, source_lang="en")
