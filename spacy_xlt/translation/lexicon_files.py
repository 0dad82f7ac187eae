"""Lexicon files: TSV, MUSE's and PanLex's layouts, FreeDict; and what their names say."""

import csv
import re
import warnings
from pathlib import Path
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Literal,
    Optional,
    Tuple,
    Union,
    get_args,
)

from ..files import staged_file
from ..languages import standardize_language
from .freedict import DATA_SUFFIXES, INDEX_SUFFIX, Pair, read_freedict

# How a lexicon is written: "tsv" is a word, a tab and a translation per line; "muse" the same
# with a space; "panlex" a table whose header names the columns of languages and expressions;
# "freedict" a dictionary of dictd. "auto" goes by the name and the first line.
Format = Literal["auto", "tsv", "muse", "panlex", "freedict"]
FORMATS = get_args(Format)
SUFFIXES = (".tsv", ".txt", ".csv", INDEX_SUFFIX)
# With more bad lines than this share a file is not what it is taken for.
MAX_BAD_SHARE = 0.01
# What a column of PanLex's tables is called.
_LANG_COLUMN = re.compile(r"(lang|language|langvar|lv|uid)_?[12]?(_uid|_code)?")
_EXPR_COLUMN = re.compile(r"(expr|expression|ex|txt|text)_?[12]?(_txt)?")
_MEANING_COLUMN = re.compile(r"meaning|mn")
_QUALITY_COLUMN = re.compile(r"quality|score|trans_quality")
# PanLex numbers the varieties of a language: eng-000.
_VARIETY = re.compile(r"-\d{3}$")

# A pair, or what is wrong with the line.
Line = Union[Pair, str]


def read_pairs(path: Path, *, from_lang: str, to_lang: str, format: Format = "auto") -> List[Pair]:
    """Words and translations of a file, the better translations first.

    path (Path): The file; of FreeDict's two either one.
    from_lang (str): Standard tag of the words' language. Counts for "panlex", whose tables hold
        several languages in both directions, and for a header of two language tags in "tsv".
    to_lang (str): Standard tag of the translations' language.
    format (Format): How it is written.
    RETURNS (List[Pair]): The pairs, without repetitions.
    RAISES (ValueError): If it cannot be read: no such file, of another format or direction, more
        than 1 % bad lines, or no pair at all.
    """
    if format not in FORMATS:
        raise ValueError(f"format is '{format}'. Allowed are {', '.join(FORMATS)}.")
    if not path.is_file():
        raise ValueError(
            f"There is no lexicon '{path}'. A lexicon is a file of words and translations, for "
            f"example en-de.tsv; make one with: python -m spacy xlt lexicon convert SOURCE OUT.tsv"
        )
    chosen = _guess_format(path) if format == "auto" else format
    if chosen == "freedict":
        lines: Iterable[Line] = read_freedict(path)
    elif chosen == "panlex":
        lines = _read_panlex(path, from_lang, to_lang)
    else:
        split, expected = _LAYOUTS[chosen]
        lines = _read_lines(path, split, expected, from_lang, to_lang)
    pairs, n_bad, first_bad = [], 0, ""
    for line in lines:
        if isinstance(line, str):
            n_bad += 1
            first_bad = first_bad or line
        else:
            pairs.append(line)
    _check_bad_lines(path, chosen, n_bad, len(pairs) + n_bad, first_bad)
    if not pairs:
        raise ValueError(
            f"'{path}' has no translation from '{from_lang}' into '{to_lang}' in the format "
            f"'{chosen}'. Check the file, its languages and its format."
        )
    return list(dict.fromkeys(pairs))


def write_pairs(path: Path, pairs: Iterable[Pair], *, from_lang: str, to_lang: str) -> None:
    """Write a lexicon as TSV, with its languages as the header."""
    with staged_file(path) as staging, staging.open("w", encoding="utf8", newline="\n") as file:
        file.write(f"{from_lang}\t{to_lang}\n")
        for pair in pairs:
            file.write(f"{pair.headword}\t{pair.translation}\n")


