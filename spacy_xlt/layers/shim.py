"""The shim between Thinc and the torch classifier: pieces, windows, steps, averages, storage."""

import copy
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy
import torch
from thinc.api import Optimizer, Shim
from torch import Tensor

from ..encoder_files import MODEL_TYPES, EncoderRecord, read_encoder_record
from ..pieces import BoundedCache, PieceTokenizer, text_hash
from ..types import (
    AdapterSettings,
    EncoderSettings,
    Freeze,
    HalfPrecision,
    LoRASettings,
    Pooling,
    Precision,
    RobustSettings,
)
from .attribution import PathToText, PieceAttribution, attribute_pieces
from .averaging import RunningMean, interpolate
from .classifier import TextClassifier, assemble_classifier
from .contrast import contrast_loss
from .device import resolve_device, resolve_precision
from .dropout import Dropout
from .encoder import linear_parameters, load_encoder, mix_encoders
from .neighbours import Neighbours
from .ngrams import CharacterNgrams
from .optim import ParameterGroup, TorchOptimizer, group_parameters
from .passes import Passes
from .pull import PullToStart
from .ranks import own_share
from .reversal import LanguageCritic
from .storage import load_shim, save_shim, shim_from_bytes, shim_to_bytes
from .timing import EncoderRun, measure_product_rate, precision_name
from .training_state import TrainingState
from .window_cache import WindowCache
from .windows import WindowBatch, pack_into_batches, split_into_windows

