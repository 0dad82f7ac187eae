"""Evidence on which a decision should hardly rest: URLs, e-mail addresses, numbers, names."""

from typing import Literal, Optional, Sequence

from spacy.lang.lex_attrs import like_email, like_num, like_url

from .words import Span

DoubtKind = Literal["url", "email", "number", "name"]

# Languages that write all nouns with a capital letter.
NOUNS_IN_CAPITALS = ("de", "lb", "gsw", "bar", "nds", "ksh", "pfl")
# Of so many words with a capital letter inside a sentence, names are rarely more than this share
# of all words there; headlines and languages as above are known by it.
MANY_CAPITALS = 4
SHARE_OF_NAMES = 1 / 3
SENTENCE_ENDS = ".!?…։؟።॥।:;¿¡"
_OPENING = "\"'“”„«»‹›‘’([{-–—*•"


def find_doubt(text: str, word: Span, *, names: bool) -> Optional[DoubtKind]:
    """What speaks against a word as evidence, if something does.

    A number has at least as many digits as letters. A name is a word with a capital letter that
    does not start a sentence: without a model for each language nothing better is known, so
    scripts without capitals have no names, and the first word of a sentence is none.

    text (str): The whole text.
    word (Span): Characters of the word.
    names (bool): Whether capital letters mean names here; see `capitals_mean_names`.
    """
    found = text[word[0] : word[1]]
    if like_url(found):
        return "url"
    if like_email(found):
        return "email"
    n_digits = sum(character.isdigit() for character in found)
    if like_num(found) or (n_digits and n_digits >= sum(map(str.isalpha, found))):
        return "number"
    if names and _has_capital(found) and not _starts_sentence(text, word[0]):
        return "name"
    return None


def capitals_mean_names(text: str, words: Sequence[Span], lang: str) -> bool:
    """Whether capital letters inside the sentences of a text mark names.

    They do not in German and its kin, nor in headlines that capitalise most words.

    lang (str): Standard tag of the text's language, "" if unknown.
    """
    if lang.split("-")[0] in NOUNS_IN_CAPITALS:
        return False
    inside = [text[a:b] for a, b in words if text[a].isalpha() and not _starts_sentence(text, a)]
    n_capitals = sum(map(_has_capital, inside))
    return n_capitals < MANY_CAPITALS or n_capitals <= SHARE_OF_NAMES * len(inside)


def _has_capital(word: str) -> bool:
    """Whether a word of at least two letters has one that is a capital."""
    return sum(map(str.isalpha, word)) > 1 and any(c.isupper() or c.istitle() for c in word)


def _starts_sentence(text: str, start: int) -> bool:
    before = text[:start].rstrip().rstrip(_OPENING).rstrip()
    return not before or before[-1] in SENTENCE_ENDS
