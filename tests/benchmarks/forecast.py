"""Forecasts of accuracy in languages without labels: how far they are off, and what they rest on.

    python tests/benchmarks/forecast.py read PIPELINE corpora/all READINGS/sib-tuned-en.json
    python tests/benchmarks/forecast.py read PIPELINE assist READINGS/assist-tuned-en.json \\
        --dev pool
    python tests/benchmarks/forecast.py prior READINGS
    python tests/benchmarks/forecast.py left-out READINGS sib-tuned-en --split test
    python tests/benchmarks/forecast.py tasks READINGS --split test
    python tests/benchmarks/forecast.py overhead PIPELINE corpora/all/test

`read` keeps what a pipeline says about the texts of all languages: 99 of development, and the
test texts. Names of readings are TASK-RECIPE-SOURCE. All else is computed from readings, in
seconds. Lines are fitted to development texts; test texts are read as unlabelled ones, and their
labels only to compare.
"""

import json
import random
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import numpy as np
import spacy
import typer
from scipy.optimize import minimize

from spacy_xlt.components.warning import StoredForecast
from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.evaluation.advice import MAX_GAP
from spacy_xlt.languages import get_doc_language
from spacy_xlt.trust.forecast import (
    PRIOR_FILE,
    Decider,
    Labelled,
    LanguageForecast,
    Line,
    Prior,
    Reading,
    forecast_languages,
    read_texts,
)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "assets" / "results" / "forecast"
# Languages whose development texts choose settings.
SELECTION = ("fr", "ru", "th", "tr", "am", "ee")
# A language at most this far below the source should give no alarm.
SAFE_GAP = 0.12
N_DEV = 99
app = typer.Typer(help=__doc__, no_args_is_help=True)


# -- readings -------------------------------------------------------------------------------


@app.command("read")
def read(
    pipeline: Path, corpus: Path, output: Path, dev: str = "dev", component: str = "textcat"
) -> None:
    """Keep what a pipeline says about the texts of a corpus.

    dev: The split with labels of the targets; the source's are those of "dev".
    """
    nlp = spacy.load(pipeline)
    pipe: Any = nlp.get_pipe(component)
    (source,) = pipe.cfg["train_langs"]
    splits = {"dev": _texts(nlp, corpus / dev, N_DEV), "test": _texts(nlp, corpus / "test", 0)}
    if dev != "dev":
        splits["dev"][source] = _texts(nlp, corpus / "dev", 0)[source]
    kept: Dict[str, Any] = {
        "labels": list(pipe.labels),
        "exclusive": pipe.exclusive,
        "threshold": pipe.cfg["threshold"],
        "source": source,
    }
    for split, by_lang in splits.items():
        kept[split] = {}
        for lang, rows in sorted(by_lang.items()):
            texts = [text for text, _ in rows]
            gold = [[cats.get(label, np.nan) for label in pipe.labels] for _, cats in rows]
            kept[split][lang] = _pack(Labelled(read_texts(nlp, component, texts), np.array(gold)))
            print(split, lang, len(rows), flush=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(kept))


def _texts(nlp: Any, path: Path, limit: int) -> Dict[str, List[Tuple[str, Dict[str, float]]]]:
    """Different texts with their gold labels by language; some of them, drawn, with a limit."""
    found: Dict[str, Dict[str, Dict[str, float]]] = {}
    for eg in create_corpus_v1(path=path)(nlp):
        found.setdefault(get_doc_language(eg.reference), {})[eg.reference.text] = eg.reference.cats
    drawn = {}
    for lang, cats in found.items():
        rows = list(cats.items())
        drawn[lang] = random.Random(0).sample(rows, limit) if 0 < limit < len(rows) else rows
    return drawn


def _pack(part: Labelled) -> Dict[str, Any]:
    reading = dict(vars(part.reading))
    arrays = {name: reading.pop(name).round(7).tolist() for name in ("scores", "first", "second")}
    return {**reading, **arrays, "gold": part.gold.tolist()}


def _unpack(kept: Dict[str, Any]) -> Labelled:
    kept = dict(kept)
    gold = np.array(kept.pop("gold"), dtype=float)
    arrays = {name: np.array(kept.pop(name)) for name in ("scores", "first", "second")}
    unreadable = Counter(kept.pop("unreadable"))
    return Labelled(Reading(**arrays, unreadable=unreadable, **kept), gold)


