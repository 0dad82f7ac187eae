"""Training configs on the command line: reading, overrides, and errors in plain words."""

import configparser
import errno
import sys
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, Sequence

from ..files import is_disk_full

if TYPE_CHECKING:
    from thinc.api import Config
    from thinc.config import ConfigValidationError

# Sections that a config must have to be trained from, and settings that spaCy never fills in.
NEEDED_SECTIONS = ("nlp", "components", "training")
NEEDED_SETTINGS = ("seed", "gpu_allocator")
# Sections whose keys spaCy knows; in all others, such as [paths], an override must be there.
SPACY_SECTIONS = ("nlp", "components", "corpora", "training", "pretraining", "initialize")
FILL = "python -m spacy init fill-config {path} FILLED.cfg"


def parse_overrides(args: Sequence[str]) -> Dict[str, Any]:
    """Settings given as `--section.key value`, and those of SPACY_CONFIG_OVERRIDES.

    RAISES (ValueError): If an argument is something else.
    """
    from spacy.cli._util import parse_config_overrides

    is_value = False
    for arg in args:
        is_option = arg.startswith("--")
        if not (is_option and "." in arg.split("=")[0]) and not (is_value and not is_option):
            raise ValueError(
                f"'{arg}' is not an option of this command. Settings of the config are given as "
                f"--section.key VALUE, such as --paths.train corpus/train or --system.seed 1."
            )
        is_value = is_option and "=" not in arg
    return parse_config_overrides(list(args))


def read_config(path: Path, overrides: Dict[str, Any]) -> "Config":
    """Read a config to train from, with its variables as they stand.

    path (Path): The file; "-" is standard input.
    overrides (Dict[str, Any]): Values by dotted name.
    RETURNS (Config): The config.
    RAISES (ValueError): If it is missing, damaged or incomplete, or has a key that nothing reads.
    """
    from spacy.util import load_config_from_str

    text = _read_text(path)
    config = load_config_from_str(text)
    _check_sections(config, path)
    for name in overrides:
        _check_override(config, name)
    config = load_config_from_str(text, overrides=overrides)
    dropout = config["training"].get("dropout")
    if isinstance(dropout, int):
        # spaCy would take a whole number, such as 0 for none, for a schedule.
        config["training"]["dropout"] = float(dropout)
    _check_keys(config)
    return config


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what libraries raise about a config, the memory or the disk into messages.

    path (Path): The config file.
    RAISES (ValueError): For configs.
    RAISES (MemoryError): If a GPU is full.
    RAISES (OSError): If the disk is full.
    """
    from thinc.config import ConfigValidationError

    try:
        yield
    except ConfigValidationError as e:
        raise ValueError(explain(e, path)) from e
    except configparser.Error as e:
        raise ValueError(f"'{path}' is not a valid config. {e}") from e
    except KeyError as e:
        if not str(e.args[:1]).startswith("('[E"):  # spaCy's errors have numbers; others are bugs
            raise
        raise ValueError(f"'{path}': {e.args[0]}") from e
    except RuntimeError as e:
        if "out of memory" not in str(e).lower():
            raise
        raise MemoryError(
            f"The device is out of memory. Lower max_train_pieces in the component's model, or "
            f"train on the CPU with --gpu-id -1. ({str(e).splitlines()[0]})"
        ) from e
    except OSError as e:
        if not is_disk_full(e):
            raise
        raise OSError(
            errno.ENOSPC,
            "The disk is full, so the pipeline could not be saved. Earlier results are as they "
            "were. Make room, or choose --output on another disk",
        ) from e


def explain(error: "ConfigValidationError", path: Path) -> str:
    """What is wrong with a config, in one or a few lines."""
    lines = [f"{error.title or 'Config error'} in '{path}'."]
    if error.desc:
        lines.append(error.desc.strip())
    known = [key for key in error.config or {} if not key.startswith("@")]
    for item in error.errors or []:
        place = " -> ".join(str(part) for part in item.get("loc", ()))
        lines.append(f"{place}: {item.get('msg')}.")
        key = str(list(item.get("loc") or [""])[-1])
        is_unknown = "unexpected" in str(item.get("msg")) or item.get("type") == "extra_forbidden"
        if is_unknown:
            allowed = [name for name in known if name not in (key, "nlp", "name")]
            lines.append(f"{_did_you_mean(key, allowed)}Known there: {', '.join(allowed)}.")
    return "\n".join(lines)


def _read_text(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    if not path.is_file():
        raise ValueError(
            f"There is no config file '{path}'. Make one of a recipe with: "
            f"python -m spacy xlt init-config zero_shot OUT.cfg"
        )
    try:
        return path.read_text(encoding="utf8")
    except UnicodeDecodeError as e:
        raise ValueError(f"'{path}' is not a config: it is not text in UTF-8 ({e}).") from e


def _check_sections(config: "Config", path: Path) -> None:
    missing = [f"[{name}]" for name in NEEDED_SECTIONS if name not in config]
    if not missing:
        missing = [f"[training] {x}" for x in NEEDED_SETTINGS if x not in config["training"]]
    if missing:
        raise ValueError(
            f"'{path}' is not a complete training config: it lacks {', '.join(missing)}. Sections "
            f"found: {', '.join(config) or 'none'}. Fill in the defaults with: "
            f"{FILL.format(path=path)}"
        )


def _check_override(config: "Config", name: str) -> None:
    """RAISES (ValueError): If no config of this kind can have the setting."""
    section, _, key = name.partition(".")
    if section in SPACY_SECTIONS or key in config.get(section, {}):
        return
    known = list(_dotted_names({x: config[x] for x in config if x not in SPACY_SECTIONS}))
    raise ValueError(
        f"The config has no setting '{name}' to override. "
        f"{_did_you_mean(name, known)}Settings there: {', '.join(known) or 'none'}; and all of "
        f"{', '.join(SPACY_SECTIONS)}."
    )


def _check_keys(config: "Config") -> None:
    """RAISES (ValueError): If a section of spaCy's has a key that spaCy would drop in silence."""
    from spacy.schemas import (
        ConfigSchemaInit,
        ConfigSchemaNlp,
        ConfigSchemaPretrain,
        ConfigSchemaTraining,
    )

    schemas: Dict[str, Any] = {
        "nlp": ConfigSchemaNlp,
        "training": ConfigSchemaTraining,
        "initialize": ConfigSchemaInit,
        "pretraining": ConfigSchemaPretrain,
    }
    for section, schema in schemas.items():
        known = list(schema.model_fields)
        known = [field.alias or name for name, field in schema.model_fields.items()]
        for key in config.get(section, {}):
            if key not in known:
                raise ValueError(
                    f"[{section}] has an unknown key '{key}'. {_did_you_mean(key, known)}"
                    f"Known there: {', '.join(known)}."
                )


def _dotted_names(values: Dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _dotted_names(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"Did you mean '{close[0]}'? " if close else ""
