import shlex
from pathlib import Path

import pytest

from spacy_xlt.transfer.recipes import BASELINE, RECIPES, Recipe, fill_commands

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.cfg"))


def test_every_config_is_in_the_table():
    """A new recipe needs a line, or nobody is told of it."""
    assert set(CONFIGS) <= set(RECIPES)
    assert all(RECIPES[name].commands for name in set(RECIPES) - set(CONFIGS))
    assert BASELINE in RECIPES and RECIPES[BASELINE].time == 1.0
    for name, recipe in RECIPES.items():
        assert recipe.name == name and recipe.what and recipe.when and recipe.time > 0


NAMES = (
    *("train", "dev", "encoder", "start", "source", "source_lang", "source_list"),
    *("target_langs", "all_langs"),
    *("unlabelled", "lexicons", "parallel", "pairing", "teacher"),
)


@pytest.mark.parametrize(
    "recipe", [x for x in RECIPES.values() if x.commands], ids=lambda x: x.name
)
def test_commands_name_only_what_there_is(recipe):
    for line in recipe.commands:
        assert line.format(**dict.fromkeys(NAMES, "x")).startswith("python -m spacy xlt ")
    assert [shlex.split(x) for x in fill_commands(recipe, dict.fromkeys(NAMES, "a b"))]


def test_commands_with_what_there_is():
    recipe = Recipe("x", "", "", commands=("xlt {train} --dev {dev} --langs {target_langs} -o y",))
    filled = fill_commands(recipe, {"train": "my texts", "target_langs": ""})
    assert filled == ["xlt 'my texts' --dev DEV -o y"]
