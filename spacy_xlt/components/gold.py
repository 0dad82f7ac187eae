"""What examples say about labels, as arrays."""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Union

import numpy
from spacy.training import Example

Rows = Union[Sequence[int], numpy.ndarray]


@dataclass(frozen=True)
class Gold:
    """Gold labels of a batch.

    targets (numpy.ndarray): Probabilities. Shape: (n_docs, n_labels)
    known (numpy.ndarray): 1 where the probability is known, else 0. Shape: (n_docs, n_labels)
    weights (numpy.ndarray): What each document counts; 0 without gold labels. Shape: (n_docs,)
    """

    targets: numpy.ndarray
    known: numpy.ndarray
    weights: numpy.ndarray

    def select(self, rows: Rows) -> "Gold":
        return Gold(self.targets[rows], self.known[rows], self.weights[rows])


@dataclass(frozen=True)
class Labelled:
    """Texts with labels.

    langs (List[str]): Standard tags of their languages; "" for an unknown one.
    """

    texts: List[str]
    gold: Gold
    langs: List[str]

    def select(self, rows: Rows) -> "Labelled":
        texts, langs = ([values[i] for i in rows] for values in (self.texts, self.langs))
        return Labelled(texts, self.gold.select(rows), langs)


def read_gold(
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    exclusive: bool,
    class_weights: Mapping[str, float],
) -> Gold:
    """Read gold probabilities, which of them are known, and weights.

    A label that a document's `cats` lack is unknown, so data sets that share only some labels
    can be mixed. The one exception: if labels exclude each other and a document names nothing
    but a label that is certain, the others are known to be 0.

    examples (Sequence[Example]): The batch; `reference.cats` and `reference._.xlt_weight` count.
    labels (Sequence[str]): The component's labels; others are ignored.
    exclusive (bool): Whether labels exclude each other.
    class_weights (Mapping[str, float]): Factor per label; 1 for labels not named. A document
        with several labels gets the mean over its gold probabilities.
    RETURNS (Gold): The arrays.
    RAISES (ValueError): If a probability is outside 0 to 1 or a weight is negative or not
        finite.
    """
    index = {label: i for i, label in enumerate(labels)}
    shape = (len(examples), len(labels))
    targets = numpy.zeros(shape, dtype="f")
    known = numpy.zeros(shape, dtype="f")
    weights = numpy.zeros(len(examples), dtype="f")
    factors = numpy.asarray([class_weights.get(label, 1.0) for label in labels], dtype="f")
    for row, eg in enumerate(examples):
        cats = {label: value for label, value in eg.reference.cats.items() if label in index}
        for label, value in cats.items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(
                    f"Label '{label}' has the value {value} in a document that starts with "
                    f"'{eg.reference.text[:50]}'. Allowed are probabilities from 0 to 1."
                )
            targets[row, index[label]] = value
            known[row, index[label]] = 1.0
        if exclusive and list(cats.values()) == [1.0]:
            known[row] = 1.0
        weights[row] = _example_weight(eg) if cats else 0.0
        mass = targets[row].sum()
        if mass > 0.0:
            weights[row] *= (targets[row] * factors).sum() / mass
    return Gold(targets, known, weights)


def count_labels(examples: Sequence[Example]) -> Dict[str, int]:
    """Documents per label that have it with more than zero; labels never true count 0."""
    counts: Dict[str, int] = {}
    for eg in examples:
        for label, value in eg.reference.cats.items():
            counts[label] = counts.get(label, 0) + int(value > 0.0)
    return counts


def _example_weight(eg: Example) -> float:
    weight = float(eg.reference._.xlt_weight)
    if not 0.0 <= weight < float("inf"):
        raise ValueError(
            f"`doc._.xlt_weight` is {weight} in a document that starts with "
            f"'{eg.reference.text[:50]}'. Allowed is any number from 0."
        )
    return weight
