"""Sets of labels that have the right one as often as is wanted."""

from typing import Dict, Mapping

import numpy as np

from ..components.decisions import OTHERS
from ..evaluation.metrics import Outcomes, join_outcomes
from .thresholds import SLACK

# Labels that what calibrated probabilities say of their own accord counts as: chosen on the
# development texts of six languages of SIB-200. It halves no error with 99 documents, but makes
# the sets of languages with a handful sensible.
PRIOR_LABELS = 50


def fit_set_thresholds(by_lang: Mapping[str, Outcomes], coverage: float) -> Dict[str, float]:
    """The probability from which a label is in a document's set, by language.

    by_lang (Mapping[str, Outcomes]): Labelled documents with calibrated probabilities, all of them
        answered.
    coverage (float): Share of the gold labels that is to be in the sets.
    RETURNS (Dict[str, float]): By language; that of all together stands for other languages, at
        `OTHERS`. It is 0, so that all labels are in a set, if there are no documents at all.
    """
    if not by_lang:
        return {OTHERS: 0.0}
    general = find_set_threshold(join_outcomes(list(by_lang.values())), coverage)
    own = {lang: find_set_threshold(o, coverage) for lang, o in by_lang.items() if lang != OTHERS}
    return {OTHERS: general, **own}


def find_set_threshold(outcomes: Outcomes, coverage: float) -> float:
    """The probability that the wanted share of gold labels has or exceeds.

    The gold labels count one each. Beside them all labels of the documents count, each as much as
    its probability, `PRIOR_LABELS` together: if probabilities are calibrated, they are as good as
    so many gold labels, and much steadier.

    SOURCE: split conformal prediction by groups (Vovk et al., 2003), with the least ambiguous sets
        of Sadinle et al. (2019, https://arxiv.org/abs/1609.00451) and the correction for a finite
        sample. APS and RAPS sets (Romano et al., 2020; Angelopoulos et al., 2021) were a tenth
        larger or more on development texts.
    """
    scores = np.clip(outcomes.scores, 0.0, 1.0)
    gold = scores[outcomes.gold & outcomes.known]
    every = scores.ravel()
    weights = PRIOR_LABELS * every / max(every.sum(), SLACK)
    values = np.concatenate([gold, every])
    counts = np.concatenate([np.ones(len(gold)), weights])
    order = np.argsort(-values, kind="stable")
    total = np.cumsum(counts[order])
    # One more label, of which nothing is known, counts as not in its set.
    place = int(np.searchsorted(total, coverage * (total[-1] + 1.0) - SLACK))
    return 0.0 if place == len(order) else float(values[order][place] * (1.0 - SLACK))
