"""Words of a text replaced by what lexicons say about them."""

import re
import unicodedata
from dataclasses import dataclass
from random import Random
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from .types import Lexicon, LexiconEntry
from .words import Span, capitalize, is_spaceless, uppercase, word_spans

# What may stand between the words of one headword.
_GAPS = ("", " ", "-", "\u00a0")
# After these a capital says nothing about the word.
_SENTENCE_END = re.compile(r"[.!?:\u2026\n\"\u201c\u201e\u00ab(\u00a1\u00bf]")


class Words:
    """The words of a text, as they are looked up."""

    def __init__(self, text: str):
        self.text = text
        self.spans = word_spans(text)
        self.is_shouted = text.isupper()

    def __len__(self) -> int:
        return len(self.spans)

    def span(self, start: int, end: int) -> Span:
        """Where words stand, from one up to, but not with, another."""
        return self.spans[start][0], self.spans[end - 1][1]

    def phrase(self, start: int, end: int) -> str:
        """Words as a lexicon should be asked for them.

        The capital of a sentence's first word is left out, and so are those of a text without
        small letters.
        """
        phrase = self.text[slice(*self.span(start, end))]
        if self.is_shouted:
            return phrase.lower()
        if self._is_first(start) and (len(phrase) == 1 or not phrase.isupper()):
            return phrase[0].lower() + phrase[1:]
        return phrase

    def gap(self, i: int) -> str:
        """What stands between a word and the one before it."""
        return self.text[self.spans[i - 1][1] : self.spans[i][0]]

    def _is_first(self, i: int) -> bool:
        return i == 0 or _SENTENCE_END.search(self.gap(i)) is not None


@dataclass(frozen=True)
class Match:
    """A headword found in a text.

    start (int): Number of its first word.
    end (int): Number of the word after its last.
    """

    start: int
    end: int
    entry: LexiconEntry


class Replacement(NamedTuple):
    """A headword found in a text, and the translation in a language that takes its place."""

    match: Match
    translation: str
    lang: str


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

    def draw(words: Words, i: int) -> Optional[Replacement]:
        if rng.random() >= rate:
            return None
        for lexicon in rng.sample(lexicons, len(lexicons)):
            match = find_match(words, i, lexicon)
            if match is not None:
                return Replacement(match, rng.choice(match.entry.translations), lexicon.to_lang)
        return None

    return _replace(text, draw)


def translate_words(text: str, lexicon: Lexicon) -> str:
    """A text in which every word that a lexicon knows has become its first translation.

    Phrases, case and spaces are treated as by `replace_words`.
    """

    def look_up(words: Words, i: int) -> Optional[Replacement]:
        match = find_match(words, i, lexicon)
        if match is None:
            return None
        return Replacement(match, match.entry.translations[0], lexicon.to_lang)

    return _replace(text, look_up)


def match_case(translation: str, original: str, headword: str, lang: str) -> str:
    """A translation in the case of what it replaces, where that is not the headword's own case.

    So the capital of a sentence's first word is kept, and that of a German noun is not.
    """
    if original.isupper() and not headword.isupper() and sum(map(str.isalpha, original)) > 1:
        return uppercase(translation, lang)
    if original[:1].isupper() and not headword[:1].isupper():
        return capitalize(translation, lang)
    return translation


def find_match(words: Words, i: int, lexicon: Lexicon) -> Optional[Match]:
    """The longest headword that starts at a word."""
    end = i + 1
    while end < len(words) and end - i < lexicon.max_words and words.gap(end) in _GAPS:
        end += 1
    for j in range(end, i, -1):
        entry = lexicon.find(words.phrase(i, j))
        if entry is not None:
            return Match(i, j, entry)
    return None


def _replace(text: str, find: Callable[[Words, int], Optional[Replacement]]) -> str:
    """A text with what is found put in place.

    find (Callable[[Words, int], Optional[Replacement]]): What is to replace the words from one
        on, if anything.
    """
    words = Words(text)
    parts: List[Tuple[int, int, str]] = []  # what is replaced, and by what
    i = 0
    while i < len(words):
        found = find(words, i)
        if found is None:
            i += 1
            continue
        match = found.match
        start, end = words.span(match.start, match.end)
        cased = match_case(found.translation, text[start:end], match.entry.headword, found.lang)
        parts.append((start, end, cased))
        i = match.end
    return _join(text, parts)


def _join(text: str, parts: Sequence[Tuple[int, int, str]]) -> str:
    """A text with some parts replaced, and spaces between words where their scripts have them.

    parts (Sequence[Tuple[int, int, str]]): Start, end and replacement of each.
    """
    pieces: List[str] = []
    position = 0
    for start, end, translation in parts:
        kept = text[position:start]
        if not (pieces and kept == " " and _are_spaceless(pieces[-1], translation)):
            _append(pieces, kept)
        _append(pieces, translation)
        position = end
    _append(pieces, text[position:])
    return "".join(pieces)


def _append(pieces: List[str], piece: str) -> None:
    """Add a piece of a text, after a space where letters meet whose scripts have one."""
    if not piece:
        return
    last = pieces[-1] if pieces else ""
    if _is_letter(last[-1:]) and _is_letter(piece[:1]) and not _are_spaceless(last, piece):
        pieces.append(" ")
    pieces.append(piece)


def _are_spaceless(left: str, right: str) -> bool:
    return is_spaceless(left[-1:]) and is_spaceless(right[:1])


def _is_letter(char: str) -> bool:
    return char != "" and unicodedata.category(char)[0] in "LMN"
