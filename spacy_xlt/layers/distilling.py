"""A small classifier that learns to compute what a large one does, piece by piece."""

from typing import Dict, List, Sequence

import numpy
import torch
from thinc.api import Optimizer
from torch import Tensor
from torch.nn import functional as F

from .classifier import TextClassifier, assemble_classifier
from .device import resolve_precision
from .dropout import Dropout
from .encoder import Encoder
from .shim import TextCatShim
from .windows import WindowBatch

# Learning rate of a student's layer as a multiple of that of the layer above. The last one has most
# to make up for; what the lowest ones know of words, a higher rate makes them forget.
LAYER_DECAY = 0.5
# What a text's vector counts beside its pieces.
VECTOR_WEIGHT = 4.0


def outer_layers(n_layers: int, n_kept: int) -> List[int]:
    """Places of the lowest layers and of the last one.

    What the lowest ones know of words is hard to learn anew from few texts. With layers at even
    distances, which stand apart, a student has learned less after as many steps.

    RAISES (ValueError): If there are not so many layers.
    """
    if not 1 <= n_kept <= n_layers:
        raise ValueError(f"{n_kept} layers are to be kept; allowed are 1 to {n_layers}.")
    return [*range(n_kept - 1), n_layers - 1]


def check_layers(layers: Sequence[int], n_layers: int) -> List[int]:
    """Places of layers to keep, ascending.

    RAISES (ValueError): If there are none, one is named twice, or one is not there.
    """
    if not layers or len(set(layers)) < len(layers) or not set(layers) <= set(range(n_layers)):
        raise ValueError(
            f"The layers to keep are {list(layers)}; allowed are different numbers from 0 to "
            f"{n_layers - 1}, at least one."
        )
    return sorted(layers)


def keep_layers(classifier: TextClassifier, layers: Sequence[int]) -> TextClassifier:
    """A classifier with some of another one's layers, and all that is around them.

    classifier (TextClassifier): The other one; tensors are shared with it.
    layers (Sequence[int]): Places of the layers, see `check_layers`.
    RETURNS (TextClassifier): The new classifier.
    RAISES (ValueError): If the encoder is not of the BERT family, has an adapter, or a layer is
        not there.
    """
    encoder = classifier.encoder
    if encoder is None or not encoder.is_packed:
        kind = "one of another component" if encoder is None else f"a '{encoder.model_type}'"
        raise ValueError(
            f"The encoder is {kind}; only bert, roberta and xlm-roberta encoders with absolute "
            f"positions are made smaller. To train another one by a pipeline's answers, let the "
            f"pipeline label the texts, and train on them."
        )
    if encoder.adapter is not None:
        raise ValueError(
            f"The encoder has the adapter {encoder.adapter}, which cannot become part of the "
            f"weights that a student starts with. Let the pipeline label the texts, and train on "
            f"them; or distil a pipeline without it, or with LoRA."
        )
    kept = check_layers(layers, encoder.n_layers)
    prefix = f"encoder.{encoder.layers_prefix()}"
    tensors: Dict[str, Tensor] = {}
    for name, parameter in classifier.named_parameters():
        if name.startswith(prefix):
            number, rest = name[len(prefix) :].split(".", 1)
            if int(number) not in kept:
                continue
            name = f"{prefix}{kept.index(int(number))}.{rest}"
        tensors[name] = parameter.detach()
    config = {**encoder.to_json(), "num_hidden_layers": len(kept)}
    return assemble_classifier(config, tensors, normalize=classifier.normalize)


