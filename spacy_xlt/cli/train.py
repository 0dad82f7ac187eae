"""`spacy xlt train`: spaCy's training, with results that appear whole or not at all."""

import logging
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    Callable,
    Collection,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
)

import typer

from ._app import CODE_PATH, GPU_ID, USER_ERRORS, Arg, Opt, command, msg, xlt_cli

if TYPE_CHECKING:
    from thinc.api import Config

    from ..components.starting import Started
    from ._resume import ResumableRun

ENCODER = "spacy_xlt.Encoder.v1"
SHARED = "spacy_xlt.SharedTransformer.v1"
# Its encoder may also be a name, which its own package looks up.
TRANSFORMER = "spacy-transformers.TransformerModel."
# While training, a pipeline is on the disk as model-last, as model-best, and once more while a
# file of it is replaced.
N_COPIES = 3
# Languages that are listed with their counts; of more, only the number is told.
MAX_LISTED = 12


@command(
    xlt_cli,
    "train",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def train_cli(
    ctx: typer.Context,  # only for the settings of the config
    config_path: Path = Arg(..., help="Config file; - is standard input"),
    output: Path = Opt(..., "--output", "--output-path", "-o", help="Directory for the pipeline"),
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
    allow_source: bool = Opt(
        False, "--allow-source", help="Go on training in a language that was trained on before"
    ),
    resume: Optional[bool] = Opt(
        None,
        "--resume/--no-resume",
        help="An interrupted run must go on, or must not; by default the very same run does",
        show_default=False,
    ),
    verbose: bool = Opt(False, "--verbose", "-V", help="Show more, and tracebacks of errors"),
) -> None:
    """
    Train a pipeline as spacy train does, with the same settings on the command line, such as
    --paths.train corpus/train. What can go wrong is looked for beforehand, and the output
    directory changes only when the training has ended well: model-best and model-last take the
    places of those that are there. After an interruption, the same command goes on where the run
    was about a minute before, and makes the same pipeline.
    """
    from spacy.cli._util import import_code
    from spacy.util import logger

    from ._config import parse_overrides

    if verbose:
        logger.setLevel(logging.DEBUG)
    try:
        overrides = parse_overrides(ctx.args)
        import_code(code_path)
        result = train(
            config_path,
            output,
            overrides=overrides,
            gpu_id=gpu_id,
            allow_source=allow_source,
            resume=resume,
            code_path=code_path,
            report=show_plan,
        )
    except USER_ERRORS:
        if verbose:
            traceback.print_exc()
        raise
    if result.best is not None:
        msg.good(f"Trained in {result.seconds:,.0f} seconds: {result.best}")


@dataclass(frozen=True)
class CorpusFacts:
    """What a corpus holds.

    langs (Mapping[str, int]): Documents by standard language tag.
    labels (Mapping[str, int]): Documents by label that holds.
    """

    langs: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_docs(self) -> int:
        return sum(self.langs.values())


@dataclass(frozen=True)
class TrainingPlan:
    """What a run is going to do, known before it starts.

    device (str): torch's name of the device.
    encoders (Mapping[str, Path]): Encoder directory by component.
    starts (Mapping[str, Started]): Trained component that each one goes on from.
    train (CorpusFacts): The training corpus; empty where it is a stream without end.
    source (CorpusFacts): The part of it that `source_path` adds.
    dev (CorpusFacts): The development corpus.
    chooses (bool): Whether scores on the development corpus choose the checkpoint.
    n_bytes (int): Room needed on the disk while training.
    """

    device: str
    encoders: Mapping[str, Path]
    starts: Mapping[str, "Started"]
    train: CorpusFacts
    source: CorpusFacts
    dev: CorpusFacts
    chooses: bool
    n_bytes: int


@dataclass(frozen=True)
class TrainingResult:
    """What a run made.

    best (Optional[Path]): The pipeline to use; None in all but the first of several processes.
    seconds (float): Time from the start of the command to the end.
    """

    best: Optional[Path]
    seconds: float


def train(
    config_path: Path,
    output: Path,
    *,
    overrides: Mapping[str, Any] = {},
    gpu_id: int = -1,
    allow_source: bool = False,
    resume: Optional[bool] = None,
    code_path: Optional[Path] = None,
    report: Callable[[TrainingPlan], None] = lambda plan: None,
) -> TrainingResult:
    """Train a pipeline into a directory, which changes only if all goes well.

    config_path (Path): The config; "-" is standard input.
    output (Path): Directory that gets `model-best` and `model-last`.
    overrides (Mapping[str, Any]): Settings of the config by dotted name.
    gpu_id (int): Number of the CUDA device, or -1 for the CPU.
    allow_source (bool): Whether documents may be in a language that the pipeline to start from
        was trained on.
    resume (Optional[bool]): Whether an interrupted run must go on (True) or must not (False); by
        default it does if it is the same.
    code_path (Optional[Path]): File of functions that the config names; another one makes another
        run.
    report (Callable[[TrainingPlan], None]): Told the plan before the work starts.
    RETURNS (TrainingResult): What was made.
    RAISES (ValueError): If the config, a corpus, the encoder or the pipeline to start from is
        wrong, or if a run must go on that cannot.
    RAISES (OSError): If the disk has no room, or the system refuses.
    """
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train as train_nlp
    from thinc.compat import has_cupy_gpu

    from ..files import check_disk_space
    from ..layers.ranks import joined_ranks, launched_ranks, local_rank
    from ._config import plain_errors, read_config
    from ._staging import staged_results

    start = time.perf_counter()
    if launched_ranks() > 1 and gpu_id >= 0:
        gpu_id = local_rank()
    # spaCy's setting is about memory that CuPy and torch share; without CuPy there is none.
    use_gpu = gpu_id if has_cupy_gpu else -1
    with ExitStack() as stack:
        stack.enter_context(plain_errors(config_path))
        config = read_config(config_path, dict(overrides))
        if launched_ranks() > 1:
            if resume:
                raise ValueError("Several processes cannot go on together. Leave out --resume.")
            check_all_ours(config, "Several processes train")
        if resume:
            check_all_ours(config, "After an interruption go on")
        plan = plan_training(config.interpolate(), gpu_id=gpu_id)
        if stack.enter_context(joined_ranks(plan.device)) > 0:
            # The first process speaks and writes for all.
            silence = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(silence))
            stack.enter_context(redirect_stderr(silence))
            nlp = init_nlp(config, use_gpu=use_gpu)
            train_nlp(nlp, None, use_gpu=use_gpu, stdout=silence, stderr=silence)
            return TrainingResult(None, time.perf_counter() - start)
        report(plan)
        check_languages(plan, allow_source=allow_source)
        check_disk_space(_existing(output), plan.n_bytes)
        staging = stack.enter_context(staged_results(output))
        run = _resumable_run(config, plan, staging, code_path=code_path, resume=resume)
        nlp = init_nlp(config, use_gpu=use_gpu)
        training = nlp.config["training"]
        msg.info(
            f"{training['max_steps'] or 'Unlimited'} steps, evaluated every "
            f"{training['eval_frequency']}"
        )
        if run is not None:
            stack.enter_context(run.recorded(nlp))
        train_nlp(
            nlp,
            staging,
            use_gpu=use_gpu,
            stdout=_Output(sys.stdout, staging),  # type: ignore[arg-type]
            stderr=sys.stderr,
        )
    return TrainingResult(output / "model-best", time.perf_counter() - start)


