"""Accuracy on SIB-200, one JSON per run in assets/results/sib200/; a run that is there is kept.

    python -m spacy xlt data import SIB200 corpora/all --format sib200
    python -m spacy xlt data import SIB200 corpora/even --format sib200 --ids even
    python -m spacy xlt data import SIB200 corpora/odd --format sib200 --ids odd
    python tests/benchmarks/sib200.py zero-shot corpora ENCODER --seeds 0,1,2
    python tests/benchmarks/sib200.py zero-shot corpora ENCODER --source zh --seeds 0,1,2
    python tests/benchmarks/sib200.py frozen corpora ENCODER
    python tests/benchmarks/sib200.py zero-shot-even corpora ENCODER
    python tests/benchmarks/sib200.py table

SIB-200 has the same sentences in every language. Wherever target labels are used (few_shot.py),
the source's come from the rows with an even id and the target's from the odd ones, so no sentence
is trained on in two languages; gains are against zero-shot from the same even half.
"""

import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import few_shot
import runs
import sklearn
import torch
import typer
from readme import README, with_part
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from spacy.language import Language

from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.languages import get_doc_language

RESULTS = runs.RESULTS / "sib200"
# What a careful user of scikit-learn would put on frozen vectors, as it is and with C by
# cross-validation on the source language.
REFERENCES = {
    "sklearn_default": LogisticRegression(max_iter=5000),
    "sklearn_cv": LogisticRegressionCV(Cs=[0.1, 1.0, 3.0, 10.0, 30.0, 100.0], cv=5, max_iter=5000),
}
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("zero-shot")
def zero_shot(corpora: Path, encoder: Path, source: str = "en", seeds: str = "0,1,2") -> None:
    """Train on all of the source's labels; measure every language's test set."""
    for seed in map(int, seeds.split(",")):
        settings = runs.paths(corpora / "all" / "train", corpora / "all" / "dev", encoder, source)
        _run("zero_shot", settings, seed, corpora, name=f"zero_shot-{source}-seed{seed}")


@app.command("frozen")
def frozen(corpora: Path, encoder: Path, source: str = "en") -> None:
    """The same with the head only, and scikit-learn's logistic regression on the same vectors."""
    settings = runs.paths(corpora / "all" / "train", corpora / "all" / "dev", encoder, source)
    nlp = _run("frozen", settings, 0, corpora, name=f"frozen-{source}-seed0")
    if nlp is not None:
        for name, model in REFERENCES.items():
            _run_reference(name, model, nlp, corpora, source)


@app.command("zero-shot-even")
def zero_shot_even(corpora: Path, encoder: Path) -> None:
    """Train on the even half of English, and keep the pipeline for what uses target labels."""
    settings = runs.paths(corpora / "even" / "train", corpora / "all" / "dev", encoder)
    start = corpora / "zero_shot-even"
    _run("zero_shot", settings, 0, corpora, name="zero_shot-even-test", keep=start)


@app.command("table")
def table() -> None:
    """Write what the runs in assets/results/sib200 add up to into the README."""
    README.write_text(with_table(README.read_text(encoding="utf8")), encoding="utf8")


def with_table(text: str) -> str:
    """A README with the table of results between its markers."""
    lines = [*summarise(runs.read_runs(RESULTS)), "", *few_shot.summarise(*few_shot.read_results())]
    return with_part(text, "results", lines)


def summarise(results: Dict[str, runs.Run]) -> List[str]:
    """Lines of a Markdown table of recipes over runs by name."""
    lines = [
        "| recipe | trained on | runs | mean of the targets | largest minus smallest | source |",
        "|---|---|---|---|---|---|",
    ]
    groups: Dict[str, List[runs.Run]] = {}
    for name, run in results.items():
        if "-seed" in name:
            groups.setdefault(name.rsplit("-seed", 1)[0], []).append(run)
    for name, group in sorted(groups.items()):
        means = [_mean_of_targets(run) for run in group]
        source = statistics.mean(run["accuracy"][run["source"]] for run in group)
        recipe, _, lang = name.partition("-")
        lines.append(
            f"| {recipe} | {lang} | {len(group)} | {statistics.mean(means):.3f} "
            f"| {max(means) - min(means):.3f} | {source:.3f} |"
        )
    return lines


def _mean_of_targets(run: runs.Run) -> float:
    return statistics.mean(run["accuracy"][lang] for lang in runs.targets_of(run))


def _run(
    recipe: str,
    settings: Dict[str, Any],
    seed: int,
    corpora: Path,
    *,
    name: str,
    keep: Optional[Path] = None,
) -> Optional[Language]:
    """Train and measure, unless that is done; the pipeline, if it was trained."""
    path = RESULTS / f"{name}.json"
    if path.exists() and (keep is None or keep.exists()):
        return None
    started = time.perf_counter()
    nlp = runs.train_recipe(recipe, {**settings, "system.seed": seed})
    seconds = time.perf_counter() - started
    if keep is not None:
        nlp.to_disk(keep)
    result = {
        **runs.measure(nlp, corpora / "all" / "test"),
        "recipe": recipe,
        "source": nlp.get_pipe("textcat").cfg["train_langs"][0],
        "seed": seed,
        "seconds": round(seconds, 1),
    }
    runs.write_run(path, result)
    return nlp


def _run_reference(name: str, model: Any, nlp: Language, corpora: Path, source: str) -> None:
    """Fit a classifier of scikit-learn on a frozen pipeline's vectors; measure all test sets."""
    pipe = nlp.get_pipe("textcat")

    def vectors_by_lang(split: str, langs: Optional[List[str]] = None) -> Dict[str, Any]:
        docs: Dict[str, List[Any]] = {}
        for example in create_corpus_v1(path=str(corpora / "all" / split), langs=langs)(nlp):
            docs.setdefault(get_doc_language(example.reference), []).append(example.reference)
        return {
            lang: (pipe.embed(own), [max(doc.cats, key=doc.cats.get) for doc in own])
            for lang, own in docs.items()
        }

    started = time.perf_counter()
    model.fit(*vectors_by_lang("train", [source])[source])
    seconds = time.perf_counter() - started
    accuracy = {lang: model.score(*data) for lang, data in vectors_by_lang("test").items()}
    result = {
        "recipe": name,
        "source": source,
        "split": "test",
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "accuracy": accuracy,
        "versions": {"scikit-learn": sklearn.__version__},
    }
    runs.write_run(RESULTS / f"{name}-{source}-seed0.json", result)


if __name__ == "__main__":
    app()
