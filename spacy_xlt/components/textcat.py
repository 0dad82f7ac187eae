"""The components `xlt_textcat` (labels exclude each other) and `xlt_textcat_multilabel`."""

import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
    cast,
)

import numpy
import srsly
from spacy import util
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..encoder_files import EncoderRecord
from ..languages import UNKNOWN, get_doc_language, known_language, standardize_language
from ..types import RobustSettings
from .centring import read_languages
from .decisions import (
    Calibration,
    adjust_logits,
    check_abstain,
    check_calibration,
    write_answers,
)
from .encoder_pipe import EncoderPipe
from .gold import Gold, Labelled, read_gold
from .labels import check_class_weights, check_positive_label, choose_labels
from .ngram_fit import Answer, fit_ngrams, measure_shares
from .passes import learn
from .starting import Started, check_start, read_started
from .train_langs import choose_langs, labelled_languages, languages_of
from .warning import StoredForecast, write_warnings

if TYPE_CHECKING:
    from ..layers.attribution import PieceAttribution
    from ..layers.distilling import Distillation
    from ..layers.shim import TextCatShim

# Weight and bias. Shapes: (n_labels, width), (n_labels,)
Head = Tuple[numpy.ndarray, numpy.ndarray]

# Of what changes in a refitted head's bias, as a multiple of weights'. Examples drawn evenly from
# each label say nothing about how frequent labels are, and the bias would take their word for it:
# with 32 per label a multiple of 1 cost 1.4 points of accuracy against 10, none at all 1.6.
CHANGED_BIAS_PENALTY = 10.0


