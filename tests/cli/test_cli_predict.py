import csv
import gzip
import io
import itertools
import json
import subprocess
import sys
import tracemalloc

import pytest
import spacy
import srsly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli._rows import RowWriter
from spacy_xlt.cli.predict import predict


@pytest.fixture
def nlp(standin):
    nlp = spacy.blank("xx")
    nlp.add_pipe("standin_textcat", name="textcat")
    return nlp


@pytest.fixture
def run(make_pipeline):
    """Run the command; returns standard output and standard error."""
    pipeline = make_pipeline()

    def run(*arguments, code=0, input=None):
        result = CliRunner().invoke(
            xlt_cli, ["predict", str(pipeline), *map(str, arguments)], input=input
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout, result.stderr

    return run


def read_jsonl(path):
    with path.open(encoding="utf8", newline="\n") as file:
        return [json.loads(line) for line in file]


def write(path, content):
    path.write_text(content, encoding="utf8", newline="")
    return path


def test_jsonl_keeps_every_field_and_the_order(run, tmp_path):
    rows = [
        {"id": i, "text": text, "meta": {"list": [1, None, "ä"]}, "ok": True}
        for i, text in enumerate(["A", "", "B:0.3", "שלום 😀 B"])
    ]
    source = tmp_path / "in.jsonl"
    srsly.write_jsonl(source, rows)
    _, err = run(source, tmp_path / "out.jsonl", "--batch-size", 2)
    assert "4 documents. Added fields: label, cats" in err
    got = read_jsonl(tmp_path / "out.jsonl")
    assert [{k: v for k, v in row.items() if k in rows[0]} for row in got] == rows
    assert [row["label"] for row in got] == ["A", "A", "B", "B"]
    assert got[2]["cats"] == {"A": 0.1, "B": 0.3}


def test_csv_keeps_columns_and_adds_label_and_score(run, tmp_path):
    source = write(tmp_path / "in.csv", 'id,text,note\n1,"A ""q, r""\nB:0.2",x\n2,B,\n')
    run(source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().decode() == (
        'id,text,note,label,score\n1,"A ""q, r""\nB:0.2",x,A,0.9\n2,B,,B,0.9\n'
    )
    run(source, tmp_path / "out.csv", "--all-scores")
    with (tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.DictReader(file))[0]["score_B"] == "0.2"


def test_plain_text_and_standard_streams(run, tmp_path):
    out, err = run(write(tmp_path / "in.txt", "\ufeffA\n\nB"))
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["A", "", "B"]
    assert "3 documents" in err
    out, _ = run("-", "-", input='{"text": "B"}\n')
    assert json.loads(out)["label"] == "B"
    out, _ = run("-", "--input-format", "csv", input="text\nB\n")
    assert out == "text,label,score\nB,B,0.9\n"
    out, _ = run("-", "--input-format", "txt", "--output-format", "tsv", input="B\n")
    assert out == "text\tlabel\tscore\nB\tB\t0.9\n"


def test_gzip_in_and_out(run, tmp_path):
    source = tmp_path / "in.tsv.gz"
    source.write_bytes(gzip.compress(b"text\tn\nA\t1\n"))
    run(source, tmp_path / "out.jsonl.gz")
    row = json.loads(gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()))
    assert row == {"text": "A", "n": "1", "label": "A", "cats": {"A": 0.9, "B": 0.1}}
    first = (tmp_path / "out.jsonl.gz").read_bytes()
    run(source, tmp_path / "out.jsonl.gz")
    assert (tmp_path / "out.jsonl.gz").read_bytes() == first
    text = tmp_path / "in.txt.gz"
    text.write_bytes(gzip.compress(b"B\n"))
    assert json.loads(run(text)[0])["label"] == "B"
    text.write_bytes(gzip.compress(b"B\n" * 999)[:-9])
    assert "is not a complete gzip file" in run(text, code=1)[1]


def test_a_gold_label_is_not_overwritten(run, tmp_path):
    source = write(tmp_path / "in.jsonl", '{"text": "A", "label": "gold", "cats": 1}\n')
    _, err = run(source, tmp_path / "out.jsonl")
    assert "Added fields: predicted_label, predicted_cats" in err
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert (row["label"], row["predicted_label"]) == ("gold", "A")
    run(source, tmp_path / "out.jsonl", "--prefix", "model_")
    assert "model_label" in read_jsonl(tmp_path / "out.jsonl")[0]
    text = run(source, tmp_path / "out.jsonl", "--prefix", "", code=1)[0]
    assert "has a field 'label', which is where the prediction goes" in " ".join(text.split())
    both = '{"text": "A"}\n{"text": "A", "label": "late"}\n'
    text = run(write(source, both), tmp_path / "out.jsonl", code=1)[0]
    assert "in.jsonl:2: the row has a field 'label'" in " ".join(text.split())


BAD = (
    '{"text": "A"}\n{"text": 5}\nnot json\n{"body": "A"}\n{"text": "\\ud800"}\n'
    '{"text": "NAN"}\n[1]\n{"text": "B"}\n'
)
REASONS = {
    2: "field 'text' is int, expected a string",
    3: "not JSON",
    4: "no field 'text' (fields: body): name it with --text-field",
    5: "the text holds half a character",
    6: "the component 'textcat' gave no usable scores for this text",
    7: "holds list, expected a JSON object",
}


def test_bad_rows_stop_the_run_and_leave_the_earlier_output(run, tmp_path):
    source, output = write(tmp_path / "in.jsonl", BAD), write(tmp_path / "out.jsonl", "before")
    text = " ".join(run(source, output, code=1)[0].split())
    assert "in.jsonl:2: field 'text' is int" in text.replace(" in.jsonl", "in.jsonl")
    assert "--on-error skip" in text
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.jsonl",
        "out.jsonl",
        "pipeline",
    ]


