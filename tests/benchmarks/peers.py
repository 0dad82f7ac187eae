"""What `speed.py` measures: the package and its peers, each behind the same two shapes."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from spacy_xlt.files import folder_size

BATCH = 32
N_LABELS = 7
Step = Callable[[List[str], List[int]], None]

# -- peers: training ------------------------------------------------------------------------
# Each gives a function that takes one optimizer step on a batch of texts and labels.


def train_xlt(encoder: Path, precision: str) -> Step:
    import spacy
    from thinc.api import Adam

    nlp = spacy.blank("xx")
    model = {"precision": precision, "encoder": {"path": str(encoder)}}
    nlp.add_pipe("xlt_textcat", config={"probe_strength": 0.0, "model": model})
    step = spacy_step(nlp, Adam(5e-5, L2=0.01, use_averages=False))
    nlp.get_pipe("xlt_textcat").set_run_length(1)  # weights are averaged from the first step on
    return step


def train_spacy(encoder: Path) -> Step:
    """As `spacy init config --gpu --pipeline textcat` writes it."""
    return spacy_step(make_stock_spacy(encoder))


def spacy_step(nlp: Any, optimizer: Any = None) -> Step:
    """A step of an uninitialized pipeline; without an optimizer, with that of its config."""
    from spacy.training import Example

    own = nlp.initialize(lambda: one_example_per_label(nlp))
    sgd = own if optimizer is None else optimizer

    def step(texts: List[str], labels: List[int]) -> None:
        examples = [
            Example.from_dict(nlp.make_doc(text), {"cats": cats_of(label)})
            for text, label in zip(texts, labels, strict=True)
        ]
        nlp.update(examples, sgd=sgd, drop=0.1)

    return step


def one_example_per_label(nlp: Any) -> List[Any]:
    from spacy.training import Example

    return [
        Example.from_dict(nlp.make_doc("a"), {"cats": cats_of(label)}) for label in range(N_LABELS)
    ]


def cats_of(label: int) -> Dict[str, float]:
    return {f"L{i}": float(i == label) for i in range(N_LABELS)}


def make_stock_spacy(encoder: Path) -> Any:
    from spacy import util
    from spacy.cli.init_config import init_config

    config = init_config(lang="xx", pipeline=["textcat"], optimize="efficiency", gpu=True)
    config = config.copy()
    config["components"]["transformer"]["model"]["name"] = str(encoder)
    return util.load_model_from_config(config.interpolate(), auto_fill=True)


def train_trainer(encoder: Path) -> Step:
    """transformers' Trainer with its defaults: padding to the longest, fp32; its own step."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=N_LABELS)
    collate = DataCollatorWithPadding(tokenizer)
    arguments = TrainingArguments(
        tempfile.mkdtemp(), per_device_train_batch_size=BATCH, report_to=[], use_cpu=True
    )
    trainer = Trainer(model, arguments, data_collator=collate)
    trainer.create_optimizer_and_scheduler(1000)

    def step(texts: List[str], labels: List[int]) -> None:
        rows = [
            {**tokenizer(text, truncation=True), "labels": label}
            for text, label in zip(texts, labels, strict=True)
        ]
        trainer.training_step(model, collate(rows))
        torch.nn.utils.clip_grad_norm_(model.parameters(), arguments.max_grad_norm)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
        model.zero_grad()

    return step


TRAINERS: Dict[str, Callable[[Path], Step]] = {
    "spacy-xlt": lambda encoder: train_xlt(encoder, "auto"),
    "spacy-xlt, fp32": lambda encoder: train_xlt(encoder, "fp32"),
    "stock spaCy": train_spacy,
    "transformers Trainer": train_trainer,
}

# -- peers: prediction ----------------------------------------------------------------------
# Each gives functions that predict many texts, and one.


@dataclass(frozen=True)
class Predictor:
    """What predicts many texts, what predicts one, and what loads all of it again.

    size (Optional[int]): Bytes on the disk, for pipelines of spaCy.
    """

    many: Callable[[List[str]], Any]
    one: Callable[[str], Any]
    load: Callable[[], Any]
    size: Optional[int] = None


