"""What components with an encoder have in common: whose it is, and what it gives."""

from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
    cast,
)

import numpy
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from ..encoder_files import EncoderRecord

if TYPE_CHECKING:
    from ..layers.shim import TextCatShim
    from ..layers.timing import EncoderRun
    from ..layers.training_state import TrainingState


class EncoderPipe(TrainablePipe):
    """A component with weights on the vectors that an encoder makes of documents.

    The encoder is its own, or that of another such component, or that of a `transformer`.
    """

    # -- whose encoder it is ----------------------------------------------------------------

    @property
    def encoder_record(self) -> EncoderRecord:
        """Where the encoder came from and which variant it is; empty if a transformer has it."""
        return {} if self._encoder_shim is None else self._encoder_shim.record

    @property
    def reads_text(self) -> bool:
        """Whether it needs nothing of a Doc but its text: it has an encoder of its own, or uses
        that of another classifier."""
        return self._encoder_shim is not None

    @property
    def _shim(self) -> "TextCatShim":
        return cast("TextCatShim", self.model.get_ref("output_layer").shims[0])

    @property
    def _encoder_shim(self) -> Optional["TextCatShim"]:
        """What holds the encoder that reads texts: its own, or that of the classifier whose encoder
        it shares. None if a `transformer` component has it.

        RAISES (ValueError): If that classifier is not in the pipeline.
        """
        if self._shim.reading is not None:
            return self._shim
        if self.model.has_ref("shared_vectors"):
            upstream: Any = self.model.get_ref("shared_vectors").shims[0]
            return cast("TextCatShim", upstream.owner)
        return None

    @property
    def _tok2vec(self) -> Model[List[Doc], List[Floats2d]]:
        """What makes the vectors of tokens where the component has no encoder of its own: a
        listener without weights, or, after `nlp.replace_listeners`, a copy of what it heard."""
        return self.model.get_ref("tok2vec")

    @property
    def n_layers(self) -> int:
        """Layers of its encoder; 0 if it shares one."""
        encoder = self._shim.classifier.encoder
        return 0 if encoder is None else encoder.n_layers

    def merge_adapter(self) -> bool:
        """Let LoRA become part of the encoder's weights. False if there is none."""
        return self._shim.merge_adapter()

    def share_encoder(self, other: "EncoderPipe") -> bool:
        """Use another classifier's encoder if it is the same, so that it runs once for both.

        For prediction only. RETURNS (bool): False if they differ.
        """
        from ..layers.sharing import share_encoder

        return share_encoder(self._shim, other._shim)

    # spaCy introduces components that have all of these to those after them. Nothing is handed
    # over, so there is nothing to list: a head asks for the vectors of texts when it needs them.
    listeners: Sequence[Model] = ()
    listening_components: Sequence[str] = ()
    listener_map: Dict[str, Sequence[Model]] = {}

    def add_listener(self, listener: Model, component_name: str) -> None:
        """Nothing."""

    def remove_listener(self, listener: Model, component_name: str) -> bool:
        """Nothing."""
        return False

    def find_listeners(self, component: Any) -> None:
        """Let a classifier after this one share its encoder, if it was told to."""
        if isinstance(component, EncoderPipe) and component.model.has_ref("shared_vectors"):
            upstream: Any = component.model.get_ref("shared_vectors").shims[0]
            if upstream.upstream == self.name and self._shim.reading is not None:
                upstream.link(self._shim)

    # -- what the encoder gives -------------------------------------------------------------

    def embed(self, docs: Iterable[Doc]) -> Floats2d:
        """The vector of each document that the head sees. Shape: (n_docs, width)"""
        from ..layers.device import to_ops

        shim = self._encoder_shim
        if shim is None:
            raise ValueError(
                f"'{self.name}' shares its encoder with the pipeline; take vectors from the "
                f"'transformer' component instead."
            )
        return to_ops(self.model.ops, shim.embed([doc.text for doc in docs]))

    def find_pieces(self, docs: Iterable[Doc]) -> Optional[List[numpy.ndarray]]:
        """Characters of each document's word pieces, from and up to; None if it has no tokenizer
        of its own. Shape of each: (n_pieces, 2)"""
        tokenizer = None if self._encoder_shim is None else self._encoder_shim.tokenizer
        if tokenizer is None:
            return None
        return [offsets for _, offsets in tokenizer.encode_with_offsets([d.text for d in docs])]

    def count_pieces(self, texts: Sequence[str]) -> List[Tuple[int, int]]:
        """Word pieces of each text, and how many of them the encoder cannot read.

        RETURNS (List[Tuple[int, int]]): Empty if another component divides texts into pieces.
        """
        return [] if self._encoder_shim is None else self._encoder_shim.reader.count_pieces(texts)

    def unknown_shares(self, texts: List[str]) -> List[float]:
        """Share of each text's pieces that the encoder cannot read; 0 for each if another component
        divides texts into pieces."""
        if self._encoder_shim is None:
            return [0.0] * len(texts)
        return self._encoder_shim.reader.unknown_shares(texts)

    def prepare_encoder_run(self, texts: List[str]) -> "EncoderRun":
        """The encoder's part of predicting texts, ready to be timed; see `layers.timing`.

        RAISES (ValueError): If the component shares its encoder with the pipeline.
        """
        return self._shim.prepare_encoder_run(texts)

    # -- a run ------------------------------------------------------------------------------

    def set_run_length(self, n_steps: int) -> None:
        """Tell how many steps the run will have; called by `spacy_xlt.run_length.v1`."""
        self._shim.set_run_length(n_steps)

    @property
    def has_gradients(self) -> bool:
        """Whether it is in the middle of a step: `update` was called, `finish_update` not yet."""
        return self._shim.weight_seen > 0.0

    def training_state(self) -> "TrainingState":
        """What a run needs to go on from here, between two steps."""
        return self._shim.training_state()

    def set_training_state(self, state: "TrainingState") -> None:
        """Go on from a state. RAISES (ValueError): If it is that of another classifier."""
        self._shim.set_training_state(state)
