"""Search for settings: trains with many, and chooses by source and selection languages only.

Optuna proposes the settings, keeps what was tried in a file, and ends trials that fall behind.
"""

import gc
import io
import json
import math
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List, Literal, Mapping, Optional, Sequence, get_args

from thinc.api import Config
from typing_extensions import TypedDict

from ..compat import require

STUDY = "spacy_xlt.search.v1"
# Trials that fail before any has ended well, and repetitions in a row, after which to give up.
MAX_FAILED, MAX_REPEATED = 3, 30
# Complete trials from which on it is told which settings mattered.
MIN_FOR_IMPORTANCE = 8

Score = Literal["accuracy", "macro_f", "macro_auc"]
Pruner = Literal["median", "hyperband", "none"]
SCORES, PRUNERS = get_args(Score), get_args(Pruner)
Settings = Dict[str, Any]


class Range(TypedDict, total=False):
    """Numbers from `low` to `high`: whole ones if both are; `log` draws by magnitude."""

    low: float
    high: float
    log: bool
    step: float


# By dotted name of the setting: a list to choose from, or a range.
Space = Dict[str, Any]

# What is tried by default, where a config has it. {name} is each trained component.
DEFAULT_SPACE: Space = {
    "training.optimizer.learn_rate.initial_rate": {"low": 1e-5, "high": 2e-4, "log": True},
    "training.dropout": {"low": 0.0, "high": 0.3, "step": 0.1},
    "training.batcher.size": [16, 32, 64],
    "initialize.after_init.epochs": {"low": 3, "high": 20},
    "components.{name}.model.head_rate_factor": {"low": 1.0, "high": 20.0, "log": True},
    "components.{name}.model.layer_decay": {"low": 0.75, "high": 1.0, "step": 0.05},
    "components.{name}.model.average_last": [0.3, 0.5, 0.7, 0.9],
    "components.{name}.model.start_share": [0.0, 0.3, 0.5],
    "components.{name}.model.freeze": ["embeddings", "half"],
}
# What must stay the same for trials to be compared.
NOT_SEARCHED = ("paths", "corpora.dev", "training.dev_corpus", "system", "training.seed")


@dataclass(frozen=True)
class Objective:
    """What a trial is judged by: the mean over languages, each counting the same.

    langs (Sequence[str]): Source and selection languages.
    score (Score): The figure of each.
    """

    langs: Sequence[str]
    score: Score = "accuracy"

    def measure(self, scores: Mapping[str, Any]) -> float:
        """The mean in an evaluation's scores.

        RAISES (ValueError): If no component is scored by language.
        """
        tables = [table for name, table in scores.items() if name.endswith("_by_lang")]
        values = [
            table[lang][self.score]
            for table in tables
            for lang in self.langs
            if lang in table and table[lang][self.score] is not None
        ]
        if not values:
            raise ValueError(
                f"No evaluation has '{self.score}' in {', '.join(self.langs)}. The component to "
                f'be chosen needs scorer = {{"@scorers":"spacy_xlt.textcat_by_language.v1"}}.'
            )
        return sum(values) / len(values)


@dataclass(frozen=True)
class Budget:
    """How long to search, over all calls with the same storage; None is no limit."""

    n_trials: Optional[int] = None
    seconds: Optional[float] = None

    def __post_init__(self) -> None:
        for name, value in (("trials", self.n_trials), ("minutes", self.seconds)):
            if value is not None and not value > 0:
                raise ValueError(f"The budget is {value:g} {name}; allowed is more than 0.")


@dataclass(frozen=True)
class Trial:
    """One set of settings and what came of it.

    number (int): In the order of the trials, from 0.
    settings (Settings): Those that were searched, by dotted name.
    state (str): complete, pruned (it fell behind), failed, or repeated (tried before).
    value (Optional[float]): The objective of the pipeline that the training leaves; None if it
        did not end.
    steps (List[float]): The objective at each evaluation.
    seconds (float): Time it took.
    error (Optional[str]): Why it failed.
    """

    number: int
    settings: Settings
    state: str
    value: Optional[float] = None
    steps: List[float] = field(default_factory=list)
    seconds: float = 0.0
    error: Optional[str] = None


