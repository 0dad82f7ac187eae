"""Fitting the character n-grams of training texts, and what they count beside the head."""

from typing import TYPE_CHECKING, Callable, Dict, List, Set

import numpy

from .gold import Labelled

if TYPE_CHECKING:
    from ..layers.ngrams import CharacterNgrams

# (texts to learn from, texts to judge) -> a head's logits of the latter
Answer = Callable[[Labelled, Labelled], numpy.ndarray]

N_FOLDS = 5
# So many judged texts are enough: where one fold has them, one will do.
N_JUDGED = 2000
_SEED = 0


def fit_ngrams(labelled: Labelled, *, exclusive: bool) -> "CharacterNgrams":
    """Fit n-grams to labelled texts."""
    from ..layers.losses import LOSSES
    from ..layers.ngrams import CharacterNgrams

    gold = labelled.gold
    return CharacterNgrams.of_texts(
        labelled.texts, gold.targets, gold.known, gold.weights, loss=LOSSES[exclusive]
    )


def measure_shares(
    labelled: Labelled, langs: Set[str], answer: Answer, *, exclusive: bool, share: float
) -> Dict[str, float]:
    """What n-grams should count in languages, by texts that neither they nor a head learned from.

    Vectors tell less of a language that the encoder hardly knows, and a head does not know that;
    n-grams tell as much as there are labels. Here they learn from texts in the same language only,
    since others may be translations of those that are judged.

    labelled (Labelled): Texts in these languages, and others that a head learns from too.
    langs (Set[str]): The languages.
    answer (Answer): What a head says.
    share (float): What is expected, between 0 and 1.
    RETURNS (Dict[str, float]): By language, between 0 and 1.
    """
    from ..layers.losses import LOSSES
    from ..layers.shares import fit_share

    gold, rows = labelled.gold, _rows_by_lang(labelled, langs)
    by_head, by_ngrams = numpy.zeros_like(gold.targets), numpy.zeros_like(gold.targets)
    is_judged = numpy.zeros(len(gold.targets), dtype=bool)
    for fold in _draw_folds(numpy.concatenate(list(rows.values()))):
        is_held = numpy.zeros_like(is_judged)
        is_held[fold] = is_judged[fold] = True
        learned = numpy.flatnonzero(~is_held)
        by_head[fold] = answer(labelled.select(learned), labelled.select(fold))
        for own in rows.values():
            held = labelled.select(own[is_held[own]])
            fitted = fit_ngrams(labelled.select(own[~is_held[own]]), exclusive=exclusive)
            by_ngrams[own[is_held[own]]] = fitted(held.texts)
    shares: Dict[str, float] = {}
    for lang, own in rows.items():
        judged = own[is_judged[own]]
        shares[lang] = fit_share(
            by_head[judged],
            by_ngrams[judged],
            gold.targets[judged],
            gold.known[judged],
            gold.weights[judged],
            loss=LOSSES[exclusive],
            share=share,
        )
    return shares


def _rows_by_lang(labelled: Labelled, langs: Set[str]) -> Dict[str, numpy.ndarray]:
    found = numpy.array(labelled.langs)
    return {lang: numpy.flatnonzero(found == lang) for lang in sorted(langs)}


def _draw_folds(rows: numpy.ndarray) -> List[numpy.ndarray]:
    """Fifths of the rows: all five, or fewer if these are enough texts."""
    shuffled = numpy.random.default_rng(_SEED).permutation(rows)
    folds = numpy.array_split(shuffled, N_FOLDS)
    n_enough = -(-N_JUDGED // max(len(folds[0]), 1))
    return [numpy.sort(fold) for fold in folds[:n_enough] if fold.size]
