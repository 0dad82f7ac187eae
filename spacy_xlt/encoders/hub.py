"""Fetch the files of an encoder from the model hub."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ..files import check_sha256
from .weights import needed_files


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the hub.

    name (str): Its name.
    n_bytes (int): Its size.
    sha256 (Optional[str]): Its hash, where the hub states it (large files).
    """

    name: str
    n_bytes: int
    sha256: Optional[str]


@dataclass(frozen=True)
class HubListing:
    """The files of an encoder that are going to be fetched, at one commit.

    hub_id (str): Repository.
    revision (str): Commit.
    files (Tuple[HubFile, ...]): The needed files only.
    """

    hub_id: str
    revision: str
    files: Tuple[HubFile, ...]


def list_hub_files(hub_id: str, *, timeout_seconds: float) -> HubListing:
    """Ask the hub what it has of an encoder.

    hub_id (str): Repository.
    timeout_seconds (float): The hub has to answer within.
    RAISES (ConnectionError): If it does not answer in time, or answers with an error.
    RAISES (ValueError): If the repository lacks a needed file.
    """
    from huggingface_hub import HfApi  # before the clock starts: takes a second

    info = _within(
        timeout_seconds,
        lambda: HfApi().model_info(hub_id, timeout=timeout_seconds, files_metadata=True),
    )
    by_name = {sibling.rfilename: sibling for sibling in info.siblings or []}
    files: List[HubFile] = []
    for name in needed_files(by_name, source=f"'{hub_id}' on the model hub"):
        lfs = by_name[name].lfs
        files.append(HubFile(name, by_name[name].size or 0, lfs.sha256 if lfs else None))
    return HubListing(hub_id, info.sha or "main", tuple(files))


def download_hub_file(
    listing: HubListing, file: HubFile, directory: Path, *, show_progress: bool = False
) -> Path:
    """Download one file of a listing and check its hash where the hub states one.

    show_progress (bool): Whether the hub's library may draw a bar for the file.
    RAISES (OSError): If the download fails.
    RAISES (ValueError): If the hash differs.
    """
    from huggingface_hub import hf_hub_download

    try:
        with contextlib.nullcontext() if show_progress else _without_bars():
            path = Path(
                hf_hub_download(
                    listing.hub_id, file.name, revision=listing.revision, local_dir=str(directory)
                )
            )
    except OSError as e:
        if e.errno is not None:  # the disk's, not the network's
            raise
        raise ConnectionError(
            f"The download of '{file.name}' of '{listing.hub_id}' broke off ({_first_line(e)}). "
            f"Try again. Nothing was changed."
        ) from e
    if file.sha256 is not None:
        check_sha256(path, file.sha256, advice="The download was damaged: try again.")
    return path


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """Call a function that speaks to the hub, and give up waiting after some time.

    The time-out of a connection does not cover the search for the host's address, which alone can
    take half a minute where there is no network; so the call gets a thread of its own.
    """
    outcome: Dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = function()
        except (OSError, ValueError) as e:  # all errors of requests and of the hub's library
            outcome["error"] = e

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if "value" in outcome:
        return outcome["value"]
    if "error" in outcome:
        error = outcome["error"]
        raise ConnectionError(f"The model hub cannot be used ({_first_line(error)})") from error
    raise ConnectionError(f"The model hub did not answer within {seconds:g} seconds")


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    if "Max retries exceeded" in text:  # the rest is a long chain of class names
        return "no connection"
    return text.splitlines()[0][:160] if text else type(error).__name__
