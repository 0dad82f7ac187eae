"""The factories of `xlt_textcat` and `xlt_textcat_multilabel`, and what configs say by default."""

from typing import Any, Callable, Dict, List, Optional

from spacy import util
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from .textcat import XltTextCat

MODEL_CONFIG = """
[model]
@architectures = "spacy_xlt.TextCat.v1"

[model.encoder]
@architectures = "spacy_xlt.Encoder.v1"
path = null
"""
DEFAULT_MODEL = util.load_config_from_str(MODEL_CONFIG)["model"]

# Shown while training (0.0) or kept in meta.json only (None); none is counted, since a
# zero-shot run must not choose by target labels. Configs that may choose set their own.
SCORE_WEIGHTS: Dict[str, Optional[float]] = {
    "cats_score": 0.0,
    "cats_acc": 0.0,
    "cats_macro_f": 0.0,
    "cats_macro_auc": None,
    "cats_target_acc": None,
    "cats_target_macro_f": None,
    "cats_worst_acc": None,
    "cats_spread_acc": None,
    "cats_transfer_gap": None,
    "cats_by_lang": None,
}

DEFAULT_CONFIG: Dict[str, Any] = {
    "model": DEFAULT_MODEL,
    "class_weights": None,
    "label_smoothing": 0.0,
    "probe_strength": 3.0,
    "scorer": {"@scorers": "spacy_xlt.textcat_by_language.v1"},
}


@Language.factory(
    "xlt_textcat",
    assigns=["doc.cats"],
    default_config={**DEFAULT_CONFIG, "threshold": 0.0},
    default_score_weights=SCORE_WEIGHTS,
)
def make_xlt_textcat(
    nlp: Language,
    name: str,
    model: Model[List[Doc], Floats2d],
    threshold: float,
    class_weights: Optional[Dict[str, float]],
    label_smoothing: float,
    probe_strength: float,
    scorer: Optional[Callable],
) -> XltTextCat:
    """Create a cross-lingual classifier for labels that exclude each other.

    model (Model[List[Doc], Floats2d]): `spacy_xlt.TextCat.v1` or `spacy_xlt.SharedTransformer.v1`.
    threshold (float): Not used for the prediction of exclusive labels; kept for spaCy's tools.
    class_weights (Optional[Dict[str, float]]): What a document of a label counts in training;
        1.0 for labels that are not named.
    label_smoothing (float): Share of the gold probability spread evenly over all labels, in
        [0, 1).
    probe_strength (float): Inverse penalty of the linear probe that the head starts from; 0 for
        a head of zeros.
    scorer (Optional[Callable]): Scoring function.
    """
    return XltTextCat(
        nlp.vocab,
        model,
        name,
        exclusive=True,
        threshold=threshold,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        probe_strength=probe_strength,
        scorer=scorer,
    )


@Language.factory(
    "xlt_textcat_multilabel",
    assigns=["doc.cats"],
    default_config={**DEFAULT_CONFIG, "threshold": 0.5},
    default_score_weights=SCORE_WEIGHTS,
)
def make_xlt_textcat_multilabel(
    nlp: Language,
    name: str,
    model: Model[List[Doc], Floats2d],
    threshold: float,
    class_weights: Optional[Dict[str, float]],
    label_smoothing: float,
    probe_strength: float,
    scorer: Optional[Callable],
) -> XltTextCat:
    """Create a cross-lingual classifier for labels of which any number may hold.

    threshold (float): Probability from which a label counts as predicted in scores.
    All other arguments are those of `make_xlt_textcat`.
    """
    return XltTextCat(
        nlp.vocab,
        model,
        name,
        exclusive=False,
        threshold=threshold,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        probe_strength=probe_strength,
        scorer=scorer,
    )
