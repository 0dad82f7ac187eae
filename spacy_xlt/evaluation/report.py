"""A report that a person would rather look at than read, from one or several evaluations."""

import math
from collections import Counter
from datetime import UTC, datetime
from typing import Dict, List, Literal, Mapping, Optional, Sequence, Tuple

import langcodes
import numpy as np
from typing_extensions import TypedDict

from ..languages import language_name
from .advice import compare_runs, find_warnings, further_steps, is_trusted, next_step
from .calibration import CurvePoint
from .comparison import compare_languages, transfer_intervals
from .forecasts import Forecast
from .metrics import Transfer, is_target, mean, measure_transfer, prf
from .plots import Forecasted
from .rendering import percent, render
from .results import (
    Confidence,
    ConfidentMistake,
    Evaluation,
    GroupResult,
    LanguageResult,
    SelectiveResult,
    Signature,
    WordWeight,
    docs_per_second,
    find_role,
    rank_language,
)
from .uncertainty import Interval

# A larger confusion matrix is cut to the labels with the most mistakes.
MAX_MATRIX = 12
MAX_MISTAKES = 10
# Languages whose calibration is shown, those that are furthest off.
N_MISCALIBRATED = 4


class Cell(TypedDict):
    """One language in one run; see `LanguageResult`.

    trained (bool): Whether the run's training labels were in this language.
    trusted (bool): Whether it stands close enough to the source.
    gap (Optional[float]): Accuracy of the source in the same run minus this one's.
    confidence (Optional[float]): Mean probability of the chosen label.
    """

    n: int
    accuracy: Optional[float]
    interval: Optional[Tuple[float, float]]
    macro_f: Optional[float]
    macro_auc: Optional[float]
    gap: Optional[float]
    confidence: Optional[float]
    trained: bool
    trusted: bool


class LanguageRow(TypedDict):
    """One language in all runs; None in `cells` where a run lacks it.

    role (str): Its role in the first run that has it.
    """

    lang: str
    name: str
    script: str
    role: str
    cells: List[Optional[Cell]]


class Run(TypedDict):
    """One evaluation's summary, over the languages that all runs share.

    transfer (Transfer): With the source languages of the first run, so that runs compare.
    intervals (Dict[str, Interval]): 95 % intervals of means in `transfer`, by name.
    gain (Optional[float]): Mean accuracy over targets minus that of the first run.
    gain_interval (Optional[Interval]): Its 95 % interval, over the documents that both have.
    """

    name: str
    trained_langs: List[str]
    n: int
    accuracy: Optional[float]
    docs_per_second: float
    transfer: Transfer
    intervals: Dict[str, Interval]
    gain: Optional[float]
    gain_interval: Optional[Interval]
    signature: Signature


class ScriptRow(TypedDict):
    """Mean transfer gap of the target languages in one script, by run."""

    script: str
    n_langs: int
    gaps: List[Optional[float]]


class LabelRow(TypedDict):
    """One label in the last run, over source and over target languages.

    n (int): Documents of target languages that have it.
    """

    label: str
    n: int
    source_f: Optional[float]
    target_f: Optional[float]


class Mistake(TypedDict):
    """A label taken for another.

    share (float): Of the documents with the gold label.
    """

    gold: str
    predicted: str
    n: int
    share: float


class Confusion(TypedDict):
    """Which labels the last run takes for which; rows are gold, columns predicted.

    n_labels (int): Number of all labels, of which those with the most mistakes are shown.
    """

    title: str
    n_labels: int
    labels: List[str]
    matrix: List[List[int]]
    totals: List[int]
    mistakes: List[Mistake]


class Calibration(TypedDict):
    """Whether the last run's probabilities mean what they say, for a group of documents.

    confidence (float): Mean probability of the chosen label.
    excess_error (float): Expected calibration error beyond that of a calibrated classifier.
    curve (List[CurvePoint]): Accuracy by confidence.
    """

    title: str
    n: int
    accuracy: float
    confidence: float
    excess_error: float
    curve: List[CurvePoint]


class AnswerRow(TypedDict):
    """What the last run answers in a language, if it may abstain."""

    name: str
    selective: SelectiveResult


