"""Optional libraries: imported on use, with an error that names the extra to install."""

from importlib import import_module
from types import ModuleType

# module -> the extra of this package that installs it
EXTRAS = {
    "hassil": "assist",
    "home_assistant_intents": "assist",
    "pyarrow": "parquet",
    "matplotlib": "report",
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
