import hashlib
import json

import pytest
import spacy

from spacy_xlt.corpora.formats import BadRow, Columns
from spacy_xlt.corpora.importing import (
    SourceFile,
    describe_bad_rows,
    find_sources,
    import_corpus,
)
from spacy_xlt.corpora.layout import read_corpus
from spacy_xlt.corpora.reader import create_corpus_v1

CSV = "text,label\nGoal,sport\nRome,travel\n"


def write(path, content=CSV):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def run(path, out, **settings):
    return import_corpus(find_sources([path]), out, **settings)


def rows(out):
    return [(r.split, r.lang, r.text, *r.labels) for r in read_corpus(out).rows]


def test_one_file(tmp_path):
    path = write(tmp_path / "my.csv")
    record = run(path, tmp_path / "out", licence="CC0", address="https://example.org")
    assert rows(tmp_path / "out") == [
        ("train", "", "Goal", "sport"),
        ("train", "", "Rome", "travel"),
    ]
    assert record["sources"] == [
        {
            "name": "my.csv",
            "sha256": hashlib.sha256(CSV.encode()).hexdigest(),
            "licence": "CC0",
            "address": "https://example.org",
            "rows": 2,
            "kept": 2,
            "rejected": 0,
            "dropped_by_label_map": 0,
            "left_out": 0,
        }
    ]
    assert read_corpus(tmp_path / "out").rows[0].cats == {"sport": 1.0, "travel": 0.0}


def test_language_and_split_given(tmp_path):
    run(write(tmp_path / "my.csv"), tmp_path / "out", lang="swh_Latn", split="test")
    assert {row[:2] for row in rows(tmp_path / "out")} == {("test", "sw")}


def test_language_and_split_columns(tmp_path):
    path = write(
        tmp_path / "my.csv",
        "text,label,lang,split\na,x,deu,validation\nb,x,und,\nc,x,,pool\n",
    )
    run(path, tmp_path / "out")
    assert sorted(rows(tmp_path / "out")) == [
        ("dev", "de", "a", "x"),
        ("pool", "", "c", "x"),
        ("train", "", "b", "x"),
    ]


def test_one_file_per_language_in_a_directory(tmp_path):
    for name in ("train.de.csv", "fr/dev.csv", "TEST/zho_Hans.csv", "eng_Latn.csv", ".x/no.csv"):
        write(tmp_path / "in" / name)
    record = run(tmp_path / "in", tmp_path / "out")
    assert {row[:2] for row in rows(tmp_path / "out")} == {
        ("train", "de"),
        ("dev", "fr"),
        ("test", "zh"),
        ("train", "en"),
    }
    assert [s["name"] for s in record["sources"]] == [
        "TEST/zho_Hans.csv",
        "eng_Latn.csv",
        "fr/dev.csv",
        "train.de.csv",
    ]


def test_several_files_tell_their_language(tmp_path):
    paths = [write(tmp_path / "de.csv"), write(tmp_path / "fr.jsonl", '{"text":"a","label":"x"}')]
    import_corpus(find_sources(paths), tmp_path / "out")
    assert {row[:2] for row in rows(tmp_path / "out")} == {("train", "de"), ("train", "fr")}


def test_labels_of_all_files_are_known_to_all_rows(tmp_path):
    paths = [write(tmp_path / "de.csv"), write(tmp_path / "fr.csv", "text,label\nx,food\n")]
    record = import_corpus(find_sources(paths), tmp_path / "out")
    assert record["labels"] == ["food", "sport", "travel"]
    assert all(len(row.cats) == 3 for row in read_corpus(tmp_path / "out").rows)


def test_scores_are_kept_as_they_are(tmp_path):
    path = write(
        tmp_path / "a.jsonl", '{"text": "a", "cats": {"x": 0.3}}\n{"text": "b", "label": "y"}\n'
    )
    run(path, tmp_path / "out")
    assert [row.cats for row in read_corpus(tmp_path / "out").rows] == [
        {"x": 0.3},
        {"x": 0.0, "y": 1.0},
    ]


def test_text_pairs(tmp_path):
    path = write(tmp_path / "a.csv", "text,hypothesis,label\na,b,x\n")
    run(path, tmp_path / "out", columns=Columns(pair="hypothesis"))
    row = read_corpus(tmp_path / "out").rows[0]
    assert (row.text, row.pair) == ("a", "b")
    run(path, tmp_path / "out", columns=Columns(pair="hypothesis"), join_pair=" | ")
    row = read_corpus(tmp_path / "out").rows[0]
    assert (row.text, row.pair) == ("a | b", "")


def test_label_map_drops_are_counted(tmp_path):
    record = run(
        write(tmp_path / "my.csv"),
        tmp_path / "out",
        label_map={"sport": "leisure", "travel": None},
    )
    assert record["labels"] == ["leisure"]
    assert record["sources"][0]["dropped_by_label_map"] == 1
    assert record["label_map"] == {"sport": "leisure", "travel": None}


