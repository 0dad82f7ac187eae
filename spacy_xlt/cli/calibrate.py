"""`spacy xlt calibrate`: probabilities that mean what they say, and answers only where sure."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ._app import BATCH_SIZE, CODE_PATH, COMPONENT, GPU_ID, Arg, Opt, command, msg, xlt_cli
from ._pipeline import (
    check_batch_size,
    check_output,
    load_pipeline,
    save_pipeline,
    split_langs,
)

if TYPE_CHECKING:
    import numpy as np
    from spacy.language import Language

    from ..components.decisions import Calibration
    from ..evaluation.metrics import Outcomes
    from ..evaluation.task import Task
    from ..trust.calibration import Calibrated
    from ..trust.priors import Mix

# What is shown of each way of abstaining.
WAYS = {"precision": ("Answered", "Precision"), "coverage": ("Coverage", "Set size")}


@dataclass(frozen=True)
class CalibrationResult:
    """What `spacy xlt calibrate` found.

    calibration (Calibration): What is stored in the pipeline.
    checked (Dict[str, Calibrated]): What it is worth, by language with labelled documents.
    mixes (Dict[str, Mix]): The mix of labels in other texts, by language.
    labels (List[str]): The component's labels.
    exclusive (bool): Whether they exclude each other.
    abstain (str): Whether and how the pipeline abstains.
    """

    calibration: "Calibration"
    checked: Dict[str, "Calibrated"]
    mixes: Dict[str, "Mix"]
    labels: List[str]
    exclusive: bool
    abstain: str


@command(xlt_cli, "calibrate")
def calibrate_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    corpora: List[Path] = Arg(
        ..., help="Labelled texts (.spacy, .jsonl, directories) that it was not trained on"
    ),
    output: Path = Opt(..., "--output", "-o", help="Directory for the calibrated pipeline"),
    precision: Optional[float] = Opt(
        None, "--precision", help="Fit thresholds from which so many answers of a label are right"
    ),
    coverage: Optional[float] = Opt(
        None, "--coverage", help="Fit sets of labels that have the right one so often"
    ),
    abstain: str = Opt(
        "none",
        "--abstain",
        help="Give no answer where not sure enough: none, precision or coverage",
    ),
    zero_abstained: bool = Opt(
        False, "--zero-abstained", help="Give a text without an answer scores of 0"
    ),
    unlabelled: List[Path] = Opt(
        [],
        "--unlabelled",
        "-u",
        help="Texts to find the mix of labels from, by language, and to correct for it",
    ),
    priors: Optional[Path] = Opt(
        None,
        "--priors",
        help='JSON file with a known mix of labels, by language: {"sw": {"sports": 0.3, …}}',
    ),
    langs: Optional[str] = Opt(
        None, "--langs", "-l", help="Languages of labelled texts to use, with commas (default: all)"
    ),
    component: Optional[str] = COMPONENT,
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Fit a temperature per language, so that of the texts with a probability of 0.8 eight in ten
    are right; on demand, thresholds for a wanted precision, sets of labels for a wanted coverage,
    and a correction for another mix of labels. Languages without labelled texts get what fits all
    together. Nothing is left without an answer unless you say so with --abstain.
    """
    result = calibrate(
        pipeline,
        corpora,
        output,
        precision=precision,
        coverage=coverage,
        abstain=abstain,
        zero_abstained=zero_abstained,
        unlabelled=unlabelled,
        priors=priors,
        langs=split_langs(langs),
        component=component,
        batch_size=batch_size,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    show_calibration(result)
    msg.good(f"Calibrated pipeline: {output}")


def calibrate(
    pipeline: str,
    corpora: Sequence[Path],
    output: Path,
    *,
    precision: Optional[float] = None,
    coverage: Optional[float] = None,
    abstain: str = "none",
    zero_abstained: bool = False,
    unlabelled: Sequence[Path] = (),
    priors: Optional[Path] = None,
    langs: Optional[Sequence[str]] = None,
    component: Optional[str] = None,
    batch_size: int = 512,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> CalibrationResult:
    """Calibrate a pipeline and write it into a directory; see `calibrate_cli` for the settings.

    RETURNS (CalibrationResult): What was found.
    RAISES (ValueError): If a setting is wrong, the pipeline has no component that can be
        calibrated, there is no labelled document with a usable prediction, or something that is
        not a pipeline is in the way.
    """
    from ..components.decisions import check_abstain
    from ..components.textcat import XltTextCat
    from ..corpora.reader import create_corpus_v1
    from ..evaluation.task import find_task
    from ..trust.calibration import Calibrator

    check_output(output)
    check_batch_size(batch_size)
    wanted = {"thresholds": precision, "set_thresholds": coverage}
    check_abstain(abstain, [part for part, value in wanted.items() if value is not None])
    read = create_corpus_v1(
        path=[str(path) for path in corpora], langs=list(langs) if langs else None
    )
    shares = None if priors is None else _read_shares(priors)
    nlp = load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path)
    task = find_task(nlp, component)
    pipe: Any = nlp.get_pipe(task.component)
    if not isinstance(pipe, XltTextCat):
        raise ValueError(
            f"'{task.component}' is a component of '{task.factory}', which cannot be calibrated. "
            f"Allowed are xlt_textcat and xlt_textcat_multilabel."
        )
    calibrator = Calibrator(task.labels, task.exclusive, task.threshold, precision, coverage)
    pipe.set_calibration({})
    by_lang = _predict_labelled(nlp, task, read(nlp), batch_size)
    calibration = calibrator.fit(by_lang)
    checked = calibrator.check(by_lang)
    pipe.set_calibration(calibration)
    calibrated = calibrator.calibrate(by_lang, calibration)
    mixes = _find_mixes(nlp, task, calibrated, unlabelled, shares, batch_size)
    others = {
        lang: mix.shifts(task.labels, exclusive=task.exclusive)
        for lang, mix in mixes.items()
        if mix.is_other
    }
    if others:
        calibration["shifts"] = others
    pipe.set_calibration(calibration)
    pipe.set_abstaining(abstain, zero_scores=zero_abstained)
    save_pipeline(nlp, output)
    return CalibrationResult(calibration, checked, mixes, task.labels, task.exclusive, abstain)


def _predict_labelled(
    nlp: "Language", task: "Task", examples: Iterable[Any], batch_size: int
) -> Dict[str, "Outcomes"]:
    """What the pipeline says about labelled documents, by language.

    RAISES (ValueError): If there are none with a usable prediction.
    """
    from tqdm import tqdm

    from ..evaluation.evaluate import predict_examples
    from ..evaluation.scorer import compare_examples, split_by_language

    langs, outcomes = compare_examples(
        predict_examples(
            nlp, tqdm(examples, unit="doc", disable=None, file=sys.stderr), batch_size
        ),
        task.labels,
        exclusive=task.exclusive,
        threshold=task.threshold,
    )
    split = split_by_language(langs, outcomes)
    by_lang = {lang: o[o.answered] for lang, o in split.items() if o.answered.any()}
    if not by_lang:
        raise ValueError(
            f"No document has a label of '{task.component}' and a usable prediction, so there is "
            f"nothing to calibrate with. Its labels: {', '.join(task.labels)}."
        )
    return by_lang


def _find_mixes(
    nlp: "Language",
    task: "Task",
    by_lang: Dict[str, "Outcomes"],
    unlabelled: Sequence[Path],
    shares: Optional[Dict[str, Dict[str, float]]],
    batch_size: int,
) -> Dict[str, "Mix"]:
    """The mix of labels by language, from unlabelled texts and as it is known, which overrules.

    by_lang (Dict[str, Outcomes]): Labelled documents with calibrated probabilities.
    """
    from ..trust.priors import estimate_mixes, known_mixes

    scores = _predict_unlabelled(nlp, task, unlabelled, batch_size) if unlabelled else {}
    estimated = estimate_mixes(by_lang, scores, exclusive=task.exclusive)
    known = known_mixes(by_lang, shares or {}, task.labels, exclusive=task.exclusive)
    return {**estimated, **known}


def _predict_unlabelled(
    nlp: "Language", task: "Task", paths: Sequence[Path], batch_size: int
) -> Dict[str, "np.ndarray"]:
    """Probabilities of documents, by language. RAISES (ValueError): If one has no language."""
    import numpy as np
    from tqdm import tqdm

    from ..evaluation.scorer import read_scores
    from ..languages import make_doc
    from ._texts import read_texts, with_languages

    found = (text for path in paths for text in read_texts(path, max_length=nlp.max_length))
    texts = with_languages(nlp, [text for text in found if text.text.strip()])
    n_unknown = sum(not text.lang for text in texts)
    if not texts or n_unknown:
        lacking = f"{n_unknown:,} of {len(texts):,} unlabelled texts have no language"
        raise ValueError(
            f"{lacking if texts else 'There is no unlabelled text'} in "
            f"{', '.join(map(str, paths))}. A mix of labels is that of a language: give each text "
            f"its tag in the field 'lang'."
        )
    docs = [make_doc(nlp, text.text, text.lang) for text in texts]
    rows: Dict[str, List[List[float]]] = {}
    predicted = nlp.pipe(docs, batch_size=batch_size)
    shown = tqdm(predicted, total=len(docs), unit="doc", disable=None, file=sys.stderr)
    for doc, text in zip(shown, texts, strict=True):
        rows.setdefault(text.lang, []).append(read_scores(doc, task.labels))
    return {lang: np.array(values) for lang, values in rows.items()}


def _read_shares(path: Path) -> Dict[str, Dict[str, float]]:
    """Known shares of labels, by the standard tag of a language.

    RAISES (ValueError): If the file is not there or holds something else.
    """
    from pydantic import TypeAdapter

    from ..evaluation.results import read_checked
    from ..languages import standardize_language

    read = read_checked(
        path,
        TypeAdapter(Dict[str, Dict[str, float]]),
        what="a file of shares of labels by language",
        again='Write it like {"sw": {"sports": 0.3, "politics": 0.7}}.',
    )
    return {standardize_language(lang): row for lang, row in read.items()}


def show_calibration(result: CalibrationResult) -> None:
    """Print what was fitted in each language, and what it is worth."""
    from ..languages import language_name
    from ..trust.priors import FEW_DOCS

    temperatures = result.calibration["temperatures"]
    header: Tuple[str, ...] = ("Language", "Tag", "N", "Temperature", "Error before", "after")
    for way, columns in WAYS.items():
        if way in result.calibration:
            header += columns
    rows = [
        (
            language_name(lang),
            lang,
            f"{row.n:,}",
            f"{temperatures.get(lang, temperatures['']):.2f}",
            f"{row.before:+.3f}",
            f"{row.after:+.3f}",
            *_selective_cells(row),
        )
        for lang, row in result.checked.items()
    ]
    msg.table(rows, header=header, divider=True, aligns=("l", "l", *["r"] * (len(header) - 2)))
    msg.text(
        "Error: mean distance of probability and accuracy, beyond what a calibrated pipeline shows "
        "on as many texts. After, and all to the right of it: on texts that it was not fitted to."
    )
    few = [lang or "unknown" for lang, row in result.checked.items() if row.n < FEW_DOCS]
    n_docs = sum(row.n for row in result.checked.values())
    if n_docs < FEW_DOCS:
        msg.warn(
            f"Only {n_docs:,} documents in all, so what was fitted may be chance, and "
            f"probabilities further off than before. Give {FEW_DOCS} or more, better some hundred."
        )
    elif few:
        msg.warn(
            f"Fewer than {FEW_DOCS} documents, so hardly more than what fits all languages "
            f"together: {', '.join(few)}"
        )
    msg.info(
        f"Languages without labelled texts get what fits "
        f"{', '.join(lang or 'unknown' for lang in result.checked)} together. That assumes that "
        f"probabilities there mean as much; where the pipeline is worse, precision and coverage "
        f"fall short of what was wanted."
    )
    _show_thresholds(result)
    _show_mixes(result)
    fitted = [way for way in WAYS if way in result.calibration]
    if fitted and result.abstain == "none":
        msg.info(
            f"Every text still gets an answer. To leave out those that are not sure enough: "
            f"--abstain {' or '.join(fitted)}"
        )


def _selective_cells(row: "Calibrated") -> List[str]:
    from ..evaluation.rendering import percent

    cells = []
    for way, found in row.selective.items():
        if way == "precision":
            cells += [percent(found["share_answered"]), percent(found["precision"])]
        else:
            size = found["set_size"]
            cells += [percent(found["set_coverage"]), "–" if size is None else f"{size:.2f}"]
    return cells


def _show_thresholds(result: CalibrationResult) -> None:
    """Labels that no threshold makes precise enough."""
    from ..components.decisions import NOTHING
    from ..trust.thresholds import find_unreached

    if "precision" not in result.calibration:
        return
    answers = result.labels if result.exclusive else [*result.labels, NOTHING]
    unreached = find_unreached(result.calibration["thresholds"], answers)
    if unreached:
        listed = "; ".join(
            f"{lang or 'all other languages'}: {', '.join(x or 'no label' for x in names)}"
            for lang, names in unreached.items()
        )
        msg.warn(
            f"No threshold makes a precision of {result.calibration['precision']:g} likely enough "
            f"with these texts for the following, which --abstain precision never gives: {listed}"
        )


def _show_mixes(result: CalibrationResult) -> None:
    """How the mix of labels differs in each language."""
    from ..evaluation.rendering import percent
    from ..languages import language_name

    if not result.mixes:
        return
    rows = [
        (
            language_name(lang),
            lang,
            "known" if mix.n is None else f"{mix.n:,}",
            "corrected" if mix.is_other else "as assumed",
            ", ".join(
                f"{label} {percent(before, 0)}>{percent(found, 0)}"
                for label, before, found in zip(result.labels, mix.before, mix.found, strict=True)
            ),
        )
        for lang, mix in result.mixes.items()
    ]
    msg.table(
        rows,
        header=("Language", "Tag", "N", "Mix", "Share in percent, assumed>found"),
        divider=True,
        aligns=("l", "l", "r", "l", "l"),
    )
