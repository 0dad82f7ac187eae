"""Scores of a text classifier by language, for spaCy's training, evaluation and packages."""

from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example
from typing_extensions import TypedDict

from ..languages import standardize_language
from .metrics import (
    Given,
    Metrics,
    Outcomes,
    compare,
    label_auc,
    label_counts,
    mean,
    measure,
    measure_selective,
    measure_transfer,
    prf,
)

# How the language of a document without one is called in the names of scores.
UNKNOWN_NAME = "unknown"


class Decision(TypedDict):
    """What `doc._.xlt_decisions` says under the name of a component that may abstain.

    label (Union[None, str, List[str]]): The label, or all labels that apply if they are not
        exclusive; None without an answer.
    set (Optional[List[str]]): Labels that may be right; None if the component does not say.
    """

    label: Union[None, str, List[str]]
    set: Optional[List[str]]


def make_textcat_by_language_scorer_v1(*, prefix: str = "cats") -> Callable[..., Dict[str, Any]]:
    """A scorer of document categories, overall and for each language.

    The language is read from the reference Docs (`doc._.xlt_lang`).

    prefix (str): Start of every score's name. Components that write to the same Docs need one
        each, or the scores of the last replace those of the others.
    RETURNS (Callable): `score_textcat_by_language` with this prefix.
    """
    return partial(score_textcat_by_language, prefix=prefix)


def score_textcat_by_language(
    examples: Iterable[Example],
    *,
    labels: Sequence[str],
    exclusive: bool = True,
    threshold: Optional[float] = None,
    positive_label: Optional[str] = None,
    train_langs: Sequence[str] = (),
    component: Optional[str] = None,
    prefix: str = "cats",
    **cfg: Any,
) -> Dict[str, Any]:
    """Score one component's labels; those of other components on the same Docs are ignored.

    Documents whose gold has none of the labels are left out. A document without a usable
    prediction (no scores, or scores that are not finite) counts as wrong, and so does one whose
    scores a component which may abstain withheld.

    examples (Iterable[Example]): Predicted and reference Docs.
    labels (Sequence[str]): The component's labels.
    exclusive (bool): Whether exactly one label applies to a document.
    threshold (Optional[float]): Score from which a label is given, if they are not exclusive.
    positive_label (Optional[str]): The label whose F1 is the main score of a binary task.
    train_langs (Sequence[str]): Source languages. Every other known language is a target.
    component (Optional[str]): Name under which the component records its decisions if it may
        abstain; None if it may not.
    prefix (str): Start of every score's name, `cats` below.
    cfg (Any): The component's other settings, which do not matter here.
    RETURNS (Dict[str, Any]): Plain numbers, or None where a score is not defined (no target
        language, no source language, no documents). spaCy's training treats None as not there.
        - spaCy's own: `cats_score`, `cats_score_desc`, `cats_micro_p/r/f`, `cats_macro_p/r/f`,
          `cats_macro_auc`, `cats_f_per_type`, `cats_auc_per_type`, over all documents, as
          `Scorer.score_cats` defines them (macro: over all labels, 0 for those without support)
        - `cats_acc`: accuracy over all documents
        - `cats_target_acc`, `cats_target_macro_f`: means over target languages
        - `cats_worst_acc`, `cats_spread_acc`: lowest value and standard deviation over targets
        - `cats_transfer_gap`: mean accuracy over source languages minus `cats_target_acc`
        - `cats_acc_<lang>`, `cats_macro_f_<lang>`: by language, `unknown` where none is recorded
        - `cats_by_lang`: a dict of `Metrics` for each language
        - `cats_selective` and `cats_selective_by_lang`, only if the component may abstain: what is
          answered and how often that is right (`Selective`), overall and for each language
    """
    langs, outcomes = compare_examples(
        examples, labels, exclusive=exclusive, threshold=threshold, component=component
    )
    by_lang = measure_by_language(langs, outcomes)
    transfer = measure_transfer(by_lang, [standardize_language(lang) for lang in train_langs])
    scores = _spacy_scores(outcomes, labels, exclusive=exclusive, positive_label=positive_label)
    scores["acc"] = mean(outcomes.correct)
    scores["target_acc"] = transfer["target_accuracy"]
    scores["target_macro_f"] = transfer["target_macro_f"]
    scores["worst_acc"] = transfer["worst_accuracy"]
    scores["spread_acc"] = transfer["spread_accuracy"]
    scores["transfer_gap"] = transfer["transfer_gap"]
    scores["by_lang"] = {lang or UNKNOWN_NAME: metrics for lang, metrics in by_lang.items()}
    for lang, metrics in scores["by_lang"].items():
        scores[f"acc_{lang}"] = metrics["accuracy"]
        scores[f"macro_f_{lang}"] = metrics["macro_f"]
    selective = measure_selective(outcomes)
    if selective is not None:
        scores["selective"] = selective
        scores["selective_by_lang"] = {
            lang or UNKNOWN_NAME: measure_selective(own)
            for lang, own in split_by_language(langs, outcomes).items()
        }
    return {f"{prefix}_{name}": value for name, value in scores.items()}


