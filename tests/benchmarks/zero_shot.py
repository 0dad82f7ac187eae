"""Zero-shot without target text on SIB-200 by what is done with weights and outputs.

    python tests/benchmarks/zero_shot.py run corpora ENCODER --recipes start_share --seeds 0,1,2
    python tests/benchmarks/zero_shot.py gains

Corpora and encoder are those of sib200.py, whose zero-shot runs are the baseline. One JSON per run
in assets/results/transfer/; a run that is there is kept.
"""

import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import runs
import spacy
import typer
from spacy.language import Language

from spacy_xlt.transfer.soup import make_soup

RESULTS = runs.RESULTS / "transfer"
BASELINE = runs.RESULTS / "sib200"
MODEL = "components.textcat.model"
# Settings chosen on dev of the selection languages and on intents.
START_SHARE = {f"{MODEL}.start_share": 0.3}
HALF = {f"{MODEL}.freeze": "half"}
# What a soup is made of; no two soups share a run.
N_SOUP = 3

# Trains a recipe with a seed and settings.
Train = Callable[..., Language]
app = typer.Typer(help=__doc__, no_args_is_help=True)


def start_share(train: Train, seed: int) -> Language:
    return train("zero_shot", seed, START_SHARE)


def half(train: Train, seed: int) -> Language:
    return train("zero_shot", seed, {**START_SHARE, **HALF})


def soup(train: Train, seed: int) -> Language:
    seeds = range(N_SOUP * seed, N_SOUP * (seed + 1))
    members = [train("zero_shot", each, {**START_SHARE, **HALF}) for each in seeds]
    return make_soup(members, names=[f"seed {each}" for each in seeds])


def mixed(train: Train, seed: int) -> Language:
    members = [train("zero_shot", seed, START_SHARE), train("frozen", seed, {})]
    nlp = spacy.blank("xx")
    ensemble: Any = nlp.add_pipe("xlt_ensemble", name="textcat")
    ensemble.set_members(members, names=["zero-shot", "frozen"])
    return nlp


RECIPES: Dict[str, Callable[[Train, int], Language]] = {
    function.__name__: function for function in (start_share, half, soup, mixed)
}


@app.command("run")
def run(corpora: Path, encoder: Path, recipes: str = "start_share", seeds: str = "0,1,2") -> None:
    """Train on all English labels; measure every language's test set."""
    settings = runs.paths(corpora / "all" / "train", corpora / "all" / "dev", encoder)

    def train(recipe: str, seed: int, overrides: Dict[str, Any]) -> Language:
        return runs.train_recipe(recipe, {**settings, "system.seed": seed, **overrides})

    for recipe in recipes.split(","):
        for seed in map(int, seeds.split(",")):
            path = RESULTS / f"zero_shot-{recipe}-seed{seed}.json"
            if path.exists():
                continue
            started, cpu_started = time.perf_counter(), time.process_time()
            nlp = RECIPES[recipe](train, seed)
            seconds, cpu_seconds = (
                time.perf_counter() - started,
                time.process_time() - cpu_started,
            )
            result = {
                **runs.measure(nlp, corpora / "all" / "test"),
                "recipe": f"zero_shot-{recipe}",
                "source": "en",
                "seed": seed,
                "seconds": round(seconds, 1),
                "cpu_seconds": round(cpu_seconds, 1),
            }
            runs.write_run(path, result)


@app.command("gains")
def gains() -> None:
    """Show what each recipe has, and what it brings over the default."""
    print("\n".join(summarise(runs.read_runs(BASELINE), runs.read_runs(RESULTS))))


def summarise(baseline: Dict[str, runs.Run], results: Dict[str, runs.Run]) -> List[str]:
    """Lines of a Markdown table over runs by name."""
    before = [run for name, run in baseline.items() if name.startswith("zero_shot-en-seed")]
    targets = runs.targets_of(before[0])
    groups = {
        "22 targets": targets,
        "16 never used to choose": [lang for lang in targets if lang not in runs.SELECTION],
        "low-resource": list(runs.LOW_RESOURCE),
    }
    lines = [
        f"| recipe | runs | accuracy | {' | '.join(groups)} |",
        "|---|---|---|" + "---|" * len(groups),
    ]
    for recipe in RECIPES:
        after = [run for run in results.values() if run["recipe"] == f"zero_shot-{recipe}"]
        if after:
            accuracy = sum(runs.mean_right(after, lang).mean() for lang in targets) / len(targets)
            compared = [str(runs.compare_runs(before, after, langs)) for langs in groups.values()]
            lines.append(f"| {recipe} | {len(after)} | {accuracy:.3f} | {' | '.join(compared)} |")
    return lines


if __name__ == "__main__":
    app()
