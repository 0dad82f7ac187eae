"""Speed beside the peers on this machine; all measurements go into assets/results/speed/.

    python -m pip install -r tests/benchmarks/requirements.txt
    python -m spacy xlt data import SIB200 corpora/all --format sib200
    python tests/benchmarks/speed.py train corpora/all ENCODER
    python tests/benchmarks/speed.py predict corpora/all ENCODER PIPELINE

Every peer runs in a process of its own, with the same encoder, texts and number of threads, one
after the other and the whole round again, so that what else happens on the machine hits all alike.
PIPELINE is one that `configs/zero_shot.cfg` trained on the same encoder. Do not use the machine
for anything else meanwhile.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import typer

from spacy_xlt.files import folder_size

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "assets" / "results" / "speed"
LANGS = ("en", "zh", "ru", "sw", "th", "ar")
BATCH = 32
N_LABELS = 7
N_LATENCY = 100
app = typer.Typer(help=__doc__, no_args_is_help=True)


# -- texts ----------------------------------------------------------------------------------


def read_texts(corpora: Path, split: str, n: int) -> List[str]:
    """Texts in six languages and scripts, shuffled; some joined to longer ones."""
    import spacy
    from spacy.tokens import DocBin

    vocab = spacy.blank("xx").vocab
    texts = []
    for lang in LANGS:
        bin = DocBin().from_disk(corpora / split / f"{lang}.spacy")
        texts += [doc.text for doc in bin.get_docs(vocab)]
    rng = random.Random(0)
    while len(texts) < n:
        texts.append(" ".join(rng.sample(texts, rng.choice((1, 2, 4)))))
    rng.shuffle(texts)
    return texts[:n]


# -- peers: training ------------------------------------------------------------------------
# Each gives a function that takes one optimizer step on a batch of texts and labels.


def train_xlt(encoder: Path, precision: str) -> Callable[[List[str], List[int]], None]:
    import spacy
    from thinc.api import Adam

    nlp = spacy.blank("xx")
    model = {"precision": precision, "encoder": {"path": str(encoder)}}
    nlp.add_pipe("xlt_textcat", config={"probe_strength": 0.0, "model": model})
    return spacy_step(nlp, Adam(5e-5, L2=0.01, use_averages=False))


def train_spacy(encoder: Path) -> Callable[[List[str], List[int]], None]:
    """As `spacy init config --gpu --pipeline textcat` writes it."""
    return spacy_step(make_stock_spacy(encoder))


def spacy_step(nlp: Any, optimizer: Any = None) -> Callable[[List[str], List[int]], None]:
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


def train_trainer(encoder: Path) -> Callable[[List[str], List[int]], None]:
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


TRAINERS: Dict[str, Callable[[Path], Callable[[List[str], List[int]], None]]] = {
    "spacy-xlt": lambda encoder: train_xlt(encoder, "auto"),
    "spacy-xlt, fp32": lambda encoder: train_xlt(encoder, "fp32"),
    "stock spaCy": train_spacy,
    "transformers Trainer": train_trainer,
}

# -- peers: prediction ----------------------------------------------------------------------
# Each gives functions that predict many texts, and one.


class Predictor:
    """What predicts many texts, and one; and what loads it again, if that is measured."""

    def __init__(self, many: Any, one: Any, load: Any = None, size: Optional[int] = None):
        self.many, self.one, self.load, self.size = many, one, load, size


def predict_xlt(encoder: Path, pipeline: Path, precision: str) -> Predictor:
    import spacy

    settings = {"components.textcat.model.precision": precision}
    load = lambda: spacy.load(pipeline, config=settings)  # noqa: E731
    nlp = load()
    return Predictor(
        lambda texts: [max(doc.cats, key=doc.cats.get) for doc in nlp.pipe(texts)],
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
    """sentence-transformers with a linear model on its vectors.

    ONNX in int8, which needs no examples; OpenVINO in the precision that it chooses itself, since
    its int8 is calibrated on a data set from the model hub.
    """
    import numpy
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
    load = lambda: SentenceTransformer(  # noqa: E731
        folder, backend=backend, device="cpu", model_kwargs=settings
    )
    model = load()
    head = numpy.random.default_rng(0).normal(size=(384, N_LABELS)).astype("f")

    def many(texts: List[str]) -> Any:
        return (model.encode(texts, batch_size=BATCH) @ head).argmax(axis=1)

    return Predictor(many, lambda text: many([text]), load)


PREDICTORS: Dict[str, Callable[[Path, Path], Predictor]] = {
    "spacy-xlt": lambda e, p: predict_xlt(e, p, "auto"),
    "spacy-xlt, fp32": lambda e, p: predict_xlt(e, p, "fp32"),
    "stock spaCy": predict_spacy,
    **{
        f"transformers pipeline, batch {n}": (lambda e, p, n=n: predict_pipeline(e, p, n))
        for n in (1, 8, 32)
    },
    "sentence-transformers": lambda e, p: predict_sentences(e, p, "torch"),
    "sentence-transformers, ONNX int8": lambda e, p: predict_sentences(e, p, "onnx"),
    "sentence-transformers, OpenVINO": lambda e, p: predict_sentences(e, p, "openvino"),
}


# -- measuring ------------------------------------------------------------------------------


@app.command("train")
def train(corpora: Path, encoder: Path, n_steps: int = 6, rounds: int = 5, peers: str = "") -> None:
    """Optimizer steps at batch 32, in documents per second."""
    _run_rounds("train", TRAINERS, peers, rounds, [str(corpora), str(encoder), "-", str(n_steps)])


@app.command("predict")
def predict(
    corpora: Path,
    encoder: Path,
    pipeline: Path,
    n_texts: int = 5000,
    rounds: int = 5,
    peers: str = "",
) -> None:
    """Many texts, one at a time, loading, memory and size."""
    arguments = [str(corpora), str(encoder), str(pipeline), str(n_texts)]
    _run_rounds("predict", PREDICTORS, peers, rounds, arguments)


@app.command("worker", hidden=True)
def worker(kind: str, peer: str, corpora: Path, encoder: Path, pipeline: Path, n: int) -> None:
    """One measurement in a process of its own; its last line of output is JSON."""
    if kind == "train":
        result = _measure_training(TRAINERS[peer](encoder), read_texts(corpora, "train", 4000), n)
    else:
        texts = read_texts(corpora, "test", n)
        result = _measure_prediction(PREDICTORS[peer](encoder, pipeline), texts)
    print(json.dumps(result))


def _measure_training(step: Callable[..., None], texts: List[str], n_steps: int) -> Dict[str, Any]:
    rng = random.Random(0)
    seconds = []
    for i in range(n_steps + 2):
        batch = texts[i * BATCH : (i + 1) * BATCH]
        labels = [rng.randrange(N_LABELS) for _ in batch]
        start = time.perf_counter()
        step(batch, labels)
        seconds.append(time.perf_counter() - start)
    # Over all steps, since their batches differ in length and every peer gets the same.
    return {"docs_per_second": n_steps * BATCH / sum(seconds[2:])}


def _measure_prediction(predictor: Predictor, texts: List[str]) -> Dict[str, Any]:
    import resource

    predictor.many(texts[:64])
    start = time.perf_counter()
    predicted = predictor.many(texts)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    times = []
    for text in texts[:: max(1, len(texts) // N_LATENCY)][:N_LATENCY]:
        start = time.perf_counter()
        predictor.one(text)
        times.append(time.perf_counter() - start)
    result: Dict[str, Any] = {
        "docs_per_second": len(texts) / seconds,
        "p50_ms": 1000 * statistics.median(times),
        "p99_ms": 1000 * sorted(times)[int(0.99 * len(times))],
        "memory_bytes": memory,
        "disk_bytes": predictor.size,
    }
    if predictor.load is not None:
        start = time.perf_counter()
        predictor.load()
        result["load_seconds"] = time.perf_counter() - start
    if isinstance(predicted[0], str):
        result["labels"] = "".join(label[0] + label[-1] for label in predicted)
    return result


def _run_rounds(
    kind: str, peers: Dict[str, Any], chosen: str, rounds: int, arguments: List[str]
) -> None:
    names = [name for name in peers if not chosen or name in chosen.split(";")]
    RESULTS.mkdir(parents=True, exist_ok=True)
    for number in range(rounds):
        for name in names:
            result = _run_worker(kind, name, arguments)
            path = RESULTS / f"{kind}.json"
            found = json.loads(path.read_text()) if path.exists() else {}
            found.setdefault(name, []).append(result)
            path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
            shown = {k: round(v, 3) for k, v in result.items() if isinstance(v, (int, float))}
            print(f"{kind} round {number + 1}: {name}: {shown or result}", flush=True)


def _run_worker(kind: str, peer: str, arguments: List[str]) -> Dict[str, Any]:
    command = [sys.executable, __file__, "worker", kind, peer, *arguments]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:300] if done.stderr else "killed"}
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    app()
