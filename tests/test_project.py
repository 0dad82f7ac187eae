"""project.yml: its commands exist, its paths close, and all of it runs."""

import contextlib
import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
import srsly
import tiny
from spacy.vocab import Vocab
from typer.main import get_command
from typer.testing import CliRunner
from weasel.cli import run as weasel_run
from weasel.cli.run import project_run
from weasel.schemas import ProjectConfigSchema, validate
from weasel.util.config import substitute_project_variables

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli._config import read_config
from spacy_xlt.cli.init import init_project

CHECKOUT = Path(__file__).parents[1]
PROJECT = srsly.read_yaml(CHECKOUT / "project.yml")
FILLED = substitute_project_variables(srsly.read_yaml(CHECKOUT / "project.yml"))
COMMANDS = {command["name"]: command for command in FILLED["commands"]}
WORKFLOWS = FILLED["workflows"]
WHEEL = "xx_{0}-0.1.0/dist/xx_{0}-0.1.0-py3-none-any.whl"
PREFIX = ["python", "-m", "spacy", "xlt"]


def outputs(command):
    return [*command.get("outputs", []), *command.get("outputs_no_cache", [])]


def scripts():
    """Name of each command, with the words of each line of its script after `spacy xlt`."""
    for name, command in COMMANDS.items():
        for line in command["script"]:
            words = shlex.split(line)
            assert words[:4] == PREFIX
            yield name, words[4:]


def is_below(path, folder):
    return path == folder or path.startswith(f"{folder}/")


# -- what it says ---------------------------------------------------------------------------


def test_it_is_valid():
    assert validate(ProjectConfigSchema, PROJECT) == []
    assert set(PROJECT) == {
        *("title", "description", "vars", "directories", "assets", "workflows", "commands"),
    }
    assert {"all", "zero-shot", "finetune", "few-shot"} <= set(WORKFLOWS)
    for name, command in COMMANDS.items():
        assert name == name.lower() and "_" not in name
        assert len(command["help"]) > 20 and command["script"]


def test_every_command_is_used_and_every_step_is_a_command():
    steps = [step for workflow in WORKFLOWS.values() for step in workflow]
    assert set(steps) == set(COMMANDS)
    assert not set(WORKFLOWS) & set(COMMANDS)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_dependency_is_there_when_it_is_needed(workflow):
    """Made by an earlier step, or part of the project."""
    made = []
    for step in WORKFLOWS[workflow]:
        for path in COMMANDS[step].get("deps", []):
            in_project = is_below(path, "configs") and (CHECKOUT / path).is_file()
            assert in_project or any(is_below(path, folder) for folder in made), (step, path)
        made += outputs(COMMANDS[step])


def test_every_output_is_in_a_directory_that_is_made_and_not_under_version_control():
    ignored = (CHECKOUT / ".gitignore").read_text().splitlines()
    for command in COMMANDS.values():
        for path in outputs(command):
            folder = path.split("/")[0]
            assert folder in PROJECT["directories"]
            assert f"{folder}/" in ignored


def test_what_a_script_reads_and_writes_is_declared():
    """Each path in a script is below a dependency or an output, or one of these is below it."""
    for name, words in scripts():
        command = COMMANDS[name]
        declared = [*command.get("deps", []), *outputs(command)]
        for word in words:
            if word.split("/")[0] in (*PROJECT["directories"], "configs") and "/" in word:
                assert any(is_below(word, d) or is_below(d, word) for d in declared), (name, word)


@pytest.mark.parametrize("name, words", list(scripts()), ids=lambda value: str(value)[:40])
def test_a_script_is_a_command_of_ours_with_options_that_it_has(name, words):
    command, rest = get_command(xlt_cli), list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    context = command.make_context(name, list(rest))
    # Only training takes options that it does not know, which are settings of its config.
    if context.args:
        from spacy_xlt.cli._config import parse_overrides

        config = read_config(CHECKOUT / rest[0], parse_overrides(context.args))
        # The further runs of a soup put another digit before it.
        assert str(config.interpolate()["training"]["seed"])[-1] == str(FILLED["vars"]["seed"])