def compare_examples(
    examples: Iterable[Example],
    labels: Sequence[str],
    *,
    exclusive: bool,
    threshold: Optional[float],
    component: Optional[str] = None,
) -> Tuple[List[str], Outcomes]:
    """Read gold and predicted categories from Examples, without holding on to the Docs.

    component (Optional[str]): Whose decisions count, if the Docs have any.
    RETURNS (Tuple[List[str], Outcomes]): Language of each labelled document, and what was
        predicted for it. Documents whose gold has none of the labels are not among them.
    """
    langs: List[str] = []
    gold: List[List[float]] = []
    scores: List[List[float]] = []
    decisions: List[Optional[Decision]] = []
    for eg in examples:
        cats = eg.reference.cats
        if not has_gold(cats, labels, exclusive=exclusive):
            continue
        langs.append(standardize_language(eg.reference._.xlt_lang))
        gold.append([cats.get(label, np.nan) for label in labels])
        scores.append(read_scores(eg.predicted, labels))
        decisions.append(read_decision(eg.predicted, component))
    shape = (len(langs), len(labels))
    outcomes = compare(
        np.array(gold, dtype="float64").reshape(shape),
        np.array(scores, dtype="float64").reshape(shape),
        exclusive=exclusive,
        threshold=threshold,
        given=to_given(decisions, labels),
    )
    return langs, outcomes


def has_gold(cats: Dict[str, float], labels: Iterable[str], *, exclusive: bool) -> bool:
    """Whether gold categories say anything about the labels.

    Of exclusive labels one must apply; of independent ones, "none" is an answer too.
    """
    if exclusive:
        return any(cats.get(label, 0.0) > 0 for label in labels)
    return any(label in cats for label in labels)


def read_scores(doc: Doc, labels: Sequence[str]) -> List[float]:
    """Predicted scores in the order of the labels; all NaN if the Doc has none of them."""
    cats = doc.cats
    if not any(label in cats for label in labels):
        return [np.nan] * len(labels)
    return [cats.get(label, 0.0) for label in labels]


def read_decision(doc: Doc, component: Optional[str]) -> Optional[Decision]:
    """A component's decision about a Doc; None if it made none."""
    return None if component is None else doc._.xlt_decisions.get(component)


def to_given(decisions: Sequence[Optional[Decision]], labels: Sequence[str]) -> Optional[Given]:
    """Decisions as arrays; None if there are none. A document without one has no answer."""
    if not any(decisions):
        return None
    made = [decision or {"label": None, "set": []} for decision in decisions]
    given = [[one["label"]] if isinstance(one["label"], str) else one["label"] for one in made]
    sets = [one["set"] for one in made]
    return Given(
        labels=_to_rows([names or [] for names in given], labels),
        abstained=np.array([names is None for names in given]),
        sets=None if None in sets else _to_rows([names or [] for names in sets], labels),
    )


def _to_rows(names: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """Whether each label is among the names. Shape: (n_docs, n_labels)"""
    return np.array([[label in row for label in labels] for row in names], dtype=bool)


def split_by_language(langs: Sequence[str], outcomes: Outcomes) -> Dict[str, Outcomes]:
    """The documents of each language, in the order of their tags."""
    array = np.array(langs, dtype=object)
    return {lang: outcomes[array == lang] for lang in sorted(set(langs))}


def measure_by_language(langs: Sequence[str], outcomes: Outcomes) -> Dict[str, Metrics]:
    """Figures for each language, in the order of their tags."""
    return {lang: measure(own) for lang, own in split_by_language(langs, outcomes).items()}


def _spacy_scores(
    outcomes: Outcomes,
    labels: Sequence[str],
    *,
    exclusive: bool,
    positive_label: Optional[str],
) -> Dict[str, Any]:
    """What `spacy.scorer.Scorer.score_cats` gives, without the prefix.

    Computed here because `score_cats` fails on a Doc without predictions, takes a gold label of
    probability 0.1 for a yes, and cannot tell an abstention from the first label.
    """
    counts = label_counts(outcomes)
    precision, recall, f_score = (values.tolist() for values in prf(*counts))
    micro_p, micro_r, micro_f = (float(value) for value in prf(*(c.sum() for c in counts)))
    areas = label_auc(outcomes)
    macro_f, macro_auc = _mean_or_0(f_score), _mean_or_0([area or 0.0 for area in areas])
    if exclusive and positive_label in labels and len(labels) == 2:
        score, description = f_score[labels.index(positive_label)], f"F ({positive_label})"
    elif exclusive:
        score, description = macro_f, "macro F"
    else:
        score, description = macro_auc, "macro AUC"
    return {
        "score": score,
        "score_desc": description,
        "micro_p": micro_p,
        "micro_r": micro_r,
        "micro_f": micro_f,
        "macro_p": _mean_or_0(precision),
        "macro_r": _mean_or_0(recall),
        "macro_f": macro_f,
        "macro_auc": macro_auc,
        "f_per_type": {
            label: {"p": p, "r": r, "f": f}
            for label, p, r, f in zip(labels, precision, recall, f_score, strict=True)
        },
        "auc_per_type": dict(zip(labels, areas, strict=True)),
    }


def _mean_or_0(values: Sequence[float]) -> float:
    return mean(values) or 0.0