def _resumable_run(
    config: "Config",
    plan: TrainingPlan,
    making: Path,
    *,
    code_path: Optional[Path],
    resume: Optional[bool],
) -> Optional["ResumableRun"]:
    """The run as one that can be interrupted, if it can."""
    from ..layers.ranks import launched_ranks
    from ._resume import ResumableRun, find_state, identify_run
    from ._staging import states_of

    ours, others = trained_components(config)
    if others or launched_ranks() > 1:
        return None
    starts = [started.path for started in plan.starts.values()]
    paths = [*plan.encoders.values(), *starts, *([code_path] if code_path else [])]
    identity = identify_run(config.interpolate(), paths)
    start = find_state(states_of(making), identity, resume=resume)
    return ResumableRun(ours, making, identity, start=start, n_bytes=plan.n_bytes)


def trained_components(config: "Config") -> Tuple[List[str], List[str]]:
    """Names of the components that a config trains: those of this package that have an encoder of
    their own, and all others."""
    from ..components.starting import FACTORIES

    training = config["training"]
    idle = {*training.get("frozen_components", []), *config["nlp"].get("disabled", [])}
    names = [name for name in config["nlp"]["pipeline"] if name not in idle]
    blocks = config["components"]
    ours = [name for name in names if _has_own_encoder(blocks.get(name, {}), FACTORIES)]
    return ours, [name for name in names if name not in ours]