def find_lexicons(directory: Path) -> Dict[Path, Tuple[str, str]]:
    """Files of a directory that are named like lexicons, sorted, and their languages.

    RAISES (ValueError): If there are none.
    """
    files = [p for p in sorted(directory.iterdir()) if p.is_file() and p.suffix in SUFFIXES]
    named = {path: langs for path in files if (langs := languages_of_name(path)) is not None}
    left_out = [path.name for path in files if path not in named and path.suffix != ".txt"]
    if not named:
        raise ValueError(
            f"'{directory}' holds no lexicon: no file with a name like 'en-de.tsv' (found: "
            f"{', '.join(p.name for p in sorted(directory.iterdir())[:5]) or 'nothing'}). Make "
            f"one with: python -m spacy xlt lexicon convert SOURCE {directory}/en-de.tsv"
        )
    if left_out:
        warnings.warn(
            f"'{directory}': {', '.join(left_out)} left out, since the name does not tell two "
            f"languages as in 'en-de.tsv'.",
            stacklevel=2,
        )
    return named


def languages_of_name(path: Path) -> Optional[Tuple[str, str]]:
    """Languages that the name of a lexicon tells: en-de.tsv, freedict-eng-deu.index."""
    name = path.name
    for suffix in (*SUFFIXES, *DATA_SUFFIXES):
        name = name.removesuffix(suffix)
    parts = name.removeprefix("freedict-").split("-")
    for i in range(1, len(parts)):
        try:
            first, second = "-".join(parts[:i]), "-".join(parts[i:])
            return standardize_language(first), standardize_language(second)
        except ValueError:
            continue
    return None


def _check_bad_lines(path: Path, format: Format, n_bad: int, n_lines: int, first: str) -> None:
    """Warn of lines that are left out. RAISES (ValueError): If they are too many."""
    if n_bad > MAX_BAD_SHARE * n_lines:
        raise ValueError(
            f"'{path}' is no lexicon in the format '{format}': {n_bad:,} of its {n_lines:,} lines "
            f"are wrong, the first one being {first}. Mend it, or say how it is written (format: "
            f"{', '.join(FORMATS[1:])})."
        )
    if n_bad:
        warnings.warn(
            f"'{path}': {n_bad:,} of {n_lines:,} lines are left out, the first one being {first}.",
            stacklevel=3,
        )


def _guess_format(path: Path) -> Format:
    if path.name.endswith((INDEX_SUFFIX, *DATA_SUFFIXES)):
        return "freedict"
    _, first = next(_text_lines(path), (0, ""))
    names = [name.strip().casefold() for name in re.split(r"[\t,]", first)]
    if _find_columns(names, _LANG_COLUMN) and _find_columns(names, _EXPR_COLUMN):
        return "panlex"
    return "tsv" if "\t" in first or path.suffix in (".tsv", ".csv") else "muse"


