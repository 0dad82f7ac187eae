"""Batches in which languages have the shares that they are given, whatever the data have."""

import math
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

from spacy.training import Example

from ..languages import get_doc_language

Batcher = Callable[[Iterable[Example]], Iterable[List[Example]]]


def create_balance_languages_v1(
    *,
    batcher: Callable[[Iterable[Example]], Iterable[List[Example]]],
    alpha: float = 0.5,
) -> Callable[[Iterable[Example]], Iterable[List[Example]]]:
    """Create a batcher that draws documents by language, with a temperature.

    An epoch has as many documents as the corpus; a language with n of them gets a share
    proportional to n^alpha, and in every batch about that share. Of a language with more documents
    than its share an epoch has some, drawn without replacement, of one with fewer all, as often as
    it takes. What is drawn depends on the order of the examples only, which `spacy train` shuffles
    for each epoch by `training.seed`.

    batcher (Callable[[Iterable[Example]], Iterable[List[Example]]]): Divides the drawn examples,
        such as `spacy_xlt.batch_by_pieces.v1`.
    alpha (float): 1 leaves the shares as they are, 0 gives all languages the same; 1 over what is
        also called the temperature.
    RETURNS (Callable[[Iterable[Example]], Iterable[List[Example]]]): The batcher.
    RAISES (ValueError): If alpha is not from 0 to 1.
    SOURCE: Conneau and Lample (2019), section 3.1, https://arxiv.org/abs/1901.07291, with alpha
        0.5; as a temperature in Arivazhagan et al. (2019), section 4.2,
        https://arxiv.org/abs/1907.05019. There documents are drawn at random, one by one.
    """
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(
            f"alpha is {alpha}; allowed is 0 (all languages alike) to 1 (as the data are). A "
            f"temperature T is an alpha of 1/T."
        )
    return BalanceLanguages(batcher, alpha)


class BalanceLanguages:
    """Draws an epoch's examples, then divides them; see `create_balance_languages_v1`."""

    def __init__(self, batcher: Batcher, alpha: float):
        self.batcher = batcher
        self.alpha = alpha

    def __call__(self, examples: Iterable[Example]) -> Iterator[List[Example]]:
        """Divide an epoch, which is read whole.

        YIELDS (List[Example]): At least one example each.
        """
        examples = list(examples)
        langs = [get_doc_language(eg.reference) for eg in examples]
        yield from self.batcher(examples[i] for i in draw_balanced(langs, self.alpha))


def draw_balanced(langs: Sequence[str], alpha: float) -> List[int]:
    """Which documents an epoch has, in which order.

    langs (Sequence[str]): Language of each document.
    RETURNS (List[int]): Indices, as many as documents. Those of each language are spread evenly.
    """
    members: Dict[str, List[int]] = {}
    for i, lang in enumerate(langs):
        members.setdefault(lang, []).append(i)
    counts = share_out(
        len(langs), language_shares({lang: len(own) for lang, own in members.items()}, alpha)
    )
    # Each document has its place in its stretch of the epoch by its place in the stream.
    places: List[Tuple[float, int]] = [
        ((k + own[k % len(own)] / len(langs)) / counts[lang], own[k % len(own)])
        for lang, own in members.items()
        for k in range(counts[lang])
    ]
    return [i for _, i in sorted(places)]


def language_shares(n_docs: Mapping[str, int], alpha: float) -> Dict[str, float]:
    """Shares of languages that add up to 1, proportional to n_docs^alpha.

    n_docs (Mapping[str, int]): Documents by language, at least one each.
    """
    powers = {lang: n**alpha for lang, n in n_docs.items()}
    total = sum(powers.values())
    return {lang: power / total for lang, power in powers.items()}


def share_out(total: int, shares: Mapping[str, float]) -> Dict[str, int]:
    """Whole numbers that add up to a total, each less than 1 from its share.

    Those with the largest remainders are rounded up.
    """
    # Powers of powers may miss a whole number by a hair.
    exact = {name: round(total * share, 9) for name, share in shares.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts
