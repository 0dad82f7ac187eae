"""`spacy xlt delta`: what a task adds to an encoder, apart from it and put on it again."""

from pathlib import Path

from ._app import Arg, Opt, command, command_line, group, msg

delta_cli = group("delta", "One encoder on disk, and small deltas of the tasks trained on it")


@command(delta_cli, "save")
def save_cli(
    pipeline: Path = Arg(..., help="Directory of a pipeline whose encoder stayed as it was"),
    output: Path = Arg(..., help="Directory for the delta"),
) -> None:
    """
    Keep of a trained pipeline what its task added to the encoder: an adapter, the head and all
    settings, a few megabytes. The encoder is known again by the hash of its weights.
    """
    from ..files import folder_size, format_size

    save(pipeline, output)
    size = format_size(folder_size(output))
    msg.good(
        f"Delta of {size}: {output}",
        "Make a pipeline of it with: "
        + command_line("delta", "apply", "BASE", output, "--output", "DIR"),
    )


@command(delta_cli, "apply")
def apply_cli(
    base: Path = Arg(..., help="Directory of the encoder, or of a pipeline that has it"),
    delta: Path = Arg(..., help="Directory of the delta"),
    output: Path = Opt(..., "--output", "-o", help="Directory for the pipeline"),
) -> None:
    """
    Put a delta on the encoder that it was trained on. Another encoder is refused.
    """
    apply(base, delta, output)
    msg.good(f"Pipeline: {output}")


def save(pipeline: Path, output: Path) -> None:
    """Write a delta into a directory; see `components.deltas.save_delta`.

    RAISES (ValueError): If it cannot be made, or something that is not a delta is in the way.
    """
    from ..components.deltas import is_delta, save_delta
    from ..files import check_replaceable, replaced_directory

    check_replaceable(output, "delta", is_delta)
    with replaced_directory(output) as made:
        save_delta(pipeline, made)


def apply(base: Path, delta: Path, output: Path) -> None:
    """Write a pipeline into a directory; see `components.deltas.apply_delta`.

    RAISES (ValueError): If it cannot be made, or something that is not a pipeline is in the way.
    """
    from ..components.deltas import apply_delta
    from ..files import replaced_directory
    from ._pipeline import check_output

    check_output(output)
    with replaced_directory(output) as made:
        apply_delta(base, delta, made)
