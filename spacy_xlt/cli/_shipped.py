"""Files at the top of the checkout that the wheel carries too: recipes and the project."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Dict

PROJECT_FILE = "project.yml"
CONFIG_FOLDER = "configs"
# What a new project gets, as patterns of file names at the top of the checkout.
PATTERNS = (PROJECT_FILE, f"{CONFIG_FOLDER}/*.cfg", "assets/README.md")
# Where `setup.cfg` makes a wheel put them, below the environment's data directory.
DATA_FOLDER = "share/spacy_xlt/"


def find_shipped() -> Dict[str, Path]:
    """Files of a project by their path in it: the checkout's, or those that were installed.

    RAISES (OSError): If neither has them.
    """
    checkout = Path(__file__).parents[2]
    if (checkout / "setup.cfg").is_file() and (checkout / PROJECT_FILE).is_file():
        found = [path for pattern in PATTERNS for path in sorted(checkout.glob(pattern))]
        return {path.relative_to(checkout).as_posix(): path for path in found}
    installed = _installed_files()
    missing = [name for name, path in installed.items() if not path.is_file()]
    if PROJECT_FILE not in installed or missing:
        raise FileNotFoundError(
            f"The files of the project template are not where spacy-xlt was installed to "
            f"({', '.join(missing) or PROJECT_FILE} not found). Install it again with: "
            f"pip install --force-reinstall --no-deps spacy-xlt"
        )
    return installed


def find_recipes() -> Dict[str, Path]:
    """Configs by the name of their recipe."""
    folder = f"{CONFIG_FOLDER}/"
    return {path.stem: path for name, path in find_shipped().items() if name.startswith(folder)}


def get_recipe(name: str) -> Path:
    """Config of a recipe. RAISES (ValueError): If there is no such recipe."""
    recipes = find_recipes()
    if name not in recipes:
        raise ValueError(f"There is no recipe '{name}'. Recipes are: {', '.join(recipes)}.")
    return recipes[name]


def _installed_files() -> Dict[str, Path]:
    try:
        entries = files("spacy-xlt") or []
    except PackageNotFoundError:
        entries = []
    found: Dict[str, Path] = {}
    for entry in entries:
        _, folder, name = entry.as_posix().rpartition(DATA_FOLDER)
        if folder:
            found[name] = Path(str(entry.locate())).resolve()
    return found