class XltTextCat(EncoderPipe):
    """Text classifier that is trained in one language and works in others.

    It reads `doc.text`, in its place or beside it a translation by `xlt_translate`, and writes the
    probability of each of its labels to `doc.cats`; other components' labels there are left alone.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[List[Doc], Floats2d],
        name: str = "xlt_textcat",
        *,
        exclusive: bool,
        threshold: float = 0.0,
        class_weights: Optional[Dict[str, float]] = None,
        label_smoothing: float = 0.0,
        probe_strength: float = 3.0,
        scorer: Optional[Callable] = None,
    ):
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(
                f"label_smoothing is {label_smoothing}; allowed is 0 up to, but not with, 1."
            )
        if probe_strength < 0.0:
            raise ValueError(f"probe_strength is {probe_strength}; allowed is 0 or more.")
        if min((class_weights or {}).values(), default=0.0) < 0.0:
            raise ValueError(f"class_weights are {class_weights}; allowed is 0 or more for each.")
        self.vocab = vocab
        self.model = model
        self.name = name
        self.class_weights = class_weights or {}
        self.label_smoothing = label_smoothing
        self.probe_strength = probe_strength
        self.scorer = scorer
        # All of it is passed to the scorer.
        self.cfg: Dict[str, Any] = {
            "labels": [],
            "exclusive": exclusive,
            "threshold": threshold,
            "positive_label": None,
            "train_langs": [],
            "tuned_langs": [],
            "calibration": {},
            "abstain": "none",
            "zero_abstained": False,
            # Of the accuracy in languages without labels, by their tags.
            "forecasts": {},
            # Whether documents get warnings (`doc._.xlt_warning`).
            "warn": True,
            # Whether to read `doc._.xlt_translation` too where there is one.
            "read_translations": True,
        }

    @property
    def labels(self) -> Tuple[str, ...]:
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> List[str]:
        return list(self.cfg["labels"])

    @property
    def exclusive(self) -> bool:
        """Whether labels exclude each other."""
        return bool(self.cfg["exclusive"])

    @property
    def support_missing_values(self) -> bool:
        return True

    # -- prediction -------------------------------------------------------------------------

    def predict(self, docs: Iterable[Doc], *, calibrated: bool = True) -> numpy.ndarray:
        """Probability of every label for every document. Shape: (n_docs, n_labels)

        calibrated (bool): Whether as `spacy xlt calibrate` left it, or as it was trained.
        """
        from ..layers.losses import ACTIVATIONS

        docs = list(docs)
        if not docs:
            return numpy.zeros((0, len(self.labels)), dtype="f")
        logits = self._read(docs)
        if calibrated:
            logits = self._adjust(logits, docs)
        scores = ACTIVATIONS[self.exclusive](logits)
        if not numpy.isfinite(scores).all():
            raise ValueError(
                f"'{self.name}' predicted scores that are not numbers. Its weights are damaged; "
                f"train or copy the pipeline again."
            )
        return scores

    def _adjust(self, logits: numpy.ndarray, docs: List[Doc]) -> numpy.ndarray:
        if not self.cfg["calibration"]:
            return logits
        langs = [known_language(doc) for doc in docs]
        return adjust_logits(logits, langs, self.labels, self.cfg["calibration"])

    def set_calibration(self, calibration: Calibration) -> None:
        """Calibrate probabilities from now on, and abstain from nothing.

        calibration (Calibration): What was fitted; empty for probabilities as they are.
        RAISES (ValueError): If a part of it is unknown, a tag is no language, or a number is out
            of range.
        """
        self.cfg["calibration"] = check_calibration(calibration)
        self.set_abstaining("none")
        if calibration.get("shifts"):
            # Answers change, and forecasts were of those before.
            self.cfg["forecasts"] = {}

    def forget_measured(self) -> None:
        """Drop what was fitted to, or measured of, answers that change now."""
        self.set_calibration({})
        self.cfg["forecasts"] = {}

    def set_abstaining(self, abstain: str, *, zero_scores: bool = False) -> None:
        """Whether documents may get no answer, which `doc._.xlt_decisions` then tells.

        abstain (str): "none"; "precision", if no label reaches its threshold for the precision
            that was wanted; or "coverage", if more labels may be right than those of the answer.
        zero_scores (bool): Whether a document without an answer gets zeros in `doc.cats`.
        RAISES (ValueError): If that is no way of abstaining, the calibration lacks what it needs,
            or there is nothing to give zeros to.
        """
        self.cfg["abstain"] = check_abstain(
            abstain, self.cfg["calibration"], zero_scores=zero_scores
        )
        self.cfg["zero_abstained"] = zero_scores

    def _read(self, docs: List[Doc]) -> numpy.ndarray:
        """Logits of documents; the weighted mean of both texts' where a translation has a share.

        So probabilities are the weighted geometric mean of those of the two.
        """
        read = self._to_read(docs)
        shares = numpy.array(list(map(_share, docs, read)), dtype="f")
        twice = numpy.flatnonzero(shares < 1.0)
        both = self._predict_logits([*read, *(docs[i] for i in twice)])
        logits = self.model.ops.to_numpy(both)
        share = shares[twice, None]
        mixed = logits[: len(docs)].copy()
        mixed[twice] = share * mixed[twice] + (1.0 - share) * logits[len(docs) :]
        return mixed

    def _to_read(self, docs: List[Doc]) -> List[Doc]:
        """The documents with their translations in the place of the texts, where they have some.

        What reads another component's vectors reads what that one did.
        """
        from ..corpora.layout import make_doc

        if not (self.cfg["read_translations"] and self.reads_text):
            return docs
        vocab = Vocab()  # words of translations are not kept
        return [
            make_doc(vocab, doc._.xlt_translation) if doc._.xlt_translation else doc for doc in docs
        ]

    def _predict_logits(self, docs: List[Doc]) -> Floats2d:
        if self._encoder_shim is None and not any(len(doc) for doc in docs):
            # Listeners need a token in at least one document; a head does with vectors of none.
            nothing = self.model.ops.alloc2f(len(docs), 0)
            return self.model.get_ref("output_layer").predict(nothing)
        return self.model.predict(docs)

    def set_annotations(self, docs: Iterable[Doc], scores: numpy.ndarray) -> None:
        docs = list(docs)
        if self.cfg["abstain"] != "none":
            scores = write_answers(docs, self.name, scores, self.cfg)
        for doc, row in zip(docs, scores.tolist(), strict=True):
            doc.cats.update(zip(self.labels, row, strict=True))
        if self.cfg["warn"]:
            texts = [doc.text for doc in self._to_read(docs)]
            write_warnings(docs, self.name, texts, self.unknown_shares(texts), self.cfg)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
        """Scores of the scorer, which also learns whose decisions to read."""
        return super().score(examples, component=self.name, **kwargs)

    def attribute(
        self, docs: Iterable[Doc], labels: Sequence[str], *, n_steps: int = 16
    ) -> List["PieceAttribution"]:
        """What each word piece adds to a label's score, by integrated gradients.

        The score is the label's logit; where labels exclude each other, its lead over the mean of
        all. Temperatures leave it as it is.

        docs (Iterable[Doc]): The documents.
        labels (Sequence[str]): A label for each of them.
        n_steps (int): Steps of the integral, each of which takes about as long as three
            predictions.
        RAISES (ValueError): If there is no such label, or if the component shares its encoder
            with the pipeline.
        RAISES (ImportError): Without the captum library.
        """
        docs, shim = list(docs), self._shim
        if shim.reading is None:
            raise ValueError(
                f"'{self.name}' shares its encoder with the pipeline, so it has no gradients of "
                f"word pieces. Explain by occlusion instead."
            )
        unknown = sorted(set(labels) - set(self.labels))
        if unknown:
            raise ValueError(
                f"'{self.name}' has no labels {unknown}. Its labels: {', '.join(self.labels)}."
            )
        n_labels = len(self.labels)
        directions = numpy.eye(n_labels, dtype="f") - (1.0 / n_labels if self.exclusive else 0.0)
        rows = [self.labels.index(label) for label in labels]
        return shim.attribute([doc.text for doc in docs], directions[rows], n_steps=n_steps)

    def set_forecasts(self, forecasts: Dict[str, StoredForecast]) -> None:
        """Keep what to expect in languages without labels, for warnings (`doc._.xlt_warning`).

        forecasts (Dict[str, StoredForecast]): By language tag; empty for none.
        RAISES (ValueError): If a tag is no language.
        """
        self.cfg["forecasts"] = {standardize_language(k): v for k, v in forecasts.items()}

    # -- training ---------------------------------------------------------------------------

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Add the gradients of a batch, and step if an optimizer is given.

        Gradients are sums over examples; `finish_update` divides them by the weight seen since
        the last step, so splitting a batch over several calls changes nothing.

        examples (Iterable[Example]): The batch. Missing gold labels are masked.
        drop (float): Dropout rate.
        sgd (Optional[Optimizer]): Steps right away; otherwise call `finish_update`.
        losses (Optional[Dict[str, float]]): Gets the mean loss added under the component's name.
        RETURNS (Dict[str, float]): The losses.
        """
        from ..layers.ranks import sum_of_ranks

        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "XltTextCat.update")
        shim = self._shim
        shim.dropout_rate = drop
        set_dropout_rate(self.model, drop)
        gold = self._read_gold(examples)
        docs = [eg.predicted for eg in examples]
        total = float(gold.weights.sum())
        counts = gold.weights > 0.0
        if shim.settings.robust.language_reversal > 0.0:
            # Its critic learns from texts without labels too.
            counts[:] = True
            for eg in examples:
                eg.predicted._.xlt_lang = eg.reference._.xlt_lang
        if not counts.any() or (self._encoder_shim is None and not any(len(d) for d in docs)):
            return losses
        if shim.reading is None:
            # The shared encoder divides by nothing, so its gradient is that of the mean.
            parts, scale = [list(range(len(docs)))], 1.0 / total
        else:
            parts, scale = shim.plan_updates([doc.text for doc in docs]), 1.0
        self._note_update(examples)
        loss = 0.0
        for part in parts:
            if not part or not counts[part].any() and shim.reading is not None:
                continue
            own = gold.select(part)
            shim.pairing = own.targets * own.known, own.weights
            loss += self._learn([docs[i] for i in part], own, scale)
        shim.weight_seen += total * scale
        losses[self.name] += sum_of_ranks(loss) / max(total, 1e-12)
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def _note_update(self, examples: Sequence[Example]) -> None:
        """Before weights change: what was fitted to those before goes, and languages of documents
        that are new count as tuned to."""
        if self.cfg["calibration"] or self.cfg["forecasts"]:
            warnings.warn(
                f"'{self.name}' goes on training, so its calibration and forecasts, which are of "
                f"the weights before, are dropped. Make them anew with spacy xlt calibrate and "
                f"spacy xlt forecast.",
                stacklevel=3,
            )
            self.forget_measured()
        tuned = self.cfg["tuned_langs"]
        new = labelled_languages(examples) - {*self.cfg["train_langs"], *tuned}
        if new:
            self.cfg["tuned_langs"] = sorted({*tuned, *new})

    def _learn(self, docs: List[Doc], gold: Gold, scale: float) -> float:
        """Add the gradients of some documents, times a factor. RETURNS (float): Summed loss."""
        from ..layers.losses import DISAGREEMENTS

        disagree = DISAGREEMENTS[self.exclusive]
        return learn(
            self.model,
            docs,
            get_loss=partial(self._get_loss, gold),
            get_disagreement=partial(disagree, known=gold.known, weights=gold.weights),
            robust=self._shim.settings.robust,
            second_pass=self._shim.passes.second,
            scale=scale,
        )

    def get_loss(
        self, examples: Sequence[Example], scores: Floats2d
    ) -> Tuple[float, numpy.ndarray]:
        """Mean loss of logits, and the gradient of the summed loss.

        scores (Floats2d): Logits. Shape: (n_docs, n_labels)
        RETURNS (Tuple[float, Floats2d]): The loss and the gradient, in the logits' shape.
        """
        gold = self._read_gold(examples)
        loss, d_scores = self._get_loss(gold, self.model.ops.to_numpy(scores))
        return loss / max(float(gold.weights.sum()), 1e-12), d_scores

    def _get_loss(self, gold: Gold, logits: numpy.ndarray) -> Tuple[float, numpy.ndarray]:
        from ..layers.losses import LOSSES, smooth_labels

        targets = smooth_labels(
            gold.targets, gold.known, self.label_smoothing, exclusive=self.exclusive
        )
        loss = LOSSES[self.exclusive]
        return loss(logits, targets, gold.known, gold.weights)

    def _read_gold(self, examples: Sequence[Example]) -> Gold:
        return read_gold(
            examples, self.labels, exclusive=self.exclusive, class_weights=self.class_weights
        )

    def keep_layers(self, layers: Sequence[int]) -> None:
        """Keep only some of the encoder's layers, which fit together after training only.

        What was measured of the whole one, calibration and forecasts, goes.

        layers (Sequence[int]): Their places, from 0.
        RAISES (ValueError): If there is no such layer, or the encoder is of another kind than the
            BERT family or belongs to another component.
        """
        from ..layers.distilling import LAYER_DECAY, keep_layers

        shim = self._shim
        # How it was trained is no rule for layers that do not fit together yet: frozen ones would
        # be no good, and where the student starts from is nothing to stay near.
        shim.settings = replace(
            shim.settings,
            freeze="embeddings",
            rate_factor=1.0,
            layer_decay=LAYER_DECAY,
            start_share=0.0,
            robust=RobustSettings(),
        )
        kept = ", ".join(map(str, sorted(layers)))
        record = cast(EncoderRecord, {k: v for k, v in shim.record.items() if k != "files"})
        record["name"] = f"{record.get('name', 'unnamed')} (layers {kept})"
        shim.set_classifier(keep_layers(shim.classifier, layers), shim.tokenizer, record)
        self.forget_measured()

    def prepare_distillation(self, student: "XltTextCat", *, temperature: float) -> "Distillation":
        """Steps of a copy of this component, which kept some layers only, towards this one.

        student (XltTextCat): The copy, after `keep_layers`.
        temperature (float): By what logits are divided before they become probabilities.
        """
        from ..layers.distilling import Distillation

        return Distillation(
            self._shim, student._shim, exclusive=self.exclusive, temperature=temperature
        )

    def add_ngrams(self, texts: Sequence[str], answers: numpy.ndarray, *, share: float) -> None:
        """From now on, count character n-grams beside the head.

        texts (Sequence[str]): What to fit them to.
        answers (numpy.ndarray): Probabilities to give. Shape: (n_texts, n_labels)
        share (float): What they count, in [0, 1]. A pipeline's config is not changed.
        """
        gold = Gold(answers, numpy.ones_like(answers), numpy.ones(len(answers)))
        labelled = Labelled(list(texts), gold, [UNKNOWN] * len(answers))
        self._shim.settings = replace(self._shim.settings, ngram_share=share)
        self._shim.set_ngrams(fit_ngrams(labelled, exclusive=self.exclusive))

    # -- labels and weights to start from ---------------------------------------------------

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[List[str]] = None,
        positive_label: Optional[str] = None,
        train_langs: Optional[List[str]] = None,
        start_from: Optional[Union[str, Path]] = None,
        new_head: bool = False,
        refit_head: bool = False,
        untouched_share: float = 0.0,
        centre_texts: Optional[Union[str, Path]] = None,
    ) -> None:
        """Set the labels, read the encoder and fit the head's starting point.

        get_examples (Callable[[], Iterable[Example]]): Training examples.
        nlp (Optional[Language]): The pipeline.
        labels (Optional[List[str]]): Labels in the order of the output; those of the examples,
            sorted, if not given.
        positive_label (Optional[str]): The label that counts as positive where there are two.
        train_langs (Optional[List[str]]): Source languages, against which scores are compared;
            by default those of the pipeline started from, or of the examples. Other languages
            of the examples are recorded as tuned to.
        start_from (Optional[Union[str, Path]]): A trained pipeline to take the encoder and the
            head's rows of shared labels from; labels it lacks start at zero.
        new_head (bool): Take only the encoder from `start_from`, and fit the head anew.
        refit_head (bool): Fit the head of `start_from` to the examples by `probe_strength`, with
            a penalty on what changes; for examples that are too few for a new one.
        untouched_share (float): What the weights of the encoder directory count beside those of
            `start_from`'s encoder, in [0, 1]. Training on the source language costs vectors some
            of what they tell in others; a mean of both encoders serves a head in them better.
        centre_texts (Optional[Union[str, Path]]): Corpus of texts, with labels or without, in
            languages to work in: the mean vector of the nearest language is taken off each vector
            before the head and neighbours see it. Needs freeze = "encoder". Without it a stage
            that leaves the encoder as it is keeps the means of `start_from`.
        RAISES (ValueError): If there are no labels, if a declared label has no example, if
            class_weights name another label, if settings do not go together, or if the encoder
            or pipeline cannot be read.
        """
        validate_get_examples(get_examples, "XltTextCat.initialize")
        check_start(
            start_from,
            new_head=new_head,
            refit_head=refit_head,
            untouched_share=untouched_share,
            has_encoder=self._shim.reading is not None,
            name=self.name,
        )
        examples = list(get_examples())
        self._check_centring(centre_texts)
        started = None if start_from is None else read_started(Path(start_from), self.name)
        known = [] if started is None or new_head else started.labels
        added = [] if self._shim.is_ready else list(self.labels)
        self.cfg["labels"] = choose_labels(
            examples,
            declared=labels,
            added=added,
            known=known,
            exclusive=self.exclusive,
            name=self.name,
        )
        self.forget_measured()
        check_class_weights(self.class_weights, self.labels, name=self.name)
        for label in self.labels:
            self.vocab.strings.add(label)
        self.cfg["positive_label"] = check_positive_label(
            positive_label, self.labels, name=self.name
        )
        sources, tuned = choose_langs(examples, train_langs, started)
        self.cfg.update(train_langs=sources, tuned_langs=tuned)
        if started is not None:
            self._shim.from_disk(started.weights_path)
            if untouched_share > 0.0:
                self._shim.mix_untouched(untouched_share)
        elif self._shim.reading is not None:
            self._shim.load_encoder(len(self.labels))
        else:
            self._initialize_shared(examples)
        self._shim.set_neighbours(None)
        self._shim.set_ngrams(None)
        if centre_texts is not None:
            self._centre(Path(centre_texts), examples)
        elif self._shim.settings.freeze != "encoder":
            self._shim.set_centres(None)
        start = None
        if started is not None and not new_head and set(started.labels) & set(self.labels):
            index = {label: i for i, label in enumerate(started.labels)}
            start = self._shim.head_rows([index.get(label) for label in self.labels])
        self._set_head(*(start or self._shim.head_rows([None] * len(self.labels))))
        labelled = self._read_labelled(examples)
        refit = start is None or refit_head
        if labelled.texts:
            if refit and self._can_fit_head:
                self._set_head(*self._fit_head(labelled, start))
            if self._shim.settings.neighbours:
                self._remember(labelled)
            if self._shim.settings.ngram_share:
                knows = set(self.labels) <= set(known)
                answer = self._make_answer(start, refit=refit, knows=knows)
                self._fit_ngrams(labelled, started, answer)
        self._shim.langs = sorted(languages_of(examples))

    def _initialize_shared(self, examples: List[Example]) -> None:
        self.model.get_ref("output_layer").set_dim("nO", len(self.labels), force=True)
        self.model.initialize(X=[eg.reference for eg in examples if len(eg.reference)][:10])

    def _set_head(self, weight: numpy.ndarray, bias: numpy.ndarray) -> None:
        self._shim.set_head(weight, bias)
        self.model.get_ref("output_layer").set_dim("nO", len(self.labels), force=True)

    def _check_centring(self, texts: Optional[Union[str, Path]]) -> None:
        owns_encoder = self._shim.reading is not None
        if texts is None or (owns_encoder and self._shim.settings.freeze == "encoder"):
            return
        raise ValueError(
            f"centre_texts of '{self.name}' is '{texts}', but its encoder is trained, which moves "
            f"the centres of languages, or belongs to another component. Set freeze to 'encoder' "
            f"in the component's model, as in frozen.cfg, or centre_texts to null."
        )

    def _centre(self, path: Path, examples: List[Example]) -> None:
        """Take the mean vectors of languages off all vectors from now on."""
        from ..layers.centres import LanguageCentres

        found = read_languages(path, examples, name=self.name)
        self._shim.set_centres(None)
        vectors = self._shim.features([text for texts in found.values() for text in texts])
        langs = [lang for lang, texts in found.items() for _ in texts]
        self._shim.set_centres(LanguageCentres.of_texts(vectors, langs))

    @property
    def _can_fit_head(self) -> bool:
        return self._encoder_shim is not None and self.probe_strength > 0.0

    def _fit_head(self, labelled: Labelled, start: Optional[Head]) -> Head:
        """A linear probe on the encoder's vectors.

        start (Optional[Head]): A head whose change is fitted; None to fit one from nothing.
        """
        from ..layers.losses import LOSSES
        from ..layers.probe import fit_probe

        features, gold = self._encode(labelled), labelled.gold
        weight, bias = fit_probe(
            features,
            gold.targets,
            gold.known,
            gold.weights,
            loss=LOSSES[self.exclusive],
            C=self.probe_strength,
            offset=None if start is None else _apply(start, features),
            bias_penalty=CHANGED_BIAS_PENALTY,
        )
        return (weight, bias) if start is None else (start[0] + weight, start[1] + bias)

    def _encode(self, labelled: Labelled) -> numpy.ndarray:
        """Vectors of texts, which are kept until the encoder changes. Shape: (n_texts, width)"""
        return cast("TextCatShim", self._encoder_shim).features(labelled.texts)

    def _remember(self, labelled: Labelled) -> None:
        """Keep the vectors of training texts, the nearest of which count in prediction."""
        from ..layers.neighbours import Neighbours

        gold = labelled.gold
        vectors, counts = self._shim.features(labelled.texts), gold.known * gold.weights[:, None]
        self._shim.set_neighbours(Neighbours.of_texts(vectors, gold.targets, counts))

    def _fit_ngrams(
        self, labelled: Labelled, started: Optional[Started], answer: Optional[Answer]
    ) -> None:
        """Fit the character n-grams of training texts, which count in prediction.

        How much is measured in languages that the pipeline started from has not learned from,
        where there are answers of a head to texts that it has not learned from either.
        """
        share = self._shim.settings.ngram_share
        ngrams = fit_ngrams(labelled, exclusive=self.exclusive)
        new = set() if started is None else started.new_langs(labelled.langs)
        if new and answer is not None and 0.0 < share < 1.0:
            shares = measure_shares(labelled, new, answer, exclusive=self.exclusive, share=share)
            wanted = numpy.array([shares.get(lang, share) for lang in labelled.langs])
            ngrams = ngrams.fit_shares(labelled.texts, wanted, share=share)
        self._shim.set_ngrams(ngrams)

    def _make_answer(self, start: Optional[Head], *, refit: bool, knows: bool) -> Optional[Answer]:
        """What the head that training starts from says, without the texts that are judged.

        start (Optional[Head]): The head started from.
        refit (bool): Whether it was fitted to labelled texts since.
        knows (bool): Whether it has all labels.
        RETURNS (Optional[Answer]): None if that cannot be told.
        """

        def answer(learned: Labelled, judged: Labelled) -> numpy.ndarray:
            head = self._fit_head(learned, start) if refit else cast(Head, start)
            return _apply(head, self._encode(judged))

        can_tell = self._can_fit_head if refit else knows and self._encoder_shim is not None
        return answer if can_tell else None

    def _read_labelled(self, examples: List[Example]) -> Labelled:
        """The examples that count."""
        gold = self._read_gold(examples)
        counted = numpy.flatnonzero(gold.weights > 0.0).tolist()
        docs = [eg.reference for eg in examples]
        every = Labelled([doc.text for doc in docs], gold, list(map(get_doc_language, docs)))
        return every.select(counted)

    def add_label(self, label: str) -> int:
        """Add a label, also to a trained component; its probability starts low or even.

        RETURNS (int): 1 if it was added, 0 if it was there.
        """
        if not isinstance(label, str):
            raise ValueError(f"A label must be a string, not {type(label).__name__}: {label!r}")
        if label in self.labels:
            return 0
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        if self._shim.is_ready:
            n_old = len(self.labels) - 1
            self._set_head(*self._shim.head_rows([*range(n_old), None]))
            neighbours = self._shim.neighbours
            if neighbours is not None:
                self._shim.set_neighbours(neighbours.select_labels([*range(n_old), None]))
            if self._shim.ngrams is not None:
                self._shim.set_ngrams(self._shim.ngrams.select_labels([*range(n_old), None]))
        return 1

    def set_average(
        self, pipes: Sequence["XltTextCat"], *, names: Sequence[str], shares: Sequence[float]
    ) -> None:
        """Take the weighted mean of the weights of runs for the same labels in the same order.

        pipes (Sequence[XltTextCat]): The runs' components; this one may be among them.
        names (Sequence[str]): How messages call them.
        shares (Sequence[float]): What each counts; they add up to 1.
        RAISES (ValueError): If they cannot have had one start; then nothing changes.
        """
        from ..layers.soup import average_trained

        self._shim.set_trained(average_trained([pipe._shim for pipe in pipes], names, shares))
        self.forget_measured()
        for key in ("train_langs", "tuned_langs"):
            self.cfg[key] = sorted({lang for pipe in pipes for lang in pipe.cfg[key]})

    # -- storage ----------------------------------------------------------------------------

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        writers: Dict[str, Callable[[Path], Any]] = {
            "cfg": lambda p: srsly.write_json(p, self.cfg),
            "vocab": lambda p: self.vocab.to_disk(p),
            "model": lambda p: self._shim.to_disk(p),
        }
        if self.model.has_ref("tok2vec"):
            writers["tok2vec"] = lambda p: p.write_bytes(self._tok2vec.to_bytes())
        util.to_disk(path, writers, exclude)

    def from_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> "XltTextCat":

        def read_model(model_path: Path) -> None:
            self._shim.from_disk(model_path)
            self.model.get_ref("output_layer").set_dim("nO", len(self.labels), force=True)

        readers: Dict[str, Callable[[Path], Any]] = {
            "cfg": lambda p: self.cfg.update(srsly.read_json(p)),
            "vocab": lambda p: self.vocab.from_disk(p),
            "model": read_model,
        }
        if self.model.has_ref("tok2vec"):
            readers["tok2vec"] = lambda p: self._tok2vec.from_bytes(p.read_bytes())
        util.from_disk(path, readers, exclude)
        return self


def _apply(head: Head, vectors: numpy.ndarray) -> numpy.ndarray:
    """Logits. Shape: (n_texts, n_labels)"""
    return vectors @ head[0].T + head[1]


def _share(doc: Doc, read: Doc) -> float:
    """What is read for a document counts: its own text all, a translation as it is told."""
    return 1.0 if read is doc else float(doc._.xlt_translation_share)


@contextmanager
def withholding_nothing(pipe: Any) -> Iterator[None]:
    """Let a classifier give every document its scores within the block, also if it may abstain.

    pipe (Any): Any text classifier; others than those of this package are left as they are.
    """
    if not isinstance(pipe, XltTextCat):
        yield
        return
    before = pipe.cfg["zero_abstained"]
    pipe.cfg["zero_abstained"] = False
    try:
        yield
    finally:
        pipe.cfg["zero_abstained"] = before