class TrialFailed(Exception):
    """A training that broke off, which says nothing against other settings."""


def fill_space(space: Space, components: Sequence[str]) -> Space:
    """The space with a line for each component where it has {name}."""
    filled: Space = {}
    for key, values in space.items():
        for name in components if "{name}" in key else [""]:
            filled[key.replace("{name}", name)] = values
    return filled


def build_distributions(space: Space) -> Dict[str, Any]:
    """Optuna's distributions of a space.

    RAISES (ValueError): If there are none, or values make no sense.
    """
    optuna = require("optuna", "A search for settings")
    if not space:
        raise ValueError(
            "There is nothing to search: the config has none of the settings that are tried by "
            "default. Name some with --try training.dropout=0.0,0.1,0.2 or --space FILE."
        )
    made = {}
    for key, values in space.items():
        if any(key == name or key.startswith(f"{name}.") for name in NOT_SEARCHED):
            raise ValueError(
                f"'{key}' is not searched: trials are compared with the same data and seed. Leave "
                f"out what starts with {', '.join(NOT_SEARCHED)}."
            )
        try:
            made[key] = _build_distribution(optuna.distributions, values)
        except (TypeError, ValueError) as e:
            raise ValueError(
                f"'{key}' has no usable values: {values!r} ({e}). Allowed are a list of numbers, "
                f'texts or true/false, such as [0.0, 0.1], and a range, such as {{"low": 1e-5, '
                f'"high": 2e-4, "log": true}}.'
            ) from e
    return made


def _build_distribution(distributions: Any, values: Any) -> Any:
    if isinstance(values, list):
        if not all(value is None or isinstance(value, (str, int, float)) for value in values):
            raise ValueError("lists and objects cannot be chosen from")
        return distributions.CategoricalDistribution(values)
    if not isinstance(values, dict) or not {"low", "high"} <= set(values):
        raise ValueError("a list, or an object with low and high, is needed")
    unknown = set(values) - set(Range.__annotations__)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    numbers = [values[name] for name in ("low", "high", "step") if values.get(name) is not None]
    if not all(isinstance(x, (int, float)) and math.isfinite(x) for x in numbers):
        raise ValueError("low, high and step are numbers")
    if all(isinstance(x, int) for x in numbers):
        return distributions.IntDistribution(**{"step": 1, **values})
    return distributions.FloatDistribution(**values)


def edges(values: Any) -> List[Any]:
    """Values by which a line of a space can be checked: all, or both ends of the range."""
    return values if isinstance(values, list) else [values["low"], values["high"]]


