"""The JSON of an evaluation: what it holds, and reading it back with every value checked."""

import json
import re
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Sequence, Tuple

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import Annotated, TypedDict

from .calibration import CurvePoint
from .metrics import Count, Metrics, Selective, Share, Transfer, is_target

Role = Literal["source", "target", "unknown"]


class LabelResult(TypedDict):
    """One label within a group of documents.

    tp, fp, fn (int): True positives, false positives, false negatives.
    precision, recall, f_score (float): 0 where undefined.
    auc (Optional[float]): Area under the ROC curve; None where all gold is yes or all is no.
    """

    tp: Count
    fp: Count
    fn: Count
    precision: Share
    recall: Share
    f_score: Share
    auc: Optional[Share]


class Confidence(TypedDict):
    """The probability that a classifier of exclusive labels gave to the label it chose.

    mean, p10, p50, p90 (float): Mean and quantiles over documents.
    mean_correct, mean_wrong (Optional[float]): Means over the right and the wrong documents.
    calibration_error (float): Expected calibration error.
    excess_error (float): What of it a calibrated classifier with the same probabilities would not
        show on so many documents; below 0 if it would show more.
    brier (float): Brier score over all labels, 0 to 2.
    curve (List[CurvePoint]): Accuracy by confidence, rising.
    """

    mean: Share
    p10: Share
    p50: Share
    p90: Share
    mean_correct: Optional[Share]
    mean_wrong: Optional[Share]
    calibration_error: Share
    excess_error: float
    brier: Annotated[float, Field(ge=0)]
    curve: List[CurvePoint]


class SelectiveResult(Selective):
    """The same with its uncertainty.

    interval (Optional[Tuple[float, float]]): 95 % interval of the accuracy.
    """

    interval: Optional[Tuple[Share, Share]]


class GroupResult(Metrics):
    """Figures of a group of documents.

    n_correct (int): Documents that are wholly right.
    n_unanswered (int): Documents without a usable prediction, as when scores are withheld together
        with the answer; they count as wrong.
    interval (Optional[Tuple[float, float]]): 95 % interval of the accuracy: Wilson's, or, where
        sentences come more than once, by drawing sentences.
    macro_f_interval (Optional[Tuple[float, float]]): 95 % interval of macro F, by drawing
        sentences.
    labels (Dict[str, LabelResult]): By label, all of the component's.
    confusion (Optional[List[List[int]]]): Documents by gold label (rows) and predicted label
        (columns), without the unanswered; None if labels are not exclusive.
    confidence (Optional[Confidence]): None if labels are not exclusive or scores are not
        probabilities.
    selective (Optional[SelectiveResult]): What is answered and how often that is right; None if the
        classifier abstains from nothing.
    """

    n_correct: Count
    n_unanswered: Count
    interval: Optional[Tuple[Share, Share]]
    macro_f_interval: Optional[Tuple[Share, Share]]
    labels: Dict[str, LabelResult]
    confusion: Optional[List[List[Count]]]
    confidence: Optional[Confidence]
    selective: Optional[SelectiveResult]


class LanguageResult(GroupResult):
    """Figures of one language.

    lang (str): Standard tag; "" where none is recorded.
    role (Role): Whether the classifier was trained with labels in it.
    documents (List[int]): Key of each document, the same in other runs, and for one id in other
        languages.
    correct (List[int]): 1 for each document that is wholly right, 0 for the others.
    """

    lang: str
    role: Role
    documents: List[Count]
    correct: List[Count]


class WordWeight(TypedDict):
    """A word of a text.

    start, end (int): Its characters, from and up to.
    weight (float): How much it speaks for a label; below 0 against it.
    """

    text: str
    start: Count
    end: Count
    weight: float


class ConfidentMistake(TypedDict):
    """A document that got a wrong label with a high probability.

    text (str): The text, cut if it is long.
    lang (str): Standard tag, "" where none is recorded.
    gold, predicted (str): The right label and the given one.
    probability (float): Of the given one.
    words (Optional[List[WordWeight]]): Why it was given; None if that was not asked.
    """

    text: str
    lang: str
    gold: str
    predicted: str
    probability: Share
    words: Optional[List[WordWeight]]


class CorpusRecord(TypedDict):
    """What was read: a file or directory as it was named, and a hash of its content."""

    path: str
    sha256: str


class PipelineRecord(TypedDict):
    """Which pipeline and which component in it."""

    name: str
    version: str
    component: str
    factory: str


class Signature(TypedDict):
    """What must be equal for figures to be comparable.

    versions (Dict[str, str]): Of Python, this package and the libraries that were in use.
    pipeline (PipelineRecord): The pipeline.
    encoder (Optional[Dict[str, Any]]): Where its encoder comes from, if the component says.
    seed (Optional[int]): Seed in the pipeline's training config.
    corpora (List[CorpusRecord]): What was evaluated on.
    """

    versions: Dict[str, str]
    pipeline: PipelineRecord
    encoder: Optional[Dict[str, Any]]
    seed: Optional[int]
    corpora: List[CorpusRecord]


