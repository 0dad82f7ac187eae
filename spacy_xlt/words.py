"""Words of a text, in scripts with and without spaces, as lexicons look them up."""

import re
import unicodedata
from typing import List, Tuple

# Scripts that put no spaces between words, as they stand in a regular expression: Han, Hiragana,
# Thai, Lao, Tibetan, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Balinese, Javanese.
SPACELESS = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u309f\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\ua980-\ua9df"
)
# Katakana has none either, but a run of it mostly is one word.
KATAKANA = "\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SPACELESS = re.compile(f"[{SPACELESS}{KATAKANA}]")
# Addresses and names of accounts, in which nothing is a word.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9.+_-])(?:[A-Za-z0-9.+_-]*(?:@|://)|www\.)[!-~]*", re.IGNORECASE
)
# Join the letters around them without being letters: zero-width joiners and soft hyphens.
_JOINERS = "\u200c\u200d\u00ad"
_APOSTROPHES = "'\u2019"
# An elided word has at most so many letters: l'eau, qu'il, I'm.
_MAX_ELIDED = 2
# Languages whose capital of i has a dot.
_DOTTED = ("tr", "az")

# Characters, from and up to.
Span = Tuple[int, int]


def word_spans(text: str) -> List[Span]:
    """Start and end of each word of a text.

    A word is a run of letters, marks and digits; where a script has no spaces, each character
    with its marks. Apostrophes within a word belong to it, but an elided word before one is a
    word of its own. Addresses and names of accounts have no words.
    """
    text = _ADDRESS.sub(lambda match: " " * len(match[0]), text)
    spans: List[Span] = []
    start = -1  # of the word that is being read
    for i, char in enumerate(text):
        category = unicodedata.category(char)[0]
        if is_spaceless(char) and category != "M":
            start = _close(text, spans, start, i)
            if category in "LN":
                spans.append((i, i + 1))
        elif category == "M" and start < 0 and spans and spans[-1][1] == i:
            spans[-1] = (spans[-1][0], i + 1)
        elif category in "LN" or start >= 0 and (category == "M" or _joins(text, i)):
            start = i if start < 0 else start
        else:
            start = _close(text, spans, start, i)
    _close(text, spans, start, len(text))
    return spans


def is_spaceless(char: str) -> bool:
    """Whether a character is of a script that puts no space between words."""
    return _SPACELESS.match(char) is not None


def has_spaceless(text: str) -> bool:
    """Whether a text has a character of such a script."""
    return _SPACELESS.search(text) is not None


def fold(text: str, lang: str) -> str:
    """What two spellings of a word share: composed letters in one case, spaces as one."""
    text = " ".join(unicodedata.normalize("NFC", text).replace("\u2019", "'").split())
    if lang in _DOTTED:
        text = text.replace("İ", "i").replace("I", "ı")
    return text.casefold()


def capitalize(text: str, lang: str) -> str:
    """A text with its first letter as a capital, all others as they are."""
    first = "İ" if lang in _DOTTED and text[:1] == "i" else text[:1].upper()
    return first + text[1:]


def uppercase(text: str, lang: str) -> str:
    """A text in capitals."""
    return (text.replace("i", "İ") if lang in _DOTTED else text).upper()


def _joins(text: str, i: int) -> bool:
    """Whether a character that is no letter belongs to the word around it."""
    if text[i] in _JOINERS:
        return True
    return text[i] in _APOSTROPHES and text[i + 1 : i + 2].isalpha()


def _close(text: str, spans: List[Span], start: int, end: int) -> int:
    """Add the word that ends here, if there is one; returns the start of no word."""
    if start >= 0:
        cut = next((i for i in range(start, end) if text[i] in _APOSTROPHES), end)
        if cut < end and cut - start <= _MAX_ELIDED:
            spans.append((start, cut))
            if end - cut - 1 > _MAX_ELIDED:
                spans.append((cut + 1, end))
        else:
            spans.append((start, end))
    return -1
