"""Which languages a classifier learns from, and which it is tuned to beside them."""

from typing import Iterable, List, Optional, Sequence, Set, Tuple

from spacy.training import Example

from ..languages import get_doc_language, standardize_language
from .starting import Started


def languages_of(examples: Iterable[Example]) -> Set[str]:
    """Standard tags of the languages of examples that are known."""
    return {get_doc_language(eg.reference) for eg in examples} - {""}


def labelled_languages(examples: Iterable[Example]) -> Set[str]:
    """The same of examples with labels: others are no source, and nothing is tuned to them."""
    return languages_of(eg for eg in examples if eg.reference.cats)


def choose_langs(
    examples: Sequence[Example], declared: Optional[List[str]], started: Optional[Started]
) -> Tuple[List[str], List[str]]:
    """Source languages, and the others of which labels were seen, as standard tags.

    examples (Sequence[Example]): Training examples.
    declared (Optional[List[str]]): Source languages of the config.
    started (Optional[Started]): What is started from; it has its own of both kinds.
    RAISES (ValueError): If a declared one is no language.
    """
    seen = labelled_languages(examples)
    if declared is not None:
        sources = [standardize_language(lang) for lang in declared]
    elif started is not None and started.train_langs:
        sources = started.train_langs
    else:
        sources = sorted(seen)
    tuned = seen.union([] if started is None else started.tuned_langs)
    return sources, sorted(tuned - {"", *sources})
