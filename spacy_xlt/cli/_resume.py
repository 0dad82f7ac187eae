"""Training that can be cut off: what is done is kept, and the next run goes on from there.

spaCy's loop has no such thing. Here it runs again from its start, with all it does around the
steps (batches, schedules, logs), but steps that were taken are skipped, evaluations are answered
from the record, and then weights, optimizer and random numbers are set to what they were.
"""

import hashlib
import json
import math
import os
import shutil
import textwrap
import time
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    cast,
)

from ..files import check_disk_space, file_sha256, write_text
from ._app import msg
from ._staging import states_of

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example

    from ..components.textcat import XltTextCat

STATE_FILE = "state.json"
BEST = "model-best"
# A state that is being written; finished ones have numbers.
NEW = "new"
# Seconds of work that may be lost, and the share of the time that may go into keeping the rest.
KEEP_EVERY = 60.0
KEEP_SHARE = 0.05
# Differences between two runs that are named in a message.
MAX_LISTED = 5
START_ANEW = "To start anew, add --no-resume."
OTHER_DOCUMENTS = (
    "The documents are not those of the interrupted run, or come in another order. Put back the "
    f"files of paths.train and paths.dev. {START_ANEW}"
)

# What makes a run what it is: settings, files and versions by name.
Identity = Dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """Scores of an evaluation, and the losses summed up before it."""

    scores: Dict[str, Any]
    losses: Dict[str, float]


@dataclass(frozen=True)
class RunState:
    """Where a run was, apart from the tensors of its components.

    run (Identity): Which run.
    n_updates (int): Calls of `nlp.update` that were done.
    seen (str): Hash of the documents of these and of the evaluations.
    losses (Dict[str, float]): Losses summed up since the last evaluation.
    evaluations (List[Evaluation]): Evaluations that were done.
    random (Dict[str, Any]): State of the random number generators.
    """

    run: Identity
    n_updates: int
    seen: str
    losses: Dict[str, float]
    evaluations: List[Evaluation]
    random: Dict[str, Any]


def identify_run(config: Mapping[str, Any], paths: Iterable[Path]) -> Identity:
    """What must be the same for a run to go on. Documents are compared when they are read again.

    config (Mapping[str, Any]): Its config, interpolated.
    paths (Iterable[Path]): Files, and directories of files, that it depends on besides.
    """
    import spacy
    import torch

    from .. import __version__

    versions = {"spacy-xlt": __version__, "spacy": spacy.__version__, "torch": torch.__version__}
    settings = json.loads(json.dumps(config, default=str))
    files = (file for path in paths for file in (path, *path.rglob("*")) if file.is_file())
    return {**dict(_flatten(settings)), **versions, **{str(x): file_sha256(x) for x in files}}


def find_state(states: Path, run: Identity, *, resume: Optional[bool]) -> Optional[Path]:
    """The state to go on from.

    states (Path): Where they are kept.
    run (Identity): The run that is about to start.
    resume (Optional[bool]): Whether there must be a state (True) or none is wanted (False); by
        default (None), one of another run is passed over with a message.
    RETURNS (Optional[Path]): Its directory, if there is one of this very run.
    RAISES (ValueError): If there must be one, and there is none.
    """
    found = max(_finished(states), key=lambda path: int(path.name), default=None)
    if found is None or resume is False:
        if resume:
            raise ValueError(
                "There is no interrupted run to go on with. Its --output must be the same as "
                "before, and it must have run for more than a minute. To train, leave out "
                "--resume."
            )
        return None
    changes = describe_changes(read_state(found).run, run)
    if not changes:
        msg.info("Going on with the interrupted run")
        return found
    message = f"The interrupted run is another one. These are not the same: {changes}."
    if resume:
        raise ValueError(f"{message} Set them as they were. {START_ANEW}")
    msg.info(f"{message} Training starts anew.")
    return None


def describe_changes(before: Identity, now: Identity) -> str:
    """What differs between two runs, the first few of it; "" if they are the same."""
    changed = [x for x in sorted({*now, *before}) if now.get(x) != before.get(x)]
    parts = [f"{x} ({_shorten(before.get(x))}, now {_shorten(now.get(x))})" for x in changed]
    return ", ".join(parts[:MAX_LISTED]) + (" and others" if len(parts) > MAX_LISTED else "")


def read_state(path: Path) -> RunState:
    """RAISES (ValueError): If it is damaged."""
    try:
        fields = json.loads((path / STATE_FILE).read_text(encoding="utf8"))
        evaluations = [Evaluation(**evaluation) for evaluation in fields.pop("evaluations")]
        return RunState(**fields, evaluations=evaluations)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ValueError(f"The state in '{path}' is damaged ({e}). {START_ANEW}") from e


