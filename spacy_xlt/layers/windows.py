"""Documents of any length as windows of word pieces, and windows as packed batches."""

from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy
import torch
from torch import Tensor

from ..types import Pooling

# Places per piece that attention's padding may take within a group of windows.
MAX_PADDING = 1.2


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
class AttentionGroup:
    """Neighbouring windows of a batch that attention pads to the longest of them.

    lengths (numpy.ndarray): Pieces of each window. Shape: (n_windows,)
    """

    lengths: numpy.ndarray
    _padded: Optional[Tuple[Tensor, Tensor]] = None

    @property
    def n_windows(self) -> int:
        return int(self.lengths.size)

    @property
    def n_pieces(self) -> int:
        return int(self.lengths.sum())

    @property
    def longest(self) -> int:
        return int(self.lengths.max())

    def to_torch(self, device: torch.device) -> Tuple[Optional[Tensor], Optional[Tensor]]:
        """Where pieces stand in the padded group; None, None if nothing is padded.

        RETURNS (Tuple[Optional[Tensor], Optional[Tensor]]): Row of each piece, and which places
            attention may look at. Shapes: (n_pieces,), (n_windows, 1, 1, longest)
        """
        if self.n_pieces == self.n_windows * self.longest:
            return None, None
        if self._padded is None:
            mask = numpy.arange(self.longest) < self.lengths[:, None]
            index = torch.from_numpy(numpy.flatnonzero(mask)).to(device)
            self._padded = index, torch.from_numpy(mask[:, None, None, :]).to(device)
        return self._padded


@dataclass
class WindowBatch:
    """Windows laid end to end, from the longest to the shortest.

    ids (numpy.ndarray): int64 piece ids. Shape: (n_pieces,)
    positions (numpy.ndarray): int64, place of each piece in its window. Shape: (n_pieces,)
    weights (numpy.ndarray): float32, what each piece counts. Shape: (n_pieces,)
    docs (numpy.ndarray): int64, index of each window's document. Shape: (n_windows,)
    lengths (numpy.ndarray): int64, pieces of each window. Shape: (n_windows,)
    groups (List[AttentionGroup]): The windows in groups of like length.
    """

    ids: numpy.ndarray
    positions: numpy.ndarray
    weights: numpy.ndarray
    docs: numpy.ndarray
    lengths: numpy.ndarray
    groups: List[AttentionGroup]

    def to_torch(self, device: torch.device) -> Tuple[Tensor, Tensor]:
        """Ids and positions. Shapes: (n_pieces,), (n_pieces,)"""
        return torch.from_numpy(self.ids).to(device), torch.from_numpy(self.positions).to(device)

    def piece_docs(self, device: torch.device) -> Tensor:
        """Document of each piece. Shape: (n_pieces,)"""
        return torch.from_numpy(numpy.repeat(self.docs, self.lengths)).to(device)

    def padded(self, pad_id: int, device: torch.device) -> Iterator[Tuple[Tensor, Tensor]]:
        """Ids and mask of each group as padded arrays. Shapes: (n_windows, longest) for both"""
        ends = numpy.cumsum([group.n_pieces for group in self.groups])
        for group, own_ids in zip(self.groups, numpy.split(self.ids, ends[:-1]), strict=True):
            mask = numpy.arange(group.longest) < group.lengths[:, None]
            ids = numpy.full(mask.shape, pad_id, dtype=numpy.int64)
            ids[mask] = own_ids
            yield torch.from_numpy(ids).to(device), torch.from_numpy(mask.astype("q")).to(device)

    def split_ids(self) -> List[numpy.ndarray]:
        """Piece ids of each window."""
        return numpy.split(self.ids, numpy.cumsum(self.lengths)[:-1])

    def select(self, windows: Sequence[int]) -> "WindowBatch":
        """A batch of some of the windows, in the same order.

        windows (Sequence[int]): Their places, ascending.
        """
        chosen = numpy.zeros(self.lengths.size, dtype=bool)
        chosen[windows] = True
        pieces = numpy.repeat(chosen, self.lengths)
        return WindowBatch(
            ids=self.ids[pieces],
            positions=self.positions[pieces],
            weights=self.weights[pieces],
            docs=self.docs[chosen],
            lengths=self.lengths[chosen],
            groups=_group(self.lengths[chosen]),
        )

    def pool_matrix(self, device: torch.device) -> Tensor:
        """Weights of the pieces that sum up to each window. Shape: (n_windows, n_pieces)"""
        matrix = numpy.zeros((self.lengths.size, self.ids.size), dtype=numpy.float32)
        rows = numpy.repeat(numpy.arange(self.lengths.size), self.lengths)
        matrix[rows, numpy.arange(self.ids.size)] = self.weights
        return torch.from_numpy(matrix).to(device)


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
        chosen = list(range(len(starts)))
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


def pack_into_batches(windows: Windows, *, max_pieces: int) -> List[WindowBatch]:
    """Put windows of like length into batches.

    windows (Windows): Any windows.
    max_pieces (int): Most pieces in a batch; a longer window stands alone.
    RETURNS (List[WindowBatch]): Batches from the longest windows to the shortest.
    """
    lengths = numpy.asarray([ids.size for ids in windows.ids], dtype=numpy.int64)
    order = numpy.argsort(-lengths, kind="stable")
    runs = _cut_runs(lengths[order], lambda run: int(run.sum()) <= max_pieces)
    return [_pack(windows, lengths, order[start:end]) for start, end in runs]


def _window_starts(n_pieces: int, room: int, overlap: int) -> List[int]:
    if n_pieces == 0:
        return []
    starts = [0]
    while starts[-1] + room < n_pieces:
        starts.append(starts[-1] + room - overlap)
    return starts


def _cut_runs(
    lengths: numpy.ndarray, fits: Callable[[numpy.ndarray], bool]
) -> List[Tuple[int, int]]:
    """Cut a sequence into the longest runs that fit, at least one window each."""
    runs = []
    start = 0
    for end in range(1, lengths.size + 1):
        if end > start + 1 and not fits(lengths[start:end]):
            runs.append((start, end - 1))
            start = end - 1
    if start < lengths.size:
        runs.append((start, int(lengths.size)))
    return runs


def _pack(windows: Windows, lengths: numpy.ndarray, chosen: numpy.ndarray) -> WindowBatch:
    own = lengths[chosen]
    return WindowBatch(
        ids=numpy.concatenate([windows.ids[i] for i in chosen]),
        positions=numpy.concatenate([numpy.arange(n) for n in own]),
        weights=numpy.concatenate([windows.weights[i] for i in chosen]),
        docs=windows.docs[chosen],
        lengths=own,
        groups=_group(own),
    )


def _group(lengths: numpy.ndarray) -> List[AttentionGroup]:
    """Groups of windows that are sorted from the longest to the shortest."""
    runs = _cut_runs(lengths, lambda run: int(run[0]) * run.size <= MAX_PADDING * int(run.sum()))
    return [AttentionGroup(lengths[start:end]) for start, end in runs]


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