class Evaluation(TypedDict):
    """A pipeline's figures on labelled documents of one or many languages.

    format (str): `spacy_xlt.evaluation.v1`.
    name (str): How tables and reports call this run.
    created (str): Time in UTC, ISO 8601.
    labels (List[str]): The component's labels, in the order of rows and columns of `confusion`.
    exclusive (bool): Whether exactly one of them applies to a document.
    threshold (Optional[float]): Score from which a label is given, if they are not exclusive.
    source_langs (List[str]): Languages of the training labels.
    tuned_langs (List[str]): Target languages of which a later stage saw labels.
    n_unlabelled (int): Documents left out because their gold has none of the labels.
    seconds (float): Time for predicting.
    overall (GroupResult): All documents together.
    transfer (Transfer): Source against target languages.
    intervals (Dict[str, Tuple[float, float]]): 95 % intervals of means in `transfer`, by name, by
        drawing sentences with all their languages.
    languages (List[LanguageResult]): Source languages first, then by falling accuracy.
    mistakes (List[ConfidentMistake]): The surest mistakes, of as many languages as possible; empty
        if labels are not exclusive.
    signature (Signature): What was evaluated, on what, with what.
    """

    format: Literal["spacy_xlt.evaluation.v1"]
    name: str
    created: str
    labels: List[str]
    exclusive: bool
    threshold: Optional[float]
    source_langs: List[str]
    tuned_langs: List[str]
    n_unlabelled: Count
    seconds: float
    overall: GroupResult
    transfer: Transfer
    intervals: Dict[str, Tuple[float, float]]
    languages: List[LanguageResult]
    mistakes: List[ConfidentMistake]
    signature: Signature


def find_role(lang: str, source_langs: Sequence[str]) -> Role:
    """Role of a language, given those of the training labels."""
    if lang in source_langs:
        return "source"
    return "target" if is_target(lang, source_langs) else "unknown"


def rank_language(result: LanguageResult) -> Tuple[int, float, str]:
    """Sort key: source languages first, then by falling accuracy, unknown ones last."""
    order = {"source": 0, "target": 1, "unknown": 2}
    return order[result["role"]], -(result["accuracy"] or 0.0), result["lang"]


_EVALUATION: TypeAdapter = TypeAdapter(Evaluation)
_NUMBERS = re.compile(r"\[\n[-+\d\s,.eE]+\n\s*\]")


def read_evaluation(path: Path) -> Evaluation:
    """Read and check the JSON of an evaluation.

    path (Path): File that `spacy xlt evaluate --output` wrote.
    RETURNS (Evaluation): Its content.
    RAISES (ValueError): If it is damaged or something else.
    """
    again = "Make it with: python -m spacy xlt evaluate PIPELINE CORPORA --output FILE.json"
    evaluation: Evaluation = read_checked(
        path, _EVALUATION, what="the result of an evaluation", again=again
    )
    for row in evaluation["languages"]:
        if not len(row["documents"]) == len(row["correct"]) == row["n"]:
            raise ValueError(
                f"'{path}' is damaged: the documents in '{row['lang']}' are not {row['n']}. {again}"
            )
    size = len(evaluation["labels"])
    for group in (evaluation["overall"], *evaluation["languages"]):
        matrix = group["confusion"]
        if matrix is not None and [len(row) for row in matrix] != [size] * size:
            raise ValueError(
                f"'{path}' is damaged: a confusion matrix is not {size} by {size}, the number of "
                f"labels. {again}"
            )
    return evaluation


def read_checked(path: Path, adapter: TypeAdapter, *, what: str, again: str) -> Any:
    """The JSON in a file, if it is what it should be.

    what (str): What that is, to complete "is not …".
    again (str): How to make such a file.
    RAISES (ValueError): If there is no file, or something else in it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file '{path}'. {again}")
    try:
        return adapter.validate_json(path.read_bytes(), strict=True)
    except ValidationError as e:
        error = e.errors(include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"]) or "the file"
        raise ValueError(
            f"'{path}' is not {what}, or is damaged: {where}: {error['msg']}. {again}"
        ) from e


def docs_per_second(evaluation: Evaluation) -> float:
    """How fast the documents were predicted."""
    return evaluation["overall"]["n"] / max(evaluation["seconds"], 1e-9)


def dump_json(value: Any) -> str:
    """Readable JSON: indented, but with lists of numbers on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    # A line break within brackets is never part of a string: those have it escaped.
    return _NUMBERS.sub(lambda match: " ".join(match.group().split()), text) + "\n"
