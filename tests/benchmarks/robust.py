"""What a richer training objective brings on SIB-200, one JSON per run in assets/results/transfer/.

    python tests/benchmarks/robust.py run corpora ENCODER --half even --freeze half
    python tests/benchmarks/robust.py run corpora ENCODER --recipes agree_subwords --seeds 0,1,2
    python tests/benchmarks/robust.py gains --half even --freeze half
    python tests/benchmarks/robust.py run corpora ENCODER --recipes agree --split test

Corpora and encoder are those of sib200.py. Settings are chosen on the dev sets of the selection
languages; cheap looks train on the even half of the English sentences with half of the layers
frozen. Gradient reversal also sees unlabelled target sentences, which are the odd ones, so it
trains on the even half only. A run that is there is kept.
"""

import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import runs
import spacy
import typer
from spacy.tokens import DocBin

RESULTS = runs.RESULTS / "transfer"
# Settings of `spacy_xlt.Robust.v1` by recipe.
RECIPES: Dict[str, Dict[str, float]] = {
    "plain": {},
    "agree": {"agreement": 1.0},
    "subwords": {"subword_rate": 1.0, "subword_sharpness": 0.3},
    "agree_subwords": {"agreement": 1.0, "subword_rate": 1.0, "subword_sharpness": 0.3},
    "adversary": {"adversary_radius": 0.1},
    "mask": {"mask_rate": 0.15},
    "pull": {"pull_to_start": 100.0},
    "reversal": {"language_reversal": 0.1},
}
# Unlabelled sentences per target language for gradient reversal.
N_UNLABELLED = 16
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def run(
    corpora: Path,
    encoder: Path,
    recipes: str = ",".join(RECIPES),
    seeds: str = "0",
    half: str = "all",
    freeze: str = "embeddings",
    split: str = "dev",
    zero_shot: Optional[Path] = None,
) -> None:
    """Train English with each recipe; measure dev of the selection languages, or all test sets.

    half (str): "all" English sentences, or those with an "even" id.
    zero_shot (Optional[Path]): A pipeline that zero_shot.cfg made with the first seed and the
        same sentences, to measure instead of training `plain` again.
    """
    langs = ["en", *runs.SELECTION] if split == "dev" else None
    for i, seed in enumerate(map(int, seeds.split(","))):
        for recipe in recipes.split(","):
            path = RESULTS / f"{_name(recipe, half, freeze, split)}-seed{seed}.json"
            if path.exists():
                continue
            started, processor = time.perf_counter(), time.process_time()
            is_there = recipe == "plain" and zero_shot is not None and i == 0
            if is_there:
                nlp = spacy.load(zero_shot)
            else:
                nlp = _train(recipe, corpora, encoder, half, freeze, seed)
            seconds = time.perf_counter() - started, time.process_time() - processor
            result = {
                **runs.measure(nlp, corpora / "all" / split, langs),
                "recipe": recipe,
                "settings": RECIPES[recipe],
                "half": half,
                "freeze": freeze,
                "source": "en",
                "seed": seed,
                "seconds": round(seconds[0], 1),
                # What other work on the machine hardly changes; 0 if trained elsewhere.
                "processor_seconds": 0.0 if is_there else round(seconds[1], 1),
            }
            runs.write_run(path, result)


@app.command("gains")
def gains(half: str = "all", freeze: str = "embeddings", split: str = "dev") -> None:
    """Show what each recipe brings over `plain`, over the seeds that both have."""
    print("\n".join(summarise(runs.read_runs(RESULTS), half, freeze, split)))


def summarise(results: Dict[str, runs.Run], half: str, freeze: str, split: str) -> List[str]:
    """Lines of a Markdown table over runs by name."""
    lines = [
        "| recipe | seeds | mean | gain in points | English | time |",
        "|---|---|---|---|---|---|",
    ]
    by_recipe = {recipe: _by_seed(results, recipe, half, freeze, split) for recipe in RECIPES}
    plain = by_recipe["plain"]
    for recipe, own in by_recipe.items():
        seeds = sorted(set(own) & set(plain))
        if not seeds:
            continue
        before, after = ([group[seed] for seed in seeds] for group in (plain, own))
        langs = list(runs.SELECTION) if split == "dev" else runs.targets_of(after[0])
        gain = runs.compare_runs(before, after, langs)
        mean = statistics.mean(run["accuracy"][lang] for run in after for lang in langs)
        english = statistics.mean(run["accuracy"]["en"] for run in after)
        times = [_mean_time(group) for group in (before, after)]
        ratio = f"{times[1] / times[0]:.1f}x" if min(times) > 0.0 else ""
        lines.append(f"| {recipe} | {len(seeds)} | {mean:.3f} | {gain} | {english:.3f} | {ratio} |")
    return lines


def _by_seed(
    results: Dict[str, runs.Run], recipe: str, half: str, freeze: str, split: str
) -> Dict[int, runs.Run]:
    start = f"{_name(recipe, half, freeze, split)}-seed"
    return {run["seed"]: run for name, run in results.items() if name.startswith(start)}


def _name(recipe: str, half: str, freeze: str, split: str) -> str:
    return f"robust-{recipe}-{half}-{freeze}-{split}"


def _mean_time(group: List[runs.Run]) -> float:
    return statistics.mean(run["processor_seconds"] for run in group)


def _train(recipe: str, corpora: Path, encoder: Path, half: str, freeze: str, seed: int) -> Any:
    train = corpora / half / "train" / "en.spacy"
    settings = runs.paths(train, corpora / "all" / "dev", encoder)
    settings["system.seed"] = seed
    settings["components.textcat.model.freeze"] = freeze
    if RECIPES[recipe]:
        robust = {"@architectures": "spacy_xlt.Robust.v1", **RECIPES[recipe]}
        settings["components.textcat.model.robust"] = robust
    if "language_reversal" not in RECIPES[recipe]:
        return runs.train_recipe("zero_shot", settings)
    if half != "even":
        raise ValueError(f"half is '{half}', but {recipe} needs the odd sentences as unlabelled.")
    with tempfile.TemporaryDirectory() as directory:
        _write_mixed(Path(directory), train, corpora / "odd" / "train")
        settings["paths.train"] = directory
        settings["corpora.train.langs"] = None
        return runs.train_recipe("zero_shot", settings)


def _write_mixed(folder: Path, labelled: Path, unlabelled: Path) -> None:
    """The labelled sentences, and some of every target language without their labels."""
    vocab, rng = spacy.blank("xx").vocab, random.Random(0)
    (folder / labelled.name).write_bytes(labelled.read_bytes())
    for path in sorted(unlabelled.glob("*.spacy")):
        if path.stem not in (labelled.stem, *runs.LEFT_OUT):
            docs = rng.sample(list(DocBin().from_disk(path).get_docs(vocab)), N_UNLABELLED)
            for doc in docs:
                doc.cats = {}
            DocBin(docs=docs, store_user_data=True).to_disk(folder / path.name)


if __name__ == "__main__":
    app()