def predict_xlt(encoder: Path, pipeline: Path, precision: str) -> Predictor:
    import spacy

    settings = {"components.textcat.model.precision": precision}
    load = lambda: spacy.load(pipeline, config=settings)  # noqa: E731
    nlp = load()
    return Predictor(
        lambda texts: [doc.cats for doc in nlp.pipe(texts)],
        nlp,
        load,
        folder_size(pipeline),
    )


def predict_spacy(encoder: Path, pipeline: Path) -> Predictor:
    import spacy

    nlp = make_stock_spacy(encoder)
    nlp.initialize(lambda: one_example_per_label(nlp))
    folder = Path(tempfile.mkdtemp())
    nlp.to_disk(folder)
    return Predictor(
        lambda texts: [doc.cats for doc in nlp.pipe(texts)],
        nlp,
        lambda: spacy.load(folder),
        folder_size(folder),
    )


def predict_pipeline(encoder: Path, pipeline: Path, batch_size: int) -> Predictor:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers import pipeline as make_pipeline

    folder = tempfile.mkdtemp()
    AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=N_LABELS
    ).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    load = lambda: make_pipeline("text-classification", folder, device=-1)  # noqa: E731
    classify = load()
    return Predictor(
        lambda texts: classify(texts, batch_size=batch_size, truncation=True),
        lambda text: classify(text, truncation=True),
        load,
    )


def predict_sentences(encoder: Path, pipeline: Path, backend: str) -> Predictor:
    """sentence-transformers with a linear model on its vectors."""
    import numpy

    load = prepare_sentences(encoder, backend)
    model = load()
    head = numpy.random.default_rng(0).normal(size=(384, N_LABELS)).astype("f")

    def many(texts: List[str]) -> Any:
        return (model.encode(texts, batch_size=BATCH) @ head).argmax(axis=1)

    return Predictor(many, lambda text: many([text]), load)


def prepare_sentences(encoder: Path, backend: str) -> Callable[[], Any]:
    """What loads a sentence-transformers model: mean pooling, with a backend.

    ONNX in int8, which needs no examples; OpenVINO in the precision that it chooses itself, since
    its int8 is calibrated on a data set from the model hub.
    """
    from sentence_transformers import SentenceTransformer, models
    from sentence_transformers.backend import export_dynamic_quantized_onnx_model

    folder = tempfile.mkdtemp()
    word = models.Transformer(str(encoder), max_seq_length=512)
    SentenceTransformer(modules=[word, models.Pooling(word.get_word_embedding_dimension())]).save(
        folder
    )
    settings: Dict[str, Any] = {}
    if backend != "torch":
        model = SentenceTransformer(folder, backend=backend, device="cpu")
        model.save_pretrained(folder)
    if backend == "onnx":
        export_dynamic_quantized_onnx_model(model, "avx512_vnni", folder)
        settings = {"file_name": "onnx/model_qint8_avx512_vnni.onnx"}
    return lambda: SentenceTransformer(folder, backend=backend, device="cpu", model_kwargs=settings)


# Backends of sentence-transformers by peer.
SENTENCES = {
    "sentence-transformers": "torch",
    "sentence-transformers, ONNX int8": "onnx",
    "sentence-transformers, OpenVINO": "openvino",
}
PREDICTORS: Dict[str, Callable[[Path, Path], Predictor]] = {
    "spacy-xlt": lambda e, p: predict_xlt(e, p, "auto"),
    "spacy-xlt, fp32": lambda e, p: predict_xlt(e, p, "fp32"),
    "stock spaCy": predict_spacy,
    **{
        f"transformers pipeline, batch {n}": (lambda e, p, n=n: predict_pipeline(e, p, n))
        for n in (1, 8, 32)
    },
    **{
        name: (lambda e, p, backend=backend: predict_sentences(e, p, backend))
        for name, backend in SENTENCES.items()
    },
}
