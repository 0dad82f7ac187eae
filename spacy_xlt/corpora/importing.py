"""From labelled files to a corpus on disk."""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    Iterable,
    List,
    Literal,
    Optional,
    Sequence,
    Tuple,
    Union,
    get_args,
)

from ..files import check_replaceable
from ..languages import UNKNOWN
from .formats import (
    FORMATS,
    BadRow,
    Columns,
    Fields,
    bare_name,
    file_format,
    file_hash,
    is_data_file,
    read_fields,
    to_cats,
)
from .label_map import LabelMap, apply_label_map, check_classes_left
from .layout import (
    UNKNOWN_LANG_FILE,
    Corpus,
    Row,
    check_split_name,
    gold_labels,
    is_corpus,
    standard_language,
    write_corpus,
)

OnError = Literal["stop", "skip"]
Progress = Callable[[List[Any]], Iterable[Any]]
DEFAULT_SPLIT = "train"
# What splits are called elsewhere -> what they are called here.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "development": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "test": "test",
    "pool": "pool",
}


@dataclass(frozen=True)
class SourceFile:
    """A file to import.

    path (Path): Where it is.
    name (str): What the corpus records as its name.
    lang (Optional[str]): Language of its rows according to its name; None if that tells nothing.
    split (Optional[str]): Split of its rows according to its name; None if that tells nothing.
    """

    path: Path
    name: str
    lang: Optional[str] = None
    split: Optional[str] = None


def find_sources(paths: Sequence[Path]) -> List[SourceFile]:
    """Files to import, sorted, with what their names tell.

    In a directory, and among several files, a part of the name may be a split and another one a
    language tag: `de.csv`, `train.de.csv`, `de/train.tsv`. The name of a single file tells
    nothing, because `my.csv` is rarely Burmese.

    paths (Sequence[Path]): Files, or directories that are read at any depth.
    RETURNS (List[SourceFile]): At least one file.
    RAISES (ValueError): If a path does not exist or has no file of a known format.
    """
    found: List[SourceFile] = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"There is no file or directory '{path}' to import.")
        if path.is_dir():
            files = [p for p in sorted(path.rglob("*")) if is_data_file(p) and not _hidden(p, path)]
            if not files:
                raise ValueError(
                    f"The directory '{path}' holds no data: no file that ends in "
                    f"{', '.join(FORMATS)}, each also with .gz added."
                )
            found.extend(_source_file(p, p.relative_to(path)) for p in files)
        else:
            file_format(path)
            name = Path(path.name)
            found.append(
                _source_file(path, name) if len(paths) > 1 else SourceFile(path, str(name))
            )
    return found


