"""Documents of any length as windows of word pieces, and windows as padded batches."""

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence

import numpy

from ..types import Pooling


@dataclass
class Windows:
    """The windows of a list of documents.

    ids (List[numpy.ndarray]): Piece ids, special pieces included. Shape of each: (n_pieces,)
    weights (List[numpy.ndarray]): What each piece counts in its document's vector: pieces that
        two windows share count in one of them. Shape of each: (n_pieces,)
    docs (numpy.ndarray): Index of each window's document. Shape: (n_windows,)
    n_docs (int): Number of documents; those without pieces have no window.
    """

    ids: List[numpy.ndarray]
    weights: List[numpy.ndarray]
    docs: numpy.ndarray
    n_docs: int


@dataclass
class PaddedBatch:
    """Some windows, padded to the longest of them.

    ids (numpy.ndarray): int64. Shape: (n_windows, n_pieces)
    mask (numpy.ndarray): int64, 1 where there is a piece. Shape: (n_windows, n_pieces)
    weights (numpy.ndarray): float32. Shape: (n_windows, n_pieces)
    docs (numpy.ndarray): int64, index of each window's document. Shape: (n_windows,)
    """

    ids: numpy.ndarray
    mask: numpy.ndarray
    weights: numpy.ndarray
    docs: numpy.ndarray


def split_into_windows(
    pieces: Sequence[numpy.ndarray],
    *,
    before: Sequence[int],
    after: Sequence[int],
    window_pieces: int,
    overlap_pieces: int,
    pooling: Pooling,
    max_windows: Optional[int] = None,
    rng: Optional[numpy.random.Generator] = None,
) -> Windows:
    """Cut documents into overlapping windows that an encoder can read.

    pieces (Sequence[numpy.ndarray]): Piece ids of each document. Shape of each: (n_pieces,)
    before (Sequence[int]): Special pieces and prefix that start every window.
    after (Sequence[int]): Special pieces that end every window.
    window_pieces (int): Longest window, special pieces included.
    overlap_pieces (int): Pieces that neighbouring windows share.
    pooling (Pooling): Which pieces stand for the document.
    max_windows (Optional[int]): Keep at most so many windows of a document, drawn with `rng`.
    rng (Optional[numpy.random.Generator]): Source of randomness for `max_windows`.
    RETURNS (Windows): The windows, in document order.
    RAISES (ValueError): If no new piece fits into a window.
    """
    room = window_pieces - len(before) - len(after)
    if room - overlap_pieces < 1:
        raise ValueError(
            f"A window of {window_pieces} pieces with {len(before) + len(after)} special pieces "
            f"and an overlap of {overlap_pieces} has no room for text. Set window_pieces to more "
            f"than {overlap_pieces + len(before) + len(after)}, or overlap_pieces to less."
        )
    weigh = WEIGHERS[pooling]
    ids: List[numpy.ndarray] = []
    weights: List[numpy.ndarray] = []
    docs: List[int] = []
    for doc, doc_pieces in enumerate(pieces):
        starts = _window_starts(doc_pieces.size, room, overlap_pieces)
        chosen = range(len(starts))
        if max_windows is not None and len(starts) > max_windows:
            assert rng is not None
            chosen = sorted(rng.choice(len(starts), size=max_windows, replace=False).tolist())
        for i in chosen:
            start = starts[i]
            end = min(start + room, doc_pieces.size)
            window = numpy.concatenate([before, doc_pieces[start:end], after]).astype(numpy.int64)
            # Each half of an overlap belongs to the window in which it stands further inside.
            first_own = start if i == 0 else start + overlap_pieces // 2
            last_own = end if i + 1 == len(starts) else starts[i + 1] + overlap_pieces // 2
            own = numpy.ones(window.size, dtype=numpy.float32)
            own[len(before) : len(before) + first_own - start] = 0.0
            own[len(before) + last_own - start : len(before) + end - start] = 0.0
            ids.append(window)
            weights.append(weigh(own))
            docs.append(doc)
    return Windows(ids, weights, numpy.asarray(docs, dtype=numpy.int64), n_docs=len(pieces))


def pad_into_batches(windows: Windows, *, max_pieces: int, pad_id: int) -> List[PaddedBatch]:
    """Put windows of like length into batches, padding counted.

    windows (Windows): Any windows.
    max_pieces (int): Most pieces in a batch, padding included; a longer window stands alone.
    pad_id (int): Id that fills the gaps.
    RETURNS (List[PaddedBatch]): Batches from the longest windows to the shortest.
    """
    lengths = numpy.asarray([ids.size for ids in windows.ids], dtype=numpy.int64)
    order = numpy.argsort(-lengths, kind="stable")
    batches = []
    start = 0
    while start < order.size:
        longest = int(lengths[order[start]])
        n_windows = max(1, max_pieces // longest)
        batches.append(_pad(windows, order[start : start + n_windows], longest, pad_id))
        start += n_windows
    return batches


def _window_starts(n_pieces: int, room: int, overlap: int) -> List[int]:
    if n_pieces == 0:
        return []
    starts = [0]
    while starts[-1] + room < n_pieces:
        starts.append(starts[-1] + room - overlap)
    return starts


def _pad(windows: Windows, chosen: numpy.ndarray, longest: int, pad_id: int) -> PaddedBatch:
    shape = (chosen.size, longest)
    batch = PaddedBatch(
        ids=numpy.full(shape, pad_id, dtype=numpy.int64),
        mask=numpy.zeros(shape, dtype=numpy.int64),
        weights=numpy.zeros(shape, dtype=numpy.float32),
        docs=windows.docs[chosen],
    )
    for row, i in enumerate(chosen):
        n = windows.ids[i].size
        batch.ids[row, :n] = windows.ids[i]
        batch.mask[row, :n] = 1
        batch.weights[row, :n] = windows.weights[i]
    return batch


def _weigh_all(own: numpy.ndarray) -> numpy.ndarray:
    return own


def _weigh_first(own: numpy.ndarray) -> numpy.ndarray:
    weights = numpy.zeros_like(own)
    weights[0] = own.sum()
    return weights


def _weigh_last(own: numpy.ndarray) -> numpy.ndarray:
    weights = numpy.zeros_like(own)
    weights[-1] = own.sum()
    return weights


# pooling -> weights of a window's pieces, given which of them the window owns
WEIGHERS: Dict[Pooling, Callable[[numpy.ndarray], numpy.ndarray]] = {
    "mean": _weigh_all,
    "cls": _weigh_first,
    "last": _weigh_last,
}
