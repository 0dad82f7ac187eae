"""`spacy xlt learning-curve`: what more labels would bring, and in which language."""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..files import write_text
from ._app import CODE_PATH, COMPONENT, GPU_ID, Arg, Opt, command, msg, xlt_cli

if TYPE_CHECKING:
    import numpy as np
    from spacy.language import Language

    from ..components.textcat import XltTextCat
    from ..corpora.layout import Row
    from ..evaluation.learning import LearningCurve, LearningCurves, Trial
    from ..transfer.learning_curve import Job, LanguagePart

# Documents per label, besides none and all, and how often they are drawn.
DEFAULT_SHOTS = (4, 8, 16, 32, 64)
DEFAULT_DRAWS = 5
TRIALS, SETUP_FILE = "trials", "setup.json"
FIGURES_FILE, PLOT_FILE = "learning_curve.json", "learning_curve.svg"
# Stands for a recipe where the head alone is trained.
HEAD = "head"
# Seconds of a training beside the encoder's work, with the head alone and with a whole pipeline.
HEAD_SECONDS, WHOLE_SECONDS = 0.1, 8.0


@command(xlt_cli, "learning-curve")
def learning_curve_cli(
    pipeline: str = Arg(..., help="Trained pipeline to go on from"),
    pool: List[Path] = Arg(
        ..., help="Labelled texts of target languages to draw from (.spacy, .jsonl, directories)"
    ),
    dev: Path = Opt(
        ..., "--dev", help="Labelled texts of the same languages to measure on, such as corpus/dev"
    ),
    output: Path = Opt(..., "--output", "-o", help="Directory for trials, figures and plot"),
    langs: Optional[str] = Opt(
        None,
        "--langs",
        "-l",
        help="Languages, with commas; without it all that have both and were not trained in",
    ),
    shots: str = Opt(
        ",".join(map(str, DEFAULT_SHOTS)),
        "--shots",
        help="Numbers of labels per class, with commas, besides none and all",
    ),
    draws: int = Opt(DEFAULT_DRAWS, "--draws", help="How often each number is drawn"),
    recipe: Optional[str] = Opt(
        None,
        "--recipe",
        help="Train whole pipelines by this recipe, such as finetune. Without it, the head alone "
        "goes on, which takes seconds",
    ),
    source: Optional[Path] = Opt(
        None,
        "--source",
        "-s",
        help="Labelled texts of the source language, to train on too; better with the head alone, "
        "and needed by recipes that read them",
    ),
    encoder: Optional[Path] = Opt(
        None, "--encoder", "-e", help="Directory of the untouched encoder, for recipes that use it"
    ),
    component: Optional[str] = COMPONENT,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Show what labels in target languages bring: go on from a pipeline with more and more of them,
    several times, measure, and draw the curve out to twice as many. By default only the head is
    trained, on vectors computed once: a quick look, which shows less than whole trainings would
    bring. After an interruption the same command goes on; more --draws and --shots can be added.
    """
    from ._pipeline import split_langs

    curves = learning_curve(
        pipeline,
        pool,
        dev,
        output,
        langs=split_langs(langs),
        shots=read_shots(shots),
        draws=draws,
        recipe=recipe,
        source=source,
        encoder=encoder,
        component=component,
        gpu_id=gpu_id,
        code_path=code_path,
    )
    show_curves(curves)
    msg.good(f"Figures: {output / FIGURES_FILE}")
    msg.good(f"Plot: {output / PLOT_FILE}", "Open it in a browser; it needs no network.")


def read_shots(text: str) -> List[int]:
    """RAISES (ValueError): If it is no list of numbers from 1."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--shots is '{text}'; allowed are numbers from 1 with commas: 4,8,16.")
    return sorted({int(part) for part in parts})