def import_corpus(
    sources: Sequence[SourceFile],
    out: Path,
    *,
    columns: Columns = Columns(),
    lang: Optional[str] = None,
    split: Optional[str] = None,
    labels: Optional[Collection[str]] = None,
    label_map: Optional[LabelMap] = None,
    label_separator: Optional[str] = None,
    delimiter: Optional[str] = None,
    join_pair: Optional[str] = None,
    keep: Optional[Callable[[Row], bool]] = None,
    on_error: OnError = "stop",
    licence: str = "",
    address: str = "",
    progress: Progress = iter,
) -> Dict[str, Any]:
    """Import labelled files as a corpus, replacing one that is there only if all goes well.

    sources (Sequence[SourceFile]): The files; see `find_sources`.
    out (Path): Directory of the corpus.
    columns (Columns): Names of the columns.
    lang (Optional[str]): Language of all rows; None reads the language column, else file names.
    split (Optional[str]): Split of all rows; None reads the split column, else file names, else
        "train".
    labels (Optional[Collection[str]]): The labels that rows may have; None is any.
    label_map (Optional[LabelMap]): Old labels to new ones, applied first.
    label_separator (Optional[str]): What stands between several labels of a row.
    delimiter (Optional[str]): What stands between the columns of CSV files.
    join_pair (Optional[str]): Makes text pairs one text with this between them; None keeps the
        second text in `doc.user_data["xlt_pair"]`, where no classifier of this package reads it.
    keep (Optional[Callable[[Row], bool]]): Leaves out rows on purpose; they are counted.
    on_error (OnError): "stop" lists all bad rows and writes nothing; "skip" imports the others
        and writes the bad ones with their reasons to `rejects.jsonl`.
    licence (str): Licence of the data, recorded.
    address (str): Where the data come from, recorded.
    progress (Progress): Wraps lists of files, to show how far it is.
    RETURNS (Dict[str, Any]): The record of the corpus.
    RAISES (ValueError): If a file cannot be read, a row is bad (with "stop"), or nothing is left.
    """
    if on_error not in get_args(OnError):
        raise ValueError(f"on_error is '{on_error}'. Allowed are stop and skip.")
    check_replaceable(out, "corpus", is_corpus)
    if split is not None:
        check_split_name(split)
    settle = _Settler(
        lang=None if lang is None else _language(lang),
        split=split,
        labels=None if labels is None else frozenset(labels),
        label_map=label_map,
        join_pair=join_pair,
    )
    read = [
        _read_source(source, settle, columns, label_separator, delimiter)
        for source in progress(list(sources))
    ]
    bad = [row for part in read for row in part.bad]
    if bad and on_error == "stop":
        raise ValueError(
            f"{len(bad):,} of {sum(part.n_rows for part in read):,} rows are bad:\n"
            f"{describe_bad_rows(bad)}\n"
            f"Nothing was written. Mend them, or leave them out with --on-error skip."
        )
    known = sorted({label for part in read for draft in part.drafts for label in draft.labels})
    rows: List[Row] = []
    records = []
    for source, part in zip(sources, read, strict=True):
        drafted = [draft.to_row(known) for draft in part.drafts]
        kept = drafted if keep is None else [row for row in drafted if keep(row)]
        rows.extend(kept)
        origin = {"licence": licence, "address": address}
        records.append({**_describe_source(source, part, len(kept)), **origin})
    if not rows:
        raise ValueError(
            f"No row is left to import from {_names(sources)}: {len(bad):,} rows are bad, "
            f"{sum(part.n_dropped for part in read):,} were dropped by the label map."
        )
    record: Dict[str, Any] = {"sources": records}
    if label_map is not None:
        old = Counter(label for part in read for draft in part.drafts for label in draft.old_labels)
        new = Counter(label for row in rows for label in row.labels)
        check_classes_left(label_map, old, new, len(rows))
        record["label_map"] = dict(label_map)
    rejects = [asdict(row) for row in bad]
    return write_corpus(out, Corpus(rows, record), rejects=rejects, progress=progress)


@dataclass(frozen=True)
class _Draft:
    """A good row whose scores wait until all labels are known."""

    fields: Fields
    labels: Union[List[str], Dict[str, float]]
    text: str
    pair: str
    lang: str
    split: str

    @property
    def old_labels(self) -> List[str]:
        """Labels that held before a label map."""
        labels = self.fields.labels
        return gold_labels(labels) if isinstance(labels, dict) else labels

    def to_row(self, known: Sequence[str]) -> Row:
        return Row(
            text=self.text,
            cats=to_cats(self.labels, known),
            lang=self.lang,
            split=self.split,
            id=self.fields.id,
            pair=self.pair,
            weight=self.fields.weight,
        )


