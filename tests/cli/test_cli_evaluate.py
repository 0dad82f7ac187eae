import hashlib
import json
import subprocess
import sys
from functools import partial

import pytest
import srsly
from running import run_command
from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli.evaluate import record_corpus
from spacy_xlt.evaluation.results import read_evaluation

ROWS = [
    ("en", "A", "A"),
    ("en", "B", "B"),
    ("de", "A", "A"),
    ("de", "A", "B"),
    ("sw", "A", "B"),
]


run = partial(run_command, "evaluate")


def test_texts_stay_out_of_the_figures_if_that_is_asked(make_pipeline, make_split, tmp_path):
    output = tmp_path / "figures.json"
    run(make_pipeline(), make_split(ROWS), "--output", output, "--mistakes", "0")
    assert read_evaluation(output)["mistakes"] == []


def test_a_mistake_that_cannot_be_explained_stays(make_pipeline, make_split, tmp_path):
    output = tmp_path / "figures.json"
    # Without one of its last words, a score is not a number.
    run(make_pipeline(), make_split([("de", "NAN A B:0.1", "B")]), "--output", output)
    (mistake,) = read_evaluation(output)["mistakes"]
    assert mistake["predicted"] == "A" and mistake["words"] is None


def test_a_table_of_languages_and_files(make_pipeline, make_split, tmp_path):
    output, predictions = tmp_path / "out" / "figures.json", tmp_path / "out" / "lines.jsonl"
    text = run(
        make_pipeline(),
        make_split(ROWS),
        "--output",
        output,
        "--predictions",
        predictions,
        "--name",
        "zero-shot",
    )
    assert "zero-shot" in text
    assert "English en source 2 100.0" in text
    assert "German de target 2 50.0 9.5–90.5" in text and "+50.0" in text
    assert text.index("English") < text.index("German") < text.index("Swahili")
    assert "Target languages, mean accuracy 25.0" in text
    assert "Transfer gap +75.0" in text
    assert "Worst: Swahili 0.0" in text
    assert "Not to be trusted" in text
    evaluation = read_evaluation(output)
    assert evaluation["name"] == "zero-shot"
    (corpus,) = evaluation["signature"]["corpora"]
    assert corpus["path"].endswith("test") and len(corpus["sha256"]) == 64
    mistakes = {mistake["lang"]: mistake for mistake in evaluation["mistakes"]}
    assert set(mistakes) == {"de", "sw"} and mistakes["de"]["text"] == "A"
    ((word,),) = [mistake["words"] for mistake in evaluation["mistakes"][:1]]
    assert (word["text"], word["start"], word["end"]) == ("A", 0, 1) and word["weight"] > 0
    lines = list(srsly.read_jsonl(predictions))
    assert len(lines) == 5
    assert lines[0] == {
        "text": "A",
        "lang": "de",
        "gold": "A",
        "predicted": "A",
        "scores": {"A": 0.9, "B": 0.1},
        "id": "de-0",
    }


def test_several_corpora_and_chosen_languages(make_pipeline, make_split, tmp_path):
    one, two = make_split(ROWS, "one"), make_split([("fr", "B", "B")], "two") / "fr.spacy"
    text = run(make_pipeline(), one, two, "--langs", "en,fr", "--batch-size", 1)
    assert "French fr target 1 100.0" in text and "German" not in text
    jsonl = tmp_path / "it.jsonl"
    jsonl.write_text('{"text": "A", "label": "A", "lang": "ita"}\n')
    assert "Italian it target 1 100.0" in run(make_pipeline(), jsonl)


def test_source_languages_can_be_named(make_pipeline, make_split):
    text = run(make_pipeline(train_langs=[]), make_split(ROWS))
    assert "every language counts as a target" in text
    text = run(make_pipeline(train_langs=[]), make_split(ROWS), "--source-langs", "deu")
    assert "German de source" in text and "English en target" in text


def test_code_registers_components_in_a_clean_process(make_pipeline, make_split, standin):
    done = subprocess.run(
        [sys.executable, "-m", "spacy", "xlt", "evaluate", make_pipeline(), make_split(ROWS)]
        + ["--code", standin],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "German" in done.stdout


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("en", "A", None)], "none of the 1 documents is labelled"),
        (
            [("en", "A", "C")],
            "labels that the pipeline does not know: C. Labels of 'textcat'",
        ),
    ],
)
def test_unfit_corpora(make_pipeline, make_split, rows, message):
    assert message in run(make_pipeline(), make_split(rows, labels="ABC"), code=1)


def test_labels_of_something_else_only(make_pipeline, make_split):
    text = run(make_pipeline(), make_split([("en", "A", "A")]), "--langs", "de", code=1)
    assert "no document in: de. Languages there: en" in text


def test_missing_and_damaged_files(make_pipeline, make_split, tmp_path):
    pipeline, split = make_pipeline(), make_split(ROWS)
    assert "no corpus at" in run(pipeline, tmp_path / "nowhere", code=1)
    text = run("no_such_pipeline", split, code=1)
    assert "'no_such_pipeline' cannot be loaded. There is no such package or directory" in text
    (pipeline / "config.cfg").write_text("[nlp")
    assert "cannot be loaded. It is damaged" in run(pipeline, split, code=1)
    (split / "de.spacy").write_bytes((split / "de.spacy").read_bytes()[:30])
    assert "is not a readable DocBin" in run(make_pipeline(), split, code=1)


def test_there_is_no_such_gpu(make_pipeline, make_split):
    text = run(make_pipeline(), make_split(ROWS), "--gpu-id", 99, code=1)
    assert "GPU 99 was asked for" in text


def test_a_failure_leaves_earlier_files(make_pipeline, make_split, tmp_path):
    output, predictions = tmp_path / "figures.json", tmp_path / "lines.jsonl"
    output.write_text("before")
    predictions.write_text("before")
    split = make_split([("en", "A", "A"), ("en", "A:oops", "A")])
    result = CliRunner().invoke(
        xlt_cli,
        ["evaluate", str(make_pipeline()), str(split), "-o", str(output), "-p", str(predictions)],
    )
    assert result.exit_code == 1
    assert output.read_text() == predictions.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {
        "figures.json",
        "lines.jsonl",
        "pipeline",
        "test",
    }


def test_the_hash_of_a_corpus_is_that_of_its_content(make_split):
    one, two = make_split(ROWS, "one"), make_split(ROWS, "two")
    assert record_corpus(one)["sha256"] == record_corpus(two)["sha256"]
    (two / "de.spacy").rename(two / "nl.spacy")
    assert record_corpus(one)["sha256"] != record_corpus(two)["sha256"]
    file = one / "de.spacy"
    assert record_corpus(file)["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_figures_of_the_file_are_plain_json(make_pipeline, make_split, tmp_path):
    output = tmp_path / "figures.json"
    run(make_pipeline(), make_split([("de", "NAN", "A")]), "-o", output)
    figures = json.loads(output.read_text(), parse_constant=pytest.fail)
    assert figures["languages"][0]["n_unanswered"] == 1
