"""The passes over some documents in a training step, and the loss of all of them."""

from typing import Any, Callable, ContextManager, List, Tuple, cast

import numpy
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..types import RobustSettings

# From logits to the summed loss and its gradient.
LossOfLogits = Callable[[numpy.ndarray], Tuple[float, numpy.ndarray]]
# From the logits of two passes to the summed disagreement and its gradients.
LossOfBoth = Callable[[numpy.ndarray, numpy.ndarray], Tuple[float, numpy.ndarray, numpy.ndarray]]


def learn(
    model: Model[List[Doc], Floats2d],
    docs: List[Doc],
    *,
    get_loss: LossOfLogits,
    get_disagreement: LossOfBoth,
    robust: RobustSettings,
    second_pass: Callable[[], ContextManager[None]],
    scale: float,
) -> float:
    """Add the gradients of some documents.

    get_loss (LossOfLogits): Loss of a pass.
    get_disagreement (LossOfBoth): What it costs that two passes disagree.
    robust (RobustSettings): Whether there are two, and how they weigh.
    second_pass (Callable[[], ContextManager[None]]): Within it the model reads the documents for
        the second time.
    scale (float): Factor of gradients.
    RETURNS (float): The loss summed over the documents, the mean of both passes.
    SOURCE: Agreement is R-Drop of Liang et al. (2021), equation 4,
        https://arxiv.org/abs/2106.14448, halved, so that a document counts the same with one pass
        and with two.
    """

    def take_back(backprop: Callable[[Floats2d], Any], d_logits: numpy.ndarray) -> None:
        backprop(model.ops.asarray2f(cast(Any, d_logits * scale)))

    logits, backprop = model.begin_update(docs)
    first = model.ops.to_numpy(logits)
    loss, d_first = get_loss(first)
    if not robust.has_second_pass:
        take_back(backprop, d_first)
        return loss
    if robust.adversary_radius > 0.0:
        # The second pass is against the first one's gradients.
        take_back(backprop, 0.5 * d_first)
        d_first = numpy.zeros_like(d_first)
    with second_pass():
        logits, second_backprop = model.begin_update(docs)
    second = model.ops.to_numpy(logits)
    second_loss, d_second = get_loss(second)
    gap, d_gap_first, d_gap_second = get_disagreement(first, second)
    if robust.adversary_radius == 0.0 or robust.agreement > 0.0:
        take_back(backprop, 0.5 * (d_first + robust.agreement * d_gap_first))
    take_back(second_backprop, 0.5 * (d_second + robust.agreement * d_gap_second))
    return 0.5 * (loss + second_loss + robust.agreement * gap)
