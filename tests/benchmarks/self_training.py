"""What unlabelled target text brings on SIB-200, one JSON per run in assets/results/transfer/.

    python tests/benchmarks/self_training.py run corpora ENCODER WORK --seed 0
    python tests/benchmarks/self_training.py gains

Corpora and encoder are those of sib200.py. SIB-200's sentences are the same in every language, so
labels are those of the English sentences with even ids, and texts without labels are the others of
all languages; the comparison is zero-shot from the same even half. Still the texts of different
languages are translations of each other, which helps to find alike ones: with --halves each
language has a random half of them, so that any two share half of theirs. What is there is kept.

Beside what spacy xlt self-train ends with, its student alone is measured, and its teachers together
without any student, which shows what is owed to the unlabelled texts.
"""

import json
import random
import time
from pathlib import Path
from typing import Any, Dict, List

import runs
import spacy
import typer

from spacy_xlt.cli.ensemble import make_ensemble
from spacy_xlt.cli.self_train import BESIDE, RECORD, self_train
from spacy_xlt.corpora.layout import Row, rows_to_docbin
from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.transfer.pseudo_labels import LabelSettings

RESULTS = runs.RESULTS / "transfer"
BASELINE, RECIPE = "zero_shot_even", "self_training"
CONFIG = runs.ROOT / "configs" / "self_train.cfg"
# Of the second teacher: training texts vote.
VOTES = {"components.textcat.model.neighbours": 10}
CENTRES = "initialize.components.textcat.centre_texts"
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def run(
    corpora: Path,
    encoder: Path,
    work: Path,
    seed: int = 0,
    halves: bool = False,
    split: str = "test",
) -> None:
    """Train teachers and a student, and measure them and the zero-shot pipeline of that seed."""
    settings = runs.paths(corpora / "even" / "train", corpora / "all" / "dev", encoder)
    settings["system.seed"] = seed
    folder = RESULTS if split == "test" else work

    def measure(path: Path) -> runs.Run:
        return runs.measure(spacy.load(path), corpora / "all" / split)

    written = folder / f"{BASELINE}-seed{seed}.json"
    if not written.exists():
        start = _train("zero_shot", settings, work / f"zero_shot-{seed}")
        more = {"recipe": BASELINE, "source": "en", "seed": seed, "seconds": _seconds(start)}
        runs.write_run(written, {**measure(start), **more})
    recipe = RECIPE + ("_halves" if halves else "")
    texts = corpora / "odd" / "train"
    if halves:
        texts = _write_halves(texts, work / "halves")
    # The first is what a student starts from and replaces.
    teachers = [
        _train("agree", settings, work / f"agree-{seed}"),
        _train(
            "frozen", {**settings, **VOTES, CENTRES: str(texts)}, work / f"{recipe}-frozen-{seed}"
        ),
    ]
    names = [str(teacher) for teacher in teachers]
    out, joined = work / f"{recipe}-{seed}", work / f"{recipe}-teachers-{seed}"
    about = _self_train(settings, texts, names, out)
    about["seconds"] = round(about["seconds"] + sum(map(_seconds, teachers)), 1)
    make_ensemble(names, joined, weights=[1.0 - BESIDE, BESIDE])
    written = folder / f"{recipe}-seed{seed}.json"
    if not written.exists():
        parts = {"student": measure(out / "round-1" / "model-best"), "teachers": measure(joined)}
        kept = {
            name: {key: part[key] for key in ("accuracy", "correct")}
            for name, part in parts.items()
        }
        more = {**about, "recipe": recipe, "source": "en", "seed": seed, "parts": kept}
        runs.write_run(written, {**measure(out / "model-best"), **more})


def _train(recipe: str, settings: Dict[str, Any], path: Path) -> Path:
    """Train by a recipe, if that was not done before. RETURNS (Path): Where the pipeline is."""
    runs.keep_trained(path, lambda: runs.train_recipe(recipe, settings))
    return path


