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
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple
from unittest.mock import patch

import runs
import spacy
import torch
import typer
from spacy import util
from spacy.training.initialize import init_nlp
from spacy.training.loop import train

from spacy_xlt.layers.shim import TextCatShim

RESULTS = runs.RESULTS / "transfer"
START = "few_shot-start"
RECIPES = ("few_shot", "finetune")
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
    with shared_encoder() if recipe == "few_shot" else nullcontext():
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
    """Show what the results add up to, and how much the draws of a language differ."""
    start, results = read_results(split)
    print("\n".join(summarise(start, results)))
    for result in results:
        for lang, values in _by_lang(result).items():
            name = f"{result['recipe']} {result['shots']} {lang}"
            print(f"{name}: deviation over draws {_deviation(values)}")


def read_results(split: str = "test") -> Tuple[runs.Run, List[Dict[str, Any]]]:
    """The start's accuracies, and the results by recipe and number of labels."""
    path = RESULTS / f"{START}-{split}.json"
    start = json.loads(path.read_text()) if path.exists() else {}
    paths = [p for name in RECIPES for p in RESULTS.glob(f"{name}-shots*-{split}.json")]
    found = [json.loads(path.read_text()) for path in paths]
    return start, sorted(found, key=lambda result: (result["recipe"], result["shots"]))


def summarise(start: runs.Run, results: Sequence[Dict[str, Any]]) -> List[str]:
    """Lines of a Markdown table of gains over the start."""
    lines = [
        "Gains are against zero-shot from the same half of the English labels; target labels",
        "come from the other half, so no sentence is seen in two languages. Intervals are over",
        "sentences; the deviation is that of the mean over languages from draw to draw.",
        "",
        "| recipe | labels per class | runs | mean gain in points | deviation | by language |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        found = result["runs"]
        after = [{"correct": {run["lang"]: run["correct"]}} for run in found]
        langs = list(_by_lang(result))
        gain = runs.compare_runs([start], after, langs)
        draws = sorted({run["draw"] for run in found})
        means = [statistics.mean(r["accuracy"] for r in found if r["draw"] == d) for d in draws]
        listed = ", ".join(
            f"{lang} {runs.compare_runs([start], after, [lang]).mean:+.1f}"
            for lang in sorted(langs)
        )
        lines.append(
            f"| {result['recipe']} | {result['shots']} | {len(found)} | {gain} "
            f"| {_deviation(means)} | {listed} |"
        )
    return lines


def _by_lang(result: Dict[str, Any]) -> Dict[str, List[float]]:
    """Accuracies of all draws by language."""
    found: Dict[str, List[float]] = {}
    for run in result["runs"]:
        found.setdefault(run["lang"], []).append(run["accuracy"])
    return found


@contextmanager
def shared_encoder() -> Iterator[None]:
    """Let runs that all start from one pipeline and train its head only read and mix its encoder
    once, and compute the vector of each text once. It changes no figure but the seconds."""
    vectors: Dict[str, torch.Tensor] = {}
    kept: List[TextCatShim] = []
    embed, read, mix = TextCatShim._embed, TextCatShim.from_disk, TextCatShim.mix_untouched

    def embed_new(self: TextCatShim, classifier: Any, texts: Sequence[str]) -> torch.Tensor:
        missing = [text for text in dict.fromkeys(texts) if text not in vectors]
        if missing:
            vectors.update(zip(missing, embed(self, classifier, missing), strict=True))
        return torch.stack([vectors[text] for text in texts])

    def read_once(self: TextCatShim, path: Path) -> TextCatShim:
        if not kept:
            return read(self, path)
        self.set_classifier(kept[0].classifier, kept[0].tokenizer, kept[0].record)
        return self

    def mix_once(self: TextCatShim, share: float) -> None:
        if not kept:
            mix(self, share)
            kept.append(self)

    changes = {"_embed": embed_new, "from_disk": read_once, "mix_untouched": mix_once}
    with ExitStack() as stack:
        for name, change in changes.items():
            stack.enter_context(patch.object(TextCatShim, name, change))
        yield


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
        # Sentences are short, so batches are full by their number.
        "training.batcher.tokenizer": None,
    }
    if recipe == "few_shot":
        settings["paths.source"] = str(corpora / "even" / "train" / "en.spacy")
    return util.load_config(runs.ROOT / "configs" / f"{recipe}.cfg", overrides=settings)


def _deviation(values: Sequence[float]) -> str:
    return f"{100 * statistics.stdev(values):.1f}" if len(values) > 1 else "unknown"


if __name__ == "__main__":
    app()