def learning_curve(
    pipeline: str,
    pool: Sequence[Path],
    dev: Path,
    output: Path,
    *,
    langs: Optional[Sequence[str]] = None,
    shots: Sequence[int] = DEFAULT_SHOTS,
    draws: int = DEFAULT_DRAWS,
    recipe: Optional[str] = None,
    source: Optional[Path] = None,
    encoder: Optional[Path] = None,
    component: Optional[str] = None,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> "LearningCurves":
    """Do the trainings that are not done yet, and write figures and plot; see
    `learning_curve_cli`.

    RETURNS (LearningCurves): The figures.
    RAISES (ValueError): If pipeline or documents do not fit, the same texts would be trained on and
        measured on, or the directory holds trials of something else.
    """
    from tqdm import tqdm

    from ..evaluation.learning import make_curves, read_trial
    from ..evaluation.plots import plot_learning_curves
    from ..evaluation.results import dump_json
    from ..evaluation.task import find_task
    from ..transfer.learning_curve import find_pipe, plan_jobs
    from ._pipeline import load_pipeline
    from ._staging import locked

    if draws < 1:
        raise ValueError(f"--draws is {draws}; allowed is 1 or more.")
    nlp = load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path)
    pipe = find_pipe(nlp, find_task(nlp, component).component)
    parts = _read_parts(pipe, pool, dev, langs)
    jobs = plan_jobs(parts, pipe.labels, shots=shots, draws=draws)
    source_rows = _read_source(source, parts)
    do = _make_trainer(nlp, pipe, recipe, source_rows, encoder, gpu_id)
    with ExitStack() as stack:
        if output.exists() and not output.is_dir():
            raise ValueError(f"'{output}' is a file; a directory is needed. Choose another name.")
        (output / TRIALS).mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(output))
        _check_setup(output, nlp, pool, dev, recipe=recipe, source=source, encoder=encoder)
        files = {job: output / TRIALS / f"{job.name}.json" for job in jobs}
        todo = [job for job in jobs if not files[job].is_file()]
        if len(todo) < len(jobs):
            msg.info(f"{len(jobs) - len(todo)} trainings are done already")
        if todo:
            _tell_time(todo, parts, pipe, nlp, recipe=recipe, n_source=len(source_rows))
            for job in tqdm(todo, unit="training", disable=None, file=sys.stderr):
                trial = run_job(job, parts[job.lang], nlp, pipe, do)
                write_text(files[job], json.dumps(trial) + "\n")
        trials = [read_trial(files[job]) for job in jobs]
        curves = make_curves(
            trials, pipeline=f"{nlp.meta['lang']}_{nlp.meta['name']}", recipe=recipe or HEAD
        )
        write_text(output / FIGURES_FILE, dump_json(curves))
        write_text(output / PLOT_FILE, plot_learning_curves(curves))
    return curves


def _read_parts(
    pipe: "XltTextCat", pool: Sequence[Path], dev: Path, langs: Optional[Sequence[str]]
) -> Dict[str, "LanguagePart"]:
    """Documents to draw and to measure on, by language; tells which are left out."""
    from ..corpora.reader import read_rows
    from ..languages import language_name, standardize_language
    from ..transfer.learning_curve import divide, with_gold

    drawn, measured = (
        [row for path in paths for row in read_rows(path) if row.cats] for paths in (pool, [dev])
    )
    known = [with_gold(pipe, rows) for rows in (drawn, measured)]
    n_strange = len(drawn) + len(measured) - sum(map(len, known))
    if n_strange:
        msg.warn(f"{n_strange:,} documents have no label of '{pipe.name}' and are left out")
    wanted = None if langs is None else [standardize_language(lang) for lang in langs]
    trained = {row.lang for row in known[0]} & set(pipe.cfg["train_langs"])
    if wanted is None and trained and any(row.lang not in trained for row in known[0]):
        # What the pipeline was trained on brings nothing new.
        known = [[row for row in rows if row.lang not in trained] for rows in known]
        msg.info(
            f"Left out, since the pipeline was trained in it: "
            f"{', '.join(map(language_name, sorted(trained)))}. With --langs it can be drawn from."
        )
    parts = divide(known[0], known[1], wanted)
    leaked = {lang: part.n_leaked for lang, part in parts.items() if part.n_leaked}
    if leaked:
        named = ", ".join(f"{language_name(lang)} {n:,}" for lang, n in leaked.items())
        msg.warn(
            f"{sum(leaked.values()):,} documents to draw are also measured on ({named}); they are "
            f"not trained on"
        )
    return parts