class ForecastRow(TypedDict):
    """A language's accuracy as forecast without its labels, and as measured in the last run.

    measured, measured_interval: None where it was not measured.
    """

    lang: str
    name: str
    n: int
    accuracy: float
    interval: Interval
    measured: Optional[float]
    measured_interval: Optional[Interval]
    alarm: bool
    reasons: List[str]


class Segment(TypedDict):
    """A part of a text.

    weight (float): How much it spoke for the label that was given, as a share of the word that
        spoke most, -1 to 1; 0 where nothing is known.
    """

    text: str
    weight: float


class SureMistake(TypedDict):
    """A mistake of the last run that it was sure of; see `ConfidentMistake`."""

    language: str
    gold: str
    predicted: str
    probability: float
    segments: List[Segment]


class Report(TypedDict):
    """Everything that the pages show.

    compared (List[str]): Target languages of the first run that all runs share.
    confusions (List[Confusion]): All languages together, then each of them from the worst up.
    calibrations (List[Calibration]): All documents, the source languages, and the languages that
        are furthest off; empty without probabilities of exclusive labels.
    forecasts (List[ForecastRow]): Alarms first, then by falling accuracy; empty without a forecast.
    answers (List[AnswerRow]): By language; empty if the pipeline abstains from nothing.
    """

    format: Literal["spacy_xlt.report.v1"]
    title: str
    created: str
    exclusive: bool
    source_langs: List[str]
    compared: List[str]
    runs: List[Run]
    languages: List[LanguageRow]
    scripts: List[ScriptRow]
    labels: List[LabelRow]
    confusions: List[Confusion]
    calibrations: List[Calibration]
    answers: List[AnswerRow]
    forecasts: List[ForecastRow]
    mistakes: List[SureMistake]
    warnings: List[str]
    next_step: str
    further_steps: List[str]


def make_report(
    evaluations: Sequence[Evaluation],
    *,
    title: Optional[str] = None,
    forecast: Optional[Forecast] = None,
) -> Report:
    """Bring evaluations together.

    evaluations (Sequence[Evaluation]): One or several, the one to compare with first and the one
        to look at closely last.
    title (Optional[str]): Heading; None makes one.
    forecast (Optional[Forecast]): What the pipeline of the last run was expected to do.
    RETURNS (Report): What the pages show.
    RAISES (ValueError): If there is none, or if one has several labels per document and another
        has not.
    """
    if not evaluations:
        raise ValueError("A report needs at least one evaluation.")
    if len({evaluation["exclusive"] for evaluation in evaluations}) > 1:
        raise ValueError(
            "Some of the evaluations are of exclusive labels and some are not, so their figures "
            "do not compare. Make a report of each kind."
        )
    names = _unique([evaluation["name"] for evaluation in evaluations])
    trained = [[*one["source_langs"], *one["tuned_langs"]] for one in evaluations]
    source_langs = evaluations[0]["source_langs"]
    evaluations = [
        _with_source({**evaluation, "name": name}, source_langs)
        for evaluation, name in zip(evaluations, names, strict=True)
    ]
    last = evaluations[-1]
    by_run = [{row["lang"]: row for row in evaluation["languages"]} for evaluation in evaluations]
    shared = set.intersection(*(set(by_lang) for by_lang in by_run))
    compared = sorted(lang for lang in shared if is_target(lang, source_langs))
    targets = [row for row in last["languages"] if row["role"] == "target"]
    runs = _summarize(evaluations, trained, [*compared, *source_langs])
    warnings = compare_runs(evaluations) + find_warnings(last)
    if len(runs) > 1 and not compared:
        warnings.insert(0, "The runs share no target language: their means do not compare.")
    return {
        "format": "spacy_xlt.report.v1",
        "title": title or f"Accuracy by language: {last['signature']['pipeline']['name']}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "exclusive": last["exclusive"],
        "source_langs": source_langs,
        "compared": compared,
        "runs": runs,
        "languages": _tabulate(evaluations, trained),
        "scripts": _compare_scripts(by_run, runs, source_langs),
        "labels": _compare_labels(last),
        "confusions": _confusions(last["labels"], targets or last["languages"], bool(targets)),
        "calibrations": _calibrations(last),
        "answers": [
            {"name": language_name(row["lang"]), "selective": row["selective"]}
            for row in last["languages"]
            if row["selective"] is not None
        ],
        "forecasts": _compare_forecasts(forecast, by_run[-1]) if forecast else [],
        "mistakes": [_show_mistake(mistake) for mistake in last["mistakes"]],
        "warnings": warnings,
        "next_step": next_step(last),
        "further_steps": further_steps(last),
    }


