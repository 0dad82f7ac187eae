"""How differently a step's two passes read the same documents."""

from contextlib import contextmanager
from typing import Callable, Iterator, List, Optional, Sequence

import numpy

from ..pieces import PieceTokenizer
from ..types import RobustSettings
from .adversary import Adversary, ChangeInput
from .noise import PieceNoise
from .windows import WindowBatch

CutIntoBatches = Callable[[Sequence[numpy.ndarray]], List[WindowBatch]]


class Passes:
    """The passes of training over a part of a batch: the only or first one, and a second.

    settings (RobustSettings): What is changed.
    tokenizer (Optional[PieceTokenizer]): The encoder's tokenizer; only changed pieces need it.
    RAISES (ValueError): If the tokenizer does not allow what is wanted.
    """

    def __init__(self, settings: RobustSettings, tokenizer: Optional[PieceTokenizer]):
        self._settings = settings
        self._noise: Optional[PieceNoise] = None
        if settings.changes_pieces and tokenizer is not None:
            self._noise = PieceNoise(tokenizer, settings)
        self._adversary: Optional[Adversary] = None
        self._batches: List[WindowBatch] = []
        self._is_second = False

    @contextmanager
    def second(self) -> Iterator[None]:
        """Within the block, what is read is the second pass over what was read before."""
        self._is_second = True
        try:
            yield
        finally:
            self._is_second = False
            self._adversary, self._batches = None, []

    @property
    def is_last(self) -> bool:
        """Whether no other pass follows over the same documents."""
        return self._is_second or not self._settings.has_second_pass

    @property
    def keeps_graph(self) -> bool:
        """Whether gradients are taken back through a pass more than once."""
        return self._settings.adversary_radius > 0.0 and self._settings.agreement > 0.0

    @property
    def has_noise(self) -> bool:
        """Whether texts are read in other pieces now.

        The first of two passes reads texts as they are, but for the adversary's sake: it needs
        the gradients of the very pieces that it will move.
        """
        has_adversary = self._settings.adversary_radius > 0.0
        return self._noise is not None and (self.is_last or has_adversary)

    def cut(
        self, texts: Sequence[str], pieces: Sequence[numpy.ndarray], cut: CutIntoBatches
    ) -> List[WindowBatch]:
        """The windows to read now.

        pieces (Sequence[numpy.ndarray]): The texts' usual pieces. Shape of each: (n_pieces,)
        cut (CutIntoBatches): Makes windows of pieces.
        """
        if self._is_second and self._adversary is not None:
            return self._batches
        if self._noise is not None and self.has_noise:
            # Seeded from NumPy's global state, which spaCy seeds from training.seed.
            pieces = self._noise(texts, pieces, int(numpy.random.randint(2**31)))
        self._batches = cut(pieces)
        return self._batches

    def change(self) -> Optional[ChangeInput]:
        """What is done to the input of the trained layers now, if anything."""
        if self._settings.adversary_radius == 0.0:
            return None
        if self._is_second and self._adversary is not None:
            return self._adversary.move
        self._adversary = Adversary(self._settings.adversary_radius)
        return self._adversary.watch
