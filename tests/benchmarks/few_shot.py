"""A few labels in the target language, one JSON per recipe and number of labels in
assets/results/transfer/, with all languages and draws; what is there is kept.

    python tests/benchmarks/few_shot.py run few_shot corpora START ENCODER --shots 8
    python tests/benchmarks/few_shot.py run few_shot corpora START ENCODER --shots 32
    python tests/benchmarks/few_shot.py run finetune corpora START ENCODER --shots 8 --draws 3
    python tests/benchmarks/few_shot.py table

START is zero-shot from the even half of the English labels (`zero_shot-even` of sib200.py);
labels of the target are drawn from the odd half. No run chooses by its development data, so the
last step's pipeline is measured.
"""

import io
import itertools
import json
import statistics
import time
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

import runs
import spacy
import torch
import typer
from spacy import util
from spacy.training.initialize import init_nlp
from spacy.training.loop import train

from spacy_xlt.layers import shim
from spacy_xlt.layers.shim import TextCatShim

RESULTS = runs.RESULTS / "transfer"
START = "few_shot-start"
LANGS = ",".join(runs.LOW_RESOURCE)
NO_CHOICE = {
    "training.score_weights.cats_acc": 0.0,
    "training.score_weights.cats_macro_f": 0.0,
    "initialize.after_init.evaluations": 1,
}
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def run(
    recipe: str,
    corpora: Path,
    start: Path,
    encoder: Path,
    shots: int = 8,
    draws: int = 10,
    langs: str = LANGS,
    split: str = "test",
) -> None:
    """Train by a config of a second stage, in each language and on each draw."""
    _measure_start(corpora, start, langs.split(","), split)
    path = RESULTS / f"{recipe}-shots{shots}-{split}.json"
    result = json.loads(path.read_text()) if path.exists() else {"runs": []}
    done = {(run["lang"], run["draw"]) for run in result["runs"]}
    with shared_vectors() if recipe == "few_shot" else nullcontext():
        for lang, draw in itertools.product(langs.split(","), range(draws)):
            if (lang, draw) in done:
                continue
            began = time.perf_counter()
            nlp = init_nlp(_config(recipe, corpora, start, encoder, lang, shots, draw))
            train(nlp, stdout=io.StringIO(), stderr=io.StringIO())
            seconds = time.perf_counter() - began
            measured = runs.measure(nlp, corpora / "all" / split / f"{lang}.spacy")
            own = {"lang": lang, "draw": draw, "seconds": round(seconds, 1)}
            own["accuracy"] = measured.pop("accuracy")[lang]
            own["correct"] = measured.pop("correct")[lang]
            result.update(measured, split=split, recipe=recipe, shots=shots, source="en")
            result["runs"].append(own)
            path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
            print({k: v for k, v in own.items() if k != "correct"}, flush=True)


@app.command("table")
def table(split: str = "test") -> None:
    """Gains over the start, with intervals over sentences, and how much they differ by draw."""
    start = json.loads((RESULTS / f"{START}-{split}.json").read_text())
    for path in sorted(RESULTS.glob(f"*-shots*-{split}.json")):
        result = json.loads(path.read_text())
        print("\n".join([path.stem, *summarise(start, result["runs"])]))


def summarise(start: runs.Run, found: Sequence[Dict[str, Any]]) -> List[str]:
    """Lines on the gain of all languages together and of each one."""
    langs = list(dict.fromkeys(run["lang"] for run in found))
    after = [{"correct": {run["lang"]: run["correct"]}} for run in found]
    by_lang = {lang: [r["accuracy"] for r in found if r["lang"] == lang] for lang in langs}
    draws = sorted({run["draw"] for run in found})
    means = [statistics.mean(run["accuracy"] for run in found if run["draw"] == d) for d in draws]
    lines = [
        f"all: {runs.compare_runs([start], after, langs)}, {len(found)} runs, "
        f"deviation of a mean over draws {_deviation(means)}, "
        f"{statistics.median(run['seconds'] for run in found)} s"
    ]
    for lang, values in by_lang.items():
        gain = runs.compare_runs([start], after, [lang])
        lines.append(f"  {lang}: {gain}, deviation over draws {_deviation(values)}")
    return lines


@contextmanager
def shared_vectors() -> Iterator[None]:
    """Let runs that all leave the same encoder untouched read it once, and compute the vector of
    each text once."""
    vectors: Dict[str, torch.Tensor] = {}
    embed, load = TextCatShim._embed, shim.load_encoder

    def embed_new(self: TextCatShim, classifier: Any, texts: Sequence[str]) -> torch.Tensor:
        missing = [text for text in dict.fromkeys(texts) if text not in vectors]
        if missing:
            vectors.update(zip(missing, embed(self, classifier, missing), strict=True))
        return torch.stack([vectors[text] for text in texts])

    TextCatShim._embed, shim.load_encoder = embed_new, cache(load)
    try:
        yield
    finally:
        TextCatShim._embed, shim.load_encoder = embed, load


def _measure_start(corpora: Path, start: Path, langs: List[str], split: str) -> None:
    path = RESULTS / f"{START}-{split}.json"
    if not path.exists():
        began = time.perf_counter()
        measured = runs.measure(spacy.load(start), corpora / "all" / split, langs)
        seconds = round(time.perf_counter() - began, 1)
        runs.write_run(path, {**measured, "recipe": START, "source": "en", "seconds": seconds})


def _config(
    recipe: str, corpora: Path, start: Path, encoder: Path, lang: str, shots: int, draw: int
) -> util.Config:
    train_path = corpora / "odd" / "train" / f"{lang}.spacy"
    settings = {
        **runs.paths(train_path, corpora / "all" / "dev" / f"{lang}.spacy", encoder, lang),
        **NO_CHOICE,
        "paths.start": str(start),
        "corpora.train.shots": shots,
        "system.seed": draw,
        # Shown only, and not by this script.
        "corpora.dev.limit": 8,
    }
    if recipe == "few_shot":
        settings["paths.source"] = str(corpora / "even" / "train" / "en.spacy")
    return util.load_config(runs.ROOT / "configs" / f"{recipe}.cfg", overrides=settings)


def _deviation(values: Sequence[float]) -> str:
    return f"{100 * statistics.stdev(values):.1f}" if len(values) > 1 else "unknown"


if __name__ == "__main__":
    app()
