"""The shim between Thinc and the torch classifier: weights, prediction, training, storage."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy
import torch
from thinc.api import Optimizer, Shim
from torch import Tensor

from ..encoder_files import EncoderRecord, read_encoder_record
from ..pieces import BoundedCache, PieceTokenizer, text_hash
from ..types import (
    AdapterSettings,
    EncoderSettings,
    Freeze,
    HalfPrecision,
    LoRASettings,
    Precision,
    RobustSettings,
)
from .attribution import PieceAttribution, attribute_texts
from .centres import LanguageCentres
from .classifier import TextClassifier, assemble_classifier
from .contrast import contrast_loss
from .device import resolve_device, resolve_precision
from .dropout import Dropout
from .encoder import load_encoder, mix_encoders
from .neighbours import Neighbours
from .ngrams import CharacterNgrams
from .passes import Passes
from .ranks import own_share
from .reversal import LanguageCritic
from .storage import load_shim, save_shim, shim_from_bytes, shim_to_bytes
from .text_reader import CACHE_BYTES, TextReader
from .timing import EncoderRun, prepare_run
from .training_state import TrainingState
from .training_steps import TrainingSteps, set_weights
from .window_cache import WindowCache

Backprop = Callable[[Tensor], Optional[Tensor]]


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier trains and predicts; `architectures.build_textcat_v1` explains each."""

    freeze: Freeze = "embeddings"
    adapter: Optional[AdapterSettings] = None
    rate_factor: float = 1.0
    head_rate_factor: float = 2.0
    layer_decay: float = 1.0
    unfreeze: float = 0.0
    contrast: float = 0.0
    contrast_temperature: float = 0.1
    average_last: float = 0.7
    start_share: float = 0.0
    neighbours: int = 0
    neighbour_share: float = 0.4
    ngram_share: float = 0.0
    max_train_pieces: int = 2048
    max_train_windows: int = 4
    max_predict_pieces: int = 4096
    precision: Precision = "auto"
    half_precision: HalfPrecision = "frozen"
    device: str = "auto"
    robust: RobustSettings = RobustSettings()


