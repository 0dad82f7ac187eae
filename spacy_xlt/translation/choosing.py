"""Translators by a short name, as commands take them, and which of them can be used here."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from ..compat import EXTRAS
from ..languages import language_name
from ..types import Translator
from .apertium import INSTALL, ApertiumTranslator, installed_directions
from .cache import CachedTranslator
from .lexicon import create_lexicon_v1
from .lexicon_files import find_lexicons
from .neural import create_ctranslate2_translator_v1, create_transformers_translator_v1
from .translators import LexiconTranslator, chain_translators

APERTIUM = "apertium"
_DIRECTION = re.compile(r"[a-z]{2,3}-[a-z]{2,3}(_[A-Za-z]+)?")
SPELLINGS = (
    "apertium, a direction of it such as eng-spa, lexicon:PATH, model:DIRECTORY, "
    "ctranslate2:DIRECTORY, and several of them with commas"
)


class Available(NamedTuple):
    """A kind of translator, and what is there of it."""

    spelling: str
    meaning: str
    state: str


def make_translator(
    spelling: str, from_lang: str, to_lang: str, *, cache: Optional[Path] = None
) -> Translator:
    """The translator that a short name stands for.

    spelling (str): One of `SPELLINGS`. With commas between them they make a chain, and all but
        the last must say by themselves what they translate into.
    from_lang (str): Standard tag of the texts' language.
    to_lang (str): Standard tag of the translations' language.
    cache (Optional[Path]): File where each step keeps what it makes.
    RAISES (ValueError): If there is no such translator, or it is of other languages.
    RAISES (ImportError): If what it needs is not installed.
    """
    names = [name.strip() for name in spelling.split(",")]
    steps: List[Translator] = []
    for name in names:
        start = steps[-1].to_lang if steps else from_lang
        steps += _make_steps(name, start, to_lang if name is names[-1] else None)
    if cache is not None:
        steps = [CachedTranslator(step, cache) for step in steps]
    translator = chain_translators(steps)
    if (translator.from_lang, translator.to_lang) != (from_lang, to_lang):
        raise ValueError(
            f"'{spelling}' translates from '{translator.from_lang}' into '{translator.to_lang}'; "
            f"needed is a translator from '{from_lang}' into '{to_lang}'."
        )
    return translator


def list_translators() -> List[Available]:
    """Every kind of translator, and whether it can be used here."""
    try:
        directions = ", ".join(installed_directions()) or f"no language pair: {INSTALL}"
    except ImportError:
        directions = f"not installed: {INSTALL}"
    return [
        Available("apertium, eng-spa, eng-spa,es-pt", "Apertium, also over a pivot", directions),
        Available("lexicon:PATH", "word by word; a lexicon or a directory of them", "built in"),
        Available("model:DIRECTORY", "Marian, M2M100 or NLLB", _state("sentencepiece")),
        Available("ctranslate2:DIRECTORY", "the same, converted", _state("ctranslate2")),
    ]


def _state(module: str) -> str:
    if find_spec(module) is not None:
        return "installed"
    return f"not installed: pip install 'spacy-xlt[{EXTRAS[module]}]'"


def _make_steps(name: str, from_lang: str, to_lang: Optional[str]) -> List[Translator]:
    """The steps that one name of a chain stands for.

    to_lang (Optional[str]): Language to translate into; None is what the name itself says.
    """
    if _DIRECTION.fullmatch(name):
        return [ApertiumTranslator(name)]
    kind, _, place = name.partition(":")
    if kind == APERTIUM and place:
        return [ApertiumTranslator(place)]
    if kind not in _MAKERS or (kind != APERTIUM and not place):
        raise ValueError(f"'{name}' is no translator. Allowed are {SPELLINGS}.")
    if to_lang is None and (kind != "lexicon" or Path(place).is_dir()):
        raise ValueError(
            f"'{name}' is followed by another translator, so it must say what it translates into: "
            f"give a direction such as eng-spa, or a lexicon named like en-es.tsv."
        )
    return _MAKERS[kind](place, from_lang, to_lang or "")


def _make_apertium(place: str, from_lang: str, to_lang: str) -> List[Translator]:
    """The installed direction between two languages, or two over a third one."""
    directions = installed_directions()
    route = _find_route(directions, from_lang, to_lang)
    if not route:
        raise ValueError(
            f"Apertium has no direction from {language_name(from_lang)} into "
            f"{language_name(to_lang)} installed, and none over a third language. Installed are: "
            f"{', '.join(directions) or 'none'}. Others are packages such as apertium-eng-spa: "
            f"{INSTALL}"
        )
    return [ApertiumTranslator(name) for name in route]


def _find_route(directions: Dict[str, Tuple[str, str]], from_lang: str, to_lang: str) -> List[str]:
    """The direction between two languages, else two that meet; none if there is no way."""
    for name, langs in directions.items():
        if langs == (from_lang, to_lang):
            return [name]
    for first, (start, pivot) in directions.items():
        for second, langs in directions.items():
            if start == from_lang and langs == (pivot, to_lang):
                return [first, second]
    return []


def _make_lexicon(place: str, from_lang: str, to_lang: str) -> List[Translator]:
    """That of a file; of a directory that between two languages."""
    path = Path(place)
    if path.is_dir():
        named = find_lexicons(path)
        found = [file for file, langs in named.items() if langs == (from_lang, to_lang)]
        if not found:
            has = ", ".join("-".join(langs) for langs in named.values())
            raise ValueError(
                f"'{path}' has no lexicon from '{from_lang}' into '{to_lang}'. It has: {has}."
            )
        path = found[0]
    return [LexiconTranslator(create_lexicon_v1(path=path))]


_MAKERS: Dict[str, Callable[[str, str, str], List[Translator]]] = {
    APERTIUM: _make_apertium,
    "lexicon": _make_lexicon,
    "model": lambda place, from_lang, to_lang: [
        create_transformers_translator_v1(path=place, from_lang=from_lang, to_lang=to_lang)
    ],
    "ctranslate2": lambda place, from_lang, to_lang: [
        create_ctranslate2_translator_v1(path=place, from_lang=from_lang, to_lang=to_lang)
    ],
}
