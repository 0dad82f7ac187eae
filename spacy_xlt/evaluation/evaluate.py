"""Run a pipeline on labelled documents of many languages and measure it."""

import hashlib
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from typing_extensions import TypedDict

from ..languages import ID_KEY, standardize_language
from .calibration import (
    brier_score,
    calibration_curve,
    calibration_error,
    perfect_calibration_error,
)
from .comparison import transfer_intervals
from .metrics import (
    Outcomes,
    compare,
    label_auc,
    label_counts,
    label_events,
    mean,
    measure,
    measure_selective,
    measure_transfer,
    prf,
    wilson_interval,
)
from .mistakes import MistakeCollector
from .results import (
    Confidence,
    CorpusRecord,
    Evaluation,
    GroupResult,
    LabelResult,
    LanguageResult,
    SelectiveResult,
    find_role,
    rank_language,
)
from .scorer import (
    compare_examples,
    has_gold,
    read_decision,
    read_scores,
    to_given,
)
from .task import Task, find_task, known_labels, make_signature
from .uncertainty import (
    Interval,
    number_units,
    percentile_interval,
    resample_macro_f,
    resample_ratios,
    sum_by_unit,
)

# Documents handed to the pipeline at once; a component that sorts by length needs many.
BATCH_SIZE = 512


class Prediction(TypedDict, total=False):
    """One document's line in the predictions file.

    text (str): The text.
    lang (str): Standard tag, "" where none is recorded.
    gold (Union[str, List[str]]): The label, or all labels that apply if they are not exclusive.
    predicted (Union[None, str, List[str]]): The same as predicted; None if there is no usable
        prediction or no answer.
    scores (Dict[str, float]): By label.
    set (List[str]): Labels that may be right, if the component says.
    id (str): Identity of the document, if it has one.
    """

    text: str
    lang: str
    gold: Union[str, List[str]]
    predicted: Union[None, str, List[str]]
    scores: Dict[str, float]
    set: List[str]
    id: str


def evaluate_pipeline(
    nlp: Language,
    get_examples: Callable[[], Iterable[Example]],
    *,
    name: Optional[str] = None,
    component: Optional[str] = None,
    source_langs: Optional[Sequence[str]] = None,
    langs: Optional[Sequence[str]] = None,
    batch_size: int = BATCH_SIZE,
    corpora: Sequence[CorpusRecord] = (),
    n_mistakes: int = 0,
    on_prediction: Callable[[Prediction], Any] = lambda prediction: None,
    progress: Callable[[Iterable[Example], int], Iterable[Example]] = lambda items, total: items,
) -> Evaluation:
    """Predict, compare with gold, and measure each language.

    The Examples are read twice: to check labels and languages before the long part, and to
    predict. No document is kept.

    nlp (Language): The pipeline.
    get_examples (Callable[[], Iterable[Example]]): Gives the documents, the same on each call.
        Their language is read from the reference (`doc._.xlt_lang`).
    name (Optional[str]): How tables and reports call this run; None is the pipeline's name.
    component (Optional[str]): The text classifier, where the pipeline has several.
    source_langs (Optional[Sequence[str]]): Languages of the training labels; None is what the
        component recorded (`cfg["train_langs"]`).
    langs (Optional[Sequence[str]]): Languages to evaluate; None is all.
    batch_size (int): Documents handed to the pipeline at once.
    corpora (Sequence[CorpusRecord]): What the documents were read from, for the signature.
    n_mistakes (int): Mistakes to keep, with their texts, of those that it was surest of.
    on_prediction (Callable): Called with each document's prediction, in order.
    progress (Callable): Wraps the documents, whose number is given, to show how far it is.
    RETURNS (Evaluation): The figures.
    RAISES (ValueError): If the pipeline has no text classifier or none of that name, or there are
        no labelled documents, labels that it does not know, or none in a language asked for.
    """
    if batch_size < 1:
        raise ValueError(f"The batch size is {batch_size}; allowed is 1 or more.")
    task = find_task(nlp, component, source_langs)
    wanted = None if langs is None else [standardize_language(lang) for lang in langs]
    n_labelled, n_unlabelled = _check_examples(get_examples(), task, known_labels(nlp), wanted)

    started = time.perf_counter()
    examples = predict_examples(nlp, _select(get_examples(), task, wanted), batch_size)
    found: List[int] = []
    mistakes = MistakeCollector(n_mistakes)
    tags, outcomes = compare_examples(
        _tell(_note_keys(progress(examples, n_labelled), found), task, on_prediction, mistakes),
        task.labels,
        exclusive=task.exclusive,
        threshold=task.threshold,
        component=task.component,
    )
    seconds = time.perf_counter() - started

    array, keys = np.array(tags, dtype=object), np.array(found, dtype=np.int64)
    results = sorted(
        (
            _measure_language(tag, outcomes[array == tag], keys[array == tag], task)
            for tag in sorted(set(tags))
        ),
        key=rank_language,
    )
    return {
        "format": "spacy_xlt.evaluation.v1",
        "name": name or f"{nlp.meta['lang']}_{nlp.meta['name']}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": task.labels,
        "exclusive": task.exclusive,
        "threshold": task.threshold,
        "source_langs": task.source_langs,
        "tuned_langs": task.tuned_langs,
        "n_unlabelled": n_unlabelled,
        "seconds": seconds,
        "overall": measure_group(outcomes, keys, task),
        "transfer": measure_transfer(
            {result["lang"]: result for result in results}, task.source_langs
        ),
        "intervals": transfer_intervals(results),
        "languages": results,
        "mistakes": mistakes.choose(),
        "signature": make_signature(nlp, task, corpora),
    }


