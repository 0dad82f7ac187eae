"""Several data sets as one training corpus: what each counts, and which labels each knows."""

import math
import warnings
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Set

from spacy.language import Language
from spacy.training import Example

from ..languages import get_doc_language, language_name
from .layout import standard_language

Reader = Callable[[Language], Iterable[Example]]
# Labels that are named in a warning, of each data set.
MAX_LISTED = 8


def create_joint_corpus_v1(
    *,
    corpora: Dict[str, Any],  # readers, which a config that is being filled has as blocks
    weights: Optional[Dict[str, float]] = None,
    lang_weights: Optional[Dict[str, float]] = None,
) -> Callable[[Language], Iterable[Example]]:
    """Create a reader of several data sets, one after the other.

    A label that a data set does not know is unknown in its documents, so the loss masks it there.

    corpora (Dict[str, Callable]): A reader for each data set, under a name for it.
    weights (Optional[Dict[str, float]]): What the documents of a data set count in training, by
        its name; 1.0 for data sets that are not named, 0 leaves one out.
    lang_weights (Optional[Dict[str, float]]): The same by language, on top of it.
    RETURNS (Callable[[Language], Iterable[Example]]): The reader.
    RAISES (ValueError): If there is no data set, or a weight is out of range or of none of them.
    """
    return JointCorpus(corpora, weights=weights or {}, lang_weights=lang_weights or {})


class JointCorpus:
    """Reads data sets on each call, in the order of the config; see `create_joint_corpus_v1`."""

    def __init__(
        self,
        corpora: Mapping[str, Reader],
        *,
        weights: Mapping[str, float],
        lang_weights: Mapping[str, float],
    ):
        if not corpora or not all(map(callable, corpora.values())):
            raise ValueError(
                "A joint corpus needs data sets, each with a reader. Add a block with a name and "
                "'@readers = \"spacy_xlt.Corpus.v1\"' to `corpora` of the reader in the config."
            )
        unknown = sorted(set(weights) - set(corpora))
        if unknown:
            raise ValueError(
                f"weights name {unknown}, but the data sets are {list(corpora)}. Correct them in "
                f"the block `weights` of the reader."
            )
        for name, value in [*weights.items(), *lang_weights.items()]:
            if not 0.0 <= value < math.inf:
                raise ValueError(f"The weight of '{name}' is {value}; allowed is any from 0.")
        self.corpora = dict(corpora)
        self.weights = dict(weights)
        self.lang_weights = {standard_language(k): value for k, value in lang_weights.items()}
        self._has_warned = False

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the data sets.

        YIELDS (Example): With the weight of its data set and language in `doc._.xlt_weight`.
        RAISES (ValueError): If a weight is of a language that no data set has, or all are 0.
        """
        examples = {name: list(reader(nlp)) for name, reader in self.corpora.items()}
        self._check_langs(examples)
        counted = {name: list(self._weigh(name, found)) for name, found in examples.items()}
        if not any(counted.values()):
            raise ValueError(
                f"No document is left to train on: the data sets {list(self.corpora)} are empty, "
                f"or the weights of their documents are 0."
            )
        if not self._has_warned:
            self._has_warned = True
            warn_of_label_sets({n: known_labels(found) for n, found in counted.items() if found})
        for found in counted.values():
            yield from found

    def _check_langs(self, examples: Mapping[str, List[Example]]) -> None:
        langs = {get_doc_language(eg.reference) for found in examples.values() for eg in found}
        unknown = sorted(set(self.lang_weights) - langs)
        if unknown:
            names = ", ".join(f"{lang} ({language_name(lang)})" for lang in unknown)
            present = ", ".join(lang or "none recorded" for lang in sorted(langs))
            raise ValueError(
                f"lang_weights name {names}, but no document is in it. Languages of the data "
                f"sets: {present}."
            )

    def _weigh(self, name: str, examples: Iterable[Example]) -> Iterator[Example]:
        """Examples of a data set with their weights, without those that count nothing."""
        for example in examples:
            lang = get_doc_language(example.reference)
            factor = self.weights.get(name, 1.0) * self.lang_weights.get(lang, 1.0)
            if factor == 1.0:
                yield example
            elif factor > 0.0:
                # A copy, since a reader may keep its examples and give them again.
                reference = example.reference.copy()
                reference._.xlt_weight *= factor
                yield Example(example.predicted, reference)


def known_labels(examples: Iterable[Example]) -> Set[str]:
    """Labels that at least one document says something about."""
    return {label for eg in examples for label in eg.reference.cats}


def warn_of_label_sets(known: Mapping[str, Set[str]]) -> None:
    """Say which data set lacks which labels, and which data sets have nothing in common.

    known (Mapping[str, Set[str]]): Labels by data set; one without any is unlabelled.
    """
    labelled = {name: labels for name, labels in known.items() if labels}
    all_labels = set().union(*labelled.values())
    lines = [
        f"'{name}' lacks {_list(all_labels - labels)}"
        for name, labels in labelled.items()
        if labels != all_labels
    ]
    if not lines:
        return
    message = (
        f"The data sets do not know the same labels: {'; '.join(lines)}. A document takes part in "
        f"training with the labels of its data set only."
    )
    groups = _connect(labelled)
    if len(groups) > 1:
        parts = " and ".join(_list(names) for names in groups)
        message += (
            f" No label is known in both {parts}, so the labels of one are never told from those "
            f"of the other. If some mean the same, give them one name with a label map: "
            f"python -m spacy xlt data import SOURCE OUT --label-map MAP"
        )
    warnings.warn(message, stacklevel=2)


def _connect(known: Mapping[str, Set[str]]) -> List[Set[str]]:
    """Names of data sets in groups that share labels, be it by way of other data sets."""
    groups: List[Set[str]] = []
    labels: List[Set[str]] = []
    for name, own in known.items():
        names, merged = {name}, set(own)
        for i in reversed([i for i, others in enumerate(labels) if others & own]):
            names |= groups.pop(i)
            merged |= labels.pop(i)
        groups.append(names)
        labels.append(merged)
    return groups


def _list(names: Set[str]) -> str:
    shown = [repr(name) for name in sorted(names)[:MAX_LISTED]]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