def test_scripts_need_no_shell():
    for command in PROJECT["commands"]:
        for line in command["script"]:
            plain = line.replace("${vars.", "")
            assert not any(sign in plain for sign in ("|", "&&", ";", "$", ">", "<", "*", "~"))


def test_the_gpu_reaches_every_step_that_can_use_it():
    with_option = {name for name, words in scripts() if "--gpu-id" in words}
    assert with_option == {
        name for name in COMMANDS if name.startswith(("plan", "train-", "evaluate-"))
    }
    filled = substitute_project_variables(
        srsly.read_yaml(CHECKOUT / "project.yml"), {"vars.gpu_id": 0}
    )
    for command in filled["commands"]:
        for words in map(shlex.split, command["script"]):
            if "--gpu-id" in words:
                assert words[words.index("--gpu-id") + 1] == "0"


def test_every_variable_is_used():
    text = json.dumps(PROJECT["commands"])
    assert all(f"${{vars.{name}}}" in text for name in PROJECT["vars"])


def test_nothing_is_chosen_with_test_data():
    for name, words in scripts():
        reads_test = any(is_below(word, "corpus/data/test") for word in words)
        assert reads_test == name.startswith("evaluate-")
    for name, command in COMMANDS.items():
        if name.startswith("train-"):
            deps = command["deps"]
            assert not any(is_below(p, "corpus/data/test") or is_below(p, "metrics") for p in deps)
            assert "corpus/data" not in deps


def test_a_zero_shot_run_sees_no_target_labels():
    (words,) = [words for name, words in scripts() if name == "train-zero-shot"]
    read = {word for word in words if word.startswith("corpus/")}
    assert read == {"corpus/data/train", "corpus/data/dev"}


def test_the_second_stage_sees_target_documents_only():
    (words,) = [words for name, words in scripts() if name == "train-finetuned"]
    assert is_below(words[words.index("--paths.train") + 1], "corpus/shots")
    assert "--paths.source" not in words


def test_the_data_set_that_is_fetched_is_extra_and_has_a_licence():
    (asset,) = PROJECT["assets"]
    assert asset["extra"] is True
    assert asset["git"]["repo"] == "https://github.com/dadelani/sib-200"
    assert "Licence: " in asset["description"]
    assert not any(is_below(p, "assets") for c in COMMANDS.values() for p in c.get("deps", []))


# -- what it does ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a user's own small file and a tiny encoder, and the variables that say so."""
    root = tmp_path_factory.mktemp("project")
    init_project(root / "project")
    # finetune.cfg freezes several of its layers.
    tiny.make_encoder(root / "encoder", "bert", num_hidden_layers=8)
    with (root / "project" / "my data.csv").open("w", newline="", encoding="utf8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label", "lang"])
        for doc in tiny.make_docs(tiny.SENTENCES, Vocab()):
            table.writerow([doc.text, max(doc.cats, key=doc.cats.get), doc._.xlt_lang])
    (root / "en-de.tsv").write_text("today\theute\nwe\twir\neverybody\talle\n", encoding="utf8")
    return root / "project", {
        "vars.translator": f"lexicon:{root / 'en-de.tsv'}",
        "vars.translate_langs": "de",
        "vars.data": "my data.csv",
        "vars.encoder": str(root / "encoder"),
        "vars.shots": 2,
        "vars.finetune_epochs": 2,
        "vars.name": "smoke",
    }


@pytest.fixture(scope="module")
def run(project):
    """Runs a workflow of it in this process and returns two words of each command."""
    root, overrides = project

    def run(workflow):
        ran = []

        def run_command(words, capture):
            assert words[0] == sys.executable and words[1:4] == PREFIX[1:]
            result = CliRunner().invoke(xlt_cli, words[4:])
            assert result.exit_code == 0, f"{words}: {result.output} {result.exception!r}"
            print(result.output)
            ran.append(" ".join(words[4:6]))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weasel_run, "run_command", run_command)
            project_run(root, workflow, overrides=overrides)
        return ran

    return run


