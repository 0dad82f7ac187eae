"""Every block of the README works as printed."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import srsly

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
BASH = [text for kind, text in BLOCKS if kind == "bash"]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]

ENGLISH = {
    "sport": ["the team won the game", "a goal in the last game", "our team lost again"],
    "money": ["the bank raised the rate", "a loan from the bank", "the price of money fell"],
}
GERMAN = {"sport": "die mannschaft gewann", "money": "die bank gab geld"}


@pytest.fixture
def workplace(tmp_path, encoder_dir, monkeypatch):
    """A directory with what the README takes for granted: an encoder and a user's own files."""
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / "multilingual-e5-small").symlink_to(encoder_dir)
    rows = ["text,label,lang"]
    for label, texts in ENGLISH.items():
        rows += [f"{text} {i},{label},en" for text in texts for i in range(25)]
        rows += [f"{GERMAN[label]} {i},{label},de" for i in range(20)]
    unlabelled = [
        {"text": f"{text} {i}", "lang": "de"} for text in GERMAN.values() for i in range(9)
    ]
    srsly.write_jsonl(tmp_path / "unlabelled.jsonl", unlabelled)
    (tmp_path / "my_texts.csv").write_text("\n".join(rows) + "\n", encoding="utf8")
    srsly.write_jsonl(tmp_path / "new_texts.jsonl", [{"text": "das spiel", "id": 7}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> None:
    args = shlex.split(line)
    if args[0] == "python":
        args[0] = sys.executable
    result = subprocess.run(args, capture_output=True, text=True, env={**os.environ})
    assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"


def test_the_first_two_blocks_are_the_job_and_the_tests():
    assert BASH[0].splitlines()[-1] == "python -m spacy project run all"
    assert BASH[1].splitlines()[-1] == "python -m pytest"


def test_python_blocks_run(workplace, capsys):
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), {})
    assert set(eval(capsys.readouterr().out.splitlines()[0])) == {"sport", "money"}


def test_own_file_to_package_and_its_speed(workplace):
    (block,) = [text for text in BASH if "my_texts.csv" in text]
    for line in block.splitlines():
        run(line)
    (prediction,) = srsly.read_jsonl("predictions.jsonl")
    assert prediction["id"] == 7
    assert set(prediction["cats"]) == {"sport", "money"}
    assert list(Path("packages").rglob("*.whl")) or list(Path("packages").rglob("*.tar.gz"))
    assert (workplace / "report" / "report.html").is_file()
    (block,) = [text for text in BASH if "xlt calibrate" in text]
    for line in block.splitlines():
        run(line)
    assert len(list(srsly.read_jsonl("to_label.jsonl"))) == 18
    assert "Forecast without labels" in Path("report/report.html").read_text(encoding="utf8")
    assert (workplace / "explained.html").is_file()
    (block,) = [text for text in BASH if "xlt benchmark" in text]
    run(block)
    assert (workplace / "speed.json").is_file()


@pytest.mark.parametrize("name", ["sib200", "speed", "transfer"])
def test_results_are_those_of_the_runs(monkeypatch, name):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    benchmark = importlib.import_module(name)
    assert benchmark.with_table(README) == README, f"run: python tests/benchmarks/{name}.py table"


@pytest.mark.slow
def test_encoder_fetch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = [text for text in BASH if text.startswith("python -m spacy xlt encoder fetch")]
    for line in block.splitlines():
        run(line)
    run("python -m spacy xlt encoder verify encoders/multilingual-e5-small --vectors")


def test_files_and_commands_that_the_text_names_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_block_is_run_by_a_test():
    """A new block needs a new test here."""
    known = [
        "project run all",
        "python -m pytest",
        "encoder fetch",
        "my_texts.csv",
        "xlt calibrate",
        "xlt benchmark",
    ]
    for block in BASH:
        assert any(mark in block for mark in known), block
    assert len(PYTHON) == 1
