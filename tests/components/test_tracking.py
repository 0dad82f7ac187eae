import json
import math
import random
import sys
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli.train import train
from spacy.util import registry

from spacy_xlt.components import tracking
from spacy_xlt.components.textcat import XltTextCat
from spacy_xlt.components.tracking import read_figures
from spacy_xlt.corpora.reader import hash_corpus

CONFIG = Path(__file__).parents[2] / "configs" / "zero_shot.cfg"


@pytest.fixture
def run_training(encoder_dir, corpus_dir, tmp_path, capsys):
    """What is printed by a training of four steps, evaluated every other one."""

    def run(logger, **settings):
        block = {"@loggers": logger, **settings}
        overrides = {
            "paths.train": str(corpus_dir / "train.spacy"),
            "paths.dev": str(corpus_dir / "dev"),
            "paths.encoder": str(encoder_dir),
            "initialize.after_init.epochs": 1,
            "initialize.after_init.evaluations": 2,
            "training.batcher.size": 8,
            **{f"training.logger.{key}": value for key, value in block.items()},
        }
        train(CONFIG, tmp_path / "out", overrides=overrides)
        return capsys.readouterr().out

    return run


def read_events(directory):
    """Scalars as {tag: {step: value}} and texts as {tag: text} of one run's event files."""
    from tensorboardX.proto.event_pb2 import Event

    scalars, texts = {}, {}
    for path in sorted(Path(directory).glob("events.*")):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            size = int.from_bytes(data[:8], "little")
            event, data = Event.FromString(data[12 : 12 + size]), data[16 + size :]
            for value in event.summary.value:
                if value.HasField("tensor"):
                    texts[value.tag] = value.tensor.string_val[0].decode("utf8")
                else:
                    scalars.setdefault(value.tag, {})[event.step] = value.simple_value
    return scalars, texts


def test_tensorboard_gets_scores_by_language_and_what_the_run_is(
    run_training, tmp_path, corpus_dir
):
    output = run_training(
        "spacy_xlt.TensorBoardLogger.v1", directory=str(tmp_path / "runs"), run_name="first"
    )
    assert "CATS_ACC" in output
    scalars, texts = read_events(tmp_path / "runs" / "first")
    assert set(scalars["cats_by_lang/sw/accuracy"]) == {0, 2, 4}
    assert scalars["cats_by_lang/zh/accuracy"] == scalars["cats_acc_zh"]
    assert all(value > 0 for value in scalars["loss/textcat"].values())
    assert "cats_transfer_gap" not in scalars  # not defined: there is no source language
    (config,), (signature,) = (
        [
            json.loads(text.strip("`").removeprefix("json"))
            for tag, text in texts.items()
            if x in tag
        ]
        for x in ("config", "signature")
    )
    assert config["training"]["max_steps"] == 4
    assert signature["textcat"]["encoder"]["name"] == "tiny-bert"
    hashes = {record["path"]: record["sha256"] for record in signature["textcat"]["corpora"]}
    paths = [corpus_dir / "train.spacy", corpus_dir / "dev"]
    assert hashes == {str(path): hash_corpus(path) for path in paths}


def test_a_run_without_a_name_gets_the_time(run_training, tmp_path):
    run_training("spacy_xlt.TensorBoardLogger.v1", directory=str(tmp_path / "runs"))
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("20") and read_events(run)[0]