class ResumableRun:
    """Trains a pipeline so that it can be cut off, standing in for two of its methods.

    components (Sequence[str]): Names of all components that are trained.
    making (Path): Where spaCy saves the pipeline, in a directory of `staged_results`.
    run (Identity): Which run it is.
    start (Optional[Path]): State to go on from.
    n_bytes (int): Room on the disk that states must leave.
    """

    def __init__(
        self,
        components: Sequence[str],
        making: Path,
        run: Identity,
        *,
        start: Optional[Path] = None,
        n_bytes: int = 0,
    ):
        self.components = components
        self.making = making
        self.states = states_of(making)
        self.run = run
        self.start = start
        self.n_bytes = n_bytes
        # Where the run is going to be before anything is really done.
        self._past = None if start is None else read_state(start)
        self._n_updates = 0
        self._losses: Dict[str, float] = {}
        self._evaluations: List[Evaluation] = []
        self._seen = hashlib.sha256()
        self._keep_at = math.inf
        self._is_kept = False

    @contextmanager
    def recorded(self, nlp: "Language") -> Iterator[None]:
        """What spaCy's loop does with a pipeline in the block is recorded, or skipped.

        nlp (Language): The pipeline, initialized.
        RAISES (ValueError): If the run turns out to be another one than that of the state.
        """
        self._pipes = {name: cast("XltTextCat", nlp.get_pipe(name)) for name in self.components}
        self._update, self._evaluate = nlp.update, nlp.evaluate
        nlp.update = self.update  # type: ignore[method-assign, assignment]
        nlp.evaluate = self.evaluate  # type: ignore[method-assign]
        self._keep_at = time.monotonic() + KEEP_EVERY
        try:
            yield
            if self._past is not None:
                raise ValueError(OTHER_DOCUMENTS)
        except BaseException:
            if self._is_kept:
                msg.info("To go on from where this run was, give the same command again.")
            raise
        finally:
            del nlp.update, nlp.evaluate

    def update(self, examples: Iterable["Example"], **settings: Any) -> Dict[str, float]:
        """In place of `Language.update`."""
        examples = list(examples)
        self._losses = settings["losses"]
        if self._past is not None and self._n_updates == self._past.n_updates:
            self._go_on(self._past)
        elif self._past is None and time.monotonic() >= self._keep_at:
            self._keep()
        self._n_updates += 1
        self._note(examples)
        if self._past is None:
            return self._update(examples, **settings)
        if len(self._evaluations) < len(self._past.evaluations):
            self._losses.update(self._past.evaluations[len(self._evaluations)].losses)
        return self._losses

    def evaluate(self, examples: Iterable["Example"], **settings: Any) -> Dict[str, Any]:
        """In place of `Language.evaluate`."""
        examples = list(examples)
        self._note(examples)
        if self._past is None:
            scores = self._evaluate(examples, **settings)
            self._evaluations.append(Evaluation(scores, dict(self._losses)))
        elif len(self._evaluations) < len(self._past.evaluations):
            self._evaluations.append(self._past.evaluations[len(self._evaluations)])
        else:
            raise ValueError(OTHER_DOCUMENTS)
        return self._evaluations[-1].scores

    def _note(self, examples: Iterable["Example"]) -> None:
        for example in examples:
            facts = (example.predicted.text, sorted(example.reference.cats.items()))
            self._seen.update(json.dumps(facts).encode("ascii"))

    def _go_on(self, past: RunState) -> None:
        from ..layers.training_state import TrainingState, set_random_state

        assert self.start is not None
        if self._seen.hexdigest() != past.seen or len(self._evaluations) != len(past.evaluations):
            raise ValueError(OTHER_DOCUMENTS)
        for name, component in self._pipes.items():
            try:
                component.set_training_state(TrainingState.from_disk(_tensors(self.start, name)))
            except ValueError as e:
                raise ValueError(f"{e} {START_ANEW}") from e
        if (self.start / BEST).exists():
            shutil.rmtree(self.making / BEST, ignore_errors=True)
            _link_tree(self.start / BEST, self.making / BEST)
        set_random_state(past.random)
        self._losses.update(past.losses)
        self._past = None
        self._is_kept = True
        self._keep_at = time.monotonic() + KEEP_EVERY

    def _keep(self) -> None:
        """Keep the state, unless a step is under way; without room for it, just train on."""
        if any(component.has_gradients for component in self._pipes.values()):
            return
        begin = time.monotonic()
        try:
            self._write()
            self._is_kept = True
            now = time.monotonic()
            self._keep_at = now + max(KEEP_EVERY, (now - begin) / KEEP_SHARE)
        except OSError as e:
            shutil.rmtree(self.states / NEW, ignore_errors=True)
            self._keep_at = math.inf
            warnings.warn(
                f"If this run is interrupted, it cannot be resumed, since its state could not be "
                f"kept: {e}",
                stacklevel=2,
            )

    def _write(self) -> None:
        from ..layers.training_state import get_random_state

        tensors = {name: pipe.training_state() for name, pipe in self._pipes.items()}
        state = RunState(
            run=self.run,
            n_updates=self._n_updates,
            seen=self._seen.hexdigest(),
            losses=dict(self._losses),
            evaluations=self._evaluations,
            random=get_random_state(),
        )
        self.states.mkdir(exist_ok=True)
        others = list(self.states.iterdir())
        check_disk_space(self.states, self.n_bytes + sum(t.n_bytes for t in tensors.values()))
        new = self.states / NEW
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for name, tensors_of in tensors.items():
            tensors_of.to_disk(_tensors(new, name))
        if (self.making / BEST).exists():
            _link_tree(self.making / BEST, new / BEST)
        write_text(new / STATE_FILE, json.dumps(asdict(state), default=float))
        number = max((int(path.name) for path in _finished(self.states)), default=0) + 1
        os.replace(new, self.states / str(number))
        for other in others:
            shutil.rmtree(other, ignore_errors=True)


def _finished(states: Path) -> List[Path]:
    return [path for path in states.glob("*") if path.name.isdigit()]


def _tensors(state: Path, component: str) -> Path:
    return state / f"{component}.safetensors"


def _link_tree(source: Path, target: Path) -> None:
    """A copy whose files are the same on the disk, where it can; spaCy never changes them."""
    try:
        shutil.copytree(source, target, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)


def _shorten(value: Any) -> str:
    return textwrap.shorten(str(value), 40, placeholder="…")


def _flatten(value: Any, name: str = "") -> Iterator[tuple]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flatten(part, f"{name}.{key}" if name else key)
    else:
        yield name, value
