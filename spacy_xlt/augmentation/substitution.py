"""Words of a text replaced by what lexicons say about them."""

import unicodedata
from dataclasses import dataclass
from random import Random
from typing import List, Optional, Sequence, Tuple

from ..types import Lexicon, LexiconEntry
from ..words import Span, capitalize, is_spaceless, uppercase, word_spans

# What may stand between the words of one headword.
_GAPS = ("", " ", "-", "\u00a0")


@dataclass(frozen=True)
class Match:
    """A headword found in a text.

    start (int): Number of its first word.
    end (int): Number of the word after its last.
    """

    start: int
    end: int
    entry: LexiconEntry


def replace_words(text: str, lexicons: Sequence[Lexicon], *, rate: float, rng: Random) -> str:
    """A text in which words that lexicons know are translated.

    The longest phrase counts that starts at a word. Each is translated with a chance of `rate`
    by one of the lexicons that know it, all being equally likely; so are its translations. A
    translation takes the case of what it replaces. Between translations in scripts without
    spaces there is none, around others there is.

    lexicons (Sequence[Lexicon]): Lexicons from the text's language.
    rate (float): Chance of each word to be translated, in [0, 1].
    rng (Random): Source of chance.
    """
    spans = word_spans(text)
    parts: List[Tuple[int, int, str]] = []  # what is replaced, and by what
    i = 0
    while i < len(spans):
        if rng.random() >= rate:
            i += 1
            continue
        found = _draw_match(text, spans, i, lexicons, rng)
        if found is None:
            i += 1
            continue
        lexicon, match = found
        start, end = spans[match.start][0], spans[match.end - 1][1]
        translation = rng.choice(match.entry.translations)
        headword = match.entry.headword
        cased = match_case(translation, text[start:end], headword, lexicon.to_lang)
        parts.append((start, end, cased))
        i = match.end
    return _join(text, parts)


def match_case(translation: str, original: str, headword: str, lang: str) -> str:
    """A translation in the case of what it replaces, where that is not the headword's own case.

    So the capital of a sentence's first word is kept, and that of a German noun is not.
    """
    if original.isupper() and not headword.isupper() and sum(map(str.isalpha, original)) > 1:
        return uppercase(translation, lang)
    if original[:1].isupper() and not headword[:1].isupper():
        return capitalize(translation, lang)
    return translation


def find_match(text: str, spans: Sequence[Span], i: int, lexicon: Lexicon) -> Optional[Match]:
    """The longest headword that starts at a word."""
    end = i + 1
    while end < len(spans) and end - i < lexicon.max_words and _is_phrase(text, spans, end):
        end += 1
    for j in range(end, i, -1):
        phrase = text[spans[i][0] : spans[j - 1][1]]
        entry = lexicon.find(phrase.lower() if text.isupper() else phrase)
        if entry is not None:
            return Match(i, j, entry)
    return None


def _draw_match(
    text: str, spans: Sequence[Span], i: int, lexicons: Sequence[Lexicon], rng: Random
) -> Optional[Tuple[Lexicon, Match]]:
    for lexicon in rng.sample(lexicons, len(lexicons)):
        match = find_match(text, spans, i, lexicon)
        if match is not None:
            return lexicon, match
    return None


def _is_phrase(text: str, spans: Sequence[Span], i: int) -> bool:
    """Whether a word and the one before it may stand in one headword."""
    return text[spans[i - 1][1] : spans[i][0]] in _GAPS


def _join(text: str, parts: Sequence[Tuple[int, int, str]]) -> str:
    """A text with some parts replaced, and spaces between words where their scripts have them.

    parts (Sequence[Tuple[int, int, str]]): Start, end and replacement of each.
    """
    joined, position = "", 0
    for start, end, translation in parts:
        kept = text[position:start]
        if position and kept == " " and _are_spaceless(joined, translation):
            kept = ""
        joined = _append(_append(joined, kept), translation)
        position = end
    return _append(joined, text[position:])


def _append(left: str, right: str) -> str:
    """Two pieces of a text, with a space where letters meet whose scripts have one."""
    meet = _is_letter(left[-1:]) and _is_letter(right[:1]) and not _are_spaceless(left, right)
    return f"{left} {right}" if meet else left + right


def _are_spaceless(left: str, right: str) -> bool:
    return is_spaceless(left[-1:]) and is_spaceless(right[:1])


def _is_letter(char: str) -> bool:
    return char != "" and unicodedata.category(char)[0] in "LMN"
