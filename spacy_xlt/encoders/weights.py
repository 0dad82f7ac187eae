"""Which files make an encoder, and safetensors files without the tensors."""

import json
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from safetensors import SafetensorError, safe_open

from ..encoder_files import CONFIG_FILE, WEIGHTS_FILE
from ..files import CHUNK_BYTES, OnBytes, ignore_bytes
from ..pieces import TOKENIZER_FILE

SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
# Endings of weights that are not read: most can hold code.
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".ot", ".onnx")
CONVERT = (
    "Convert it once, where you trust its origin: load it with AutoModel and AutoTokenizer of "
    "transformers, save both into one directory with save_pretrained, then fetch that directory: "
    "python -m spacy xlt encoder fetch DIRECTORY TARGET"
)


def needed_files(names: Iterable[str], *, source: str) -> List[str]:
    """The files of an encoder that are taken: configuration, tokenizer, safetensors.

    names (Iterable[str]): Names of all files there.
    source (str): What is being looked at, for errors.
    RETURNS (List[str]): config.json, tokenizer.json and one or more files of weights, in order.
    RAISES (ValueError): If one of them is missing.
    """
    there = set(names)
    found = ", ".join(sorted(there)[:12]) or "nothing"
    if CONFIG_FILE not in there:
        raise ValueError(f"{source} is not an encoder: it has no {CONFIG_FILE} (found: {found}).")
    weights = [WEIGHTS_FILE] if WEIGHTS_FILE in there else _shards(there, source=source)
    if not weights:
        other = sorted(name for name in there if name.endswith(OTHER_WEIGHTS))
        what = f"only weights in other formats ({', '.join(other)})" if other else "no weights"
        raise ValueError(
            f"{source} has no {WEIGHTS_FILE}, {what}. Only safetensors are read, because the "
            f"others can run code or need other libraries. {CONVERT}"
        )
    if TOKENIZER_FILE not in there:
        raise ValueError(f"{source} has no {TOKENIZER_FILE} (found: {found}). {CONVERT}")
    return [CONFIG_FILE, TOKENIZER_FILE, *weights]


def _shards(names: Iterable[str], *, source: str) -> List[str]:
    matches = sorted((m[0], int(m[2])) for m in map(SHARD.fullmatch, names) if m)
    if matches and len(matches) != matches[0][1]:
        raise ValueError(
            f"{source} has {len(matches)} of the {matches[0][1]} files of weights that '"
            f"{matches[0][0]}' is one of. Get the missing ones."
        )
    return [name for name, _ in matches]


def read_shapes(path: Path) -> Dict[str, Tuple[int, ...]]:
    """Shapes of all tensors in a safetensors file, by name; the tensors are not read.

    RAISES (ValueError): If the file is not a whole safetensors file.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as e:
        raise ValueError(f"'{path}' is not a whole safetensors file: {e}") from e


def safetensors_header(entries: Dict[str, Any]) -> bytes:
    """The start of a safetensors file.

    entries (Dict[str, Any]): By tensor name, a dict of dtype, shape and data_offsets.
    """
    text = json.dumps({"__metadata__": {"format": "pt"}, **entries}, separators=(",", ":")).encode(
        "utf8"
    )
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def merge_shards(shards: Sequence[Path], path: Path, *, on_bytes: OnBytes = ignore_bytes) -> None:
    """Write several safetensors files as one, with bounded memory.

    RAISES (ValueError): If a shard is damaged or two have a tensor of the same name.
    """
    entries: Dict[str, Any] = {}
    starts: List[int] = []
    total = 0
    for shard in shards:
        read_shapes(shard)
        header, start = _read_header(shard)
        for name, entry in header.items():
            if name in entries:
                raise ValueError(f"Tensor '{name}' is in '{shard}' and in another file as well.")
            offsets = [total + offset for offset in entry["data_offsets"]]
            entries[name] = {**entry, "data_offsets": offsets}
        starts.append(start)
        total += shard.stat().st_size - start
    done = 0
    with path.open("wb") as merged:
        merged.write(safetensors_header(entries))
        for shard, start in zip(shards, starts, strict=True):
            with shard.open("rb") as file:
                file.seek(start)
                while chunk := file.read(CHUNK_BYTES):
                    merged.write(chunk)
                    done += len(chunk)
                    on_bytes(done)


def _read_header(path: Path) -> Tuple[Dict[str, Any], int]:
    with path.open("rb") as file:
        (n_bytes,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(n_bytes))
    header.pop("__metadata__", None)
    return header, 8 + n_bytes
