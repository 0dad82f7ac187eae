"""Unpack the 4-bit checkpoint of multilingual-e5-small into an ordinary encoder directory."""

import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import numpy

from ..encoder_files import CONFIG_FILE, WEIGHTS_FILE
from .weights import safetensors_header

MAGIC = b"E5S1"
VERSION = 1
BLOCK_SIZE = 32
# One block: a half-precision scale, then 32 weights in 16 bytes; byte j holds weight j in its low
# and weight j + 16 in its high half.
BLOCK = numpy.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK_SIZE // 2)])
F32 = numpy.dtype("<f4")
# Bounds the memory of unpacking: 64 Ki blocks are 8 MB of fp32.
CHUNK_BLOCKS = 2**16

# Names of the packed file -> names of transformers.BertModel.
EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}

# The sizes at the start of the file, in their order; fields of PackedHeader.
SIZES = ("width", "n_layers", "n_heads", "feedforward_width", "n_rows", "n_positions", "n_types")

OnUnpacked = Callable[[int, int], None]
# Name in the packed file -> name and shape in transformers.BertModel
Layout = Dict[str, Tuple[str, Tuple[int, ...]]]


@dataclass(frozen=True)
class PackedTensor:
    """One entry of the directory of a packed file.

    name (str): Name in the packed file.
    is_4bit (bool): Whether it is stored in 4-bit blocks; else it is fp32.
    n_elements (int): Number of weights.
    start (int): Offset from the start of the file.
    n_bytes (int): Bytes it takes there.
    """

    name: str
    is_4bit: bool
    n_elements: int
    start: int
    n_bytes: int


@dataclass(frozen=True)
class PackedHeader:
    """Sizes and special pieces of a packed encoder, and where its tensors are."""

    width: int
    n_layers: int
    n_heads: int
    feedforward_width: int
    n_rows: int
    n_positions: int
    n_types: int
    eps: float
    bos: int
    eos: int
    pad: int
    unk: int
    tensors: Dict[str, PackedTensor]


def unpack_encoder(packed: Path, directory: Path, *, on_bytes: Optional[OnUnpacked] = None) -> None:
    """Write `config.json` and `model.safetensors` (fp32, names of transformers.BertModel).

    packed (Path): The packed file.
    directory (Path): Where the two files go; it has to exist.
    on_bytes (Optional[Callable[[int, int], None]]): Told the bytes written and their total.
    RAISES (ValueError): If the file is not a whole packed encoder.
    """
    data = Path(packed).read_bytes()
    header = read_header(data, source=str(packed))
    layout = tensor_layout(header)
    check_tensors(header, layout, n_bytes=len(data), source=str(packed))
    config = json.dumps(bert_config(header), indent=2, sort_keys=True)
    (Path(directory) / CONFIG_FILE).write_text(config + "\n", encoding="utf8")
    _write_safetensors(Path(directory) / WEIGHTS_FILE, data, header, layout, on_bytes)


def read_header(data: bytes, *, source: str) -> PackedHeader:
    """Read everything of a packed file but the weights.

    data (bytes): The whole file.
    source (str): Its name, for errors.
    RAISES (ValueError): If it is another kind of file, another version, damaged, or cut short.
    """
    if data[:4] != MAGIC:
        raise ValueError(
            f"'{source}' is not a packed encoder: it starts with {data[:4]!r}, expected {MAGIC!r}."
        )
    reader = _Reader(data, source)
    reader.skip(len(MAGIC))
    (version,) = reader.take("<I")
    if version != VERSION:
        raise ValueError(
            f"'{source}' is a packed encoder of version {version}; only version {VERSION} is known."
        )
    sizes = reader.take("<7i")
    (eps,) = reader.take("<f")
    (block_size,) = reader.take("<i")
    if min(sizes) < 1 or block_size != BLOCK_SIZE or sizes[0] % BLOCK_SIZE or sizes[3] % BLOCK_SIZE:
        raise ValueError(
            f"'{source}' gives the sizes {dict(zip(SIZES, sizes, strict=True))} in blocks of "
            f"{block_size}; expected positive numbers, widths that are multiples of {BLOCK_SIZE}, "
            f"and blocks of {BLOCK_SIZE}."
        )
    n_pieces, bos, eos, pad, unk = reader.take("<5i")
    (n_blob_bytes,) = reader.take("<Q")
    # Offsets, scores and text of the pieces: the tokenizer.json has the same.
    reader.skip((n_pieces + 1) * 4 + n_pieces * 4 + n_blob_bytes)
    _, n_normalizer_bytes = reader.take("<iI")
    reader.skip(n_normalizer_bytes)
    (n_tensors,) = reader.take("<i")
    n_expected = len(EMBEDDING_NAMES) + sizes[1] * len(LAYER_NAMES) * 2
    if n_tensors != n_expected:
        raise ValueError(
            f"'{source}' has {n_tensors} tensors; {sizes[1]} layers call for {n_expected}."
        )
    entries = [_read_entry(reader) for _ in range(n_tensors)]
    # 1e-12 is not a number of fp32: its shortest decimal form is what was meant.
    exact_eps = float(str(numpy.float32(eps)))
    tensors = {tensor.name: tensor for tensor in entries}
    named_sizes: Dict[str, Any] = dict(zip(SIZES, sizes, strict=True))
    return PackedHeader(
        **named_sizes, eps=exact_eps, bos=bos, eos=eos, pad=pad, unk=unk, tensors=tensors
    )


