"""`spacy xlt search`: tries settings of a config and writes the best ones as a new config."""

import json
import math
import tomllib
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

import typer

from ..files import write_text
from ..transfer.search import PRUNERS, SCORES
from ._app import CODE_PATH, GPU_ID, Arg, Opt, command, command_line, msg, xlt_cli

if TYPE_CHECKING:
    from thinc.api import Config

    from ..transfer.search import Objective, Search, Settings, Space, Trial
    from .train import CorpusFacts, TrainingPlan

STORAGE_FILE = "search.journal"
RESULTS_FILE = "search.json"
BEST_FILE = "best.cfg"
DEFAULT_TRIALS = 20
MAX_SHOWN = 10
# How `--try` writes a range, and that it is drawn by magnitude.
RANGE, BY_MAGNITUDE = "..", ":log"


@command(
    xlt_cli,
    "search",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def search_cli(
    ctx: typer.Context,  # only for the settings of the config
    config_path: Path = Arg(..., help="Config file to start from"),
    output: Path = Opt(..., "--output", "-o", help="Directory for trials and the best config"),
    trials: Optional[int] = Opt(
        None, "--trials", help=f"Trials in all; {DEFAULT_TRIALS} where no limit is given"
    ),
    minutes: Optional[float] = Opt(None, "--minutes", help="Time for all trials"),
    select_langs: Optional[str] = Opt(
        None, "--select-langs", help="Other languages that may choose, such as fr,th"
    ),
    tries: Optional[List[str]] = Opt(
        None,
        "--try",
        help="Setting and values, such as training.dropout=0.0,0.1 or =1e-5..1e-4:log",
    ),
    space_path: Optional[Path] = Opt(
        None, "--space", help="JSON or TOML file of settings: lists, or low and high"
    ),
    score: str = Opt("accuracy", "--score", help=f"Figure to choose by: {', '.join(SCORES)}"),
    pruner: str = Opt(
        "median", "--pruner", help=f"How trials that fall behind end: {', '.join(PRUNERS)}"
    ),
    storage: Optional[Path] = Opt(
        None, "--storage", help=f"File of the trials; by default {STORAGE_FILE} in the output"
    ),
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Search for settings with Optuna: train with many, and keep those that do best on the
    development documents of the languages trained on and of --select-langs. Results in any other
    language stay zero-shot. Without --try and --space, usual settings are tried. After an
    interruption, the same command goes on; to go on for longer, raise --trials or --minutes.
    """
    from spacy.cli._util import import_code

    from ._config import parse_overrides

    overrides = parse_overrides(ctx.args)
    import_code(code_path)
    best = search(
        config_path,
        output,
        overrides=overrides,
        n_trials=trials,
        minutes=minutes,
        select_langs=select_langs,
        tried=read_space(space_path, tries or []),
        score=score,
        pruner=pruner,
        storage=storage,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    if best is not None:
        line = command_line("train", best, "--output", "training")
        msg.good(f"Train with it: {line}")


def search(
    config_path: Path,
    output: Path,
    *,
    overrides: Mapping[str, Any] = {},
    n_trials: Optional[int] = None,
    minutes: Optional[float] = None,
    select_langs: Optional[str] = None,
    tried: Mapping[str, Any] = {},
    score: str = "accuracy",
    pruner: str = "median",
    storage: Optional[Path] = None,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> Optional[Path]:
    """Search for settings; see `search_cli`.

    RETURNS (Optional[Path]): The best config; None if no trial has ended well.
    RAISES (ValueError): If the config, a corpus, the space, the budget or the storage is wrong.
    """
    from thinc.compat import has_cupy_gpu

    from ..layers.ranks import launched_ranks
    from ..transfer.search import Budget, Search, train_and_measure
    from ._config import plain_errors, read_config
    from ._resume import describe_changes
    from ._staging import locked
    from .train import check_languages, plan_training

    for name, value, allowed in (("score", score, SCORES), ("pruner", pruner, PRUNERS)):
        if value not in allowed:
            raise ValueError(f"--{name} is '{value}'; allowed are {', '.join(allowed)}.")
    if launched_ranks() > 1:
        raise ValueError("Several processes cannot search together. Start one.")
    if str(config_path) == "-":
        raise ValueError("A search reads the config many times. Name a file.")
    budget = Budget(
        DEFAULT_TRIALS if n_trials is None and minutes is None else n_trials,
        None if minutes is None else 60 * minutes,
    )
    with ExitStack() as stack:
        stack.enter_context(plain_errors(config_path))
        config = read_config(config_path, dict(overrides))
        interpolated = config.interpolate()
        space = choose_space(interpolated, overrides, tried)
        check_space(space, lambda x: read_config(config_path, {**overrides, **x}))
        check_no_test_set(interpolated)
        plan = plan_training(interpolated, gpu_id=gpu_id)
        objective = choose_objective(plan, select_langs, score)
        check_languages(plan, allow_source=True)
        output.mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(output))
        search = Search(
            storage or output / STORAGE_FILE,
            space,
            _identify(interpolated, plan, space, objective, code_path),
            objective,
            pruner=pruner,  # type: ignore[arg-type]
            seed=interpolated["training"]["seed"] or 0,
            start={key: get_setting(interpolated, key) for key in space},
        )
        if search.before is not None:
            changes = describe_changes(search.before, search.identity)
            if changes:
                raise ValueError(
                    f"'{storage or output / STORAGE_FILE}' holds another search. These are not "
                    f"the same: {changes}. Set them as they were, or choose another --output."
                )
            msg.info(f"Going on after {len(search.trials)} trials")
        show_search(plan, search, budget.n_trials, minutes)
        fixed = {**overrides, **_trial_overrides(interpolated, objective)}

        def train(settings: "Settings", report: Callable[[float], None]) -> float:
            trial_config = read_config(config_path, {**fixed, **settings})
            trial_config["training"]["logger"] = {"@loggers": "spacy.ConsoleLogger.v1"}
            use_gpu = gpu_id if has_cupy_gpu else -1
            return train_and_measure(trial_config, objective, report, use_gpu=use_gpu)

        def note(trial: "Trial") -> None:
            show_trial(trial, search.best)
            _write_results(search, output, lambda x: read_config(config_path, {**overrides, **x}))

        try:
            search.run(train, budget, on_trial=note)
        finally:
            show_results(search, plan)
        return output / BEST_FILE if search.best is not None else None


def read_space(path: Optional[Path], tries: Sequence[str]) -> "Space":
    """What a file and `--try` options name.

    RAISES (ValueError): If they are not what they should be.
    """
    space: Dict[str, Any] = {}
    if path is not None:
        try:
            text = path.read_text(encoding="utf8")
            space = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except (ValueError, OSError) as e:
            raise ValueError(f"'{path}' cannot be read as JSON or TOML: {e}") from e
        if not isinstance(space, dict):
            raise ValueError(f"'{path}' holds no object of settings and values.")
        space = dict(_by_dotted_name(space))
    for text in tries:
        key, separator, values = text.partition("=")
        if not separator or "." not in key or not values:
            raise ValueError(
                f"--try '{text}' is not a setting with values. Write it as "
                f"training.dropout=0.0,0.1,0.2 or as a range: KEY=1e-5..2e-4:log"
            )
        space[key] = _read_values(values)
    return space


def _by_dotted_name(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple]:
    """Lines of a space; TOML takes the dots of a bare name for tables in tables."""
    for key, value in values.items():
        if isinstance(value, dict) and not {"low", "high"} & set(value):
            yield from _by_dotted_name(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _read_values(text: str) -> Any:
    if RANGE in text:
        bounds = text.removesuffix(BY_MAGNITUDE)
        low, high = (_read_value(part) for part in bounds.split(RANGE, 1))
        return {"low": low, "high": high, "log": text != bounds}
    return [_read_value(part) for part in text.split(",")]


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def choose_space(
    config: "Config", overrides: Mapping[str, Any], tried: Mapping[str, Any]
) -> "Space":
    """What is searched: what the user names, or of the usual settings those of which the config
    has one of the usual values, which the user has not set.

    config (Config): The config, interpolated.
    RAISES (ValueError): If a setting is both set and to be searched.
    """
    from ..transfer.search import DEFAULT_SPACE, fill_space, is_in
    from .train import trained_components

    both = sorted(set(tried) & set(overrides))
    if both:
        raise ValueError(f"Both set and to be tried: {', '.join(both)}. Leave out one of the two.")
    if tried:
        return {key: _as_type_of(get_setting(config, key), tried[key]) for key in tried}
    ours, _ = trained_components(config)
    return {
        key: values
        for key, values in fill_space(DEFAULT_SPACE, ours).items()
        if key not in overrides and is_in(get_setting(config, key), values)
    }


def _as_type_of(setting: Any, values: Any) -> Any:
    """A range of all numbers from 0 to 1, not of two, where the config's own value is no whole
    number."""
    if not isinstance(setting, float) or not isinstance(values, dict):
        return values
    return {key: float(x) if type(x) is int else x for key, x in values.items()}


def check_space(space: "Space", make_config: Callable[["Settings"], "Config"]) -> None:
    """Look at every setting and value before the first trial.

    RAISES (ValueError): If a config cannot have one; also what `plain_errors` makes one of.
    """
    from spacy.schemas import ConfigSchemaInit, ConfigSchemaTraining
    from spacy.util import load_model_from_config, registry

    from ..transfer.search import build_distributions, edges

    build_distributions(space)
    for key, values in space.items():
        for value in edges(values):
            config = make_config({key: value}).interpolate()
            load_model_from_config(config, auto_fill=True)
            registry.resolve(config["training"], schema=ConfigSchemaTraining)
            registry.resolve(config["initialize"], schema=ConfigSchemaInit)


def choose_objective(plan: "TrainingPlan", select_langs: Optional[str], score: str) -> "Objective":
    """Languages that may choose: those with training labels, and those named for it.

    RAISES (ValueError): If there are no development documents in one of them, or the development
        corpus is a test set.
    """
    from ..evaluation.scorer import UNKNOWN_NAME
    from ..languages import standardize_language
    from ..transfer.search import Objective
    from ._pipeline import split_langs
    from .train import name_langs

    found = set(plan.dev.langs)
    started = {lang for started in plan.starts.values() for lang in started.train_langs}
    source = found & {*plan.train.langs, *plan.source.langs, *started}
    selected = {standardize_language(lang) for lang in split_langs(select_langs) or []}
    missing = sorted(selected - found)
    if missing:
        raise ValueError(
            f"No development document is in {name_langs(missing)}. They are in "
            f"{name_langs(sorted(found))}. Change --select-langs or paths.dev."
        )
    if not source | selected:
        raise ValueError(
            f"The development documents are in {name_langs(sorted(found))}, and none of these is "
            f"trained on. Languages that choose settings give no zero-shot results any more. Set "
            f"paths.dev to documents in the source language, or name languages that may choose "
            f"with --select-langs."
        )
    if selected - source:
        msg.warn(
            f"{name_langs(sorted(selected - source))} will have chosen the settings: with them, "
            f"results there are not zero-shot. Do not report them as such."
        )
    langs = [lang or UNKNOWN_NAME for lang in sorted(source | selected)]
    return Objective(langs, score)  # type: ignore[arg-type]


def check_no_test_set(config: "Config") -> None:
    """RAISES (ValueError): If the documents that choose are a test split, going by its name."""
    from ..components.tracking import corpus_paths

    for path in map(Path, corpus_paths(config, config["training"]["dev_corpus"])):
        if path.stem == "test" or (path.is_file() and path.parent.name == "test"):
            raise ValueError(
                f"'{path}' is a test set. What settings are chosen by says nothing about how well "
                f"they do. Set paths.dev to development documents."
            )


def get_setting(config: Mapping[str, Any], dotted_name: str) -> Any:
    """A setting of a config; None where it has none."""
    value: Any = config
    for key in dotted_name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _trial_overrides(config: "Config", objective: "Objective") -> Dict[str, Any]:
    """Settings of every trial: no time is spent on languages that do not choose."""
    from ..corpora.reader import READER
    from ..evaluation.scorer import UNKNOWN_NAME

    name = config["training"]["dev_corpus"]
    block = get_setting(config, name) or {}
    is_ours = block.get("@readers") == READER and not block.get("source_path")
    return (
        {f"{name}.langs": objective.langs}
        if is_ours and UNKNOWN_NAME not in objective.langs
        else {}
    )


def _identify(
    config: "Config",
    plan: "TrainingPlan",
    space: "Space",
    objective: "Objective",
    code_path: Optional[Path],
) -> Dict[str, Any]:
    """What must be the same for trials to be compared."""
    from ..components.tracking import hash_corpora
    from ._resume import identify_run

    starts = [started.path for started in plan.starts.values()]
    paths = [*plan.encoders.values(), *starts, *([code_path] if code_path else [])]
    return {
        **identify_run(config, paths),
        **{f"documents of {x['path']}": x["sha256"] for x in hash_corpora(config)},
        **{f"values of {key}": values for key, values in space.items()},
        "languages that choose": list(objective.langs),
        "score": objective.score,
    }


def show_search(
    plan: "TrainingPlan", search: "Search", n_trials: Optional[int], minutes: Optional[float]
) -> None:
    """Print what is going to be tried, and what chooses."""
    from .train import describe_facts, name_langs

    langs = search.objective.langs
    limits = [f"{n_trials} trials"] if n_trials is not None else []
    limits += [f"{minutes:g} minutes"] if minutes is not None else []
    rows = [
        ("Training documents", describe_facts(plan.train)),
        ("Chosen by", f"mean {search.objective.score} in {', '.join(langs)}"),
        ("Not looked at", name_langs(sorted({*plan.dev.langs} - {*langs})) or "nothing"),
        ("Limit", ", ".join(limits)),
        ("Device", plan.device),
        *((f"Tries {key}", _describe_values(values)) for key, values in search.space.items()),
    ]
    msg.table(rows, max_col=80)


def _describe_values(values: Any) -> str:
    if isinstance(values, list):
        return ", ".join(map(str, values))
    text = f"{values['low']:g} to {values['high']:g}"
    return text + (", by magnitude" if values.get("log") else "")


def show_trial(trial: "Trial", best: Optional["Trial"]) -> None:
    """Print a line about a trial that has ended."""
    if trial.value is not None:
        outcome = f"{100 * trial.value:.2f}"
    elif trial.steps:
        outcome = f"{trial.state} at {100 * trial.steps[-1]:.2f}"
    else:
        outcome = trial.state
    best_value = "none yet" if best is None or best.value is None else f"{100 * best.value:.2f}"
    msg.text(
        f"Trial {trial.number}: {outcome} (best {best_value}), {trial.seconds:.0f} s: "
        f"{_describe_settings(trial.settings)}"
    )
    if trial.error:
        msg.warn(trial.error)


def _describe_settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.rsplit('.', 1)[-1]} {_show(value)}" for key, value in settings.items())


def _show(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def show_results(search: "Search", plan: "TrainingPlan") -> None:
    """Print the best trials, what mattered, and how much of it may be chance."""
    trials, best = search.trials, search.best
    if best is None or best.value is None:
        msg.warn(f"No trial has ended well; {len(trials)} were started.")
        return
    complete = sorted(
        (trial for trial in trials if trial.value is not None),
        key=lambda trial: (-(trial.value or 0.0), trial.number),
    )
    keys = list(search.space)
    header = ("Trial", search.objective.score, *(key.rsplit(".", 1)[-1] for key in keys))
    rows = [
        (
            trial.number,
            f"{100 * (trial.value or 0.0):.2f}",
            *(_show(trial.settings.get(key)) for key in keys),
        )
        for trial in complete[:MAX_SHOWN]
    ]
    msg.divider("Best trials")
    msg.table(rows, header=header, divider=True, aligns=["r"] * len(header))
    states = [trial.state for trial in trials]
    msg.text(
        f"{len(trials)} trials: {len(complete)} complete, {states.count('pruned')} ended early, "
        f"{states.count('failed')} failed."
    )
    importance = search.importance()
    if importance:
        shares = sorted(importance.items(), key=lambda item: -item[1])
        told = ", ".join(f"{key} {100 * share:.0f} %" for key, share in shares if share >= 0.01)
        msg.text(f"What mattered: {told}.")
    error = standard_error(best.value, plan.dev, search.objective.langs)
    msg.text(
        f"Each figure has a standard error of up to {100 * error:.1f} points. Trials share their "
        f"documents, so chance matters less in what is between them, but the best of several is "
        f"in part the luckiest: train it and the config's own settings with other seeds "
        f"(--system.seed) before you believe in a small gain."
    )


def standard_error(value: float, facts: "CorpusFacts", langs: Sequence[str]) -> float:
    """Of a mean over languages that all have the same sentences, the most that it can be."""
    n = min((facts.langs.get(lang, 0) for lang in langs), default=0) or facts.n_docs
    return math.sqrt(max(0.0, value * (1 - value)) / max(1, n))


def _write_results(
    search: "Search", output: Path, make_config: Callable[["Settings"], "Config"]
) -> None:
    """Write all trials, and the best of them as a config."""
    best = search.best
    record = {
        "format": "spacy_xlt.search.v1",
        "objective": asdict(search.objective),
        "space": search.space,
        "best": None if best is None else best.number,
        "importance": search.importance(),
        "trials": [asdict(trial) for trial in search.trials],
        "identity": search.identity,
    }
    write_text(output / RESULTS_FILE, json.dumps(record, indent=2, ensure_ascii=False))
    if best is None or best.value is None:
        return
    objective = search.objective
    lines = [
        f"Found by spacy xlt search: trial {best.number} of {len(search.trials)}, mean "
        f"{objective.score} {100 * best.value:.2f} on development documents in "
        f"{', '.join(objective.langs)}.",
        "These languages have chosen it; results in others may be zero-shot. It was tried:",
        *(f"{key} = {json.dumps(value)}" for key, value in best.settings.items()),
    ]
    comment = "".join(f"# {line}\n" for line in lines)
    config = make_config(best.settings).to_str(interpolate=False)
    write_text(output / BEST_FILE, f"{comment}\n{config}\n")
