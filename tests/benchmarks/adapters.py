"""What adapters in place of full tuning cost and save on SIB-200, in assets/results/transfer/.

    python tests/benchmarks/adapters.py run corpora ENCODER --recipes lora --seeds 0,1,2
    python tests/benchmarks/adapters.py run corpora ENCODER --recipes bottleneck,prefix
    python tests/benchmarks/adapters.py speed corpora ENCODER
    python tests/benchmarks/adapters.py heads corpora ENCODER
    python tests/benchmarks/adapters.py table

Corpora and encoder are those of sib200.py. All recipes see all English training sentences and no
text of another language; zero_shot.cfg's runs are those of sib200.py. A run that is there is kept.
"""

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import runs
import spacy
import torch
import typer
from spacy import util
from spacy.language import Language
from spacy.training import Example
from spacy.training.initialize import init_nlp

from spacy_xlt.cli.delta import apply as apply_delta
from spacy_xlt.cli.delta import save as save_delta
from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.files import folder_size

RESULTS = runs.RESULTS / "transfer"
FULL = runs.RESULTS / "sib200"
ADAPTER = "components.textcat.model.adapter"
RATE = "training.optimizer.learn_rate.initial_rate"
HEAD_RATE = "components.textcat.model.head_rate_factor"
FREEZE = "components.textcat.model.freeze"
# Config and changes of it, by recipe.
RECIPES: Dict[str, Tuple[str, Dict[str, Any]]] = {
    "lora": ("lora", {}),
    "bottleneck": (
        "zero_shot",
        {
            ADAPTER: {"@architectures": "spacy_xlt.Bottleneck.v1", "width": 96},
            FREEZE: "half",
            RATE: 1e-3,
            HEAD_RATE: 0.1,
        },
    ),
    "prefix": (
        "zero_shot",
        {
            ADAPTER: {"@architectures": "spacy_xlt.Prefix.v1", "length": 16},
            FREEZE: "half",
            RATE: 5e-3,
            HEAD_RATE: 0.02,
        },
    ),
}
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def run(corpora: Path, encoder: Path, recipes: str = "lora", seeds: str = "0") -> None:
    """Train with adapters, measure every language's test set, and the size of the delta."""
    for recipe in recipes.split(","):
        for seed in map(int, seeds.split(",")):
            path = RESULTS / f"{recipe}-en-seed{seed}.json"
            if path.exists():
                continue
            config_name, changes = RECIPES[recipe]
            settings = {**_paths(corpora, encoder), **changes, "system.seed": seed}
            started = time.perf_counter()
            nlp = runs.train_recipe(config_name, settings)
            seconds = time.perf_counter() - started
            nlp, n_bytes = _apart_and_together(nlp, encoder)
            trained, total = _count_parameters(nlp)
            result = {
                **runs.measure(nlp, corpora / "all" / "test"),
                "recipe": recipe,
                "source": "en",
                "seed": seed,
                "seconds": round(seconds, 1),
                "trained_parameters": trained,
                "parameters": total,
                "delta_bytes": n_bytes,
            }
            runs.write_run(path, result)


@app.command("table")
def table() -> None:
    """Show accuracy beside that of full tuning with the same seeds, and what is trained."""
    full = {r["seed"]: r for n, r in runs.read_runs(FULL).items() if n.startswith("zero_shot-en-")}
    print("| recipe | seeds | mean of targets | full tuning | trained | delta |")
    print("|---|---|---|---|---|---|")
    for recipe in RECIPES:
        found = [r for r in runs.read_runs(RESULTS).values() if r["recipe"] == recipe]
        if not found:
            continue
        ours = statistics.fmean(_mean(run) for run in found)
        theirs = statistics.fmean(_mean(full[run["seed"]]) for run in found)
        share = found[0]["trained_parameters"] / found[0]["parameters"]
        size = max(run["delta_bytes"] for run in found) / 1e6
        seeds = ", ".join(str(run["seed"]) for run in found)
        print(
            f"| {recipe} | {seeds} | {ours:.3f} | {theirs:.3f} | {share:.2%} | {size:.2f} MB |",
            flush=True,
        )


@app.command("speed")
def speed(corpora: Path, encoder: Path, rounds: int = 5, n_docs: int = 256) -> None:
    """Training speed of each recipe as a multiple of full tuning's, in alternating rounds."""
    recipes = {"zero_shot": ("zero_shot", {}), **RECIPES}
    steps = {
        name: _make_step(corpora, encoder, config_name, changes, n_docs)
        for name, (config_name, changes) in recipes.items()
    }
    _show_ratios(steps, "zero_shot", n_docs, rounds)


