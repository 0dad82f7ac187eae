"""`spacy xlt predict`: labels for a table of texts, all its fields kept."""

import math
import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import typer

from ._app import (
    BATCH_SIZE,
    CODE_PATH,
    COMPONENT,
    GPU_ID,
    LANG_FIELD,
    TEXT_FIELD,
    USER_ERRORS,
    Arg,
    Opt,
    command,
    xlt_cli,
)
from ._pipeline import check_batch_size, load_pipeline

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

    from ..evaluation.task import Task

ON_ERROR = ("stop", "skip")
# Texts after which the vocabulary forgets their words.
ZONE_TEXTS = 8192


@dataclass
class Summary:
    """What a run did: documents written, rows left out, names of the added fields."""

    n_docs: int
    n_rejected: int
    fields: List[str]


@command(xlt_cli, "predict")
def predict_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    input: Path = Arg(..., help="Texts: .jsonl, .csv, .tsv, .parquet, .txt (a text per line); -"),
    output: Path = Arg(Path("-"), help="Result: .jsonl, .csv or .tsv, also with .gz; - is stdout"),
    text_field: str = TEXT_FIELD,
    all_scores: bool = Opt(
        False, "--all-scores", "-a", help="In CSV and TSV, a column with the score of each label"
    ),
    prefix: Optional[str] = Opt(
        None,
        "--prefix",
        help="Start of the names of added fields (default: none, or predicted_ if they are taken)",
    ),
    on_error: str = Opt("stop", "--on-error", help="What to do about a bad row: stop or skip"),
    rejects: Optional[Path] = Opt(
        None,
        "--rejects",
        help="JSONL file for rows that were skipped (default: OUTPUT.rejects.jsonl)",
    ),
    lang_field: str = LANG_FIELD,
    warnings: bool = Opt(
        False, "--warnings", "-w", help="Add a field with what speaks against trusting the label"
    ),
    component: Optional[str] = COMPONENT,
    input_format: Optional[str] = Opt(
        None, "--input-format", help="jsonl, csv, tsv, parquet or txt (default: by the name)"
    ),
    output_format: Optional[str] = Opt(
        None, "--output-format", help="jsonl, csv or tsv (default: by the name)"
    ),
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Give each text of a file its label and scores. Fields and order of the rows are kept, memory
    hardly grows with the file, and the output appears only when all of it is there. Where a
    pipeline abstains, the label is empty, and "set" has the labels that may be right.
    """
    from ._rows import STANDARD_STREAM

    with errors_beside_output(output == STANDARD_STREAM):
        summary = predict(
            load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path),
            input,
            output,
            text_field=text_field,
            all_scores=all_scores,
            prefix=prefix,
            on_error=on_error,
            rejects=rejects,
            lang_field=lang_field,
            warnings=warnings,
            component=component,
            input_format=input_format,
            output_format=output_format,
            batch_size=batch_size,
        )
    # Not on standard output: that may be the table.
    added = ", ".join(summary.fields) or "none"
    print(f"✔ {summary.n_docs:,} documents. Added fields: {added}", file=sys.stderr)
    if summary.n_rejected:
        print(f"⚠ {summary.n_rejected:,} bad rows were left out", file=sys.stderr)


def predict(
    nlp: "Language",
    input: Path,
    output: Path,
    *,
    text_field: str = "text",
    all_scores: bool = False,
    prefix: Optional[str] = None,
    on_error: str = "stop",
    rejects: Optional[Path] = None,
    lang_field: str = "lang",
    warnings: bool = False,
    component: Optional[str] = None,
    input_format: Optional[str] = None,
    output_format: Optional[str] = None,
    batch_size: int = 512,
) -> Summary:
    """Stream a table through a pipeline; see `predict_cli` for the settings.

    RETURNS (Summary): What was done.
    RAISES (ValueError): If a setting, the pipeline or the file as a whole is wrong, or at the
        first bad row if `on_error` is "stop". Then an earlier output is as it was.
    """
    from tqdm import tqdm

    from ..evaluation.task import find_task
    from ._rows import (
        INPUT_FORMATS,
        OUTPUT_FORMATS,
        STANDARD_STREAM,
        RowWriter,
        find_format,
        open_output,
        read_rows,
        to_json,
    )

    if on_error not in ON_ERROR:
        raise ValueError(f"--on-error is '{on_error}'; allowed are: {', '.join(ON_ERROR)}.")
    check_batch_size(batch_size)
    task = find_task(nlp, component)
    if warnings and not _warns(nlp, task):
        raise ValueError(
            f"'{task.component}' is a component of '{task.factory}' that gives no warnings, so "
            f"--warnings would say that nothing speaks against any label. Leave it out."
        )
    format_in = find_format(input, input_format, INPUT_FORMATS, "jsonl")
    same = format_in if format_in in OUTPUT_FORMATS else "jsonl"
    format_out = find_format(output, output_format, OUTPUT_FORMATS, same)
    n_docs = 0
    with ExitStack() as stack:
        bad = BadRows(input, on_error, rejects or _default_rejects(output), stack)
        fields = AddedFields(task, format_out, all_scores, prefix, warnings)
        rows = read_rows(input, format_in, text_field)
        good = _texts(rows, text_field, nlp.max_length, fields, bad)
        writer = RowWriter(stack.enter_context(open_output(output)), format_out)
        docs = pipe_and_forget(nlp, good, lang_field, batch_size)
        for doc, (line, row) in tqdm(docs, unit="doc", disable=None, file=sys.stderr):
            try:
                writer.write({**row, **fields.make(doc)})
                n_docs += 1
            except ValueError as e:
                bad.add(line, str(e), to_json(row))
        if not n_docs and not bad.n and output != STANDARD_STREAM:
            raise ValueError(f"'{input}' has no rows, so there is nothing to predict.")
    return Summary(n_docs, bad.n, fields.names)


class BadRows:
    """Rows that cannot be used: an error, or a line in the file of rejects."""

    def __init__(self, source: Path, on_error: str, path: Optional[Path], stack: ExitStack):
        self.source, self.on_error, self.path, self.stack = source, on_error, path, stack
        self.n = 0
        self._file: Any = None

    def add(self, line: int, reason: str, content: str) -> None:
        """RAISES (ValueError): If bad rows are not to be skipped."""
        from ..corpora.formats import BadRow
        from ._rows import open_output, to_json

        row = BadRow(str(self.source), line, reason, content)
        if self.on_error == "stop":
            raise ValueError(
                f"{row.file}:{row.line}: {row.reason}. Mend the row, or leave such rows out with "
                f"--on-error skip."
            )
        self.n += 1
        if self.path is None:
            print(f"⚠ {row.file}:{row.line}: {row.reason}", file=sys.stderr)
            return
        if self._file is None:
            self._file = self.stack.enter_context(open_output(self.path))
        self._file.write(to_json(asdict(row)) + "\n")


class AddedFields:
    """Names and values of the fields that predictions add to a row."""

    def __init__(
        self,
        task: "Task",
        format: str,
        all_scores: bool,
        prefix: Optional[str],
        warnings: bool,
    ):
        self.task, self.format, self.prefix = task, format, prefix
        self.bare = ["label", "cats"] if format == "jsonl" else ["label", "score"]
        if task.abstain == "coverage":
            self.bare.append("set")
        if format != "jsonl" and all_scores:
            self.bare += [f"score_{label}" for label in task.labels]
        self.warnings = warnings
        if warnings:
            self.bare.append("warning")

    @property
    def names(self) -> List[str]:
        return [(self.prefix or "") + name for name in self.bare]

    def check(self, row: Dict[str, Any]) -> None:
        """Settle the prefix on the first row; later rows must go with it.

        RAISES (ValueError): If a name is taken.
        """
        if self.prefix is None:
            self.prefix = "predicted_" if any(name in row for name in self.bare) else ""
        taken = [name for name in self.names if name in row]
        if taken:
            raise ValueError(
                f"the row has a field {taken[0]!r}, which is where the prediction goes: choose "
                f"other names with --prefix, such as --prefix model_"
            )

    def make(self, doc: "Doc") -> Dict[str, Any]:
        """RAISES (ValueError): If the scores are missing or not finite."""
        from ..evaluation.scorer import read_decision

        scores = {label: doc.cats.get(label, math.nan) for label in self.task.labels}
        if not all(math.isfinite(score) for score in scores.values()):
            raise ValueError(
                f"the component '{self.task.component}' gave no usable scores for this text"
            )
        decision = read_decision(doc, self.task.component)
        label = self.task.choose(scores) if decision is None else decision["label"]
        values: List[Any] = [label, scores]
        if self.format != "jsonl":
            values = [_join(label), max(scores.values())]
        if self.task.abstain == "coverage":
            possible = [] if decision is None else list(decision["set"] or [])
            values.append(possible if self.format == "jsonl" else _join(possible))
        values += scores.values()
        values = values[: len(self.bare) - self.warnings]
        if self.warnings:
            values.append(doc._.xlt_warning)
        return dict(zip(self.names, values, strict=True))


def _join(label: Union[None, str, Sequence[str]]) -> str:
    """Labels in one cell of a table; nothing where there is none."""
    return label if isinstance(label, str) else ";".join(label or [])


def _warns(nlp: "Language", task: "Task") -> bool:
    """Whether a component sets `doc._.xlt_warning`."""
    return bool((getattr(nlp.get_pipe(task.component), "cfg", None) or {}).get("warn"))


def _texts(
    rows: Iterable[Tuple[int, Any, str]],
    text_field: str,
    max_length: int,
    fields: AddedFields,
    bad: BadRows,
) -> Iterator[Tuple[str, Tuple[int, Dict[str, Any]]]]:
    """Text of each good row, with its line and fields."""
    from ._rows import get_text

    for line, row, content in rows:
        try:
            text = get_text(row, text_field, max_length)
            fields.check(row)
        except ValueError as e:
            bad.add(line, str(e), content)
            continue
        yield text, (line, row)


def pipe_and_forget(
    nlp: "Language",
    texts: Iterable[Tuple[str, Tuple[int, Dict[str, Any]]]],
    lang_field: str,
    batch_size: int,
) -> Iterator[Tuple["Doc", Tuple[int, Dict[str, Any]]]]:
    """Documents one after the other, each usable until the next is asked for.

    The vocabulary forgets the words that it met, which would fill the memory in the long run.
    """
    from ..languages import known_tag, make_doc

    rest = iter(texts)
    for first in rest:
        part = chain([first], islice(rest, ZONE_TEXTS - 1))
        with nlp.memory_zone():
            docs = (
                (make_doc(nlp, text, known_tag(row.get(lang_field))), (n, row))
                for text, (n, row) in part
            )
            yield from nlp.pipe(docs, as_tuples=True, batch_size=batch_size)


def _default_rejects(output: Path) -> Optional[Path]:
    return None if output == Path("-") else output.with_name(f"{output.name}.rejects.jsonl")


@contextmanager
def errors_beside_output(is_stdout: bool) -> Iterator[None]:
    """Where the result goes to standard output, keep messages out of it."""
    try:
        yield
    except BrokenPipeError as e:
        # The reader has gone, as after "| head": what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from e
    except USER_ERRORS as e:
        if not is_stdout:
            raise
        print(f"✘ {e}", file=sys.stderr)
        raise typer.Exit(1) from e
