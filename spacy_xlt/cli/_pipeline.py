"""Pipelines that commands load and save."""

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

if TYPE_CHECKING:
    from spacy.language import Language


def load_pipeline(name: str, *, gpu_id: int = -1, code_path: Optional[Path] = None) -> "Language":
    """Load an installed pipeline or one in a directory, on the device asked for.

    RAISES (ValueError): If it is not there or cannot be read, or there is no such device.
    """
    from spacy.cli._util import import_code
    from spacy.util import load_model

    from ..compat import use_gpu

    import_code(code_path)
    use_gpu(gpu_id)
    try:
        return load_model(name)
    except Exception as e:
        # A directory may hold anything, and each part of it fails in its own way.
        is_there = Path(name).exists()
        hint = (
            "It is damaged, not a pipeline, or needs a package that is not installed. Train or "
            "copy it again"
            if is_there
            else "There is no such package or directory. Name a trained pipeline, such as "
            "training/model-best"
        )
        raise ValueError(
            f"The pipeline '{name}' cannot be loaded. {hint}. ({type(e).__name__}: {e})"
        ) from e


def check_output(path: Path) -> None:
    """RAISES (ValueError): If the path is taken by something that is not a pipeline."""
    from ..files import check_replaceable

    check_replaceable(path, "pipeline", lambda p: (p / "meta.json").is_file())


def save_pipeline(nlp: "Language", path: Path) -> None:
    """Save a pipeline as a whole or not at all, also in place of another one.

    RAISES (ValueError): If the path is taken by something else, or by another process.
    """
    from ..files import replaced_directory

    check_output(path)
    with replaced_directory(path) as made:
        nlp.to_disk(made)


def check_batch_size(batch_size: int) -> None:
    """RAISES (ValueError): If it is not 1 or more."""
    if batch_size < 1:
        raise ValueError(f"The batch size is {batch_size}; allowed is 1 or more.")


def split_langs(value: Optional[str]) -> Optional[List[str]]:
    """Languages of a comma-separated option; None where it is not given.

    RAISES (ValueError): If it names none.
    """
    if value is None:
        return None
    langs = [lang.strip() for lang in value.split(",") if lang.strip()]
    if not langs:
        raise ValueError(f"'{value}' names no language. Write tags with commas, such as de,fr,sw")
    return langs
