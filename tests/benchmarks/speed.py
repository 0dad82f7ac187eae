"""Speed beside the peers on this machine; all measurements go into assets/results/speed/.

    python -m pip install -r tests/benchmarks/requirements.txt
    python -m spacy xlt data import SIB200 corpora/all --format sib200
    python tests/benchmarks/speed.py train corpora/all ENCODER
    python tests/benchmarks/speed.py predict corpora/all ENCODER PIPELINE
    python tests/benchmarks/speed.py precision corpora/all PIPELINE
    python tests/benchmarks/speed.py peer-precision corpora/all ENCODER
    python tests/benchmarks/speed.py growth corpora/all ENCODER PIPELINE
    python tests/benchmarks/speed.py table

Every peer runs in a process of its own, with the same encoder, texts and number of threads, one
after the other and the whole round again, so that what else happens on the machine hits all alike.
PIPELINE is one that `configs/zero_shot.cfg` trained on the same encoder. Do not use the machine
for anything else meanwhile. A command begins its results anew unless told to `--add`.
"""

import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import typer
from peers import (
    BATCH,
    N_LABELS,
    PREDICTORS,
    SENTENCES,
    TRAINERS,
    Predictor,
    Step,
    prepare_sentences,
)
from readme import README, with_part

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "assets" / "results" / "speed"
OURS = "spacy-xlt"
LANGS = ("en", "zh", "ru", "sw", "th", "ar")
MEASURED = (
    "torch",
    "spacy",
    "spacy-transformers",
    "transformers",
    "sentence-transformers",
    "openvino",
    "onnxruntime",
)
N_LATENCY = 100
N_LATENCY_PASSES = 3
EPOCHS = 10  # of configs/zero_shot.cfg
GROWTH_SIZES = (1_000, 10_000, 50_000, 200_000)
app = typer.Typer(help=__doc__, no_args_is_help=True)


# -- texts ----------------------------------------------------------------------------------


def read_texts(corpora: Path, split: str, n: int) -> List[str]:
    """Sentences in six languages and scripts, then two or four of them together; shuffled."""
    texts = _read_corpus(corpora, split)
    rng = random.Random(0)
    joined = [" ".join(rng.sample(texts, rng.choice((2, 4)))) for _ in range(n - len(texts))]
    texts += joined
    rng.shuffle(texts)
    return texts[:n]


def cut_texts(corpora: Path, n: int) -> Iterable[str]:
    """Short texts, no two alike, each with a word that no other has."""
    texts = _read_corpus(corpora, "train")
    rng = random.Random(0)
    for i in range(n):
        text = rng.choice(texts)
        start = rng.randrange(max(1, len(text) - 30))
        yield f"{' '.join(text[start : start + 30].split())} {i:x}"


def _read_corpus(corpora: Path, split: str) -> List[str]:
    import spacy
    from spacy.tokens import DocBin

    vocab = spacy.blank("xx").vocab
    texts = []
    for lang in LANGS:
        bin = DocBin().from_disk(corpora / split / f"{lang}.spacy")
        texts += [doc.text for doc in bin.get_docs(vocab)]
    return texts


# -- measuring ------------------------------------------------------------------------------


@app.command("train")
def train(
    corpora: Path,
    encoder: Path,
    n_steps: int = 4,
    rounds: int = 5,
    peers: str = "",
    add: bool = False,
) -> None:
    """Optimizer steps at batch 32, in documents per second."""
    arguments = [str(corpora), str(encoder), "-", str(n_steps)]
    _run_rounds("train", TRAINERS, peers, rounds, add, arguments)


@app.command("predict")
def predict(
    corpora: Path,
    encoder: Path,
    pipeline: Path,
    n_texts: int = 5000,
    rounds: int = 5,
    peers: str = "",
    add: bool = False,
) -> None:
    """Many texts, one at a time, loading, memory and size; each round has its share of texts."""
    arguments = [str(corpora), str(encoder), str(pipeline), str(n_texts)]
    _run_rounds("predict", PREDICTORS, peers, rounds, add, arguments)


