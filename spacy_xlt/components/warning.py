"""Why the labels of a document should not be trusted: what `doc._.xlt_warning` says."""

from typing import Any, Iterable, List, Mapping, Optional, Sequence

from spacy.tokens import Doc
from typing_extensions import TypedDict

from ..languages import known_language, language_name, set_doc_warning, without_territory

# Unreadable words in a row are one unknown piece, often with a space of its own: from this share
# of the pieces on, two words in five cannot be read.
MAX_UNKNOWN_SHARE = 0.2

NO_TEXT = "There is no text."
NO_LANGUAGE = "Its language is not known, and with it how far its labels can be trusted."


class StoredForecast(TypedDict):
    """What a pipeline keeps of the forecast for a language.

    accuracy (float): Forecast accuracy, in [0, 1].
    interval (List[float]): Lower and upper end of its 95 % interval.
    alarm (bool): Whether labels in this language should not be trusted.
    reason (str): Why, in a sentence; empty without an alarm.
    """

    accuracy: float
    interval: List[float]
    alarm: bool
    reason: str


def write_warnings(
    docs: Sequence[Doc],
    name: str,
    texts: Sequence[str],
    unknown_shares: Sequence[float],
    cfg: Mapping[str, Any],
) -> None:
    """Record what speaks against trusting a component's labels in `doc._.xlt_warning`.

    name (str): The component.
    texts (Sequence[str]): What it read in the place of each document.
    unknown_shares (Sequence[float]): Share of each text's pieces that the encoder cannot read.
    cfg (Mapping[str, Any]): Its settings, as `XltTextCat` has them.
    """
    forecasts: Mapping[str, StoredForecast] = cfg["forecasts"]
    labelled_langs = [*cfg["train_langs"], *cfg["tuned_langs"]]
    for doc, text, share in zip(docs, texts, unknown_shares, strict=True):
        lang = known_language(doc) if forecasts else ""
        warning = find_warning(
            text, lang, share, forecasts=forecasts, labelled_langs=labelled_langs
        )
        set_doc_warning(doc, name, warning)


def find_warning(
    text: str,
    lang: str,
    unknown_share: float,
    *,
    forecasts: Mapping[str, StoredForecast],
    labelled_langs: Iterable[str],
) -> str:
    """What speaks against trusting the labels of a document; "" for nothing.

    lang (str): Standard tag of its language, "" where unknown.
    unknown_share (float): Share of its pieces that the encoder cannot read, in [0, 1].
    forecasts (Mapping[str, StoredForecast]): By language; without any, the language is not looked
        at.
    labelled_langs (Iterable[str]): Languages whose labels the classifier was trained with.
    """
    if not text or text.isspace():
        return NO_TEXT
    found = []
    if unknown_share >= MAX_UNKNOWN_SHARE:
        found.append(f"The encoder cannot read {100 * unknown_share:.0f} % of the pieces.")
    if forecasts:
        found.append(_doubt_language(lang, forecasts, labelled_langs))
    return " ".join(filter(None, found))


def _doubt_language(
    lang: str, forecasts: Mapping[str, StoredForecast], labelled_langs: Iterable[str]
) -> str:
    if not lang:
        return NO_LANGUAGE
    names = (lang, without_territory(lang))
    forecast: Optional[StoredForecast] = next(
        (forecasts[name] for name in names if name in forecasts), None
    )
    if forecast is not None:
        return forecast["reason"] if forecast["alarm"] else ""
    if any(name in labelled_langs for name in names):
        return ""
    return f"How far labels in {language_name(lang)} can be trusted is not known."
