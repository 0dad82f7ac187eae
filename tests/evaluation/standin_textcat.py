"""A text classifier whose answers stand in the text: `A` scores 0.9 for A, `B:0.3` 0.3 for B.

`NAN` makes all scores NaN, `NONE` leaves the Doc without scores. Also read with `--code`.
"""

from typing import List, Optional

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.util import minibatch


class StandIn(Pipe):
    def __init__(self, name, labels, train_langs, tuned_langs, exclusive, threshold, scorer):
        self.name, self.scorer = name, scorer
        self.cfg = {
            "labels": labels,
            "threshold": threshold,
            "positive_label": None,
            "train_langs": train_langs,
            "tuned_langs": tuned_langs,
            "exclusive": exclusive,
        }

    @property
    def labels(self):
        return tuple(self.cfg["labels"])

    def __call__(self, doc):
        words = doc.text.split()
        if "NONE" in words:
            return doc
        scores = dict.fromkeys(self.labels, 0.1)
        for word in words:
            label, _, score = word.partition(":")
            if label in scores:
                scores[label] = float(score or 0.9)
            if label == "NAN":
                scores = dict.fromkeys(self.labels, float("nan"))
        doc.cats.update(scores)
        return doc

    def pipe(self, stream, *, batch_size=128):
        """In real batches, as a component with a model."""
        for docs in minibatch(stream, batch_size):
            yield from [self(doc) for doc in docs]

    def to_disk(self, path, *, exclude=()):
        """All of it is in the config."""

    def from_disk(self, path, *, exclude=()):
        return self


CONFIG = {
    "labels": ["A", "B"],
    "train_langs": ["en"],
    "tuned_langs": [],
    "threshold": 0.5,
    "scorer": {"@scorers": "spacy_xlt.textcat_by_language.v1"},
}


def make_factory(exclusive):
    def make_standin(
        nlp,
        name,
        labels: List[str],
        train_langs: List[str],
        tuned_langs: List[str],
        threshold: Optional[float],
        scorer,
    ):
        return StandIn(name, labels, train_langs, tuned_langs, exclusive, threshold, scorer)

    return make_standin


for name, exclusive in (("standin_textcat", True), ("standin_textcat_multilabel", False)):
    Language.factory(
        name, assigns=["doc.cats"], default_config=CONFIG, func=make_factory(exclusive)
    )