def test_bad_rows_can_be_skipped_with_their_reasons(run, tmp_path):
    source = write(tmp_path / "in.jsonl", BAD)
    _, err = run(source, tmp_path / "out.jsonl", "--on-error", "skip")
    assert "2 documents" in err and "6 bad rows were left out" in err
    assert [row["text"] for row in read_jsonl(tmp_path / "out.jsonl")] == ["A", "B"]
    rejects = read_jsonl(tmp_path / "out.jsonl.rejects.jsonl")
    assert {row["line"] for row in rejects} == set(REASONS)
    for row in rejects:
        assert REASONS[row["line"]] in row["reason"]
        assert row["file"].endswith("in.jsonl")
    run(source, tmp_path / "out.jsonl", "--on-error", "skip", "--rejects", tmp_path / "r.jsonl")
    assert len(read_jsonl(tmp_path / "r.jsonl")) == 6
    out, err = run(source, "--on-error", "skip")
    assert len(out.splitlines()) == 2 and "in.jsonl:3: not JSON" in err


def test_undecodable_text_is_a_bad_row(run, tmp_path):
    source = tmp_path / "in.txt"
    source.write_bytes(b"A\n\xff\xfe\nB\n")
    assert "in.txt:2: undecodable bytes: not UTF-8" in run(source, code=1)[1]


def test_texts_longer_than_the_pipeline_reads(nlp, tmp_path):
    nlp.max_length = 10
    source = write(tmp_path / "in.txt", "A\n" + "B" * 11)
    with pytest.raises(ValueError, match="in.txt:2: the text has 11 characters; .* at most 10"):
        predict(nlp, source, tmp_path / "out.jsonl")