@app.command("worker", hidden=True)
def worker(
    kind: str,
    peer: str,
    part: int,
    parts: int,
    corpora: Path,
    encoder: Path,
    pipeline: Path,
    n: int,
) -> None:
    """One measurement in a process of its own; its last line of output is JSON."""
    if kind == "train":
        texts = read_texts(corpora, "train", 4000)
        result = measure_training(TRAINERS[peer](encoder), texts[part * BATCH :], n)
    else:
        texts = read_texts(corpora, "test", n)[part::parts]
        result = measure_prediction(PREDICTORS[peer](encoder, pipeline), texts)
    print(json.dumps(result))


def measure_training(step: Step, texts: List[str], n_steps: int) -> Dict[str, Any]:
    """Documents per second over a run of some epochs, from two of them.

    The second one may be faster than the first, and is like all that follow.
    """
    rng = random.Random(0)
    batches = [texts[i * BATCH : (i + 1) * BATCH] for i in range(n_steps + 2)]
    labels = [rng.randrange(N_LABELS) for _ in range(BATCH)]
    for batch in batches[:2]:
        step(batch, labels)
    # Over all steps, since their batches differ in length and every peer gets the same.
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for batch in batches[2:]:
            step(batch, labels)
        seconds.append(time.perf_counter() - start)
    n_docs = n_steps * BATCH
    return {
        "docs_per_second": EPOCHS * n_docs / (seconds[0] + (EPOCHS - 1) * seconds[1]),
        "docs_per_second_by_epoch": [n_docs / s for s in seconds],
    }


def measure_prediction(predictor: Predictor, texts: List[str]) -> Dict[str, Any]:
    import resource

    predictor.many(texts[:64])
    start = time.perf_counter()
    predictor.many(texts)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    times = []
    short = sorted(texts, key=len)[: len(texts) // 4][-N_LATENCY:]
    for text in short * N_LATENCY_PASSES:
        start = time.perf_counter()
        predictor.one(text)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    predictor.load()
    return {
        "docs_per_second": len(texts) / seconds,
        "p50_ms": 1000 * statistics.median(times),
        "p99_ms": 1000 * sorted(times)[int(0.99 * len(times))],
        "load_seconds": time.perf_counter() - start,
        "memory_bytes": memory,
        "disk_bytes": predictor.size,
        "n_texts": len(texts),
    }


def _run_rounds(
    kind: str, peers: Iterable[str], chosen: str, rounds: int, add: bool, arguments: List[str]
) -> None:
    """Measure all peers, or those that are chosen with semicolons between them, in turn."""
    names = [name for name in peers if not chosen or name in chosen.split(";")]
    path = RESULTS / f"{kind}.json"
    found = json.loads(path.read_text()) if add else {"machine": describe_machine(), "runs": {}}
    for part in range(rounds):
        for peer in names:
            result = _run_worker([kind, peer, str(part), str(rounds), *arguments])
            found["runs"].setdefault(peer, []).append(result)
            _write(path, found)
            shown = {k: round(v, 3) for k, v in result.items() if isinstance(v, (int, float))}
            print(f"{kind} {part + 1}/{rounds}: {peer}: {shown or result}", flush=True)


def _run_worker(arguments: List[str]) -> Dict[str, Any]:
    command = [sys.executable, __file__, "worker", *arguments]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:300] if done.stderr else "killed"}
    return json.loads(done.stdout.strip().splitlines()[-1])


@app.command("precision")
def precision(corpora: Path, pipeline: Path) -> None:
    """What bfloat16 changes: labels of all test texts, and mean accuracy over the languages."""
    import spacy

    rows = _read_labelled(corpora, "test")
    predicted = {}
    for name in ("bf16", "fp32"):
        nlp = spacy.load(pipeline, config={"components.textcat.model.precision": name})
        docs = nlp.pipe([text for _, text, _ in rows])
        predicted[name] = [max(doc.cats, key=doc.cats.get) for doc in docs]
    result = {
        "n_texts": len(rows),
        "same_label": _share_equal(predicted["bf16"], predicted["fp32"]),
        **{f"accuracy_{name}": _mean_accuracy(rows, own) for name, own in predicted.items()},
    }
    _write(RESULTS / "precision.json", result)
    print(result)


