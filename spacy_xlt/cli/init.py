"""`spacy xlt init-config` and `init-project`: what one starts from, also with only the wheel."""

import json
import re
import sys
from pathlib import Path
from typing import Any, List, Mapping

from ..files import write_text
from ._app import Arg, Opt, command, msg, xlt_cli
from ._shipped import PROJECT_FILE, find_recipes, find_shipped, get_recipe

# The component's name in every recipe, and the keys that list components by name.
NAME = "textcat"
NAME_LISTS = ("pipeline", "frozen_components", "annotating_components")
# What differs where any number of labels may hold.
MULTILABEL = {"factory": '"xlt_textcat_multilabel"', "threshold": "0.5"}
IGNORED = "# what the workflow makes, and data\n"


def _recipe_names() -> str:
    try:
        return ", ".join(find_recipes())
    except OSError:  # told when the command is used
        return "none found"


@command(
    xlt_cli,
    "init-config",
    help=f"Write the config of a recipe, ready to train with. Recipes: {_recipe_names()}.",
)
def init_config_cli(
    recipe: str = Arg(..., help="Name of the recipe"),
    out: Path = Arg(..., help="File to write; - is standard output"),
    multilabel: bool = Opt(
        False, "--multilabel", "-m", help="Labels do not exclude each other: any number may hold"
    ),
    lang: str = Opt("xx", "--lang", "-l", help="Code of spaCy's tokenizer; xx suits all languages"),
    name: str = Opt(NAME, "--name", "-n", help="Name of the component"),
    force: bool = Opt(False, "--force", "-F", help="Replace a file that is there"),
) -> None:
    path = get_recipe(recipe)
    text = adapt_recipe(
        path.read_text(encoding="utf8"), multilabel=multilabel, lang=lang, name=name
    ).replace(f"configs/{path.name}", str(out))
    if str(out) == "-":
        sys.stdout.write(text)
        return
    write_config(out, text, force=force)
    msg.good(f"The config is in {out}", "How to train with it stands in its second line.")


@command(xlt_cli, "init-project")
def init_project_cli(
    directory: Path = Arg(..., help="Directory of the project", file_okay=False),
    force: bool = Opt(False, "--force", "-F", help="Replace files that are there"),
) -> None:
    """
    Write a project: project.yml with its workflows, the configs of all recipes, and a folder for
    data. Then run: python -m spacy project run all DIRECTORY
    """
    for path in init_project(directory, force=force):
        msg.text(str(path))
    msg.good(
        f"The project is in {directory}",
        f"See what it can do with: python -m spacy project run --help {directory}",
    )


def write_config(out: Path, text: str, *, force: bool) -> None:
    """RAISES (ValueError): If a file is there and not to be replaced."""
    if out.exists() and not force:
        raise ValueError(f"'{out}' is there already. Choose another name, or add --force.")
    write_text(out, text)


def adapt_recipe(
    text: str,
    *,
    multilabel: bool = False,
    lang: str = "xx",
    name: str = NAME,
    settings: Mapping[str, Any] = {},
) -> str:
    """A recipe's config with other labels, language, name or settings; comments stay.

    text (str): The config.
    multilabel (bool): Whether any number of labels may hold.
    lang (str): Language code of spaCy.
    name (str): Name of the component.
    settings (Mapping[str, Any]): Values by dotted name, with the recipe's name of the component.
    RETURNS (str): The config.
    RAISES (ValueError): If the name cannot be that of a component, or the config has no such
        setting.
    RAISES (ImportError): If spaCy does not know the language.
    """
    from spacy.util import get_lang_class

    if not re.fullmatch(r"[^\W\d][\w-]*", name):
        raise ValueError(
            f"'{name}' cannot be the name of a component. Allowed are letters, digits, '_' and "
            f"'-', a letter first."
        )
    get_lang_class(lang)
    values = {("nlp", "lang"): f'"{lang}"'}
    if multilabel:
        values.update(((f"components.{NAME}", key), value) for key, value in MULTILABEL.items())
    for dotted, value in settings.items():
        part, _, key = dotted.rpartition(".")
        values[part, key] = json.dumps(value, ensure_ascii=False)
    missing = set(values)
    section = ""
    lines = []
    for line in text.splitlines():
        heading = re.fullmatch(r"\[(.+)\]", line)
        section = heading[1] if heading else section
        key = line.partition(" = ")[0]
        if (section, key) in values:
            missing.discard((section, key))
            line = f"{key} = {values[section, key]}"
        elif key in NAME_LISTS:
            line = line.replace(f'"{NAME}"', f'"{name}"')
        lines.append(re.sub(rf"\bcomponents\.{NAME}\b", f"components.{name}", line))
    if missing:
        raise ValueError(
            f"The recipe has no setting {', '.join('.'.join(key) for key in sorted(missing))}. "
            f"Write the config without it, and look for what there is."
        )
    return "\n".join(lines) + "\n"


def init_project(directory: Path, *, force: bool = False) -> List[Path]:
    """Write the files of a project.

    directory (Path): Where it goes; made if it is not there.
    force (bool): Whether files that are there are replaced.
    RETURNS (List[Path]): What was written.
    RAISES (ValueError): If files are there and not to be replaced.
    """
    texts = {name: path.read_text(encoding="utf8") for name, path in find_shipped().items()}
    texts[".gitignore"] = make_gitignore(texts[PROJECT_FILE])
    there = [name for name in texts if (directory / name).exists()]
    if there and not force:
        raise ValueError(
            f"'{directory}' has {', '.join(there)} already. Choose another directory, or replace "
            f"these files with --force."
        )
    for name, text in texts.items():
        write_text(directory / name, text)
    return [directory / name for name in texts]


def make_gitignore(project: str) -> str:
    """What version control leaves out: the project's directories, except its own files.

    project (str): Text of project.yml.
    """
    import srsly

    folders = [name for name in srsly.yaml_loads(project)["directories"] if name != "assets"]
    return IGNORED + "".join(f"{name}/\n" for name in folders) + "assets/*\n!assets/README.md\n"
