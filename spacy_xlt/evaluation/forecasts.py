"""The JSON of a forecast of accuracy in languages without labels, and reading it back."""

from pathlib import Path
from typing import Dict, List, Literal, Optional, Tuple

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from .metrics import Count, Share
from .results import read_checked


class Signs(TypedDict):
    """What a pipeline shows on the texts of a language, without labels.

    confidence (float): Mean probability of its answers, calibrated so that it is the accuracy in
        the source language.
    sharpness (float): The same beyond chance: 0 if the answers are as probable for other texts.
    halves (float): How far the halves of a text get the same answer, beyond chance.
    frequent_answer (str): The most frequent answer; several labels are joined by "+".
    frequent_share (float): Its share of the texts.
    pieces_per_word (Optional[float]): Word pieces between two spaces; None, as the next two, if
        another component divides texts into pieces.
    unknown_share (Optional[float]): Share of the pieces that the encoder cannot read.
    unreadable_share (Optional[float]): Share of the letters that it cannot read.
    unreadable_script (str): Unicode's name of the script of most of these; "" if there are none.
    """

    confidence: Share
    sharpness: float
    halves: float
    frequent_answer: str
    frequent_share: Share
    pieces_per_word: Optional[float]
    unknown_share: Optional[Share]
    unreadable_share: Optional[Share]
    unreadable_script: str


class LanguageForecast(TypedDict):
    """What to expect in a language.

    lang (str): Standard tag.
    n (int): Different texts looked at.
    n_labelled (int): Labelled texts of the language that the forecast rests on besides.
    accuracy (float): Expected share of right answers.
    interval (Tuple[float, float]): Its 95 % interval.
    gap (float): How far it is below the source.
    risk (float): Probability that it is more than MAX_GAP below the source.
    alarm (bool): Whether labels in the language should not be trusted.
    reasons (List[str]): Why not, in sentences; empty without an alarm.
    signs (Signs): What the forecast is made of.
    """

    lang: str
    n: Count
    n_labelled: Count
    accuracy: Share
    interval: Tuple[Share, Share]
    gap: float
    risk: Share
    alarm: bool
    reasons: List[str]
    signs: Signs


class Forecast(TypedDict):
    """Forecasts of a pipeline.

    format (str): `spacy_xlt.forecast.v1`.
    pipeline, component (str): Names.
    source_langs (List[str]): Languages with which the others are compared.
    n_source (int): Labelled source texts.
    source_accuracy (float): Accuracy on them, with one more right and one more wrong.
    source_signs (Signs): What the pipeline shows on them.
    labelled_langs (List[str]): Other languages whose labels were used.
    languages (List[LanguageForecast]): The best first.
    too_few (Dict[str, int]): Languages with fewer than MIN_TEXTS different texts, and how many.
    """

    format: Literal["spacy_xlt.forecast.v1"]
    pipeline: str
    component: str
    source_langs: List[str]
    n_source: Count
    source_accuracy: Share
    source_signs: Signs
    labelled_langs: List[str]
    languages: List[LanguageForecast]
    too_few: Dict[str, Count]


_FORECAST: TypeAdapter = TypeAdapter(Forecast)


def read_forecast(path: Path) -> Forecast:
    """Read and check the JSON of a forecast.

    path (Path): File that `spacy xlt forecast --output` wrote.
    RETURNS (Forecast): Its content.
    RAISES (ValueError): If it is damaged or something else.
    """
    return read_checked(
        path,
        _FORECAST,
        what="a forecast",
        again="Make it with: python -m spacy xlt forecast PIPELINE TEXTS --output FILE.json",
    )
