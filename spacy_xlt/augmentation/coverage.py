"""How much of a corpus a lexicon knows, and when that should worry its user."""

from collections import Counter
from dataclasses import dataclass
from typing import Iterable, Sequence

from ..languages import language_name
from ..substitution import Words, find_match
from ..types import Lexicon

# Below it a lexicon does nothing, or is of other languages than it says.
MIN_SHARE = 0.01
# The other way round a lexicon knows so many times more words, if its direction is wrong.
WRONG_DIRECTION = 5
# Fewer words than this that the other way round knows may be names that both languages have.
MIN_FOUND = 5


@dataclass(frozen=True)
class Coverage:
    """How much of some texts a lexicon knows.

    n_words (int): Words of the texts; in scripts without spaces their characters.
    n_found (int): Those of them that are in the lexicon, alone or as part of a phrase.
    lacking (Counter): How often each of the others stands there, in lower case.
    """

    n_words: int
    n_found: int
    lacking: Counter

    @property
    def share(self) -> float:
        """Of the words those in the lexicon, in [0, 1]."""
        return self.n_found / max(self.n_words, 1)


@dataclass(frozen=True)
class Judgement:
    """What to think of a lexicon.

    coverage (Coverage): How much it knows.
    worry (str): What should worry its user; "" for nothing.
    is_reversed (bool): Whether it is of the other direction, so that it must not be used.
    """

    coverage: Coverage
    worry: str
    is_reversed: bool


def measure_coverage(lexicon: Lexicon, texts: Iterable[str]) -> Coverage:
    """Count the words of texts that a lexicon knows."""
    n_words = 0
    lacking: Counter = Counter()
    for text in texts:
        words = Words(text)
        n_words += len(words)
        i = 0
        while i < len(words):
            match = find_match(words, i, lexicon)
            if match is None:
                start, end = words.span(i, i + 1)
                lacking[text[start:end].lower()] += 1
            i = i + 1 if match is None else match.end
    return Coverage(n_words, n_words - lacking.total(), lacking)


def judge_lexicon(lexicon: Lexicon, texts: Sequence[str]) -> Judgement:
    """Measure how much of some texts a lexicon knows, and say if that is too little."""
    coverage = measure_coverage(lexicon, texts)
    if coverage.share >= 1.0 / WRONG_DIRECTION:
        return Judgement(coverage, "", False)
    inverse = measure_coverage(lexicon.inverted(), texts)
    name = (
        f"The lexicon from {language_name(lexicon.from_lang)} into "
        f"{language_name(lexicon.to_lang)} knows {coverage.n_found:,} of the "
        f"{coverage.n_words:,} words looked at ({100 * coverage.share:.1f} %)"
    )
    is_known = inverse.n_found >= MIN_FOUND and inverse.share >= MIN_SHARE
    if is_known and inverse.share > WRONG_DIRECTION * coverage.share:
        worry = (
            f"{name}, but {inverse.n_found:,} ({100 * inverse.share:.1f} %) stand among its "
            f"translations: it is in the wrong direction. Turn it round with: python -m spacy xlt "
            f"lexicon convert OLD/NAME.tsv NEW/NAME.tsv --invert"
        )
        return Judgement(coverage, worry, True)
    if coverage.share < MIN_SHARE:
        worry = (
            f"{name}, less than {100 * MIN_SHARE:.0f} %, so it changes hardly any text. Check "
            f"that it is of the texts' language, or leave it out."
        )
        return Judgement(coverage, worry, False)
    return Judgement(coverage, "", False)
