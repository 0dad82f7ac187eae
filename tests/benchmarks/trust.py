"""How far probabilities and answers can be trusted on SIB-200: JSON in assets/results/trust/.

    python -m spacy xlt data import SIB200 corpora/all --format sib200
    python tests/benchmarks/trust.py calibration training/model-best corpora/all
    python tests/benchmarks/trust.py calibration training/model-best corpora/all --choose
    python tests/benchmarks/trust.py overhead training/model-best corpora/all

`training/model-best` is the README's zero-shot pipeline, trained on English. Predictions are made
once and kept in `--cache`; another pipeline needs another one. All figures are of the targets: the
languages there but the source and Santali, whose script the encoder cannot read. With `--choose`,
only the development texts of six languages are read, half of them to calibrate and half to measure.
"""

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import spacy
import typer

from spacy_xlt.corpora.reader import create_corpus_v1
from spacy_xlt.evaluation.evaluate import predict_examples
from spacy_xlt.evaluation.metrics import Outcomes, join_outcomes, measure_selective
from spacy_xlt.evaluation.scorer import compare_examples, split_by_language
from spacy_xlt.trust.calibration import Calibrator, excess_error
from spacy_xlt.trust.priors import estimate_mix

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "assets" / "results" / "trust"
CACHE = Path(tempfile.gettempdir()) / "spacy_xlt_trust"
LEFT_OUT = ("sat",)
CHOOSING = ("am", "ee", "fr", "ru", "th", "tr")
N_SPLITS, N_LABELLED = 20, 99
COVERAGE = 0.9
PRECISIONS = (0.8, 0.9, 0.95)
# Concentrations of the Dirichlet distribution that a shifted mix of labels is drawn from.
SHIFTS = (5.0, 1.0, 0.3)
N_SHIFTED = 204
ByLang = Dict[str, Outcomes]
app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("calibration")
def calibration(
    pipeline: Path,
    corpora: Path,
    source: str = "en",
    choose: bool = False,
    cache: Path = CACHE,
    out: Path = RESULTS,
) -> None:
    """Calibration error, coverage of sets, precision from thresholds, other mixes of labels."""
    path = out / ("calibration-choose.json" if choose else "calibration.json")
    if path.exists():
        print(path.read_text())
        return
    started = time.perf_counter()
    labels, dev = _predict(pipeline, corpora, "dev", cache)
    if choose:
        rng = np.random.default_rng(0)
        halves = {lang: np.array_split(rng.permutation(len(dev[lang])), 2) for lang in CHOOSING}
        test = {lang: dev[lang][rows] for lang, (_, rows) in halves.items()}
        own = {lang: dev[lang][rows] for lang, (rows, _) in halves.items()}
    else:
        _, test = _predict(pipeline, corpora, "test", cache)
        test = {lang: o for lang, o in test.items() if lang not in (source, *LEFT_OUT)}
        own = {lang: dev[lang] for lang in test}
    alone = {source: dev[source]}
    result = {
        "source": source,
        "languages": sorted(test),
        "calibration_error": {
            "as it is": _errors(test, labels, None),
            "source labels": _errors(test, labels, alone),
            "target labels": _errors(test, labels, own),
        },
        "coverage": _coverage(own, test, labels, alone),
        "precision": {
            str(precision): {
                "source labels": _precision(test, labels, alone, precision),
                "target labels": _precision(test, labels, own, precision),
            }
            for precision in PRECISIONS
        },
        "mixes": {
            "source labels": _mixes(test, labels, alone),
            "target labels": _mixes(test, labels, own),
        },
    }
    result["seconds"] = round(time.perf_counter() - started, 1)
    _write(path, result)


