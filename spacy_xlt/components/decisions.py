"""What calibration does at prediction: to logits, and to answers where a component may abstain.

NumPy only, and over a whole batch at once, so that it costs next to nothing.
"""

from dataclasses import dataclass
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    cast,
    get_args,
)

import numpy
from spacy.tokens import Doc
from typing_extensions import TypedDict

from ..evaluation.metrics import DEFAULT_THRESHOLD, one_hot
from ..languages import known_language, standardize_language

# Key of what holds for all languages that have no entry of their own.
OTHERS = ""
# Key of the answer that no label holds, where labels are independent.
NOTHING = ""
Abstain = Literal["none", "precision", "coverage"]
T = TypeVar("T")


class Calibration(TypedDict, total=False):
    """What was fitted to labelled texts; a part that was not is not there.

    Each is by the standard tag of a language, `OTHERS` for all that have no entry.

    temperatures (Dict[str, float]): What logits are divided by.
    shifts (Dict[str, Dict[str, float]]): What is added to the logit of a label after that, for
        another mix of labels; 0 for labels that are not there.
    thresholds (Dict[str, Dict[str, float]]): Probability from which a label is given so that the
        precision below is kept; labels that are not there are never given. At `NOTHING` that of
        no label, of which the probability is `nothing_scores`.
    precision (float): The precision that was wanted of each label.
    set_thresholds (Dict[str, float]): Probability from which a label is in a document's set, so
        that the coverage below is kept.
    coverage (float): The share of right labels that was wanted in the sets.
    """

    temperatures: Dict[str, float]
    shifts: Dict[str, Dict[str, float]]
    thresholds: Dict[str, Dict[str, float]]
    precision: float
    set_thresholds: Dict[str, float]
    coverage: float


# What the numbers of each part may be; nothing compares with NaN.
ALLOWED: Dict[str, Tuple[str, Callable[[float], bool]]] = {
    "temperatures": ("numbers above 0", lambda x: 0.0 < x < numpy.inf),
    "shifts": ("numbers", lambda x: abs(x) < numpy.inf),
    "thresholds": ("0 to 1", lambda x: 0.0 <= x <= 1.0),
    "precision": ("numbers between 0 and 1", lambda x: 0.0 < x < 1.0),
    "set_thresholds": ("0 to 1", lambda x: 0.0 <= x <= 1.0),
    "coverage": ("numbers between 0 and 1", lambda x: 0.0 < x < 1.0),
}
# Which part each way of abstaining needs.
NEEDED: Dict[Abstain, str] = {"precision": "thresholds", "coverage": "set_thresholds"}


@dataclass(frozen=True)
class Decisions:
    """Answers of a component that may abstain.

    answered (numpy.ndarray): Whether a document has an answer. Shape: (n_docs,)
    given (numpy.ndarray): The labels of the answer. Shape: (n_docs, n_labels)
    sets (Optional[numpy.ndarray]): The labels that may be right; None if abstaining is by
        precision. Shape: (n_docs, n_labels)
    """

    answered: numpy.ndarray
    given: numpy.ndarray
    sets: Optional[numpy.ndarray]


def check_calibration(calibration: Calibration) -> Calibration:
    """The calibration with standard language tags and plain numbers.

    RAISES (ValueError): If a part is unknown, a tag is no language, or a number is out of range.
    """
    unknown = sorted(set(calibration) - set(ALLOWED))
    if unknown:
        raise ValueError(
            f"A calibration has no parts {unknown}; allowed are: {', '.join(ALLOWED)}."
        )
    checked: Dict[str, Any] = {}
    for part, value in calibration.items():
        plain = _plain(value)
        if isinstance(plain, dict):
            plain = {standardize_language(lang): row for lang, row in plain.items()}
        allowed, is_allowed = ALLOWED[part]
        wrong = [number for number in _numbers(plain) if not is_allowed(number)]
        if wrong:
            raise ValueError(f"The {part} of a calibration have {wrong[0]}; allowed are {allowed}.")
        checked[part] = plain
    return cast(Calibration, checked)


def check_abstain(abstain: str, fitted: Collection[str], *, zero_scores: bool = False) -> Abstain:
    """A way of abstaining for which there is all that it needs.

    fitted (Collection[str]): The parts of a calibration that were fitted.
    zero_scores (bool): Whether texts without an answer are to get scores of 0.
    RAISES (ValueError): If that is no way of abstaining, what it needs was not fitted, or there is
        nothing to give zeros to.
    """
    if zero_scores and abstain == "none":
        raise ValueError(
            "Texts without an answer are to get scores of 0, but abstain is 'none', so there "
            "are no such texts. Choose precision or coverage."
        )
    if abstain not in get_args(Abstain):
        raise ValueError(f"abstain is '{abstain}'; allowed are: {', '.join(get_args(Abstain))}.")
    way = cast(Abstain, abstain)
    if way != "none" and NEEDED[way] not in fitted:
        raise ValueError(
            f"abstain is '{abstain}', but no {NEEDED[way]} were fitted. Fit them first: "
            f"python -m spacy xlt calibrate PIPELINE CORPORA --{abstain} 0.9 --abstain {abstain}"
        )
    return way


