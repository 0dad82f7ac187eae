import re
import warnings
from pathlib import Path

import pytest
import typer
from spacy.cli import app
from typer.main import get_command
from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli._app import SECTIONS, command, command_line, msg


@pytest.fixture(scope="module")
def overview():
    result = CliRunner().invoke(app, ["xlt", "--help"])
    assert result.exit_code == 0
    return result.output


def test_each_command_is_in_one_section():
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(get_command(xlt_cli).commands)


def test_the_help_has_all_sections(overview):
    for title, names in SECTIONS.items():
        assert f"{title}:" in overview
        for name in names:
            assert re.search(rf"^  {name} +\w", overview, flags=re.MULTILINE), name


def test_what_a_command_does_is_a_whole_clause(overview):
    lines = [" ".join(line.split()) for line in overview.splitlines()]
    assert "suggest Choose the texts whose labels would help most" in lines
    assert "init-config Write the config of a recipe" in lines


LONG = "python -m spacy xlt train configs/zero_shot.cfg --output training/a_long_name --gpu-id 0"


DIRECTORY = "python -m spacy project run all . --vars.source_lang de --vars.data my_texts.csv"


@pytest.mark.parametrize(
    "text, line",
    [
        (f"Go on with: {LONG}", LONG),
        (f"Go on with: {LONG}. Then look at what there is.", f"{LONG}."),
        (f"What helps where a line is too long for the width ({LONG}) is this", f"({LONG})"),
        (f"Say: {DIRECTORY}, or wait", f"{DIRECTORY},"),
        (f"{'Words ' * 12}before a line would break: pip install 'x[y]'", "pip install 'x[y]'"),
    ],
)
def test_no_line_breaks_within_a_command(capsys, text, line):
    msg.info("What is to be done", text)
    lines = capsys.readouterr().out.splitlines()
    assert any(found.endswith(line) for found in lines)


def test_other_messages_are_wrapped_as_they_are(capsys):
    msg.text("word " * 40, "No command: spacy xlt calibrate\x00 " * 10)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 4 and max(map(len, lines)) <= 80
    msg.good("hidden", show=False)
    assert capsys.readouterr().out == ""


def test_commands_in_an_error_can_be_copied(capsys):
    parent = typer.Typer()

    @command(parent, "fail")
    def fail():
        raise ValueError(f"This and that is not as it should be.\nDo this instead: {LONG}")

    @command(parent, "other")
    def other():
        """So that the first one keeps its name."""

    result = CliRunner().invoke(parent, ["fail"])
    assert result.exit_code == 1
    assert f"{LONG}\n" in result.output


def test_a_command_with_a_path_that_has_spaces():
    assert command_line("data", "check", Path("my texts")) == (
        "python -m spacy xlt data check 'my texts'"
    )


def test_warnings_are_messages_beside_the_output(capsys):
    parent = typer.Typer()

    @command(parent, "worry")
    def worry():
        print("result", flush=True)
        for _ in range(2):
            warnings.warn("This is rare.", stacklevel=1)
        warnings.warn("for programmers", DeprecationWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        get_command(parent).main(args=[], standalone_mode=False)
    assert [warning.category for warning in caught] == [DeprecationWarning]
    shown = capsys.readouterr()
    assert shown.out == "result\n"
    assert shown.err.count("⚠ This is rare.") == 1 and "UserWarning" not in shown.err
