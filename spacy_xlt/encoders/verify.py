"""Check that an encoder directory is whole, and that it computes what it should."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ..encoder_files import (
    RECORD_FILE,
    WEIGHTS_FILE,
    EncoderRecord,
    read_encoder_config,
    read_encoder_record,
)
from ..files import OnProgress, counter, file_sha256, no_progress
from ..pieces import PieceTokenizer
from .catalogue import find_encoder
from .weights import read_shapes

WIDTH_KEYS = ("hidden_size", "d_model", "n_embd", "dim")
# How the table of piece vectors is called, at the end of its name.
TABLE_NAMES = (
    "word_embeddings.weight",
    "tok_embeddings.weight",
    "shared.weight",
    "embed_tokens.weight",
    "word_embedding.weight",
    "wte.weight",
)
# Cosines of mean-pooled vectors of "query: " + text; as measured with the unpacked 4-bit weights.
E5_SMALL_COSINES = (
    (
        "The government raised taxes on fuel.",
        "Die Regierung hat die Kraftstoffsteuer erhöht.",
        0.905,
    ),
    ("The government raised taxes on fuel.", "政府提高了燃油税。", 0.873),
    ("The football team won the final.", "Timu ya mpira wa miguu ilishinda fainali.", 0.841),
    ("The football team won the final.", "फुटबॉल टीम ने फाइनल जीता।", 0.917),
    ("The government raised taxes on fuel.", "The football team won the final.", 0.783),
)
TOLERANCE = 0.003
# (name, variant) of a record -> the cosines it has to give
KNOWN_COSINES = {("multilingual-e5-small", "q4"): E5_SMALL_COSINES}


@dataclass(frozen=True)
class EncoderReport:
    """What `verify_encoder` found.

    record (EncoderRecord): The directory's record.
    width (int): Width of its vectors.
    n_pieces (int): Size of the tokenizer's vocabulary.
    n_tensors (int): Number of tensors.
    n_bytes (int): Size of all files together.
    cosines (Tuple[Tuple[str, str, float, float], ...]): Two texts, the cosine of their vectors, and
        the expected one; empty where they were not asked for.
    """

    record: EncoderRecord
    width: int
    n_pieces: int
    n_tensors: int
    n_bytes: int
    cosines: Tuple[Tuple[str, str, float, float], ...] = ()


def verify_encoder(
    directory: Path, *, vectors: bool = False, on_progress: OnProgress = no_progress
) -> EncoderReport:
    """Check an encoder directory: hashes, configuration, tokenizer, tensors.

    directory (Path): The directory, as `fetch_encoder` made it.
    vectors (bool): Whether to compute vectors too and compare them with known values.
    on_progress (OnProgress): Told a step's name, bytes done and bytes in all.
    RETURNS (EncoderReport): What was found.
    RAISES (ValueError): If something is not as it should be.
    """
    directory = Path(directory)
    record = read_encoder_record(directory)
    if record:
        # First, because "damaged" tells more than what the damage leads to.
        check_files(directory, record, on_progress=on_progress)
    report = inspect_encoder(directory)
    if not record:
        raise ValueError(
            f"'{directory}' has no {RECORD_FILE} with the hashes of its files, so it cannot be "
            f"verified. Copy it into a directory that has one: python -m spacy xlt encoder fetch "
            f"{directory} TARGET"
        )
    if not vectors:
        return report
    return replace(report, cosines=check_vectors(directory, record))


def check_files(
    directory: Path, record: EncoderRecord, *, on_progress: OnProgress = no_progress
) -> None:
    """Compare the files of a directory with the hashes of its record.

    RAISES (ValueError): Naming the first file that is missing or changed.
    """
    files = record.get("files")
    if not isinstance(files, dict) or not files:
        raise ValueError(
            f"'{directory / RECORD_FILE}' has no hashes of the files beside it (key 'files'). "
            f"{_fetch_again(directory, record)}"
        )
    missing = [name for name in files if not (directory / name).is_file()]
    if missing:
        raise ValueError(
            f"'{directory}' lacks {', '.join(missing)}. {_fetch_again(directory, record)}"
        )
    total = sum((directory / name).stat().st_size for name in files)
    done = 0
    for name, expected in files.items():
        on_bytes = counter(on_progress, "verify", total, before=done)
        found = file_sha256(directory / name, on_bytes=on_bytes)
        if found != expected:
            raise ValueError(
                f"'{directory / name}' was changed or damaged: its SHA-256 is {found}, expected "
                f"{expected}. {_fetch_again(directory, record)}"
            )
        done += (directory / name).stat().st_size


def inspect_encoder(directory: Path) -> EncoderReport:
    """Check that configuration, tokenizer and tensors can be read and fit one another.

    RAISES (ValueError): If they do not.
    """
    config = read_encoder_config(directory)
    record = read_encoder_record(directory)
    n_pieces = PieceTokenizer.from_path(directory).n_pieces
    weights = directory / WEIGHTS_FILE
    if not weights.is_file():
        raise ValueError(f"No {WEIGHTS_FILE} in '{directory}'. {_fetch_again(directory, record)}")
    shapes = read_shapes(weights)
    width = _check_table(shapes, config, n_pieces=n_pieces, source=str(weights))
    n_bytes = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
    return EncoderReport(record, width, n_pieces, len(shapes), n_bytes)


def check_vectors(
    directory: Path, record: EncoderRecord
) -> Tuple[Tuple[str, str, float, float], ...]:
    """Compute the cosines that are known for an encoder.

    RETURNS (Tuple[Tuple[str, str, float, float], ...]): Two texts, their cosine, the expected one.
    RAISES (ValueError): If none are known for it, or if one is off.
    """
    key = (record.get("name", ""), record.get("variant", ""))
    if key not in KNOWN_COSINES:
        known = ", ".join(f"{name} ({variant})" for name, variant in KNOWN_COSINES)
        raise ValueError(
            f"No vectors are known for the encoder '{key[0]}' ({key[1] or 'no variant'}) in "
            f"'{directory}', only for: {known}. Verify it without --vectors."
        )
    expected = KNOWN_COSINES[key]
    prefix = record.get("prefix", "")
    texts = sorted({text for a, b, _ in expected for text in (a, b)})
    index = {text: i for i, text in enumerate(texts)}
    unit = _mean_vectors(directory, [prefix + text for text in texts])
    found = tuple((a, b, float(unit[index[a]] @ unit[index[b]]), c) for a, b, c in expected)
    for a, b, cosine, wanted in found:
        if not abs(cosine - wanted) <= TOLERANCE:
            raise ValueError(
                f"The encoder in '{directory}' computes other vectors than it should: the cosine "
                f"of '{a}' and '{b}' is {cosine:.3f}, expected {wanted} (± {TOLERANCE}). "
                f"{_fetch_again(directory, record)}"
            )
    return found


def config_width(config: Dict[str, Any]) -> Optional[int]:
    """Width of an encoder's vectors, as its `config.json` gives it."""
    return next((config[key] for key in WIDTH_KEYS if isinstance(config.get(key), int)), None)