def test_what_a_table_cannot_hold_is_a_bad_row(run, tmp_path):
    source = write(tmp_path / "in.jsonl", '{"text": "A"}\n{"text": "B\\tB", "more": 1}\n')
    text = " ".join(run(source, tmp_path / "out.csv", code=1)[0].split())
    assert "field 'more' is not in the first row" in text
    text = " ".join(run(source, tmp_path / "out.tsv", code=1)[0].split())
    assert "field 'text' holds a tab or a line break, which TSV cannot" in text
    assert not (tmp_path / "out.csv").exists()


def test_a_table_of_unlike_rows_leaves_gaps(run, tmp_path):
    rows = '{"text": "A", "n": {"x": 1}, "m": null}\n{"text": "B", "n": 2.5}\n'
    run(write(tmp_path / "in.jsonl", rows), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == (
        'text,n,m,label,score\nA,"{""x"": 1}",,A,0.9\nB,2.5,,B,0.9\n'
    )


def test_independent_labels(make_pipeline, tmp_path):
    pipeline = make_pipeline("standin_textcat_multilabel", threshold=0.4)
    source = write(tmp_path / "in.txt", "A B:0.4\nnothing\n")
    arguments = ["predict", str(pipeline), str(source)]
    out = CliRunner().invoke(xlt_cli, arguments).stdout
    assert [json.loads(line)["label"] for line in out.splitlines()] == [["A", "B"], []]
    out = CliRunner().invoke(xlt_cli, [*arguments, "--output-format", "csv"]).stdout
    assert out == "text,label,score\nA B:0.4,A;B,0.9\nnothing,,0.1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.docx"], "'in.docx' has an unknown format"),
        (["in.csv", "out.parquet"], "'parquet' is not among those allowed: jsonl, csv, tsv"),
        (["in.csv", "--input-format", "xml"], "'xml' is not among those allowed: jsonl"),
        (["missing.csv"], "There is no file 'missing.csv'"),
        (["-", "--input-format", "parquet"], "Parquet cannot be read from standard input"),
        (["in.csv", "--on-error", "cry"], "--on-error is 'cry'; allowed are: stop, skip"),
        (["in.csv", "--batch-size", "0"], "The batch size is 0; allowed is 1 or more"),
        (["in.csv", "--component", "nose"], "'nose' is not one"),
        (["in.csv", "--gpu-id", "99"], "GPU 99 was asked for"),
        (["in.csv", "--text-field", "body"], "in.csv:2: no field 'body' (fields: text)"),
    ],
)
def test_wrong_settings(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.csv", "text\nA\n")
    out, err = run(*arguments, code=1)
    assert message in " ".join((out + err).split())


def test_an_empty_file_is_refused(run, tmp_path):
    output = write(tmp_path / "out.jsonl", "before")
    text = run(write(tmp_path / "in.jsonl", "\n"), output, code=1)[0]
    assert "has no rows, so there is nothing to predict" in " ".join(text.split())
    assert output.read_text() == "before"


def test_a_file_can_be_replaced_by_its_result(run, tmp_path):
    path = write(tmp_path / "texts.jsonl", '{"text": "A"}\n' * 2000)
    run(path, path)
    assert len(read_jsonl(path)) == 2000


def test_memory_does_not_grow_with_the_file(nlp, tmp_path):
    peaks = []
    for n_rows in (2_000, 20_000):
        with (tmp_path / "in.jsonl").open("w") as file:
            for i in range(n_rows):
                file.write(json.dumps({"text": "A", "more": "x" * 500, "i": i}) + "\n")
        tracemalloc.start()
        predict(nlp, tmp_path / "in.jsonl", tmp_path / "out.jsonl", batch_size=128)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 500_000


def test_words_of_the_texts_are_forgotten(nlp, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_xlt.cli.predict.ZONE_TEXTS", 10)
    source = write(tmp_path / "in.txt", "".join(f"A word{i}\n" for i in range(105)))
    known = set(nlp.vocab.strings)
    predict(nlp, source, tmp_path / "out.jsonl", batch_size=4)
    assert set(nlp.vocab.strings) == known
    texts = [row["text"] for row in read_jsonl(tmp_path / "out.jsonl")]
    assert texts == [f"A word{i}" for i in range(105)]


def test_a_reader_that_goes_away_is_no_traceback(make_pipeline, standin, tmp_path):
    source = write(tmp_path / "in.txt", "A\n" * 20_000)
    command = [sys.executable, "-m", "spacy", "xlt", "predict", str(make_pipeline()), str(source)]
    process = subprocess.Popen(
        [*command, "--code", str(standin)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert json.loads(process.stdout.readline())["label"] == "A"
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 1
    assert "Traceback" not in err and "Exception" not in err


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(TEXT, st.dictionaries(TEXT, JSON, max_size=3)), min_size=1, max_size=5))
def test_any_fields_survive_jsonl(nlp, tmp_path, rows):
    taken = {"text", "label", "cats"}
    objects = [
        {**{k: v for k, v in fields.items() if k not in taken}, "text": text}
        for text, fields in rows
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in objects), encoding="utf8")
    predict(nlp, source, tmp_path / "out.jsonl", batch_size=2)
    got = read_jsonl(tmp_path / "out.jsonl")
    assert [{k: v for k, v in row.items() if k not in ("label", "cats")} for row in got] == objects


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_any_text_survives_csv(rows):
    file = io.StringIO(newline="")
    writer = RowWriter(file, "csv")
    for a, b in rows:
        writer.write({"a": a, "b": b})
    file.seek(0)
    assert [tuple(row.values()) for row in csv.DictReader(file)] == rows


def test_a_row_that_is_refused_leaves_no_trace():
    file = io.StringIO()
    writer = RowWriter(file, "tsv")
    with pytest.raises(ValueError, match="holds a tab"):
        writer.write({"a": "x\ty"})
    writer.write({"b": "1"})
    assert file.getvalue() == "b\n1\n"


def test_halves_of_characters_in_other_fields_are_kept_as_escapes(run, tmp_path):
    source = write(tmp_path / "in.jsonl", '{"text": "A", "x": "\\ud800"}\n')
    out, _ = run(source)
    assert json.loads(out)["x"] == "\ud800"


def test_order_is_kept_over_many_batches(nlp, tmp_path):
    texts = [f"{label} {i}" for i, label in zip(range(1000), itertools.cycle("ABB"), strict=False)]
    source = write(tmp_path / "in.txt", "\n".join(texts))
    predict(nlp, source, tmp_path / "out.jsonl", batch_size=7)
    rows = read_jsonl(tmp_path / "out.jsonl")
    assert [row["text"] for row in rows] == texts
    assert [row["label"] for row in rows] == [text[0] for text in texts]


def test_languages_that_rows_lack_are_detected_by_the_pipeline(trained, tmp_path):
    """Then temperatures by language hold for them as well."""
    german = "Die Regierung hat die Steuern auf Benzin erhöht, und niemand war froh darüber."
    trained.get_pipe("textcat").set_calibration({"temperatures": {"de": 5.0}})
    rows = [{"text": german, "lang": "de"}, {"text": german}, {"text": german, "lang": "sw"}]
    path = write(tmp_path / "in.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def scores():
        predict(trained, path, tmp_path / "out.jsonl")
        return [row["cats"] for row in read_jsonl(tmp_path / "out.jsonl")]

    german, unknown, swahili = scores()
    assert unknown == swahili != german
    trained.add_pipe("xlt_language", before="textcat")
    assert scores() == [german, german, swahili]


def test_warnings_of_a_component_that_gives_none_are_refused(run, tmp_path):
    """An empty field would say that nothing speaks against the label."""
    source = write(tmp_path / "in.txt", "A\n")
    text, _ = run(source, tmp_path / "out.jsonl", "--warnings", code=1)
    assert "a component of 'standin_textcat' that gives no warnings" in " ".join(text.split())
    assert not (tmp_path / "out.jsonl").exists()
