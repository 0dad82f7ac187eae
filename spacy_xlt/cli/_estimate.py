"""What a workflow will take on this machine: time, disk, memory. Rough, and said beforehand."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from ..files import folder_size

# Share of the measured speed of matrix products that training and prediction reach, by precision:
# what is left is attention, activations, copies and Python.
EFFICIENCY = {"bfloat16": (0.5, 0.75), "float32": (0.6, 0.8)}
# Starting Python and loading a pipeline, over all steps.
OVERHEAD_SECONDS = 150
EPOCHS = 10


@dataclass(frozen=True)
class Workload:
    """How many documents the steps have to do with, as far as that is known beforehand.

    n_train (int): Source documents.
    n_pool (int): Target documents that can be drawn from.
    n_groups (int): Pairs of target language and label, each of which gives some of them.
    n_test (int): Test documents in all languages.
    n_pieces (int): Word pieces of a document.
    """

    n_train: int
    n_pool: int
    n_groups: int
    n_test: int
    n_pieces: int


# Of all their languages, as imported by default.
WORKLOADS = {
    "assist": Workload(1_832, 16_322, 48 * 31, 5_959, 13),
    "sib200": Workload(701, 99 * 204, 204 * 7, 204 * 205, 40),
}
N_TARGETS = {"assist": 48, "sib200": 204}


@dataclass(frozen=True)
class Needs:
    """What a workflow takes, about.

    download_bytes (int): What is downloaded, at most.
    disk_bytes (int): What is on the disk while it runs, at most.
    memory_bytes (int): Peak memory.
    seconds (float): Time after the download.
    """

    download_bytes: int
    disk_bytes: int
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class Speed:
    """How fast this machine multiplies matrices.

    device (str): torch's name of the device.
    precision (str): Precision that training will use here.
    flops (float): Measured operations per second.
    """

    device: str
    precision: str
    flops: float


def estimate_workload(
    dataset: str, *, own: Optional[Path] = None, n_targets: Optional[int] = None
) -> Workload:
    """Sizes of a data set with all or some of its target languages, or of a user's own file,
    guessed from its lines."""
    if own is not None:
        n_rows, n_bytes = _count_lines(own)
        n_pieces = min(256, 2 + n_bytes // max(1, n_rows) // 5)
        return Workload(int(0.8 * n_rows), n_rows // 2, n_rows // 2, n_rows // 2, n_pieces)
    known = WORKLOADS[dataset]
    share = 1.0 if n_targets is None else n_targets / N_TARGETS[dataset]
    return Workload(
        known.n_train,
        int(known.n_pool * share),
        int(known.n_groups * share),
        int(known.n_test * share),
        known.n_pieces,
    )


def estimate_needs(workload: Workload, encoder: str, speed: Speed, *, n_finetune: int) -> Needs:
    """What a whole workflow takes.

    n_finetune (int): Target documents trained on, over all epochs.
    """
    size = encoder_bytes(encoder)
    seconds = compute_seconds(
        layer_weights(encoder),
        workload.n_pieces,
        speed,
        n_trained=EPOCHS * workload.n_train + n_finetune,
        n_read=workload.n_train + 2 * workload.n_test,
    )
    is_there = Path("encoders/current/model.safetensors").is_file() or Path(encoder).is_dir()
    return Needs(
        download_bytes=0 if is_there else size,
        # The encoder, two trainings with two copies each, and four while a package is made; of a
        # copy, up to half is kept in half precision.
        disk_bytes=7 * size,
        memory_bytes=10**9 + 3 * size,
        seconds=seconds + OVERHEAD_SECONDS + 10 * size / 10**8,
    )


def compute_seconds(
    n_weights: int, n_pieces: float, speed: Speed, *, n_trained: int = 0, n_read: int = 0
) -> float:
    """Time that an encoder takes for documents, with nothing around it.

    n_weights (int): Weights in its layers.
    n_pieces (float): Word pieces of a document.
    n_trained (int): Documents trained on, over all epochs.
    n_read (int): Documents that are only read.
    SOURCE: The weights of a layer are multiplied with each piece once forwards and twice
        backwards; two operations each.
    """
    work = 2 * n_weights * n_pieces
    train, forward = (share * speed.flops for share in EFFICIENCY[speed.precision])
    return work * (3 * n_trained / train + n_read / forward)


def encoder_bytes(encoder: str) -> int:
    """Size of an encoder's directory, about."""
    from ..encoders.catalogue import find_encoder

    if Path(encoder).is_dir():
        return folder_size(Path(encoder))
    known = find_encoder(encoder)
    if known is None:
        raise ValueError(
            f"There is no encoder '{encoder}': it is not a directory, and not one of those that "
            f"are listed by: python -m spacy xlt encoder list"
        )
    if known.index is not None:
        return known.index.encoder_bytes
    # Multilingual vocabularies have about a quarter of a million pieces; 4 bytes a weight.
    return 4 * (layer_weights(encoder) + 250_000 * known.width)


def layer_weights(encoder: str) -> int:
    """Weights in the layers of an encoder: four square matrices and two of four times the width."""
    from ..encoder_files import read_encoder_config
    from ..encoders.catalogue import find_encoder
    from ..encoders.verify import WIDTH_KEYS

    known = find_encoder(encoder)
    if Path(encoder).is_dir() or known is None:
        config = read_encoder_config(Path(encoder))
        width = next((config[key] for key in WIDTH_KEYS if key in config), 768)
        layers = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
        n_layers = next((config[key] for key in layers if key in config), 12)
    else:
        width, n_layers = known.width, known.n_layers
    return 12 * width**2 * n_layers


def measure_speed(device: str) -> Speed:
    """Multiply matrices for a moment, in the precision that training will use."""
    import torch

    from ..layers.device import resolve_precision
    from ..layers.timing import measure_product_rate, precision_name

    place = torch.device(device)
    dtype = resolve_precision("auto", place)
    return Speed(device, precision_name(dtype), measure_product_rate(place, dtype))


def total_memory() -> int:
    """Memory of this machine in bytes; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def describe_seconds(seconds: float) -> str:
    """A time as one would guess it: about 3 minutes."""
    minutes = seconds / 60
    if minutes < 90:
        return f"{max(1, round(minutes))} minutes" if minutes >= 1.5 else "1 minute"
    return f"{minutes / 60:.1f} hours"


def _count_lines(path: Path) -> Tuple[int, int]:
    """Lines and bytes of a file, or of all files in a directory."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    n_lines = n_bytes = 0
    for file in files:
        with file.open("rb") as stream:
            for line in stream:
                n_lines += 1
                n_bytes += len(line)
    return n_lines, n_bytes
