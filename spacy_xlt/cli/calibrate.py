"""`spacy xlt calibrate`: probabilities that mean what they say."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from ._app import BATCH_SIZE, CODE_PATH, COMPONENT, GPU_ID, Arg, Opt, command, msg, xlt_cli
from ._pipeline import load_pipeline, split_langs

if TYPE_CHECKING:
    from ..trust.calibration import Calibrated

# With fewer documents a language's own temperature is hardly more than that of all.
FEW_DOCS = 30


@command(xlt_cli, "calibrate")
def calibrate_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    corpora: List[Path] = Arg(
        ..., help="Labelled texts (.spacy, .jsonl, directories) that it was not trained on"
    ),
    output: Path = Opt(..., "--output", "-o", help="Directory for the calibrated pipeline"),
    langs: Optional[str] = Opt(
        None, "--langs", "-l", help="Languages to use, with commas (default: all)"
    ),
    component: Optional[str] = COMPONENT,
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Fit a temperature per language, so that of the texts with a probability of 0.8 eight in ten
    are right. Labels do not change. Languages without labelled texts get the temperature of all
    together; source texts alone already help them.
    """
    calibrated = calibrate(
        pipeline,
        corpora,
        output,
        langs=split_langs(langs),
        component=component,
        batch_size=batch_size,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    show_calibration(calibrated)
    msg.good(f"Calibrated pipeline: {output}")


def calibrate(
    pipeline: str,
    corpora: Sequence[Path],
    output: Path,
    *,
    langs: Optional[Sequence[str]] = None,
    component: Optional[str] = None,
    batch_size: int = 512,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> Dict[str, "Calibrated"]:
    """Calibrate a pipeline and write it into a directory.

    RETURNS (Dict[str, Calibrated]): What was found, by language.
    RAISES (ValueError): If the pipeline has no component that can be calibrated, or there is no
        labelled document with a usable prediction.
    """
    import numpy as np
    from tqdm import tqdm

    from ..components.textcat import XltTextCat
    from ..corpora.reader import create_corpus_v1
    from ..evaluation.evaluate import predict_examples
    from ..evaluation.scorer import compare_examples
    from ..evaluation.task import find_task
    from ..files import replaced_directory
    from ..trust.calibration import check_temperatures, fit_temperatures

    read = create_corpus_v1(
        path=[str(path) for path in corpora], langs=list(langs) if langs else None
    )
    nlp = load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path)
    task = find_task(nlp, component)
    pipe: Any = nlp.get_pipe(task.component)
    if not isinstance(pipe, XltTextCat):
        raise ValueError(
            f"'{task.component}' is a component of '{task.factory}', which cannot be calibrated. "
            f"Allowed are xlt_textcat and xlt_textcat_multilabel."
        )
    pipe.set_temperatures({})
    tags, outcomes = compare_examples(
        predict_examples(
            nlp, tqdm(read(nlp), unit="doc", disable=None, file=sys.stderr), batch_size
        ),
        task.labels,
        exclusive=task.exclusive,
        threshold=task.threshold,
    )
    answered, array = outcomes.answered, np.array(tags, dtype=object)
    by_lang = {
        tag: outcomes[(array == tag) & answered] for tag in sorted(set(array[answered].tolist()))
    }
    if not by_lang:
        raise ValueError(
            f"No document has a label of '{task.component}' and a usable prediction, so there is "
            f"nothing to calibrate with. Its labels: {', '.join(task.labels)}."
        )
    temperatures = fit_temperatures(by_lang, exclusive=task.exclusive)
    calibrated = check_temperatures(by_lang, temperatures, exclusive=task.exclusive)
    pipe.set_temperatures(temperatures)
    with replaced_directory(output) as made:
        nlp.to_disk(made)
    return calibrated


def show_calibration(calibrated: Dict[str, "Calibrated"]) -> None:
    """Print what a temperature does in each language."""
    from ..languages import language_name

    header = ("Language", "Tag", "N", "Temperature", "Error before", "after")
    rows = [
        (
            language_name(lang),
            lang,
            f"{row.n:,}",
            f"{row.temperature:.2f}",
            f"{row.before:+.3f}",
            f"{row.after:+.3f}",
        )
        for lang, row in calibrated.items()
    ]
    msg.table(rows, header=header, divider=True, aligns=("l", "l", *"rrrr"))
    msg.text(
        "Error: mean distance of probability and accuracy, beyond what a calibrated pipeline shows "
        "on as many texts; after: on texts that the temperature was not fitted to."
    )
    few = [lang or "unknown" for lang, row in calibrated.items() if row.n < FEW_DOCS]
    if few:
        msg.warn(
            f"Fewer than {FEW_DOCS} documents, so hardly more than the temperature of all "
            f"languages together: {', '.join(few)}"
        )
