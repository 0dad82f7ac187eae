"""`spacy xlt explain`: which words made the decision."""

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple

from ..files import write_text
from ._app import (
    CODE_PATH,
    COMPONENT,
    GPU_ID,
    LANG_FIELD,
    TEXT_FIELD,
    Arg,
    Opt,
    command,
    msg,
    xlt_cli,
)
from ._pipeline import load_pipeline

if TYPE_CHECKING:
    from ..trust.explanation import DeletionCheck, Explanation

OUTPUT_SUFFIXES = (".html", ".jsonl")
# Texts in the terminal's table; a file holds all of them.
MAX_SHOWN = 50
TEXT_WIDTH = 40


@command(xlt_cli, "explain")
def explain_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    texts: str = Arg(
        ..., help="A .jsonl, .csv, .tsv, .parquet or .txt file; -; or a text of several words"
    ),
    output: Optional[Path] = Opt(None, "--output", "-o", help="Page (.html) or table (.jsonl)"),
    label: Optional[str] = Opt(None, "--label", help="Label to explain (default: the likeliest)"),
    method: str = Opt(
        "gradients",
        "--method",
        help="gradients (integrated gradients), or occlusion (deleting one word after the other)",
    ),
    n_words: int = Opt(3, "--n-words", help="Words of highest weight that count as evidence"),
    limit: int = Opt(0, "--limit", help="Explain only the first texts of a file (0: all)"),
    check: bool = Opt(
        False, "--check", help="Delete the evidence, and random words, and tell what that changes"
    ),
    text_field: str = TEXT_FIELD,
    lang_field: str = LANG_FIELD,
    input_format: Optional[str] = Opt(
        None, "--input-format", help="jsonl, csv, tsv, parquet or txt (default: by the name)"
    ),
    component: Optional[str] = COMPONENT,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Show which words made the decision on each text, and warn where they are a URL, an e-mail
    address, a number or a name. Words that speak against the label have negative weights.
    """
    nlp = load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path)
    explanations, checked = explain(
        nlp,
        texts,
        output,
        label=label,
        method=method,
        n_words=n_words,
        limit=limit,
        check=check,
        text_field=text_field,
        lang_field=lang_field,
        input_format=input_format,
        component=component,
    )
    show_explanations(explanations, n_words)
    if checked is not None:
        show_check(checked, n_words)
    if output is not None:
        msg.good(f"Explanations: {output}")


def explain(
    nlp: Any,
    texts: str,
    output: Optional[Path] = None,
    *,
    label: Optional[str] = None,
    method: str = "gradients",
    n_words: int = 3,
    limit: int = 0,
    check: bool = False,
    text_field: str = "text",
    lang_field: str = "lang",
    input_format: Optional[str] = None,
    component: Optional[str] = None,
) -> Tuple[List["Explanation"], Optional["DeletionCheck"]]:
    """Explain texts and write what was asked for; see `explain_cli` for the settings.

    RETURNS (Tuple[List[Explanation], Optional[DeletionCheck]]): One explanation for each text;
        the check if it was asked for.
    RAISES (ValueError): If a setting, the pipeline or a row is wrong. Then nothing is written.
    """
    from tqdm import tqdm

    from ..trust.explanation import check_deletion, explain_texts, render_page
    from ._rows import to_json

    if output is not None and output.suffix.lower() not in OUTPUT_SUFFIXES:
        raise ValueError(
            f"The output is '{output}'; allowed are files whose names end in "
            f"{' or '.join(OUTPUT_SUFFIXES)}."
        )
    if limit < 0:
        raise ValueError(f"The limit is {limit}; allowed is 0 (all) or more.")
    found = _read_texts(texts, input_format, text_field, lang_field, nlp.max_length)
    pairs = list(islice(found, limit or None))
    if not pairs:
        raise ValueError(f"'{texts}' has no rows, so there is nothing to explain.")
    explanations = explain_texts(
        nlp,
        tqdm([text for text, _ in pairs], unit="doc", disable=None, file=sys.stderr),
        langs=[lang for _, lang in pairs],
        component=component,
        label=label,
        method=method,  # type: ignore[arg-type]
        n_words=n_words,
    )
    checked = None
    if check:
        checked = check_deletion(nlp, explanations, component=component, n_words=n_words)
    if output is not None and output.suffix.lower() == ".html":
        write_text(output, render_page(explanations, "Which words made the decision", n_words))
    elif output is not None:
        write_text(output, "".join(to_json(one) + "\n" for one in explanations))
    return explanations, checked


def _read_texts(
    texts: str, input_format: Optional[str], text_field: str, lang_field: str, max_length: int
) -> Iterator[Tuple[str, str]]:
    """Texts of a file with their languages; or the text that was given in place of one."""
    from ..languages import known_tag
    from ._rows import INPUT_FORMATS, STANDARD_STREAM, find_format, get_text, read_rows

    path = Path(texts)
    if path != STANDARD_STREAM and _is_text(texts):
        yield get_text({text_field: texts}, text_field, max_length), ""
        return
    format = find_format(path, input_format, INPUT_FORMATS, "jsonl")
    for line, row, _ in read_rows(path, format, text_field):
        try:
            text = get_text(row, text_field, max_length)
        except ValueError as e:
            raise ValueError(f"{texts}:{line}: {e}. Mend the row or remove it.") from e
        yield text, known_tag(row.get(lang_field))


def _is_text(value: str) -> bool:
    """Whether what should name a file is a text: no file has that name, and it has a space."""
    try:
        return not Path(value).exists() and len(value.split()) != 1
    except (OSError, ValueError):  # too long for a name, or with a character that none has
        return True


def show_explanations(explanations: List["Explanation"], n_words: int) -> None:
    """Print texts with their labels, their evidence and the doubts about it."""
    from ..evaluation.rendering import percent
    from ..trust.explanation import top_words

    rows = []
    for one in explanations[:MAX_SHOWN]:
        words = ", ".join(f"{w['text']} {w['weight']:+.2f}" for w in top_words(one, n_words))
        doubts = ", ".join(f"{doubt['text']} ({doubt['kind']})" for doubt in one["doubts"])
        decision = (one["label"], percent(one["probability"], 0))
        rows.append((_shorten(one["text"]), *decision, words or "-", doubts))
    header = ("Text", "Label", "%", "Evidence", "Doubtful")
    msg.table(rows, header=header, divider=True, aligns=("l", "l", "r", "l", "l"), max_col=90)
    if len(explanations) > MAX_SHOWN:
        msg.info(f"{len(explanations) - MAX_SHOWN:,} more texts are not shown; use --output.")
    n_doubtful = sum(bool(one["doubts"]) for one in explanations)
    if n_doubtful:
        msg.warn(
            f"In {n_doubtful:,} of {len(explanations):,} texts the evidence holds a URL, an e-mail "
            f"address, a number or a name."
        )


def _shorten(text: str) -> str:
    """The start of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_WIDTH else f"{line[: TEXT_WIDTH - 1]}…"


def show_check(check: "DeletionCheck", n_words: int) -> None:
    """Print what deleting the evidence does."""
    from ..evaluation.rendering import percent

    if not check.n_texts:
        msg.warn(f"No text has more than {n_words} words, so nothing could be checked.")
        return
    msg.info(
        f"Deleting the {n_words} words of highest weight takes the decision away in "
        f"{percent(check.evidence, 0)} % of {check.n_texts:,} texts, {n_words} random words in "
        f"{percent(check.random, 0)} %."
    )
