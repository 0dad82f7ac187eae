"""Texts in other word pieces than usual, drawn from a unigram model."""

import functools
import math
from bisect import bisect
from dataclasses import dataclass
from random import Random
from typing import Dict, List, Optional, Tuple

import numpy
import srsly

from .pieces import PieceTokenizer

# Words whose segmentations are kept; longer ones are texts without spaces, which do not come again.
MAX_KEPT_WORDS = 50_000
MAX_KEPT_LENGTH = 64
# What a character costs that no piece spells, below the rarest piece; as the tokenizers library.
UNKNOWN_PENALTY = 10.0


@dataclass(frozen=True)
class _Place:
    """Pieces that end at a place in a word, in one order in all fields.

    starts (List[int]): Where they start.
    ids (List[int]): Their ids.
    shares (List[float]): Probability of each or one before it, given that one of them ends here.
    """

    starts: List[int]
    ids: List[int]
    shares: List[float]


class SubwordSampler:
    """Draws segmentations of texts, likelier ones more often.

    SOURCE: Kudo (2018), "Subword regularization", section 3.3,
        https://arxiv.org/abs/1804.10959: a segmentation's chance is its probability to the power
        of a sharpness, drawn from all segmentations by forward filtering and backward sampling.
        Here each word of the tokenizer's may also be left as it is.

    tokenizer (PieceTokenizer): A tokenizer with a unigram model.
    sharpness (float): 0 for all segmentations alike; the higher, the more often the usual one.
    RAISES (ValueError): If the tokenizer has another model.
    """

    def __init__(self, tokenizer: PieceTokenizer, *, sharpness: float):
        model = srsly.json_loads(tokenizer.to_json())["model"]
        if model["type"] != "Unigram" or model.get("byte_fallback"):
            kind = "Unigram with byte fallback" if model["type"] == "Unigram" else model["type"]
            raise ValueError(
                f"The encoder's tokenizer is a {kind} model; only a plain Unigram model can divide "
                f"words in several ways. Set subword_rate = 0.0 in [components.….model.robust]; "
                f"mask_rate and drop_rate work with any tokenizer."
            )
        special = tokenizer.added_ids
        self._tokenizer = tokenizer
        self._sharpness = sharpness
        self._pieces: Dict[str, Tuple[int, float]] = {
            piece: (i, score) for i, (piece, score) in enumerate(model["vocab"]) if i not in special
        }
        self._longest = max(map(len, self._pieces), default=1)
        self._unknown_id: Optional[int] = model["unk_id"]
        self._unknown_score = min((s for _, s in self._pieces.values()), default=0.0)
        self._unknown_score -= UNKNOWN_PENALTY
        self._kept_places = functools.lru_cache(maxsize=MAX_KEPT_WORDS)(self._find_places)
        self._kept_usual = functools.lru_cache(maxsize=MAX_KEPT_WORDS)(tokenizer.encode_word)

    def encode(self, text: str, rng: Random, *, rate: float = 1.0) -> numpy.ndarray:
        """Piece ids of a text, without special pieces.

        text (str): Any text.
        rng (Random): Source of chance.
        rate (float): Chance of each word to be drawn; others are divided as usual.
        RETURNS (numpy.ndarray): int32. Shape: (n_pieces,)
        """
        ids: List[int] = []
        for word in self._tokenizer.split_words(text):
            is_short = len(word) <= MAX_KEPT_LENGTH
            if rng.random() < rate:
                find = self._kept_places if is_short else self._find_places
                ids += self._draw(find(word), rng)
            else:
                ids += (self._kept_usual if is_short else self._tokenizer.encode_word)(word)
        return numpy.asarray(ids, dtype=numpy.int32)

    def _draw(self, places: List[_Place], rng: Random) -> List[int]:
        """Ids from the end of a word back to its start, then turned round."""
        ids: List[int] = []
        end = len(places)
        while end > 0:
            place = places[end - 1]
            # Rounding may leave the last share just below 1.
            i = min(bisect(place.shares, rng.random()), len(place.ids) - 1)
            if place.ids[i] != self._unknown_id or ids[-1:] != [self._unknown_id]:
                ids.append(place.ids[i])  # neighbouring unknown characters are one piece
            end = place.starts[i]
        return ids[::-1]

    def _find_places(self, word: str) -> List[_Place]:
        """What may end after each character of a word."""
        totals = [0.0]  # logarithm of the summed weights of all segmentations up to each place
        places = []
        for end in range(1, len(word) + 1):
            starts, ids, weights = [], [], []
            for start in range(max(0, end - self._longest), end):
                found = self._pieces.get(word[start:end])
                if found is None and start == end - 1 and self._unknown_id is not None:
                    found = self._unknown_id, self._unknown_score
                if found is not None and totals[start] > -math.inf:
                    starts.append(start)
                    ids.append(found[0])
                    weights.append(totals[start] + self._sharpness * found[1])
            top = max(weights, default=-math.inf)
            odds = [math.exp(weight - top) for weight in weights]
            shares = numpy.cumsum(odds) / sum(odds) if odds else numpy.zeros(0)
            totals.append(top + math.log(sum(odds)) if odds else -math.inf)
            places.append(_Place(starts, ids, shares.tolist()))
        # A character that nothing spells, not even an unknown piece, leaves no way through.
        return places if totals[-1] > -math.inf else []
