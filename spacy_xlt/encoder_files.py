"""What an encoder directory holds, and which ones are read at all."""

import json
from pathlib import Path
from typing import Any, Dict, Literal, TypedDict, cast

from .types import Pooling

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
RECORD_FILE = "xlt_encoder.json"
# Beside the weights in a trained pipeline: which adapter the encoder has, if it has one.
ADAPTER_FILE = "adapter.json"

# model_type in config.json -> pooling where the directory records none. The list is closed:
# these are read with the classes of the installed library, never with code from a directory.
MODEL_TYPES: Dict[str, Pooling] = {
    "bert": "mean",
    "distilbert": "mean",
    "roberta": "mean",
    "xlm-roberta": "mean",
    "xlm-roberta-xl": "mean",
    "deberta-v2": "mean",
    "modernbert": "mean",
    "mt5": "mean",
    "t5": "mean",
    "xlnet": "last",
    "gpt2": "last",
}


class EncoderRecord(TypedDict, total=False):
    """`xlt_encoder.json`: how an encoder wants to be used and where it came from.

    name (str): Name in the catalogue, or of the directory it was copied from.
    pooling (Pooling): Pooling it was trained with.
    prefix (str): Text it expects before every document; "" for none.
    variant (Literal["full", "q4"]): Whether the weights are the published ones or were unpacked
        from a 4-bit copy.
    licence (str): Licence of the weights.
    sources (List[Dict[str, str]]): What was downloaded or copied, with versions and hashes.
    files (Dict[str, str]): SHA-256 of every other file in the directory, by file name.
    """

    name: str
    pooling: Pooling
    prefix: str
    variant: Literal["full", "q4"]
    licence: str
    sources: list
    files: Dict[str, str]


def read_encoder_config(path: Path) -> Dict[str, Any]:
    """Read and vet the `config.json` of an encoder directory.

    path (Path): The directory.
    RETURNS (Dict[str, Any]): The model's configuration.
    RAISES (ValueError): If the directory or file is missing or unreadable, if the model type is
        unknown, or if the configuration asks for code of its own.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(
            f"No encoder at '{path}': there is no such directory. Set paths.encoder to an encoder "
            f"directory, or get one with: python -m spacy xlt encoder fetch "
            f"multilingual-e5-small {path}"
        )
    file_path = path / CONFIG_FILE
    if not file_path.is_file():
        found = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise ValueError(
            f"'{path}' is not an encoder directory: it has no {CONFIG_FILE} (found: {found}). "
            f"An encoder directory holds {CONFIG_FILE}, tokenizer.json and *.safetensors."
        )
    config = _read_object(file_path)
    check_encoder_config(config, source=str(file_path))
    return config


def check_encoder_config(config: Dict[str, Any], *, source: str) -> None:
    """Refuse configurations that need foreign code or a model type that is not on the list.

    RAISES (ValueError): With the offending key and what is allowed.
    """
    for key in ("auto_map", "custom_pipelines"):
        if config.get(key):
            raise ValueError(
                f"{source} asks for code that comes with the model ('{key}': {config[key]}). "
                f"Such encoders are refused. Use one whose model_type is built into "
                f"transformers: {', '.join(sorted(MODEL_TYPES))}."
            )
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODEL_TYPES:
        raise ValueError(
            f"{source} has model_type {model_type!r}. Supported are: "
            f"{', '.join(sorted(MODEL_TYPES))}."
        )


def read_encoder_record(path: Path) -> EncoderRecord:
    """Read `xlt_encoder.json`; an empty record where the directory has none.

    RAISES (ValueError): If the file is there but is not a JSON object.
    """
    file_path = Path(path) / RECORD_FILE
    if not file_path.is_file():
        return {}
    return cast(EncoderRecord, _read_object(file_path))


def _read_object(path: Path) -> Dict[str, Any]:
    """Read a file that holds one JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf8"))
    except ValueError as e:
        raise ValueError(f"'{path}' is not valid JSON: {e}") from e
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' holds {type(content).__name__}, expected an object.")
    return content
