"""`spacy xlt benchmark`: how fast a pipeline predicts your texts on this machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple

from ..files import file_sha256, write_text
from ._app import (
    BATCH_SIZE,
    CODE_PATH,
    COMPONENT,
    GPU_ID,
    TEXT_FIELD,
    Arg,
    Opt,
    command,
    msg,
    xlt_cli,
)
from ._pipeline import load_pipeline

if TYPE_CHECKING:
    from ..evaluation.results import CorpusRecord
    from ..evaluation.speed import Range, SpeedResult


@command(xlt_cli, "benchmark")
def benchmark_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    texts: Path = Arg(
        ..., help="Corpus (.spacy or a directory), or a table or text file as for predict"
    ),
    output: Optional[Path] = Opt(None, "--output", "-o", help="JSON file for all figures"),
    n_texts: int = Opt(
        1000, "--n-texts", "-n", help="Texts to measure with, at most; equal ones count once"
    ),
    n_runs: int = Opt(5, "--runs", "-r", help="Repetitions; medians are shown"),
    text_field: str = TEXT_FIELD,
    component: Optional[str] = COMPONENT,
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Measure a trained pipeline on your own texts: documents and word pieces per second, latency of
    a single text, loading time, memory, and how near all that is to the encoder's own speed.
    """
    result = benchmark(
        pipeline,
        texts,
        n_texts=n_texts,
        n_runs=n_runs,
        text_field=text_field,
        component=component,
        batch_size=batch_size,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    show_speed(result)
    if output is not None:
        from ..evaluation.results import dump_json

        write_text(output, dump_json(result))
        msg.good(f"Figures: {output}")


def benchmark(
    pipeline: str,
    path: Path,
    *,
    n_texts: int = 1000,
    n_runs: int = 5,
    text_field: str = "text",
    component: Optional[str] = None,
    batch_size: int = 512,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> "SpeedResult":
    """Load a pipeline and texts, and measure; see `evaluation.speed.measure_speed`."""
    from tqdm import tqdm

    from ..evaluation.speed import measure_speed
    from ._texts import read_texts
    from .evaluate import record_corpus

    if n_texts < 1:
        raise ValueError(f"The number of texts is {n_texts}; allowed is 1 or more.")
    corpus: CorpusRecord
    if path.is_file():
        corpus = {"path": str(path), "sha256": file_sha256(path)}
    else:
        corpus = record_corpus(path)
    nlp = load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path)
    found = [row.text for row in read_texts(path, max_length=nlp.max_length, text_field=text_field)]
    if not found:
        raise ValueError(f"'{path}' holds no text, so there is nothing to measure with.")
    return measure_speed(
        nlp,
        draw_evenly(found, n_texts),
        component=component,
        load=lambda: load_pipeline(pipeline, gpu_id=gpu_id),
        n_runs=n_runs,
        batch_size=batch_size,
        corpora=[corpus],
        progress=lambda rounds: tqdm(rounds, unit="run", disable=None, file=sys.stderr),
    )


def draw_evenly(texts: List[str], n: int) -> List[str]:
    """So many different texts from all over a list, in its order; all if it has no more."""
    distinct = list(dict.fromkeys(texts))
    n = min(n, len(distinct))
    return [distinct[i * len(distinct) // n] for i in range(n)]


def show_speed(result: "SpeedResult") -> None:
    """Print the figures as a table."""
    from ..files import format_size

    latency, encoder = result["latency"], result["encoder"]
    rows: List[Tuple[str, str]] = [
        ("Documents per second", _spread(result["docs_per_second"], ",.0f")),
    ]
    if result["pieces_per_second"] is not None:
        rows.append(("Word pieces per second", _spread(result["pieces_per_second"], ",.0f")))
    rows.append(
        ("One text at a time", f"{latency['p50']:.1f} ms, 99 % within {latency['p99']:.1f} ms")
    )
    if result["load_seconds"] is not None:
        rows.append(("Loading, imports done", _spread(result["load_seconds"], ".2f") + " s"))
    for title, size in (
        ("Peak memory", result["peak_memory_bytes"]),
        ("Size on disk", result["disk_bytes"]),
    ):
        if size is not None:
            rows.append((title, format_size(size)))
    if encoder is not None:
        rows += [
            ("Added to the encoder's own time", f"{100 * encoder['overhead']:.1f} %"),
            ("Encoder, of a matrix product's rate", f"{100 * encoder['product_share']:.0f} %"),
            (
                "Device",
                f"{encoder['device']}, {encoder['precision']}, {encoder['n_threads']} threads",
            ),
        ]
    pieces = "" if result["n_pieces"] is None else f", {result['n_pieces']:,} word pieces"
    msg.divider(f"{result['n_texts']:,} texts{pieces}, {result['n_runs']} runs")
    msg.table(rows, aligns=("l", "r"))


def _spread(figures: "Range", style: str) -> str:
    """Median, and in brackets the smallest and the largest."""
    median, smallest, largest = (
        format(figures[key], style) for key in ("median", "smallest", "largest")
    )
    return f"{median} ({smallest} to {largest})"
