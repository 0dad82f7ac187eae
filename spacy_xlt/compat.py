"""Optional libraries: imported on use, with an error that names the extra to install."""

from importlib import import_module
from types import ModuleType
from typing import Optional

# module -> the extra of this package that installs it
EXTRAS = {
    "captum": "explain",
    "ctranslate2": "ctranslate2",
    "hassil": "assist",
    "home_assistant_intents": "assist",
    "mlflow": "mlflow",
    "optuna": "search",
    "peft": "peft",
    "py3langid": "language",
    "pyarrow": "parquet",
    "sentencepiece": "translation",
    "simplemma": "lexicon",
    "tensorboardX": "tensorboard",
    "wandb": "wandb",
}


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional library.

    module (str): Dotted name of the module.
    purpose (str): What it is needed for, to complete "… needs the library".
    RETURNS (ModuleType): The module.
    RAISES (ImportError): If it is not installed; names the extra that has it.
    """
    try:
        return import_module(module)
    except ImportError as e:
        library = module.split(".")[0]
        raise ImportError(
            f"{purpose} needs the library '{library}', which is not installed. "
            f"Install it with: pip install 'spacy-xlt[{EXTRAS[library]}]'"
        ) from e


_device: Optional[str] = None


def use_gpu(gpu_id: int) -> str:
    """Choose the device of this process, with or without CuPy.

    gpu_id (int): Number of the CUDA device, or -1 for the CPU.
    RETURNS (str): torch's name of the device.
    RAISES (ValueError): If there is no such CUDA device.
    """
    import torch
    from thinc.api import require_cpu, require_gpu
    from thinc.compat import has_cupy_gpu

    global _device
    if gpu_id < 0:
        require_cpu()
        _device = "cpu"
        return _device
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpu_id >= n_gpus:
        raise ValueError(
            f"GPU {gpu_id} was asked for, but torch sees {n_gpus} CUDA devices. Use --gpu-id -1 "
            f"for the CPU, or install a CUDA build of torch and check the driver."
        )
    if has_cupy_gpu:
        require_gpu(gpu_id)
    torch.cuda.set_device(gpu_id)
    _device = f"cuda:{gpu_id}"
    return _device


def default_device() -> str:
    """torch's name of the device that "auto" stands for.

    In this order: what `use_gpu` chose, the GPU that Thinc uses, any CUDA device, the CPU.
    """
    import torch
    from thinc.api import CupyOps, get_current_ops

    if _device is not None:
        return _device
    if isinstance(get_current_ops(), CupyOps) or torch.cuda.is_available():
        return f"cuda:{torch.cuda.current_device()}"
    return "cpu"
