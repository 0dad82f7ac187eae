import re

import pytest
from spacy.cli import app
from typer.main import get_command
from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli
from spacy_xlt.cli._app import SECTIONS


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
