"""Which word pieces of a text made a classifier's decision: integrated gradients."""

from dataclasses import dataclass
from typing import List, Sequence, Union

import numpy
import torch
from torch import Tensor
from torch.nn import functional as F

from ..compat import require
from .classifier import TextClassifier
from .dropout import Dropout
from .text_reader import TextReader


@dataclass(frozen=True)
class PieceAttribution:
    """What the word pieces of a text add to a score.

    offsets (numpy.ndarray): Characters of each piece, from and up to. Shape: (n_pieces, 2)
    weights (numpy.ndarray): What each piece adds; their sum is `total`, but for the error of the
        integral. Shape: (n_pieces,)
    total (float): Score of the text minus that of as many blank pieces.
    """

    offsets: numpy.ndarray
    weights: numpy.ndarray
    total: float

    def blend(self, added: numpy.ndarray, share: float) -> "PieceAttribution":
        """The same with what single characters add, each to the first piece that has it.

        added (numpy.ndarray): Shape: (n_characters,)
        share (float): What they count, in [0, 1].
        """
        owners = numpy.full(len(added), -1)
        for piece, (start, end) in reversed(list(enumerate(self.offsets))):
            owners[start:end] = piece
        is_owned = owners >= 0
        of_pieces = numpy.bincount(
            owners[is_owned], weights=added[is_owned], minlength=len(self.weights)
        )
        weights = (1.0 - share) * self.weights + share * of_pieces
        total = (1.0 - share) * self.total + share * float(of_pieces.sum())
        return PieceAttribution(self.offsets, weights.astype("f"), total)


class PathToText:
    """Scores along the straight line from as many blank pieces to those of a text.

    Special pieces and the prefix stay as they are along the line, so they get no weight.

    classifier (TextClassifier): The classifier, with an encoder and without dropout.
    ids (numpy.ndarray): Pieces of the text, at least one. Shape: (n_pieces,)
    reader (TextReader): Cuts texts into windows. Without a piece that says nothing, zero vectors
        take its place.
    direction (Tensor): What each label's logit counts in the score. Shape: (n_labels,)
    dtype (torch.dtype): Arithmetic of the encoder's matrix products.
    """

    def __init__(
        self,
        classifier: TextClassifier,
        ids: numpy.ndarray,
        *,
        reader: TextReader,
        direction: Tensor,
        dtype: torch.dtype,
    ):
        self.classifier = classifier
        self.reader = reader
        self.direction = direction
        self.dtype = dtype
        self.special = self._look_up([*reader.before, *reader.after])
        self.end = self._look_up(ids)[None]
        blank_id = reader.tokenizer.blank_id
        blank = [] if blank_id is None else [blank_id]
        # the sum of no vectors is the zero vector
        self.start = self._look_up(blank).sum(dim=0).expand_as(self.end)

    def _look_up(self, ids: Union[Sequence[int], numpy.ndarray]) -> Tensor:
        assert self.classifier.encoder is not None
        table = self.classifier.encoder.piece_table
        rows = torch.as_tensor(numpy.asarray(ids, dtype=numpy.int64), device=table.device)
        return F.embedding(rows, table).float()

    def score(self, vectors: Tensor) -> Tensor:
        """Scores of texts given as vectors of their pieces.

        vectors (Tensor): Shape: (n_texts, n_pieces, width)
        RETURNS (Tensor): Shape: (n_texts,)
        """
        n_texts, n_pieces, width = vectors.shape
        n_rows = n_texts * n_pieces
        first_after = n_rows + len(self.reader.before)
        batches = self.reader.cut_whole(
            list(numpy.arange(n_rows).reshape(n_texts, n_pieces)),
            range(n_rows, first_after),
            range(first_after, first_after + len(self.reader.after)),
        )
        rows = torch.cat([vectors.reshape(n_rows, width), self.special])
        pooled = self.classifier.pool(batches, n_texts, self.dtype, Dropout(0.0), vectors=rows)
        return self.classifier.head(pooled).float() @ self.direction


def attribute_texts(
    classifier: TextClassifier,
    reader: TextReader,
    texts: Sequence[str],
    directions: numpy.ndarray,
    *,
    dtype: torch.dtype,
    n_steps: int,
) -> List[PieceAttribution]:
    """What each piece of texts adds to a score; a text without pieces has a score of nothing.

    directions (numpy.ndarray): What each logit counts in it. Shape: (n_texts, n_labels)
    All other arguments are those of `PathToText` and `attribute_pieces`.
    """
    found = []
    encoded = reader.tokenizer.encode_with_offsets(texts)
    for (ids, offsets), direction in zip(encoded, directions, strict=True):
        if not ids.size:
            found.append(PieceAttribution(offsets, numpy.zeros(0, dtype="f"), 0.0))
            continue
        counts = torch.as_tensor(direction, dtype=torch.float32).to(classifier.device)
        path = PathToText(classifier, ids, reader=reader, direction=counts, dtype=dtype)
        n_at_once = max(1, reader.max_train_pieces // ids.size)
        found.append(attribute_pieces(path, offsets, n_steps=n_steps, n_at_once=n_at_once))
    return found


def attribute_pieces(
    path: PathToText, offsets: numpy.ndarray, *, n_steps: int, n_at_once: int
) -> PieceAttribution:
    """What each piece adds to the score from the start of a path to its end.

    offsets (numpy.ndarray): Characters of each piece. Shape: (n_pieces, 2)
    n_steps (int): Places on the path at which gradients are taken.
    n_at_once (int): Most of them that are computed together.
    SOURCE: Integrated gradients of Sundararajan et al. (2017, https://arxiv.org/abs/1703.01365),
        by the captum library with the Gauss-Legendre rule, summed over the features of a piece.
    """
    attr = require("captum.attr", "Explaining by gradients")
    weights = attr.IntegratedGradients(path.score).attribute(
        path.end, path.start, n_steps=n_steps, internal_batch_size=n_at_once
    )
    with torch.no_grad():
        start, end = path.score(torch.cat([path.start, path.end])).tolist()
    return PieceAttribution(offsets, weights[0].sum(dim=1).cpu().numpy(), end - start)