def check_all_ours(config: "Config", task: str) -> None:
    """RAISES (ValueError): If other components are trained, for which the task is too much.

    task (str): What is to be done, to begin "… only xlt_textcat and …".
    """
    from ..components.starting import FACTORIES

    _, others = trained_components(config)
    if others:
        raise ValueError(
            f"{task} only {' and '.join(FACTORIES)} with an encoder of their own, but the "
            f"pipeline also has {', '.join(others)}. Add them to training.frozen_components, or "
            f"train with one process, from the start."
        )


def _has_own_encoder(block: Mapping[str, Any], factories: Collection[str]) -> bool:
    return block.get("factory") in factories and SHARED not in _architectures(block)


def _architectures(block: Mapping[str, Any]) -> Iterator[str]:
    """Names of all architectures in a block, at whatever depth."""
    for key, value in block.items():
        if key == "@architectures":
            yield value
        elif isinstance(value, dict):
            yield from _architectures(value)


def plan_training(config: "Config", *, gpu_id: int = -1) -> TrainingPlan:
    """Look at all that a run needs, so that what is wrong shows before any work is done.

    config (Config): The config, interpolated.
    gpu_id (int): Number of the CUDA device, or -1 for the CPU.
    RETURNS (TrainingPlan): What the run is going to do.
    RAISES (ValueError): If an encoder, a pipeline to start from or a corpus is missing or damaged.
    """
    from ..compat import use_gpu
    from ..components.starting import read_started
    from ..files import folder_size

    device = use_gpu(gpu_id)
    settings = config.get("initialize", {}).get("components", {})
    starts = {
        name: read_started(Path(block["start_from"]), name)
        for name, block in settings.items()
        if block.get("start_from")
    }
    encoders = {
        name: Path(path)
        for name, block in config["components"].items()
        if name not in starts and (path := _find_encoder(block))
    }
    for directory in encoders.values():
        check_encoder(directory)
    weights_of = [*encoders.values(), *(started.weights_path for started in starts.values())]
    training = config["training"]
    weights = training.get("score_weights") or {}
    train, source = _read_training_corpus(config)
    return TrainingPlan(
        device=device,
        encoders=encoders,
        starts=starts,
        train=train,
        source=source,
        dev=read_facts(config, training.get("dev_corpus", "corpora.dev")),
        chooses=bool(training.get("patience")) or any(weights.values()),
        n_bytes=N_COPIES * sum(map(folder_size, weights_of)),
    )


def check_encoder(path: Path) -> None:
    """RAISES (ValueError): If a directory holds no encoder, or not the one it was when fetched."""
    from ..encoder_files import read_encoder_config, read_encoder_record
    from ..encoders.verify import check_files

    read_encoder_config(path)
    record = read_encoder_record(path)
    if record.get("files"):
        check_files(path, record)


def check_languages(plan: TrainingPlan, *, allow_source: bool) -> None:
    """Look for languages and labels that do not go with each other.

    RAISES (ValueError): If target documents are in a source language, and that is not allowed.
    """
    known = {lang for started in plan.starts.values() for lang in started.train_langs}
    if plan.source.n_docs:
        known |= set(plan.source.langs)
    shared = sorted(known & set(plan.train.langs) - {""})
    if shared and not allow_source:
        raise ValueError(
            f"The target documents are in a source language: {name_langs(shared)}. Documents are "
            f"in {name_langs(sorted(plan.train.langs))}; trained on before, or added as source "
            f"documents, were {name_langs(sorted(known))}. Set paths.train to documents in other "
            f"languages, or add --allow-source if this is meant."
        )
    if plan.chooses and not known:
        new = sorted(set(plan.dev.langs) - set(plan.train.langs))
        if new and plan.train.n_docs:
            warnings.warn(
                f"Documents in {name_langs(new)} choose the best checkpoint, and none is trained "
                f"on. Results in these languages will not be zero-shot.",
                stacklevel=2,
            )
    taught = {*plan.train.labels, *plan.source.labels}
    taught.update(label for started in plan.starts.values() for label in started.labels)
    unseen = sorted(set(plan.dev.labels) - taught)
    if unseen and taught:
        warnings.warn(
            f"Development documents have labels that no training document has: {unseen}. The "
            f"pipeline will not know them.",
            stacklevel=2,
        )
    untested = sorted(label for label in taught if not plan.dev.labels.get(label))
    if untested and plan.dev.n_docs:
        warnings.warn(
            f"No development document has these labels, so scores say nothing about them: "
            f"{untested}.",
            stacklevel=2,
        )