def tensor_layout(header: PackedHeader) -> Layout:
    """The tensors that a header's sizes call for, in the order of transformers.BertModel."""
    width, hidden = header.width, header.feedforward_width
    shapes: Dict[str, Tuple[int, ...]] = {
        "emb.word": (header.n_rows, width),
        "emb.pos": (header.n_positions, width),
        "emb.type": (header.n_types, width),
        "emb.ln.w": (width,),
        "emb.ln.b": (width,),
    }
    layout = {name: (EMBEDDING_NAMES[name], shape) for name, shape in shapes.items()}
    for i in range(header.n_layers):
        for short, long in LAYER_NAMES.items():
            nO = hidden if short == "fi" else width
            nI = hidden if short == "fo" else width
            weight_shape = (nO,) if short.endswith("ln") else (nO, nI)
            prefix = f"encoder.layer.{i}.{long}"
            layout[f"l{i}.{short}.w"] = (f"{prefix}.weight", weight_shape)
            layout[f"l{i}.{short}.b"] = (f"{prefix}.bias", (nO,))
    return layout


def check_tensors(
    header: PackedHeader,
    layout: Layout,
    *,
    n_bytes: int,
    source: str,
) -> None:
    """Check that a packed file holds exactly the tensors that its sizes call for.

    n_bytes (int): Length of the file.
    RAISES (ValueError): Naming the first tensor that is missing, unknown, of another size, or not
        wholly inside the file.
    """
    odd = sorted(set(layout) ^ set(header.tensors))
    if odd:
        state = "lacks the" if odd[0] in layout else "has an unknown"
        raise ValueError(f"'{source}' {state} tensor '{odd[0]}'.")
    for name, (_, shape) in layout.items():
        tensor = header.tensors[name]
        n_elements = math.prod(shape)
        size = n_elements // BLOCK_SIZE * BLOCK.itemsize if tensor.is_4bit else n_elements * 4
        found = (tensor.n_elements, tensor.n_bytes)
        if found != (n_elements, size):
            raise ValueError(
                f"'{source}': tensor '{name}' has {found[0]} weights in {found[1]} bytes, expected "
                f"{n_elements} in {size}."
            )
        if tensor.start + tensor.n_bytes > n_bytes:
            raise ValueError(
                f"'{source}' is cut short: tensor '{name}' ends at byte "
                f"{tensor.start + tensor.n_bytes}, the file at {n_bytes}."
            )


def unpack_tensor(data: bytes, tensor: PackedTensor) -> Iterator[numpy.ndarray]:
    """The weights of one tensor in fp32, in pieces of bounded size.

    data (bytes): The whole packed file.
    RETURNS (Iterator[numpy.ndarray]): One-dimensional pieces, in order.
    """
    if not tensor.is_4bit:
        yield numpy.frombuffer(data, F32, tensor.n_elements, tensor.start)
        return
    n_blocks = tensor.n_elements // BLOCK_SIZE
    blocks = numpy.frombuffer(data, BLOCK, n_blocks, tensor.start)
    for i in range(0, n_blocks, CHUNK_BLOCKS):
        chunk = blocks[i : i + CHUNK_BLOCKS]
        nibbles = chunk["nibbles"]
        values = numpy.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(F32)
        values -= 8
        values *= chunk["scale"].astype(F32)[:, None]
        yield values.reshape(-1)


def bert_config(header: PackedHeader) -> Dict[str, Any]:
    """The `config.json` that makes transformers.BertModel compute what the packed encoder does."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": header.width,
        "num_hidden_layers": header.n_layers,
        "num_attention_heads": header.n_heads,
        "intermediate_size": header.feedforward_width,
        "vocab_size": header.n_rows,
        "max_position_embeddings": header.n_positions,
        "type_vocab_size": header.n_types,
        "layer_norm_eps": header.eps,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "bos_token_id": header.bos,
        "eos_token_id": header.eos,
        "pad_token_id": header.pad,
        "torch_dtype": "float32",
    }


def _write_safetensors(
    path: Path,
    data: bytes,
    header: PackedHeader,
    layout: Layout,
    on_bytes: Optional[OnUnpacked],
) -> None:
    # Written piece by piece: the library's own writer holds the whole model in memory twice.
    entries: Dict[str, Any] = {}
    total = 0
    for name, shape in layout.values():
        end = total + math.prod(shape) * F32.itemsize
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [total, end]}
        total = end
    done = 0
    with path.open("wb") as file:
        file.write(safetensors_header(entries))
        for name in layout:
            for values in unpack_tensor(data, header.tensors[name]):
                file.write(values.tobytes())
                done += values.nbytes
                if on_bytes is not None:
                    on_bytes(done, total)


class _Reader:
    """A position in a packed file that cannot leave it."""

    def __init__(self, data: bytes, source: str) -> None:
        self.data = data
        self.source = source
        self.position = 0

    def skip(self, n_bytes: int) -> int:
        start = self.position
        if n_bytes < 0 or start + n_bytes > len(self.data):
            raise ValueError(
                f"'{self.source}' is cut short or damaged: {n_bytes} bytes wanted at byte {start}, "
                f"the file has {len(self.data)}."
            )
        self.position = start + n_bytes
        return start

    def take(self, fields: str) -> Tuple[Any, ...]:
        return struct.unpack_from(fields, self.data, self.skip(struct.calcsize(fields)))


def _read_entry(reader: _Reader) -> PackedTensor:
    (n_name_bytes,) = reader.take("<H")
    (name,) = reader.take(f"<{n_name_bytes}s")
    kind, n_elements, start, n_bytes = reader.take("<BIQQ")
    text = name.decode("utf8", errors="replace")
    if kind not in (0, 1):
        raise ValueError(
            f"'{reader.source}': tensor '{text}' is of kind {kind}; expected 0 (fp32) or 1 (4-bit)."
        )
    return PackedTensor(text, kind == 1, n_elements, start, n_bytes)