class Search:
    """A search that can be cut off and goes on from its file.

    storage (Path): The file.
    space (Space): What is tried.
    identity (Mapping[str, Any]): What makes the search what it is: trials of another one in the
        file are not to be mixed with its own.
    objective (Objective): What trials are judged by.
    pruner (Pruner): How trials that fall behind are found.
    seed (int): Seed of the proposals.
    start (Mapping[str, Any]): The config's own values, tried first where they are in the space.
    RAISES (ImportError): If Optuna is not installed.
    RAISES (ValueError): If the space makes no sense or the file cannot be read.
    """

    def __init__(
        self,
        storage: Path,
        space: Space,
        identity: Mapping[str, Any],
        objective: Objective,
        *,
        pruner: Pruner = "median",
        seed: int = 0,
        start: Mapping[str, Any] = {},
    ):
        self.space = space
        self.objective = objective
        self._optuna = require("optuna", "A search for settings")
        self._distributions = build_distributions(space)
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        _drop_torn_line(storage)
        self._study = self._open(storage, pruner, seed)
        known = self._study.user_attrs.get("identity")
        self.before: Optional[Dict[str, Any]] = None if known is None else json.loads(known)
        self.identity = json.loads(json.dumps(identity, default=str))
        if self.before is None:
            self._study.set_user_attr("identity", json.dumps(self.identity))
            first = {k: v for k, v in start.items() if k in space and is_in(v, space[k])}
            self._study.enqueue_trial(first)

    def _open(self, storage: Path, pruner: Pruner, seed: int) -> Any:
        optuna = self._optuna
        pruners = {
            # The first evaluation is of the untrained pipeline.
            "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
            "hyperband": optuna.pruners.HyperbandPruner,
            "none": optuna.pruners.NopPruner,
        }
        backend = optuna.storages.journal.JournalFileBackend(str(storage))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study = optuna.create_study(
                    storage=optuna.storages.JournalStorage(backend),
                    study_name=STUDY,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=pruners[pruner](),
                )
            # The same seed again would propose the same settings again.
            study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
        except (ValueError, KeyError, TypeError) as e:
            raise ValueError(
                f"'{storage}' is damaged or not the storage of a search ({e}). Choose another "
                f"--output or --storage."
            ) from e
        return study

    def run(
        self,
        train: Callable[[Settings, Callable[[float], None]], float],
        budget: Budget,
        *,
        on_trial: Callable[[Trial], None] = lambda trial: None,
    ) -> None:
        """Try settings until the budget is used up.

        train (Callable): Trains with settings, tells the objective at each evaluation, and gives
            the objective in the end.
        budget (Budget): For the whole search, what was tried in earlier calls included.
        on_trial (Callable[[Trial], None]): Told each trial when it has ended.
        RAISES (ValueError): If nothing but failures comes of it, or `train` raises one before any
            trial has ended well.
        """
        self._settle_interrupted()
        n_repeated = 0
        while n_repeated < MAX_REPEATED and self._has_room(budget):
            trial = self._try(train, budget)
            n_repeated = n_repeated + 1 if trial.state == "repeated" else 0
            if trial.state != "repeated":
                on_trial(trial)
            ended = [trial.state for trial in self.trials]
            if len(ended) >= MAX_FAILED and set(ended) == {"failed"}:
                raise ValueError(
                    f"The first {len(ended)} trials failed, so the search ends. The last one: "
                    f"{trial.error}"
                )

    def _try(self, train: Callable, budget: Budget) -> Trial:
        optuna, study = self._optuna, self._study
        states = optuna.trial.TrialState
        proposed = study.ask(fixed_distributions=self._distributions)
        if any(trial.settings == proposed.params for trial in self.trials):
            proposed.set_user_attr("repeated", True)
            study.tell(proposed, state=states.PRUNED)
            return self._read(study.trials[proposed.number])
        begin, deadline = time.monotonic(), self._deadline(budget)
        values: List[float] = []

        def report(value: float) -> None:
            proposed.report(value, len(values))
            values.append(value)
            is_late = time.monotonic() > deadline and self.best is not None
            if is_late or proposed.should_prune():
                raise optuna.TrialPruned

        def end(state: Any, value: Optional[float] = None) -> None:
            proposed.set_user_attr("seconds", time.monotonic() - begin)
            study.tell(proposed, value, state)

        try:
            end(states.COMPLETE, train(dict(proposed.params), report))
        except optuna.TrialPruned:
            end(states.PRUNED)
        except (TrialFailed, ValueError) as e:
            if isinstance(e, ValueError) and self.best is None:
                self._abandon(proposed.number, proposed.params)
                raise  # as long as nothing has worked, the config is to blame, not the settings
            proposed.set_user_attr("error", str(e))
            end(states.FAIL)
        except BaseException:
            # Not the fault of the settings: they are tried again when the search goes on.
            self._abandon(proposed.number, proposed.params)
            raise
        return self._read(study.trials[proposed.number])

    def _settle_interrupted(self) -> None:
        for trial in self._study.trials:
            if trial.state == self._optuna.trial.TrialState.RUNNING:
                self._abandon(trial.number, trial.params)

    def _abandon(self, number: int, settings: Settings) -> None:
        self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)
        self._study.enqueue_trial(settings)

    def _deadline(self, budget: Budget) -> float:
        if budget.seconds is None:
            return math.inf
        return time.monotonic() + budget.seconds - sum(trial.seconds for trial in self.trials)

    def _has_room(self, budget: Budget) -> bool:
        """Whether the budget allows one more trial, of the usual length."""
        if budget.n_trials is not None and len(self.trials) >= budget.n_trials:
            return False
        complete = [trial.seconds for trial in self.trials if trial.state == "complete"]
        usual = median(complete) if complete else 0.0
        return time.monotonic() + usual < self._deadline(budget)

    @property
    def trials(self) -> List[Trial]:
        """Trials that ended, in their order, without repetitions and interrupted ones."""
        found = [self._read(trial) for trial in self._study.trials if trial.state.is_finished()]
        return [trial for trial in found if trial.state not in ("repeated", "interrupted")]

    @property
    def best(self) -> Optional[Trial]:
        """The best complete trial, the earliest of equals; None as long as there is none."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def importance(self) -> Dict[str, float]:
        """Share of each setting in what made trials good; empty after few trials."""
        if sum(trial.state == "complete" for trial in self.trials) < MIN_FOR_IMPORTANCE:
            return {}
        evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self._optuna.importance.get_param_importances(
                    self._study, evaluator=evaluator
                )
        except (RuntimeError, ValueError):  # such as when all trials are equally good
            return {}
        return {key: float(value) for key, value in found.items()}

    def _read(self, trial: Any) -> Trial:
        attrs = trial.user_attrs
        state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
        if state == "failed" and "error" not in attrs:
            state = "interrupted"
        return Trial(
            number=trial.number,
            settings=dict(trial.params),
            state="repeated" if "repeated" in attrs else state,
            value=trial.value if state == "complete" else None,
            steps=[value for _, value in sorted(trial.intermediate_values.items())],
            seconds=attrs.get("seconds", 0.0),
            error=attrs.get("error"),
        )


def is_in(value: Any, values: Any) -> bool:
    """Whether a line of a space has a value."""
    if isinstance(values, list):
        return value in values
    return isinstance(value, (int, float)) and values["low"] <= value <= values["high"]


def _drop_torn_line(storage: Path) -> None:
    """Remove the last line of a file if a killed process has not written all of it: the next one
    would be appended to it."""
    if not storage.is_file():
        return
    with storage.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def train_and_measure(
    config: Config,
    objective: Objective,
    report: Callable[[float], None],
    *,
    use_gpu: int = -1,
) -> float:
    """Train a pipeline that is not kept.

    config (Config): The config.
    objective (Objective): What is measured.
    report (Callable[[float], None]): Told it at each evaluation; may raise to end the training.
    use_gpu (int): See `spacy.training.loop.train`.
    RETURNS (float): The objective at the evaluation whose pipeline would be kept: that with the
        best of spaCy's scores, the last one of equals.
    RAISES (TrialFailed): If the training breaks off, or the device is out of memory.
    RAISES (ValueError): If it does not come to the first evaluation: the config or data are wrong.
    """
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train as train_nlp

    gc.collect()  # a pipeline refers to itself: that of the trial before is still there
    kept: List[tuple] = []

    def evaluate_and_report(examples: Any, **settings: Any) -> Dict[str, Any]:
        scores = evaluate(examples, **settings)
        value = objective.measure(scores)
        main = sum(w * (scores.get(key) or 0.0) for key, w in weights.items() if w)
        kept.append((main, len(kept), value))
        report(value)
        return scores

    try:
        nlp = init_nlp(config, use_gpu=use_gpu)
        evaluate, weights = nlp.evaluate, nlp.config["training"]["score_weights"]
        nlp.evaluate = evaluate_and_report  # type: ignore[method-assign]
        silence = io.StringIO()
        train_nlp(nlp, None, use_gpu=use_gpu, stdout=silence, stderr=silence)
    except (RuntimeError, MemoryError, ArithmeticError) as e:
        raise TrialFailed(describe_error(e)) from e
    except ValueError as e:
        if not kept:
            raise
        raise TrialFailed(describe_error(e)) from e
    return max(kept)[2]


def describe_error(error: BaseException) -> str:
    """Kind and first line of an error."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