class Pipeline:
    """A pipeline's readings."""

    def __init__(self, path: Path):
        kept = json.loads(path.read_text())
        self.name, self.source = path.stem, kept["source"]
        threshold = None if kept["exclusive"] else kept["threshold"]
        self.decider = Decider(kept["labels"], kept["exclusive"], threshold)
        self.dev, self.test = (
            {lang: _unpack(part) for lang, part in kept[split].items()} for split in ("dev", "test")
        )

    @property
    def task(self) -> str:
        return self.name.split("-")[0]

    @property
    def targets(self) -> List[str]:
        return [lang for lang in self.dev if lang != self.source]

    def line(self, prior: Optional[Prior], langs: Iterable[str]) -> Line:
        """The line with labels of the source and of some other languages."""
        labelled = {lang: self.dev[lang] for lang in langs}
        return Line(self.decider, self.dev[self.source], labelled, prior)

    def accuracy(self, split: str, lang: str) -> float:
        return float(self.decider.is_correct(getattr(self, split)[lang]).mean())


def _read_all(folder: Path) -> List[Pipeline]:
    return [Pipeline(path) for path in sorted(folder.glob("*.json"))]


# -- the prior ------------------------------------------------------------------------------

# What is known without any data: where a target is as sharp as the source, it is as accurate, and
# sharpness is what it seems to be.
VAGUE = Prior(np.array([0.0, 1.0, 0.0]), np.diag([0.1, 0.5, 1.0]) ** 2, 0.25, 0.7)


def fit_prior(pipelines: List[Pipeline], left_out: Tuple[str, ...] = ()) -> Prior:
    """Coefficients of several pipelines: their mean and how they differ, by maximum likelihood
    with vague priors; each pipeline's targets but those left out are its points.

    Pipelines of one task share their sentences, so together they count as one.
    """
    n_of_task = Counter(pipeline.task for pipeline in pipelines)
    weights = [1 / n_of_task[pipeline.task] for pipeline in pipelines]
    groups = []
    for pipeline in pipelines:
        langs = [lang for lang in pipeline.targets if lang not in left_out]
        line = pipeline.line(VAGUE, langs)
        groups.append((line.rows, line.measured, line.noise))
    n = len(VAGUE.mean)
    vague = np.sqrt(np.diag(VAGUE.covariance))
    # Of standard deviations the logarithm is known to about 0.7.
    expected = np.log(np.append(vague / 2, VAGUE.spread))

    def to_prior(values: np.ndarray) -> Prior:
        mean, sd, spread = values[:n], np.exp(values[n : 2 * n]), float(np.exp(values[2 * n]))
        return Prior(mean, np.diag(sd**2), spread, VAGUE.spread_log_sd)

    def loss(values: np.ndarray) -> float:
        prior = to_prior(values)
        total = 0.5 * (((prior.mean - VAGUE.mean) / vague) ** 2).sum()
        total += 0.5 * (((values[n : 2 * n + 1] - expected) / 0.7) ** 2).sum()
        own = zip(weights, groups, values[2 * n + 1 :], strict=True)
        return float(total + sum(w * prior.loss(*group, log) for w, group, log in own))

    start = np.concatenate([VAGUE.mean, expected, np.zeros(len(groups))])
    return to_prior(minimize(loss, start, method="L-BFGS-B").x)


@app.command("prior")
def prior(readings: Path, output: Path = PRIOR_FILE) -> None:
    """Fit the coefficients that the package ships to the readings of all pipelines."""
    pipelines = _read_all(readings)
    fitted = fit_prior(pipelines)
    content = {
        "made_by": "python tests/benchmarks/forecast.py prior READINGS",
        "fitted_to": {p.name: len(p.targets) for p in pipelines},
        "coefficients": ["1", "sharpness", "halves"],
        "mean": fitted.mean.round(4).tolist(),
        "covariance": fitted.covariance.round(6).tolist(),
        "spread": round(fitted.spread, 4),
        "spread_log_sd": fitted.spread_log_sd,
    }
    output.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


# -- how far forecasts are off --------------------------------------------------------------


def check(
    rows: List[LanguageForecast], accuracy: Dict[str, float], source_accuracy: float
) -> Dict[str, Any]:
    """Forecasts against what was measured."""
    errors = {row["lang"]: row["accuracy"] - accuracy[row["lang"]] for row in rows}
    gaps = {lang: source_accuracy - accuracy[lang] for lang in errors}
    alarms = {row["lang"] for row in rows if row["alarm"]}
    bad = {lang for lang, gap in gaps.items() if gap > MAX_GAP}
    safe = {lang for lang, gap in gaps.items() if gap <= SAFE_GAP}
    inside = [row["interval"][0] <= accuracy[row["lang"]] <= row["interval"][1] for row in rows]
    return {
        "mean_absolute_error": statistics.mean(map(abs, errors.values())),
        "mean_error": statistics.mean(errors.values()),
        "largest_error": max(map(abs, errors.values())),
        "in_interval": statistics.mean(inside),
        "source_accuracy": source_accuracy,
        "n": len(rows),
        "n_more_than_20_below": len(bad),
        "missed": sorted(bad - alarms),
        "n_within_12": len(safe),
        "false_alarms": sorted(safe & alarms),
        "languages": {
            row["lang"]: {
                "accuracy": accuracy[row["lang"]],
                "forecast": row["accuracy"],
                "interval": row["interval"],
                "alarm": row["alarm"],
            }
            for row in rows
        },
    }


