"""`spacy xlt transfer`: a recipe's config, filled in from the user's own corpora."""

import configparser
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import typer

from ..transfer.recipes import RECIPES, Recipe, fill_commands
from ._app import Arg, Opt, command, command_line, msg, xlt_cli
from .init import adapt_recipe, write_config

if TYPE_CHECKING:
    from ..corpora.layout import Row
    from ..transfer.filling import Filled, Material


@command(
    xlt_cli,
    "transfer",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help="Fill in the config of a recipe from your corpora: paths, languages, kind of labels, and "
    "what else follows from the data. Says what it sets and why, what is missing, and how to go "
    "on. Other settings can be given too, such as --training.dropout 0.2. Recipes: "
    f"{', '.join(name for name, recipe in RECIPES.items() if not recipe.commands)}. Those that "
    "are more than a config, of which it shows the commands: "
    f"{', '.join(name for name, recipe in RECIPES.items() if recipe.commands)}.",
)
def transfer_cli(
    ctx: typer.Context,  # only for the settings of the config
    recipe: str = Arg(..., help="Name of the recipe"),
    output: Path = Opt(..., "--output", "-o", help="Config file to write"),
    train: List[Path] = Opt(
        ..., "--train", help="Labelled texts to train on (.spacy, .jsonl, directories)"
    ),
    dev: Optional[Path] = Opt(None, "--dev", help="Labelled texts to watch the training by"),
    encoder: Optional[Path] = Opt(None, "--encoder", "-e", help="Directory of the encoder"),
    start: Optional[Path] = Opt(None, "--start", help="Trained pipeline to go on from"),
    source: Optional[Path] = Opt(
        None, "--source", "-s", help="Labelled texts of the source language, to train on too"
    ),
    unlabelled: Optional[Path] = Opt(None, "--unlabelled", "-u", help="Texts without labels"),
    lexicons: Optional[Path] = Opt(None, "--lexicons", help="Directory of bilingual lexicons"),
    teacher: Optional[Path] = Opt(None, "--teacher", help="Trained pipeline to learn from"),
    source_langs: Optional[str] = Opt(
        None, "--source-langs", help="Languages that count as the source, with commas"
    ),
    target_langs: Optional[str] = Opt(
        None, "--target-langs", help="Languages to carry the classifier to, with commas"
    ),
    multilabel: Optional[bool] = Opt(
        None,
        "--multilabel/--exclusive",
        help="Whether any number of labels may hold; by default as the documents have it",
        show_default=False,
    ),
    force: bool = Opt(False, "--force", "-F", help="Replace a file that is there"),
) -> None:
    from ._config import parse_overrides
    from ._pipeline import split_langs

    overrides = parse_overrides(ctx.args)
    named = {
        "train": [str(path) for path in train] if len(train) > 1 else str(train[0]),
        "dev": dev,
        "encoder": encoder,
        "start": start,
        "source": source,
        "unlabelled": unlabelled,
        "lexicons": lexicons,
        "teacher": teacher,
    }
    transfer(
        recipe,
        output,
        {name: x if isinstance(x, list) else str(x) for name, x in named.items() if x is not None},
        overrides=overrides,
        source_langs=split_langs(source_langs),
        target_langs=split_langs(target_langs),
        multilabel=multilabel,
        force=force,
    )
    msg.good(f"The config is in {output}", f"Train with: {train_line(str(output), recipe)}")


def transfer(
    name: str,
    output: Path,
    paths: Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] = {},
    source_langs: Optional[Sequence[str]] = None,
    target_langs: Optional[Sequence[str]] = None,
    multilabel: Optional[bool] = None,
    force: bool = False,
) -> "Filled":
    """Write a recipe's config as it suits some corpora, and show what was set; see `transfer_cli`.

    name (str): The recipe.
    output (Path): The config to write.
    paths (Mapping[str, Any]): What is given, by its name under [paths].
    overrides (Mapping[str, Any]): Other settings by dotted name.
    RETURNS (Filled): What was found out.
    RAISES (ValueError): If there is no such recipe, or what it needs is not given, not there or
        does not go together.
    """
    from spacy.util import load_config_from_str

    from ..transfer.filling import SPACY_PATHS, check_paths, fill_recipe
    from ._shipped import get_recipe

    recipe = RECIPES.get(name) or Recipe(name, "what its config says", "")
    if recipe.commands:
        lines = fill_commands(recipe, _values(paths, source_langs, target_langs))
        raise ValueError(
            f"The recipe '{name}' is more than a config. Give these commands, with your own for "
            f"what is in capitals:\n" + "\n".join(lines)
        )
    text = get_recipe(name).read_text(encoding="utf8")
    config = load_config_from_str(text, interpolate=False)
    prefix = "paths."
    given = {**paths, **{k[len(prefix) :]: v for k, v in overrides.items() if k.startswith(prefix)}}
    why_source = "given"
    if "source" in config["paths"]:
        given, why_source = with_source(given, source_langs)
    check_paths(recipe, config, [key for key in given if key not in SPACY_PATHS])
    check_there(given)
    material = read_material(given, source_langs, target_langs)
    filled = fill_recipe(recipe, config, material, multilabel=multilabel)
    settings: Dict[str, Any] = {prefix + key: value for key, value in given.items()}
    settings.update({setting.key: setting.value for setting in filled.settings})
    settings.update(overrides)
    text = adapt_recipe(text, multilabel=filled.multilabel, settings=settings)
    check_values(text, settings)
    first, _, rest = text.split("\n", 2)
    write_config(
        output,
        f"{first}\n# {train_line(str(output), name)}\n{rest}",
        force=force,
    )
    show_settings(recipe, filled, settings, why_source)
    return filled