class TextCatShim(Shim):
    """Holds a `TextClassifier` and does for it what Thinc asks of a layer.

    Without a classifier (before `initialize`, or before a pipeline is loaded) it holds settings
    only, so creating and copying a component costs nothing.
    """

    def __init__(self, settings: ClassifierSettings, reading: Optional[EncoderSettings] = None):
        super().__init__(None)
        self.settings = settings
        self.reading = reading
        self.record: EncoderRecord = {}
        self.run_length = 0
        self.dropout_rate = 0.0
        # Of the training texts, with labels or without.
        self.langs: List[str] = []
        # Gold probabilities and weights of the next training batch, for the loss over pairs.
        self.pairing: Optional[Tuple[numpy.ndarray, numpy.ndarray]] = None
        # Where the frozen tensors were last written, and the stamp of that file.
        self.frozen_stamps: Dict[str, Tuple[int, ...]] = {}
        self._reader: Optional[TextReader] = None
        # By hashes, so that the texts need not be kept.
        self._features: BoundedCache[numpy.ndarray] = BoundedCache(CACHE_BYTES)
        self._frozen = WindowCache(CACHE_BYTES)
        # Whether other heads use its encoder, and whose encoder it uses in place of its own.
        self.is_shared = False
        self._source: Optional[TextCatShim] = None
        # Keeps nothing: for windows that do not come again.
        self._unkept = WindowCache(0)
        self._reset()

    def _reset(self) -> None:
        self.weight_seen = 0.0
        self._steps: Optional[TrainingSteps] = None
        self._passes: Optional[Passes] = None
        self._critic: Optional[LanguageCritic] = None
        self._inference: Optional[TextClassifier] = None
        # Vectors of the texts that were predicted last, by hash, and what made them.
        self._last_vectors: Tuple[Optional[TextClassifier], Dict[bytes, Tensor]] = (None, {})

    # -- weights ----------------------------------------------------------------------------

    @property
    def classifier(self) -> TextClassifier:
        """The classifier. RAISES (ValueError): If there is none yet."""
        if self._model is None:
            raise ValueError(
                "The classifier has no weights yet. Call nlp.initialize(…) with paths.encoder "
                "set to an encoder directory, or load a trained pipeline."
            )
        return self._model

    @property
    def is_ready(self) -> bool:
        return self._model is not None

    def set_classifier(
        self,
        classifier: TextClassifier,
        tokenizer: Optional[PieceTokenizer] = None,
        record: Optional[EncoderRecord] = None,
    ) -> None:
        """Take a classifier, forgetting everything about an earlier one."""
        classifier.set_adapter(self.settings.adapter, self.settings.freeze)
        classifier.freeze(self.settings.freeze)
        classifier.widen_trained()
        self._model = classifier.to(resolve_device(self.settings.device))
        self.record = record or {}
        self._reader = self._make_reader(tokenizer)
        self.frozen_stamps = {}
        self._source = None
        self._features.clear()
        self._frozen.clear()
        self._reset()

    def _make_reader(self, tokenizer: Optional[PieceTokenizer]) -> Optional[TextReader]:
        encoder = self.classifier.encoder
        if tokenizer is None or self.reading is None or encoder is None:
            return None
        return TextReader(
            tokenizer, encoder, reading=self.reading, record=self.record, settings=self.settings
        )

    @property
    def reader(self) -> TextReader:
        """What reads texts for the encoder. RAISES (ValueError): If it has none of its own."""
        if self.reading is None:
            raise ValueError("The encoder belongs to another component of the pipeline.")
        assert self.classifier is not None and self._reader is not None
        return self._reader

    @property
    def tokenizer(self) -> Optional[PieceTokenizer]:
        """The encoder's tokenizer; None without an encoder."""
        return None if self._reader is None else self._reader.tokenizer

    def load_encoder(self, n_labels: int) -> None:
        """Read the encoder directory of the settings, with a new head.

        RAISES (ValueError): If there is no readable encoder.
        """
        assert self.reading is not None
        path, normalize = self._encoder_path, self.reading.normalize
        encoder = load_encoder(path)
        classifier = TextClassifier(encoder, encoder.width, n_labels, normalize=normalize)
        classifier.set_adapter(self.settings.adapter, self.settings.freeze)
        if self.settings.half_precision != "none":
            classifier.freeze(self.settings.freeze)
            classifier.halve_frozen()
        tokenizer = PieceTokenizer.from_path(path)
        if tokenizer.n_pieces > encoder.piece_table.shape[0]:
            raise ValueError(
                f"The tokenizer in '{path}' has {tokenizer.n_pieces} pieces, but the encoder has "
                f"vectors for {encoder.piece_table.shape[0]}. They do not belong together."
            )
        self.set_classifier(classifier, tokenizer, read_encoder_record(path))

    def merge_adapter(self) -> bool:
        """Let LoRA become part of the encoder's weights, so that nothing needs the peft library.

        RETURNS (bool): False if there is no LoRA; other adapters stay as they are.
        """
        if not isinstance(self.settings.adapter, LoRASettings):
            return False
        self.steps.settle()
        self.settings = replace(self.settings, adapter=None)
        self.set_classifier(self.classifier, self.tokenizer, self.record)
        return True

    @property
    def _encoder_path(self) -> Path:
        """The encoder directory of the settings. RAISES (ValueError): If none is set."""
        if self.reading is None or self.reading.path is None:
            raise ValueError(
                "No encoder is set. Set paths.encoder (or the component's model.encoder.path) to "
                "an encoder directory, or get one with: python -m spacy xlt encoder fetch "
                "multilingual-e5-small encoders/multilingual-e5-small"
            )
        return Path(self.reading.path)

    def mix_untouched(self, share: float) -> None:
        """Bring the encoder nearer to what it was before any training; see `mix_encoders`.

        share (float): What the encoder in the directory of the settings counts, in [0, 1].
        RAISES (ValueError): If there is no such directory, or it holds another encoder.
        """
        path, encoder = self._encoder_path, self.classifier.encoder
        assert encoder is not None
        names = [record.get("name") for record in (self.record, read_encoder_record(path))]
        if None not in names and names[0] != names[1]:
            raise ValueError(
                f"The pipeline was trained from the encoder '{names[0]}', but '{path}' holds "
                f"'{names[1]}'; the weights between two encoders are neither. Set paths.encoder "
                f"to the first one, or untouched_share to 0 under [initialize.components]."
            )
        mix_encoders(encoder, load_encoder(path), share, source=str(path))
        self._features.clear()
        self._frozen.clear()
        self._inference = None

    def set_run_length(self, n_steps: int) -> None:
        """Tell how many steps the run will have, which averaging needs to know."""
        self.run_length = n_steps

    def set_head(self, weight: numpy.ndarray, bias: numpy.ndarray) -> None:
        """Replace the head's weights; those of the encoder, and what steps know of them, stay.

        weight, bias: Shapes: (n_labels, width), (n_labels,)
        """
        self.steps.settle()
        self.classifier.set_head(weight, bias)
        self.steps.regroup()
        self._inference = None

    @property
    def centres(self) -> Optional[LanguageCentres]:
        """What is taken off the vectors of each language, if anything."""
        return self.classifier.centres

    def set_centres(self, centres: Optional[LanguageCentres]) -> None:
        """Take something else off vectors, or nothing."""
        self.classifier.centres = centres
        self._features.clear()
        self._place_parts()

    @property
    def neighbours(self) -> Optional[Neighbours]:
        """The training texts that are remembered, if any."""
        return self.classifier.neighbours

    def set_neighbours(self, neighbours: Optional[Neighbours]) -> None:
        """Remember other training texts, or none."""
        self.classifier.neighbours = neighbours
        self._place_parts()

    @property
    def ngrams(self) -> Optional[CharacterNgrams]:
        """The weights of character n-grams, if there are any."""
        return self.classifier.ngrams

    def set_ngrams(self, ngrams: Optional[CharacterNgrams]) -> None:
        """Have other weights of character n-grams, or none."""
        self.classifier.ngrams = ngrams
        self._place_parts()

    def _place_parts(self) -> None:
        """After the classifier has got another part: bring it to the device of all."""
        self.classifier.to(self.classifier.device)
        self._inference = None

    def head_rows(self, rows: Sequence[Optional[int]]) -> Tuple[numpy.ndarray, numpy.ndarray]:
        """Weight and bias of a head made of rows of this one; None is a row of zeros.

        RETURNS (Tuple[numpy.ndarray, numpy.ndarray]): Shapes: (n_rows, width), (n_rows,)
        """
        tensors = self.tensors()
        weight, bias = tensors["head.weight"].cpu().numpy(), tensors["head.bias"].cpu().numpy()
        new_weight = numpy.zeros((len(rows), weight.shape[1]), dtype="f")
        new_bias = numpy.zeros(len(rows), dtype="f")
        for i, row in enumerate(rows):
            if row is not None:
                new_weight[i], new_bias[i] = weight[row], bias[row]
        return new_weight, new_bias

    def tensors(self) -> Dict[str, Tensor]:
        """Every tensor to predict with and to store, averaged ones where there is a mean."""
        averages = self.steps.averages()
        named = dict(self.classifier.named_parameters())
        return {name: averages.get(name, p.detach()) for name, p in named.items()}

    def set_trained(self, tensors: Dict[str, Tensor]) -> None:
        """Replace what training changes, by name; what steps know of it is forgotten."""
        set_weights(self.classifier, tensors)
        self._reset()

    def frozen_names(self) -> List[str]:
        """Names of the tensors that training leaves untouched."""
        return [n for n, p in self.classifier.named_parameters() if not p.requires_grad]

    # -- prediction -------------------------------------------------------------------------

    def predict(self, texts: Any) -> Tensor:
        """Logits of texts, or of vectors where there is no encoder. Shape: (n_docs, n_labels)"""
        with torch.inference_mode():
            classifier = self._for_inference()
            if isinstance(texts, Tensor):
                return classifier.head(texts.to(classifier.device)).float()
            vectors = self._vectors(texts)
            logits = classifier.head(vectors).float()
            if classifier.ngrams is not None and self.settings.ngram_share:
                logits = classifier.ngrams.sway(logits, texts, share=self.settings.ngram_share)
            if classifier.neighbours is None or not self.settings.neighbours:
                return logits
            return classifier.neighbours.sway(
                logits,
                vectors,
                n_nearest=self.settings.neighbours,
                share=self.settings.neighbour_share,
            )

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Pooled vectors of texts, as the head sees them. Shape: (n_docs, width)"""
        with torch.inference_mode():
            return self._vectors(texts)

    def use_encoder_of(self, other: "TextCatShim") -> None:
        """Predict by the encoder of another classifier, which is the same, and forget the own one.

        The encoder runs once for a batch that both classify.
        """
        self.classifier.encoder = other.classifier.encoder
        self._inference = None
        self._source = other
        other.is_shared = True

    def prepare_encoder_run(self, texts: Sequence[str]) -> EncoderRun:
        """The encoder's part of predicting texts, ready to be timed.

        RAISES (ValueError): If there is no encoder of its own.
        """
        batches, classifier = self.reader.prediction_batches(texts), self._for_inference()
        assert classifier.encoder is not None
        return prepare_run(classifier.encoder, batches, classifier.device, self.dtype)

    def attribute(
        self, texts: Sequence[str], directions: numpy.ndarray, *, n_steps: int
    ) -> List[PieceAttribution]:
        """What each word piece of texts adds to a combination of their logits.

        texts (Sequence[str]): The texts.
        directions (numpy.ndarray): What each logit counts in it. Shape: (n_docs, n_labels)
        n_steps (int): Steps of the integral.
        RAISES (ValueError): If there is no encoder of its own.
        """
        reader = self.reader
        if self.settings.neighbours and self.neighbours is not None:
            raise ValueError(
                "The votes of training texts (neighbours) have no gradients. Explain by occlusion "
                "instead."
            )
        if self.centres is not None:
            raise ValueError(
                "From text to text another language's mean is taken off (centre_texts), by leaps "
                "that gradients do not see. Explain by occlusion instead."
            )
        with torch.inference_mode(False), torch.enable_grad():
            # Prediction's own maps have no gradients; weights need none here.
            classifier = self._second_classifier().requires_grad_(False)
            found = attribute_texts(
                classifier, reader, texts, directions, dtype=self.dtype, n_steps=n_steps
            )
        ngrams, share = self.ngrams, self.settings.ngram_share
        if ngrams is None or not share:
            return found
        rows = zip(found, texts, directions, ngrams.shares(texts, share=share), strict=True)
        return [
            own.blend(ngrams.attribute(text, direction), float(counts))
            for own, text, direction, counts in rows
        ]

    def features(self, texts: Sequence[str]) -> numpy.ndarray:
        """Pooled vectors of training texts, without dropout. Shape: (n_docs, width)"""
        with torch.inference_mode():
            return self._cached_features(texts).cpu().numpy()

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the encoder's matrix products."""
        return resolve_precision(self.settings.precision, self.classifier.device)

    def _vectors(self, texts: Sequence[str]) -> Tensor:
        """Pooled vectors to predict with; where others share them, each text is computed once."""
        if self._source is not None:
            return self._source._vectors(texts)
        classifier = self._for_inference()
        if not self.is_shared or not texts:
            return self._embed(classifier, texts)
        made_by, known = self._last_vectors  # another thread may replace it
        if made_by is not classifier:
            known = {}
        keys = [text_hash(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            made = self._embed(classifier, list(missing.values()))
            known = {**known, **dict(zip(missing, made, strict=True))}
            self._last_vectors = classifier, {key: known[key] for key in keys}
        return torch.stack([known[key] for key in keys])

    def _embed(self, classifier: TextClassifier, texts: Sequence[str]) -> Tensor:
        """Pooled vectors; a text that comes more than once is computed once."""
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        batches = self.reader.prediction_batches(list(rows))
        vectors = classifier.pool(batches, len(rows), self.dtype, Dropout(0.0))
        return vectors if len(rows) == len(texts) else vectors[[rows[text] for text in texts]]

    def _cached_features(self, texts: Sequence[str]) -> Tensor:
        """Pooled vectors by the encoder as it is now, which are kept until it is trained."""

        def embed(missing: Sequence[int]) -> List[numpy.ndarray]:
            with torch.inference_mode():
                wanted = [texts[i] for i in missing]
                vectors = self._embed(self._for_inference(), wanted).cpu().numpy()
            return [vector.copy() for vector in vectors]

        found = self._features.get_all([text_hash(text) for text in texts], embed)
        return torch.from_numpy(numpy.stack(found)).to(self.classifier.device)

    def _for_inference(self) -> TextClassifier:
        """A second classifier on the same tensors, arranged for speed.

        It has averaged weights, linear maps in the precision and order they are multiplied in,
        and fused attention, whose backward pass is what makes it slow in training.
        """
        if self._inference is None:
            self._inference = self._second_classifier()
            if self._inference.encoder is not None:
                self._inference.encoder.prepare_for_prediction(self.dtype)
        return self._inference

    def _second_classifier(self) -> TextClassifier:
        """Another classifier on the tensors to predict with, not yet arranged for speed."""
        source = self.classifier
        classifier = assemble_classifier(
            source.encoder.to_json() if source.encoder is not None else None,
            self.tensors(),
            normalize=source.normalize,
            attention="sdpa",
            adapter=None if source.encoder is None else source.encoder.adapter,
        )
        return classifier.to(source.device).eval()

    # -- training steps ---------------------------------------------------------------------

    def begin_update(
        self, inputs: Any, langs: Optional[Sequence[str]] = None
    ) -> Tuple[Tensor, Backprop]:
        """Logits of a training batch, and what takes their gradient back.

        inputs: Texts, or vectors where there is no encoder. Shape: (n_docs, width)
        langs (Optional[Sequence[str]]): Languages of texts, for the critic that the settings may
            ask for.
        RETURNS (Tuple[Tensor, Backprop]): Logits, and a function from their gradient to that of
            the inputs (None for texts). Gradients of weights add up until `finish_update`.
        """
        classifier = self.classifier.train()
        dropout = Dropout(self.dropout_rate)
        if isinstance(inputs, Tensor):
            pooled = inputs.to(classifier.device).requires_grad_(True)
        else:
            pooled = self._pool_in_training(inputs, dropout)
        logits = classifier.head(dropout(pooled)).float()
        outputs = [logits, *self._contrast(pooled)]
        if self.critic is not None and langs is not None and self.passes.is_last:
            outputs.append(self.critic.loss(pooled, langs, self._progress))
        keeps_graph = self.passes.keeps_graph

        def backprop(d_logits: Tensor) -> Optional[Tensor]:
            gradients = [d_logits.to(logits.device), *map(torch.ones_like, outputs[1:])]
            torch.autograd.backward(outputs, gradients, retain_graph=keeps_graph)
            return pooled.grad if isinstance(inputs, Tensor) else None

        return logits.detach(), backprop

    def _pool_in_training(self, texts: Sequence[str], dropout: Dropout) -> Tensor:
        passes, change = self.passes, self.passes.change()
        if self.settings.freeze == "encoder":
            features = self._cached_features(texts)
            rows = torch.arange(len(texts), device=features.device)
            return features if change is None else change(features, rows)
        reader = self.reader
        batches = passes.cut(texts, reader.training_pieces(texts), reader.cut_for_training)
        frozen = self._unkept if passes.has_noise else self._frozen
        return self.classifier.pool(batches, len(texts), self.dtype, dropout, frozen, change=change)

    @property
    def passes(self) -> Passes:
        """The passes of training over the same documents.

        RAISES (ValueError): If the tokenizer does not allow what the settings want of them.
        """
        if self._passes is None:
            self._passes = Passes(self.settings.robust, self.tokenizer)
        return self._passes

    @property
    def critic(self) -> Optional[LanguageCritic]:
        """What the encoder is trained against, if the settings ask for it.

        RAISES (ValueError): If there are no languages to tell apart.
        """
        weight = self.settings.robust.language_reversal
        if self._critic is None and weight > 0.0:
            classifier = self.classifier
            self._critic = LanguageCritic(self.langs, classifier.width, weight, classifier.device)
        return self._critic

    @property
    def _progress(self) -> float:
        """Share of the run that is over; 1 if its length is unknown."""
        return min(1.0, self.n_steps / self.run_length) if self.run_length else 1.0

    def _contrast(self, pooled: Tensor) -> List[Tensor]:
        """The loss over pairs of a training batch, if the settings ask for it."""
        pairing, self.pairing = self.pairing, None
        if pairing is None or self.settings.contrast == 0.0 or not pooled.requires_grad:
            return []
        targets, weights = (torch.from_numpy(array).to(pooled.device) for array in pairing)
        temperature = self.settings.contrast_temperature
        loss = contrast_loss(pooled, targets, weights, temperature=temperature)
        return [self.settings.contrast * loss]

    def plan_updates(self, texts: Sequence[str]) -> List[List[int]]:
        """Parts of a training batch that fit into memory one after the other.

        texts (Sequence[str]): The batch.
        RETURNS (List[List[int]]): Indices of the texts of each part, alike in length within one.
            Where several processes train together, this one's share.
        """
        if self.settings.freeze == "encoder":
            return [own_share(range(len(texts)))]
        # Passes that are to agree are held together.
        n_held = 2 if self.settings.robust.agreement > 0.0 else 1
        return self.reader.plan_parts(texts, n_held=n_held)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Step the weights with the gradients seen since the last step, if there are any."""
        if self.weight_seen <= 0.0 or self._model is None:
            return
        self.steps.step(optimizer, weight=self.weight_seen, run_length=self.run_length)
        if self.critic is not None:  # also in a process whose share was empty so far
            self.critic.step()
        self.weight_seen = 0.0
        self._inference = None
        if self.settings.freeze != "encoder":
            self._features.clear()

    @property
    def steps(self) -> TrainingSteps:
        """What trains the weights. RAISES (ValueError): If there are none yet."""
        if self._steps is None:
            self._steps = TrainingSteps(self.classifier, self.settings)
        return self._steps

    @property
    def n_steps(self) -> int:
        """Steps taken since the classifier was loaded."""
        return 0 if self._steps is None else self._steps.n_steps

    def training_state(self) -> TrainingState:
        """What a run needs to go on from here. Its tensors are those of the classifier."""
        return self.steps.state()

    def set_training_state(self, state: TrainingState) -> None:
        """Go on from a state.

        RAISES (ValueError): If it is that of another classifier.
        """
        self.steps.restore(state)
        self.weight_seen = 0.0
        self._features.clear()
        self._inference = None

    # -- copies and storage -----------------------------------------------------------------

    def __getstate__(self) -> Dict[str, Any]:
        state = dict(self.__dict__)
        # What is between two steps, and caches, belong to the process that trains.
        state.update(weight_seen=0.0, pairing=None, _passes=None, _critic=None)
        state.update(_inference=None, _last_vectors=(None, {}), frozen_stamps={})
        state.update(_features=BoundedCache(CACHE_BYTES), _frozen=WindowCache(CACHE_BYTES))
        if self._steps is not None:
            classifier = self._averaged_classifier()
            state.update(_model=classifier, _steps=self._steps.for_copy(classifier))
        return state

    def __deepcopy__(self, memo: Dict[int, Any]) -> "TextCatShim":
        clone = type(self).__new__(type(self))
        memo[id(self)] = clone
        state = {k: copy.deepcopy(v, memo) for k, v in self.__getstate__().items() if k != "id"}
        clone.__dict__.update(state)
        with Shim.global_id_lock:
            Shim.global_id += 1
            clone.id = Shim.global_id
        return clone

    def _averaged_classifier(self) -> TextClassifier:
        """The classifier with the weights to predict with; a copy of it where they are others."""
        averages = self.steps.averages()
        if not averages:
            return self.classifier
        classifier = copy.deepcopy(self.classifier)
        set_weights(classifier, averages)
        return classifier

    def to_device(self, device_type: str, device_id: int) -> None:
        if self._model is not None:
            device = f"{device_type}:{device_id}" if device_type == "cuda" else device_type
            self._model.to(device)
            self._inference = None
            self._frozen.clear()

    def to_disk(self, path: Union[str, Path]) -> None:
        save_shim(self, Path(path))

    def from_disk(self, path: Union[str, Path]) -> "TextCatShim":
        load_shim(self, Path(path))
        return self

    def to_bytes(self) -> bytes:
        return shim_to_bytes(self)

    def from_bytes(self, data: bytes) -> "TextCatShim":
        shim_from_bytes(self, data)
        return self