def measure_group(outcomes: Outcomes, keys: np.ndarray, task: Task) -> GroupResult:
    """Figures of a group of documents.

    keys (np.ndarray): Documents with equal keys are one sentence. Shape: (n_docs,)
    """
    n_correct = int(outcomes.correct.sum())
    return {
        **measure(outcomes),
        "n_correct": n_correct,
        "n_unanswered": int((~outcomes.answered).sum()),
        "interval": _accuracy_interval(outcomes, keys),
        "macro_f_interval": _macro_f_interval(outcomes, keys),
        "labels": _measure_labels(outcomes, task.labels),
        "confusion": count_confusion(outcomes) if task.exclusive else None,
        "confidence": measure_confidence(outcomes) if task.exclusive else None,
        "selective": _measure_answers(outcomes, keys),
    }


def _accuracy_interval(outcomes: Outcomes, keys: np.ndarray) -> Optional[Interval]:
    """95 % interval of accuracy."""
    n = len(outcomes)
    if not n:
        return None
    (units,), n_units = number_units([keys.tolist()])
    if n_units == n:
        return wilson_interval(int(outcomes.correct.sum()), n)
    correct = sum_by_unit(units, outcomes.correct[:, None].astype(float), n_units)
    ratios = resample_ratios(correct, sum_by_unit(units, np.ones((n, 1)), n_units))
    return percentile_interval(ratios[:, 0])


def _macro_f_interval(outcomes: Outcomes, keys: np.ndarray) -> Optional[Interval]:
    """95 % interval of macro F."""
    if not len(outcomes):
        return None
    (units,), n_units = number_units([keys.tolist()])
    counts = [sum_by_unit(units, values, n_units) for values in label_events(outcomes)]
    return percentile_interval(resample_macro_f(*counts))


def _measure_answers(outcomes: Outcomes, keys: np.ndarray) -> Optional[SelectiveResult]:
    selective = measure_selective(outcomes)
    if selective is None or outcomes.given is None:
        return None
    rows = outcomes.decided
    answers = replace(outcomes, predicted=outcomes.given)[rows]
    return {**selective, "interval": _accuracy_interval(answers, keys[rows])}


def count_confusion(outcomes: Outcomes) -> List[List[int]]:
    """Documents by gold label (rows) and predicted label (columns), without the unanswered."""
    gold = outcomes.gold[outcomes.answered].astype(int)
    return (gold.T @ outcomes.predicted[outcomes.answered].astype(int)).tolist()


def measure_confidence(outcomes: Outcomes) -> Optional[Confidence]:
    """Probability of the chosen label; None without documents or if scores are something else."""
    scores = outcomes.scores[outcomes.answered]
    if not len(scores) or scores.min() < 0 or scores.max() > 1:
        return None
    chosen = scores.max(axis=1)
    correct = outcomes.correct[outcomes.answered]
    error = calibration_error(chosen, correct)
    p10, p50, p90 = (float(value) for value in np.quantile(chosen, [0.1, 0.5, 0.9]))
    return {
        "mean": float(chosen.mean()),
        "p10": p10,
        "p50": p50,
        "p90": p90,
        "mean_correct": mean(chosen[correct]),
        "mean_wrong": mean(chosen[~correct]),
        "calibration_error": error,
        "excess_error": error - perfect_calibration_error(chosen),
        "brier": brier_score(scores, outcomes.gold[outcomes.answered]),
        "curve": calibration_curve(chosen, correct),
    }


def make_prediction(eg: Example, task: Task) -> Prediction:
    """One document's line in the predictions file."""
    reference = eg.reference
    scores = read_scores(eg.predicted, task.labels)
    gold = [reference.cats.get(label, np.nan) for label in task.labels]
    decision = read_decision(eg.predicted, task.component)
    outcome = compare(
        np.array([gold]),
        np.array([scores]),
        exclusive=task.exclusive,
        threshold=task.threshold,
        given=to_given([decision], task.labels),
    )
    given = outcome.predicted if outcome.given is None else outcome.given
    prediction: Prediction = {
        "text": reference.text,
        "lang": standardize_language(reference._.xlt_lang),
        "gold": _names(outcome.gold[0], task) or [],
        "predicted": _names(given[0], task) if outcome.decided[0] else None,
        "scores": {k: v for k, v in zip(task.labels, scores, strict=True) if np.isfinite(v)},
    }
    if decision is not None and decision["set"] is not None:
        prediction["set"] = list(decision["set"])
    if ID_KEY in reference.user_data:
        prediction["id"] = str(reference.user_data[ID_KEY])
    return prediction