@app.command("peer-precision")
def peer_precision(corpora: Path, encoder: Path) -> None:
    """What the backends of sentence-transformers lose: a logistic regression on the vectors of
    each, trained in English, its labels beside those of torch in fp32."""
    from sklearn.linear_model import LogisticRegression

    train_rows = [row for row in _read_labelled(corpora, "train") if row[0] == "en"]
    rows = _read_labelled(corpora, "test")
    predicted: Dict[str, List[str]] = {}
    for name, backend in SENTENCES.items():
        model = prepare_sentences(encoder, backend)()
        head = LogisticRegression(max_iter=5000)
        head.fit(model.encode([t for _, t, _ in train_rows]), [label for *_, label in train_rows])
        predicted[name] = head.predict(model.encode([t for _, t, _ in rows])).tolist()
    reference = next(iter(predicted.values()))
    result = {
        name: {
            "accuracy": _mean_accuracy(rows, own),
            "same_label": _share_equal(own, reference),
        }
        for name, own in predicted.items()
    }
    _write(RESULTS / "peer_precision.json", result)
    print(result)


def _read_labelled(corpora: Path, split: str) -> List[Tuple[str, str, str]]:
    """Language, text and label of every document."""
    import spacy

    from spacy_xlt.corpora.reader import create_corpus_v1
    from spacy_xlt.languages import get_doc_language

    docs = (eg.reference for eg in create_corpus_v1(path=str(corpora / split))(spacy.blank("xx")))
    return [(get_doc_language(doc), doc.text, max(doc.cats, key=doc.cats.get)) for doc in docs]


def _mean_accuracy(rows: Sequence[Tuple[str, str, str]], predicted: Sequence[str]) -> float:
    """Mean over the languages."""
    right: Dict[str, List[bool]] = {}
    for (lang, _, gold), label in zip(rows, predicted, strict=True):
        right.setdefault(lang, []).append(gold == label)
    return statistics.mean(statistics.mean(own) for own in right.values())


def _share_equal(a: Sequence[str], b: Sequence[str]) -> float:
    return statistics.mean(float(x == y) for x, y in zip(a, b, strict=True))


@app.command("growth")
def growth(corpora: Path, encoder: Path, pipeline: Path) -> None:
    """Time and memory of `spacy xlt predict` as its input grows; one thread."""
    from spacy_xlt.pieces import PieceTokenizer

    tokenizer = PieceTokenizer.from_path(encoder)
    n_special = len(tokenizer.starts) + len(tokenizer.ends)
    runs = []
    for n in GROWTH_SIZES:
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory) / "in.txt"
            texts = list(cut_texts(corpora, n))
            source.write_text("\n".join(texts) + "\n", encoding="utf8")
            command = [sys.executable, "-m", "spacy", "xlt", "predict", str(pipeline), str(source)]
            process = subprocess.Popen(
                [*command, str(Path(directory) / "out.jsonl")],
                env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
                stderr=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"{' '.join(command)} ended with status {status}")
        runs.append(
            {
                "n_texts": n,
                "n_pieces": sum(p.size + n_special for p in tokenizer.encode(texts)),
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "memory_bytes": usage.ru_maxrss * 1024,
            }
        )
        print(runs[-1], flush=True)
        _write(RESULTS / "growth.json", {"machine": describe_machine(), "runs": runs})


def describe_machine() -> Dict[str, Any]:
    """Processor, threads, rates of a lone matrix product, and versions of what is measured."""
    import torch

    from spacy_xlt.layers.timing import measure_product_rate

    cpu = torch.device("cpu")
    return {
        "processor": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "gflops_bf16": round(measure_product_rate(cpu, torch.bfloat16) / 1e9),
        "gflops_fp32": round(measure_product_rate(cpu, torch.float32) / 1e9),
        "versions": {name: _version(name) for name in MEASURED},
    }


