"""Labelled texts in TSV, CSV, JSONL and Parquet files, plain or gzipped, read row by row."""

import contextlib
import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from ..compat import require

# suffix -> format
FORMATS = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
# role -> names that a column of that role goes by, the first one present counts
COLUMN_NAMES: Dict[str, Tuple[str, ...]] = {
    "text": ("text", "sentence", "utterance"),
    "label": ("cats", "label", "category", "labels", "intent"),
    "lang": ("lang", "language", "locale"),
    "id": ("id", "index_id"),
    "split": ("split",),
    "pair": (),
    "weight": ("xlt_weight",),
}
# spaCy refuses longer texts when it is used with its default settings (nlp.max_length).
MAX_CHARS = 1_000_000
# What a byte that is not UTF-8 becomes under "surrogateescape".
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Columns:
    """Names of the columns; None is looked for among the usual names of its role.

    text (Optional[str]): The text.
    label (Optional[str]): A label, several of them, or an object of scores per label.
    lang (Optional[str]): Language tag.
    id (Optional[str]): Identity of the item; the same in every language of parallel rows.
    split (Optional[str]): Name of the split.
    pair (Optional[str]): Second text of a pair; never looked for.
    weight (Optional[str]): Weight of the example in training.
    """

    text: Optional[str] = None
    label: Optional[str] = None
    lang: Optional[str] = None
    id: Optional[str] = None
    split: Optional[str] = None
    pair: Optional[str] = None
    weight: Optional[str] = None


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    file (str): Name of the file.
    line (int): Its line, counted from 1 with the header; for Parquet the row, counted from 1.
    reason (str): What is wrong with it.
    content (str): The row as read, for the rejects file.
    """

    file: str
    line: int
    reason: str
    content: str = ""


@dataclass(frozen=True)
class Fields:
    """What one row says, before languages, label maps and splits are settled.

    labels (Union[List[str], Dict[str, float]]): Labels that hold, or a score per label.
    lang (Optional[str]): None where the row has no language column.
    split (Optional[str]): None where the row has no split column.
    """

    line: int
    text: str
    labels: Union[List[str], Dict[str, float]]
    lang: Optional[str] = None
    id: str = ""
    split: Optional[str] = None
    pair: str = ""
    weight: float = 1.0


# A row as its format gives it, or the reason why it could not be read.
Record = Tuple[int, Union[Dict[str, Any], str], str]


def file_format(path: Path) -> str:
    """Format of a file, by its name.

    RAISES (ValueError): If the suffix is none of the known ones.
    """
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in FORMATS:
        raise ValueError(
            f"'{path.name}' has an unknown format. Allowed are files that end in "
            f"{', '.join(FORMATS)}, each also with .gz added."
        )
    return FORMATS[suffix]


def is_data_file(path: Path) -> bool:
    try:
        return path.is_file() and bool(file_format(path))
    except ValueError:
        return False


def bare_name(path: Path) -> str:
    """Name of a data file without the suffixes of format and compression."""
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return name.rsplit(".", 1)[0]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_fields(
    path: Path,
    columns: Columns,
    *,
    label_separator: Optional[str] = None,
    delimiter: Optional[str] = None,
    allow_empty: bool = False,
) -> Iterator[Union[Fields, BadRow]]:
    """Read a file row by row.

    path (Path): The file; its name tells the format.
    columns (Columns): Names of its columns.
    label_separator (Optional[str]): What stands between several labels of a row.
    delimiter (Optional[str]): What stands between the columns of a CSV file; None is a comma, or
        a semicolon where the header has no comma.
    allow_empty (bool): Whether a text may be empty.
    YIELDS (Union[Fields, BadRow]): Each row or what is wrong with it, in order.
    RAISES (ValueError): If the file as a whole cannot be read: no such file or format, no column
        for text or label, not UTF-8 at all, or a damaged archive.
    """
    if not path.is_file():
        raise ValueError(f"There is no file '{path}'.")
    if path.stat().st_size == 0:
        raise ValueError(f"'{path}' is empty. Expected a header and rows, or JSON lines.")
    first = True
    for line, record, content in read_records(path, file_format(path), delimiter=delimiter):
        if isinstance(record, str):
            yield BadRow(path.name, line, record, content)
            continue
        if first:
            _check_columns(path, record, columns)
            first = False
        try:
            yield _parse(line, record, columns, label_separator, allow_empty)
        except ValueError as e:
            yield BadRow(path.name, line, str(e), content)


def to_cats(labels: Union[List[str], Dict[str, float]], known: Iterable[str]) -> Dict[str, float]:
    """Gold scores of a row: scores as they are given, labels as 1.0 among all known ones."""
    if isinstance(labels, dict):
        return dict(labels)
    return {label: float(label in labels) for label in known}


def read_records(
    path: Path,
    format: str,
    *,
    delimiter: Optional[str] = None,
    stream: Optional[io.BufferedReader] = None,
) -> Iterator[Record]:
    """Read a file row by row, each with all its fields.

    path (Path): The file, or what errors call the stream.
    format (str): One of `FORMATS`.
    delimiter (Optional[str]): What stands between the columns of a CSV file.
    stream (Optional[io.BufferedReader]): What to read in place of the file, such as
        standard input; not for Parquet.
    YIELDS (Record): Line, fields or the reason why they cannot be read, and the line as it is.
    RAISES (ValueError): If the file as a whole cannot be read.
    """
    readers = {"tsv": _read_tsv, "csv": _read_csv, "jsonl": _read_jsonl}
    try:
        if format == "parquet":
            yield from _read_parquet(path)
            return
        newline = "" if format == "csv" else "\n"
        with stream or _open(path) as binary:
            _check_encoding(path, binary)
            with io.TextIOWrapper(
                binary, encoding="utf-8-sig", errors="surrogateescape", newline=newline
            ) as text:
                yield from readers[format](path, text, delimiter)
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise ValueError(
            f"'{path}' is not a complete gzip file: {e}. Fetch or make it again."
        ) from e


def _open(path: Path) -> io.BufferedReader:
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"))
    return path.open("rb")


def _check_encoding(path: Path, binary: io.BufferedReader) -> None:
    if binary.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"'{path}' is UTF-16. Save it as UTF-8 and import it again.")


def _read_tsv(path: Path, file: IO[str], delimiter: Optional[str]) -> Iterator[Record]:
    """No quoting: a line is a row, a tab ends a column."""
    header: Optional[List[str]] = None
    for number, raw in enumerate(file, start=1):
        line = raw.removesuffix("\n").removesuffix("\r")
        if not line:
            continue
        values = line.split("\t")
        if header is None:
            header = _check_header(path, values)
        else:
            yield number, _to_record(header, values, line), _printable(line)


def _read_csv(path: Path, file: IO[str], delimiter: Optional[str]) -> Iterator[Record]:
    """The standard library's dialect: double quotes, a field may span lines."""
    first = file.readline()
    if delimiter is None:
        delimiter = ";" if ";" in first and "," not in first else ","
    header = _check_header(path, next(csv.reader([first], delimiter=delimiter), []))
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    with _field_size_limit():
        while True:
            number = rows.line_num + 2
            try:
                values = next(rows)
            except StopIteration:
                return
            except csv.Error as e:
                yield number, f"not CSV: {e}", ""
                continue
            if values:
                line = delimiter.join(values)
                yield number, _to_record(header, values, line), _printable(line)


