"""What benchmarks of accuracy share: the languages, training by a config, what is measured.

A run is a dictionary and a JSON file in a folder of assets/results. All languages of SIB-200 have
the same sentences, so runs keep a 0 or 1 per sentence, in one order, and gains are compared
sentence by sentence.
"""

import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import spacy
import torch
from spacy import util
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loop import train

from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.evaluation.evaluate import evaluate_pipeline
from spacy_xlt.evaluation.uncertainty import percentile_interval, resample_ratios
from spacy_xlt.files import replaced_directory

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "assets" / "results"
# The encoder cannot read Santali's script: chance level, whatever the recipe.
LEFT_OUT = ("sat",)
# Settings are chosen on the dev sets of these, and on nothing else in a target language.
SELECTION = ("fr", "ru", "th", "tr", "am", "ee")
LOW_RESOURCE = ("sw", "yo", "ha", "zu", "quy", "gn", "ku")

Run = Dict[str, Any]


class Gain(NamedTuple):
    """How much better runs are than others, in points of accuracy, with a 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


def paths(train_path: Path, dev_path: Path, encoder: Path, lang: str = "en") -> Dict[str, Any]:
    """Overrides of a config that every run needs: where things are, and the language to read."""
    return {
        "paths.train": str(train_path),
        "paths.dev": str(dev_path),
        "paths.encoder": str(encoder),
        "training.logger.progress_bar": False,
        "corpora.train.langs": [lang],
        "corpora.dev.langs": [lang],
    }


def train_recipe(recipe: str, overrides: Dict[str, Any]) -> Language:
    """What `spacy train` ends with: the best checkpoint by the recipe's own rule."""
    config = util.load_config(ROOT / "configs" / f"{recipe}.cfg", overrides=overrides)
    nlp = init_nlp(config)
    with tempfile.TemporaryDirectory() as directory:
        train(nlp, Path(directory), stdout=io.StringIO(), stderr=io.StringIO())
        return spacy.load(Path(directory) / "model-best")


def keep_trained(
    path: Path, train: Callable[[], Language], *, clock: Callable[[], float] = time.process_time
) -> Language:
    """The pipeline in a directory, which is trained first if it is not there.

    Its meta has "training_seconds", of processor time unless the clock is another one.
    """
    if not path.exists():
        started = clock()
        nlp = train()
        nlp.meta["training_seconds"] = round(clock() - started, 1)
        with replaced_directory(path) as staging:
            nlp.to_disk(staging)
    return spacy.load(path)


def measure(nlp: Language, path: Path, langs: Optional[Sequence[str]] = None) -> Run:
    """Accuracy by language on a split of the data, and which sentences are right.

    path (Path): Such as corpora/all/test.
    RAISES (ValueError): If languages do not have the same sentences.
    """
    reader = create_corpus_v1(path=str(path), langs=None if langs is None else list(langs))
    scores = evaluate_pipeline(nlp, lambda: reader(nlp))
    rows = scores["languages"]
    if any(row["documents"] != rows[0]["documents"] for row in rows):
        raise ValueError(f"'{path}' does not have the same sentences in the same order.")
    return {
        "split": path.name,
        "threads": torch.get_num_threads(),
        "accuracy": {row["lang"]: row["accuracy"] for row in rows},
        "correct": {row["lang"]: "".join(map(str, row["correct"])) for row in rows},
        "encoder": {k: scores["signature"]["encoder"].get(k) for k in ("name", "variant")},
        "versions": scores["signature"]["versions"],
    }


def write_run(path: Path, run: Run) -> None:
    """Keep a run and show its accuracies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=2, sort_keys=True) + "\n")
    shown = {k: round(v, 3) for k, v in run["accuracy"].items()}
    print(f"{path.stem}: {run['seconds']:.0f} s, {shown}", flush=True)


def read_runs(folder: Path) -> Dict[str, Run]:
    """Runs by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def targets_of(run: Run) -> List[str]:
    """The languages of a run but the source and those left out."""
    return [lang for lang in run["accuracy"] if lang not in (run["source"], *LEFT_OUT)]


def mean_right(runs: Iterable[Run], lang: str) -> np.ndarray:
    """How often runs have each sentence of a language right. Shape: (n_sentences,)"""
    return np.mean([list(map(int, run["correct"][lang])) for run in runs], axis=0)


def same_seeds(results: Dict[str, Run], baseline: str, recipe: str) -> Tuple[List[Run], List[Run]]:
    """Runs of two recipes, by ascending seed, with the seeds that both have; none if there is none.

    results (Dict[str, Run]): Runs by name.
    """
    before, after = (
        {run["seed"]: run for run in results.values() if run["recipe"] == name}
        for name in (baseline, recipe)
    )
    seeds = sorted(set(before) & set(after))
    return [before[seed] for seed in seeds], [after[seed] for seed in seeds]


def compare_runs(before: Sequence[Run], after: Sequence[Run], langs: Sequence[str]) -> Gain:
    """The mean gain over languages of runs, each the mean over its own; sentences are drawn.

    Runs that know only some of the languages count there.
    """
    columns = [
        mean_right([run for run in after if lang in run["correct"]], lang)
        - mean_right([run for run in before if lang in run["correct"]], lang)
        for lang in langs
    ]
    differences = np.stack(columns, axis=1)
    means = resample_ratios(differences, np.ones_like(differences)).mean(axis=1)
    low, high = percentile_interval(means) or (float("nan"), float("nan"))
    return Gain(100 * float(differences.mean()), 100 * low, 100 * high)
