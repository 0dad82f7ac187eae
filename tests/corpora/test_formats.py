import csv
import gzip
import io
import json
import sys

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.corpora.formats import (
    BadRow,
    Columns,
    Fields,
    bare_name,
    file_format,
    file_hash,
    read_fields,
    to_cats,
)

CHARS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(alphabet=CHARS, min_size=1, max_size=30).filter(lambda text: text.strip())
LABELS = TEXTS.map(str.strip).filter(bool)
ROWS = st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=6)


def read(path, columns=Columns(), **settings):
    return list(read_fields(path, columns, **settings))


def write(path, content):
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def to_csv(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("text", "label"), *rows])
    return file.getvalue()


def to_jsonl(rows):
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)


def to_parquet(rows):
    file = io.BytesIO()
    table = pyarrow.table({"text": [r[0] for r in rows], "label": [r[1] for r in rows]})
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def pairs(fields):
    return [(f.text, *f.labels) for f in fields]


@given(ROWS, st.sampled_from(["csv", "jsonl", "parquet"]), st.sampled_from(["", ".gz"]))
def test_any_text_survives_the_format(tmp_path_factory, rows, format, gz):
    # JSON, CSV and Parquet carry every character; a label loses the space around it
    content = {"csv": to_csv, "jsonl": to_jsonl, "parquet": to_parquet}[format](rows)
    path = write(tmp_path_factory.mktemp("rows") / f"a.{format}{gz}", content)
    assert pairs(read(path)) == rows


