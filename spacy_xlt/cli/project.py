"""`spacy xlt project`: steps of project.yml that no other command does."""

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ..files import write_text
from ._app import GPU_ID, Arg, Opt, command, group, msg

if TYPE_CHECKING:
    from ._estimate import Needs, Speed, Workload

project_cli = group("project", help="Steps of project.yml: plan, import, summary")

ASSIST, SIB200 = "assist", "sib200"
SIB200_FOLDER = Path("assets/sib200")
FETCH_SIB200 = "python -m spacy project assets . --extra"
# Data set -> packages whose version decides what it holds.
DATASETS = {ASSIST: ("home-assistant-intents", "hassil"), SIB200: ()}
# Packages whose version decides what training gives.
CODE_PACKAGES = ("spacy-xlt", "spacy", "thinc", "torch", "transformers", "tokenizers")
# Where the steps leave what takes room.
FOLDERS = ("encoders", "corpus", "training", "packages")


@command(project_cli, "plan")
def project_plan_cli(
    inputs: Path = Arg(..., help="Directory for records of what other steps depend on"),
    dataset: str = Opt(ASSIST, "--dataset", help=f"Data set: {', '.join(DATASETS)}"),
    data: str = Opt("", "--data", help="Your own file or directory, instead of a data set"),
    target_langs: str = Opt("", "--target-langs", help="Target languages, with commas"),
    shots: int = Opt(8, "--shots", help="Target documents per label and language"),
    epochs: int = Opt(5, "--epochs", help="Passes of fine-tuning over the target documents"),
    encoder: str = Opt("multilingual-e5-small", "--encoder", help="Name or directory"),
    gpu_id: int = GPU_ID,
) -> None:
    """
    Say what the workflow takes in time, disk and memory, and record the versions and hashes of
    data, encoder and code, so that steps run again when one of them has changed.
    """
    from ..compat import use_gpu
    from ..files import check_disk_space, folder_size
    from ._estimate import estimate_needs, estimate_workload, measure_speed

    records = describe_inputs(dataset, data, encoder)
    workload = estimate_workload(
        dataset,
        own=Path(data) if data and dataset != SIB200 else None,
        n_targets=count_targets(dataset, data, target_langs),
    )
    n_shots = min(workload.n_pool, shots * workload.n_groups)
    speed = measure_speed(use_gpu(gpu_id))
    needs = estimate_needs(workload, encoder, speed, n_finetune=n_shots * epochs)
    show_needs(needs, workload, speed, data=data or dataset, encoder=encoder, n_shots=n_shots)
    there = sum(folder_size(Path(folder)) for folder in FOLDERS)
    check_disk_space(Path.cwd(), max(0, needs.disk_bytes - there))
    for name, record in records.items():
        write_text(inputs / f"{name}.json", json.dumps(record, indent=2, sort_keys=True) + "\n")


@command(project_cli, "import")
def project_import_cli(
    out: Path = Arg(..., help="Directory of the corpus"),
    dataset: str = Opt(ASSIST, "--dataset", help=f"Data set: {', '.join(DATASETS)}"),
    data: str = Opt(
        "", "--data", help="Your own file or directory of labelled texts; of sib200, its folder"
    ),
    source_lang: str = Opt("en", "--source-lang", help="Language to train in"),
    target_langs: str = Opt("", "--target-langs", help="Target languages, with commas"),
    seed: int = Opt(0, "--seed", "-s", help="Another seed gives another division"),
) -> None:
    """
    Import a data set, or your own file, arranged for transfer: train, dev and test of the source
    language, and of every other language a test set and a pool to draw a few documents from.
    """
    from .data import print_losses, print_record, progress

    record = import_data(
        out,
        dataset=dataset,
        data=data,
        source_lang=source_lang,
        target_langs=split_names(target_langs),
        seed=seed,
        progress=progress,
    )
    print_record(record)
    print_losses(record, out)
    if not record["counts"].get("pool"):
        msg.warn(
            "There are documents in the source language only",
            "So there is nothing to transfer to: run the workflow zero-shot, which trains, tests "
            "and packages without target documents.",
        )
    msg.good(f"The corpus is in {out}")


@command(project_cli, "summary")
def project_summary_cli(
    metrics: List[Path] = Arg(..., help="JSON files of spacy xlt evaluate"),
    report: Path = Opt(..., "--report", help="Page of the report"),
    package: Path = Opt(..., "--package", help="Package of the pipeline"),
) -> None:
    """Show the outcome in a few lines, and where report and package are."""
    from ..evaluation.rendering import percent
    from ..evaluation.results import read_evaluation

    rows = []
    for path in metrics:
        evaluation = read_evaluation(path)
        transfer = evaluation["transfer"]
        rows.append(
            (
                evaluation["name"],
                percent(transfer["source_accuracy"]),
                percent(transfer["target_accuracy"]),
                f"{percent(transfer['worst_accuracy'])} {transfer['worst_lang'] or ''}",
            )
        )
    for path in (report, package):
        if not path.is_file():
            raise ValueError(f"There is no '{path}'. Run the workflow again.")
    header = ("Accuracy", "source", "mean of targets", "worst")
    msg.table(rows, header=header, divider=True, aligns=("l", "r", "r", "r"))
    msg.good(f"Report:  {report}", "Open it in a browser; it needs no network.")
    msg.good(f"Package: {package}", f"Install it with: python -m pip install {package}")


