"""Weights that give the documents of a corpus another mix of labels."""

from collections import Counter
from typing import Dict, Iterable, List, Mapping, Optional, Sequence

from .sampling import Candidate, label_groups


def weigh_labels(
    documents: Sequence[Candidate], wanted: Optional[Mapping[str, float]] = None
) -> List[float]:
    """What each document has to count for labels to have the shares that are wanted.

    Weights rather than a draw: the loss is the same on average, no document is left out or read
    twice, and batches need not know. Languages are weighed one by one, so that what they count
    beside each other stays.

    documents (Sequence[Candidate]): The documents.
    wanted (Optional[Mapping[str, float]]): How frequent labels are to be, on any scale; None for
        all the same. Labels that it lacks keep their share.
    RETURNS (List[float]): A weight for each document, 1 on average over each language. One with
        several labels gets the mean of what they ask for.
    """
    by_lang: Dict[str, List[int]] = {}
    for i, document in enumerate(documents):
        by_lang.setdefault(document.lang, []).append(i)
    weights = [1.0] * len(documents)
    for members in by_lang.values():
        own = count_groups(documents[i] for i in members)
        goal = dict.fromkeys(own, 1.0) if wanted is None else wanted
        known = [label for label in own if goal.get(label, 0.0) > 0.0]
        if not known:
            continue
        scale = sum(own[label] for label in known) / sum(goal[label] for label in known)
        factors = {label: goal[label] * scale / own[label] for label in known}
        raw = [_mean([factors.get(x, 1.0) for x in label_groups(documents[i])]) for i in members]
        for i, weight in zip(members, raw, strict=True):
            weights[i] = weight / _mean(raw)
    return weights


def count_groups(documents: Iterable[Candidate]) -> Counter:
    """Documents by label; those on which no label holds are a group of their own."""
    return Counter(label for document in documents for label in label_groups(document))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