def _values(
    paths: Mapping[str, Any],
    source_langs: Optional[Sequence[str]],
    target_langs: Optional[Sequence[str]],
) -> Dict[str, str]:
    """What is given, by the names that commands of recipes have for it."""
    from ..transfer.filling import find_source_file

    values = {name: path for name, path in paths.items() if isinstance(path, str)}
    if source_langs:
        values["source_lang"] = ",".join(source_langs)
        values["source_list"] = json.dumps(source_langs)
        source = find_source_file(as_paths(paths["train"]), source_langs)
        if source is not None:
            values.setdefault("source", str(source))
    if target_langs:
        values["target_langs"] = ",".join(target_langs)
    if source_langs and target_langs:
        values["all_langs"] = ",".join((*source_langs, *target_langs))
    return values


def check_values(text: str, settings: Mapping[str, Any]) -> None:
    """RAISES (ValueError): If a value comes out of the config as another one, as with `${`."""
    from spacy.util import load_config_from_str

    from .search import get_setting

    try:
        config = load_config_from_str(text, interpolate=True)
    except (ValueError, configparser.Error) as e:
        raise ValueError(f"A value cannot stand in a config: {e}") from e
    for key, value in settings.items():
        if get_setting(config, key) != value:
            raise ValueError(
                f"'{value}' cannot be the value of {key}: a config reads it as "
                f"'{get_setting(config, key)}'. Choose a name without $."
            )


def train_line(config: str, recipe: str) -> str:
    """The command that trains with a recipe's config, by the example in its second line; its output
    has the name of the config."""
    from ._shipped import get_recipe

    output = f"training/{Path(config).stem}"
    example = shlex.split(get_recipe(recipe).read_text(encoding="utf8").splitlines()[1])
    flags = [
        word
        for word in example
        if word.startswith("--") and word != "--output" and not word.startswith("--paths.")
    ]
    return command_line("train", config, *flags, "--output", output)


def with_source(
    given: Mapping[str, Any], source_langs: Optional[Sequence[str]]
) -> Tuple[Dict[str, Any], str]:
    """The paths with the source language's documents, if these lie beside those to train on; and
    why they are what they are."""
    from ..components.starting import read_started
    from ..transfer.filling import NAME, find_source_file

    if "source" in given or "start" not in given:
        return dict(given), "given"
    known = source_langs or read_started(Path(given["start"]), NAME).train_langs
    found = find_source_file(as_paths(given["train"]), known)
    if found is None:
        return dict(given), "given"
    return {**given, "source": str(found)}, "the source language's file beside those to train on"


def as_paths(value: Any) -> List[Path]:
    """Paths of a setting that may be one or a list."""
    return [Path(path) for path in (value if isinstance(value, list) else [value])]


def check_there(given: Mapping[str, Any]) -> None:
    """RAISES (ValueError): If something that is named is not there, or is no encoder."""
    from .train import check_encoder

    for name, value in given.items():
        for path in as_paths(value):
            if not path.exists():
                raise ValueError(f"There is no '{path}', which --{name} names.")
    if "encoder" in given:
        check_encoder(Path(given["encoder"]))


def read_material(
    given: Mapping[str, Any],
    source_langs: Optional[Sequence[str]],
    target_langs: Optional[Sequence[str]],
) -> "Material":
    """Read the corpora and the pipeline to start from."""
    from ..components.starting import read_started
    from ..corpora.reader import read_rows
    from ..languages import standardize_language
    from ..transfer.filling import NAME, Material

    def read(name: str) -> List["Row"]:
        return [row for path in as_paths(given.get(name, [])) for row in read_rows(path)]

    def standard(langs: Optional[Sequence[str]]) -> Optional[List[str]]:
        return None if langs is None else [standardize_language(lang) for lang in langs]

    return Material(
        train=read("train"),
        dev=read("dev"),
        source=read("source"),
        start=read_started(Path(given["start"]), NAME) if "start" in given else None,
        source_langs=standard(source_langs),
        target_langs=standard(target_langs),
    )


def show_settings(
    recipe: Recipe, filled: "Filled", settings: Mapping[str, Any], why_source: str
) -> None:
    """Print what was set and why, and what to know."""
    whys = {setting.key: setting.why for setting in filled.settings}
    whys["paths.source"] = why_source
    rows = [(key, _show(value), whys.get(key, "given")) for key, value in settings.items()]
    kind = "any number of labels" if filled.multilabel else "one label"
    rows.append(("kind", f"{kind} per document", filled.why_labels))
    msg.divider(f"{recipe.name}: {recipe.what}")
    msg.table(rows, header=("Setting", "Value", "Why"), divider=True, max_col=60)
    for warning in filled.warnings:
        msg.warn(warning)


def _show(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
