"""`spacy xlt soup`: the mean of several runs' weights as one pipeline."""

from pathlib import Path
from typing import List, Optional, Sequence

from ._app import CODE_PATH, GPU_ID, Arg, Opt, command, msg, xlt_cli
from ._pipeline import check_output, load_pipeline, save_pipeline
from .ensemble import split_weights


@command(xlt_cli, "soup")
def soup_cli(
    pipelines: List[str] = Arg(
        ..., help="Names or paths of two or more pipelines, of one config and several seeds"
    ),
    output: Path = Opt(..., "--output", "-o", help="Directory for the soup"),
    weights: Optional[str] = Opt(
        None, "--weights", "-w", help="What each pipeline counts, with commas (default: the same)"
    ),
    dev: Optional[Path] = Opt(
        None, "--dev", "-d", help="Labelled texts of the source language, to refuse broken runs"
    ),
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Make one pipeline whose weights are the mean of those of several runs, which must have had
    one start: the same encoder, data and settings. It is as small and fast as one of them.
    """
    cook_soup(
        pipelines,
        output,
        weights=split_weights(weights),
        dev=dev,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    msg.good(f"Soup of {len(pipelines)} pipelines: {output}")


def cook_soup(
    pipelines: Sequence[str],
    output: Path,
    *,
    weights: Optional[Sequence[float]] = None,
    dev: Optional[Path] = None,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> None:
    """Write a soup into a directory; see `transfer.soup.make_soup`.

    dev (Optional[Path]): Labelled texts; those in the runs' source languages show which runs
        have collapsed.
    RAISES (ValueError): If a pipeline cannot be loaded or has collapsed, they do not fit
        together, or something that is not a pipeline is in the way.
    """
    from ..corpora.reader import create_corpus_v1
    from ..transfer.soup import check_answers, make_soup, read_answers

    check_output(output)
    members = [load_pipeline(name, gpu_id=gpu_id, code_path=code_path) for name in pipelines]
    if dev is None:
        msg.info("Broken runs are not looked for. To do so, add --dev with labelled texts.")
    else:
        examples = list(create_corpus_v1(path=str(dev))(members[0]))
        check_answers(read_answers(members, pipelines, examples), pipelines)
    save_pipeline(make_soup(members, names=pipelines, weights=weights), output)
