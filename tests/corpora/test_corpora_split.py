import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.corpora.layout import Corpus, Row, normalize_text, read_corpus, write_corpus
from spacy_xlt.corpora.split import assign_splits, group_rows, parse_ratios, split_corpus

RATIOS = {"train": 0.8, "dev": 0.1, "test": 0.1}
LABELS = ["a", "b", "c"]


def row(text, label, lang="de", id=""):
    return Row(text, {x: float(x == label) for x in LABELS}, lang, id=id)


def rows_of(n, lang="de"):
    return [row(f"{lang} text {i}", LABELS[i % 3], lang) for i in range(n)]


def test_exact_sizes_per_label_and_language():
    rows = rows_of(300) + rows_of(60, "sw")
    names = assign_splits(rows, RATIOS, seed=0)
    counts = Counter((r.lang, r.labels[0], name) for r, name in zip(rows, names, strict=True))
    for label in LABELS:
        assert [counts["de", label, split] for split in RATIOS] == [80, 10, 10]
        assert [counts["sw", label, split] for split in RATIOS] == [16, 2, 2]


def test_seed_and_order():
    rows = rows_of(90)
    one = dict(zip((r.text for r in rows), assign_splits(rows, RATIOS, 0), strict=True))
    back = rows[::-1]
    assert one == dict(zip((r.text for r in back), assign_splits(back, RATIOS, 0), strict=True))
    assert one != dict(zip((r.text for r in rows), assign_splits(rows, RATIOS, 1), strict=True))


def test_parallel_rows_are_divided_as_evenly():
    """Groups of 12 rows, one in each language."""
    rows = [
        row(f"{k} {i}", LABELS[i % 3], f"a{chr(97 + k)}", id=str(i))
        for i in range(90)
        for k in range(12)
    ]
    names = assign_splits(rows, RATIOS, seed=0)
    counts = Counter((r.lang, r.labels[0], name) for r, name in zip(rows, names, strict=True))
    assert set(counts.values()) == {24, 3}


def test_rare_labels_leave_no_split_empty():
    rows = [Row(f"text {i}", {f"label {i // 3}": 1.0}) for i in range(30)]
    sizes = Counter(assign_splits(rows, RATIOS, 0))
    assert sizes["dev"] >= 2 and sizes["test"] >= 2 and sizes["train"] >= 22


def test_a_single_document_of_a_label_is_trained_on():
    rows = [*rows_of(99), row("alone", "c", "sw")]
    assert assign_splits(rows, RATIOS, 0)[-1] == "train"


def test_groups():
    rows = [
        row("one", "a", "de", "1"),
        row("two", "b", "sw", "1"),
        row("TWO ", "b", "de", "2"),
        row("three", "a", "de", "2"),
        row("four", "a", "de"),
        row("five", "a", "de"),
    ]
    assert group_rows(rows) == [[0, 1, 2, 3], [4], [5]]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.sampled_from(LABELS),
            st.sampled_from(["de", "sw", ""]),
            st.one_of(st.just(""), st.integers(0, 60).map(str)),
        ),
        min_size=1,
        max_size=150,
    ),
    st.integers(0, 3),
)
def test_no_text_and_no_id_is_shared(specs, seed):
    rows = [row(f"Text {n}" + " " * (n % 2), label, lang, id) for n, label, lang, id in specs]
    try:
        names = assign_splits(rows, RATIOS, seed)
    except ValueError as e:
        assert "would be empty" in str(e)
        return
    for key in (lambda r: normalize_text(r.text), lambda r: r.id or None):
        splits = {}
        for r, name in zip(rows, names, strict=True):
            if key(r) is not None:
                splits.setdefault(key(r), set()).add(name)
        assert all(len(found) == 1 for found in splits.values())
    # each split is as large as its share, give or take a group and a row per label and language
    largest = max(len(group) for group in group_rows(rows))
    sizes = Counter(names)
    for split, share in RATIOS.items():
        assert abs(sizes[split] - share * len(rows)) <= largest + 2 * len(LABELS) * 3


