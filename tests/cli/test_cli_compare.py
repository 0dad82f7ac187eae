import json
from functools import partial

import pytest
from running import run_command

from spacy_xlt.cli.evaluate import evaluate

RIGHT = [("en", f"{i} A", "A") for i in range(12)] + [("de", f"{i} B", "B") for i in range(12)]
WRONG = [*RIGHT[:12], *(("de", f"{i} B", "A" if i < 9 else "B") for i in range(12))]


run = partial(run_command, "compare")


@pytest.fixture
def figures(make_pipeline, make_split, tmp_path):
    """Files of evaluations of rows."""

    def write(name, rows):
        path = tmp_path / f"{name}.json"
        evaluate(str(make_pipeline()), [make_split(rows, name)], output=path, name=name)
        return path

    return write


def test_a_table_and_what_it_shows(figures, tmp_path):
    output = tmp_path / "out" / "comparison.json"
    text = run(figures("zero-shot", WRONG), figures("tuned", RIGHT), "--output", output)
    assert "tuned against zero-shot" in text
    assert "German de target 12 25.0 100.0 +75.0" in text
    assert "0.004 0.008 *" in text
    assert "English en source 12 100.0 100.0 +0.0" in text
    assert "Mean of 1 target language 25.0 100.0 +75.0" in text
    assert "tuned is better in 1 and worse in 0 of 2 languages" in text
    assert "do not count" not in text
    comparison = json.loads(output.read_text(encoding="utf8"))
    assert comparison["format"] == "spacy_xlt.comparison.v1"
    assert comparison["languages"][0]["lang"] == "de"


def test_documents_that_only_one_run_has_are_told(figures):
    text = run(figures("zero-shot", RIGHT), figures("tuned", RIGHT[:20]))
    assert "Documents that the other run lacks do not count: 4 of 'zero-shot'." in text


def test_nothing_in_common_and_what_is_no_evaluation(figures, tmp_path):
    a = figures("a", RIGHT)
    assert "no document in common" in run(a, figures("b", [("sw", "A", "A")]), code=1)
    assert "There is no file" in run(a, tmp_path / "nope.json", code=1)
    (tmp_path / "other.json").write_text('{"format": "x"}')
    assert "is not the result of an evaluation" in run(a, tmp_path / "other.json", code=1)