def plotted_forecasts(report: Report) -> List[Forecasted]:
    """The forecasts that can be compared with what was measured."""
    return [
        Forecasted(
            name=row["lang"],
            forecast=row["accuracy"],
            forecast_interval=row["interval"],
            measured=row["measured"],
            measured_interval=row["measured_interval"],
            alarm=row["alarm"],
        )
        for row in report["forecasts"]
        if row["measured"] is not None and row["measured_interval"] is not None
    ]


def render_html(report: Report) -> str:
    """One self-contained HTML page: no script, no network, light and dark, screen and paper."""
    return render(
        "report.html.jinja",
        report=report,
        axis=make_axis(report),
        plotted=plotted_forecasts(report),
    )


def render_markdown(report: Report) -> str:
    """The same in Markdown, without the plots."""
    return render("report.md.jinja", report=report)


class Axis(TypedDict):
    """The part of 0 to 1 that a plot of accuracies shows, and where its marks are."""

    low: float
    ticks: List[float]


def make_axis(report: Report) -> Axis:
    """Axis on which all intervals of a report fit."""
    lows = [
        cell["interval"][0]
        for row in report["languages"]
        for cell in row["cells"]
        if cell is not None and cell["interval"] is not None
    ]
    low = min(0.8, math.floor(10 * min(lows, default=0.0)) / 10)
    low = 0.0 if low <= 0.2 else low
    step = 0.2 if low == 0 else 0.1
    n_steps = round((1 - low) / step)
    return {"low": low, "ticks": [round(1 - i * step, 1) for i in range(n_steps, -1, -1)]}


def script_name(lang: str) -> str:
    """English name of the script a language is usually written in."""
    if not lang:
        return "unknown"
    script = langcodes.Language.get(lang).maximize().script
    script = "Hani" if script in ("Hans", "Hant") else script
    return langcodes.Language.make(script=script).script_name() if script else "unknown"


def _with_source(evaluation: Evaluation, source_langs: Sequence[str]) -> Evaluation:
    """The same figures, seen from other source languages.

    A run that was trained on target labels too compares with others only if a language has the
    same role in both.
    """
    languages: List[LanguageResult] = [
        {**row, "role": find_role(row["lang"], source_langs)} for row in evaluation["languages"]
    ]
    transfer = measure_transfer({row["lang"]: row for row in languages}, source_langs)
    return {
        **evaluation,
        "source_langs": list(source_langs),
        "languages": sorted(languages, key=rank_language),
        "transfer": transfer,
        "intervals": transfer_intervals(languages),
    }


def _summarize(
    evaluations: Sequence[Evaluation], trained: Sequence[List[str]], langs: Sequence[str]
) -> List[Run]:
    runs: List[Run] = []
    first = _rows_in(evaluations[0], langs)
    for evaluation, trained_langs in zip(evaluations, trained, strict=True):
        rows = _rows_in(evaluation, langs)
        transfer = measure_transfer({r["lang"]: r for r in rows}, evaluation["source_langs"])
        before = runs[0]["transfer"]["target_accuracy"] if runs else None
        means = compare_languages(first, rows)[1] if runs else {}
        runs.append(
            {
                "name": evaluation["name"],
                "trained_langs": trained_langs,
                "n": evaluation["overall"]["n"],
                "accuracy": evaluation["overall"]["accuracy"],
                "docs_per_second": docs_per_second(evaluation),
                "transfer": transfer,
                "intervals": transfer_intervals(rows),
                "gain": _minus(transfer["target_accuracy"], before),
                "gain_interval": means["target"]["interval"] if "target" in means else None,
                "signature": evaluation["signature"],
            }
        )
    return runs


def _rows_in(evaluation: Evaluation, langs: Sequence[str]) -> List[LanguageResult]:
    return [row for row in evaluation["languages"] if row["lang"] in langs]


