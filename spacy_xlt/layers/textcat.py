"""The Thinc layers of a text classifier."""

from typing import Any, Callable, List, Optional, Tuple, cast

from spacy.tokens import Doc
from thinc.api import Model, Ops, chain
from thinc.types import Floats2d

from ..languages import known_language
from .classifier import TextClassifier
from .device import to_ops, to_torch
from .shim import TextCatShim


def make_textcat(shim: TextCatShim, n_labels: Optional[int] = None) -> Model[Any, Floats2d]:
    """A layer around a classifier: documents to logits, or vectors to logits without an encoder.

    shim (TextCatShim): Holds the classifier, or will.
    n_labels (Optional[int]): Number of outputs, if known.
    RETURNS (Model[Any, Floats2d]): The layer. Output shape: (n_docs, n_labels)
    """
    model: Model[Any, Floats2d] = Model(
        "xlt_textcat",
        forward,
        init=init,
        dims={"nO": n_labels},
        refs={"output_layer": None},
        shims=[shim],
    )
    model.set_ref("output_layer", model)
    return model


def make_shared_textcat(
    tok2vec: Model[List[Doc], List[Floats2d]],
    shim: TextCatShim,
    n_labels: Optional[int] = None,
) -> Model[List[Doc], Floats2d]:
    """The same head on the mean of a document's token vectors, as another component makes them.

    tok2vec (Model[List[Doc], List[Floats2d]]): Usually a listener.
    RETURNS (Model[List[Doc], Floats2d]): The layer. Output shape: (n_docs, n_labels)
    """
    head = make_textcat(shim, n_labels)
    pool: Model[List[Floats2d], Floats2d] = Model("xlt_mean_pool", forward_mean_pool)
    model: Model[List[Doc], Floats2d] = chain(tok2vec, pool, head)
    model.set_ref("tok2vec", tok2vec)
    model.set_ref("output_layer", head)
    return model


def forward(
    model: Model[Any, Floats2d], X: Any, is_train: bool
) -> Tuple[Floats2d, Callable[[Floats2d], Any]]:
    shim = cast(TextCatShim, model.shims[0])
    has_encoder = shim.reading is not None
    if has_encoder:
        inputs: Any = [doc.text for doc in X]
    else:
        # Without any tokens in any document, vectors come without a width.
        X = X if X.shape[1] else model.ops.alloc2f(X.shape[0], shim.classifier.width)
        inputs = to_torch(X, shim.classifier.device)
    if not is_train:
        return to_ops(model.ops, shim.predict(inputs)), _no_backprop
    has_critic = has_encoder and shim.settings.robust.language_reversal > 0.0
    langs = [known_language(doc) for doc in X] if has_critic else None
    logits, torch_backprop = shim.begin_update(inputs, langs)

    def backprop(d_logits: Floats2d) -> Any:
        d_inputs = torch_backprop(to_torch(d_logits, shim.classifier.device))
        return [] if d_inputs is None else to_ops(model.ops, d_inputs)

    return to_ops(model.ops, logits), backprop


def init(
    model: Model[Any, Floats2d], X: Optional[Any] = None, Y: Optional[Floats2d] = None
) -> None:
    """Make the head of a classifier without an encoder; one with an encoder is given to the shim
    by the component, which knows where to find it."""
    shim = cast(TextCatShim, model.shims[0])
    if shim.is_ready or shim.reading is not None or X is None:
        return
    n_labels = model.get_dim("nO")
    shim.set_classifier(TextClassifier(None, X.shape[1], n_labels, normalize=False))


def forward_mean_pool(
    model: Model[List[Floats2d], Floats2d], X: List[Floats2d], is_train: bool
) -> Tuple[Floats2d, Callable[[Floats2d], List[Floats2d]]]:
    """Mean of each document's vectors; the zero vector for a document without any."""
    ops: Ops = model.ops
    lengths = [max(1, x.shape[0]) for x in X]
    # Documents without tokens come without a width.
    Y = ops.alloc2f(len(X), max(x.shape[1] for x in X))
    for i, (x, n) in enumerate(zip(X, lengths, strict=True)):
        Y[i, : x.shape[1]] = x.sum(axis=0) / n

    def backprop(dY: Floats2d) -> List[Floats2d]:
        return [
            ops.xp.repeat(dY[i : i + 1] / n, x.shape[0], axis=0)
            for i, (x, n) in enumerate(zip(X, lengths, strict=True))
        ]

    return Y, backprop


def _no_backprop(dY: Floats2d) -> Any:
    raise ValueError("Cannot backpropagate through a prediction; call begin_update instead.")
