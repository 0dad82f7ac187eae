"""Files that commands write: whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A path to write to; takes the place of the file only if the block ends well.

    path (Path): The file to make or replace. Its directory is made if need be.
    YIELDS (Path): What to write to: a file beside it, or itself if it is a device or a pipe.
    RAISES (ValueError): If the path is a directory.
    """
    if path.is_dir():
        raise ValueError(f"'{path}' is a directory; a file is needed. Name a file in it.")
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        yield staging
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, in UTF-8 and with plain line ends."""
    with staged(path) as staging:
        staging.write_text(text, encoding="utf8", newline="\n")
