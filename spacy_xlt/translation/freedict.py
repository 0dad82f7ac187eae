"""Dictionaries of FreeDict, as dictd and Debian's `dict-freedict-*` packages have them."""

import gzip
import re
import zlib
from pathlib import Path
from typing import Iterator, List, NamedTuple

INDEX_SUFFIX = ".index"
DATA_SUFFIXES = (".dict.dz", ".dict")
# Entries about the dictionary itself.
_ABOUT = "00-database"
# Numbers of the index: base 64 with the most significant digit first.
_DIGITS = {
    char: value
    for value, char in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_SENSE = re.compile(r"^\d+\.(\s+|$)")
# Remarks on grammar, field and pronunciation, in any bracket.
_REMARK = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\}")
# Signs of a pronunciation, which no word is written with.
_IPA = re.compile("[\u02c8\u02cc\u02d0]")
_SEPARATOR = re.compile(r"[,;/\u060c\u061b\u3001\uff0c\uff1b]")
_EDGES = " \t.?!:\"'\u2026\u2013-\u3002"


class Pair(NamedTuple):
    """A headword and one of its translations."""

    headword: str
    translation: str


def read_freedict(path: Path) -> Iterator[Pair]:
    """Headwords and translations of a dictionary, in its order; remarks are left out.

    path (Path): Its `.index` or `.dict.dz` file; the other one must lie beside it.
    RAISES (ValueError): If one of the two is missing or damaged.
    """
    stem = path.name
    for suffix in (INDEX_SUFFIX, *DATA_SUFFIXES):
        stem = stem.removesuffix(suffix)
    index = path.with_name(stem + INDEX_SUFFIX)
    found = [p for suffix in DATA_SUFFIXES if (p := path.with_name(stem + suffix)).is_file()]
    if not index.is_file() or not found:
        raise ValueError(
            f"'{path}' is half a dictionary: FreeDict's are two files, '{stem}{INDEX_SUFFIX}' and "
            f"'{stem}{DATA_SUFFIXES[0]}', side by side. Copy both into one directory."
        )
    data = _read_data(found[0])
    seen = set()
    lines = index.read_text(encoding="utf8", errors="replace").rstrip("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        headword, *place = line.split("\t")
        if headword.startswith(_ABOUT):
            continue
        try:
            start, length = map(_decode_number, place[:2])
        except (KeyError, ValueError) as e:
            raise ValueError(
                f"{index}:{number}: expected a headword, a place and a length with tabs between "
                f"them, found {line[:80]!r}. Download the dictionary again."
            ) from e
        if start + length > len(data):
            raise ValueError(
                f"'{found[0]}' is damaged or of another dictionary than '{index}': it has "
                f"{len(data):,} bytes, and entry {number:,} ends at {start + length:,}. Download "
                f"both again."
            )
        headword = _clean(headword)
        for translation in parse_entry(data[start : start + length].decode("utf8", "replace")):
            pair = Pair(headword, translation)
            if headword and pair not in seen:
                seen.add(pair)
                yield pair


def parse_entry(text: str) -> List[str]:
    """Translations in one entry, those of the first sense first.

    The first line repeats the headword. A sense is a line of translations with commas between
    them, perhaps after its number; what follows up to the next number is a gloss. Examples and
    references to other entries are indented.
    """
    translations: List[str] = []
    is_open = True  # whether the sense still lacks its line of translations
    for line in text.splitlines()[1:]:
        if line.startswith("  ") or line.startswith(" ") and "{" in line:
            continue
        body, n_numbers = _SENSE.subn("", line.strip(), count=1)
        is_open = is_open or n_numbers > 0
        items = [_clean(item) for item in _SEPARATOR.split(_REMARK.sub(" ", body))]
        if is_open and any(items):
            translations += [item for item in items if item and not _IPA.search(item)]
            is_open = False
    return list(dict.fromkeys(translations))


def _clean(text: str) -> str:
    """A headword or translation without remarks, with spaces between its words."""
    return " ".join(_REMARK.sub(" ", text).replace("~", " ").split()).strip(_EDGES)


def _decode_number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 64 + _DIGITS[digit]
    return number


def _read_data(path: Path) -> bytes:
    if path.name.endswith(".dict"):
        return path.read_bytes()
    try:
        with gzip.open(path) as file:  # dictzip is gzip with a table for random access
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise ValueError(f"'{path}' is damaged ({e}). Download the dictionary again.") from e