def _version(name: str) -> Optional[str]:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _write(path: Path, result: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


# -- the README's tables --------------------------------------------------------------------


@app.command("table")
def table() -> None:
    """Write the tables into the README."""
    README.write_text(with_table(README.read_text(encoding="utf8")), encoding="utf8")


def with_table(text: str) -> str:
    """A README with the tables between its markers."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    return with_part(text, "speed", summarise(results))


def summarise(results: Dict[str, Any]) -> List[str]:
    """Lines of Markdown tables over the results by name: training, prediction, growth."""
    lines: List[str] = []
    if "train" in results:
        lines += [
            "| training at batch 32 | rounds | docs/s | spacy-xlt is faster by |",
            "|---|---|---|---|",
        ]
        for peer, runs in _good_runs(results["train"]).items():
            ratio = _ratio(results["train"], peer)
            lines.append(
                f"| {peer} | {len(runs)} | {_median(runs, 'docs_per_second'):.1f} | {ratio} |"
            )
        lines.append("")
    if "predict" in results:
        lines += [
            "| prediction | rounds | docs/s | spacy-xlt is faster by | one text, p50 | p99 "
            "| load | memory | disk |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for peer, runs in _good_runs(results["predict"]).items():
            size = "" if runs[0]["disk_bytes"] is None else f"{runs[0]['disk_bytes'] / 1e6:.0f} MB"
            lines.append(
                f"| {peer} | {len(runs)} | {_median(runs, 'docs_per_second'):.1f} "
                f"| {_ratio(results['predict'], peer)} "
                f"| {_median(runs, 'p50_ms'):.1f} ms | {_median(runs, 'p99_ms'):.1f} ms "
                f"| {_median(runs, 'load_seconds'):.2f} s "
                f"| {_median(runs, 'memory_bytes') / 1e9:.2f} GB | {size} |"
            )
        lines.append("")
    if "growth" in results:
        lines += [
            "| `spacy xlt predict`, one thread | word pieces | CPU time | peak memory |",
            "|---|---|---|---|",
        ]
        for run in results["growth"]["runs"]:
            lines.append(
                f"| {run['n_texts']:,} texts | {run['n_pieces']:,} | {run['cpu_seconds']:.0f} s "
                f"| {run['memory_bytes'] / 1e9:.2f} GB |"
            )
        lines.append("")
    if "precision" in results:
        found = results["precision"]
        lines += [
            f"In bfloat16, {found['same_label']:.1%} of {found['n_texts']:,} test texts get the "
            f"label that they get in fp32;",
            f"mean accuracy over the languages is {found['accuracy_bf16']:.3f}, and "
            f"{found['accuracy_fp32']:.3f} in fp32.",
            "",
        ]
    if "peer_precision" in results:
        reference, *others = results["peer_precision"].items()
        lines += [
            f"A logistic regression on the vectors of {reference[0]} has a mean accuracy of "
            f"{reference[1]['accuracy']:.3f}.",
            *(
                f"With {name.rpartition(', ')[2]} it is {found['accuracy']:.3f}, and "
                f"{1 - found['same_label']:.1%} of the labels differ."
                for name, found in others
            ),
            "",
        ]
    machines = [results[name]["machine"] for name in ("train", "predict") if name in results]
    if machines:
        machine = machines[-1]
        versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
        lines += [
            f"Measured on {machine['threads']} threads of a CPU with {machine['processor']}, where "
            f"a lone matrix product reaches",
            f"{machine['gflops_bf16']} GFLOP/s in bfloat16 and {machine['gflops_fp32']} in fp32; "
            f"{versions}.",
        ]
    return lines


def _good_runs(result: Dict[str, Any]) -> Dict[str, List[Dict[str, Any]]]:
    """Runs without an error by peer, the fastest first."""
    good = {peer: [r for r in runs if "error" not in r] for peer, runs in result["runs"].items()}
    found = [(peer, runs) for peer, runs in good.items() if runs]
    return dict(sorted(found, key=lambda item: -_median(item[1], "docs_per_second")))


def _median(runs: List[Dict[str, Any]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _ratio(result: Dict[str, Any], peer: str) -> str:
    """Median over the rounds of what this package does more than a peer in the same round."""
    if peer == OURS:
        return ""
    pairs = zip(result["runs"][OURS], result["runs"][peer], strict=False)
    ratios = [
        ours["docs_per_second"] / other["docs_per_second"]
        for ours, other in pairs
        if "error" not in ours and "error" not in other
    ]
    return f"{statistics.median(ratios):.1f}×"


if __name__ == "__main__":
    app()
