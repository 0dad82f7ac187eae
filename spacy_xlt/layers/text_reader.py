"""Texts as an encoder reads them: word pieces, windows of these, and batches of windows."""

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import numpy

from ..encoder_files import MODEL_TYPES, EncoderRecord
from ..pieces import BoundedCache, PieceTokenizer, text_hash
from ..types import EncoderSettings, Pooling
from .encoder import Encoder
from .ranks import own_share
from .windows import WindowBatch, pack_into_batches, split_into_windows

if TYPE_CHECKING:
    from .shim import ClassifierSettings

CACHE_BYTES = 256 * 1024 * 1024


class TextReader:
    """Cuts texts into the batches of windows that an encoder reads, in training and prediction.

    tokenizer (PieceTokenizer): The encoder's.
    encoder (Encoder): Says how long a window may be, and how its kind is pooled.
    reading (EncoderSettings): How texts are read.
    record (EncoderRecord): Pooling and prefix where `reading` has none.
    settings (ClassifierSettings): How much is read at once.
    """

    def __init__(
        self,
        tokenizer: PieceTokenizer,
        encoder: Encoder,
        *,
        reading: EncoderSettings,
        record: EncoderRecord,
        settings: "ClassifierSettings",
    ):
        self.tokenizer = tokenizer
        self.pooling: Pooling = reading.pooling or record.get(
            "pooling", MODEL_TYPES[encoder.model_type]
        )
        self.prefix = record.get("prefix", "") if reading.prefix is None else reading.prefix
        # The settings without a path, and with what they leave to the record.
        self.reading = replace(reading, path=None, pooling=self.pooling, prefix=self.prefix)
        prefix = tokenizer.encode([self.prefix.rstrip()])[0].tolist() if self.prefix else []
        # Special pieces and prefix, with which every window starts, and those that end it.
        self.before: List[int] = [*tokenizer.starts, *prefix]
        self.after: List[int] = tokenizer.ends
        self.max_train_pieces = settings.max_train_pieces
        self._max_train_windows = settings.max_train_windows
        self._max_predict_pieces = settings.max_predict_pieces
        self._window_pieces = min(reading.window_pieces, encoder.max_pieces)
        self._overlap_pieces = reading.overlap_pieces
        # Of training texts, by hashes, so that the texts need not be kept.
        self._pieces: BoundedCache[numpy.ndarray] = BoundedCache(CACHE_BYTES)
        # Of the texts that were predicted last, by hash.
        self._unknown_shares: Dict[bytes, float] = {}
        self._has_warned = False

    # -- pieces -----------------------------------------------------------------------------

    def encode(self, texts: Sequence[str]) -> List[numpy.ndarray]:
        """Piece ids of texts, without special pieces."""
        return self.tokenizer.encode(texts)

    def count_pieces(self, texts: Sequence[str]) -> List[Tuple[int, int]]:
        """Pieces of each text, and how many of them the encoder cannot read."""
        return [
            (ids.size, round(ids.size * self.tokenizer.unknown_share(ids)))
            for ids in self.encode(texts)
        ]

    def unknown_shares(self, texts: Sequence[str]) -> List[float]:
        """Share of each text's pieces that the encoder cannot read, in [0, 1].

        Those of the texts that were predicted last are known; others are divided into pieces.
        """
        known = self._unknown_shares  # another thread may replace it
        shares = [known.get(text_hash(text)) for text in texts]
        missing = [text for text, share in zip(texts, shares, strict=True) if share is None]
        found = map(self.tokenizer.unknown_share, self.encode(missing) if missing else [])
        return [next(found) if share is None else share for share in shares]

    def training_pieces(self, texts: Sequence[str]) -> List[numpy.ndarray]:
        """Piece ids of training texts, which are kept for the next epoch."""
        pieces = self._pieces.get_all(
            [text_hash(text) for text in texts],
            lambda missing: self.encode([texts[i] for i in missing]),
        )
        self._warn_of_long_texts(pieces)
        return pieces

    @property
    def _longest(self) -> int:
        """Pieces of a text from which on training reads a part of it only."""
        return self._max_train_windows * self._window_pieces

    def _warn_of_long_texts(self, pieces: Sequence[numpy.ndarray]) -> None:
        if not self._has_warned and any(p.size > self._longest for p in pieces):
            self._has_warned = True
            warnings.warn(
                f"A training text has more than {self._longest} word pieces. Training reads "
                f"{self._max_train_windows} windows of {self._window_pieces} pieces of "
                f"such texts, drawn anew each time; prediction reads them whole. Raise "
                f"max_train_windows to train on more.",
                stacklevel=2,
            )

    # -- windows ----------------------------------------------------------------------------

    def plan_parts(self, texts: Sequence[str], *, n_held: int = 1) -> List[List[int]]:
        """Parts of a training batch that fit into memory one after the other.

        n_held (int): How many passes over a part are in memory together.
        RETURNS (List[List[int]]): Indices of the texts of each part, alike in length within one.
            Where several processes train together, this one's share.
        """
        n_special = len(self.before) + len(self.after)
        lengths = [min(p.size + n_special, self._longest) for p in self.training_pieces(texts)]
        order = own_share(sorted(range(len(texts)), key=lambda i: -lengths[i]))
        parts: List[List[int]] = [[]]
        n_pieces = 0
        for i in order:
            if parts[-1] and (n_pieces + lengths[i]) * n_held > self.max_train_pieces:
                parts.append([])
                n_pieces = 0
            parts[-1].append(i)
            n_pieces += lengths[i]
        return parts

    def training_batches(self, texts: Sequence[str]) -> List[WindowBatch]:
        """The windows of training texts; of long texts some, drawn anew each time."""
        return self.cut_for_training(self.training_pieces(texts))

    def cut_for_training(self, pieces: Sequence[numpy.ndarray]) -> List[WindowBatch]:
        """The windows of training texts that are given as pieces."""
        # Seeded from NumPy's global state, which spaCy seeds from training.seed.
        rng = numpy.random.default_rng(numpy.random.randint(2**31))
        return self._cut(
            pieces,
            self.before,
            self.after,
            max_pieces=self.max_train_pieces,
            max_windows=self._max_train_windows,
            rng=rng,
        )

    def prediction_batches(self, texts: Sequence[str]) -> List[WindowBatch]:
        """All windows of texts to predict."""
        pieces = self.encode(texts)
        self._unknown_shares = {
            text_hash(text): self.tokenizer.unknown_share(ids)
            for text, ids in zip(texts, pieces, strict=True)
        }
        return self._cut(pieces, self.before, self.after, max_pieces=self._max_predict_pieces)

    def cut_whole(
        self, rows: Sequence[numpy.ndarray], before: Sequence[int], after: Sequence[int]
    ) -> List[WindowBatch]:
        """All windows of texts whose pieces are rows of any table of vectors, in batches that
        gradients fit beside.

        before, after (Sequence[int]): Rows of `self.before` and `self.after` in it.
        """
        return self._cut(rows, before, after, max_pieces=self.max_train_pieces)

    def _cut(
        self,
        pieces: Sequence[numpy.ndarray],
        before: Sequence[int],
        after: Sequence[int],
        *,
        max_pieces: int,
        max_windows: Optional[int] = None,
        rng: Optional[numpy.random.Generator] = None,
    ) -> List[WindowBatch]:
        windows = split_into_windows(
            pieces,
            before=before,
            after=after,
            window_pieces=self._window_pieces,
            overlap_pieces=self._overlap_pieces,
            pooling=self.pooling,
            max_windows=max_windows,
            rng=rng,
        )
        return pack_into_batches(windows, max_pieces=max_pieces)

    # -- copies -----------------------------------------------------------------------------

    def __getstate__(self) -> Dict[str, Any]:
        # Caches belong to the process that filled them.
        return {**self.__dict__, "_pieces": BoundedCache(CACHE_BYTES), "_unknown_shares": {}}