@app.command("overhead")
def overhead(
    pipeline: Path, corpora: Path, n: int = 1000, rounds: int = 5, out: Path = RESULTS
) -> None:
    """Processor time of what calibration adds to predicting texts, against all of it."""
    nlp = spacy.load(pipeline)
    pipe: Any = nlp.get_pipe("textcat")
    docs = [eg.predicted for eg in create_corpus_v1(path=str(corpora / "test"))(nlp)]
    docs = docs[:: max(len(docs) // n, 1)][:n]
    langs = sorted({"", *(doc._.xlt_lang for doc in docs)})
    by_label = dict.fromkeys(pipe.labels, 0.1)
    pipe.set_calibration({})
    logits = pipe.predict(docs)
    seconds: Dict[str, List[float]] = {"predicting": [], "calibrating": [], "abstaining": []}

    def add(name: str, function: Any, *arguments: Any) -> None:
        started = time.process_time()
        function(*arguments)
        seconds[name].append(time.process_time() - started)

    for _ in range(rounds):
        pipe.set_calibration({})
        add("predicting", lambda: pipe.set_annotations(docs, pipe.predict(docs)))
        pipe.set_calibration(
            {
                "temperatures": dict.fromkeys(langs, 1.5),
                "shifts": dict.fromkeys(langs, by_label),
                "set_thresholds": dict.fromkeys(langs, 0.1),
            }
        )
        add("calibrating", pipe._adjust, logits, docs)
        pipe.set_abstaining("coverage", zero_scores=True)
        add("abstaining", pipe._decide, docs, logits)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    added = medians["calibrating"] + medians["abstaining"]
    result = {
        "texts": len(docs),
        "rounds": rounds,
        "seconds": medians,
        "share": added / medians["predicting"],
    }
    _write(out / "overhead.json", result)


def _write(path: Path, result: Dict[str, Any]) -> None:
    rounded = json.loads(json.dumps(result), parse_float=lambda number: round(float(number), 4))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf8")
    print(path.read_text(encoding="utf8"))


def _predict(pipeline: Path, corpora: Path, split: str, cache: Path) -> Tuple[List[str], ByLang]:
    """Labels, and what the pipeline says about a split, by language; predicted once."""
    path = cache / f"{split}.npz"
    if not path.exists():
        nlp = spacy.load(pipeline)
        pipe = nlp.get_pipe("textcat")
        pipe.set_calibration({})
        examples = predict_examples(nlp, create_corpus_v1(path=str(corpora / split))(nlp), 512)
        langs, found = compare_examples(examples, pipe.labels, exclusive=True, threshold=None)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, langs=langs, labels=pipe.labels, gold=found.gold, scores=found.scores)
    data = np.load(path)
    gold, scores = data["gold"], data["scores"]
    predicted = np.eye(scores.shape[1], dtype=bool)[scores.argmax(axis=1)]
    outcomes = Outcomes(gold, np.ones_like(gold), predicted, scores)
    return data["labels"].tolist(), split_by_language(data["langs"].tolist(), outcomes)


def _calibrated(test: ByLang, calibrator: Calibrator, labelled: ByLang) -> Tuple[Any, ByLang]:
    """What was fitted, and other documents with the probabilities that it gives."""
    fitted = calibrator.fit(labelled)
    return fitted, calibrator.calibrate(test, fitted)


def _errors(test: ByLang, labels: Sequence[str], labelled: Optional[ByLang]) -> Dict[str, Any]:
    """Excess calibration error by language, and its mean."""
    if labelled is not None:
        _, test = _calibrated(test, Calibrator(labels, exclusive=True), labelled)
    errors = {lang: excess_error(o.scores, o, exclusive=True) for lang, o in test.items()}
    return _with_mean(errors)


def _coverage(
    dev: ByLang, test: ByLang, labels: Sequence[str], alone: ByLang
) -> Dict[str, Dict[str, Any]]:
    """Coverage of sets: over random splits of a language's documents, and with source labels."""
    calibrator = Calibrator(labels, exclusive=True, coverage=COVERAGE)
    rng = np.random.default_rng(0)
    pooled = {lang: join_outcomes([dev[lang], o]) for lang, o in test.items()}
    found: Dict[str, List[Dict[str, Any]]] = {lang: [] for lang in test}
    for _ in range(N_SPLITS):
        orders = {lang: rng.permutation(len(o)) for lang, o in pooled.items()}
        cuts = {lang: len(dev[lang]) for lang in pooled}
        labelled = {lang: o[orders[lang][: cuts[lang]]] for lang, o in pooled.items()}
        held = {lang: o[orders[lang][cuts[lang] :]] for lang, o in pooled.items()}
        for lang, row in _selective(held, calibrator, labelled, "coverage").items():
            found[lang].append(row)
    values = np.array([[row["set_coverage"] for row in rows] for rows in found.values()])
    by_lang = {lang: float(np.mean([r["set_coverage"] for r in v])) for lang, v in found.items()}
    source = _selective(test, calibrator, alone, "coverage")
    return {
        "target labels": {
            "mean": float(values.mean()),
            "standard_deviation": float(values.std()),
            "set_size": float(np.mean([r["set_size"] for v in found.values() for r in v])),
            "answered": float(np.mean([r["share_answered"] for v in found.values() for r in v])),
            "accuracy": float(np.mean([r["accuracy"] for v in found.values() for r in v])),
            "by_lang": by_lang,
        },
        "source labels": {
            **_with_mean({lang: row["set_coverage"] for lang, row in source.items()}),
            "set_size": float(np.mean([row["set_size"] for row in source.values()])),
        },
    }


def _selective(test: ByLang, calibrator: Calibrator, labelled: ByLang, way: Any) -> Dict[str, Any]:
    """What is answered by language, abstaining in one way."""
    fitted, test = _calibrated(test, calibrator, labelled)
    kept = calibrator.abstain(test, fitted, way)
    return {lang: measure_selective(outcomes) for lang, outcomes in kept.items()}


def _precision(
    test: ByLang, labels: Sequence[str], labelled: ByLang, precision: float
) -> Dict[str, Any]:
    """Precision of the answers that thresholds keep, and how many these are."""
    calibrator = Calibrator(labels, exclusive=True, precision=precision)
    fitted, calibrated = _calibrated(test, calibrator, labelled)
    kept = calibrator.abstain(calibrated, fitted, "precision")
    found = {lang: measure_selective(o) for lang, o in kept.items()}
    together = join_outcomes(list(kept.values()))
    by_label = together.gold & together.given
    return {
        "all_answers": measure_selective(together)["precision"],
        "answered": float(np.mean([row["share_answered"] for row in found.values()])),
        "by_label": {
            label: float(by_label[:, i].sum() / max(together.given[:, i].sum(), 1))
            for i, label in enumerate(labels)
        },
        "by_lang": {lang: [row["precision"], row["share_answered"]] for lang, row in found.items()},
    }


def _mixes(test: ByLang, labels: Sequence[str], labelled: ByLang) -> Dict[str, Any]:
    """Gain in accuracy from correcting for the mix of labels, by how far it is shifted."""
    calibrator = Calibrator(labels, exclusive=True)
    _, calibrated = _calibrated(test, calibrator, labelled)
    _, references = _calibrated(labelled, calibrator, labelled)
    general = join_outcomes(list(references.values()))
    gains: Dict[str, Any] = {}
    for shift in (None, *SHIFTS):
        rng = np.random.default_rng(0)
        by_lang, before, corrected = {}, [], []
        for lang, outcomes in calibrated.items():
            rows = []
            for _ in range(1 if shift is None else N_SPLITS):
                drawn = outcomes[_draw(outcomes.gold.argmax(axis=1), shift, rng)]
                reference = references.get(lang, general).scores
                mix = estimate_mix(reference, drawn.scores, exclusive=True)
                weights = mix.found / mix.before if mix.is_other else 1.0
                after = _accuracy(replace(drawn, scores=drawn.scores * weights))
                rows.append(after - _accuracy(drawn))
                before.append(_accuracy(drawn))
                corrected.append(mix.is_other)
            by_lang[lang] = float(np.mean(rows))
        name = "none" if shift is None else f"Dirichlet {shift:g}"
        gains[name] = {
            **_with_mean(by_lang),
            "accuracy_before": float(np.mean(before)),
            "share_corrected": float(np.mean(corrected)),
        }
    return gains


def _draw(gold: np.ndarray, shift: Optional[float], rng: np.random.Generator) -> np.ndarray:
    """Documents with a mix of labels that is drawn, or all of them as they are."""
    if shift is None:
        return np.arange(len(gold))
    there = np.unique(gold)
    shares = rng.dirichlet(np.full(len(there), shift))
    chosen = rng.choice(there, N_SHIFTED, p=shares)
    return np.array([rng.choice(np.flatnonzero(gold == label)) for label in chosen])


def _accuracy(outcomes: Outcomes) -> float:
    return float((outcomes.scores.argmax(axis=1) == outcomes.gold.argmax(axis=1)).mean())


def _with_mean(values: Dict[str, float]) -> Dict[str, Any]:
    return {"mean": float(np.mean(list(values.values()))), "by_lang": values}


if __name__ == "__main__":
    app()
