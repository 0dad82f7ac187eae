"""Settings of a second stage that fit the labels there are and how far the target is."""

from dataclasses import dataclass
from typing import Any, Dict, Sequence, Tuple

import numpy
from spacy.tokens import Doc

from ..components.textcat import XltTextCat
from ..words import word_spans

# Labelled target documents, of all languages together, from which the encoder is trained too.
MANY_DOCUMENTS = 1000
# From where a target is far. In our encoder and task French, Russian, Turkish and Thai are at a
# distance of 1.58 to 1.68, Amharic at 1.87 and Ewe at 2.56, with 1.06 to 1.32 pieces a word in the
# first three, 1.68 in Amharic and 1.77 in Ewe.
FAR_DISTANCE = 1.75
FAR_PIECES = 1.5
FAR_UNKNOWN = 0.05


@dataclass(frozen=True)
class Target:
    """What a second stage has to work with.

    n_documents (int): Labelled target documents, of all languages together.
    distance (float): How far a target text is from the nearest source text in the encoder that
        the stage starts from, as a multiple of how far source texts are from each other.
    pieces_per_word (float): Word pieces of a target word, as a multiple of those of a source word.
    unknown_share (float): Share of the target's pieces that the encoder cannot read.
    """

    n_documents: int
    distance: float
    pieces_per_word: float
    unknown_share: float


def measure_target(pipe: XltTextCat, source: Sequence[Doc], target: Sequence[Doc]) -> Target:
    """Look at the documents of a second stage through the classifier that it starts from.

    pipe (XltTextCat): The classifier.
    source (Sequence[Doc]): Documents of the source language; a few hundred will do.
    target (Sequence[Doc]): The labelled target documents.
    RAISES (ValueError): If there are not at least two source documents and one target document,
        or if the classifier shares its encoder with other components.
    """
    if len(source) < 2 or not target:
        raise ValueError(
            f"There are {len(source)} source documents and {len(target)} target documents; at "
            f"least 2 and 1 are needed to tell how far the target is."
        )
    source_vectors, target_vectors = (_directions(pipe, docs) for docs in (source, target))
    among_source = source_vectors @ source_vectors.T - 2.0 * numpy.eye(len(source))
    pieces, unknown = _pieces(pipe, target)
    source_pieces, _ = _pieces(pipe, source)
    return Target(
        n_documents=len(target),
        distance=_mean_distance(target_vectors @ source_vectors.T) / _mean_distance(among_source),
        pieces_per_word=pieces / max(source_pieces, 1e-6),
        unknown_share=unknown,
    )


def adapt_second_stage(target: Target, *, name: str = "textcat") -> Dict[str, Any]:
    """Overrides of `few_shot.cfg` that fit a target, by the names of a config's settings.

    With 8 labels per class, on SIB-200's dev sets, taking back half of what training did to the
    encoder brought 3.2 points in Amharic and 4.2 in Ewe, where the trained encoder's vectors
    brought -0.2 and 3.4; in French it cost 2.9 instead of 0.8 (heads with `refit_head`). So near
    targets keep the trained encoder. The number of labels per class needs no setting: the
    penalty of `probe_strength` counts less, the more labels there are. From a thousand documents
    the encoder is trained too: in intents, 7,000 documents of 48 languages brought 27 points.

    target (Target): What there is.
    name (str): The component.
    RETURNS (Dict[str, Any]): Empty where the config is right as it is.
    """
    settings: Dict[str, Any] = {}
    if not is_far(target):
        settings[f"initialize.components.{name}.untouched_share"] = 0.0
    if target.n_documents >= MANY_DOCUMENTS:
        settings[f"components.{name}.model.freeze"] = "half"
        settings["initialize.after_init.epochs"] = 5
    return settings


def is_far(target: Target) -> bool:
    """Whether the encoder knows so little of a target that training on the source cost it there."""
    return (
        target.distance >= FAR_DISTANCE
        or target.pieces_per_word >= FAR_PIECES
        or target.unknown_share >= FAR_UNKNOWN
    )


def _pieces(pipe: XltTextCat, docs: Sequence[Doc]) -> Tuple[float, float]:
    """Word pieces of a word, and the share of them that the encoder cannot read."""
    texts = [doc.text for doc in docs]
    counts = pipe.count_pieces(texts)
    n_pieces = sum(n for n, _ in counts)
    n_words = sum(len(word_spans(text)) for text in texts)
    return n_pieces / max(n_words, 1), sum(n for _, n in counts) / max(n_pieces, 1)


def _directions(pipe: XltTextCat, docs: Sequence[Doc]) -> numpy.ndarray:
    vectors = numpy.asarray(pipe.embed(docs), dtype=numpy.float64)
    return vectors / numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _mean_distance(cosines: numpy.ndarray) -> float:
    """Mean over rows of how far the nearest column is, as a cosine distance."""
    return max(float(1.0 - cosines.max(axis=1).mean()), 1e-6)
