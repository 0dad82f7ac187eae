"""The mistakes that a classifier was surest of."""

import heapq
from typing import Dict, List, Tuple

from .results import ConfidentMistake

# Characters of a text that are kept.
MAX_CHARS = 400


class MistakeCollector:
    """Keeps the surest mistakes of each language while documents go by.

    n (int): How many to keep of each language, and to give in all.
    """

    def __init__(self, n: int):
        if n < 0:
            raise ValueError(f"The number of mistakes to keep is {n}; allowed is 0 or more.")
        self.n = n
        # By language a heap with the least sure first; the number settles ties.
        self._heaps: Dict[str, List[Tuple[float, int, ConfidentMistake]]] = {}
        self._n_seen = 0

    def add(self, text: str, lang: str, gold: str, predicted: str, probability: float) -> None:
        """Note a document that got a wrong label."""
        if self.n == 0:
            return
        self._n_seen += 1
        mistake: ConfidentMistake = {
            "text": text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…",
            "lang": lang,
            "gold": gold,
            "predicted": predicted,
            "probability": probability,
            "words": None,
        }
        heap = self._heaps.setdefault(lang, [])
        entry = (probability, -self._n_seen, mistake)
        if len(heap) < self.n:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def choose(self) -> List[ConfidentMistake]:
        """The surest of each language, then the second surest of each, and so on; sorted by
        probability."""
        ranked = [
            (rank, -entry[0], -entry[1], entry[2])
            for heap in self._heaps.values()
            for rank, entry in enumerate(sorted(heap, reverse=True, key=lambda entry: entry[:2]))
        ]
        chosen = sorted(ranked, key=lambda row: row[:3])[: self.n]
        return [row[3] for row in sorted(chosen, key=lambda row: row[1:3])]
