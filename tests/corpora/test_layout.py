import errno
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from spacy_xlt.corpora.layout import (
    Corpus,
    Row,
    count_rows,
    doc_to_row,
    gold_labels,
    make_doc,
    normalize_text,
    read_corpus,
    read_record,
    row_to_doc,
    split_rank,
    write_corpus,
)

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)
ROWS = [
    Row("a  b\0", {"x": 1.0, "y": 0.0}, "sw", "train", "1", "pair", 0.5),
    Row("😀", {"x": 0.2, "y": 0.8}, "zh-Hant", "test"),
    Row("\n", {"x": 1.0, "y": 1.0}, "", "dev"),
]


@given(TEXTS | st.text(alphabet=" ab", max_size=30))
def test_make_doc_keeps_the_text(text):
    assert make_doc(Vocab(), text).text == text


@given(
    TEXTS,
    st.dictionaries(TEXTS, st.floats(0, 1), max_size=3),
    st.sampled_from(["", "de", "zh-Hant", "quy"]),
    TEXTS,
    TEXTS,
    st.floats(0, 9),
)
def test_row_and_doc_are_the_same_thing(text, cats, lang, id, pair, weight):
    row = Row(text, cats, lang, "train", id, pair, weight)
    assert doc_to_row(row_to_doc(Vocab(), row), "train") == row


@pytest.mark.parametrize(
    "cats, labels",
    [
        ({}, []),
        ({"x": 0.0, "y": 0.0}, []),
        ({"x": 1.0, "y": 0.0}, ["x"]),
        ({"y": 1.0, "x": 0.5}, ["x", "y"]),
        ({"x": 0.4, "y": 0.35, "z": 0.25}, ["x"]),
        ({"x": 0.4, "y": 0.1}, []),
    ],
)
def test_gold_labels(cats, labels):
    assert gold_labels(cats) == labels


def test_normalize_text():
    assert normalize_text("  Straße\n\tNORD ") == normalize_text("STRASSE nord")


def test_order_of_splits():
    names = ["test", "zebra", "dev", "alpha", "pool", "train"]
    assert sorted(names, key=split_rank) == ["train", "dev", "pool", "test", "alpha", "zebra"]


def test_corpus_round_trip(tmp_path):
    record = write_corpus(tmp_path / "c", Corpus(ROWS, {"sources": [1], "labels": "old"}))
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["c/corpus.json", "c/dev/und.spacy", "c/test/zh-Hant.spacy", "c/train/sw.spacy"]
    corpus = read_corpus(tmp_path / "c")
    assert sorted(corpus.rows, key=lambda row: row.text) == sorted(ROWS, key=lambda row: row.text)
    assert corpus.record == record == json.loads((tmp_path / "c" / "corpus.json").read_text())
    assert record["labels"] == ["x", "y"] and record["sources"] == [1]
    assert record["exclusive"] is False


def test_exclusive_is_recorded(tmp_path):
    assert write_corpus(tmp_path / "c", Corpus(ROWS[:2]))["exclusive"] is True


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_corpus(tmp_path / name, Corpus(ROWS))
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_stock_docbin_reads_user_data(tmp_path):
    write_corpus(tmp_path / "c", Corpus(ROWS[:1]))
    (doc,) = DocBin().from_disk(tmp_path / "c" / "train" / "sw.spacy").get_docs(Vocab())
    assert doc.text == "a  b\0" and doc._.xlt_lang == "sw" and doc.cats == ROWS[0].cats
    assert doc.user_data["xlt_id"] == "1" and doc.user_data["xlt_pair"] == "pair"


def test_counts():
    rows = [Row("a", {"x": 1.0}, "de"), Row("b", {"x": 0.0}, "de"), Row("c", {"x": 1.0}, "en")]
    assert count_rows(rows) == {
        "train": {
            "de": {"documents": 2, "labels": {"x": 1}},
            "en": {"documents": 1, "labels": {"x": 1}},
        }
    }


def test_replacing_removes_what_the_new_corpus_lacks(tmp_path):
    write_corpus(tmp_path / "c", Corpus(ROWS))
    write_corpus(tmp_path / "c", Corpus(ROWS[:1]))
    assert [p.name for p in sorted((tmp_path / "c").iterdir())] == ["corpus.json", "train"]
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_full_disk_leaves_the_earlier_corpus_untouched(tmp_path, monkeypatch):
    write_corpus(tmp_path / "c", Corpus(ROWS[:1]))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DocBin, "to_disk", full)
    with pytest.raises(OSError, match=r"The disk is full: '.*c' could not be written.*untouched"):
        write_corpus(tmp_path / "c", Corpus(ROWS))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_failing_rename_brings_the_earlier_corpus_back(tmp_path, monkeypatch):
    write_corpus(tmp_path / "c", Corpus(ROWS[:1]))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    replace, calls = os.replace, []

    def fail_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise PermissionError("no")
        replace(*args)

    monkeypatch.setattr("spacy_xlt.files.os.replace", fail_second)
    with pytest.raises(PermissionError):
        write_corpus(tmp_path / "c", Corpus(ROWS))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_link_to_a_corpus_stays_a_link(tmp_path):
    write_corpus(tmp_path / "c", Corpus(ROWS))
    (tmp_path / "link").symlink_to(tmp_path / "c")
    write_corpus(tmp_path / "link", Corpus(ROWS[:1]))
    assert (tmp_path / "link").is_symlink() and len(read_corpus(tmp_path / "c").rows) == 1


def test_nothing_to_write(tmp_path):
    with pytest.raises(ValueError, match="There is no document to write"):
        write_corpus(tmp_path / "c", Corpus([]))


def test_foreign_directory_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"not a corpus \(found: thesis\.txt\)"):
        write_corpus(tmp_path, Corpus(ROWS))
    with pytest.raises(ValueError, match=r"is a file; a corpus needs a directory"):
        write_corpus(tmp_path / "thesis.txt", Corpus(ROWS))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_empty_directory_is_used(tmp_path):
    (tmp_path / "c").mkdir()
    assert write_corpus(tmp_path / "c", Corpus(ROWS))["labels"] == ["x", "y"]


@pytest.mark.parametrize("name", ["../train", "", "a b", ".hidden"])
def test_split_names_cannot_leave_the_directory(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name of a split"):
        write_corpus(tmp_path / "c", Corpus([Row("a", {"x": 1.0}, split=name)]))


def test_record_of_something_else(tmp_path):
    with pytest.raises(ValueError, match=r"is not a corpus: it does not exist\. Make one with"):
        read_record(tmp_path / "c")
    with pytest.raises(ValueError, match=r"is not a corpus: it has no corpus\.json"):
        read_record(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_record(tmp_path, content):
    (tmp_path / "corpus.json").write_text(content)
    with pytest.raises(ValueError, match=r"corpus\.json' is damaged"):
        read_record(tmp_path)


def test_damaged_docbin_in_a_corpus(tmp_path):
    write_corpus(tmp_path / "c", Corpus(ROWS))
    path = tmp_path / "c" / "train" / "sw.spacy"
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match=r"sw\.spacy' is not a readable DocBin"):
        read_corpus(tmp_path / "c")
