"""Trained classifiers on disk and in bytes: safetensors, the tokenizer's JSON, and small JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence, Tuple, cast

import safetensors.torch
import srsly
from safetensors import SafetensorError
from torch import Tensor

from ..encoder_files import ADAPTER_FILE, CONFIG_FILE, RECORD_FILE, WEIGHTS_FILE
from ..files import staged_file, write_text
from ..pieces import TOKENIZER_FILE, PieceTokenizer
from ..types import AdapterSettings, BottleneckSettings, LoRASettings, PrefixSettings
from .classifier import assemble_classifier, fits_half

if TYPE_CHECKING:
    from .shim import TextCatShim

FROZEN_FILE = "frozen.safetensors"
_ADAPTERS: Dict[str, Any] = {
    "lora": LoRASettings,
    "bottleneck": BottleneckSettings,
    "prefix": PrefixSettings,
}


def save_shim(shim: "TextCatShim", path: Path) -> None:
    """Write a classifier into a directory.

    Frozen tensors have a file of their own, which is written once per directory: it is most of
    the weight, and a run saves many times. Each file is written beside its place and renamed,
    since the old one may be the very memory that the tensors are mapped to.

    shim (TextCatShim): Holds the classifier.
    path (Path): The directory; made if it is not there.
    """
    path.mkdir(parents=True, exist_ok=True)
    untrained = set(shim.frozen_names())
    # What counts beside the head is small, and belongs to the task rather than to the encoder.
    frozen_names = {name for name in untrained if name.startswith("encoder.")}
    tensors = shim.tensors()
    trained = {name: tensor for name, tensor in tensors.items() if name not in frozen_names}
    if shim.settings.half_precision == "all":
        trained = {n: tensor if n in untrained else halved(tensor) for n, tensor in trained.items()}
    frozen = {name: tensor for name, tensor in tensors.items() if name in frozen_names}
    write_tensors(path / WEIGHTS_FILE, trained)
    frozen_path = path / FROZEN_FILE
    if not frozen:
        frozen_path.unlink(missing_ok=True)
    elif _stamp(frozen_path) != shim.frozen_stamps.get(str(frozen_path.resolve()), ()):
        write_tensors(frozen_path, frozen)
        shim.frozen_stamps[str(frozen_path.resolve())] = _stamp(frozen_path)
    texts = _texts(shim)
    for name, text in texts.items():
        write_text(path / name, text)
    if ADAPTER_FILE not in texts:
        (path / ADAPTER_FILE).unlink(missing_ok=True)


def load_shim(shim: "TextCatShim", path: Path) -> None:
    """Read what `save_shim` wrote.

    RAISES (ValueError): If a file is missing, damaged or does not fit.
    """
    tensors = read_tensors(path)
    names = (CONFIG_FILE, TOKENIZER_FILE, RECORD_FILE, ADAPTER_FILE)
    texts = {
        name: (path / name).read_text(encoding="utf8") for name in names if (path / name).is_file()
    }
    _fill(shim, texts, tensors, source=str(path))


def read_tensors(
    path: Path, files: Sequence[str] = (WEIGHTS_FILE, FROZEN_FILE)
) -> Dict[str, Tensor]:
    """Tensors that `save_shim` wrote, by name.

    RAISES (ValueError): If a file is damaged, or there is none.
    """
    tensors: Dict[str, Tensor] = {}
    for name in files:
        file_path = path / name
        if file_path.is_file():
            try:
                tensors.update(safetensors.torch.load_file(file_path))
            except SafetensorError as e:
                raise ValueError(
                    f"'{file_path}' is damaged ({e}). Copy or train the pipeline again."
                ) from e
    if not tensors:
        raise ValueError(f"No weights in '{path}': {WEIGHTS_FILE} is missing.")
    return tensors


def shim_to_bytes(shim: "TextCatShim") -> bytes:
    if not shim.is_ready:
        return b""
    weights = safetensors.torch.save(_contiguous(shim.tensors()))
    return srsly.msgpack_dumps({"texts": _texts(shim), "weights": weights})


def shim_from_bytes(shim: "TextCatShim", data: bytes) -> None:
    if not data:
        return
    message = srsly.msgpack_loads(data)
    tensors = safetensors.torch.load(message["weights"])
    _fill(shim, message["texts"], tensors, source="the given bytes")


def _texts(shim: "TextCatShim") -> Dict[str, str]:
    """The JSON files of a classifier; none for a head without an encoder."""
    encoder = shim.classifier.encoder
    if encoder is None or shim.tokenizer is None:
        return {}
    texts = {
        CONFIG_FILE: json.dumps(encoder.to_json(), indent=2, sort_keys=True),
        TOKENIZER_FILE: shim.tokenizer.to_json(),
        RECORD_FILE: json.dumps(shim.record, indent=2, sort_keys=True),
    }
    if encoder.adapter is not None:
        texts[ADAPTER_FILE] = _adapter_to_json(encoder.adapter)
    return texts


def _adapter_to_json(adapter: AdapterSettings) -> str:
    (kind,) = (kind for kind, settings in _ADAPTERS.items() if isinstance(adapter, settings))
    return json.dumps({"kind": kind, **asdict(adapter)}, indent=2, sort_keys=True)


def read_adapter(text: Optional[str], source: str) -> Optional[AdapterSettings]:
    """The adapter that a file of this package describes; None without a file.

    RAISES (ValueError): If it is damaged, or describes no adapter that is known here.
    """
    if text is None:
        return None
    values = _from_json(text, source)
    try:
        kind = _ADAPTERS[values.pop("kind")]
        if values.get("targets") is not None:
            values["targets"] = tuple(values["targets"])
        return cast(AdapterSettings, kind(**values))
    except (AttributeError, KeyError, TypeError) as e:
        raise ValueError(
            f"'{source}' describes no adapter of this version of spacy-xlt ({e!r}). Update it, or "
            f"copy or train the pipeline again."
        ) from e


def _fill(
    shim: "TextCatShim", texts: Dict[str, str], tensors: Dict[str, Tensor], *, source: str
) -> None:
    config: Optional[Dict[str, Any]] = None
    tokenizer = None
    if shim.reading is not None:
        for name in (CONFIG_FILE, TOKENIZER_FILE):
            if name not in texts:
                raise ValueError(
                    f"The classifier in '{source}' is incomplete: no {name}. If it is a delta, "
                    f"put it on its base with: python -m spacy xlt delta apply"
                )
        config = _from_json(texts[CONFIG_FILE], f"{source}/{CONFIG_FILE}")
        tokenizer = PieceTokenizer.from_json(
            texts[TOKENIZER_FILE], source=f"{source}/{TOKENIZER_FILE}"
        )
    record = _from_json(texts.get(RECORD_FILE, "{}"), f"{source}/{RECORD_FILE}")
    normalize = shim.reading.normalize if shim.reading is not None else False
    adapter = read_adapter(texts.get(ADAPTER_FILE), f"{source}/{ADAPTER_FILE}")
    classifier = assemble_classifier(config, tensors, normalize=normalize, adapter=adapter)
    shim.set_classifier(classifier, tokenizer, record)


def _from_json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as e:
        raise ValueError(f"'{source}' is damaged ({e}). Copy or train the pipeline again.") from e


def write_tensors(
    path: Path, tensors: Dict[str, Tensor], metadata: Optional[Dict[str, str]] = None
) -> None:
    """Write a whole safetensors file. RAISES (OSError): If that fails."""
    try:
        with staged_file(path) as staging:
            safetensors.torch.save_file(_contiguous(tensors), staging, metadata)
    except SafetensorError as e:
        # A full disk reaches Python as this error; it is one of the system's.
        raise OSError(f"Could not write '{path}': {e}") from e


def halved(tensor: Tensor) -> Tensor:
    """A matrix in fp16 if it can hold it; anything else as it is."""
    return tensor.half() if tensor.ndim > 1 and fits_half(tensor) else tensor


def _contiguous(tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _stamp(path: Path) -> Tuple[int, ...]:
    """What changes whenever a file is written anew."""
    if not path.is_file():
        return (-1,)
    stat = path.stat()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)