def show_needs(
    needs: "Needs", workload: "Workload", speed: "Speed", *, data: str, encoder: str, n_shots: int
) -> None:
    """Print what the workflow `all` takes."""
    from ..files import format_size
    from ._estimate import describe_seconds, encoder_bytes, total_memory

    memory = total_memory()
    download = format_size(needs.download_bytes)
    rows = [
        ("Data", f"{data}, up to {workload.n_train:,} source documents to train on,"),
        ("", f"{n_shots:,} target documents to fine-tune on, {workload.n_test:,} to test on"),
        ("Encoder", f"{encoder}, {format_size(encoder_bytes(encoder))}"),
        ("Download", f"up to {download}" if needs.download_bytes else "none"),
        ("Disk", format_size(needs.disk_bytes)),
        ("Memory", format_size(needs.memory_bytes)),
        ("Time", f"{describe_seconds(needs.seconds)}, besides the download"),
        ("Device", f"{speed.device}, {speed.precision}, {speed.flops / 1e9:,.0f} GFLOP/s"),
    ]
    msg.divider("What the whole workflow takes, about")
    msg.table(rows, max_col=80)
    if 0 < memory < needs.memory_bytes:
        msg.warn(
            f"This machine has {format_size(memory)} of memory, which may be too little",
            "A smaller encoder needs less.",
        )


def describe_inputs(dataset: str, data: str, encoder: str) -> Dict[str, Dict[str, Any]]:
    """What decides the outcome and stands outside the project: data, encoder and code.

    RAISES (ValueError): If the data are not there.
    RAISES (ImportError): If the data set's package is not installed.
    """
    from ..compat import require
    from ..corpora.assist import PURPOSE
    from ..files import file_sha256

    def hashes(path: Path) -> Dict[str, str]:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        return {file.relative_to(path.parent).as_posix(): file_sha256(file) for file in files}

    folder = find_data(dataset, data)
    if folder is None:
        require("home_assistant_intents", PURPOSE)
        require("hassil", PURPOSE)
    packages = DATASETS[dataset] if folder is None else ()
    local = Path(encoder)
    return {
        "data": {
            "dataset": "" if data and dataset != SIB200 else dataset,
            "files": {} if folder is None else hashes(folder),
            "packages": {name: version(name) for name in packages},
        },
        "encoder": {"name": encoder, "files": hashes(local) if local.is_dir() else {}},
        "code": {name: version(name) for name in CODE_PACKAGES},
    }


def find_data(dataset: str, data: str) -> Optional[Path]:
    """The file or directory to import; None for a data set that comes as a package.

    RAISES (ValueError): If there is no such data set, or nothing at the path.
    """
    if dataset not in DATASETS:
        raise ValueError(
            f"There is no data set '{dataset}'. Data sets are: {', '.join(DATASETS)}. Your own "
            f"file is given with --vars.data FILE."
        )
    if not data and dataset == ASSIST:
        return None
    path = Path(data) if data else SIB200_FOLDER
    if not path.exists():
        hint = "" if data else f" Fetch it with: {FETCH_SIB200}"
        raise ValueError(f"There are no data at '{path}'.{hint}")
    return path


def count_targets(dataset: str, data: str, target_langs: str) -> Optional[int]:
    """How many target languages there will be; None for all that the data set has."""
    langs = split_names(target_langs)
    if langs is not None:
        return len(langs)
    folder = find_data(dataset, data)
    if dataset != SIB200 or folder is None:
        return None
    return max(0, sum(path.is_dir() for path in folder.iterdir()) - 1)


def import_data(
    out: Path,
    *,
    dataset: str,
    data: str = "",
    source_lang: str = "en",
    target_langs: Optional[List[str]] = None,
    seed: int = 0,
    progress: Any = iter,
) -> Dict[str, Any]:
    """Import a data set or a user's own file, arranged for transfer.

    RETURNS (Dict[str, Any]): The record of the corpus.
    """
    from ..corpora.arrange import arrange_corpus
    from ..corpora.assist import AssistSettings, import_assist
    from ..corpora.importing import find_sources, import_corpus
    from ..corpora.sib200 import import_sib200

    folder = find_data(dataset, data)
    if folder is None:
        settings = AssistSettings(source_lang=source_lang, langs=target_langs, seed=seed)
        return import_assist(out, settings, progress=progress)
    with tempfile.TemporaryDirectory() as work:
        imported = Path(work) / out.name
        if dataset == SIB200:
            langs = None if target_langs is None else [source_lang, *target_langs]
            import_sib200(folder, imported, langs=langs, progress=progress)
        else:
            import_corpus(find_sources([folder]), imported, progress=progress)
        return arrange_corpus(
            imported,
            out,
            source_lang=source_lang,
            target_langs=target_langs,
            seed=seed,
            progress=progress,
        )


def split_names(text: str) -> Optional[List[str]]:
    """Names with commas between them; None for an empty string."""
    return [name.strip() for name in text.split(",") if name.strip()] or None
