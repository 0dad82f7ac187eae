"""Batches whose size is counted in word pieces."""

from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional

from spacy.training import Example

from ..pieces import PieceTokenizer, text_hash

# UTF-8 bytes per word piece where no tokenizer counts them. Three letters of a Latin script, or
# one sign of a script that writes no spaces, are at least what a multilingual vocabulary makes of
# a piece on average; for other alphabets the rule counts too many pieces rather than too few.
BYTES_PER_PIECE = 3


def create_batch_by_pieces_v1(
    *,
    size: int = 32,
    max_pieces: int = 16384,
    max_doc_pieces: int = 4096,
    tokenizer: Optional[str] = None,
) -> Callable[[Iterable[Example]], Iterable[List[Example]]]:
    """Create a batcher that keeps the order of examples and loses none.

    size (int): Most examples in a batch.
    max_pieces (int): Most word pieces in a batch; a longer document is a batch of its own.
    max_doc_pieces (int): Most pieces that a document counts for, because training reads no more.
    tokenizer (Optional[str]): Encoder directory whose tokenizer counts the pieces; None estimates
        one piece per three bytes of UTF-8.
    RETURNS (Callable[[Iterable[Example]], Iterable[List[Example]]]): The batcher.
    RAISES (ValueError): If a number is below 1.
    """
    return BatchByPieces(
        size=size, max_pieces=max_pieces, max_doc_pieces=max_doc_pieces, tokenizer=tokenizer
    )


class BatchByPieces:
    """Batches in the order of the stream; see `create_batch_by_pieces_v1`."""

    def __init__(
        self, *, size: int, max_pieces: int, max_doc_pieces: int, tokenizer: Optional[str]
    ):
        settings = {"size": size, "max_pieces": max_pieces, "max_doc_pieces": max_doc_pieces}
        for name, value in settings.items():
            if value < 1:
                raise ValueError(f"{name} is {value}; a batch needs at least 1.")
        self.size = size
        self.max_pieces = max_pieces
        self.max_doc_pieces = max_doc_pieces
        self.tokenizer_path = tokenizer
        # Read at the first batch: a config is resolved in places where no encoder is at hand.
        self._tokenizer: Optional[PieceTokenizer] = None
        # Each text is counted once in a run, not once an epoch.
        self._counts: Dict[bytes, int] = {}

    def __call__(self, examples: Iterable[Example]) -> Iterator[List[Example]]:
        """Divide a stream of examples.

        YIELDS (List[Example]): At least one example each.
        """
        batch: List[Example] = []
        n_pieces = 0
        for example in examples:
            count = min(self.count(example.reference.text), self.max_doc_pieces)
            if batch and (len(batch) == self.size or n_pieces + count > self.max_pieces):
                yield batch
                batch, n_pieces = [], 0
            batch.append(example)
            n_pieces += count
        if batch:
            yield batch

    def count(self, text: str) -> int:
        """Word pieces of a text, special pieces included."""
        key = text_hash(text)
        if key not in self._counts:
            self._counts[key] = self._count(text)
        return self._counts[key]

    def _count(self, text: str) -> int:
        if self.tokenizer_path is None:
            return estimate_pieces(text)
        if self._tokenizer is None:
            self._tokenizer = PieceTokenizer.from_path(Path(self.tokenizer_path))
        special = len(self._tokenizer.starts) + len(self._tokenizer.ends)
        return len(self._tokenizer.encode([text])[0]) + special


def estimate_pieces(text: str) -> int:
    """Word pieces that a multilingual vocabulary makes of a text, and two special ones, without
    counting them; rather too many than too few."""
    return len(text.encode("utf8", "replace")) // BYTES_PER_PIECE + 2