def _names(applies: np.ndarray, task: Task) -> Union[None, str, List[str]]:
    labels = [label for label, yes in zip(task.labels, applies, strict=True) if yes]
    return labels if not task.exclusive else labels[0] if labels else None


def _measure_language(
    lang: str, outcomes: Outcomes, keys: np.ndarray, task: Task
) -> LanguageResult:
    return {
        **measure_group(outcomes, keys, task),
        "lang": lang,
        "role": find_role(lang, task.source_langs),
        "documents": keys.tolist(),
        "correct": outcomes.correct.astype(int).tolist(),
    }


def _measure_labels(outcomes: Outcomes, labels: Sequence[str]) -> Dict[str, LabelResult]:
    counts = label_counts(outcomes)
    columns = (*counts, *prf(*counts))
    rows = zip(labels, *(column.tolist() for column in columns), label_auc(outcomes), strict=True)
    return {
        label: {
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "precision": precision,
            "recall": recall,
            "f_score": f_score,
            "auc": auc,
        }
        for label, tp, fp, fn, precision, recall, f_score, auc in rows
    }


def _check_examples(
    examples: Iterable[Example], task: Task, known: Sequence[str], langs: Optional[Sequence[str]]
) -> Tuple[int, int]:
    """Count the documents with and without labels.

    RAISES (ValueError): If none has labels, a label is not known, or a language has no documents.
    """
    found: Counter = Counter()
    by_lang: Counter = Counter()
    n_labelled = n_unlabelled = 0
    for eg in examples:
        lang = standardize_language(eg.reference._.xlt_lang)
        by_lang[lang] += 1
        if langs is not None and lang not in langs:
            continue
        cats = eg.reference.cats
        found.update(label for label, probability in cats.items() if probability > 0)
        if has_gold(cats, task.labels, exclusive=task.exclusive):
            n_labelled += 1
        else:
            n_unlabelled += 1
    absent = sorted(set(langs or []) - set(by_lang))
    if absent:
        there = ", ".join(lang or "unknown" for lang in sorted(by_lang)) or "none"
        raise ValueError(
            f"The corpora have no document in: {', '.join(absent)}. Languages there: {there}."
        )
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ValueError(
            f"The corpora have labels that the pipeline does not know: {_shorten(unknown)}. "
            f"Labels of '{task.component}': {_shorten(task.labels)}. Labels in the corpora: "
            f"{_shorten(sorted(found))}. Rename or drop labels with a label map when you import "
            f"the data, or evaluate a pipeline that was trained with these labels."
        )
    if not n_labelled:
        raise ValueError(
            f"None of the {n_unlabelled} documents has a label of '{task.component}', so there is "
            f"nothing to compare with. Its labels: {_shorten(task.labels)}. To get predictions "
            f"without gold labels use: python -m spacy xlt predict"
        )
    return n_labelled, n_unlabelled


def _select(
    examples: Iterable[Example], task: Task, langs: Optional[Sequence[str]]
) -> Iterator[Example]:
    for eg in examples:
        is_wanted = langs is None or standardize_language(eg.reference._.xlt_lang) in langs
        if is_wanted and has_gold(eg.reference.cats, task.labels, exclusive=task.exclusive):
            yield eg


def predict_examples(
    nlp: Language, examples: Iterable[Example], batch_size: int
) -> Iterator[Example]:
    """Let a pipeline fill in the predicted Docs."""
    pairs = ((eg.predicted, eg) for eg in examples)
    for doc, eg in nlp.pipe(pairs, as_tuples=True, batch_size=batch_size):
        eg.predicted = doc
        yield eg


def make_key(doc: Doc, seen: Counter) -> int:
    """A number by which a document is known again in other languages and runs.

    Documents with one id have one key. A document without an id has a key of its own, which is
    the same in each run over the same texts.

    seen (Counter): How often each text without an id has come; counts this one.
    """
    name = doc.user_data.get(ID_KEY)
    if name is not None:
        return _hash("id", str(name))
    text = _hash(doc._.xlt_lang, doc.text)
    seen[text] += 1
    return _hash(str(text), str(seen[text]))


def _hash(*parts: str) -> int:
    content = "\0".join(parts).encode("utf8")
    return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest(), "big")


def _note_keys(examples: Iterable[Example], keys: List[int]) -> Iterator[Example]:
    """Add the key of each document to a list as it goes by."""
    seen: Counter = Counter()
    for eg in examples:
        keys.append(make_key(eg.reference, seen))
        yield eg


def _tell(
    examples: Iterable[Example],
    task: Task,
    on_prediction: Callable[[Prediction], Any],
    mistakes: MistakeCollector,
) -> Iterator[Example]:
    """Pass documents on, their predictions to a function, and mistakes to their collector."""
    for eg in examples:
        line = make_prediction(eg, task)
        on_prediction(line)
        gold, given = line["gold"], line["predicted"]
        if isinstance(gold, str) and isinstance(given, str) and gold != given:
            mistakes.add(line["text"], line["lang"], gold, given, line["scores"][given])
        yield eg


def _shorten(items: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more if items else "none"