def _tabulate(evaluations: Sequence[Evaluation], trained: Sequence[List[str]]) -> List[LanguageRow]:
    """All languages, sources first, then by falling accuracy in the first run that has them."""
    firsts: Dict[str, LanguageResult] = {}
    for evaluation in evaluations:
        firsts = {**{row["lang"]: row for row in evaluation["languages"]}, **firsts}
    rows: List[LanguageRow] = []
    for first in sorted(firsts.values(), key=rank_language):
        lang = first["lang"]
        cells: List[Optional[Cell]] = []
        for evaluation, trained_langs in zip(evaluations, trained, strict=True):
            source_accuracy = evaluation["transfer"]["source_accuracy"]
            found = [row for row in evaluation["languages"] if row["lang"] == lang]
            cells += [
                _make_cell(row, source_accuracy, trained=lang in trained_langs) for row in found
            ] or [None]
        rows.append(
            {
                "lang": lang,
                "name": language_name(lang),
                "script": script_name(lang),
                "role": first["role"],
                "cells": cells,
            }
        )
    return rows


def _make_cell(result: LanguageResult, source_accuracy: Optional[float], *, trained: bool) -> Cell:
    confidence = result["confidence"]
    return {
        "n": result["n"],
        "accuracy": result["accuracy"],
        "interval": result["interval"],
        "macro_f": result["macro_f"],
        "macro_auc": result["macro_auc"],
        "gap": _minus(source_accuracy, result["accuracy"]),
        "confidence": confidence["mean"] if confidence else None,
        "trained": trained,
        "trusted": result["role"] != "target" or is_trusted(result, source_accuracy),
    }


def _compare_scripts(
    by_run: Sequence[Dict[str, LanguageResult]],
    runs: Sequence[Run],
    source_langs: Sequence[str],
) -> List[ScriptRow]:
    """Mean gap by script, smallest first; empty without a source to compare with."""
    langs_of: Dict[str, List[str]] = {}
    for lang in sorted({lang for by_lang in by_run for lang in by_lang}):
        if is_target(lang, source_langs):
            langs_of.setdefault(script_name(lang), []).append(lang)
    rows: List[ScriptRow] = []
    for script, langs in langs_of.items():
        gaps = []
        for by_lang, run in zip(by_run, runs, strict=True):
            accuracies = [by_lang[lang]["accuracy"] or 0.0 for lang in langs if lang in by_lang]
            gaps.append(_minus(run["transfer"]["source_accuracy"], mean(accuracies)))
        if any(gap is not None for gap in gaps):
            rows.append({"script": script, "n_langs": len(langs), "gaps": gaps})
    return sorted(rows, key=lambda row: next(gap for gap in row["gaps"] if gap is not None))


def _compare_labels(evaluation: Evaluation) -> List[LabelRow]:
    """F1 of each label, lowest in the target languages first."""
    rows: List[LabelRow] = []
    for label in evaluation["labels"]:
        f_score: Dict[str, Optional[float]] = {}
        support = {}
        for group in ("source", "target"):
            counts = [
                row["labels"][label]
                for row in evaluation["languages"]
                if row["role"] == group and label in row["labels"]
            ]
            tp, fp, fn = (np.array(sum(c[key] for c in counts)) for key in ("tp", "fp", "fn"))
            support[group] = int(tp + fn)
            f_score[group] = float(prf(tp, fp, fn)[2]) if support[group] else None
        rows.append(
            {
                "label": label,
                "n": support["target"],
                "source_f": f_score["source"],
                "target_f": f_score["target"],
            }
        )
    return sorted(rows, key=lambda row: (row["target_f"] is None, row["target_f"] or 0.0))


def _confusions(
    labels: Sequence[str], results: Sequence[LanguageResult], are_targets: bool
) -> List[Confusion]:
    """Pooled over all languages given, and of each of them; empty without matrices."""
    counted = [row for row in results if row["confusion"] and row["n"]]
    if not counted:
        return []
    pooled = np.sum([np.array(row["confusion"]) for row in counted], axis=0)
    wrong = _off_diagonal(pooled)
    n_wrong = wrong.sum(axis=0) + wrong.sum(axis=1)
    shown = sorted(np.argsort(-n_wrong, kind="stable")[:MAX_MATRIX].tolist())
    kind = "target languages" if are_targets else "languages"
    title = f"All {len(counted)} {kind}" if len(counted) > 1 else language_name(counted[0]["lang"])
    blocks = [_make_confusion(title, labels, pooled, shown)]
    if len(counted) > 1:
        worst = sorted(counted, key=lambda row: (row["accuracy"] or 0.0, row["lang"]))
        blocks += [
            _make_confusion(
                f"{language_name(row['lang'])}: {percent(row['accuracy'])} % right",
                labels,
                np.array(row["confusion"]),
                shown,
            )
            for row in worst
        ]
    return blocks


