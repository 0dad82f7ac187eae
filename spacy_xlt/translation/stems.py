"""Inflected words found among headwords by what they share, in languages without a lemmatizer."""

from bisect import bisect_left
from typing import Container, Iterable, Optional

# Letters that a word must share with a headword, and the share of the word that these must be. In
# French, Spanish, Portuguese and Russian the translation is that of the true dictionary form in
# five to eight of nine words.
MIN_LETTERS = 4
MIN_SHARE = 0.6
# Letters of a headword that may be missing: the ending of its own dictionary form.
MAX_ENDING = 2


class Stems:
    """Single headwords, by how they begin and end.

    headwords (Iterable[str]): Headwords in the spelling that words are looked up in.
    """

    def __init__(self, headwords: Iterable[str]):
        self._sorted = sorted(word for word in headwords if len(word) >= MIN_LETTERS)
        self._all: Container[str] = frozenset(self._sorted)

    def find(self, word: str) -> Optional[str]:
        """The headword that a word most likely is a form of; None if there is none.

        That is the longest one that the word begins or ends with: Kurmanji deryayê from derya,
        Swahili kisayansi from sayansi. If there is none, it is one that only lacks its own ending:
        French philosophiques from philosophie.
        """
        least = max(MIN_LETTERS, -int(-MIN_SHARE * len(word) // 1))
        for length in range(len(word) - 1, least - 1, -1):
            for part in (word[:length], word[-length:]):
                if part in self._all:
                    return part
        for length in range(len(word), least - 1, -1):
            found = self._with_other_ending(word[:length])
            if found is not None:
                return found
        return None

    def _with_other_ending(self, beginning: str) -> Optional[str]:
        """The shortest headword that has at most an ending after some letters."""
        found = []
        for i in range(bisect_left(self._sorted, beginning), len(self._sorted)):
            if not self._sorted[i].startswith(beginning):
                break
            if len(self._sorted[i]) <= len(beginning) + MAX_ENDING:
                found.append(self._sorted[i])
        return min(found, key=len, default=None)
