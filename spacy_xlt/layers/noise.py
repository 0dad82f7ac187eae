"""Other word pieces for a training text each time it is read."""

from random import Random
from typing import List, Optional, Sequence

import numpy

from ..pieces import PieceTokenizer
from ..subwords import SubwordSampler
from ..types import RobustSettings


class PieceNoise:
    """Divides some words differently, leaves some pieces out and masks some.

    tokenizer (PieceTokenizer): The encoder's tokenizer.
    settings (RobustSettings): The shares.
    RAISES (ValueError): If words cannot be divided differently, or nothing can be masked.
    """

    def __init__(self, tokenizer: PieceTokenizer, settings: RobustSettings):
        if settings.mask_rate > 0.0 and tokenizer.blank_id is None:
            raise ValueError(
                f"mask_rate is {settings.mask_rate}, but the encoder's tokenizer has no piece for "
                f"masked or unknown text. Set it to 0.0; drop_rate works with any tokenizer."
            )
        self._settings = settings
        self._mask_id = tokenizer.blank_id or 0
        self._sampler: Optional[SubwordSampler] = None
        if settings.subword_rate > 0.0:
            self._sampler = SubwordSampler(tokenizer, sharpness=settings.subword_sharpness)

    def __call__(
        self, texts: Sequence[str], pieces: Sequence[numpy.ndarray], seed: int
    ) -> List[numpy.ndarray]:
        """New pieces of texts; a text that has any keeps at least one.

        texts (Sequence[str]): The texts.
        pieces (Sequence[numpy.ndarray]): Their usual pieces. Shape of each: (n_pieces,)
        seed (int): Another seed gives other pieces.
        RETURNS (List[numpy.ndarray]): int32. Shape of each: (n_pieces,)
        """
        rng = numpy.random.default_rng(seed)
        if self._sampler is not None:
            words_rng, rate = Random(seed), self._settings.subword_rate
            pieces = [self._sampler.encode(text, words_rng, rate=rate) for text in texts]
        return [self._mask(self._drop(ids, rng), rng) for ids in pieces]

    def _drop(self, ids: numpy.ndarray, rng: numpy.random.Generator) -> numpy.ndarray:
        if self._settings.drop_rate == 0.0 or ids.size == 0:
            return ids
        kept = rng.random(ids.size) >= self._settings.drop_rate
        kept[rng.integers(ids.size)] = True
        return ids[kept]

    def _mask(self, ids: numpy.ndarray, rng: numpy.random.Generator) -> numpy.ndarray:
        if self._settings.mask_rate == 0.0:
            return ids
        masked = rng.random(ids.size) < self._settings.mask_rate
        return numpy.where(masked, numpy.int32(self._mask_id), ids)
