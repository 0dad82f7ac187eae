"""How near a student with fewer layers comes to its teacher on SIB-200, and how much faster it is,
in assets/results/transfer/.

    python tests/benchmarks/distillation.py run corpora TEACHER students
    python tests/benchmarks/distillation.py shares

Corpora are those of sib200.py; TEACHER is a pipeline that zero_shot.cfg made of the English
sentences of corpora/even. The student learns from these and from the sentences of corpora/odd in
all other languages, or in one, without their labels. Students are kept in the directory
`students`: one that is there is measured, such as on dev first, and one that was interrupted goes
on. A run that is there is kept.
"""

import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import runs
import spacy
import typer
from spacy.language import Language

from spacy_xlt.cli.distill import BEST, distill
from spacy_xlt.corpora.reader import create_corpus_v1

RESULTS = runs.RESULTS / "transfer"
# Speed is measured on texts of these, with the teacher and the student by turns.
SPEED_LANGS, N_TURNS = ("en", "de", "sw", "th", "zh"), 3
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def run(
    corpora: Path,
    teacher: Path,
    students: Path,
    layers: str = "4",
    seeds: str = "0",
    lang: Optional[str] = None,
    mixed: int = 1,
    epochs: int = 2,
    learn_rate: float = 5e-4,
    ngram_share: float = 0.33,
    split: str = "test",
    results: Path = RESULTS,
) -> None:
    """Distill students of some sizes; measure each and its teacher.

    lang (Optional[str]): The only target language to learn in, and to measure.
    """
    there = [path.stem for path in sorted((corpora / "odd" / "train").glob("*.spacy"))]
    targets = [x for x in there if x not in ("en", *runs.LEFT_OUT)] if lang is None else [lang]
    texts = [corpora / "even" / "train" / "en.spacy"]
    texts += [corpora / "odd" / "train" / f"{lang}.spacy" for lang in targets]
    whole = spacy.load(teacher)
    measured = ["en", *targets] if split == "test" else list(runs.SELECTION)
    _measure_teacher(whole, corpora / "all" / split, measured, results)
    for seed in map(int, seeds.split(",")):
        for n_layers in map(int, layers.split(",")):
            name = f"distill-{lang or 'all'}-layers{n_layers}-seed{seed}"
            if (results / f"{name}.json").exists():
                continue
            settings = {
                "mixed": mixed, "epochs": epochs, "learn_rate": learn_rate,
                "ngram_share": ngram_share, "seed": seed,
            }  # fmt: skip
            about = _make_student(teacher, texts, students / name, n_layers=n_layers, **settings)
            student = spacy.load(students / name / BEST)
            result = {
                **runs.measure(student, corpora / "all" / split, measured),
                **settings,
                **about,
                "recipe": "distill",
                "source": "en",
                "learned_in": lang or "all",
                "speed": _compare_speed(whole, student, corpora / "all" / "dev"),
            }
            runs.write_run(results / f"{name}.json", result)


def _make_student(
    teacher: Path, texts: Sequence[Path], output: Path, **settings: Any
) -> Dict[str, Any]:
    """Make a student, unless it is there. RETURNS (Dict[str, Any]): What is to tell of it."""
    about = output / "about.json"
    if not about.exists():
        made = asdict(distill(str(teacher), texts, output, **settings))
        told = {key: made[key] for key in ("layers", "n_texts", "n_mixed", "seconds")}
        about.write_text(json.dumps(told))
    return dict(json.loads(about.read_text()))


@app.command("shares")
def shares(results: Path = RESULTS) -> None:
    """Show what share of its teacher's accuracy each student has, and the ratio of speeds."""
    print("\n".join(summarise(runs.read_runs(results))))


def summarise(results: Dict[str, runs.Run]) -> List[str]:
    """Lines of a Markdown table over runs by name."""
    teacher = results["distill-teacher"]
    lines = [
        "| student | teacher | student | share | difference in points | times as fast |",
        "|---|---|---|---|---|---|",
    ]
    for name, student in results.items():
        if student.get("recipe") != "distill":
            continue
        langs = [lang for lang in runs.targets_of(teacher) if lang in student["accuracy"]]
        before, after = (
            statistics.fmean(run["accuracy"][lang] for lang in langs) for run in (teacher, student)
        )
        gain = runs.compare_runs([teacher], [student], langs)
        lines.append(
            f"| {name} | {before:.4f} | {after:.4f} | {after / before:.3f} | {gain} "
            f"| {student['speed']['ratio']:.2f} |"
        )
    return lines


def _measure_teacher(nlp: Language, path: Path, langs: Sequence[str], results: Path) -> None:
    target = results / "distill-teacher.json"
    if target.exists():
        return
    started = time.perf_counter()
    measured = runs.measure(nlp, path, langs)
    about = {"recipe": "teacher", "source": "en", "seed": 0}
    seconds = round(time.perf_counter() - started, 1)
    runs.write_run(target, {**measured, **about, "seconds": seconds})


def _compare_speed(teacher: Language, student: Language, path: Path) -> runs.Run:
    """Texts a second of both, each measured between measurements of the other."""
    reader = create_corpus_v1(path=str(path), langs=list(SPEED_LANGS))
    texts = [eg.reference.text for eg in reader(teacher)]
    rates: Dict[str, List[float]] = {"teacher": [], "student": []}
    for nlp in (teacher, student):
        _predict(nlp, texts[:64])
    for _ in range(N_TURNS):
        for name, nlp in (("teacher", teacher), ("student", student)):
            rates[name].append(len(texts) / _predict(nlp, texts))
    ratios = [s / t for s, t in zip(rates["student"], rates["teacher"], strict=True)]
    return {
        "texts": len(texts),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        **{f"{name}_per_second": round(max(found), 1) for name, found in rates.items()},
    }


def _predict(nlp: Language, texts: Sequence[str]) -> float:
    """Processor time of predicting texts, in seconds: other processes do not count."""
    started = time.process_time()
    for _ in nlp.pipe(texts):
        pass
    return time.process_time() - started


if __name__ == "__main__":
    app()