def test_all_rows_dropped(tmp_path):
    with pytest.raises(ValueError, match=r"No row is left .* my\.csv: 0 rows are bad, 2 were drop"):
        run(write(tmp_path / "my.csv"), tmp_path / "out", label_map={"*": None})


def test_all_labels_merged(tmp_path):
    with pytest.raises(ValueError, match=r"merges all 2 labels into 'x', .*: 'sport' 1, 'tra"):
        run(write(tmp_path / "my.csv"), tmp_path / "out", label_map={"*": "x"})
    assert not (tmp_path / "out").exists()


def test_only_a_header(tmp_path):
    with pytest.raises(ValueError, match=r"No row is left to import from my\.csv"):
        run(write(tmp_path / "my.csv", "text,label\n"), tmp_path / "out")


BAD = """text,label,lang,split
fine,sport,de,
,sport,de,
x,food,de,
x,sport,Deutsch,
x,sport,de,a/b
y
"""
REASONS = [
    (3, "no text"),
    (4, "unknown label 'food'; allowed are sport"),
    (5, "'Deutsch' is not a language tag"),
    (6, "'a/b' cannot be the name of a split"),
    (7, "1 columns, expected 4"),
]


def test_all_bad_rows_are_listed_and_nothing_is_written(tmp_path):
    path = write(tmp_path / "my.csv", BAD)
    with pytest.raises(ValueError, match="5 of 6 rows are bad") as error:
        run(path, tmp_path / "out", labels=["sport"])
    for line, reason in REASONS:
        assert f"  my.csv:{line}: {reason}\n" in str(error.value)
    assert "Nothing was written. Mend them, or leave them out with --on-error skip" in str(
        error.value
    )
    assert not (tmp_path / "out").exists()


def test_bad_rows_are_written_apart(tmp_path):
    path = write(tmp_path / "my.csv", BAD)
    record = run(path, tmp_path / "out", labels=["sport"], on_error="skip")
    lines = (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()
    rejects = [json.loads(line) for line in lines]
    assert [(r["line"], r["reason"]) for r in rejects] == REASONS
    assert {r["file"] for r in rejects} == {"my.csv"} and rejects[-1]["content"] == "y"
    assert (record["sources"][0]["kept"], record["sources"][0]["rejected"]) == (1, 5)
    assert len(rows(tmp_path / "out")) == 1


def test_failed_import_leaves_the_earlier_corpus(tmp_path):
    run(write(tmp_path / "my.csv"), tmp_path / "out")
    with pytest.raises(ValueError, match="rows are bad"):
        run(write(tmp_path / "bad.csv", BAD), tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 2


def test_rejects_do_not_disturb_the_reader(tmp_path):
    run(write(tmp_path / "my.csv", BAD), tmp_path / "out", on_error="skip", labels=["sport"])
    reader = create_corpus_v1(path=tmp_path / "out" / "train", langs=["de"])
    (example,) = reader(spacy.blank("xx"))
    assert example.reference.cats == {"sport": 1.0} and example.reference._.xlt_lang == "de"


def test_rows_left_out_on_purpose_are_counted(tmp_path):
    record = run(write(tmp_path / "my.csv"), tmp_path / "out", keep=lambda row: row.text == "Rome")
    assert (record["sources"][0]["kept"], record["sources"][0]["left_out"]) == (1, 1)


def test_progress_sees_every_file(tmp_path):
    seen = []

    def progress(items):
        seen.extend(items)
        return items

    run(write(tmp_path / "my.csv"), tmp_path / "out", progress=progress)
    assert isinstance(seen[0], SourceFile) and seen[1] == ("train", "")


def test_describe_bad_rows_draws_runs_together():
    bad = [BadRow("f", n, "no text") for n in (2, 3, 4, 9)] + [BadRow("f", 5, "no label")]
    assert describe_bad_rows(bad) == "  f:2-4,9: no text\n  f:5: no label"


def test_single_file_name_tells_nothing(tmp_path):
    """`my` is the tag of Burmese."""
    assert find_sources([write(tmp_path / "my.csv")])[0].lang is None


def test_missing_source(tmp_path):
    with pytest.raises(ValueError, match="There is no file or directory"):
        find_sources([tmp_path / "nothing.csv"])


def test_directory_without_data(tmp_path):
    write(tmp_path / "in" / "readme.txt")
    with pytest.raises(ValueError, match="holds no data: no file that ends in .tsv"):
        find_sources([tmp_path / "in"])


def test_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="unknown format"):
        find_sources([write(tmp_path / "a.doc")])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"on_error": "ignore"}, "on_error is 'ignore'. Allowed are stop and skip"),
        ({"split": "a/b"}, "cannot be the name of a split"),
        ({"lang": "Deutsch"}, "'Deutsch' is not a language tag"),
    ],
)
def test_bad_settings(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        run(write(tmp_path / "my.csv"), tmp_path / "out", **settings)


def test_target_that_is_no_corpus(tmp_path):
    path = write(tmp_path / "in" / "my.csv")
    with pytest.raises(ValueError, match="holds something that is not a corpus"):
        run(path, tmp_path / "in")
    assert path.read_text() == CSV