@app.command("heads")
def heads(corpora: Path, encoder: Path, rounds: int = 5, n_docs: int = 512) -> None:
    """Prediction with several heads on one encoder, as a multiple of the time of one."""
    texts = [eg.text for eg in _read(corpora / "all" / "dev", Language())[:n_docs]]
    # In two batches: the vectors of the last one are known when they come again.
    calls = {
        f"{n} heads": partial(_predict, _make_heads(corpora, encoder, n), texts, len(texts) // 2)
        for n in (1, 2, 4, 8)
    }
    _show_ratios(calls, "1 heads", len(texts), rounds)


def _show_ratios(
    calls: Dict[str, Callable[[], Any]], baseline: str, n_docs: int, rounds: int
) -> None:
    """Processor time is shown too: other processes disturb it less than they do the clock."""
    seconds: Dict[str, List[float]] = {name: [] for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            started = time.process_time()
            call()
            if i:  # the first round warms up
                seconds[name].append(time.process_time() - started)
    for name, own in seconds.items():
        ratios = sorted(b / a for a, b in zip(own, seconds[baseline], strict=True))
        print(
            f"{name}: {n_docs / statistics.median(own):.1f} docs per processor second, "
            f"{statistics.median(ratios):.2f} x {baseline} ({ratios[0]:.2f} to {ratios[-1]:.2f}), "
            f"{torch.get_num_threads()} threads",
            flush=True,
        )


def _make_step(
    corpora: Path, encoder: Path, config_name: str, changes: Dict[str, Any], n_docs: int
) -> Callable[[], None]:
    # The head's starting point does not change how long a step takes.
    overrides = {
        **_paths(corpora, encoder),
        **changes,
        "components.textcat.probe_strength": 0.0,
    }
    config_path = runs.ROOT / "configs" / f"{config_name}.cfg"
    nlp = init_nlp(util.load_config(config_path, overrides=overrides))
    optimizer = nlp.resume_training()
    examples = _read(corpora / "all" / "train" / "en.spacy", nlp)[:n_docs]

    def step() -> None:
        for batch in util.minibatch(examples, 32):
            nlp.update(list(batch), sgd=optimizer, drop=0.1)

    return step


def _make_heads(corpora: Path, encoder: Path, n_heads: int) -> Language:
    config = util.load_config(
        runs.ROOT / "configs" / "frozen.cfg", overrides=_paths(corpora, encoder)
    )
    nlp = init_nlp(config)
    examples = _read(corpora / "all" / "train" / "en.spacy", nlp)[:100]
    for i in range(1, n_heads):
        model = {"@architectures": "spacy_xlt.SharedEncoder.v1", "upstream": "textcat"}
        head: Any = nlp.add_pipe("xlt_textcat", name=f"head{i}", config={"model": model})
        head.initialize(lambda: examples, nlp=nlp)
    return nlp


def _predict(nlp: Language, texts: List[str], batch_size: int) -> List[int]:
    return [len(doc.cats) for doc in nlp.pipe(texts, batch_size=batch_size)]


def _read(path: Path, nlp: Language) -> List[Example]:
    return list(create_corpus_v1(path=str(path))(nlp))


def _apart_and_together(nlp: Language, encoder: Path) -> Tuple[Language, int]:
    """The pipeline as its delta makes it with the encoder, and the delta's size in bytes."""
    with tempfile.TemporaryDirectory() as directory:
        pipeline, delta, made = (Path(directory) / name for name in ("pipeline", "delta", "made"))
        nlp.to_disk(pipeline)
        save_delta(pipeline, delta)
        apply_delta(encoder, delta, made)
        return spacy.load(made), folder_size(delta)


def _count_parameters(nlp: Language) -> Tuple[int, int]:
    """Parameters that were trained, the head's included, and all."""
    pipe: Any = nlp.get_pipe("textcat")
    parameters = list(pipe.model.shims[0].classifier.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


def _paths(corpora: Path, encoder: Path) -> Dict[str, Any]:
    # Files and not directories, whose other languages' words would get into the vocabulary.
    split = corpora / "all"
    return runs.paths(split / "train" / "en.spacy", split / "dev" / "en.spacy", encoder)


def _mean(run: runs.Run) -> float:
    return statistics.fmean(run["accuracy"][lang] for lang in runs.targets_of(run))


if __name__ == "__main__":
    app()