def _mean_vectors(directory: Path, texts: List[str]) -> Any:
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(
        str(directory), add_pooling_layer=False, use_safetensors=True, local_files_only=True
    )
    model.eval()
    tokenizer = PieceTokenizer.from_path(directory)
    rows = []
    with torch.inference_mode():
        for pieces in tokenizer.encode(texts):
            ids = torch.tensor([[*tokenizer.starts, *pieces.tolist(), *tokenizer.ends]])
            rows.append(model(input_ids=ids).last_hidden_state[0].mean(0))
    return torch.nn.functional.normalize(torch.stack(rows), dim=1).numpy()


def _check_table(
    shapes: Dict[str, Tuple[int, ...]], config: Dict[str, Any], *, n_pieces: int, source: str
) -> int:
    width = config_width(config)
    if width is None:
        raise ValueError(
            f"The config.json beside '{source}' gives no width (none of {', '.join(WIDTH_KEYS)})."
        )
    tables = {name: shape for name, shape in shapes.items() if name.endswith(TABLE_NAMES)}
    if not tables:
        raise ValueError(
            f"'{source}' has no table of piece vectors (no tensor whose name ends in one of "
            f"{', '.join(TABLE_NAMES)}), so it is not an encoder's."
        )
    for name, shape in tables.items():
        if len(shape) != 2 or shape[1] != width or shape[0] != config.get("vocab_size"):
            raise ValueError(
                f"'{source}': tensor '{name}' has shape {shape}, but the config.json beside it "
                f"calls for {(config.get('vocab_size'), width)}. They belong to different encoders."
            )
        if n_pieces > shape[0]:
            raise ValueError(
                f"The tokenizer beside '{source}' has {n_pieces} pieces, but there are vectors for "
                f"{shape[0]} only. They belong to different encoders."
            )
    return width


def _fetch_again(directory: Path, record: EncoderRecord) -> str:
    known = find_encoder(str(record.get("name")))
    name = known.name if known else "NAME_OR_DIRECTORY"
    return f"Fetch it again: python -m spacy xlt encoder fetch {name} {directory} --force"