@pytest.mark.parametrize("seed", range(5))
def test_several_labels_are_divided_evenly(seed):
    rng = random.Random(seed)
    # a in half of the rows, b in a quarter, c in an eighth, and some rows with none
    found = [[x for k, x in enumerate(LABELS) if rng.random() < 0.5 ** (k + 1)] for _ in range(400)]
    rows = [Row(f"text {i}", {x: float(x in f) for x in LABELS}) for i, f in enumerate(found)]
    names = assign_splits(rows, RATIOS, seed)
    for label in [*LABELS, None]:
        has = [label in r.labels if label else not r.labels for r in rows]
        counts = Counter(name for name, holds in zip(names, has, strict=True) if holds)
        for split, share in RATIOS.items():
            assert abs(counts[split] - share * sum(has)) <= 3


def test_too_few_rows():
    with pytest.raises(ValueError, match=r"2 rows are too few .* 'test' would be empty.* 1 groups"):
        assign_splits(rows_of(1) + rows_of(1), {"train": 0.9, "test": 0.1}, 0)


@pytest.mark.parametrize(
    "text", ["train=0.8,dev=0.1,test=0.1", "train=8 dev=1 test=1", "train=.8, dev=.1, test=.1"]
)
def test_parse_ratios(text):
    assert parse_ratios(text) == pytest.approx(RATIOS)


@pytest.mark.parametrize(
    "text, message",
    [
        ("train", "'train' is no share of a split"),
        ("train=x,test=1", "'train=x' is no share of a split"),
        ("train=0,test=1", "'train=0' is no share of a split"),
        ("train=nan,test=1", "'train=nan' is no share"),
        ("train=1", "names 1 splits; expected at least 2"),
        ("", "names 0 splits"),
        ("a=1,a=2", "The split 'a' is named twice"),
        ("a/b=1,c=2", "cannot be the name of a split"),
    ],
)
def test_bad_ratios(text, message):
    with pytest.raises(ValueError, match=message):
        parse_ratios(text)


def sizes(path):
    return Counter(r.split for r in read_corpus(path).rows)


def test_split_corpus(tmp_path):
    write_corpus(tmp_path / "c", Corpus(rows_of(100), {"sources": [1]}))
    record = split_corpus(tmp_path / "c", tmp_path / "out", ratios=RATIOS, seed=4)
    assert sizes(tmp_path / "out") == {"train": 80, "dev": 10, "test": 10}
    assert record["split"] == {"from": "train", "ratios": RATIOS, "seed": 4}
    assert record["sources"] == [1]


def test_split_in_place(tmp_path):
    write_corpus(tmp_path / "c", Corpus(rows_of(100)))
    split_corpus(tmp_path / "c", tmp_path / "c", ratios=RATIOS)
    assert sizes(tmp_path / "c") == {"train": 80, "dev": 10, "test": 10}


def test_one_split_of_several(tmp_path):
    test = [Row("held out", {"a": 1.0}, "de", "test")]
    write_corpus(tmp_path / "c", Corpus(rows_of(100) + test))
    with pytest.raises(ValueError, match="has the splits train, test. Say which one .* --split"):
        split_corpus(tmp_path / "c", tmp_path / "out", ratios={"train": 0.9, "dev": 0.1})
    split_corpus(tmp_path / "c", tmp_path / "out", ratios={"train": 0.9, "dev": 0.1}, split="train")
    assert sizes(tmp_path / "out") == {"train": 90, "dev": 10, "test": 1}
    with pytest.raises(ValueError, match="already has a split 'test'. Divide 'train' into other"):
        split_corpus(tmp_path / "c", tmp_path / "out", ratios=RATIOS, split="train")
    with pytest.raises(ValueError, match="has no split 'dev'. It has: train, test"):
        split_corpus(tmp_path / "c", tmp_path / "out", ratios=RATIOS, split="dev")
