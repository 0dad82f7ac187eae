"""Directories of results: what is new appears whole or not at all, whenever the process ends."""

import glob
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from ..files import LOCK_FILE, REPLACED, is_in_use, try_lock

# In a staging directory: what is being made, and what is finished and only has to be moved.
MAKING = "making"
READY = "ready"
# Also there: what an interrupted run leaves for the next one to go on from.
STATES = "states"


@contextmanager
def staged_results(target: Path) -> Iterator[Path]:
    """A directory to fill, whose entries take their places in the target if the block ends well.

    Entries of the target with other names stay. If the block fails or the process is killed, the
    target is as it was; if it is killed while entries are being moved, the next call for the same
    target moves the rest. What an unfinished block has put into `states_of` the directory is there
    again in the next call.

    target (Path): The directory of results; made if it is not there.
    YIELDS (Path): An empty directory on the same file system.
    RAISES (ValueError): If the target is a file, or another process is at work on it.
    """
    target = target.resolve()  # a link stays a link: its target gets the results
    if target.exists() and not target.is_dir():
        raise ValueError(f"'{target}' is a file; a directory is needed. Choose another name.")
    place = _staging_place(target)
    place.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=place))
    try:
        with (staging / LOCK_FILE).open("wb") as lock:
            try_lock(lock)
            _settle_leftovers(target, besides=staging)
            making = staging / MAKING
            making.mkdir()
            yield making
            os.replace(making, staging / READY)  # from here on the new results count
            shutil.rmtree(staging / STATES, ignore_errors=True)
            _move_into_place(staging, target)
    finally:
        # Finished results that could not be moved are left for the next call.
        if not (staging / READY).exists():
            has_states = any((staging / STATES).glob("*"))
            shutil.rmtree(staging / MAKING if has_states else staging, ignore_errors=True)


def states_of(making: Path) -> Path:
    """Where a block keeps what the next one can go on from; not there before it is made."""
    return making.parent / STATES


def _settle_leftovers(target: Path, *, besides: Path) -> None:
    """Finish, take over or remove what unfinished blocks left.

    RAISES (ValueError): If another process is at work on the same target.
    """
    # Without a dot: the rest of the name is not that of another target's staging directory.
    for staging in besides.parent.glob(glob.escape(_prefix(target)) + "*"):
        if staging == besides or "." in staging.name.removeprefix(_prefix(target)):
            continue
        if is_in_use(staging):
            raise ValueError(
                f"Another process is writing to '{target}' (it works in '{staging}'). Wait for it "
                f"to end, or end it, or choose another directory."
            )
        if (staging / READY).is_dir():
            _move_into_place(staging, target)
        elif (staging / STATES).is_dir() and not (besides / STATES).exists():
            os.replace(staging / STATES, besides / STATES)
        shutil.rmtree(staging, ignore_errors=True)


def _move_into_place(staging: Path, target: Path) -> None:
    """Move finished entries; can be repeated if it is cut off at any point."""
    target.mkdir(parents=True, exist_ok=True)
    replaced = staging / REPLACED
    replaced.mkdir(exist_ok=True)
    for entry in sorted((staging / READY).iterdir()):
        place = target / entry.name
        if place.exists() or place.is_symlink():
            os.replace(place, replaced / entry.name)
        os.replace(entry, place)
    (staging / READY).rmdir()


def _staging_place(target: Path) -> Path:
    """Beside the target; inside it where that is another file system or not allowed."""
    is_alone = os.path.ismount(target) or not os.access(target.parent, os.W_OK)
    return target if target.is_dir() and is_alone else target.parent


def _prefix(target: Path) -> str:
    return f".{target.name}.new-"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """A directory of work that goes on when the same command is given again.

    RAISES (ValueError): If another process is at work in it.
    """
    with (directory / LOCK_FILE).open("wb") as lock:
        if not try_lock(lock):
            raise ValueError(
                f"Another process is at work in '{directory}'. Wait for it to end, or choose "
                f"another --output."
            )
        yield
