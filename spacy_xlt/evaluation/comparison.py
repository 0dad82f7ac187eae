"""Two runs on the same documents: where one is better, and how sure that is."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from typing_extensions import TypedDict

from .results import Evaluation, LanguageResult, Role
from .uncertainty import (
    Interval,
    adjust_p,
    flip_test,
    mcnemar,
    number_units,
    paired_interval,
    percentile_interval,
    resample_ratios,
    sum_by_unit,
)


class LanguageComparison(TypedDict):
    """One language in two runs.

    n (int): Documents that both runs have.
    a, b (float): Accuracies on these.
    difference (float): b minus a.
    interval (Interval): 95 % interval of the difference.
    p (float): McNemar's exact test.
    p_adjusted (float): The same, adjusted for the number of languages (Holm).
    """

    lang: str
    role: Role
    n: int
    a: float
    b: float
    difference: float
    interval: Interval
    p: float
    p_adjusted: float


class MeanComparison(TypedDict):
    """The mean over several languages in two runs; see `LanguageComparison`.

    interval (Optional[Interval]): By drawing sentences, in all languages together.
    p (float): By flipping the runs of sentences, in all languages together.
    """

    n_langs: int
    a: float
    b: float
    difference: float
    interval: Optional[Interval]
    p: float


class Comparison(TypedDict):
    """Two runs on the same documents.

    format (str): `spacy_xlt.comparison.v1`.
    a, b (str): Names of the runs.
    n_only_a, n_only_b (int): Documents that the other run lacks; they do not count.
    languages (List[LanguageComparison]): By falling difference.
    means (Dict[Role, MeanComparison]): Over the languages of a role.
    """

    format: str
    a: str
    b: str
    n_only_a: int
    n_only_b: int
    languages: List[LanguageComparison]
    means: Dict[Role, MeanComparison]


def transfer_intervals(languages: Sequence[LanguageResult]) -> Dict[str, Interval]:
    """95 % intervals of a run's means, by their names in `Transfer`.

    Sentences are drawn, each with all its languages.
    """
    rows = [row for row in languages if row["n"]]
    if not rows:
        return {}
    units, n_units = number_units([row["documents"] for row in rows])
    ones = [np.ones(row["n"]) for row in rows]
    correct = [np.array(row["correct"], dtype=float) for row in rows]
    accuracies = resample_ratios(_columns(units, correct, n_units), _columns(units, ones, n_units))
    by_role = {
        role: accuracies[:, [row["role"] == role for row in rows]].mean(axis=1)
        for role in ("source", "target")
        if any(row["role"] == role for row in rows)
    }
    figures = {f"{role}_accuracy": values for role, values in by_role.items()}
    if len(by_role) == 2:
        figures["transfer_gap"] = by_role["source"] - by_role["target"]
    intervals = {name: percentile_interval(values) for name, values in figures.items()}
    return {name: value for name, value in intervals.items() if value is not None}


def compare_evaluations(a: Evaluation, b: Evaluation) -> Comparison:
    """Compare two runs, document by document.

    RAISES (ValueError): If they have no document in common.
    """
    languages, means = compare_languages(a["languages"], b["languages"])
    if not languages:
        raise ValueError(
            f"'{a['name']}' and '{b['name']}' have no document in common, so they cannot be "
            f"compared. Evaluate both on the same files, with: python -m spacy xlt evaluate"
        )
    n_shared = sum(language["n"] for language in languages)
    return {
        "format": "spacy_xlt.comparison.v1",
        "a": a["name"],
        "b": b["name"],
        "n_only_a": a["overall"]["n"] - n_shared,
        "n_only_b": b["overall"]["n"] - n_shared,
        "languages": languages,
        "means": means,
    }


def compare_languages(
    a: Sequence[LanguageResult], b: Sequence[LanguageResult]
) -> Tuple[List[LanguageComparison], Dict[Role, MeanComparison]]:
    """Compare two runs in the languages that both have documents of.

    RETURNS (Tuple[List[LanguageComparison], Dict[Role, MeanComparison]]): By falling difference;
        and means over the languages that have the same role in both runs.
    """
    in_b = {row["lang"]: row for row in b}
    pairs = [
        _Pair(row, in_b[row["lang"]]["role"], *_pair_documents(row, in_b[row["lang"]]))
        for row in a
        if row["lang"] in in_b
    ]
    pairs = [pair for pair in pairs if pair.keys]
    languages = [_compare_language(pair) for pair in pairs]
    adjusted = adjust_p([language["p"] for language in languages])
    for language, p in zip(languages, adjusted, strict=True):
        language["p_adjusted"] = p
    roles: Tuple[Role, ...] = ("source", "target")
    by_role = {r: [x for x in pairs if x.row["role"] == x.other_role == r] for r in roles}
    means = {role: _compare_means(own) for role, own in by_role.items() if own}
    return sorted(languages, key=lambda row: (-row["difference"], row["lang"])), means


@dataclass(frozen=True)
class _Pair:
    """One language in two runs: the documents that both have, and whether each run has them
    right."""

    row: LanguageResult
    other_role: Role
    keys: List[int]
    right_a: np.ndarray
    right_b: np.ndarray


def _pair_documents(
    a: LanguageResult, b: LanguageResult
) -> Tuple[List[int], np.ndarray, np.ndarray]:
    """Keys of the documents that both have, and whether each run has them right.

    Documents with one key, which is to say with one id, are paired in their order.
    """
    waiting: Dict[int, List[int]] = defaultdict(list)
    for key, right in zip(reversed(b["documents"]), reversed(b["correct"]), strict=True):
        waiting[key].append(right)
    found = [
        (key, right, waiting[key].pop())
        for key, right in zip(a["documents"], a["correct"], strict=True)
        if waiting[key]
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].tolist(), table[:, 1], table[:, 2]


def _compare_language(pair: _Pair) -> LanguageComparison:
    only_a = int((pair.right_a > pair.right_b).sum())
    only_b = int((pair.right_b > pair.right_a).sum())
    n = len(pair.keys)
    p = mcnemar(only_a, only_b)
    return {
        "lang": pair.row["lang"],
        "role": pair.row["role"],
        "n": n,
        "a": float(pair.right_a.mean()),
        "b": float(pair.right_b.mean()),
        "difference": (only_b - only_a) / n,
        "interval": paired_interval(only_a, only_b, n),
        "p": p,
        "p_adjusted": p,
    }


def _compare_means(pairs: Sequence[_Pair]) -> MeanComparison:
    units, n_units = number_units([pair.keys for pair in pairs])
    gains = [(pair.right_b - pair.right_a).astype(float) for pair in pairs]
    ones = [np.ones(len(gain)) for gain in gains]
    ratios = resample_ratios(_columns(units, gains, n_units), _columns(units, ones, n_units))
    # What each sentence adds to the difference of the means.
    shares = [gain / (len(gain) * len(pairs)) for gain in gains]
    return {
        "n_langs": len(pairs),
        "a": float(np.mean([pair.right_a.mean() for pair in pairs])),
        "b": float(np.mean([pair.right_b.mean() for pair in pairs])),
        "difference": float(np.mean([gain.mean() for gain in gains])),
        "interval": percentile_interval(ratios.mean(axis=1)),
        "p": flip_test(_columns(units, shares, n_units).sum(axis=1)),
    }


def _columns(units: Sequence[np.ndarray], values: Sequence[np.ndarray], n_units: int) -> np.ndarray:
    """Sums by unit, a column for each language. Shape: (n_units, n_langs)"""
    sums = [sum_by_unit(own, value, n_units) for own, value in zip(units, values, strict=True)]
    return np.stack(sums, axis=1)
