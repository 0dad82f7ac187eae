"""How fast a pipeline predicts, what that costs, and how near it is to the encoder's own speed."""

import statistics
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any, Callable, Iterable, Iterator, List, Literal, Optional, Sequence

import numpy
from spacy.language import Language
from typing_extensions import TypedDict

from ..files import folder_size
from .results import CorpusRecord, Signature
from .task import find_task, make_signature

FORMAT: Literal["spacy_xlt.speed.v1"] = "spacy_xlt.speed.v1"
# Texts of the warm-up, and texts given one at a time for the latency.
N_WARM_UP = 64
N_LATENCY = 200


class Range(TypedDict):
    """Median and extremes of repeated measurements."""

    median: float
    smallest: float
    largest: float


class Latency(TypedDict):
    """Milliseconds for one text at a time.

    n (int): Texts.
    """

    p50: float
    p99: float
    n: int


class EncoderBound(TypedDict):
    """The encoder alone, on the same windows in the same batches.

    seconds (Range): Time for all texts.
    overhead (float): What everything around it adds to its time, as a share.
    product_share (float): Speed of its linear maps as a share of that of a lone matrix product.
    device, precision (str): Where and in what it runs.
    n_threads (int): Threads of the CPU.
    """

    seconds: Range
    overhead: float
    product_share: float
    device: str
    precision: str
    n_threads: int


class SpeedResult(TypedDict):
    """What a benchmark of a pipeline found.

    format (str): `spacy_xlt.speed.v1`.
    created (str): Time in UTC, ISO 8601.
    n_texts, n_characters (int): What was predicted.
    n_pieces (Optional[int]): Word pieces, special ones included; None if the component does not
        say.
    n_runs, batch_size (int): Repetitions, and documents handed to the pipeline at once.
    docs_per_second (Range): Of `nlp.pipe`.
    pieces_per_second (Optional[Range]): The same in word pieces.
    latency (Latency): Of `nlp`, text by text.
    load_seconds (Optional[Range]): Loading the pipeline, with imports done.
    peak_memory_bytes (Optional[int]): Of the process, after predicting; None where the system
        does not tell.
    disk_bytes (Optional[int]): Size of the pipeline's directory.
    encoder (Optional[EncoderBound]): None if the component has no encoder of its own.
    signature (Signature): What was measured, on what, with what.
    """

    format: Literal["spacy_xlt.speed.v1"]
    created: str
    n_texts: int
    n_characters: int
    n_pieces: Optional[int]
    n_runs: int
    batch_size: int
    docs_per_second: Range
    pieces_per_second: Optional[Range]
    latency: Latency
    load_seconds: Optional[Range]
    peak_memory_bytes: Optional[int]
    disk_bytes: Optional[int]
    encoder: Optional[EncoderBound]
    signature: Signature


def measure_speed(
    nlp: Language,
    texts: Sequence[str],
    *,
    component: Optional[str] = None,
    load: Optional[Callable[[], Language]] = None,
    n_runs: int = 5,
    batch_size: int = 512,
    corpora: Sequence[CorpusRecord] = (),
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda rounds: rounds,
) -> SpeedResult:
    """Time a pipeline on texts: in batches, one at a time, and the encoder alone in turn.

    nlp (Language): The pipeline.
    texts (Sequence[str]): Texts, no two alike: a component may compute equal ones once.
    component (Optional[str]): Text classifier, where the pipeline has several.
    load (Optional[Callable[[], Language]]): Loads the same pipeline again, to be timed.
    n_runs (int): Repetitions.
    batch_size (int): Documents handed to the pipeline at once.
    corpora (Sequence[CorpusRecord]): What the texts were read from, for the signature.
    progress (Callable[[Iterable[int]], Iterable[int]]): Wraps the rounds.
    RETURNS (SpeedResult): All figures.
    RAISES (ValueError): If there are no texts, or the pipeline has no trained classifier.
    """
    if not texts:
        raise ValueError("There are no texts to measure with.")
    if len(set(texts)) < len(texts):
        raise ValueError("Some texts are equal, which would be measured as one. Leave them out.")
    if n_runs < 1:
        raise ValueError(f"The number of runs is {n_runs}; allowed is 1 or more.")
    task = find_task(nlp, component)
    predict = lambda: _exhaust(nlp.pipe(texts, batch_size=batch_size))  # noqa: E731
    _exhaust(nlp.pipe(texts[:N_WARM_UP], batch_size=batch_size))
    run = _prepare_encoder_run(nlp.get_pipe(task.component), texts)
    seconds: List[float] = []
    encoder_seconds: List[float] = []
    peak_memory: Optional[int] = None
    # In turn, so that what else happens on the machine hits both alike.
    for _ in progress(range(n_runs)):
        seconds.append(_time(predict))
        peak_memory = peak_memory or peak_memory_bytes()
        if run is not None:
            encoder_seconds.append(_time(run.run))
    n_pieces = None if run is None else run.n_pieces
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_texts": len(texts),
        "n_characters": sum(map(len, texts)),
        "n_pieces": n_pieces,
        "n_runs": n_runs,
        "batch_size": batch_size,
        "docs_per_second": _range(len(texts) / s for s in seconds),
        "pieces_per_second": None if n_pieces is None else _range(n_pieces / s for s in seconds),
        "latency": _measure_latency(nlp, texts),
        "load_seconds": None if load is None else _range(_time(load) for _ in range(n_runs)),
        "peak_memory_bytes": peak_memory,
        "disk_bytes": folder_size(nlp.path) if nlp.path else None,
        "encoder": None if run is None else _bound(run, seconds, encoder_seconds),
        "signature": make_signature(nlp, task, corpora),
    }


def peak_memory_bytes() -> Optional[int]:
    """Largest resident memory of this process so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _prepare_encoder_run(pipe: Any, texts: Sequence[str]) -> Any:
    """The encoder's part of the work; None if the component has none of its own."""
    if not hasattr(pipe, "prepare_encoder_run"):
        return None
    try:
        return pipe.prepare_encoder_run(list(texts))
    except ValueError:
        return None


def _bound(run: Any, seconds: List[float], encoder_seconds: List[float]) -> EncoderBound:
    pairs = zip(seconds, encoder_seconds, strict=True)
    fastest = min(encoder_seconds)
    return {
        "seconds": _range(encoder_seconds),
        "overhead": statistics.median(whole / own for whole, own in pairs) - 1.0,
        "product_share": run.n_operations / fastest / run.product_rate,
        "device": run.device,
        "precision": run.precision,
        "n_threads": run.n_threads,
    }


def _measure_latency(nlp: Language, texts: Sequence[str]) -> Latency:
    """Texts drawn evenly over all of them, one at a time."""
    chosen = [texts[i] for i in numpy.linspace(0, len(texts) - 1, N_LATENCY).astype(int)]
    for text in chosen[:10]:
        nlp(text)
    times = [1000.0 * _time(partial(nlp, text)) for text in chosen]
    p50, p99 = numpy.percentile(times, [50, 99]).tolist()
    return {"p50": p50, "p99": p99, "n": len(chosen)}


def _time(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _exhaust(items: Iterator[Any]) -> None:
    for _ in items:
        pass


def _range(values: Iterable[float]) -> Range:
    found = list(values)
    return {
        "median": statistics.median(found),
        "smallest": min(found),
        "largest": max(found),
    }
