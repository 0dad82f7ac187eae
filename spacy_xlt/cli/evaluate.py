"""`spacy xlt evaluate`: how well a pipeline does in each language."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from ..files import staged_file, write_text
from ._app import BATCH_SIZE, CODE_PATH, COMPONENT, GPU_ID, Arg, Opt, command, msg, xlt_cli
from ._pipeline import load_pipeline, split_langs

if TYPE_CHECKING:
    from ..evaluation.results import CorpusRecord, Evaluation, LanguageResult


@command(xlt_cli, "evaluate")
def evaluate_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    corpora: List[Path] = Arg(
        ..., help="Files (.spacy, .jsonl) or directories of labelled texts, such as corpus/test"
    ),
    output: Optional[Path] = Opt(None, "--output", "-o", help="JSON file for all figures"),
    predictions: Optional[Path] = Opt(
        None, "--predictions", "-p", help="JSONL file for one line per document"
    ),
    name: Optional[str] = Opt(
        None, "--name", "-n", help="Name of this run in reports, such as zero-shot"
    ),
    langs: Optional[str] = Opt(
        None, "--langs", "-l", help="Languages to evaluate, with commas (default: all)"
    ),
    source_langs: Optional[str] = Opt(
        None,
        "--source-langs",
        "-s",
        help="Languages of the training labels, with commas (default: what the pipeline recorded)",
    ),
    mistakes: int = Opt(
        10, "--mistakes", help="Mistakes to keep for the report, with their texts; 0 for none"
    ),
    component: Optional[str] = COMPONENT,
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Measure a trained pipeline in every language of labelled texts: accuracy with its 95 %
    interval, macro F and AUC, and how far each target language stands below the source.
    """
    evaluation = evaluate(
        pipeline,
        corpora,
        output=output,
        predictions=predictions,
        name=name,
        langs=split_langs(langs),
        source_langs=split_langs(source_langs),
        n_mistakes=mistakes,
        component=component,
        batch_size=batch_size,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    show_evaluation(evaluation)
    for label, path in (("Predictions", predictions), ("Figures", output)):
        if path is not None:
            msg.good(f"{label}: {path}")


def evaluate(
    pipeline: str,
    corpora: Sequence[Path],
    *,
    output: Optional[Path] = None,
    predictions: Optional[Path] = None,
    name: Optional[str] = None,
    langs: Optional[Sequence[str]] = None,
    source_langs: Optional[Sequence[str]] = None,
    n_mistakes: int = 0,
    component: Optional[str] = None,
    batch_size: int = 512,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> "Evaluation":
    """Measure a pipeline and write what was asked for; see `evaluate_pipeline`."""
    from tqdm import tqdm

    from ..corpora.reader import create_corpus_v1
    from ..evaluation.evaluate import evaluate_pipeline
    from ..evaluation.results import dump_json
    from ..trust.explanation import explain_mistakes

    records = [record_corpus(path) for path in corpora]
    read = create_corpus_v1(path=[str(path) for path in corpora])
    nlp = load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path)
    with ExitStack() as stack:
        write_line: Any = lambda prediction: None  # noqa: E731
        if predictions is not None:
            staging = stack.enter_context(staged_file(predictions))
            file = stack.enter_context(staging.open("w", encoding="utf8", newline="\n"))
            write_line = lambda prediction: file.write(  # noqa: E731
                json.dumps(prediction, ensure_ascii=False) + "\n"
            )
        evaluation = evaluate_pipeline(
            nlp,
            lambda: read(nlp),
            name=name,
            component=component,
            source_langs=source_langs,
            langs=langs,
            batch_size=batch_size,
            corpora=records,
            n_mistakes=n_mistakes,
            on_prediction=write_line,
            progress=lambda items, total: tqdm(
                items, total=total, unit="doc", disable=None, file=sys.stderr
            ),
        )
        if output is not None:
            evaluation["mistakes"] = explain_mistakes(nlp, evaluation)
            write_text(output, dump_json(evaluation))
    return evaluation


def record_corpus(path: Path) -> "CorpusRecord":
    """Name and hash of a corpus."""
    from ..corpora.reader import hash_corpus

    return {"path": str(path), "sha256": hash_corpus(path)}


def show_evaluation(evaluation: "Evaluation") -> None:
    """Print the table of languages, the summary and what should worry the user."""
    from ..evaluation.advice import find_warnings
    from ..evaluation.rendering import interval, percent, plain_minus, points, points_interval
    from ..evaluation.results import docs_per_second
    from ..languages import language_name

    transfer, intervals = evaluation["transfer"], evaluation["intervals"]
    source, worst = transfer["source_accuracy"], transfer["worst_lang"]
    header = ("Language", "Tag", "Role", "N", "Acc", "95 %", "Macro F", "AUC", "Gap")
    rows = [make_row(result, source) for result in evaluation["languages"]]
    summary = [
        (
            "Source languages, mean accuracy",
            percent(source),
            interval(intervals.get("source_accuracy")),
        ),
        (
            "Target languages, mean accuracy",
            percent(transfer["target_accuracy"]),
            interval(intervals.get("target_accuracy")),
        ),
        ("Target languages, mean macro F", percent(transfer["target_macro_f"]), ""),
        (
            "Transfer gap",
            plain_minus(points(transfer["transfer_gap"])),
            plain_minus(points_interval(intervals.get("transfer_gap"))),
        ),
        ("Spread (standard deviation)", percent(transfer["spread_accuracy"]), ""),
        (
            f"Worst: {language_name(worst)}" if worst else "Worst",
            percent(transfer["worst_accuracy"]),
            "",
        ),
        ("Documents per second", f"{docs_per_second(evaluation):,.0f}", ""),
    ]
    msg.divider(evaluation["name"])
    msg.table(rows, header=header, divider=True, aligns=("l", "l", "l", *"rrrrrr"))
    msg.table(summary, aligns=("l", "r", "r"))
    show_selective(evaluation)
    for warning in find_warnings(evaluation):
        msg.warn(warning)


def show_selective(evaluation: "Evaluation") -> None:
    """Print what a pipeline that may abstain answers; nothing if it may not."""
    from ..evaluation.rendering import interval, percent
    from ..languages import language_name

    if evaluation["overall"]["selective"] is None:
        return
    header = (
        "Language",
        "Tag",
        "N",
        "Answered",
        "Right of these",
        "95 %",
        "Set has it",
        "Set size",
    )
    rows = []
    for result in evaluation["languages"]:
        found = result["selective"]
        if found is not None:
            size = found["set_size"]
            rows.append(
                (
                    language_name(result["lang"]),
                    result["lang"],
                    f"{result['n']:,}",
                    percent(found["share_answered"]),
                    percent(found["accuracy"]),
                    interval(found["interval"]),
                    percent(found["set_coverage"]),
                    "–" if size is None else f"{size:.2f}",
                )
            )
    msg.text(
        "The pipeline may abstain. Above, its likeliest labels count whether or not it gives them, "
        "and texts whose scores it withholds count as wrong; of its answers alone:"
    )
    msg.table(rows, header=header, divider=True, aligns=("l", "l", *"rrrrrr"))


def make_row(result: "LanguageResult", source_accuracy: Optional[float]) -> Tuple[str, ...]:
    """A language's row of the table."""
    from ..evaluation.rendering import interval, percent, plain_minus, points
    from ..languages import language_name

    accuracy, gap = result["accuracy"], ""
    if result["role"] == "target" and source_accuracy is not None and accuracy is not None:
        gap = plain_minus(points(source_accuracy - accuracy))
    return (
        language_name(result["lang"]),
        result["lang"],
        result["role"],
        f"{result['n']:,}",
        percent(accuracy),
        interval(result["interval"]),
        percent(result["macro_f"]),
        percent(result["macro_auc"]),
        gap,
    )
