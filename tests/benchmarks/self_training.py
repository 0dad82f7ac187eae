"""What unlabelled target text brings on SIB-200, one JSON per run in assets/results/transfer/.

    python tests/benchmarks/self_training.py teach corpora ENCODER WORK --seed 0
    python tests/benchmarks/self_training.py run corpora ENCODER WORK --seed 0
    python tests/benchmarks/self_training.py gains

Corpora and encoder are those of sib200.py. SIB-200's sentences are the same in every language, so
labels are those of the English sentences with even ids, and texts without labels are the others of
all languages; the comparison is zero-shot from the same even half. Still the texts of different
languages are translations of each other, which helps to find alike ones: with --halves each
language has a random half of them, so that any two share half of theirs. What is there is kept.
"""

import random
import time
from pathlib import Path
from typing import List

import runs
import spacy
import typer

from spacy_xlt.cli.pseudo_label import (
    SPLIT,
    Labeller,
    load_teachers,
    read_pool,
    read_source,
    show_labelled,
    write_labelled,
)
from spacy_xlt.corpora.layout import Row, rows_to_docbin
from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.transfer.pseudo_labels import LabelSettings

RESULTS = runs.RESULTS / "transfer"
BASELINE, RECIPE = "zero_shot_even", "self_training"
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("teach")
def teach(corpora: Path, encoder: Path, work: Path, seed: int = 0, halves: bool = False) -> None:
    """Train both teachers on the even half, and label the texts of the odd one."""
    teachers = [work / f"{name}-{seed}" for name in ("zero_shot", "frozen")]
    for teacher in teachers:
        if not teacher.exists():
            recipe = teacher.name.rpartition("-")[0]
            started = time.perf_counter()
            nlp = runs.train_recipe(recipe, _settings(corpora, encoder, seed))
            nlp.meta["seconds"] = round(time.perf_counter() - started, 1)
            nlp.to_disk(teacher)
    out = _labelled(work, seed, halves)
    if out.exists():
        return
    texts = corpora / "odd" / "train"
    if halves:
        texts = _write_halves(texts, work / "halves")
    loaded = load_teachers([str(teacher) for teacher in teachers])
    gold = read_source(loaded[0], corpora / "even" / "train" / "en.spacy")
    pool = read_pool(loaded[0], [texts], gold)
    found = Labeller(loaded, pool, gold, LabelSettings()).label()
    show_labelled(found)
    write_labelled(out, found, [teacher.name for teacher in teachers])


@app.command("run")
def run(
    corpora: Path,
    encoder: Path,
    work: Path,
    seed: int = 0,
    teacher_seed: int = -1,
    halves: bool = False,
    split: str = "test",
) -> None:
    """Train the student, and measure it and the zero-shot teacher in every language.

    teacher_seed (int): Seed that the teachers were trained with; -1 for that of the student.
    """
    teacher_seed = seed if teacher_seed < 0 else teacher_seed
    folder = RESULTS if split == "test" else work
    recipe = RECIPE + ("_halves" if halves else "")
    path = folder / f"{BASELINE}-seed{teacher_seed}.json"
    about = {"source": "en", "seed": teacher_seed}
    if not path.exists():
        nlp = spacy.load(work / f"zero_shot-{teacher_seed}")
        seconds = nlp.meta.get("seconds", 0.0)
        measured = runs.measure(nlp, corpora / "all" / split)
        runs.write_run(path, {**measured, **about, "recipe": BASELINE, "seconds": seconds})
    path = folder / f"{recipe}-seed{seed}.json"
    about = {"source": "en", "seed": seed, "teacher_seed": teacher_seed}
    if path.exists():
        return
    student = work / f"{recipe}-{seed}"
    if not student.exists():
        started = time.perf_counter()
        settings = {
            **_settings(corpora, encoder, seed),
            "paths.source": str(corpora / "even" / "train" / "en.spacy"),
            "paths.train": str(_labelled(work, teacher_seed, halves) / SPLIT),
            "corpora.train.langs": None,
            "initialize.components.textcat.train_langs": ["en"],
        }
        nlp = runs.train_recipe("self_train", settings)
        nlp.meta["seconds"] = round(time.perf_counter() - started, 1)
        nlp.to_disk(student)
    nlp = spacy.load(student)
    measured = runs.measure(nlp, corpora / "all" / split)
    runs.write_run(path, {**measured, **about, "recipe": recipe, "seconds": nlp.meta["seconds"]})


@app.command("gains")
def gains(recipe: str = RECIPE) -> None:
    """Show what students bring over their zero-shot teachers, by language."""
    print("\n".join(summarise(list(runs.read_runs(RESULTS).values()), recipe)))


def summarise(results: List[runs.Run], recipe: str) -> List[str]:
    """Lines of a Markdown table, and of mean gains with intervals."""
    after = [run for run in results if run["recipe"] == recipe]
    seeds = {run["teacher_seed"] for run in after}
    before = [run for run in results if run["recipe"] == BASELINE and run["seed"] in seeds]
    if not before:
        raise ValueError(f"There is no run of {recipe} with one of its {BASELINE} teacher.")
    lines = ["| language | zero-shot | self-training | gain |", "|---|---|---|---|"]
    for lang in sorted(before[0]["accuracy"]):
        old, new = (runs.mean_right(found, lang).mean() for found in (before, after))
        lines.append(f"| {lang} | {old:.3f} | {new:.3f} | {new - old:+.3f} |")
    targets = runs.targets_of(before[0])
    groups = {
        "all targets": targets,
        "never used to choose": [lang for lang in targets if lang not in runs.SELECTION],
        "low-resource": list(runs.LOW_RESOURCE),
        "English": ["en"],
    }
    what = f"{len(after)} students of {len(before)} teachers"
    lines += ["", f"{what}; mean gains in points, with 95 % intervals:", ""]
    for name, langs in groups.items():
        old, new = (
            sum(runs.mean_right(found, lang).mean() for lang in langs) / len(langs)
            for found in (before, after)
        )
        gain = runs.compare_runs(before, after, langs)
        lines.append(f"- {name} ({len(langs)}): {old:.3f} to {new:.3f}, {gain}")
    return lines


def _settings(corpora: Path, encoder: Path, seed: int) -> dict:
    settings = runs.paths(corpora / "even" / "train", corpora / "all" / "dev", encoder)
    return {**settings, "system.seed": seed}


def _labelled(work: Path, seed: int, halves: bool) -> Path:
    return work / f"pseudo{'_halves' if halves else ''}-{seed}"


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