def _read_jsonl(path: Path, file: IO[str], delimiter: Optional[str]) -> Iterator[Record]:
    for number, raw in enumerate(file, start=1):
        line = raw.strip()
        if not line:
            continue
        content = _printable(line)
        if _BAD_BYTE.search(line):
            yield number, "undecodable bytes: not UTF-8", content
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as e:
            yield number, f"not JSON: {e}", content
            continue
        if not isinstance(record, dict):
            yield number, f"holds {type(record).__name__}, expected a JSON object", content
            continue
        yield number, record, content


def _read_parquet(path: Path) -> Iterator[Record]:
    parquet = require("pyarrow.parquet", "Reading Parquet files")
    pyarrow = require("pyarrow", "Reading Parquet files")
    source: Any = path
    if path.suffix.lower() == ".gz":
        source = io.BytesIO(gzip.decompress(path.read_bytes()))
    try:
        file = parquet.ParquetFile(source)
        number = 0
        for batch in file.iter_batches():
            names, values = batch.schema.names, batch.columns
            for i in range(batch.num_rows):
                number += 1
                try:
                    record = {
                        name: column[i].as_py() for name, column in zip(names, values, strict=True)
                    }
                except UnicodeDecodeError:
                    yield number, "undecodable bytes: not UTF-8", ""
                    continue
                yield number, record, _printable(str(record))
    except pyarrow.ArrowInvalid as e:
        raise ValueError(f"'{path}' is not a readable Parquet file: {e}") from e


def _check_header(path: Path, header: List[str]) -> List[str]:
    header = [name.strip() for name in header]
    if len(set(header)) < len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        raise ValueError(f"'{path}' has two columns named {twice[0]!r}. Rename one in its header.")
    return header


