"""Who may import whom: from one's own room or from a lower floor, never sideways and never up.

The plan of the house is in FLOORS; every import counts, also inside functions and for type
checkers only.
"""

import ast
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

import pytest

import spacy_xlt

ROOT = Path(spacy_xlt.__file__).parent
GROUND = "ground"
# room -> floor
FLOORS: Dict[str, int] = {
    GROUND: 0,
    "layers": 1,
    "corpora": 1,
    "augmentation": 1,
    "translation": 1,
    "alignment": 1,
    "evaluation": 1,
    "encoders": 1,
    "architectures": 2,
    "components": 2,
    "transfer": 3,
    "trust": 3,
    "deployment": 3,
    "cli": 4,
}
# Modules right in the package: those of the ground floor, and one above the workshops.
GROUND_MODULES = {
    "__init__",
    "types",
    "compat",
    "languages",
    "detection",
    "pieces",
    "words",
    "subwords",
    "substitution",
    "files",
    "encoder_files",
    "optimizers",
}
WITHOUT_TORCH = (
    "corpora",
    "augmentation",
    "alignment",
    "evaluation",
    "languages",
    "detection",
    "pieces",
    "words",
    "subwords",
    "substitution",
)
# The only places that speak the transformers library's names.
WITH_TRANSFORMERS = ("layers/encoder.py", "encoders/", "translation/")


class Import(NamedTuple):
    """One imported module, and where the import stands."""

    path: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def read_imports(path: Path, source: Optional[str] = None) -> Iterator[Import]:
    """Absolute names of everything that a file of the package imports."""
    package = ["spacy_xlt", *path.relative_to(ROOT).parts[:-1]]
    tree = ast.parse(path.read_text(encoding="utf8") if source is None else source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            parts = [*parts, *([node.module] if node.module else [])]
            for alias in node.names:
                yield Import(path, node.lineno, ".".join([*parts, alias.name]))
        elif is_call_of(node, "import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(path, node.lineno, name.value)


def is_call_of(node: ast.AST, *names: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = getattr(node.func, "id", getattr(node.func, "attr", None))
    return called in names


def room_of(module: str) -> str:
    """Room of a module of ours, by its absolute name."""
    parts = module.split(".")
    place = parts[1] if len(parts) > 1 else "__init__"
    if place in FLOORS:
        return place
    # `from spacy_xlt import __version__` and the like are of the package itself
    return GROUND


def breaches(imports: Iterator[Import]) -> List[str]:
    found = []
    for imported in imports:
        if imported.module.split(".")[0] != "spacy_xlt":
            continue
        here = room_of(
            ".".join(["spacy_xlt", *imported.path.relative_to(ROOT).with_suffix("").parts])
        )
        there = room_of(imported.module)
        if here != there and FLOORS[there] >= FLOORS[here]:
            found.append(f"{imported} ({here} may not import {there})")
    return found


def all_files() -> List[Path]:
    return sorted(ROOT.rglob("*.py"))


def all_imports() -> Iterator[Import]:
    return (imported for path in all_files() for imported in read_imports(path))


def test_every_room_is_on_the_plan():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(FLOORS)
    modules = {path.stem for path in ROOT.glob("*.py")}
    assert modules <= GROUND_MODULES | set(FLOORS)


def test_imports_go_down():
    assert breaches(all_imports()) == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("corpora/x.py", "from ..layers import probe"),
        ("corpora/x.py", "def f():\n    from ..encoders.fetch import fetch"),
        ("corpora/x.py", "import spacy_xlt.evaluation.metrics"),
        ("corpora/x.py", "from .. import evaluation"),
        ("layers/x.py", "from ..components.textcat import XltTextCat"),
        ("layers/x.py", "if TYPE_CHECKING:\n    from ..architectures import build_textcat_v1"),
        ("pieces.py", "from .layers import shim"),
        ("components/x.py", "from ..architectures import build_textcat_v1"),
        ("components/x.py", "import_module('spacy_xlt.cli.train')"),
        ("components/x.py", "from spacy_xlt.cli import xlt_cli"),
    ],
)
def test_a_breach_is_seen(place, source):
    assert len(breaches(read_imports(ROOT / place, source))) == 1


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("corpora/x.py", "from .layout import Row\nfrom ..pieces import PieceTokenizer\nimport re"),
        ("components/x.py", "def f():\n    from ..layers.shim import TextCatShim"),
        ("cli/x.py", "from .. import __version__\nfrom ..components.textcat import XltTextCat"),
        ("compat.py", "from .types import Freeze\nimport spacy"),
    ],
)
def test_what_is_allowed_is_not_a_breach(place, source):
    assert breaches(read_imports(ROOT / place, source)) == []


def heavy_imports(library: str) -> Iterator[Import]:
    return (i for i in all_imports() if i.module.split(".")[0] == library)


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_rooms_that_do_not_know_torch(library):
    found = [
        str(imported)
        for imported in heavy_imports(library)
        if imported.path.relative_to(ROOT).with_suffix("").parts[0] in WITHOUT_TORCH
    ]
    assert found == []


def test_who_speaks_the_names_of_transformers():
    found = [
        str(imported)
        for imported in heavy_imports("transformers")
        if not str(imported.path.relative_to(ROOT)).startswith(WITH_TRANSFORMERS)
    ]
    assert found == []


def test_only_the_front_door_prints():
    found = []
    for path in all_files():
        if path.is_relative_to(ROOT / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if is_call_of(node, "print", "echo", "secho"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "sys.stdout",
                "sys.stderr",
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
        found += [
            str(imported)
            for imported in read_imports(path)
            if imported.module.split(".")[0] in ("typer", "wasabi", "tqdm", "click")
        ]
    assert found == []


def test_nothing_is_imported_from_click():
    """typer brings a copy of its own; raising another one's errors ends in a traceback."""
    assert [str(imported) for imported in heavy_imports("click")] == []
