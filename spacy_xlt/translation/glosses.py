"""Lexicons into a classifier's language, to read foreign texts word by word."""

from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from ..languages import standardize_language
from .freedict import Pair
from .lexicon import WordLexicon, read_direction
from .lexicon_files import find_lexicons, languages_of_name

# What looks up dictionary forms, as packages of pipelines name it.
REQUIREMENT = "simplemma>=1.0"


def read_glosses(
    path: Path, to_lang: str, *, from_langs: Optional[Sequence[str]] = None
) -> List[WordLexicon]:
    """Lexicons from other languages into one, by whichever direction they are written in.

    Those that go into the language come first; those from it are turned round and complete them.

    path (Path): A directory of lexicons named like en-de.tsv, or one such file.
    to_lang (str): The language to read texts in.
    from_langs (Optional[Sequence[str]]): Languages to read; None is all that there are lexicons of.
    RETURNS (List[WordLexicon]): One for each language, in the order of their tags.
    RAISES (ValueError): If a language has none, there are none at all, or one cannot be read.
    """
    to_lang = standardize_language(to_lang)
    wanted = None if from_langs is None else {standardize_language(lang) for lang in from_langs}
    pairs: Dict[str, List[Pair]] = {}
    named = _find(path)
    for is_back in (False, True):
        for file, langs in named.items():
            from_lang, into = langs[::-1] if is_back else langs
            if into != to_lang or from_lang == to_lang or from_lang not in (wanted or {from_lang}):
                continue
            pairs.setdefault(from_lang, []).extend(read_direction(file, (from_lang, into)))
    lacking = (wanted or set()) - set(pairs)
    if lacking or not pairs:
        found = ", ".join("-".join(langs) for langs in named.values())
        raise ValueError(
            f"'{path}' has no lexicon between '{to_lang}' and "
            f"{', '.join(sorted(lacking)) or 'any other language'}. It has: {found or 'none'}. Add "
            f"one, named like sw-{to_lang}.tsv, or choose other languages."
        )
    return [make_gloss_lexicon(pairs[lang], lang, to_lang) for lang in sorted(pairs)]


def make_gloss_lexicon(pairs: Sequence[Pair], from_lang: str, to_lang: str) -> WordLexicon:
    """The lexicon that looks words up in every way there is, and keeps one translation of each."""
    return WordLexicon(
        pairs, from_lang=from_lang, to_lang=to_lang, lemmas=True, stems=True, max_translations=1
    )


def _find(path: Path) -> Dict[Path, Tuple[str, str]]:
    """Files and the languages that their names tell."""
    if path.is_dir():
        return find_lexicons(path)
    langs = languages_of_name(path)
    return {} if langs is None else {path: langs}