def read_facts(config: "Config", dotted_name: str) -> CorpusFacts:
    """Languages and labels of a corpus that a config names.

    RAISES (ValueError): If it is missing, damaged or empty.
    """
    from spacy.language import Language
    from spacy.tokens import Doc
    from spacy.util import resolve_dot_names

    from ..corpora.layout import gold_labels
    from ..languages import get_doc_language

    nlp = Language()
    # Splitting texts into tokens takes most of the time, and is not asked for here.
    nlp.tokenizer = lambda text: Doc(nlp.vocab, words=[text] if text else [])
    (corpus,) = resolve_dot_names(config, [dotted_name])
    langs: Counter = Counter()
    labels: Counter = Counter()
    for example in corpus(nlp):
        langs[get_doc_language(example.reference)] += 1
        labels.update(gold_labels(example.reference.cats))
    if not langs:
        raise ValueError(f"[{dotted_name}] holds no document. Check its path in the config.")
    return CorpusFacts(dict(langs), dict(labels))


def show_plan(plan: TrainingPlan) -> None:
    """Print what a run is going to do."""
    import torch

    from ..encoder_files import read_encoder_record
    from ..files import format_size

    rows = []
    for name, path in plan.encoders.items():
        record = read_encoder_record(path)
        rows.append((f"Encoder of {name}", f"{record.get('name', 'unnamed')} in {path}"))
    for name, started in plan.starts.items():
        before = name_langs(started.train_langs) or "no recorded language"
        rows.append((f"{name} goes on from", f"{started.path.parent}, trained in {before}"))
    for title, facts in (
        ("Source documents", plan.source),
        ("Training documents", plan.train),
        ("Development documents", plan.dev),
    ):
        if facts.n_docs:
            rows.append((title, describe_facts(facts)))
    rows += [("Device", plan.device), ("Disk, while training", format_size(plan.n_bytes))]
    msg.table(rows, max_col=70)
    if plan.device == "cpu" and torch.cuda.is_available():
        msg.info("To train on the GPU, add: --gpu-id 0")


def describe_facts(facts: CorpusFacts) -> str:
    """A corpus in one line: documents by language, number of labels."""
    from ..languages import language_name

    if len(facts.langs) > MAX_LISTED:
        by_lang = f"in {len(facts.langs)} languages"
    else:
        counts = sorted(facts.langs.items(), key=lambda item: (-item[1], item[0]))
        by_lang = "in " + ", ".join(f"{language_name(lang)} {n:,}" for lang, n in counts)
        if len(counts) == 1:
            by_lang = f"in {language_name(counts[0][0])}" if counts[0][0] else "without a language"
    return f"{facts.n_docs:,} {by_lang}; {len(facts.labels)} labels"


class _Output:
    """Passes on what spaCy prints, without what would mislead here.

    spaCy names the directory it saves into, which is not where the results will be, and says that
    it saves after an error, which is not kept.
    """

    def __init__(self, stream: IO[str], staging: Path):
        self.stream = stream
        self.hidden = (str(staging), "Aborting and saving the final best model")

    def write(self, text: str) -> None:
        if not any(part in text for part in self.hidden):
            self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()


def _read_training_corpus(config: "Config") -> Tuple[CorpusFacts, CorpusFacts]:
    """The training corpus, and apart from it what `source_path` adds."""
    from ..corpora.reader import READER

    training = config["training"]
    dotted_name = training.get("train_corpus", "corpora.train")
    if training.get("max_epochs") == -1:
        return CorpusFacts(), CorpusFacts()
    block = config.get("corpora", {}).get(dotted_name.partition(".")[2], {})
    if block.get("@readers") != READER or not block.get("source_path"):
        return read_facts(config, dotted_name), CorpusFacts()
    name = "corpora.it"
    alone = {"@readers": READER, "path": block["source_path"]}
    target = {**block, "source_path": None, "class_mix": "own"}
    return (
        read_facts({"corpora": {"it": target}}, name),  # type: ignore[arg-type]
        read_facts({"corpora": {"it": alone}}, name),  # type: ignore[arg-type]
    )


def _find_encoder(block: Any) -> Optional[str]:
    """Path of the encoder in a component's block, at whatever depth."""
    if not isinstance(block, dict):
        return None
    architecture = str(block.get("@architectures"))
    if architecture == ENCODER:
        return block.get("path")
    if architecture.startswith(TRANSFORMER) and Path(str(block.get("name"))).is_dir():
        return block["name"]
    return next((path for value in block.values() if (path := _find_encoder(value))), None)


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.is_dir())


def name_langs(langs: List[str]) -> str:
    from ..languages import language_name

    names = [language_name(lang) + (f" ({lang})" if lang else "") for lang in langs]
    if len(names) > MAX_LISTED:
        return f"{len(names)} languages"
    return ", ".join(names)