def _to_record(header: List[str], values: List[str], line: str) -> Union[Dict[str, Any], str]:
    if _BAD_BYTE.search(line):
        return "undecodable bytes: not UTF-8"
    if len(values) != len(header):
        return f"{len(values)} columns, expected {len(header)}"
    return dict(zip(header, values, strict=True))


def _check_columns(path: Path, record: Mapping[str, Any], columns: Columns) -> None:
    """A file whose first row lacks a column lacks it everywhere: say so once."""
    named = asdict(columns)
    for role, names in COLUMN_NAMES.items():
        wanted = named[role]
        is_missing = wanted is not None and wanted not in record
        is_unguessed = wanted is None and role in ("text", "label") and not _find(record, role)
        if is_missing or is_unguessed:
            looked_for = wanted if wanted is not None else ", ".join(names)
            raise ValueError(
                f"'{path}' has no {role} column (looked for: {looked_for}). It has: "
                f"{', '.join(map(str, record))}. Name the right one with --{role}-column of spacy "
                f"xlt data import."
            )


def _find(record: Mapping[str, Any], role: str) -> Optional[str]:
    return next((name for name in COLUMN_NAMES[role] if name in record), None)


def _parse(
    line: int,
    record: Mapping[str, Any],
    columns: Columns,
    label_separator: Optional[str],
    allow_empty: bool,
) -> Fields:
    """RAISES (ValueError): With the reason why the row cannot be used."""
    values: Dict[str, Any] = {}
    for role, name in asdict(columns).items():
        key = name if name is not None else _find(record, role)
        values[role] = record.get(key) if key is not None else None
    return Fields(
        line=line,
        text=_parse_text(values["text"], "text", allow_empty),
        labels=_parse_labels(values["label"], label_separator),
        lang=_parse_name(values["lang"], "language"),
        id=_parse_name(values["id"], "id") or "",
        split=_parse_name(values["split"], "split"),
        pair="" if columns.pair is None else _parse_text(values["pair"], "second text", False),
        weight=_parse_weight(values["weight"]),
    )


def _parse_text(value: Any, role: str, allow_empty: bool) -> str:
    is_empty = isinstance(value, str) and not value.strip()
    if value is None or (is_empty and not allow_empty):
        raise ValueError(f"no {role}")
    if not isinstance(value, str):
        raise ValueError(f"{role} is {type(value).__name__}, expected a string")
    if _SURROGATE.search(value):
        raise ValueError(f"{role} holds half a character (a lone surrogate)")
    if len(value) > MAX_CHARS:
        raise ValueError(
            f"{role} has {len(value):,} characters; spaCy reads at most {MAX_CHARS:,}: divide it"
        )
    return value


def _parse_labels(value: Any, separator: Optional[str]) -> Union[List[str], Dict[str, float]]:
    if isinstance(value, Mapping):
        return _parse_scores(value)
    if isinstance(value, str) and separator:
        # A separator says that there may be any number of labels, so none as well.
        return [label for part in value.split(separator) if (label := part.strip())]
    if isinstance(value, (list, tuple)):
        return [_parse_label(label) for label in value]
    return [_parse_label(value)]


def _parse_label(value: Any) -> str:
    label = _parse_name(value, "label")
    if not label:
        raise ValueError("no label")
    return label


def _parse_scores(scores: Mapping[Any, Any]) -> Dict[str, float]:
    parsed = {}
    for key, score in scores.items():
        # Parquet gives every row of a struct column every key; null is "not judged".
        if score is None:
            continue
        label = _parse_label(key)
        if not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise ValueError(f"score of {label!r} is {score!r}, expected a number from 0 to 1")
        parsed[label] = float(score)
    if not parsed:
        raise ValueError("no label")
    return parsed


def _parse_name(value: Any, role: str) -> Optional[str]:
    """A short string such as a label; numbers are taken as their digits."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"{role} is {type(value).__name__}, expected a string")
    name = str(value).strip()
    if _SURROGATE.search(name):
        raise ValueError(f"{role} holds half a character (a lone surrogate)")
    return name


def _parse_weight(value: Any) -> float:
    if value is None:
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise ValueError(f"weight is {value!r}, expected a number that is not negative")
    return weight


def _printable(line: str) -> str:
    """The line as it can be written to a UTF-8 file."""
    return line.encode("utf8", "backslashreplace").decode("utf8")


@contextlib.contextmanager
def _field_size_limit() -> Iterator[None]:
    """The csv module's own limit is 131,072 characters a field, less than a long document."""
    old = csv.field_size_limit(max(csv.field_size_limit(), 4 * MAX_CHARS))
    try:
        yield
    finally:
        csv.field_size_limit(old)