# Scores of the documents of a language that are measured on, after training on some others of it.
Trainer = Callable[[Sequence["Row"], "LanguagePart"], "np.ndarray"]


def run_job(
    job: "Job", part: "LanguagePart", nlp: "Language", pipe: "XltTextCat", do: Trainer
) -> "Trial":
    """Train, score and measure."""
    from ..transfer.learning_curve import draw, gold_of, make_trial

    started = time.perf_counter()
    rows = draw(part, job)
    return make_trial(
        job,
        rows,
        gold_of(nlp, pipe, part.measured),
        do(rows, part),
        exclusive=pipe.exclusive,
        threshold=pipe.cfg["threshold"],
        started=started,
    )


def _read_source(source: Optional[Path], parts: Dict[str, "LanguagePart"]) -> List["Row"]:
    """Documents of the source language, without those that are measured on."""
    from ..corpora.reader import read_rows
    from ..transfer.learning_curve import without_texts

    if source is None:
        return []
    rows = [row for row in read_rows(source) if row.cats]
    kept = without_texts(rows, [row for part in parts.values() for row in part.measured])
    if len(kept) < len(rows):
        msg.warn(
            f"{len(rows) - len(kept):,} source documents are also measured on; they are not "
            f"trained on"
        )
    return kept


def _make_trainer(
    nlp: "Language",
    pipe: "XltTextCat",
    recipe: Optional[str],
    source: Sequence["Row"],
    encoder: Optional[Path],
    gpu_id: int,
) -> Trainer:
    """How to train: the head alone, or a whole pipeline by a recipe.

    RAISES (ValueError): If there is no such recipe, or it needs what is not there.
    """
    from thinc.compat import has_cupy_gpu

    from ..transfer.learning_curve import Head, train_whole, weigh

    if recipe is None:
        head = Head(nlp, pipe.name, source)
        return lambda rows, part: head.train(weigh(rows, part.pool), part.measured)
    text = _recipe_text(recipe, nlp, pipe, encoder, has_source=bool(source))
    untrained = Head(nlp, pipe.name)

    def train(rows: Sequence["Row"], part: "LanguagePart") -> "np.ndarray":
        if not rows:
            return untrained.train(rows, part.measured)
        corpora = {"train": rows, "dev": part.measured, "source": source}
        with tempfile.TemporaryDirectory() as work:
            config = _make_config(text, corpora, Path(work))
            return train_whole(config, part.measured, use_gpu=gpu_id if has_cupy_gpu else -1)

    return train


def _recipe_text(
    recipe: str, nlp: "Language", pipe: "XltTextCat", encoder: Optional[Path], *, has_source: bool
) -> str:
    """A recipe's config that goes on from the pipeline and chooses nothing; without corpora.

    RAISES (ValueError): If there is no such recipe, or it needs what is not there.
    """
    from spacy.util import load_config_from_str

    from ..transfer.filling import NAME, SPACY_PATHS
    from ._shipped import get_recipe
    from .init import adapt_recipe

    text = get_recipe(recipe).read_text(encoding="utf8")
    config = load_config_from_str(text)
    start = Path(nlp.path or "")
    block = config["initialize"]["components"][NAME]
    # A recipe that only goes on needs no more of an encoder than its tokenizer.
    own = start / pipe.name / "model" if not block.get("untouched_share") else None
    given = {"start": start, "encoder": encoder or own, "source": has_source or None}
    needed = [x for x in config["paths"] if x not in (*SPACY_PATHS, "train", "dev")]
    refusal = f"A learning curve cannot use the recipe '{recipe}'"
    if "start" not in needed:
        raise ValueError(
            f"{refusal}: it does not go on from a pipeline. Allowed are those that do, such as "
            f"finetune."
        )
    if has_source and "source" not in needed:
        raise ValueError(f"{refusal} with --source, which it does not read.")
    lacking = [name for name in needed if given.get(name) is None]
    if lacking:
        raise ValueError(f"{refusal} without --{' and --'.join(lacking)}.")
    weights = config["training"]["score_weights"]
    settings: Dict[str, Any] = {
        "paths.start": str(start),
        "paths.encoder": str(given["encoder"]),
        "training.patience": 0,
        "initialize.after_init.evaluations": 1,
        "initialize.after_init.patience": 0,
        # Scores come in the order of the pipeline's own labels.
        f"initialize.components.{NAME}.labels": list(pipe.labels),
        **{f"training.score_weights.{x}": 0.0 for x in weights if weights[x] is not None},
    }
    return adapt_recipe(text, multilabel=not pipe.exclusive, settings=settings, name=pipe.name)


