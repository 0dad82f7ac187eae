"""Every registered name: resolves, is tested by name, and is cheap to have installed."""

import json
import subprocess
import sys
from configparser import ConfigParser
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]


def read_entry_points():
    """(group, name, "module:attribute") of each line in setup.cfg."""
    parser = ConfigParser(delimiters=("=",))
    parser.optionxform = str
    parser.read(ROOT / "setup.cfg", encoding="utf8")
    for group, lines in parser["options.entry_points"].items():
        for line in lines.strip().splitlines():
            name, value = line.split("=")
            yield group, name.strip(), value.strip()


ENTRY_POINTS = list(read_entry_points())
NAMES = [name for _, name, _ in ENTRY_POINTS]


def resolve(value):
    module, attribute = value.split(":")
    return getattr(import_module(module), attribute)


def test_names_are_read():
    assert len(NAMES) >= 13 and len(set(NAMES)) == len(NAMES)
    assert {"xlt", "xlt_textcat", "spacy_xlt.TextCat.v1", "spacy_xlt.SGD.v1"} <= set(NAMES)


@pytest.mark.parametrize(("group", "name", "value"), ENTRY_POINTS)
def test_it_is_installed_as_written(group, name, value):
    """If this fails after a change of setup.cfg, install the package again."""
    (found,) = entry_points(group=group, name=name)
    assert found.value == value


@pytest.mark.parametrize(("group", "name", "value"), ENTRY_POINTS)
def test_it_resolves_by_its_name(group, name, value):
    function = resolve(value)
    if group == "spacy_cli":
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0 and "evaluate" in result.output
    elif group == "spacy_factories":
        assert spacy.blank("xx").has_factory(name)
        assert function.__name__ == f"make_{name}"
    else:
        assert spacy.registry.get(group.split("_", 1)[1], name) is function


@pytest.mark.parametrize("name", [name for name in NAMES if "." in name])
def test_its_name_follows_the_convention(name):
    """`spacy_xlt.Name.v1` builds an object, `spacy_xlt.name.v1` is a function."""
    package, middle, version = name.split(".")
    assert package == "spacy_xlt" and version[0] == "v" and version[1:].isdigit()


@pytest.mark.parametrize("name", NAMES)
def test_some_test_mentions_it(name):
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    quoted = [f'"{name}"', f"'{name}'", f'"{name}\\n', f'\\"{name}\\"']
    # Configs that test_configs.py trains count as tests of what stands in them.
    texts = [path.read_text(encoding="utf8") for path in (*tests, *ROOT.glob("configs/*.cfg"))]
    assert any(mention in text for text in texts for mention in quoted)


def test_functions_of_the_package_that_look_registered_are():
    """A `create_…_v1` or `build_…_v1` without an entry point cannot be named in a config."""
    targets = {value.split(":")[1] for _, _, value in ENTRY_POINTS}
    written = set()
    for path in (ROOT / "spacy_xlt").rglob("*.py"):
        for line in path.read_text(encoding="utf8").splitlines():
            if line.startswith(("def create_", "def build_", "def make_")):
                name = line.split()[1].split("(")[0]
                if name[-1].isdigit() and name[:-1].endswith("_v"):
                    written.add(name)
    assert written <= targets


# Without spacy-transformers' entry points, which import transformers by themselves.
HIDE = """
import importlib.metadata
distributions = importlib.metadata.distributions
importlib.metadata.distributions = lambda **kwargs: (
    d for d in distributions(**kwargs) if d.name != "spacy-transformers"
)
import json, sys
"""
REPORT = "\nprint(json.dumps(sorted(sys.modules)))"


def modules_after(code):
    """Modules that a fresh interpreter has loaded after some code."""
    result = subprocess.run(
        [sys.executable, "-c", HIDE + code + REPORT], capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_a_blank_pipeline_loads_neither_transformers_nor_our_layers():
    """Every `spacy.blank` of every user of the environment imports our component modules."""
    loaded = modules_after('import spacy_xlt, spacy\nnlp = spacy.blank("xx")')
    assert "spacy_xlt.components.textcat" in loaded
    assert "spacy_transformers" not in loaded  # or this test shows nothing
    assert not {"transformers", "spacy_xlt.layers", "sklearn", "pyarrow"} & loaded
    assert not any(name.startswith("spacy_xlt.layers") for name in loaded)


def test_every_command_of_spacys_loads_our_front_door_and_nothing_heavy():
    loaded = modules_after("import spacy_xlt.cli")
    assert "spacy_xlt.cli.train" in loaded
    heavy = {"transformers", "sklearn", "matplotlib", "pyarrow", "hassil", "home_assistant_intents"}
    assert not heavy & loaded
    assert not any(name.startswith("spacy_xlt.layers") for name in loaded)