@pytest.fixture(scope="module")
def finished(project, run):
    """The project after the workflow `all`. RETURNS (Tuple[Path, List[str], str]): And output."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        ran = run("all")
    return project[0], ran, output.getvalue()


def test_everything_runs(finished):
    root, ran, output = finished
    assert len(ran) == sum(len(COMMANDS[name]["script"]) for name in WORKFLOWS["all"])
    for name in WORKFLOWS["all"]:
        for path in outputs(COMMANDS[name]):
            assert (root / path.replace("xlt_textcat", "smoke")).exists(), (name, path)
    assert "What the whole workflow takes, about" in output
    assert "Report:  reports/all/report.html" in output
    assert "Package:" in output and WHEEL.format("smoke") in output
    figures = {
        name: srsly.read_json(root / "metrics" / f"{name}.json")
        for name in ("zero_shot", "finetuned", "package")
    }
    roles = {row["lang"]: row["role"] for row in figures["finetuned"]["languages"]}
    assert roles == {"en": "source", **dict.fromkeys(("ar", "de", "sw", "zh"), "target")}
    corpora = [figures[name]["signature"]["corpora"] for name in ("zero_shot", "finetuned")]
    assert corpora[0] == corpora[1]
    assert figures["package"]["difference"] < 1e-4
    assert set(spacy.load(root / "training/finetuned/model-best")("pizza").cats) == set(tiny.LABELS)


def test_a_second_run_skips_what_is_done(finished, run):
    root = finished[0]
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert run("all") == ["project plan", "project summary"]
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert {path.relative_to(root).as_posix() for path in changed} == {
        "project.lock",
        *(f"training/inputs/{name}.json" for name in ("data", "encoder", "code")),
    }


def test_translations_are_trained_on_and_compared_with_plain_fine_tuning(finished, run):
    root = finished[0]
    run("transfer")
    langs = srsly.read_json(root / "corpus/aligned/corpus.json")["translations"]
    assert set(langs) == {"de"} and langs["de"]["translator"].startswith("lexicon:en-de")
    figures = {
        name: srsly.read_json(root / "metrics" / f"{name}.json")
        for name in ("transferred", "plain")
    }
    for evaluation in figures.values():
        roles = {row["lang"]: row["role"] for row in evaluation["languages"]}
        assert roles == {"en": "source", **dict.fromkeys(("ar", "de", "sw", "zh"), "target")}
    for path in (path for name in WORKFLOWS["transfer"] for path in outputs(COMMANDS[name])):
        assert (root / path.replace("xlt_textcat", "smoke")).exists(), path


def test_what_depends_on_a_changed_file_runs_again(finished, run):
    root = finished[0]
    with (root / "my data.csv").open("a", encoding="utf8") as file:
        file.write("we want pizza and sushi,food,en\n")
    assert run("zero-shot") == [
        "project plan",
        "project import",
        "data check",
        "train configs/zero_shot.cfg",
        "evaluate training/zero-shot/model-best",
        "report metrics/zero_shot.json",
        "package training/zero-shot/model-best",
        f"check-package packages/{WHEEL.format('smoke_zero_shot')}",
        "project summary",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_runs_from_the_command_line(workflow, project, tmp_path):
    source, overrides = project
    root = tmp_path / "project"
    init_project(root)
    shutil.copy(source / "my data.csv", root)
    given = [part for key, value in overrides.items() for part in (f"--{key}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "spacy", "project", "run", workflow, ".", *given],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in WORKFLOWS[workflow]:
        for path in outputs(COMMANDS[name]):
            assert (root / path.replace("xlt_textcat", "smoke")).exists(), (name, path)
