"""Classifiers that share the encoder of another one in the pipeline."""

from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from spacy.tokens import Doc
from thinc.api import Model, Optimizer, Shim, chain
from thinc.types import Floats2d
from torch import Tensor

from .shim import TextCatShim
from .textcat import make_textcat


class UpstreamShim(Shim):
    """Knows whose encoder a head shares. The encoder is trained and stored there only.

    upstream (str): Name of the component that has the encoder.
    """

    def __init__(self, upstream: str):
        super().__init__(None)
        self.upstream = upstream
        self._owner: Optional[TextCatShim] = None

    @property
    def owner(self) -> TextCatShim:
        """What holds the encoder. RAISES (ValueError): If it is not in the pipeline."""
        if self._owner is None:
            raise ValueError(
                f"There is no encoder of '{self.upstream}' to share. The pipeline needs a "
                f"component of that name before this one, enabled, with an encoder of its own: an "
                f"xlt_textcat with spacy_xlt.TextCat.v1."
            )
        return self._owner

    def link(self, owner: TextCatShim) -> None:
        """Share an encoder from now on."""
        owner.is_shared = True
        self._owner = owner

    def finish_update(self, optimizer: Optimizer) -> None:
        """Nothing: the owner trains its encoder itself."""

    def to_device(self, device_type: str, device_id: int) -> None:
        """Nothing: the owner moves its encoder itself."""

    def to_bytes(self) -> bytes:
        return b""

    def from_bytes(self, data: bytes) -> "UpstreamShim":
        return self


def make_listening_textcat(
    upstream: str, shim: TextCatShim, n_labels: Optional[int] = None
) -> Model[List[Doc], Floats2d]:
    """A head on the vectors of documents that another component's encoder makes.

    upstream (str): Name of that component.
    shim (TextCatShim): Holds the head, or will.
    RETURNS (Model[List[Doc], Floats2d]): The layer. Output shape: (n_docs, n_labels)
    """
    head = make_textcat(shim, n_labels)
    vectors: Model[List[Doc], Floats2d] = Model(
        "xlt_shared_vectors", forward, shims=[UpstreamShim(upstream)]
    )
    model: Model[List[Doc], Floats2d] = chain(vectors, head)
    model.set_ref("shared_vectors", vectors)
    model.set_ref("output_layer", head)
    return model


def forward(
    model: Model[List[Doc], Floats2d], X: List[Doc], is_train: bool
) -> Tuple[Floats2d, Callable[[Floats2d], List[Doc]]]:
    """Vectors of documents; the encoder gets no gradients."""
    shim: Any = model.shims[0]
    texts = [doc.text for doc in X]
    vectors = shim.owner.features(texts) if is_train else shim.owner.embed(texts).cpu().numpy()
    return model.ops.asarray2f(vectors), lambda dY: []


def share_encoder(shim: TextCatShim, other: TextCatShim) -> bool:
    """Let a classifier use another one's encoder if it gives the same vectors as its own.

    For prediction only: the encoder runs once for a batch that both classify, and that of `shim`
    is forgotten.

    RETURNS (bool): False if they differ.
    """
    if not shim.is_ready or not other.is_ready or _describe(shim) != _describe(other):
        return False
    mine, theirs = _tensors_of_vectors(shim), _tensors_of_vectors(other)
    same = (
        tensor.dtype == theirs[name].dtype and torch.equal(tensor, theirs[name])
        for name, tensor in mine.items()
    )
    if not mine or mine.keys() != theirs.keys() or not all(same):
        return False
    shim.use_encoder_of(other)
    return True


def _describe(shim: TextCatShim) -> Tuple[Any, ...]:
    """All that vectors depend on besides weights."""
    encoder = shim.classifier.encoder
    if encoder is None:
        return ()
    return (
        shim.reader.reading,
        (shim.dtype, shim.classifier.device, shim.settings.max_predict_pieces),
        (encoder.to_json(), encoder.adapter, shim.reader.tokenizer.to_json()),
    )


def _tensors_of_vectors(shim: TextCatShim) -> Dict[str, Tensor]:
    made_by = ("encoder.", "centres.")
    return {name: t for name, t in shim.tensors().items() if name.startswith(made_by)}