def _text_lines(path: Path) -> Iterator[Tuple[int, str]]:
    """Numbers and texts of the lines that are not empty."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as e:
        raise ValueError(
            f"'{path}' is not a text in UTF-8 (byte {e.start:,}). Save it in that encoding."
        ) from e


# format -> how a line is divided, and what it should have
_LAYOUTS: Dict[str, Tuple[Callable[[str], List[str]], str]] = {
    "tsv": (lambda line: line.split("\t"), "a word, a tab and a translation"),
    "muse": (str.split, "a word, a space and a translation"),
}


def _read_lines(
    path: Path, split: Callable[[str], List[str]], expected: str, from_lang: str, to_lang: str
) -> Iterator[Line]:
    """Pairs of a file with one per line.

    split (Callable[[str], List[str]]): Divides a line into its columns.
    """
    is_first = True
    for number, text in _text_lines(path):
        cells = [" ".join(cell.split()) for cell in split(text)]
        header = _header_languages(cells) if is_first else None
        is_first = False
        if header == (from_lang, to_lang):
            continue
        if header == (to_lang, from_lang):
            raise ValueError(
                f"'{path}' is a lexicon from '{to_lang}' into '{from_lang}', as its header says; "
                f"needed is one from '{from_lang}' into '{to_lang}'. Turn it round with: "
                f"python -m spacy xlt lexicon convert {path} OUT.tsv --from {from_lang} --to "
                f"{to_lang} --invert"
            )
        if len(cells) != 2 or not all(cells):
            yield f"line {number:,} with {len(cells)} columns instead of {expected}: {text[:60]!r}"
        else:
            yield Pair(*cells)


def _header_languages(cells: List[str]) -> Optional[Tuple[str, str]]:
    """Standard tags if a line consists of two language tags."""
    try:
        first, second = map(standardize_language, cells)
    except ValueError:
        return None
    return first, second


def _read_panlex(path: Path, from_lang: str, to_lang: str) -> Iterator[Pair]:
    """Pairs of two languages in a table of PanLex's, in whichever column each stands.

    A row has either two languages and two expressions, or a meaning, a language and an
    expression; expressions of one meaning are translations of each other.
    """
    lines = _text_lines(path)
    _, header = next(lines, (0, ""))
    delimiter = "\t" if "\t" in header else ","
    names = [name.strip().casefold() for name in header.split(delimiter)]
    langs, exprs, meanings, qualities = (
        _find_columns(names, pattern)
        for pattern in (_LANG_COLUMN, _EXPR_COLUMN, _MEANING_COLUMN, _QUALITY_COLUMN)
    )
    is_long = len(langs) == len(exprs) == 1 and bool(meanings)
    if not is_long and (len(langs) != 2 or len(exprs) != 2):
        raise ValueError(
            f"'{path}' is no table of PanLex's: its columns are {', '.join(names)}. Expected is a "
            f"header with lang1, expr1, lang2, expr2 or with meaning, lang, expr, and optionally "
            f"quality."
        )
    texts = [text for _, text in lines]
    if delimiter == "\t":  # where quotes are letters
        rows = [text.split(delimiter) for text in texts]
    else:
        rows = list(csv.reader(texts))
    whole = [row for row in rows if len(row) == len(names)]
    bad = next((row for row in rows if len(row) != len(names)), [])
    first = f"one with {len(bad)} columns instead of {len(names)}: {delimiter.join(bad)[:60]!r}"
    _check_bad_lines(path, "panlex", len(rows) - len(whole), len(rows), first)
    if qualities:
        whole.sort(key=lambda row: -_to_number(row[qualities[0]]))
    if is_long:
        yield from _join_meanings(
            [(row[meanings[0]], _to_language(row[langs[0]]), row[exprs[0]]) for row in whole],
            from_lang,
            to_lang,
        )
        return
    for row in whole:
        found = tuple(_to_language(row[i]) for i in langs)
        if found == (from_lang, to_lang):
            yield Pair(row[exprs[0]].strip(), row[exprs[1]].strip())
        elif found == (to_lang, from_lang):
            yield Pair(row[exprs[1]].strip(), row[exprs[0]].strip())


def _join_meanings(
    rows: List[Tuple[str, str, str]], from_lang: str, to_lang: str
) -> Iterator[Pair]:
    """Pairs of expressions of two languages with the same meaning."""
    words: Dict[str, List[str]] = {}
    for meaning, lang, expr in rows:
        if lang == from_lang:
            words.setdefault(meaning, []).append(expr.strip())
    for meaning, lang, expr in rows:
        if lang == to_lang:
            for word in words.get(meaning, []):
                if word != expr.strip():
                    yield Pair(word, expr.strip())


def _find_columns(names: List[str], pattern: "re.Pattern[str]") -> List[int]:
    return [i for i, name in enumerate(names) if pattern.fullmatch(name)]


def _to_language(tag: str) -> str:
    """Standard tag of a language variety; the tag itself where it is none."""
    tag = _VARIETY.sub("", tag.strip())
    try:
        return standardize_language(tag)
    except ValueError:
        return tag


def _to_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
