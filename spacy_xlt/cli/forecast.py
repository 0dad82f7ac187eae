"""`spacy xlt forecast`: how accurate a pipeline will be in languages without labels."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..files import write_text
from ._app import (
    CODE_PATH,
    COMPONENT,
    GPU_ID,
    LANG_FIELD,
    TEXT_FIELD,
    Arg,
    Opt,
    command,
    msg,
    xlt_cli,
)
from ._pipeline import check_output, load_pipeline, save_pipeline, split_langs

if TYPE_CHECKING:
    import numpy as np
    from spacy.language import Language

    from ..evaluation.forecasts import Forecast, LanguageForecast
    from ..evaluation.task import Task
    from ..trust.forecast import Labelled, Reading


@command(xlt_cli, "forecast")
def forecast_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    texts: List[Path] = Arg(
        ..., help="Unlabelled texts: corpora (.spacy, directories), tables, files like sw.txt"
    ),
    source: List[Path] = Opt(
        ...,
        "--source",
        "-s",
        help="Labelled texts of the source language that it was not trained on, such as "
        "corpus/dev/en.spacy (.spacy, .jsonl, directories)",
    ),
    labelled: Optional[List[Path]] = Opt(
        None, "--labelled", "-L", help="Labelled texts of other languages, which make it surer"
    ),
    output: Optional[Path] = Opt(None, "--output", "-o", help="JSON file for all figures"),
    save: Optional[Path] = Opt(
        None,
        "--save",
        help="Directory for the pipeline with its forecasts, which then warns: doc._.xlt_warning",
    ),
    source_langs: Optional[str] = Opt(
        None,
        "--source-langs",
        help="Languages of the training labels, with commas (default: what the pipeline recorded)",
    ),
    text_field: str = TEXT_FIELD,
    lang_field: str = LANG_FIELD,
    limit: int = Opt(
        500, "--limit", help="Most texts of a language to read, drawn at random; 0 for all"
    ),
    component: Optional[str] = COMPONENT,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Forecast the accuracy in languages without labels, with its 95 % interval, and sound the alarm
    for those that should not be trusted. It takes some labelled source texts that the pipeline was
    not trained on, and at least ten unlabelled texts of each language, better a hundred.
    """
    found = forecast(
        pipeline,
        texts,
        source,
        labelled=labelled or [],
        output=output,
        save=save,
        source_langs=split_langs(source_langs),
        text_field=text_field,
        lang_field=lang_field,
        limit=limit,
        component=component,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    show_forecast(found)
    for label, path in (("Figures", output), ("Pipeline that warns", save)):
        if path is not None:
            msg.good(f"{label}: {path}")


def forecast(
    pipeline: str,
    texts: Sequence[Path],
    source: Sequence[Path],
    *,
    labelled: Sequence[Path] = (),
    output: Optional[Path] = None,
    save: Optional[Path] = None,
    source_langs: Optional[Sequence[str]] = None,
    text_field: str = "text",
    lang_field: str = "lang",
    limit: int = 500,
    component: Optional[str] = None,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> "Forecast":
    """Forecast a pipeline's accuracy and write what was asked for; see `forecast_cli`.

    RETURNS (Forecast): The figures.
    RAISES (ValueError): If the pipeline has no component that can be forecast, or there are too
        few labelled source texts, or no texts.
    """
    import numpy as np
    from tqdm import tqdm

    from ..evaluation.results import dump_json
    from ..evaluation.task import find_task
    from ..languages import language_name
    from ..trust.forecast import (
        MIN_TEXTS,
        Decider,
        Labelled,
        Line,
        forecast_languages,
        read_texts,
        to_stored,
    )
    from ._texts import check_limit, draw, read_by_language

    check_limit(limit)
    if save is not None:
        check_output(save)
    nlp = load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path)
    task = find_task(nlp, component, source_langs)
    pipe = _find_pipe(nlp, task)
    of_source, of_others = (_read_gold(nlp, task, paths) for paths in (source, labelled))
    # Where the pipeline does not say what it was trained on, the source is what --source has.
    langs = [lang for lang in of_source if lang in task.source_langs or not task.source_langs]
    if not langs:
        raise ValueError(
            f"The texts of --source are in {', '.join(map(language_name, of_source))}, but the "
            f"pipeline was trained on {', '.join(map(language_name, task.source_langs))}. Give "
            f"labelled texts in that, or name another source with --source-langs."
        )
    wanted = read_by_language(nlp, texts, text_field, lang_field)
    wanted = {lang: found for lang, found in wanted.items() if lang not in langs}
    if not wanted:
        raise ValueError(
            f"There is no text in a language other than the source ({', '.join(langs)}) in: "
            f"{', '.join(map(str, texts))}."
        )
    progress = tqdm(unit="text", disable=None, file=sys.stderr)

    def read(found: Iterable[str]) -> "Reading":
        reading = read_texts(nlp, task.component, draw(list(found), limit))
        progress.update(len(reading))
        return reading

    def read_labelled(found: Mapping[str, "np.ndarray"]) -> "Labelled":
        reading = read(found)
        return Labelled(reading, np.array([found[text] for text in draw(list(found), limit)]))

    with progress:
        line = Line(
            Decider(task.labels, task.exclusive, task.threshold),
            read_labelled({k: v for lang in langs for k, v in of_source[lang].items()}),
            {
                lang: read_labelled(found)
                for lang, found in of_others.items()
                if lang not in ("", *langs) and len(found) >= MIN_TEXTS
            },
        )
        readings = {k: read(found) for k, found in wanted.items() if len(found) >= MIN_TEXTS}
    name = " and ".join(map(language_name, langs))
    result: Forecast = {
        "format": "spacy_xlt.forecast.v1",
        "pipeline": f"{nlp.meta['lang']}_{nlp.meta['name']}",
        "component": task.component,
        "source_langs": langs,
        "n_source": len(line.gold),
        "source_accuracy": line.accuracy,
        "source_signs": line.source_signs,
        "labelled_langs": list(line.n_labelled),
        "languages": forecast_languages(line, readings, source_name=name),
        "too_few": {k: len(found) for k, found in wanted.items() if len(found) < MIN_TEXTS},
    }
    if output is not None:
        write_text(output, dump_json(result))
    if save is not None:
        pipe.set_forecasts(to_stored(row for row in result["languages"] if row["lang"]))
        save_pipeline(nlp, save)
    return result


def _find_pipe(nlp: "Language", task: "Task") -> Any:
    from ..components.textcat import XltTextCat

    pipe: Any = nlp.get_pipe(task.component)
    if not isinstance(pipe, XltTextCat):
        raise ValueError(
            f"'{task.component}' is a component of '{task.factory}', for which there are no "
            f"forecasts. Allowed are xlt_textcat and xlt_textcat_multilabel."
        )
    if pipe.cfg["calibration"].get("shifts"):
        raise ValueError(
            f"'{task.component}' corrects its answers for another mix of labels, which a forecast "
            f"does not know of. Forecast the pipeline as it was before: spacy xlt calibrate "
            f"without --unlabelled and --priors."
        )
    return pipe


def _read_gold(
    nlp: "Language", task: "Task", paths: Sequence[Path]
) -> Dict[str, Dict[str, "np.ndarray"]]:
    """Gold probabilities, NaN where there are none, by language and text.

    RAISES (ValueError): If a corpus has no document with one of the labels.
    """
    import numpy as np

    from ..corpora.reader import create_corpus_v1
    from ..evaluation.scorer import has_gold
    from ..languages import get_doc_language

    found: Dict[str, Dict[str, Any]] = {}
    for path in paths:
        n_found = 0
        for eg in create_corpus_v1(path=path)(nlp):
            doc = eg.reference
            if has_gold(doc.cats, task.labels, exclusive=task.exclusive) and doc.text.strip():
                gold = [doc.cats.get(label, np.nan) for label in task.labels]
                found.setdefault(get_doc_language(doc), {})[doc.text] = np.array(gold)
                n_found += 1
        if not n_found:
            raise ValueError(
                f"No document of '{path}' has a label of '{task.component}'. Its labels: "
                f"{', '.join(task.labels)}."
            )
    return found


def show_forecast(found: "Forecast") -> None:
    """Print the table of languages, the reasons of alarms and what the figures rest on."""
    from ..evaluation.rendering import percent
    from ..languages import language_name

    header = ("Language", "Tag", "N", "Forecast", "95 %", "Gap", "Alarm")
    names = ", ".join(language_name(lang) for lang in found["source_langs"])
    msg.table(
        [make_row(row) for row in found["languages"]],
        header=header,
        divider=True,
        aligns=("l", "l", *"rrrr", "l"),
    )
    others = ", ".join(map(language_name, found["labelled_langs"])) or "none"
    msg.text(
        f"Source: {names}, {percent(found['source_accuracy'])} % right of {found['n_source']:,} "
        f"labelled texts. Other languages whose labels were used: {others}; the more, the surer."
    )
    for row in found["languages"]:
        if row["alarm"]:
            msg.warn(f"Do not trust {language_name(row['lang'])}:", " ".join(row["reasons"]))
    if found["too_few"]:
        few = (f"{language_name(lang)} ({n})" for lang, n in found["too_few"].items())
        msg.warn(f"Too few different texts for a forecast: {', '.join(few)}")
    if any(not row["lang"] for row in found["languages"]):
        msg.warn(
            "The language of some texts is not known; their forecast is that of a mixture. Tag "
            "them in a field (--lang-field), or name a file by its language, such as sw.txt"
        )


def make_row(row: "LanguageForecast") -> Tuple[str, ...]:
    """A language's row of the table."""
    from ..evaluation.rendering import interval, percent, plain_minus, points
    from ..languages import language_name

    return (
        language_name(row["lang"]),
        row["lang"],
        f"{row['n']:,}",
        percent(row["accuracy"]),
        interval(row["interval"]),
        plain_minus(points(row["gap"])),
        "do not trust" if row["alarm"] else "",
    )