def adjust_logits(
    logits: numpy.ndarray, langs: Sequence[str], labels: Sequence[str], calibration: Calibration
) -> numpy.ndarray:
    """Logits after temperatures and shifts. Shape: (n_docs, n_labels)

    langs (Sequence[str]): Standard tag of each document's language.
    """
    temperatures, shifts = calibration.get("temperatures"), calibration.get("shifts")
    if temperatures:
        own = _by_language(temperatures, langs, 1.0)
        logits = logits / numpy.array(own, dtype=logits.dtype)[:, None]
    if shifts:
        rows = _label_rows(shifts, langs, labels, missing=0.0)
        logits = logits + rows.astype(logits.dtype)
    return logits


def decide(
    scores: numpy.ndarray,
    langs: Sequence[str],
    labels: Sequence[str],
    calibration: Calibration,
    *,
    abstain: Abstain,
    exclusive: bool,
    threshold: Optional[float],
) -> Decisions:
    """Answers, where it is sure enough of them.

    By precision, a label is given from its threshold up; of independent labels, that none holds is
    an answer with a threshold like each label. A document without any gets no answer. By coverage,
    a document gets a set of labels, which always has those of the usual answer, and no answer if
    there are others.

    scores (numpy.ndarray): Probabilities. Shape: (n_docs, n_labels)
    langs (Sequence[str]): Standard tag of each document's language.
    threshold (Optional[float]): From where independent labels are given otherwise.
    """
    usual = (
        one_hot(scores)
        if exclusive
        else scores >= (DEFAULT_THRESHOLD if threshold is None else threshold)
    )
    if abstain == "precision":
        bounds = _label_rows(calibration["thresholds"], langs, labels, missing=numpy.inf)
        given = scores >= bounds
        if exclusive:
            given &= usual
            return Decisions(numpy.asarray(given.any(axis=1)), given, None)
        (none_bounds,) = _label_rows(
            calibration["thresholds"], langs, [NOTHING], missing=numpy.inf
        ).T
        has_none = ~usual.any(axis=1) & (nothing_scores(scores) >= none_bounds)
        answered = numpy.asarray(given.any(axis=1) | has_none)
        return Decisions(answered, given, None)
    bounds = numpy.array(_by_language(calibration["set_thresholds"], langs, 0.0))[:, None]
    sets = usual | (scores >= bounds)
    answered = (sets == usual).all(axis=1)
    return Decisions(answered, usual & answered[:, None], sets)


def nothing_scores(scores: numpy.ndarray) -> numpy.ndarray:
    """Probability that none of independent labels holds. Shape: (n_docs,)"""
    return numpy.prod(1.0 - scores, axis=1)


def write_answers(
    docs: Sequence[Doc], name: str, scores: numpy.ndarray, cfg: Mapping[str, Any]
) -> numpy.ndarray:
    """Record who gets an answer of a component that may abstain.

    name (str): The component.
    scores (numpy.ndarray): Probabilities. Shape: (n_docs, n_labels)
    cfg (Mapping[str, Any]): Its settings, as `XltTextCat` has them.
    RETURNS (numpy.ndarray): Scores for `doc.cats`: zeros for a document without an answer, if the
        settings say so. Shape: (n_docs, n_labels)
    """
    decisions = decide(
        scores,
        [known_language(doc) for doc in docs],
        cfg["labels"],
        cfg["calibration"],
        abstain=cfg["abstain"],
        exclusive=cfg["exclusive"],
        threshold=cfg["threshold"],
    )
    write_decisions(docs, name, decisions, cfg["labels"], exclusive=cfg["exclusive"])
    return scores * decisions.answered[:, None] if cfg["zero_abstained"] else scores


def write_decisions(
    docs: Sequence[Doc], name: str, decisions: Decisions, labels: Sequence[str], *, exclusive: bool
) -> None:
    """Record a component's decisions in `doc._.xlt_decisions`, under its name."""
    names = numpy.array(labels, dtype=object)
    for i, (doc, answered) in enumerate(zip(docs, decisions.answered.tolist(), strict=True)):
        given = names[decisions.given[i]].tolist()
        doc._.xlt_decisions[name] = {
            "label": None if not answered else given[0] if exclusive else given,
            "set": None if decisions.sets is None else names[decisions.sets[i]].tolist(),
        }


def _by_language(values: Mapping[str, T], langs: Sequence[str], missing: T) -> List[T]:
    general = values.get(OTHERS, missing)
    return [values.get(lang, general) for lang in langs]


def _label_rows(
    values: Mapping[str, Mapping[str, float]],
    langs: Sequence[str],
    labels: Sequence[str],
    *,
    missing: float,
) -> numpy.ndarray:
    """The number of each label in the language of each document. Shape: (n_docs, n_labels)"""
    unique = sorted(set(langs))
    table = [
        [row.get(label, missing) for label in labels] for row in _by_language(values, unique, {})
    ]
    index = {lang: i for i, lang in enumerate(unique)}
    rows = numpy.array(table).reshape(len(unique), len(labels))
    return rows[[index[lang] for lang in langs]]


def _plain(value: Any) -> Any:
    """Numbers as plain floats, at any depth of mappings."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return float(value)


def _numbers(value: Any) -> List[float]:
    """All numbers, at any depth of mappings."""
    if isinstance(value, Mapping):
        return [number for inner in value.values() for number in _numbers(inner)]
    return [value]
