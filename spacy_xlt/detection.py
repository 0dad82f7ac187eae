"""Which language a text is in, how sure that is, and an honest "unknown".

The model is py3langid's (139 languages, shipped inside its wheel), which an extra installs. Where
it is wrong its probabilities are mostly low, also in languages that it does not know. It was
chosen by `tests/benchmarks/language.py`.
"""

import copy
import functools
import re
import unicodedata
import warnings
from collections import Counter
from importlib.metadata import version
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import langcodes
from langcodes.data_dicts import MACROLANGUAGES

from .compat import require
from .languages import UNKNOWN, standardize_language

# What a pipeline with a detector requires; the same stands in setup.cfg.
REQUIREMENT = "py3langid>=0.4,<0.5"
# Below it the answer is more likely wrong than right.
MIN_CONFIDENCE = 0.5
# A longer text is judged by so many characters from its start, middle and end together.
MAX_CHARS = 1000
# Parts of a text in several languages have at least so many letters, or join the next one.
MIN_PART_LETTERS = 10
# The label for what is no language: numbers, markup, identifiers.
NOT_A_LANGUAGE = "zxx"
# First words of the Unicode names of letters that the model was trained on. Of other scripts it
# knows bytes only, and takes Ol Chiki for Amharic.
SCRIPTS = re.compile(
    r"(LATIN|CYRILLIC|GREEK|ARABIC|HEBREW|ARMENIAN|GEORGIAN|ETHIOPIC|DEVANAGARI|BENGALI|GURMUKHI|"
    r"GUJARATI|ORIYA|TAMIL|TELUGU|KANNADA|MALAYALAM|SINHALA|THAI|LAO|TIBETAN|MYANMAR|KHMER|HANGUL|"
    r"HIRAGANA|KATAKANA|CJK|IDEOGRAPHIC|HALFWIDTH|FULLWIDTH)\b"
)
ADDRESSES = re.compile(r"(?<!\S)(?:\S*(?:://|@)|www\.)\S*")
ENDS = re.compile(r"(?<=[.!?…。！？؟۔।።])\s*|\n+")


class Detected(NamedTuple):
    """Language of a text.

    tag (str): Standard tag, "" if it is unknown.
    confidence (float): Probability of that language, in [0, 1]; 0.0 if it is unknown.
    """

    tag: str
    confidence: float


NOTHING = Detected(UNKNOWN, 0.0)


def read_langs(langs: Optional[Sequence[str]]) -> Tuple[str, ...]:
    """Standard tags of the languages that texts may be in; none if all are possible.

    RAISES (ValueError): If one is no language tag, or if they leave no choice.
    """
    if langs is None:
        return ()
    tags = tuple(sorted(set(map(standardize_language, langs))))
    if UNKNOWN in tags or len(tags) < 2:
        raise ValueError(
            f"langs are {list(langs)}; name two languages or more that texts may be in, or null "
            f"for all that the detector knows."
        )
    return tags


@functools.lru_cache(maxsize=16)
def load_detector(
    langs: Tuple[str, ...] = (), min_confidence: float = MIN_CONFIDENCE
) -> "Detector":
    """The detector with these settings, loaded once in a process. See `Detector`."""
    return Detector(langs, min_confidence)


@functools.lru_cache(maxsize=1024)
def macrolanguage(tag: str) -> str:
    """The macro-language of a tag's language, or that language: `quy` and `qu` give `qu`."""
    language = langcodes.Language.get(tag).language or tag
    return MACROLANGUAGES.get(language, language)