def _make_config(text: str, corpora: Mapping[str, Sequence["Row"]], work: Path) -> Any:
    """The config with corpora, by their names under [paths], that are written for it."""
    from spacy.util import load_config_from_str

    from ..corpora.layout import rows_to_docbin

    overrides: Dict[str, Any] = {"training.logger.progress_bar": False}
    known = load_config_from_str(text, interpolate=False)["paths"]
    for name, rows in corpora.items():
        if name in known:
            rows_to_docbin(rows).to_disk(work / f"{name}.spacy")
            overrides[f"paths.{name}"] = str(work / f"{name}.spacy")
    return load_config_from_str(text, overrides=overrides)


def _check_setup(
    output: Path,
    nlp: "Language",
    pool: Sequence[Path],
    dev: Path,
    *,
    recipe: Optional[str],
    source: Optional[Path],
    encoder: Optional[Path],
) -> None:
    """RAISES (ValueError): If the directory holds trials of another pipeline, corpus or recipe."""
    from ..corpora.reader import hash_corpus
    from ._resume import describe_changes, identify_run

    paths = [*([nlp.path] if nlp.path else []), *([encoder] if encoder else [])]
    now = identify_run({"recipe": recipe or HEAD}, [Path(path).resolve() for path in paths])
    now["documents to draw"] = " ".join(map(hash_corpus, pool))
    now["documents to measure on"] = hash_corpus(dev)
    now["source documents"] = None if source is None else hash_corpus(source)
    path = output / SETUP_FILE
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf8"))
        except ValueError as e:
            raise ValueError(f"'{path}' is damaged ({e}). Choose another --output.") from e
        changes = describe_changes(before, now)
        if changes:
            raise ValueError(
                f"'{output}' holds trials of another learning curve. These are not the same: "
                f"{changes}. Set them as they were, or choose another --output."
            )
    write_text(path, json.dumps(now, indent=1) + "\n")


def _tell_time(
    jobs: Sequence["Job"],
    parts: Dict[str, "LanguagePart"],
    pipe: "XltTextCat",
    nlp: "Language",
    *,
    recipe: Optional[str],
    n_source: int,
) -> None:
    """Say beforehand what is going to be done and how long it will take, about."""
    from ..compat import default_device
    from ..transfer.advice import name_languages
    from ..transfer.learning_curve import draw
    from ._estimate import compute_seconds, describe_seconds, layer_weights, measure_speed

    langs = {job.lang for job in jobs}
    texts = [row.text for lang in langs for row in (*parts[lang].pool, *parts[lang].measured)]
    counted = [n for n, _ in pipe.count_pieces(texts[:500])]
    n_weights = layer_weights(str(Path(nlp.path or "") / pipe.name / "model"))
    n_trained, seconds = 0, HEAD_SECONDS * len(jobs)
    n_read = 2 * (len(texts) + n_source)
    if recipe is not None:
        n_rows = [len(draw(parts[job.lang], job)) for job in jobs if job.shots != 0]
        n_trained = epochs_of(recipe) * sum(n + n_source for n in n_rows)
        n_read = 3 * sum(len(parts[job.lang].measured) for job in jobs)
        seconds = WHOLE_SECONDS * len(jobs)
    seconds += compute_seconds(
        n_weights,
        sum(counted) / len(counted) + 2,
        measure_speed(default_device()),
        n_trained=n_trained,
        n_read=n_read,
    )
    what = "of the head" if recipe is None else f"by {recipe}"
    msg.info(
        f"{len(jobs):,} trainings {what}, for {name_languages(sorted(langs))}: about "
        f"{describe_seconds(seconds)}"
    )