CACHE_BYTES = 256 * 1024 * 1024
# Above this the encoder forgets what it knew within a few steps.
RISKY_RATE = 5e-4

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
        self.tokenizer: Optional[PieceTokenizer] = None
        self.record: EncoderRecord = {}
        self.run_length = 0
        self.dropout_rate = 0.0
        # Of the training texts, with labels or without.
        self.langs: List[str] = []
        # Gold probabilities and weights of the next training batch, for the loss over pairs.
        self.pairing: Optional[Tuple[numpy.ndarray, numpy.ndarray]] = None
        # Where the frozen tensors were last written, and the stamp of that file.
        self.frozen_stamps: Dict[str, Tuple[int, ...]] = {}
        # By hashes, so that the texts need not be kept.
        self._pieces: BoundedCache[numpy.ndarray] = BoundedCache(CACHE_BYTES)
        self._features: BoundedCache[numpy.ndarray] = BoundedCache(CACHE_BYTES)
        self._frozen = WindowCache(CACHE_BYTES)
        # Whether other heads use its encoder, and whose encoder it uses in place of its own.
        self.is_shared = False
        self._source: Optional[TextCatShim] = None
        # Keeps nothing: for windows that do not come again.
        self._unkept = WindowCache(0)
        # Of the texts that were read last, by hash.
        self._unknown_shares: Dict[bytes, float] = {}
        self._reset()

    def _reset(self) -> None:
        self.n_steps = 0
        self.weight_seen = 0.0
        self._optimizer: Optional[TorchOptimizer] = None
        self._mean: Optional[RunningMean] = None
        # What is trained as it was before the first step, where prediction counts it.
        self._start: Dict[str, Tensor] = {}
        self._pull: Optional[PullToStart] = None
        self._passes: Optional[Passes] = None
        self._critic: Optional[LanguageCritic] = None
        self._inference: Optional[TextClassifier] = None
        # Vectors of the texts that were predicted last, by hash, and what made them.
        self._last_vectors: Tuple[Optional[TextClassifier], Dict[bytes, Tensor]] = (None, {})
        self._warned: set = set()

    # -- the classifier ---------------------------------------------------------------------

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
        self.tokenizer = tokenizer
        self.record = record or {}
        self.frozen_stamps = {}
        self._source = None
        self._pieces.clear()
        self._features.clear()
        self._frozen.clear()
        self._reset()

    def load_encoder(self, n_labels: int) -> None:
        """Read the encoder directory of the settings, with a new head.

        RAISES (ValueError): If there is no readable encoder.
        """
        assert self.reading is not None
        path = self._encoder_path
        encoder = load_encoder(path)
        classifier = TextClassifier(
            encoder, encoder.width, n_labels, normalize=self.reading.normalize
        )
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
        self._load_averages(self.classifier)
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
        self._load_averages(self.classifier)
        self._mean, self._start = None, {}
        self.classifier.set_head(weight, bias)
        if self._optimizer is not None:
            self._optimizer.regroup(self._groups())
        self._inference = None

    @property
    def neighbours(self) -> Optional[Neighbours]:
        """The training texts that are remembered, if any."""
        return self.classifier.neighbours

    def set_neighbours(self, neighbours: Optional[Neighbours]) -> None:
        """Remember other training texts, or none."""
        self.classifier.neighbours = neighbours
        self.classifier.to(self.classifier.device)
        self._inference = None

    @property
    def ngrams(self) -> Optional[CharacterNgrams]:
        """The weights of character n-grams, if there are any."""
        return self.classifier.ngrams

    def set_ngrams(self, ngrams: Optional[CharacterNgrams]) -> None:
        """Have other weights of character n-grams, or none."""
        self.classifier.ngrams = ngrams
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

    # -- from texts to logits ---------------------------------------------------------------

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

    def share_encoder(self, other: "TextCatShim") -> bool:
        """Use the encoder of another classifier if it gives the same vectors as the own one.

        For prediction only: the encoder runs once for a batch that both classify, and one of the
        two is forgotten.

        RETURNS (bool): False if they differ.
        """
        if not self.is_ready or not other.is_ready or self._reads_like() != other._reads_like():
            return False
        mine, theirs = self._encoder_tensors(), other._encoder_tensors()
        same = (
            tensor.dtype == theirs[name].dtype and torch.equal(tensor, theirs[name])
            for name, tensor in mine.items()
        )
        if not mine or mine.keys() != theirs.keys() or not all(same):
            return False
        self.classifier.encoder = other.classifier.encoder
        self._inference = None
        self._source = other
        other.is_shared = True
        return True

    def _reads_like(self) -> Tuple[Any, ...]:
        """All that vectors depend on besides weights."""
        encoder = self.classifier.encoder
        if encoder is None or self.reading is None:
            return ()
        return (
            replace(self.reading, path=None, pooling=self.pooling, prefix=self.prefix),
            (self._dtype, self.classifier.device, self.settings.max_predict_pieces),
            (encoder.to_json(), encoder.adapter, self._tokenizer.to_json()),
        )

    def _encoder_tensors(self) -> Dict[str, Tensor]:
        return {name: t for name, t in self.tensors().items() if name.startswith("encoder.")}

    def prepare_encoder_run(self, texts: Sequence[str]) -> EncoderRun:
        """The encoder's part of predicting texts, ready to be timed.

        RAISES (ValueError): If there is no encoder of its own.
        """
        if self.reading is None:
            raise ValueError("The encoder belongs to another component of the pipeline.")
        classifier = self._for_inference()
        assert classifier.encoder is not None
        encoder, device, dtype = classifier.encoder, classifier.device, self._dtype
        batches = self._batches(
            self._tokenizer.encode(texts), max_pieces=self.settings.max_predict_pieces
        )

        def run() -> None:
            last = torch.zeros(1)
            with torch.inference_mode():
                for batch in batches:
                    last = encoder(batch, dtype=dtype, dropout=Dropout(0.0))
            last.sum().item()  # waits for a GPU

        n_pieces = sum(batch.ids.size for batch in batches)
        weights = (p.numel() for p in linear_parameters(encoder) if p.ndim == 2)
        return EncoderRun(
            run=run,
            n_pieces=n_pieces,
            n_operations=2 * n_pieces * sum(weights),
            device=str(device),
            precision=precision_name(dtype),
            n_threads=torch.get_num_threads(),
            product_rate=measure_product_rate(device, dtype),
        )

    def attribute(
        self, texts: Sequence[str], directions: numpy.ndarray, *, n_steps: int
    ) -> List[PieceAttribution]:
        """What each word piece of texts adds to a combination of their logits.

        texts (Sequence[str]): The texts.
        directions (numpy.ndarray): What each logit counts in it. Shape: (n_docs, n_labels)
        n_steps (int): Steps of the integral.
        RAISES (ValueError): If there is no encoder of its own.
        """
        if self.reading is None:
            raise ValueError("The encoder belongs to another component of the pipeline.")
        if self.settings.neighbours and self.neighbours is not None:
            raise ValueError(
                "The votes of training texts (neighbours) have no gradients. Explain by occlusion "
                "instead."
            )
        max_pieces = self.settings.max_train_pieces
        with torch.inference_mode(False), torch.enable_grad():
            # Prediction's own maps have no gradients; weights need none here.
            classifier = self._second_classifier().requires_grad_(False)

            def cut(
                pieces: Sequence[numpy.ndarray], before: Sequence[int], after: Sequence[int]
            ) -> List[WindowBatch]:
                return self._batches(pieces, before=before, after=after, max_pieces=max_pieces)

            found = []
            encoded = self._tokenizer.encode_with_offsets(texts)
            for (ids, offsets), direction in zip(encoded, directions, strict=True):
                if not ids.size:
                    found.append(PieceAttribution(offsets, numpy.zeros(0, dtype="f"), 0.0))
                    continue
                path = PathToText(
                    classifier,
                    ids,
                    before=self._pieces_before(),
                    after=self._tokenizer.ends,
                    blank_id=self._tokenizer.blank_id,
                    direction=torch.as_tensor(direction, dtype=torch.float32).to(classifier.device),
                    cut=cut,
                    dtype=self._dtype,
                )
                n_at_once = max(1, max_pieces // ids.size)
                found.append(attribute_pieces(path, offsets, n_steps=n_steps, n_at_once=n_at_once))
        ngrams, share = self.ngrams, self.settings.ngram_share
        if ngrams is None or not share:
            return found
        rows = zip(found, texts, directions, strict=True)
        return [
            own.blend(ngrams.attribute(text, direction), share) for own, text, direction in rows
        ]

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
        batches = passes.cut(texts, self._cached_pieces(texts), self._cut_for_training)
        frozen = self._unkept if passes.has_noise else self._frozen
        return self.classifier.pool(
            batches, len(texts), self._dtype, dropout, frozen, change=change
        )

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
            if len(self.langs) < 2:
                raise ValueError(
                    f"language_reversal is {weight}, but the training corpus has the languages "
                    f"{self.langs}; it needs at least 2. Put texts without labels in the target "
                    f"languages beside those of the source, with their language recorded, or set "
                    f"it to 0.0 in the component's model.robust."
                )
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
        limit = self.settings.max_train_windows * self._window_pieces
        n_special = len(self._pieces_before()) + len(self._tokenizer.ends)
        lengths = [min(p.size + n_special, limit) for p in self._cached_pieces(texts)]
        order = own_share(sorted(range(len(texts)), key=lambda i: -lengths[i]))
        # Passes that are to agree are held together.
        n_held = 2 if self.settings.robust.agreement > 0.0 else 1
        parts: List[List[int]] = [[]]
        n_pieces = 0
        for i in order:
            if parts[-1] and (n_pieces + lengths[i]) * n_held > self.settings.max_train_pieces:
                parts.append([])
                n_pieces = 0
            parts[-1].append(i)
            n_pieces += lengths[i]
        return parts

    def training_batches(self, texts: Sequence[str]) -> List[WindowBatch]:
        """The windows of training texts; of long texts some, drawn anew each time."""
        return self._cut_for_training(self._cached_pieces(texts))

    def _cut_for_training(self, pieces: Sequence[numpy.ndarray]) -> List[WindowBatch]:
        return self._batches(
            pieces,
            max_pieces=self.settings.max_train_pieces,
            max_windows=self.settings.max_train_windows,
        )

    def features(self, texts: Sequence[str]) -> numpy.ndarray:
        """Pooled vectors of training texts, without dropout. Shape: (n_docs, width)"""
        with torch.inference_mode():
            return self._cached_features(texts).cpu().numpy()

    def encode(self, texts: Sequence[str]) -> List[numpy.ndarray]:
        """Piece ids of texts, without special pieces."""
        return self._tokenizer.encode(texts)

    def count_pieces(self, texts: Sequence[str]) -> List[Tuple[int, int]]:
        """Pieces of each text, and how many of them the encoder cannot read."""
        tokenizer = self._tokenizer
        return [
            (ids.size, round(ids.size * tokenizer.unknown_share(ids))) for ids in self.encode(texts)
        ]

    def unknown_shares(self, texts: Sequence[str]) -> List[float]:
        """Share of each text's pieces that the encoder cannot read, in [0, 1].

        Those of the texts that were predicted last are known; others are divided into pieces.
        """
        known = self._unknown_shares  # another thread may replace it
        shares = [known.get(text_hash(text)) for text in texts]
        missing = [text for text, share in zip(texts, shares, strict=True) if share is None]
        found = map(self._tokenizer.unknown_share, self.encode(missing) if missing else [])
        return [next(found) if share is None else share for share in shares]

    @property
    def pooling(self) -> Pooling:
        assert self.reading is not None
        if self.reading.pooling is not None:
            return self.reading.pooling
        assert self.classifier.encoder is not None
        return self.record.get("pooling", MODEL_TYPES[self.classifier.encoder.model_type])

    @property
    def prefix(self) -> str:
        assert self.reading is not None
        if self.reading.prefix is not None:
            return self.reading.prefix
        return self.record.get("prefix", "")

    @property
    def _tokenizer(self) -> PieceTokenizer:
        assert self.classifier is not None and self.tokenizer is not None
        return self.tokenizer

    def _pieces_before(self) -> List[int]:
        """Special pieces and prefix, with which every window starts."""
        prefix = self._tokenizer.encode([self.prefix.rstrip()])[0].tolist() if self.prefix else []
        return [*self._tokenizer.starts, *prefix]

    @property
    def _window_pieces(self) -> int:
        assert self.reading is not None and self.classifier.encoder is not None
        return min(self.reading.window_pieces, self.classifier.encoder.max_pieces)

    @property
    def _dtype(self) -> torch.dtype:
        return resolve_precision(self.settings.precision, self.classifier.device)

    def _batches(
        self,
        pieces: Sequence[numpy.ndarray],
        *,
        max_pieces: int,
        max_windows: Optional[int] = None,
        before: Optional[Sequence[int]] = None,
        after: Optional[Sequence[int]] = None,
    ) -> List[WindowBatch]:
        assert self.reading is not None and self.classifier.encoder is not None
        windows = split_into_windows(
            pieces,
            before=self._pieces_before() if before is None else before,
            after=self._tokenizer.ends if after is None else after,
            window_pieces=self._window_pieces,
            overlap_pieces=self.reading.overlap_pieces,
            pooling=self.pooling,
            max_windows=max_windows,
            # Seeded from NumPy's global state, which spaCy seeds from training.seed.
            rng=numpy.random.default_rng(numpy.random.randint(2**31)) if max_windows else None,
        )
        return pack_into_batches(windows, max_pieces=max_pieces)

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
        pieces = self._tokenizer.encode(list(rows))
        self._unknown_shares = {
            text_hash(text): self._tokenizer.unknown_share(ids)
            for text, ids in zip(rows, pieces, strict=True)
        }
        batches = self._batches(pieces, max_pieces=self.settings.max_predict_pieces)
        vectors = classifier.pool(batches, len(rows), self._dtype, Dropout(0.0))
        return vectors if len(rows) == len(texts) else vectors[[rows[text] for text in texts]]

    def _cached_pieces(self, texts: Sequence[str]) -> List[numpy.ndarray]:
        keys = [text_hash(text) for text in texts]
        found = [self._pieces.get(key) for key in keys]
        missing = [i for i, pieces in enumerate(found) if pieces is None]
        for i, pieces in zip(
            missing, self._tokenizer.encode([texts[i] for i in missing]), strict=True
        ):
            self._pieces.put(keys[i], pieces)
            found[i] = pieces
        result = [pieces for pieces in found if pieces is not None]
        self._warn_of_long_texts(result)
        return result

    def _cached_features(self, texts: Sequence[str]) -> Tensor:
        """Pooled vectors by the encoder as it is now, which are kept until it is trained."""
        keys = [text_hash(text) for text in texts]
        found = [self._features.get(key) for key in keys]
        missing = [i for i, vector in enumerate(found) if vector is None]
        if missing:
            with torch.inference_mode():
                wanted = [texts[i] for i in missing]
                vectors = self._embed(self._for_inference(), wanted).cpu().numpy()
            for i, vector in zip(missing, vectors, strict=True):
                found[i] = vector
                self._features.put(keys[i], vector.copy())
        return torch.from_numpy(numpy.stack([v for v in found if v is not None])).to(
            self.classifier.device
        )

    def _warn_of_long_texts(self, pieces: Sequence[numpy.ndarray]) -> None:
        limit = self.settings.max_train_windows * self._window_pieces
        if "long" not in self._warned and any(p.size > limit for p in pieces):
            self._warned.add("long")
            warnings.warn(
                f"A training text has more than {limit} word pieces. Training reads "
                f"{self.settings.max_train_windows} windows of {self._window_pieces} pieces of "
                f"such texts, drawn anew each time; prediction reads them whole. Raise "
                f"max_train_windows to train on more.",
                stacklevel=2,
            )

    # -- steps and averages -----------------------------------------------------------------

    def finish_update(self, optimizer: Optimizer) -> None:
        """Step the weights with the gradients seen since the last step, if there are any."""
        if self.weight_seen <= 0.0 or self._model is None:
            return
        self._warn_of_rate(optimizer)
        if self.settings.start_share > 0.0 and not self._start:
            self._start = {name: p.detach().clone() for name, p in self._trainable()}
        if self._optimizer is None:
            self._optimizer = self._make_optimizer()
        for parameter in self._resting():
            parameter.grad = None
        self._optimizer.step(optimizer, self.weight_seen)
        if self.critic is not None:  # also in a process whose share was empty so far
            self.critic.step()
        self.weight_seen = 0.0
        self.n_steps += 1
        self._inference = None
        if self.settings.freeze != "encoder":
            self._features.clear()
        if self.run_length and self.n_steps > (1.0 - self.settings.average_last) * self.run_length:
            if self._mean is None:
                self._mean = RunningMean(dict(self._trainable()))
            self._mean.update()

    def _make_optimizer(self) -> TorchOptimizer:
        return TorchOptimizer(self._groups(), self._remember_start())

    def _remember_start(self) -> Optional[PullToStart]:
        """What draws the encoder to its weights of the first call, if anything does."""
        strength, encoder = self.settings.robust.pull_to_start, self.classifier.encoder
        if self._pull is None and strength > 0.0 and encoder is not None:
            trained = [p for p in encoder.parameters() if p.requires_grad]
            self._pull = PullToStart(trained, strength)
        return self._pull

    def _groups(self) -> List[ParameterGroup]:
        return group_parameters(
            self.classifier,
            rate_factor=self.settings.rate_factor,
            head_factor=self.settings.head_rate_factor,
            layer_decay=self.settings.layer_decay,
        )

    def _resting(self) -> List[Any]:
        """Parameters whose turn has not come in gradual unfreezing."""
        n_steps, encoder = self.settings.unfreeze * self.run_length, self.classifier.encoder
        if encoder is None or self.n_steps >= n_steps:
            return []
        n_resting = encoder.n_layers * (1.0 - self.n_steps / n_steps)
        return [p for _, p, depth in encoder.named_depths() if depth <= n_resting]

    def training_state(self) -> TrainingState:
        """What a run needs to go on from here. Its tensors are those of the classifier."""
        trained = dict(self._trainable())
        optimizer, mean = self._optimizer, self._mean
        return TrainingState(
            weights={name: p.detach() for name, p in trained.items()},
            means=self._means(),
            start=self._start,
            moments={n: optimizer.moments(p) for n, p in trained.items()} if optimizer else {},
            optimizer=optimizer.kind if optimizer else None,
            n_steps=self.n_steps,
            n_averaged=mean.n_steps if mean else 0,
        )

    @torch.no_grad()
    def set_training_state(self, state: TrainingState) -> None:
        """Go on from a state.

        RAISES (ValueError): If it is that of another classifier.
        """
        trained = dict(self._trainable())
        shapes = {name: p.shape for name, p in trained.items()}
        for tensors in filter(None, (state.weights, state.means, state.start)):
            if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
                raise ValueError("The state to go on from is that of another classifier.")
        self._remember_start()
        for name, parameter in trained.items():
            parameter.copy_(state.weights[name])
        self._optimizer = None
        if state.optimizer is not None:
            self._optimizer = self._make_optimizer()
            moments = {trained[name]: kept for name, kept in state.moments.items()}
            self._optimizer.restore(state.optimizer, moments)
        self._mean = None
        if state.means:
            means = {name: state.means[name].to(p.device) for name, p in trained.items()}
            self._mean = RunningMean(trained, means, state.n_averaged)
        self._start = {
            name: tensor.to(trained[name].device) for name, tensor in state.start.items()
        }
        self.n_steps = state.n_steps
        self.weight_seen = 0.0
        self._features.clear()
        self._inference = None

    def _warn_of_rate(self, optimizer: Optimizer) -> None:
        rate = float(optimizer.learn_rate) * self.settings.rate_factor
        encoder = self.classifier.encoder
        trains_encoder = encoder is not None and self.settings.freeze != "encoder"
        # An adapter wants higher rates.
        trains_encoder = trains_encoder and self.settings.adapter is None
        if trains_encoder and rate > RISKY_RATE and "rate" not in self._warned:
            self._warned.add("rate")
            warnings.warn(
                f"The encoder trains at a learning rate of {rate:g}; above {RISKY_RATE:g} it "
                f"usually forgets what it knew. Set training.optimizer.learn_rate to about 5e-5, "
                f"or rate_factor in the component's model where other components need the rate.",
                stacklevel=2,
            )

    def _trainable(self) -> Iterator[Tuple[str, Any]]:
        return ((n, p) for n, p in self.classifier.named_parameters() if p.requires_grad)

    def _means(self) -> Dict[str, Tensor]:
        return self._mean.means if self._mean is not None else {}

    def _averages(self) -> Dict[str, Tensor]:
        """Weights to predict with in place of the trained ones: averaged over the run, and with
        those that it started from. None where neither is asked for."""
        means = self._means()
        if not self._start:
            return means
        end = {name: means.get(name, p.detach()) for name, p in self._trainable()}
        return interpolate(self._start, end, self.settings.start_share)

    def tensors(self) -> Dict[str, Tensor]:
        """Every tensor to predict with and to store, averaged ones where there is a mean."""
        averages = self._averages()
        named = dict(self.classifier.named_parameters())
        return {name: averages.get(name, p.detach()) for name, p in named.items()}

    def set_trained(self, tensors: Dict[str, Tensor]) -> None:
        """Replace what training changes, by name; what steps know of it is forgotten."""
        _copy_into(self.classifier, tensors)
        self._reset()

    def frozen_names(self) -> List[str]:
        """Names of the tensors that training leaves untouched."""
        return [n for n, p in self.classifier.named_parameters() if not p.requires_grad]

    def _for_inference(self) -> TextClassifier:
        """A second classifier on the same tensors, arranged for speed.

        It has averaged weights, linear maps in the precision and order they are multiplied in,
        and fused attention, whose backward pass is what makes it slow in training.
        """
        if self._inference is None:
            self._inference = self._second_classifier()
            if self._inference.encoder is not None:
                self._inference.encoder.prepare_for_prediction(self._dtype)
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

    # -- copies -----------------------------------------------------------------------------

    def __getstate__(self) -> Dict[str, Any]:
        state = dict(self.__dict__)
        # Optimizer state and caches belong to the process that trains.
        state.update(_optimizer=None, _inference=None, weight_seen=0.0, frozen_stamps={})
        state.update(_last_vectors=(None, {}))
        state.update(_pull=None, _passes=None, _critic=None)
        state.update(pairing=None)
        state.update(_pieces=BoundedCache(CACHE_BYTES), _features=BoundedCache(CACHE_BYTES))
        state.update(_frozen=WindowCache(CACHE_BYTES), _unknown_shares={})
        if self._model is not None and (self._mean is not None or self._start):
            state.update(_mean=None, _start={}, _model=self._averaged_copy())
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

    def _averaged_copy(self) -> TextClassifier:
        classifier = copy.deepcopy(self.classifier)
        self._load_averages(classifier)
        return classifier

    def _load_averages(self, classifier: TextClassifier) -> None:
        _copy_into(classifier, self._averages())

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


@torch.no_grad()
def _copy_into(classifier: TextClassifier, tensors: Dict[str, Tensor]) -> None:
    """Give parameters of a classifier other values, by name."""
    for name, parameter in classifier.named_parameters():
        if name in tensors:
            parameter.copy_(tensors[name])