def forecast_left_out(
    pipeline: Pipeline, others: List[Pipeline], split: str, langs: List[str], *, source_only: bool
) -> Dict[str, Any]:
    """Forecast each language as if neither this nor the other pipelines had labels of it."""
    rows = []
    for lang in langs:
        labelled = [] if source_only else [x for x in pipeline.targets if x != lang]
        line = pipeline.line(fit_prior(others, (lang,)), labelled)
        reading = getattr(pipeline, split)[lang].reading
        rows += forecast_languages(line, {lang: reading}, source_name=pipeline.source)
    accuracy = {lang: pipeline.accuracy(split, lang) for lang in langs}
    return check(rows, accuracy, pipeline.accuracy(split, pipeline.source))


@app.command("left-out")
def left_out(
    readings: Path, name: str, split: str = "dev", langs: str = "", source_only: bool = False
) -> None:
    """Each language forecast from the development labels of the source and the other languages.

    The prior is that of the other pipelines, without the language. Features of the language are
    those of its texts in the split, against which it is checked.
    """
    pipelines = _read_all(readings)
    (pipeline,) = (p for p in pipelines if p.name == name)
    others = [p for p in pipelines if p.name != name]
    chosen = langs.split(",") if langs else pipeline.targets
    found = forecast_left_out(pipeline, others, split, chosen, source_only=source_only)
    kind = "source_only" if source_only else "left_out"
    _write(f"{kind}-{name}-{split}", {"pipeline": name, "split": split, **found})


@app.command("tasks")
def tasks(readings: Path, split: str = "dev") -> None:
    """Each pipeline forecast with labels of its source only, and the prior of the other tasks."""
    pipelines = _read_all(readings)
    found = {}
    for pipeline in pipelines:
        prior = fit_prior([p for p in pipelines if p.task != pipeline.task])
        line = pipeline.line(prior, [])
        texts = {lang: getattr(pipeline, split)[lang].reading for lang in pipeline.targets}
        rows = forecast_languages(line, texts, source_name=pipeline.source)
        accuracy = {lang: pipeline.accuracy(split, lang) for lang in texts}
        found[pipeline.name] = check(rows, accuracy, pipeline.accuracy(split, pipeline.source))
    _write(f"tasks-{split}", found)


def _write(name: str, result: Dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(result), parse_float=lambda x: round(float(x), 4))
    (RESULTS / f"{name}.json").write_text(json.dumps(rounded, indent=1, sort_keys=True) + "\n")
    for key, part in [(name, rounded)] if "languages" in rounded else rounded.items():
        print(key, {k: v for k, v in part.items() if k != "languages"}, flush=True)
        for lang, row in part["languages"].items():
            low, high = row["interval"]
            mark = "alarm" if row["alarm"] else ""
            figures = " ".join(f"{x:.3f}" for x in (row["accuracy"], row["forecast"], low, high))
            print(f"  {lang:8} {figures} {mark}")


@app.command("overhead")
def overhead(pipeline: Path, corpus: Path, rounds: int = 5, n: int = 512) -> None:
    """What warnings take of the time of prediction, with forecasts stored; one thread."""
    nlp = spacy.load(pipeline)
    (name,) = nlp.pipe_names
    pipe: Any = nlp.get_pipe(name)
    known: StoredForecast = {"accuracy": 0.8, "interval": [0.7, 0.9], "alarm": False, "reason": ""}
    examples = random.Random(0).sample(list(create_corpus_v1(path=corpus)(nlp)), n)
    pipe.set_forecasts({get_doc_language(eg.reference): known for eg in examples})
    seconds: Dict[bool, List[float]] = {False: [], True: []}
    alone = []
    for i in range(2 * rounds + 1):
        docs = [eg.predicted.copy() for eg in examples]
        pipe.cfg["warn"] = i % 2 == 0
        started = time.process_time()
        scores = pipe.predict(docs)
        between = time.process_time()
        pipe.set_annotations(docs, scores)
        ended = time.process_time()
        if i:  # the first round warms up
            seconds[pipe.cfg["warn"]].append(ended - started)
            if pipe.cfg["warn"]:
                alone.append((ended - between) / (ended - started))
    median = {kind: statistics.median(values) for kind, values in seconds.items()}
    result = {
        "n_texts": n,
        "rounds": rounds,
        "seconds_without": median[False],
        "seconds_with": median[True],
        "share_of_annotations": statistics.median(alone),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "overhead.json").write_text(json.dumps(result, indent=1) + "\n")
    print(result)


if __name__ == "__main__":
    app()
