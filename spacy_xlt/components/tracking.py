"""Loggers for `[training.logger]` that hand the figures of every evaluation to a tracker.

Those of spacy-loggers pass on the same scores, but lose the number of the step, know nothing of
encoder and data, and the one for MLflow loads and stores the whole pipeline at every evaluation.
"""

import json
import os
import re
import sys
from contextlib import contextmanager
from datetime import datetime
from numbers import Real
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Protocol, Tuple

from spacy.language import Language
from spacy.util import registry, walk_dict

from ..compat import require
from ..corpora.reader import READER, hash_corpus
from ..evaluation.results import CorpusRecord
from ..evaluation.task import find_task, find_textcats, make_signature

# What a logger gives to spaCy's loop: a function for every step, and one for the end.
Callbacks = Tuple[Callable[[Optional[Dict[str, Any]]], None], Callable[[], None]]
Logger = Callable[[Language, IO[str], IO[str]], Callbacks]
_SILENCE: Callbacks = (lambda info: None, lambda: None)


class Run(Protocol):
    """A tracker's record of one training."""

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add the figures of an evaluation."""

    def end(self, *, failed: bool) -> None:
        """Close the record."""


def create_tensorboard_logger_v1(
    *,
    directory: str,
    run_name: Optional[str] = None,
    console: bool = True,
    progress_bar: bool = False,
) -> Logger:
    """A logger that writes event files for TensorBoard, besides spaCy's table.

    directory (str): Where TensorBoard looks for runs; each gets a directory in it.
    run_name (Optional[str]): Name of the run, whose earlier figures are replaced; None is the
        time.
    console (bool): Whether to print spaCy's table too. In a chain of loggers, only one should.
    progress_bar (bool): Whether it shows the steps up to the next evaluation.
    RETURNS (Logger): For `[training.logger]`.
    RAISES (ImportError): If tensorboardX is not installed.
    """
    tensorboard = require("tensorboardX", "Logging to TensorBoard")

    def start(record: Dict[str, Any]) -> Run:
        name = run_name or f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
        return _TensorBoardRun(tensorboard, Path(directory) / name, record)

    return _make_logger(start, console=console, progress_bar=progress_bar)


def create_mlflow_logger_v1(
    *,
    experiment: Optional[str] = None,
    run_name: Optional[str] = None,
    tracking_uri: Optional[str] = None,
    console: bool = True,
    progress_bar: bool = False,
) -> Logger:
    """A logger that adds a run to an MLflow experiment, besides spaCy's table.

    experiment (Optional[str]): Its name; None is MLflow's default, or MLFLOW_EXPERIMENT_NAME.
    run_name (Optional[str]): Name of the run; None is one that MLflow makes up.
    tracking_uri (Optional[str]): Where MLflow keeps runs, such as sqlite:///mlflow.db; None is
        its default, or MLFLOW_TRACKING_URI.
    console (bool): Whether to print spaCy's table too. In a chain of loggers, only one should.
    progress_bar (bool): Whether it shows the steps up to the next evaluation.
    RETURNS (Logger): For `[training.logger]`.
    RAISES (ImportError): If MLflow is not installed.
    """
    # It would report its use over the network.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = require("mlflow", "Logging to MLflow")

    def start(record: Dict[str, Any]) -> Run:
        try:
            if tracking_uri is not None:
                mlflow.set_tracking_uri(tracking_uri)
            if experiment is not None:
                mlflow.set_experiment(experiment)
            return _MLflowRun(mlflow, run_name, record)
        except mlflow.exceptions.MlflowException as e:
            raise ValueError(
                f"MLflow cannot start a run: {e} Check tracking_uri and experiment in "
                f"[training.logger], and MLFLOW_TRACKING_URI."
            ) from e

    return _make_logger(start, console=console, progress_bar=progress_bar)


def create_wandb_logger_v1(
    *,
    project: str,
    run_name: Optional[str] = None,
    entity: Optional[str] = None,
    console: bool = True,
    progress_bar: bool = False,
) -> Logger:
    """A logger that adds a run to a project of Weights & Biases, besides spaCy's table.

    Whether it goes over the network is wandb's setting: WANDB_MODE=offline keeps it on the disk.

    project (str): Name of the project.
    run_name (Optional[str]): Name of the run; None is one that wandb makes up.
    entity (Optional[str]): User or team; None is the user's default.
    console (bool): Whether to print spaCy's table too. In a chain of loggers, only one should.
    progress_bar (bool): Whether it shows the steps up to the next evaluation.
    RETURNS (Logger): For `[training.logger]`.
    RAISES (ImportError): If wandb is not installed.
    """
    wandb = require("wandb", "Logging to Weights & Biases")

    def start(record: Dict[str, Any]) -> Run:
        try:
            run = wandb.init(
                project=project,
                name=run_name,
                entity=entity,
                config=record,
                reinit="finish_previous",
            )
        except wandb.errors.Error as e:
            raise ValueError(
                f"Weights & Biases cannot start a run: {e} Log in with: wandb login. Or keep runs "
                f"on the disk by setting WANDB_MODE=offline."
            ) from e
        return _WandbRun(run)

    return _make_logger(start, console=console, progress_bar=progress_bar)


class _TensorBoardRun:
    def __init__(self, tensorboard: Any, path: Path, record: Dict[str, Any]):
        # Earlier figures of the same run are not shown any more.
        self._writer = tensorboard.SummaryWriter(str(path), purge_step=0)
        for name, part in record.items():
            text = json.dumps(part, indent=2, ensure_ascii=False, default=str)
            self._writer.add_text(name, f"```json\n{text}\n```", 0)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, *, failed: bool) -> None:
        self._writer.close()


class _MLflowRun:
    def __init__(self, mlflow: Any, run_name: Optional[str], record: Dict[str, Any]):
        self._mlflow = mlflow
        mlflow.start_run(run_name=run_name, nested=mlflow.active_run() is not None)
        mlflow.log_params(_flatten(record))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(figures), step=step)

    def end(self, *, failed: bool) -> None:
        self._mlflow.end_run("FAILED" if failed else "FINISHED")


class _WandbRun:
    def __init__(self, run: Any):
        self._run = run

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log(dict(figures), step=step, commit=True)

    def end(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def _make_logger(
    start: Callable[[Dict[str, Any]], Run], *, console: bool, progress_bar: bool
) -> Logger:
    def set_up(nlp: Language, stdout: IO[str], stderr: IO[str]) -> Callbacks:
        from ..layers.ranks import rank

        if rank() > 0:
            return _SILENCE  # of several processes, the first speaks for all
        table = registry.get("loggers", "spacy.ConsoleLogger.v1")(progress_bar=progress_bar)
        log_to_console, end_console = table(nlp, stdout, stderr) if console else _SILENCE
        with _same_random_numbers():
            run = start(make_record(nlp))

        def log_step(info: Optional[Dict[str, Any]]) -> None:
            log_to_console(info)
            if info is not None:
                with _same_random_numbers():
                    run.log(read_figures(info), info["step"])

        def finalize() -> None:
            end_console()
            # spaCy calls this on the way out, with the error that ends the training still there.
            run.end(failed=sys.exc_info()[0] is not None)

        return log_step, finalize

    return set_up


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """What draws random numbers in the block, such as names of runs, does not change training."""
    from ..layers.training_state import get_random_state, set_random_state

    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)


def make_record(nlp: Language) -> Dict[str, Any]:
    """What a run is: its config, and the signature of every text classifier.

    nlp (Language): The pipeline, initialized.
    RETURNS (Dict[str, Any]): `config`, interpolated, and `signature` by component: versions,
        encoder with hashes and variant, seed, and hashes of the corpora.
    """
    config = nlp.config.interpolate()
    corpora = hash_corpora(config)
    signatures = {
        name: make_signature(nlp, find_task(nlp, name), corpora) for name in find_textcats(nlp)
    }
    return {"config": dict(config), "signature": signatures}


def read_figures(info: Mapping[str, Any]) -> Dict[str, float]:
    """All figures of an evaluation, by names that every tracker takes.

    info (Mapping[str, Any]): What spaCy's loop tells its logger.
    RETURNS (Dict[str, float]): Names in levels, such as `cats_by_lang/sw/accuracy`. What is no
        number (None where a figure is not defined, texts) is left out.
    """
    figures = {"score": info["score"], "epoch": info["epoch"], "loss": info["losses"]}
    flat = _flatten({**figures, **(info["other_scores"] or {})})
    return {name: float(value) for name, value in flat.items() if isinstance(value, Real)}


def _flatten(tree: Mapping[str, Any]) -> Dict[str, Any]:
    """Leaves by name. Labels may have any character, names may not, and stay different."""
    flat: Dict[str, Any] = {}
    for path, value in walk_dict(dict(tree)):
        name = "/".join(re.sub(r"[^\w. -]", "_", part).strip(". ") or "_" for part in path)
        n_same = 1
        while name in flat:
            n_same += 1
            name = f"{name.removesuffix(f'-{n_same - 1}')}-{n_same}"
        flat[name] = value
    return flat


def hash_corpora(config: Mapping[str, Any]) -> List[CorpusRecord]:
    """Paths and hashes of what a config trains on and evaluates on, where our reader reads it.

    config (Mapping[str, Any]): The config, interpolated.
    """
    training = config["training"]
    names = (training["train_corpus"], training["dev_corpus"])
    paths = [path for name in names for path in corpus_paths(config, name)]
    return [{"path": path, "sha256": hash_corpus(Path(path))} for path in paths]


def corpus_paths(config: Mapping[str, Any], dotted_name: str) -> List[str]:
    """Paths of a corpus of a config; none where another reader than ours reads it."""
    block = config["corpora"].get(dotted_name.partition(".")[2], {})
    if block.get("@readers") != READER:
        return []
    paths: List[str] = []
    for path in (block.get("source_path"), block.get("path")):
        paths += path if isinstance(path, list) else [str(path)] if path else []
    return paths