def _calibrations(evaluation: Evaluation) -> List[Calibration]:
    overall, languages = evaluation["overall"], evaluation["languages"]
    known = [(row, row["confidence"]) for row in languages if row["confidence"] is not None]
    sources = [(row, own) for row, own in known if row["role"] == "source"]
    others = [(row, own) for row, own in known if row["role"] != "source"]
    worst = sorted(others, key=lambda pair: (-pair[1]["excess_error"], pair[0]["lang"]))
    blocks = [
        _make_calibration(language_name(row["lang"]), row, own)
        for row, own in [*sources, *worst[:N_MISCALIBRATED]]
    ]
    if len(known) > 1 and overall["confidence"] is not None:
        blocks.insert(0, _make_calibration("All documents", overall, overall["confidence"]))
    return blocks


def _make_calibration(title: str, group: GroupResult, confidence: Confidence) -> Calibration:
    return {
        "title": title,
        "n": group["n"],
        "accuracy": group["accuracy"] or 0.0,
        "confidence": confidence["mean"],
        "excess_error": confidence["excess_error"],
        "curve": confidence["curve"],
    }


def _compare_forecasts(
    forecast: Forecast, measured: Mapping[str, LanguageResult]
) -> List[ForecastRow]:
    rows: List[ForecastRow] = [
        {
            "lang": row["lang"],
            "name": language_name(row["lang"]),
            "n": row["n"],
            "accuracy": row["accuracy"],
            "interval": row["interval"],
            "measured": measured[row["lang"]]["accuracy"] if row["lang"] in measured else None,
            "measured_interval": (
                measured[row["lang"]]["interval"] if row["lang"] in measured else None
            ),
            "alarm": row["alarm"],
            "reasons": row["reasons"],
        }
        for row in forecast["languages"]
    ]
    return sorted(rows, key=lambda row: (not row["alarm"], -row["accuracy"], row["lang"]))


def _show_mistake(mistake: ConfidentMistake) -> SureMistake:
    return {
        "language": language_name(mistake["lang"]),
        "gold": mistake["gold"],
        "predicted": mistake["predicted"],
        "probability": mistake["probability"],
        "segments": split_by_words(mistake["text"], mistake["words"] or []),
    }


def split_by_words(text: str, words: Sequence[WordWeight]) -> List[Segment]:
    """A text as its words and what is between them."""
    largest = max((abs(word["weight"]) for word in words), default=0.0) or 1.0
    segments: List[Segment] = []
    done = 0
    for word in sorted(words, key=lambda word: word["start"]):
        start, end = word["start"], min(word["end"], len(text))
        if done <= start < end:
            segments.append({"text": text[done:start], "weight": 0.0})
            segments.append({"text": text[start:end], "weight": word["weight"] / largest})
            done = end
    segments.append({"text": text[done:], "weight": 0.0})
    return [segment for segment in segments if segment["text"]]


def _make_confusion(
    title: str, labels: Sequence[str], matrix: np.ndarray, shown: Sequence[int]
) -> Confusion:
    wrong, totals = _off_diagonal(matrix), matrix.sum(axis=1)
    pairs = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda pair: -wrong[pair])
    mistakes: List[Mistake] = [
        {
            "gold": labels[gold],
            "predicted": labels[predicted],
            "n": int(wrong[gold, predicted]),
            "share": float(wrong[gold, predicted] / totals[gold]),
        }
        for gold, predicted in pairs[:MAX_MISTAKES]
    ]
    return {
        "title": title,
        "n_labels": len(labels),
        "labels": [labels[i] for i in shown],
        "matrix": matrix[np.ix_(shown, shown)].tolist(),
        "totals": totals[list(shown)].tolist(),
        "mistakes": mistakes,
    }


def _off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix * (1 - np.eye(len(matrix), dtype=int))


def _unique(names: Sequence[str]) -> List[str]:
    """Names with a number added where one occurs again."""
    seen: Counter = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _minus(a: Optional[float], b: Optional[float]) -> Optional[float]:
    return None if a is None or b is None else a - b
