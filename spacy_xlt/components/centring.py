"""Reads the texts that tell where the languages of an encoder have their centres."""

import warnings
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Tuple

from spacy.training import Example

from ..corpora.reader import read_rows
from ..languages import get_doc_language

# Languages with fewer texts have no centre: the mean of few texts is what they are about. On
# SIB-200 10 texts brought most of what 350 did.
MIN_TEXTS = 10
# Texts of a language that are read, evenly over the corpus.
MAX_TEXTS = 500


def read_languages(path: Path, examples: Sequence[Example], *, name: str) -> Dict[str, List[str]]:
    """Texts by language: those of a corpus, and those of training examples.

    path (Path): Texts with a language each; labels do not count.
    examples (Sequence[Example]): Their languages have a centre however few they are, and those
        without a language are taken to be in one.
    name (str): How messages call the component.
    RAISES (ValueError): If texts of the corpus have no language, or no language of it has texts
        enough.
    """
    found = _group((row.lang, row.text) for row in read_rows(path))
    if "" in found:
        raise ValueError(
            f"{len(found['']):,} texts of '{path}', which is centre_texts of '{name}', have no "
            f"language, so they belong to no centre. Tell the languages when the corpus is made: "
            f"python -m spacy xlt data import."
        )
    trained = _group((get_doc_language(eg.reference), eg.reference.text) for eg in examples)
    others = {lang: texts for lang, texts in found.items() if lang not in trained}
    few = {lang: len(texts) for lang, texts in others.items() if len(texts) < MIN_TEXTS}
    counts = ", ".join(f"{lang} {n}" for lang, n in few.items())
    if len(few) == len(others):
        raise ValueError(
            f"No language of '{path}', which is centre_texts of '{name}', but those trained on has "
            f"{MIN_TEXTS} texts or more. Texts in others: {counts or 'none'}. Give more, or set "
            f"centre_texts to null."
        )
    if few:
        warnings.warn(
            f"'{name}' knows no centre of languages with fewer than {MIN_TEXTS} texts in "
            f"'{path}': {counts}. Give more texts in them.",
            stacklevel=3,
        )
    langs = sorted((set(found) | set(trained)) - set(few))
    return {lang: _thin_out([*found.get(lang, []), *trained.get(lang, [])]) for lang in langs}


def _group(pairs: Iterable[Tuple[str, str]]) -> Dict[str, List[str]]:
    """Texts by language, each once; empty ones say nothing.

    pairs (Iterable[Tuple[str, str]]): Languages and texts.
    """
    found: Dict[str, Dict[str, None]] = {}
    for lang, text in pairs:
        if text.strip():
            found.setdefault(lang, {})[text] = None
    return {lang: list(texts) for lang, texts in sorted(found.items())}


def _thin_out(texts: List[str]) -> List[str]:
    n = min(len(texts), MAX_TEXTS)
    return [texts[i * len(texts) // n] for i in range(n)]
