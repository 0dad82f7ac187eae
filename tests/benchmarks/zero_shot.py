"""Zero-shot without target text on SIB-200, by what is done with weights and outputs.

    python tests/benchmarks/zero_shot.py run corpora ENCODER WORK --recipes mixed --seeds 0,1,2
    python tests/benchmarks/zero_shot.py gains

Corpora and encoder are those of sib200.py; the baseline are zero-shot runs of lexicon.py, made
before the config counted the start. Recipes share what is trained, which is kept in WORK. One
JSON per run in assets/results/transfer/; a run that is there is kept.
"""

from pathlib import Path
from typing import Any, Callable, Dict, List

import runs
import spacy
import typer
from spacy.language import Language

from spacy_xlt.transfer.soup import make_soup

RESULTS = runs.RESULTS / "transfer"
BASELINE = runs.RESULTS / "lexicon"
# Chosen on the selection languages.
NEIGHBOURS = 10
NGRAM_SHARE = 0.33
# Start of the names of results, beside those of other benchmarks.
PREFIX = "zero_shot-"
# Runs in a soup; no two soups share one.
N_SOUP = 3
app = typer.Typer(help=__doc__, no_args_is_help=True)


class Trainer:
    """Trains what recipes are made of, once.

    seconds (float): What all that was asked for took to train, of processor time.
    """

    def __init__(self, corpora: Path, encoder: Path, work: Path):
        self.settings = runs.paths(corpora / "all" / "train", corpora / "all" / "dev", encoder)
        self.work = work
        self.seconds = 0.0

    def train(self, recipe: str, seed: int, **model: Any) -> Language:
        """A pipeline by a config, with settings of its model."""
        settings = {f"components.textcat.model.{key}": value for key, value in model.items()}
        settings = {**self.settings, **settings, "system.seed": seed}
        parts = [recipe, *(f"{key}{value}" for key, value in model.items()), f"seed{seed}"]
        path = self.work / "-".join(parts)
        nlp = runs.keep_trained(path, lambda: runs.train_recipe(recipe, settings))
        self.seconds += nlp.meta["training_seconds"]
        return nlp


def zero_shot(trainer: Trainer, seed: int) -> Language:
    """The config as it is, which counts the start (the baseline's runs are from before it did)."""
    return trainer.train("zero_shot", seed)


def soup(trainer: Trainer, seed: int) -> Language:
    seeds = range(N_SOUP * seed, N_SOUP * (seed + 1))
    members = [trainer.train("zero_shot", each) for each in seeds]
    return make_soup(members, names=[f"seed {each}" for each in seeds])


def neighbours(trainer: Trainer, seed: int) -> Language:
    """Only a head is trained, beside which training texts vote."""
    return trainer.train("frozen", seed, neighbours=NEIGHBOURS)


def ensemble(trainer: Trainer, seed: int) -> Language:
    """A tuned pipeline and a frozen one."""
    return _join(trainer.train("zero_shot", seed), trainer.train("frozen", seed))


def mixed(trainer: Trainer, seed: int) -> Language:
    """A tuned pipeline and a frozen one in which training texts vote."""
    return _join(trainer.train("zero_shot", seed), neighbours(trainer, seed))


def agree(trainer: Trainer, seed: int) -> Language:
    """Each text is read twice, in other word pieces."""
    return trainer.train("agree", seed)


def agree_mixed(trainer: Trainer, seed: int) -> Language:
    """The same beside a frozen one in which training texts vote."""
    return _join(agree(trainer, seed), neighbours(trainer, seed))


def agree_mixed_ngrams(trainer: Trainer, seed: int) -> Language:
    """The same, with character n-grams that count in both."""
    return _join(
        trainer.train("agree", seed, ngram_share=NGRAM_SHARE),
        trainer.train("frozen", seed, neighbours=NEIGHBOURS, ngram_share=NGRAM_SHARE),
    )


RECIPES: Dict[str, Callable[[Trainer, int], Language]] = {
    function.__name__: function
    for function in (
        zero_shot,
        soup,
        neighbours,
        ensemble,
        mixed,
        agree,
        agree_mixed,
        agree_mixed_ngrams,
    )
}


def _join(*members: Language) -> Language:
    nlp = spacy.blank("xx")
    joined: Any = nlp.add_pipe("xlt_ensemble", name="textcat")
    joined.set_members(members, names=[str(i) for i in range(len(members))])
    return nlp


@app.command("run")
def run(
    corpora: Path, encoder: Path, work: Path, recipes: str = "mixed", seeds: str = "0,1,2"
) -> None:
    """Train on all English labels; measure every language's test set."""
    for recipe in recipes.split(","):
        for seed in map(int, seeds.split(",")):
            path = RESULTS / f"{PREFIX}{recipe}-seed{seed}.json"
            if path.exists():
                continue
            trainer = Trainer(corpora, encoder, work)
            nlp = RECIPES[recipe](trainer, seed)
            result = {
                **runs.measure(nlp, corpora / "all" / "test"),
                "recipe": recipe,
                "source": "en",
                "seed": seed,
                "seconds": trainer.seconds,
            }
            runs.write_run(path, result)


@app.command("gains")
def gains() -> None:
    """Show the mean accuracy of each recipe, and what it brings over the default, in points."""
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
        after = [
            run
            for name, run in results.items()
            if name.startswith(PREFIX) and run["recipe"] == recipe
        ]
        if after:
            accuracy = sum(runs.mean_right(after, lang).mean() for lang in targets) / len(targets)
            compared = [str(runs.compare_runs(before, after, langs)) for langs in groups.values()]
            lines.append(f"| {recipe} | {len(after)} | {accuracy:.3f} | {' | '.join(compared)} |")
    return lines


if __name__ == "__main__":
    app()