@given(
    st.lists(
        st.tuples(
            TEXTS.filter(lambda text: not set(text) & set("\t\n")),
            LABELS.filter(lambda label: not set(label) & set("\t\n")),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["", ".gz"]),
)
def test_any_text_without_tab_and_newline_survives_tsv(tmp_path_factory, rows, gz):
    content = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    path = write(tmp_path_factory.mktemp("rows") / f"a.tsv{gz}", content)
    assert pairs(read(path)) == rows


def test_tsv_has_no_quoting(tmp_path):
    path = write(tmp_path / "a.tsv", 'index_id\tcategory\ttext\r\n7\ttravel\tHe said "no\r\n')
    assert read(path) == [Fields(line=2, text='He said "no', labels=["travel"], id="7")]


def test_csv_quotes_and_lines(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"one\ntwo, ""three""",a\n\nfour,b\n')
    assert read(path) == [
        Fields(line=2, text='one\ntwo, "three"', labels=["a"]),
        Fields(line=5, text="four", labels=["b"]),
    ]


def test_csv_semicolons_are_guessed_and_others_given(tmp_path):
    path = write(tmp_path / "a.csv", "text;label\nzwei, drei;a\n")
    assert pairs(read(path)) == [("zwei, drei", "a")]
    path = write(tmp_path / "b.csv", "text|label\nzwei, drei|a\n")
    assert pairs(read(path, delimiter="|")) == [("zwei, drei", "a")]


def test_byte_order_mark(tmp_path):
    path = write(tmp_path / "a.csv", "\ufefftext,label\nx,a\n")
    assert pairs(read(path)) == [("x", "a")]


def test_long_field_in_csv(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n" + "x" * 600_000 + ",a\n")
    assert len(read(path)[0].text) == 600_000
    assert csv.field_size_limit() == 131_072


@pytest.mark.parametrize(
    "header, role",
    [("intent,utterance,locale", "intent"), ("labels,sentence,language", "labels")],
)
def test_usual_names_of_columns(tmp_path, header, role):
    path = write(tmp_path / "a.csv", f"{header}\nx,some text,de\n")
    assert read(path) == [Fields(line=2, text="some text", labels=["x"], lang="de")]


def test_columns_by_name(tmp_path):
    path = write(tmp_path / "a.csv", "q,a,class,l,nr,part,w,text\nQ,A,x,de,3,dev,2.5,no\n")
    columns = Columns("q", "class", "l", "nr", "part", "a", "w")
    assert read(path, columns) == [Fields(2, "Q", ["x"], "de", "3", "dev", "A", 2.5)]


def test_several_labels(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nx,a; b;\ny,\n")
    assert [f.labels for f in read(path, label_separator=";", delimiter=",")] == [["a", "b"], []]
    path = write(tmp_path / "a.jsonl", '{"text": "x", "labels": ["a", 2]}\n{"text":"y","label":[]}')
    assert [f.labels for f in read(path)] == [["a", "2"], []]


def test_scores(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "x", "cats": {"a": 0.25, "b": 1, "c": null}}')
    assert read(path)[0].labels == {"a": 0.25, "b": 1.0}


def test_parquet_with_numbers_lists_and_objects(tmp_path):
    table = pyarrow.table(
        {"text": ["x", "y"], "label": [3, None], "cats": [{"a": 1.0, "b": None}] * 2}
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [f.labels for f in read(tmp_path / "a.parquet")] == [{"a": 1.0}] * 2
    first, second = read(tmp_path / "a.parquet", Columns(label="label"))
    assert first.labels == ["3"] and second.reason == "no label"


def test_to_cats():
    assert to_cats(["b"], ["a", "b"]) == {"a": 0.0, "b": 1.0}
    assert to_cats({"a": 0.5}, ["a", "b"]) == {"a": 0.5}


@pytest.mark.parametrize(
    "name, content, line, reason",
    [
        ("a.tsv", b"text\tlabel\nfine\ta\nx\tb\tc\n", 3, "3 columns, expected 2"),
        ("a.tsv", b"text\tlabel\nfine\ta\nalone\n", 3, "1 columns, expected 2"),
        ("a.tsv", b"text\tlabel\nfine\ta\n\xff\tb\n", 3, "undecodable bytes: not UTF-8"),
        ("a.csv", b"text,label\nfine,a\n\xe9t\xe9,b\n", 3, "undecodable bytes: not UTF-8"),
        ("a.csv", b'text,label\n"fi\nne",a\n,b\n', 4, "no text"),
        ("a.csv", b"text,label\nfine,a\n  ,b\n", 3, "no text"),
        ("a.csv", b"text,label\nfine,a\nx,\n", 3, "no label"),
        ("a.csv", b'text,label\nfine,a\n"open,b\n', 3, "not CSV: unexpected end of data"),
        ("a.csv", b'text,label\nfine,a\n"x"y,b\n', 3, "not CSV: ',' expected after '\"'"),
        ("a.csv", b"text,label,xlt_weight\nfine,a,1\nx,b,-3\n", 3, "weight is '-3', expected"),
        ("a.csv", b"text,label,xlt_weight\nfine,a,1\nx,b,inf\n", 3, "weight is 'inf', expected"),
        ("a.jsonl", b'{"text": "fine", "label": "a"}\n{"text": "x"', 2, "not JSON: "),
        ("a.jsonl", b'{"text": "fine", "label": "a"}\n"x"', 2, "holds str, expected a JSON object"),
        ("a.jsonl", b'{"text": "fine", "label": "a"}\n{"text": ["x"]}', 2, "text is list"),
        ("a.jsonl", b'{"text": "fine", "label": "a"}\n{"text": "x", "label": 1.5}', 2, "label is"),
        ("a.jsonl", b'{"text": "fine", "label": "a"}\n{"text": "x", "label": [""]}', 2, "no label"),
        ("a.jsonl", b'{"text": "fine", "label": "a"}\n{"text": "x", "label": {}}', 2, "no label"),
        (
            "a.jsonl",
            b'{"text": "fine", "label": "a"}\n{"text": "\\ud83d", "label": "a"}',
            2,
            "half",
        ),
        (
            "a.jsonl",
            b'{"text": "fine", "label": "a"}\n{"text": "x", "label": "\\udc00"}',
            2,
            "half",
        ),
        (
            "a.jsonl",
            b'{"text": "fine", "label": "a"}\n{"text": "x", "cats": {"a": 7}}',
            2,
            "score of 'a' is 7, expected a number from 0 to 1",
        ),
    ],
)
def test_bad_rows(tmp_path, name, content, line, reason):
    good, bad = read(write(tmp_path / name, content))
    assert good.labels == ["a"]
    assert isinstance(bad, BadRow) and (bad.file, bad.line) == (name, line)
    assert bad.reason.startswith(reason) or reason in bad.reason
    json.dumps(bad.content).encode("utf8")


def test_undecodable_bytes_in_parquet(tmp_path):
    column = pyarrow.array([b"\xff", b"fine"], pyarrow.binary()).view(pyarrow.string())
    table = pyarrow.table({"text": column, "label": ["a", "b"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    bad, good = read(tmp_path / "a.parquet")
    assert (bad.line, bad.reason) == (1, "undecodable bytes: not UTF-8") and good.text == "fine"


def test_missing_second_text(tmp_path):
    path = write(tmp_path / "a.csv", "text,other,label\nx,,a\n")
    assert read(path, Columns(pair="other"))[0].reason == "no second text"


def test_too_long_text(tmp_path):
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + "x" * 1_000_001 + "\ta\n")
    assert read(path)[0].reason.startswith("text has 1,000,001 characters; spaCy reads at most")


def test_empty_texts_can_be_allowed(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n,a\n")
    assert pairs(read(path, allow_empty=True)) == [("", "a")]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", b"", "is empty. Expected a header"),
        ("a.csv", b"text,text\nx,y\n", "has two columns named 'text'"),
        ("a.csv", b"words,label\nx,y\n", r"has no text column \(looked for: text, sentence"),
        ("a.csv", b"text,kind\nx,y\n", r"has no label column .* It has: text, kind\. Name"),
        ("a.csv", "text,label\n".encode("utf-16"), "is UTF-16. Save it as UTF-8"),
        ("a.parquet", b"hello", "is not a readable Parquet file"),
        ("a.txt", b"hello", r"unknown format. Allowed are files that end in \.tsv"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_column_that_is_not_there(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nx,y\n")
    with pytest.raises(ValueError, match=r"no lang column \(looked for: sprache\).*--lang-column"):
        read(path, Columns(lang="sprache"))


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"text,label\nx,y\n"])
def test_incomplete_gzip(tmp_path, damage):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(damage(gzip.compress(b"text,label\nx,y\n" * 9)))
    with pytest.raises(ValueError, match=r"a\.csv\.gz' is not a complete gzip file"):
        read(path)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="There is no file"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "name, format, bare",
    [
        ("de.csv", "csv", "de"),
        ("x.de.TSV.gz", "tsv", "x.de"),
        ("a.b.jsonl", "jsonl", "a.b"),
        ("p.pq", "parquet", "p"),
    ],
)
def test_names(tmp_path, name, format, bare):
    assert file_format(tmp_path / name) == format
    assert bare_name(tmp_path / name) == bare


def test_file_hash(tmp_path):
    path = write(tmp_path / "a", b"abc")
    assert file_hash(path).startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


def test_parquet_without_its_library(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", to_parquet([("x", "a")]))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"Reading Parquet files needs .*'spacy-xlt\[parquet\]'"):
        read(path)
