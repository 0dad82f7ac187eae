"""The words of a text in any script: what an explanation gives weights to."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from typing import Iterator, List, Sequence

from ..words import SPACELESS, Span

# What stands between white space; Ethiopic also has a mark of its own for that.
_RUN = re.compile(r"[^\s\u1361]+")
# A run of Katakana is taken for a word.
_UNSPACED = re.compile(f"[{SPACELESS}]+")
_JOINERS = "\u200c\u200d"


def find_words(text: str, pieces: Sequence[Span]) -> List[Span]:
    """Where the words of a text stand, from first to last.

    A word is what stands between white space, without the punctuation around it; in scripts
    without spaces it is a word piece, widened to characters as people see them. Punctuation alone
    is no word, but symbols (such as emoji) are.

    text (str): The text.
    pieces (Sequence[Span]): Its word pieces.
    """
    cuts = sorted({place for piece in pieces for place in piece})
    words = []
    for run in _RUN.finditer(text):
        for start, end in _split_run(text, run.start(), run.end(), cuts):
            while start < end and _is_around_words(text[start]):
                start += 1
            while start < end and _is_around_words(text[end - 1]):
                end -= 1
            if start < end:
                words.append((start, end))
    return words


def word_of_pieces(text: str, words: Sequence[Span], pieces: Sequence[Span]) -> List[int]:
    """Index of the first word that each word piece has a character of, or has the white space
    before; -1 where there is none."""
    ends = [end for _, end in words]
    found = []
    for start, end in pieces:
        is_space = text[start:end].isspace()
        i = bisect_right(ends, start)
        found.append(i if i < len(words) and words[i][0] < end + is_space else -1)
    return found


def without(text: str, words: Sequence[Span]) -> str:
    """A text with words deleted, and with each one of the spaces around it."""
    kept, last = "", 0
    for start, end in sorted(words):
        kept += text[last:start]
        if end == len(text) or text[end].isspace():
            kept = kept.removesuffix(" ")
        last = end
    kept += text[last:]
    return kept if text.startswith(" ") else kept.removeprefix(" ")


def _split_run(text: str, start: int, end: int, cuts: Sequence[int]) -> Iterator[Span]:
    """Parts of what stands between white space; only scripts without spaces have several."""
    last = start
    for part in _UNSPACED.finditer(text, start, end):
        if last < part.start():
            yield last, part.start()
        last = part.start()
        for cut in cuts[bisect_right(cuts, last) : bisect_left(cuts, part.end())]:
            if not _continues(text, cut):
                yield last, cut
                last = cut
        yield last, part.end()
        last = part.end()
    if last < end:
        yield last, end


def _is_around_words(character: str) -> bool:
    """Whether a character is punctuation, white space or a control."""
    return unicodedata.category(character)[0] in "PZC"


def _continues(text: str, place: int) -> bool:
    """Whether the character there is seen as part of the one before it."""
    return (
        unicodedata.category(text[place])[0] == "M"
        or text[place] in _JOINERS
        or text[place - 1] in _JOINERS
    )
