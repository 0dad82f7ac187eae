"""`spacy xlt ensemble`: several trained pipelines as one."""

from pathlib import Path
from typing import Any, List, Optional, Sequence

from ._app import CODE_PATH, GPU_ID, Arg, Opt, command, msg, xlt_cli

NAME = "textcat"


@command(xlt_cli, "ensemble")
def ensemble_cli(
    pipelines: List[str] = Arg(..., help="Names or paths of two or more trained pipelines"),
    output: Path = Opt(..., "--output", "-o", help="Directory for the ensemble"),
    weights: Optional[str] = Opt(
        None, "--weights", "-w", help="What each pipeline counts, with commas (default: the same)"
    ),
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Make one pipeline whose probabilities are the mean of those of several, also of such with
    different encoders. It holds copies of them, and takes the time and memory of all together.
    """
    make_ensemble(
        pipelines,
        output,
        weights=split_weights(weights),
        gpu_id=gpu_id,
        code_path=code_path,
    )
    msg.good(f"Ensemble of {len(pipelines)} pipelines: {output}")


def make_ensemble(
    pipelines: Sequence[str],
    output: Path,
    *,
    weights: Optional[Sequence[float]] = None,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> None:
    """Write an ensemble into a directory; see `components.ensemble.XltEnsemble.set_members`.

    RAISES (ValueError): If a pipeline cannot be loaded, they do not fit together, or something
        that is not a pipeline is in the way.
    """
    import spacy

    from ..components.ensemble import add_requirements
    from ._pipeline import check_output, load_pipeline, save_pipeline

    check_output(output)
    if len(pipelines) < 2:
        raise ValueError("An ensemble is made of 2 or more pipelines. Name another one.")
    members = [load_pipeline(name, gpu_id=gpu_id, code_path=code_path) for name in pipelines]
    nlp = spacy.blank("xx")
    ensemble: Any = nlp.add_pipe("xlt_ensemble", name=NAME)
    ensemble.set_members(members, names=pipelines, weights=weights)
    add_requirements(nlp, members)
    save_pipeline(nlp, output)


def split_weights(value: Optional[str]) -> Optional[List[float]]:
    """Numbers of a comma-separated option; None where it is not given.

    RAISES (ValueError): If a part is no number.
    """
    if value is None:
        return None
    try:
        return [float(part) for part in value.split(",")]
    except ValueError as e:
        raise ValueError(
            f"--weights is '{value}'; allowed are numbers with commas, such as 1,1,0.5."
        ) from e
