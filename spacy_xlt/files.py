"""File work: hashes, disk space, and files and directories that appear whole or not at all."""

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

# Told a step's name, the bytes done, and the bytes in all.
OnProgress = Callable[[str, int, int], None]
OnBytes = Callable[[int], None]

CHUNK_BYTES = 2**22
# Room to leave on a disk besides what is going to be written.
SPARE_BYTES = 50_000_000
# In a staging directory: the lock of its process, and what stood at the target before.
LOCK_FILE = "lock"
REPLACED = "replaced"


def no_progress(step: str, done: int, total: int) -> None:
    """Tell nobody."""


def ignore_bytes(done: int) -> None:
    """Tell nobody."""


def counter(on_progress: OnProgress, step: str, total: int, *, before: int = 0) -> OnBytes:
    """What counts the bytes of one part of a step.

    total (int): Bytes of the whole step.
    before (int): Bytes of its earlier parts.
    """
    return lambda done: on_progress(step, before + done, total)


def file_sha256(path: Path, *, on_bytes: OnBytes = ignore_bytes) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    on_bytes (OnBytes): Told the bytes read so far.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(file.tell())
    return digest.hexdigest()


def check_sha256(path: Path, expected: str, *, advice: str) -> None:
    """Compare a file with its known hash.

    RAISES (ValueError): With file, both hashes and the advice.
    """
    found = file_sha256(path)
    if found != expected:
        raise ValueError(
            f"'{path}' is not what it should be: its SHA-256 is {found}, expected {expected}. "
            f"{advice}"
        )


def check_disk_space(directory: Path, n_bytes: int) -> None:
    """Check that a file system has room.

    directory (Path): An existing directory on it.
    n_bytes (int): What is going to be written.
    RAISES (OSError): If that does not fit.
    """
    free = shutil.disk_usage(directory).free
    if free < n_bytes + SPARE_BYTES:
        raise OSError(
            f"Not enough room on the disk of '{directory}': {format_size(free)} are free, "
            f"{format_size(n_bytes + SPARE_BYTES)} are needed. Free some, or choose a directory on "
            f"another disk. Nothing was changed."
        )


def folder_size(folder: Path) -> int:
    """Bytes of all files in a directory; 0 if there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def format_size(n_bytes: int) -> str:
    """A size for people, in decimal units: 488 MB, 12 kB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            value = n_bytes / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{n_bytes} bytes"


@contextlib.contextmanager
def staging_directory(target: Path) -> Iterator[Path]:
    """A new directory beside a target, on its file system, removed at the end come what may.

    It is locked as long as this process lives, so that a later run can tell the remains of a
    killed run from the work of another one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=_staging_prefix(target), dir=target.parent))
    try:
        with (staging / LOCK_FILE).open("wb") as lock:
            try_lock(lock)
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def clean_leftovers(target: Path) -> None:
    """Remove what killed runs left beside a target, and put back what they had moved away.

    RAISES (ValueError): If another process is at work on the same target.
    """
    if not target.parent.is_dir():
        return
    for staging in target.parent.glob(glob.escape(_staging_prefix(target)) + "*"):
        if is_in_use(staging):
            raise ValueError(
                f"Another process is writing to '{target}' (it works in '{staging}'). Wait for "
                f"it to end, or end it, or choose another directory."
            )
        replaced = staging / REPLACED
        if replaced.is_dir() and not target.exists():
            os.replace(replaced, target)
        shutil.rmtree(staging, ignore_errors=True)


def put_in_place(made: Path, target: Path, *, staging: Path) -> None:
    """Rename a finished directory to its target; what stood there goes into the staging directory.

    If the rename fails, what stood there is put back.
    """
    replaced = staging / REPLACED
    if target.exists():
        os.replace(target, replaced)
    try:
        os.replace(made, target)
    except BaseException:
        if replaced.exists():
            os.replace(replaced, target)
        raise


@contextlib.contextmanager
def replaced_directory(target: Path) -> Iterator[Path]:
    """A directory to fill, which takes the place of the target only if the block ends well.

    If the block fails or the process is killed, the target is as it was.

    target (Path): The directory to make or replace; a link stays a link.
    YIELDS (Path): An empty directory on the same file system.
    RAISES (ValueError): If another process is at work on the same target.
    RAISES (OSError): If the disk is full.
    """
    named, target = target, target.resolve()
    clean_leftovers(target)
    with telling_of_full_disk(named), staging_directory(target) as staging:
        made = staging / "made"
        made.mkdir()
        yield made
        put_in_place(made, target, staging=staging)


def _staging_prefix(target: Path) -> str:
    return f".{target.name}.new-"


def is_in_use(staging: Path) -> bool:
    try:
        with (staging / LOCK_FILE).open("rb+") as lock:
            return not try_lock(lock)
    except FileNotFoundError:
        return False


def try_lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed or the process ends; False if another one holds it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        # Some network file systems have no locks at all; there nobody holds one.
        return e.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


@contextlib.contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """A path to write to; takes the place of the file only if the block ends well.

    path (Path): The file to make or replace. Its directory is made if need be.
    YIELDS (Path): What to write to: a file beside it, or itself if it is a device or a pipe.
    RAISES (ValueError): If the path is a directory.
    RAISES (OSError): If the disk is full.
    """
    if path.is_dir():
        raise ValueError(f"'{path}' is a directory; a file is needed. Name a file in it.")
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        with telling_of_full_disk(path):
            yield staging
            os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


@contextlib.contextmanager
def telling_of_full_disk(path: Path) -> Iterator[None]:
    """RAISES (OSError): If the block finds no room for something that takes the place of a path
    once it is whole."""
    try:
        yield
    except Exception as e:
        if not is_disk_full(e):
            raise
        raise OSError(
            errno.ENOSPC,
            f"The disk is full: '{path}' could not be written, and what was there before is "
            f"untouched. Make room, or choose a directory on another disk",
        ) from e


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says so; safetensors and copies of directories do in words of their own."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or (
        os.strerror(errno.ENOSPC) in str(error)
    )


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, in UTF-8 and with plain line ends."""
    with staged_file(path) as staging:
        staging.write_text(text, encoding="utf8", newline="\n")


def check_replaceable(path: Path, what: str, is_one: Callable[[Path], bool]) -> None:
    """Make sure that nothing is replaced but an empty directory or what the new thing is.

    what (str): What it is, such as "corpus".
    is_one (Callable[[Path], bool]): Whether a directory holds one.
    RAISES (ValueError): If the path is taken by something else.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"'{path}' is a file; a {what} needs a directory. Choose another name.")
    found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    if found and not is_one(path):
        raise ValueError(
            f"'{path}' holds something that is not a {what} (found: {', '.join(found[:5])}). "
            f"Choose another directory, or empty this one."
        )