def epochs_of(recipe: str) -> int:
    """Passes over the documents that a recipe's config makes."""
    from spacy.util import load_config

    from ._shipped import get_recipe

    return int(load_config(get_recipe(recipe))["initialize"]["after_init"].get("epochs", 10))


def show_curves(curves: "LearningCurves") -> None:
    """Print accuracies by number of labels, what they brought and what more would bring."""
    from ..evaluation.learning import AHEAD
    from ..evaluation.rendering import plain_minus, points, points_interval
    from ..languages import language_name

    everything = [*curves["languages"], *([curves["mean"]] if curves["mean"] else [])]
    shots = sorted(
        {point["shots"] for curve in everything for point in curve["points"]},
        key=lambda n: (n is None, n or 0),
    )
    rows = []
    for curve in everything:
        by_shots = {point["shots"]: point for point in curve["points"]}
        name = language_name(curve["lang"]) if curve["lang"] else "mean"
        cells = [_describe_point(by_shots.get(one)) for one in shots]
        rows.append((name, f"{curve['points'][-1]['n_labels']:,.0f}", *cells))
    msg.divider("Accuracy in percent by labels per class, ± its standard deviation over draws")
    header = ("Language", "All", *("all" if one is None else str(one) for one in shots))
    msg.table(rows, header=header, divider=True, aligns=("l", *"r" * (len(header) - 1)))
    rows = [
        (
            language_name(curve["lang"]) if curve["lang"] else "mean",
            plain_minus(points(curve["gain"])),
            plain_minus(points_interval(curve["gain_interval"])),
            plain_minus(points(curve["ahead"])),
            plain_minus(points_interval(curve["ahead_interval"])),
        )
        for curve in everything
    ]
    msg.divider(f"What labels brought, and what {AHEAD:g} times as many would bring more")
    header = ("Language", "Brought", "95 %", "Would bring", "95 %")
    msg.table(rows, header=header, divider=True, aligns=("l", "r", "r", "r", "r"))
    title, text = describe_next(curves)
    msg.info(title, text)


def _describe_point(point: Any) -> str:
    if point is None:
        return ""
    sd = "" if point["sd"] is None else f" ±{100 * point['sd']:.1f}"
    return f"{100 * point['accuracy']:.1f}{sd}"


def describe_next(curves: "LearningCurves") -> Tuple[str, str]:
    """What follows from the curves, and what to bear in mind."""
    from ..evaluation.learning import MIN_POINTS
    from ..languages import language_name

    caution = (
        "The head alone was trained, which shows less than whole trainings bring: repeat it with "
        "--recipe finetune for the languages that matter."
        if curves["recipe"] == HEAD
        else "Beyond what was measured the curve is a guess; its interval says how good a one."
    )
    known: List[LearningCurve] = [x for x in curves["languages"] if x["ahead"] is not None]
    if not known:
        return f"Fewer than {MIN_POINTS} numbers of labels: no curve is drawn out.", caution
    sure = [x for x in known if x["ahead_interval"] and x["ahead_interval"][0] > 0.0]
    if not sure:
        return "In no language is it sure that more labels bring anything.", caution
    names = ", ".join(language_name(curve["lang"]) for curve in sure)
    return f"More labels bring most in: {names}.", caution