class Distillation:
    """Steps of a small classifier towards what a large one computes.

    Its last layer learns to give what that of the large one gives, piece by piece, which says far
    more than some probabilities of each text; and the mean over a text, and the probabilities,
    count too. What lies between is its own affair: goals for the other layers did not help.

    teacher (TextCatShim): The large classifier. It is arranged for prediction and not to be
        trained any more.
    student (TextCatShim): The small one, made of it by `keep_layers`.
    exclusive (bool): Whether labels exclude each other.
    temperature (float): By what logits are divided before they become probabilities.
    SOURCE: hidden states: Jiao et al. (2020), equation 9, https://arxiv.org/abs/1909.10351, here
        of the last layer only, divided by their variance and in one stage; probabilities: Hinton
        et al. (2015), section 2, https://arxiv.org/abs/1503.02531.
    """

    def __init__(
        self,
        teacher: TextCatShim,
        student: TextCatShim,
        *,
        exclusive: bool,
        temperature: float,
    ):
        self.student = student
        self.exclusive = exclusive
        self.temperature = temperature
        self._teacher = teacher.classifier
        self._dtype = resolve_precision(teacher.settings.precision, self._teacher.device)
        _encoder(self._teacher).prepare_for_prediction(self._dtype)

    def step(
        self, texts: Sequence[str], others: Sequence[numpy.ndarray], optimizer: Optimizer
    ) -> float:
        """Learn from a batch.

        texts (Sequence[str]): The batch.
        others (Sequence[numpy.ndarray]): Logits of more teachers. Shape of each:
            (n_texts, n_labels)
        RETURNS (float): Mean loss before the step.
        """
        loss = 0.0
        for part in filter(None, self.student.plan_updates(texts)):
            loss += self._add_gradients([texts[i] for i in part], [own[part] for own in others])
        self.student.weight_seen += len(texts)
        self.student.finish_update(optimizer)
        return loss / len(texts)

    def _add_gradients(self, texts: Sequence[str], others: Sequence[numpy.ndarray]) -> float:
        batches = self.student.reader.training_batches(texts)
        if not batches:  # no text has a piece
            return 0.0
        classifier = self.student.classifier.train()
        dtype = resolve_precision(self.student.settings.precision, classifier.device)
        found = [_run_encoder(classifier, batch, dtype) for batch in batches]
        with torch.no_grad():
            wanted = [_run_encoder(self._teacher, batch, self._dtype).float() for batch in batches]
            target = self._teacher.pool_pieces(batches, wanted, len(texts))
            logits = [self._teacher.head(target).float()]
            logits += [torch.from_numpy(own).to(target) for own in others]
            probs = torch.stack([self._outcomes(own).softmax(dim=-1) for own in logits]).mean(dim=0)
        vectors = classifier.pool_pieces(batches, found, len(texts))
        loss = _distance(torch.cat(found), torch.cat(wanted))
        loss = loss + VECTOR_WEIGHT * _distance(vectors, target)
        loss = loss + self._label_loss(classifier.head(vectors).float(), probs)
        loss = loss * len(texts)
        loss.backward()
        return float(loss.detach())

    def _outcomes(self, logits: Tensor) -> Tensor:
        """Logits of what exclude each other, at the temperature: all labels, or, if any number may
        hold, yes and no of each. Shape: (n_texts, n_questions, n_outcomes)"""
        outcomes = [logits] if self.exclusive else [logits, torch.zeros_like(logits)]
        return torch.stack(outcomes, dim=1 if self.exclusive else 2) / self.temperature

    def _label_loss(self, logits: Tensor, probs: Tensor) -> Tensor:
        """Divergence from a teacher's probabilities, brought to the size that it has without a
        temperature."""
        found = F.log_softmax(self._outcomes(logits), dim=-1)
        return F.kl_div(found, probs, reduction="none").sum(dim=-1).mean() * self.temperature**2


def _run_encoder(classifier: TextClassifier, batch: WindowBatch, dtype: torch.dtype) -> Tensor:
    return _encoder(classifier)(batch, dtype=dtype, dropout=Dropout(0.0))


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference, as a share of the variance of what is wanted."""
    spread = (wanted - wanted.mean(dim=0)).square().mean() if len(wanted) > 1 else wanted.var()
    return F.mse_loss(found, wanted) / spread.clamp(min=1e-8)


def _encoder(classifier: TextClassifier) -> Encoder:
    assert classifier.encoder is not None
    return classifier.encoder
