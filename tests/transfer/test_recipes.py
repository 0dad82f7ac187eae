from pathlib import Path

from spacy_xlt.transfer.recipes import BASELINE, RECIPES

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.cfg"))


def test_every_config_is_in_the_table():
    """A new recipe needs a line, or nobody is told of it."""
    assert set(CONFIGS) <= set(RECIPES)
    assert all(RECIPES[name].commands for name in set(RECIPES) - set(CONFIGS))
    assert BASELINE in RECIPES and RECIPES[BASELINE].time == 1.0
    for name, recipe in RECIPES.items():
        assert recipe.name == name and recipe.what and recipe.when and recipe.time > 0


def test_commands_name_only_what_there_is():
    stages = ("train", "dev", "encoder", "start", "source_lang", "target_langs")
    names = (*stages, "unlabelled", "lexicons", "parallel", "teacher")
    for recipe in RECIPES.values():
        for line in recipe.commands:
            assert line.format(**dict.fromkeys(names, "x")).startswith("python -m spacy xlt ")