def _seconds(path: Path) -> float:
    return json.loads((path / "meta.json").read_text())["training_seconds"]


def _self_train(
    settings: Dict[str, Any], texts: Path, teachers: List[str], out: Path
) -> Dict[str, Any]:
    """Run the command, and tell what it saw and chose without target labels.

    Its seconds are those of labelling and of the student; an interrupted call must start anew.
    """
    if not (out / "seconds.json").exists():
        known = {"paths.train", "corpora.train.langs"}
        started = time.process_time()
        self_train(
            CONFIG,
            [texts],
            teachers,
            out,
            overrides={
                **{key: value for key, value in settings.items() if key not in known},
                "paths.source": settings["paths.train"] + "/en.spacy",
            },
            force=True,
        )
        seconds = round(time.process_time() - started, 1)
        (out / "seconds.json").write_text(json.dumps(seconds))
    record = json.loads((out / RECORD).read_text())
    return {
        "seconds": json.loads((out / "seconds.json").read_text()),
        "round": record["result"],
        "reason": record["reason"],
        "signs": record["rounds"]["1"],
        "likeness": {lang: round(share, 3) for lang, share in record["likeness"].items()},
        "max_likeness": LabelSettings().max_likeness,
    }


@app.command("gains")
def gains(recipe: str = RECIPE) -> None:
    """Show what self-training brings over zero-shot pipelines, by language, and parts of it."""
    found = runs.read_runs(RESULTS)
    known = {k: run for k, run in found.items() if run.get("recipe") in (BASELINE, recipe)}
    print("\n".join(summarise(known, recipe)))


def summarise(results: Dict[str, runs.Run], recipe: str) -> List[str]:
    """Lines of a Markdown table, and of mean gains with intervals.

    results (Dict[str, runs.Run]): Runs by name.
    """
    before, after = runs.same_seeds(results, BASELINE, recipe)
    if not before:
        raise ValueError(f"There is no run of {recipe} with one of {BASELINE}.")
    likeness = after[0]["likeness"]
    lines = ["| language | likeness | zero-shot | self-training | gain |", "|---|---|---|---|---|"]
    for lang in sorted(before[0]["accuracy"], key=lambda lang: likeness.get(lang, 1.0)):
        old, new = (runs.mean_right(found, lang).mean() for found in (before, after))
        seen = f"{likeness[lang]:.2f}" if lang in likeness else "–"
        lines.append(f"| {lang} | {seen} | {old:.3f} | {new:.3f} | {new - old:+.3f} |")
    targets = runs.targets_of(before[0])
    groups = {
        "all targets": targets,
        "never used to choose": [lang for lang in targets if lang not in runs.SELECTION],
        "low-resource": list(runs.LOW_RESOURCE),
        "English": ["en"],
    }
    for part in ("", *after[0]["parts"]):
        found = [run["parts"][part] for run in after] if part else after
        what = f"the {part} alone" if part else "all together"
        lines += ["", f"{len(after)} runs, {what}; mean gains in points, 95 % intervals:", ""]
        for name, langs in groups.items():
            old, new = (
                sum(runs.mean_right(each, lang).mean() for lang in langs) / len(langs)
                for each in (before, found)
            )
            gain = runs.compare_runs(before, found, langs)
            lines.append(f"- {name} ({len(langs)}): {old:.3f} to {new:.3f}, {gain}")
    return lines


def _write_halves(texts: Path, out: Path) -> Path:
    """A random half of each language's texts, another one for each."""
    out.mkdir(parents=True, exist_ok=True)
    by_lang: dict = {}
    for eg in create_corpus_v1(path=str(texts))(spacy.blank("xx")):
        lang = eg.reference._.xlt_lang
        by_lang.setdefault(lang, []).append(Row(eg.reference.text, {}, lang))
    for lang, rows in by_lang.items():
        half = random.Random(lang).sample(rows, len(rows) // 2)
        rows_to_docbin(half).to_disk(out / f"{lang}.spacy")
    return out


if __name__ == "__main__":
    app()