class Detector:
    """Detects the language of texts.

    langs (Sequence[str]): Languages that texts may be in, from `read_langs`; empty for all that
        the model knows. Where the model only knows the macro-language of one (`qu` for
        `quy`), or the language without its script or territory, that stands for it. If the model
        does not know one at all, all languages stay in the running, so that texts in it come out
        as unknown, not as the likeliest of the others.
    min_confidence (float): Probability below which the language is unknown, in [0, 1].
    RAISES (ImportError): If the library is not installed.
    """

    def __init__(self, langs: Sequence[str] = (), min_confidence: float = MIN_CONFIDENCE):
        self.min_confidence = min_confidence
        self._identifier = copy.copy(_load_identifier())
        tags = {label: _tag_of(label) for label in self._identifier.labels}
        self._known = {macrolanguage(tag) for tag in tags.values() if tag}
        self._tags = name_labels(tags, langs)
        self._shared = {tag for tag, n in Counter(self._tags.values()).items() if n > 1}
        unknown = [lang for lang in langs if not self.knows(lang)]
        if unknown:
            warnings.warn(
                f"The language detector does not know {unknown} among the languages asked for; "
                f"texts in them should come out as unknown.",
                stacklevel=2,
            )
        elif langs:
            self._identifier.set_languages([*self._tags, NOT_A_LANGUAGE])

    def knows(self, lang: str) -> bool:
        """Whether texts in a language can be told from others, at least by macro-language."""
        return macrolanguage(lang) in self._known

    def detect(self, text: str) -> Detected:
        """The language of a text; unknown without letters or in scripts the model never saw."""
        text = ADDRESSES.sub(" ", sample(text))
        if not can_be_read(text):
            return NOTHING
        label, confidence = self._identifier.classify(text)
        tag = self._tags.get(label, UNKNOWN)
        if confidence < self.min_confidence or tag in self._shared:
            # Labels of one tag count together. That is slower, so only where it can matter.
            scores: Counter = Counter()
            for label, score in self._identifier.rank(text):
                scores[self._tags.get(label, UNKNOWN)] += score
            tag, confidence = scores.most_common(1)[0]
        if tag == UNKNOWN or confidence < self.min_confidence:
            return NOTHING
        return Detected(tag, min(confidence, 1.0))

    def shares(self, text: str) -> Dict[str, float]:
        """Share of a text's letters in each language, the greatest first; "" for unknown ones.

        Languages may change from sentence to sentence, not within one.
        """
        letters: Counter = Counter()
        for part in split_parts(text):
            letters[self.detect(part).tag] += count_letters(part)
        total = letters.total()
        return {tag: n / total for tag, n in letters.most_common() if n}


def name_labels(tags: Dict[str, str], langs: Sequence[str] = ()) -> Dict[str, str]:
    """Labels of the model with the tag to answer.

    Varieties that are too much alike to be told apart in a sentence, which are those without a
    two-letter code (Egyptian Arabic, Wu), are named by their macro-language if the model knows
    that, unless they are asked for.

    tags (Dict[str, str]): Standard tag of each label.
    langs (Sequence[str]): Standard tags that are asked for; empty for all.
    RETURNS (Dict[str, str]): Without labels of languages that were not asked for. A label has
        the tag that is asked for, or its own where it stands for several (`pt` for `pt-BR` and
        `pt-PT`).
    """
    known = set(tags.values())
    named = {}
    for label, tag in tags.items():
        macro = macrolanguage(tag) if tag else UNKNOWN
        own = macro if len(tag) > 2 and macro in known and tag not in langs else tag
        kin = [lang for lang in langs if lang not in known and macrolanguage(lang) == macro]
        if not langs or own in langs:
            named[label] = own
        elif kin:
            named[label] = kin[0] if len(kin) == 1 else own
    return named


def sample(text: str) -> str:
    """A text, or of a long one the start, the middle and the end."""
    if len(text) <= MAX_CHARS:
        return text
    size = MAX_CHARS // 3 - 1
    middle = (len(text) - size) // 2
    return " ".join([text[:size], text[middle : middle + size], text[-size:]])


def can_be_read(text: str) -> bool:
    """Whether there are letters, at least half of them in scripts that the model knows."""
    letters = [char for char in text if char.isalpha()]
    return bool(letters) and 2 * sum(map(_is_known_letter, letters)) >= len(letters)


def count_letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def split_parts(text: str) -> List[str]:
    """Sentences and lines of a text; those too short to be judged are joined with the next."""
    parts: List[str] = []
    started: List[str] = []
    n_letters = 0
    for part in ENDS.split(text):
        started.append(part)
        n_letters += count_letters(part)
        if n_letters >= MIN_PART_LETTERS:
            parts.append(" ".join(started))
            started, n_letters = [], 0
    return [*parts, " ".join(started)]


@functools.lru_cache(maxsize=8192)
def _is_known_letter(char: str) -> bool:
    return SCRIPTS.match(unicodedata.name(char, "")) is not None


def _tag_of(label: str) -> str:
    return UNKNOWN if label == NOT_A_LANGUAGE else standardize_language(label)


@functools.lru_cache(maxsize=1)
def _load_identifier() -> Any:
    langid = require("py3langid.langid", "Detecting the language of texts")
    identifier = langid.LanguageIdentifier
    if not hasattr(identifier, "from_model_file"):
        raise ImportError(
            f"Detecting the language of texts needs {REQUIREMENT}, but py3langid "
            f"{version('py3langid')} is installed. Install it with: pip install "
            f"'spacy-xlt[language]'"
        )
    return identifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