@dataclass(frozen=True)
class _Settler:
    """Settles what a row by itself leaves open; the settings are those of `import_corpus`."""

    lang: Optional[str]
    split: Optional[str]
    labels: Optional[Collection[str]]
    label_map: Optional[LabelMap]
    join_pair: Optional[str]

    def __call__(self, fields: Fields, source: SourceFile) -> Optional[_Draft]:
        """The draft of a row, None if the label map drops all its labels.

        RAISES (ValueError): With the reason why the row is bad.
        """
        labels = fields.labels
        if self.label_map is not None:
            labels = apply_label_map(labels, self.label_map)
            if fields.labels and not labels:
                return None
        if self.labels is not None:
            unknown = [label for label in labels if label not in self.labels]
            if unknown:
                raise ValueError(
                    f"unknown label {unknown[0]!r}; allowed are {', '.join(sorted(self.labels))}"
                )
        joins = self.join_pair is not None and fields.pair
        return _Draft(
            fields=fields,
            labels=labels,
            text=f"{fields.text}{self.join_pair}{fields.pair}" if joins else fields.text,
            pair="" if joins else fields.pair,
            lang=self._lang(fields, source),
            split=self._split(fields, source),
        )

    def _lang(self, fields: Fields, source: SourceFile) -> str:
        if self.lang is not None:
            return self.lang
        if fields.lang is None:
            return source.lang or UNKNOWN
        try:
            return _language(fields.lang)
        except ValueError:
            raise ValueError(f"{fields.lang!r} is not a language tag") from None

    def _split(self, fields: Fields, source: SourceFile) -> str:
        if self.split is not None:
            return self.split
        if not fields.split:
            return source.split or DEFAULT_SPLIT
        name = SPLIT_NAMES.get(fields.split.lower(), fields.split)
        try:
            return check_split_name(name)
        except ValueError:
            raise ValueError(f"{fields.split!r} cannot be the name of a split") from None


@dataclass(frozen=True)
class _Read:
    """What a file gave."""

    n_rows: int
    n_dropped: int
    drafts: List[_Draft]
    bad: List[BadRow]


def _read_source(
    source: SourceFile,
    settle: _Settler,
    columns: Columns,
    label_separator: Optional[str],
    delimiter: Optional[str],
) -> _Read:
    n_rows, drafts, bad = 0, [], []
    n_dropped = 0
    for fields in read_fields(
        source.path, columns, label_separator=label_separator, delimiter=delimiter
    ):
        n_rows += 1
        if isinstance(fields, BadRow):
            bad.append(replace(fields, file=source.name))
            continue
        try:
            draft = settle(fields, source)
        except ValueError as e:
            bad.append(BadRow(source.name, fields.line, str(e), fields.text))
            continue
        if draft is None:
            n_dropped += 1
        else:
            drafts.append(draft)
    return _Read(n_rows, n_dropped, drafts, bad)


def _describe_source(source: SourceFile, read: _Read, n_kept: int) -> Dict[str, Any]:
    """What `corpus.json` says about a file, besides licence and address."""
    return {
        "name": source.name,
        "sha256": file_hash(source.path),
        "rows": read.n_rows,
        "kept": n_kept,
        "rejected": len(read.bad),
        "dropped_by_label_map": read.n_dropped,
        "left_out": len(read.drafts) - n_kept,
    }


def describe_bad_rows(rows: Sequence[BadRow]) -> str:
    """All bad rows as text, one line per file and reason, with runs of lines drawn together."""
    lines_of: Dict[Tuple[str, str], List[int]] = {}
    for row in rows:
        lines_of.setdefault((row.file, row.reason), []).append(row.line)
    return "\n".join(
        f"  {file}:{_describe_lines(lines)}: {reason}" for (file, reason), lines in lines_of.items()
    )


def _describe_lines(lines: Sequence[int]) -> str:
    """Ascending numbers as 2,5-7."""
    runs: List[List[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], line]
        else:
            runs.append([line])
    return ",".join("-".join(map(str, run)) for run in runs)


def _language(tag: str) -> str:
    lang = standard_language(tag)
    return UNKNOWN if lang == UNKNOWN_LANG_FILE else lang


def _source_file(path: Path, name: Path) -> SourceFile:
    """What the parts of a name tell: `dir/train.de.csv` is German training data."""
    parts = [*name.parent.parts, *bare_name(name).split(".")]
    splits = [part for part in parts if part.lower() in SPLIT_NAMES]
    langs = [lang for part in parts if part not in splits and (lang := _tag(part))]
    return SourceFile(
        path=path,
        name=name.as_posix(),
        lang=langs[-1] if langs else None,
        split=SPLIT_NAMES[splits[-1].lower()] if splits else None,
    )


def _tag(part: str) -> Optional[str]:
    try:
        return _language(part)
    except ValueError:
        return None


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _names(sources: Sequence[SourceFile]) -> str:
    names = [source.name for source in sources]
    more = f" and {len(names) - 3} more files" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
