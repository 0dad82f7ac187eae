"""Encoder, pooling and head in one torch module."""

from dataclasses import replace
from functools import partial
from typing import Any, Callable, Dict, Iterable, Optional, Sequence

import numpy
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..types import AdapterSettings, Freeze
from .adapters import is_adapter_name
from .adversary import ChangeInput
from .centres import LanguageCentres
from .dropout import Dropout
from .encoder import Encoder, build_encoder
from .neighbours import Neighbours
from .ngrams import CharacterNgrams
from .window_cache import WindowCache
from .windows import WindowBatch


class TextClassifier(nn.Module):
    """A linear head on one vector per document.

    encoder (Optional[Encoder]): What makes the vectors; None where they come from elsewhere.
    width (int): Length of the vectors.
    n_labels (int): Number of outputs.
    normalize (bool): Whether pooled vectors get unit length.
    """

    def __init__(self, encoder: Optional[Encoder], width: int, n_labels: int, *, normalize: bool):
        super().__init__()
        self.encoder = encoder
        self.normalize = normalize
        self.head = nn.Linear(width, n_labels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.centres: Optional[LanguageCentres] = None
        self.neighbours: Optional[Neighbours] = None
        self.ngrams: Optional[CharacterNgrams] = None

    @property
    def width(self) -> int:
        return self.head.in_features

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def pool(
        self,
        batches: Sequence[WindowBatch],
        n_docs: int,
        dtype: torch.dtype,
        dropout: Dropout,
        frozen: Optional[WindowCache] = None,
        vectors: Optional[Tensor] = None,
        change: Optional[ChangeInput] = None,
    ) -> Tensor:
        """One vector per document: the weighted mean of its pieces over all its windows.

        batches (Sequence[WindowBatch]): Every window of the documents, in any order.
        n_docs (int): Number of documents; one without windows gets the zero vector.
        dtype (torch.dtype): Arithmetic of the encoder's matrix products.
        dropout (Dropout): Dropout inside the encoder.
        frozen (Optional[WindowCache]): Keeps what the encoder's frozen lowest layers give.
        vectors (Optional[Tensor]): What the batches' ids are rows of, to take gradients of; None
            for the encoder's own table of pieces. Shape: (n_rows, width)
        change (Optional[ChangeInput]): Applied to what enters the encoder's trained layers.
        RETURNS (Tensor): fp32. Shape: (n_docs, width)
        """
        encoder = self.encoder
        assert encoder is not None

        def encode(batch: WindowBatch) -> Tensor:
            run = partial(
                encoder,
                batch,
                dtype=dtype,
                dropout=dropout,
                frozen=frozen,
                vectors=vectors,
                change=change,
            )
            # Gradients of the vectors want all batches at once; each is computed again for them,
            # so that a long document takes no more memory than a batch.
            return run() if vectors is None or len(batches) == 1 else recomputed(run)

        return self.pool_pieces(batches, map(encode, batches), n_docs)

    def pool_pieces(
        self, batches: Sequence[WindowBatch], hidden: Iterable[Tensor], n_docs: int
    ) -> Tensor:
        """The same of vectors of pieces, as the encoder gives them for each batch.

        RETURNS (Tensor): fp32. Shape: (n_docs, width)
        """
        device = self.device
        sums = torch.zeros(n_docs, self.width, device=device)
        totals = torch.zeros(n_docs, 1, device=device)
        for batch, vectors in zip(batches, hidden, strict=True):
            docs = torch.from_numpy(batch.docs).to(device)
            matrix = batch.pool_matrix(device)
            sums = sums.index_add(0, docs, matrix @ vectors)
            totals = totals.index_add(0, docs, matrix.sum(dim=1, keepdim=True))
        pooled = sums / totals.clamp(min=1e-6)
        if self.normalize:
            pooled = nn.functional.normalize(pooled, dim=1)
        return pooled if self.centres is None else self.centres.take_off(pooled)

    def set_head(self, weight: numpy.ndarray, bias: numpy.ndarray) -> None:
        """Replace the head. Shapes: (n_labels, width), (n_labels,)"""
        self.head = nn.Linear(self.width, weight.shape[0], device=self.device)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight))
            self.head.bias.copy_(torch.from_numpy(bias))

    def freeze(self, what: Freeze) -> None:
        """Choose which parameters training leaves untouched.

        what (Freeze): "none", "embeddings" (the word-piece table), a number N (everything below
            the layers, and the N lowest layers), "half" (the lower half of them), or "encoder".
            With an adapter, the encoder's own parameters are left untouched all the same.
        RAISES (ValueError): If it is none of these.
        """
        if self.encoder is None:
            return
        n_layers = self.encoder.n_layers
        if what == "half":
            what = n_layers // 2
        has_adapter = self.encoder.adapter is not None
        for name, parameter, depth in self.encoder.named_depths():
            if isinstance(what, int) and not isinstance(what, bool) and 0 <= what <= n_layers:
                frozen = depth <= what
            elif what in ("none", "embeddings", "encoder"):
                is_table = parameter is self.encoder.piece_table
                frozen = what == "encoder" or (what == "embeddings" and is_table)
            else:
                raise ValueError(
                    f"freeze is {what!r}. Allowed are 'none', 'embeddings', 'half', 'encoder', "
                    f"or a number of lowest layers from 0 to {n_layers}."
                )
            if has_adapter and not is_adapter_name(name):
                frozen = True
            parameter.requires_grad_(not frozen)

    def set_adapter(self, adapter: Optional[AdapterSettings], freeze: Freeze) -> None:
        """Have an adapter in the layers that `freeze` does not name, or none.

        RAISES (ValueError): If the encoder cannot have it.
        """
        if self.encoder is None:
            return
        if adapter is not None:
            self.freeze(freeze)  # refuses what is no such setting
            n_layers = self.encoder.n_layers
            frozen = {"half": n_layers // 2, "encoder": n_layers}
            n_below = freeze if isinstance(freeze, int) else frozen.get(freeze, 0)
            adapter = replace(adapter, n_below=n_below)
        self.encoder.set_adapter(adapter)

    def halve_frozen(self) -> None:
        """Bring the encoder's frozen matrices to fp16, in which it keeps them.

        A weight loses at most one part in 2,048, a quarter of what bfloat16 arithmetic rounds
        off. Encoders that only the transformers library runs stay in fp32, since its modules do
        not mix precisions.
        """
        if self.encoder is None or not self.encoder.is_packed:
            return
        for parameter in self.encoder.parameters():
            if not parameter.requires_grad and parameter.ndim > 1 and fits_half(parameter):
                parameter.data = parameter.data.half()

    def widen_trained(self) -> None:
        """Bring to fp32 what is trained, and what the encoder cannot keep in fp16."""
        keeps_half = self.encoder is not None and self.encoder.is_packed
        for parameter in self.parameters():
            if parameter.is_floating_point() and (parameter.requires_grad or not keeps_half):
                parameter.data = parameter.data.float()


def recomputed(function: Callable[[], Tensor]) -> Tensor:
    """What a function gives, computed once more for gradients rather than kept."""
    return checkpoint(function, use_reentrant=False)


def fits_half(tensor: Tensor) -> bool:
    """Whether fp16 can hold a tensor's largest value."""
    return float(tensor.detach().abs().max()) < torch.finfo(torch.float16).max


def assemble_classifier(
    config: Optional[Dict[str, Any]],
    tensors: Dict[str, Tensor],
    *,
    normalize: bool,
    attention: str = "eager",
    adapter: Optional[AdapterSettings] = None,
) -> TextClassifier:
    """Build a classifier around tensors, without copying them.

    config (Optional[Dict[str, Any]]): Content of the encoder's `config.json`; None if the
        classifier is a head only.
    tensors (Dict[str, Tensor]): The tensors by name.
    normalize (bool): Whether pooled vectors get unit length.
    attention (str): "eager" or "sdpa".
    adapter (Optional[AdapterSettings]): That of the encoder.
    RETURNS (TextClassifier): The classifier.
    RAISES (ValueError): If tensors are missing, unknown or of the wrong shape.
    """
    if "head.weight" not in tensors:
        raise ValueError("The classifier's weights are incomplete: 'head.weight' is missing.")
    n_labels, width = tensors["head.weight"].shape
    encoder = None if config is None else build_encoder(config, attention=attention)
    if encoder is not None:
        encoder.set_adapter(adapter)
    classifier = TextClassifier(encoder, width, n_labels, normalize=normalize)
    if "centres.means" in tensors:
        classifier.centres = LanguageCentres(tensors["centres.means"].shape[0], width)
    if "neighbours.vectors" in tensors:
        n_texts = tensors["neighbours.vectors"].shape[0]
        classifier.neighbours = Neighbours(n_texts, n_labels, width)
    if "ngrams.hashes" in tensors:
        classifier.ngrams = CharacterNgrams(tensors["ngrams.hashes"].shape[0], n_labels)
    expected = {name for name, _ in classifier.named_parameters()}
    if set(tensors) != expected:
        missing, unknown = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
        raise ValueError(
            f"The classifier's weights do not fit its configuration: {len(missing)} tensors are "
            f"missing {missing[:3]}, {len(unknown)} are unknown {unknown[:3]}."
        )
    try:
        classifier.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as e:
        raise ValueError(f"The classifier's weights do not fit its configuration: {e}") from e
    if encoder is not None:
        encoder.tie_weights()
    return classifier