def test_mlflow_gets_scores_by_language_and_what_the_run_is(run_training, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    output = run_training(
        "spacy_xlt.MLflowLogger.v1", tracking_uri=uri, experiment="tiny", run_name="first"
    )
    assert "CATS_ACC" in output
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    history = client.get_metric_history(run.info.run_id, "cats_by_lang/sw/accuracy")
    assert [metric.step for metric in history] == [0, 2, 4]
    assert run.data.params["config/training/max_steps"] == "4"
    assert run.data.params["signature/textcat/encoder/variant"] == "full"
    assert "sha256" in run.data.params["signature/textcat/corpora"]
    # More figures than MLflow takes at once, and a run in a run.
    mlflow.set_tracking_uri(uri)
    with mlflow.start_run():
        record = tracking._MLflowRun(mlflow, "many", {})
        record.log({f"acc/{i}": math.nan for i in range(1_700)}, 1)
        record.end(failed=True)
    (many,) = client.search_runs([experiment.experiment_id], "attributes.status = 'FAILED'")
    assert len(many.data.metrics) == 1_700


def test_mlflow_that_cannot_start_is_told(run_training, tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    with pytest.raises(ValueError, match="MLflow cannot start a run: .*Check tracking_uri"):
        run_training("spacy_xlt.MLflowLogger.v1", tracking_uri="nope://x")


def test_wandb_gets_scores_by_language_and_what_the_run_is(run_training, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    runs, summary, finish = [], {}, wandb.Run.finish

    def look_and_finish(run, exit_code):
        runs.append(run)
        summary.update(run.summary)
        finish(run, exit_code)

    monkeypatch.setattr(wandb.Run, "finish", look_and_finish)
    output = run_training("spacy_xlt.WandbLogger.v1", project="tiny", run_name="first")
    assert "CATS_ACC" in output
    (run,) = runs
    assert summary["_step"] == 4
    assert summary["cats_by_lang/sw/accuracy"] == summary["cats_acc_sw"]
    assert run.config["config"]["training"]["max_steps"] == 4
    assert run.config["signature"]["textcat"]["corpora"][0]["sha256"]


def test_wandb_that_cannot_start_is_told(run_training, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")

    def refuse(**settings):
        raise wandb.errors.UsageError("no key")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(ValueError, match="cannot start a run: no key Log in .*WANDB_MODE=offline"):
        run_training("spacy_xlt.WandbLogger.v1", project="tiny")


# -- for every tracker ----------------------------------------------------------------------


class FakeRun:
    """Notes what it is told, and draws random numbers, as trackers do for names."""

    def __init__(self):
        random.random()
        self.steps, self.failed = [], None

    def log(self, figures, step):
        random.random()
        numpy.random.random()
        self.steps.append(step)

    def end(self, *, failed):
        self.failed = failed


@pytest.fixture
def fake_runs(monkeypatch):
    runs = []

    def start(*args):
        runs.append(FakeRun())
        return runs[-1]

    monkeypatch.setattr(tracking, "_TensorBoardRun", start)
    return runs


def test_a_tracker_does_not_change_the_training(run_training, fake_runs, tmp_path):
    tracked = run_training("spacy_xlt.TensorBoardLogger.v1", directory=str(tmp_path))
    weights = tmp_path / "out" / "model-last" / "textcat" / "model" / "model.safetensors"
    before = weights.read_bytes()
    plain = run_training("spacy.ConsoleLogger.v1")
    assert tracked.partition("SCORE")[2] == plain.partition("SCORE")[2] != ""
    assert weights.read_bytes() == before
    assert fake_runs[0].steps == [0, 2, 4] and fake_runs[0].failed is False


def test_of_several_processes_one_is_recorded(run_training, fake_runs, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_xlt.layers.ranks.rank", lambda: 1)
    output = run_training("spacy_xlt.TensorBoardLogger.v1", directory=str(tmp_path))
    assert fake_runs == [] and "CATS_ACC" not in output


def test_a_training_that_fails_is_recorded_as_failed(
    run_training, fake_runs, tmp_path, monkeypatch
):
    def fail(*args, **kwargs):
        raise ValueError("too bad")

    monkeypatch.setattr(XltTextCat, "update", fail)
    with pytest.raises(ValueError, match="too bad"):
        run_training("spacy_xlt.TensorBoardLogger.v1", directory=str(tmp_path))
    assert fake_runs[0].failed is True


def test_several_loggers_print_one_table(fake_runs, make_ready, tmp_path, capsys):
    ours = {"@loggers": "spacy_xlt.TensorBoardLogger.v1", "directory": str(tmp_path)}
    chain = {
        "@loggers": "spacy.ChainLogger.v1",
        "logger1": {"@loggers": "spacy.ConsoleLogger.v1"},
        "logger2": {**ours, "console": False},
        "logger3": {**ours, "console": False},
    }
    nlp = make_ready()
    nlp.config["training"].update(train_corpus="corpora.train", dev_corpus="corpora.dev")
    set_up = registry.resolve({"logger": chain})["logger"]
    _, finalize = set_up(nlp, sys.stdout, sys.stderr)
    finalize()
    assert capsys.readouterr().out.count("LOSS TEXTCAT") == 1
    assert [run.failed for run in fake_runs] == [False, False]


def test_what_is_no_number_is_left_out():
    figures = read_figures(
        {
            "score": 0.5,
            "epoch": 1,
            "step": 3,
            "losses": {"textcat": numpy.float32(0.5)},
            "other_scores": {
                "cats_score_desc": "macro F",
                "cats_by_lang": {"sw": {"n": 7, "macro_auc": None, "accuracy": math.nan}, "zh": {}},
            },
        }
    )
    assert math.isnan(figures.pop("cats_by_lang/sw/accuracy"))
    assert figures == {"score": 0.5, "epoch": 1.0, "loss/textcat": 0.5, "cats_by_lang/sw/n": 7.0}


@given(st.lists(st.text(), unique=True))
def test_labels_of_any_characters_stay_apart(labels):
    info = {"score": 0.0, "epoch": 0, "losses": {}}
    figures = read_figures({**info, "other_scores": {"f": dict.fromkeys(labels, 1.0)}})
    names = [name.removeprefix("f/") for name in figures if name.startswith("f/")]
    assert len(names) == len(labels)
    assert all(name and "/" not in name and name not in (".", "..") for name in names)
