"""Tables of texts that stream through a command: rows in, rows out, all fields kept."""

import gzip
import io
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from ..corpora.formats import file_format, read_records
from ..files import staged_file

STANDARD_STREAM = Path("-")
TEXT_SUFFIXES = (".txt", ".text")
INPUT_FORMATS = ("jsonl", "csv", "tsv", "parquet", "txt")
OUTPUT_FORMATS = ("jsonl", "csv", "tsv")

Row = Dict[str, Any]


def find_format(path: Path, asked: Optional[str], allowed: Tuple[str, ...], default: str) -> str:
    """Format of a table: the one asked for, else by the file's name; `default` for a stream.

    RAISES (ValueError): If it is not one of those allowed.
    """
    if asked is not None:
        found = asked.lower().lstrip(".")
    elif path == STANDARD_STREAM:
        found = default
    elif path.name.lower().removesuffix(".gz").endswith(TEXT_SUFFIXES):
        found = "txt"
    else:
        found = file_format(path)
    if found not in allowed:
        raise ValueError(f"The format '{found}' is not among those allowed: {', '.join(allowed)}.")
    return found


def read_rows(path: Path, format: str, text_field: str) -> Iterator[Tuple[int, Any, str]]:
    """Rows of a table with their lines; of plain text, one row for each line.

    YIELDS (Tuple[int, Any, str]): Line, a dict of fields or the reason why there is none, and
        the line as it is.
    RAISES (ValueError): If there is no such file, or it cannot be read as a whole.
    """
    stream: Any = None
    if path == STANDARD_STREAM:
        if format == "parquet":
            raise ValueError("Parquet cannot be read from standard input. Name a file.")
        stream = io.BufferedReader(sys.stdin.buffer)
    elif not path.is_file():
        raise ValueError(f"There is no file '{path}'.")
    if format != "txt":
        yield from read_records(path, format, stream=stream)
        return
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    binary: Any = stream or opener(path, "rb")
    with binary:
        try:
            for number, raw in enumerate(binary, start=1):
                try:
                    text = raw.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode("utf8")
                except UnicodeDecodeError:
                    yield number, "undecodable bytes: not UTF-8", raw.decode("utf8", "replace")
                    continue
                text = text.removesuffix("\n").removesuffix("\r")
                yield number, {text_field: text}, text
        except (gzip.BadGzipFile, EOFError) as e:
            raise ValueError(f"'{path}' is not a complete gzip file: {e}.") from e


def get_text(row: Union[Row, str], text_field: str, max_length: int) -> str:
    """Text of a row that was read.

    row (Union[Row, str]): The row, or the reason why there is none.
    max_length (int): Most characters, which is the pipeline's `nlp.max_length`.
    RAISES (ValueError): With the reason why the row has no text that can be read.
    """
    if isinstance(row, str):
        raise ValueError(row)
    if text_field not in row:
        has = ", ".join(map(str, row)) or "none"
        raise ValueError(f"no field '{text_field}' (fields: {has}): name it with --text-field")
    text = row[text_field]
    if not isinstance(text, str):
        raise ValueError(f"field '{text_field}' is {type(text).__name__}, expected a string")
    if len(text) > max_length:
        raise ValueError(
            f"the text has {len(text):,} characters; the pipeline reads at most {max_length:,} "
            f"(nlp.max_length): divide it"
        )
    try:
        text.encode("utf8")
    except UnicodeEncodeError as e:
        raise ValueError("the text holds half a character (a lone surrogate)") from e
    return text


@contextmanager
def open_output(path: Path) -> Iterator[IO[str]]:
    """Where rows go: standard output, or a file that appears only if all went well."""
    if path == STANDARD_STREAM:
        output = io.TextIOWrapper(sys.stdout.buffer, "utf8", newline="", write_through=True)
        try:
            yield output
            output.flush()
        finally:
            output.detach()
        return
    with staged_file(path) as staging, staging.open("wb") as file:
        binary: Any = file
        if path.suffix.lower() == ".gz":
            # Without name and time, so that equal content gives equal files.
            binary = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
        with io.TextIOWrapper(binary, "utf8", newline="") as output:
            yield output


class RowWriter:
    """Writes rows of one format.

    file (IO[str]): What to write to.
    format (str): One of OUTPUT_FORMATS.
    """

    def __init__(self, file: IO[str], format: str):
        self.file = file
        self.format = format
        self.header: Optional[List[str]] = None

    def write(self, row: Mapping[str, Any]) -> None:
        """RAISES (ValueError): If the format cannot hold the row; then nothing is written."""
        if self.format == "jsonl":
            self.file.write(to_json(row) + "\n")
            return
        values = [_to_cell(value) for value in row.values()]
        if self.format == "tsv":
            for name, value in zip(row, values, strict=True):
                if any(char in value for char in "\t\n\r"):
                    raise ValueError(
                        f"field {name!r} holds a tab or a line break, which TSV cannot: write "
                        f".csv or .jsonl"
                    )
        if self.header is None:
            self.header = list(row)
            self._write_cells(self.header)
        extra = sorted(set(row) - set(self.header))
        if extra:
            raise ValueError(
                f"field {extra[0]!r} is not in the first row, so the table has no column for it: "
                f"write .jsonl"
            )
        cells = dict(zip(row, values, strict=True))
        self._write_cells([cells.get(name, "") for name in self.header])

    def _write_cells(self, cells: List[str]) -> None:
        if self.format == "csv":
            self.file.write(",".join(map(_quote, cells)) + "\n")
        else:
            self.file.write("\t".join(cells) + "\n")


def to_json(value: Any) -> str:
    """One line of JSON, readable where UTF-8 can hold it."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    try:
        line.encode("utf8")
    except UnicodeEncodeError:
        # Half a character, written as \\uD800 in the input: only the escape can hold it.
        return json.dumps(value, default=str)
    return line


def _quote(cell: str) -> str:
    """A cell of CSV. The standard library's writer leaves a lone carriage return bare."""
    if any(char in cell for char in ',"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _to_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value)
