import json
from functools import partial

import pytest
from running import run_command
from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli.evaluate import evaluate

run = partial(run_command, "report")


@pytest.fixture
def figures(make_pipeline, make_split, tmp_path):
    path = tmp_path / "figures.json"
    split = make_split([("en", "A", "A"), ("ar", "A", "B"), ("ar", "B", "B")])
    evaluate(str(make_pipeline()), [split], output=path, name="zero-shot")
    return path


def test_three_forms(figures, tmp_path):
    out = tmp_path / "deep" / "report"
    text = run(figures, figures, "--output", out, "--title", "My <title>")
    assert "report.html" in text
    assert {path.name for path in out.iterdir()} == {"report.html", "report.md", "report.json"}
    assert "My &lt;title&gt;" in (out / "report.html").read_text(encoding="utf8")
    assert "Arabic" in (out / "report.md").read_text(encoding="utf8")
    report = json.loads((out / "report.json").read_text(encoding="utf8"))
    assert [run["name"] for run in report["runs"]] == ["zero-shot", "zero-shot (2)"]


def test_a_damaged_file_leaves_the_earlier_report(figures, tmp_path):
    out = tmp_path / "report"
    run(figures, "-o", out)
    before = (out / "report.html").read_bytes()
    bad = tmp_path / "bad.json"
    bad.write_text(figures.read_text()[:500])
    assert "bad.json' is not the result of an evaluation" in run(figures, bad, "-o", out, code=1)
    assert (out / "report.html").read_bytes() == before


def test_the_output_must_be_a_directory(figures, tmp_path):
    result = CliRunner().invoke(xlt_cli, ["report", str(figures), "-o", str(figures)])
    assert result.exit_code != 0
    assert "is a file" in " ".join(result.output.split())
