"""What a task adds to an encoder that stays as it is: merged into it, or kept apart from it.

A delta is a trained pipeline without its base, which is the encoder's own weights and tokenizer.
One base and many deltas take little more room than one pipeline.
"""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

import srsly
from spacy import util
from spacy.language import Language

from ..encoder_files import CONFIG_FILE, WEIGHTS_FILE
from ..files import write_text
from ..pieces import TOKENIZER_FILE, PieceTokenizer
from .ensemble import XltEnsemble
from .starting import FACTORIES
from .textcat import XltTextCat

if TYPE_CHECKING:
    from torch import Tensor

DELTA_FILE = "delta.json"


def merge_adapters(nlp: Language) -> None:
    """Let LoRA become part of the encoders' weights, in every classifier of a pipeline.

    Scores stay as they are; the peft library is not needed any more.
    """
    for name, pipe in nlp.components:
        if isinstance(pipe, XltTextCat) and pipe.merge_adapter():
            nlp.get_pipe_config(name)["model"]["adapter"] = None
        elif isinstance(pipe, XltEnsemble):
            for member in pipe.members:
                merge_adapters(member)


def is_delta(path: Path) -> bool:
    """Whether a directory holds a delta."""
    return (path / DELTA_FILE).is_file()


def save_delta(pipeline: Path, made: Path) -> None:
    """Write a pipeline without its base.

    pipeline (Path): Directory of the pipeline.
    made (Path): An empty directory.
    RAISES (ValueError): If there is no pipeline, or none whose encoder stayed as it was.
    """
    from ..layers.storage import FROZEN_FILE, read_tensors

    bases: Dict[str, Any] = {}
    for name in _find_classifiers(pipeline):
        folder = pipeline / name / "model"
        trained = [n for n in read_tensors(folder, [WEIGHTS_FILE]) if not _is_added(n)]
        if trained:
            raise ValueError(
                f"'{name}' in '{pipeline}' has trained {len(trained)} of its encoder's own "
                f"tensors, so it is no small delta to another encoder. Train with an adapter, such "
                f"as by configs/lora.cfg, or only the head, as by configs/frozen.cfg."
            )
        base = _base_of(read_tensors(folder))
        half = [n for n, tensor in base.items() if str(tensor.dtype) == "torch.float16"]
        bases[name] = {"base": _hash_base(base, folder), "half": half}
    left_out = [
        pipeline / name / "model" / file for name in bases for file in (FROZEN_FILE, TOKENIZER_FILE)
    ]

    def choose_left_out(folder: str, names: List[str]) -> List[str]:
        return [name for name in names if Path(folder) / name in left_out]

    shutil.copytree(pipeline, made, dirs_exist_ok=True, ignore=choose_left_out)
    srsly.write_json(made / DELTA_FILE, {"components": bases})


def apply_delta(base: Path, delta: Path, made: Path) -> None:
    """Write the pipeline that a delta and its base make together.

    base (Path): Directory of the encoder, or of a pipeline that has the same base.
    delta (Path): Directory of the delta.
    made (Path): An empty directory.
    RAISES (ValueError): If one of them cannot be read, or the delta is that of another base.
    """
    from ..layers.adapters import stored_name
    from ..layers.storage import FROZEN_FILE, halved, read_tensors, write_tensors

    bases = _read_delta(delta)
    shutil.copytree(delta, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns(DELTA_FILE))
    for name, wanted in bases.items():
        tensors, folder = _read_base(base, name)
        found = _hash_base(tensors, folder)
        if found != wanted["base"]:
            raise ValueError(
                f"'{base}' is not the base of '{delta}': the hash of its weights and tokenizer is "
                f"{found}, that of what '{name}' was trained on is {wanted['base']}. Name the "
                f"encoder or pipeline that it was trained on."
            )
        target = made / name / "model"
        added = list(read_tensors(target))
        frozen = {
            stored_name(n, added): halved(tensor) if n in wanted["half"] else tensor.float()
            for n, tensor in tensors.items()
        }
        write_tensors(target / FROZEN_FILE, frozen)
        write_text(target / TOKENIZER_FILE, PieceTokenizer.from_path(folder).to_json())


def _find_classifiers(pipeline: Path) -> List[str]:
    """Components of a pipeline that have an encoder of their own.

    RAISES (ValueError): If there are none.
    """
    is_pipeline = (pipeline / "config.cfg").is_file()
    components = util.load_config(pipeline / "config.cfg")["components"] if is_pipeline else {}
    found = [
        name
        for name, config in components.items()
        if config.get("factory") in FACTORIES
        and (pipeline / name / "model" / CONFIG_FILE).is_file()
    ]
    if not found:
        raise ValueError(
            f"'{pipeline}' is not a trained pipeline with an encoder of its own (components: "
            f"{', '.join(components) or 'none'}). Name a directory such as training/model-best."
        )
    return found


def _read_delta(path: Path) -> Dict[str, Any]:
    """Of each component, the hash of its base and which tensors of that it keeps in fp16.

    RAISES (ValueError): If there is no delta.
    """
    try:
        bases = srsly.read_json(path / DELTA_FILE)["components"].items()
        return {name: {key: facts[key] for key in ("base", "half")} for name, facts in bases}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise ValueError(
            f"'{path}' is not a delta, or is damaged ({type(e).__name__}: {e}). Make one with: "
            f"python -m spacy xlt delta save"
        ) from e


def _read_base(path: Path, name: str) -> Tuple[Dict[str, "Tensor"], Path]:
    """An encoder's own tensors, by their names without an adapter, and where its tokenizer is.

    path (Path): Directory of an encoder or a pipeline.
    name (str): The component to take, where a pipeline has several.
    RAISES (ValueError): If it is neither.
    """
    from ..layers.encoder import load_encoder
    from ..layers.storage import read_tensors

    if not (path / "config.cfg").is_file():
        named = load_encoder(path).named_parameters()
        return {f"encoder.{name}": parameter.detach() for name, parameter in named}, path
    names = _find_classifiers(path)
    folder = path / (name if name in names else names[0]) / "model"
    return _base_of(read_tensors(folder)), folder


def _base_of(tensors: Dict[str, "Tensor"]) -> Dict[str, "Tensor"]:
    """Those of the encoder itself, by their names without an adapter."""
    from ..layers.adapters import plain_name

    return {plain_name(name): tensor for name, tensor in tensors.items() if not _is_added(name)}


def _is_added(name: str) -> bool:
    """Whether a tensor belongs to an adapter, the head, or what counts beside it."""
    from ..layers.adapters import is_adapter_name

    added = ("head.", "centres.", "neighbours.", "ngrams.")
    return is_adapter_name(name) or name.startswith(added)


def _hash_base(tensors: Dict[str, "Tensor"], folder: Path) -> str:
    """SHA-256 of an encoder's tensors and tokenizer, the same in full and in half precision."""
    from ..layers.storage import halved

    digest = hashlib.sha256(PieceTokenizer.from_path(folder).to_json().encode("utf8"))
    for name in sorted(tensors):
        tensor = halved(tensors[name]).contiguous()
        digest.update(f"{name} {list(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
