"""`spacy xlt self-train`: rounds of pseudo-labels and students, as long as they get no worse."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import typer

from ..files import write_text
from ..transfer.pseudo_labels import LabelSettings
from ._app import (
    BATCH_SIZE,
    CODE_PATH,
    GPU_ID,
    LANG_FIELD,
    Arg,
    Opt,
    command,
    msg,
    xlt_cli,
)
from ._pipeline import check_batch_size, check_output, load_pipeline, save_pipeline, split_langs
from .ensemble import make_ensemble
from .pseudo_label import (
    BALANCE,
    LANGS,
    LIMIT,
    MAX_LIKENESS,
    NEIGHBOURS,
    SHARPNESS,
    SPLIT,
    TEACHERS,
    Gold,
    Labelled,
    Labeller,
    Teacher,
    describe_untaught,
    load_teachers,
    read_pool,
    read_source,
    show_labelled,
    write_labelled,
)

if TYPE_CHECKING:
    import numpy as np
    from thinc.api import Config

    from ..evaluation.task import Task
    from ..transfer.self_training import Signs
    from ._resume import Identity

RECORD = "self_training.json"
FORMAT = "spacy_xlt.self_training.v1"
BEST = "model-best"
# What the teachers that students do not replace count in the result.
BESIDE = 0.6
# The setting that the pseudo-labels of a round are put into.
TRAIN = "paths.train"


@command(
    xlt_cli,
    "self-train",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def self_train_cli(
    ctx: typer.Context,  # only for the settings of the config
    config_path: Path = Arg(..., help="Config file, such as configs/self_train.cfg"),
    texts: List[Path] = Opt(
        ...,
        "--texts",
        "-t",
        help="Unlabelled texts: corpora (.spacy, directories), tables, files like sw.txt; may be "
        "given several times",
    ),
    teachers: List[str] = TEACHERS,
    output: Path = Opt(..., "--output", "-o", help="Directory for rounds and result"),
    rounds: int = Opt(1, "--rounds", "-r", help="Most students, each taught with the one before"),
    held_out: float = Opt(
        0.1, "--held-out", help="Share of each language's texts that students are judged by"
    ),
    fresh: bool = Opt(
        False, "--fresh", help="Train students from the encoder's directory, not from the teacher"
    ),
    beside: float = Opt(
        BESIDE,
        "--beside",
        help="What the teachers but the first count in the result, from 0, for the student alone, "
        "to 1; it takes the time of all of them",
    ),
    langs: Optional[str] = LANGS,
    limit: int = LIMIT,
    neighbours: float = NEIGHBOURS,
    sharpness: float = SHARPNESS,
    balance: float = BALANCE,
    max_likeness: float = MAX_LIKENESS,
    text_field: str = Opt("text", "--text-field", help="Field that holds the text"),
    lang_field: str = LANG_FIELD,
    force: bool = Opt(
        False, "--force", "-F", help="Replace the rounds of another self-training in OUTPUT"
    ),
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Train on the labelled source texts and on unlabelled texts of all target languages together,
    with pseudo-labels of the first teacher, which each round's student starts from and replaces,
    of the other teachers and of alike texts. Only languages get them that the first teacher does
    not know well. Settings of the config are given as to spacy xlt train. A student that is worse
    than what taught it, by signs that need no target labels, ends the rounds. OUTPUT/model-best is
    the last good one beside the other teachers. Finished rounds are not trained again.
    """
    from spacy.cli._util import import_code

    from ._config import parse_overrides

    import_code(code_path)
    self_train(
        config_path,
        texts,
        teachers,
        output,
        rounds=rounds,
        held_out=held_out,
        fresh=fresh,
        beside=beside,
        settings=LabelSettings(neighbours, sharpness, balance, max_likeness),
        langs=split_langs(langs),
        limit=limit,
        text_field=text_field,
        lang_field=lang_field,
        overrides=parse_overrides(ctx.args),
        force=force,
        batch_size=batch_size,
        gpu_id=gpu_id,
        code_path=code_path,
    )


def self_train(
    config_path: Path,
    texts: Sequence[Path],
    teachers: Sequence[str],
    output: Path,
    *,
    rounds: int = 1,
    held_out: float = 0.1,
    fresh: bool = False,
    beside: float = BESIDE,
    settings: LabelSettings = LabelSettings(),
    langs: Optional[Sequence[str]] = None,
    limit: int = 1000,
    text_field: str = "text",
    lang_field: str = "lang",
    overrides: Mapping[str, Any] = {},
    force: bool = False,
    batch_size: int = 512,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> int:
    """Train students; see `self_train_cli`.

    RETURNS (int): The round whose student is the result; 0 if it is the first teacher.
    RAISES (ValueError): If a setting, the config, a teacher or the texts are wrong, or the
        directory holds rounds of something else.
    """
    import numpy as np

    from ..transfer.self_training import draw_held_out, find_worsening
    from ._config import plain_errors, read_config

    if rounds < 1:
        raise ValueError(f"--rounds is {rounds}; allowed is 1 or more.")
    if not 0.0 <= beside < 1.0:
        raise ValueError(f"--beside is {beside}; allowed is 0 up to, not with, 1.")
    check_batch_size(batch_size)
    with plain_errors(config_path):
        if TRAIN in overrides:
            raise ValueError(
                f"--{TRAIN} is {overrides[TRAIN]}, but self-training sets it itself, to texts with "
                f"pseudo-labels. Give the labelled source texts with --paths.source, and the "
                f"unlabelled ones with --texts."
            )
        # For now any path: there are no pseudo-labels yet.
        config = read_config(config_path, {**overrides, TRAIN: SPLIT})
        source = _find_source(config)
        more = (asdict(settings), held_out, fresh, langs, limit, text_field, lang_field)
        run = _identify(config, texts, teachers, *more)
    check_output(output / BEST)
    record = _open_record(output / RECORD, run, force=force)
    loaded = load_teachers(teachers, batch_size=batch_size, gpu_id=gpu_id, code_path=code_path)
    gold = read_source(loaded[0], source)
    pool = read_pool(
        loaded[0],
        texts,
        gold,
        langs=langs,
        limit=limit,
        text_field=text_field,
        lang_field=lang_field,
    )
    kept_out = draw_held_out(pool.langs, held_out)
    taught = np.setdiff1d(np.arange(len(pool.texts)), kept_out).tolist()
    labeller = Labeller(loaded, pool, gold, settings)
    judge = _Judge(config, gold, labeller, kept_out)
    before = judge.look(loaded[0], labeller.views[0])
    train_langs = loaded[0].task.source_langs
    start = None if fresh else _find_start(loaded[0])
    del loaded
    record["likeness"] = labeller.likeness
    result, scores, reason = 0, None, ""
    for number in range(1, rounds + 1):
        folder = output / f"round-{number}"
        name = teachers[0] if number == 1 else str(output / f"round-{number - 1}" / BEST)
        found = labeller.label(scores)
        show_labelled(found)
        labeller.notes = []  # once is enough
        if not found.taught.any():
            reason = describe_untaught(found)
            break
        reason = judge.find_collapse(before, found)
        if reason:
            reason = f"The pseudo-labels of round {number} are not taught: {reason}"
            break
        if not _is_finished(folder, record, number):
            write_labelled(folder / "corpus", found, [name, *teachers[1:]], taught)
            train_student(
                config_path,
                folder,
                overrides,
                train_langs,
                start=start,
                gpu_id=gpu_id,
                code_path=code_path,
            )
        student = Teacher(
            load_pipeline(str(folder / BEST), gpu_id=gpu_id, code_path=code_path),
            str(folder / BEST),
            batch_size,
        )
        student.order_labels(labeller.task.labels)
        scores = student.predict(pool)
        now = judge.look(student, scores)
        del student
        reason = find_worsening(before, now)
        _note_round(output / RECORD, record, number, now, reason)
        _show_signs(number, before, now)
        if reason:
            reason = f"The student of round {number} is worse than what taught it: {reason}"
            break
        result, before = number, now
        start = None if fresh else folder / BEST
    record.update(result=result, reason=reason)
    if reason:
        msg.warn(reason)
    _finish(output, record, teachers, beside, gpu_id=gpu_id, code_path=code_path)
    return result


class _Judge:
    """Looks at pipelines by what needs no label in a target language."""

    def __init__(self, config: "Config", gold: Gold, labeller: Labeller, held_out: "np.ndarray"):
        if labeller.alike is None:
            raise ValueError(
                "No teacher has vectors to find alike texts with, by which students are judged. "
                "Add a pipeline of frozen.cfg as a teacher."
            )
        self.alike, self.held_out = labeller.alike, held_out
        self.exclusive = labeller.task.exclusive
        self.dev = _read_dev(config, gold, labeller.task)

    def look(self, teacher: Teacher, scores: "np.ndarray") -> "Signs":
        """Signs of a pipeline whose scores of the pool are known."""
        from ..transfer.pseudo_labels import find_answers
        from ..transfer.self_training import read_signs
        from .pseudo_label import Pool

        texts, langs, gold = self.dev
        right: List[int] = []
        if texts:
            answers = find_answers(teacher.predict(Pool(texts, langs)), exclusive=self.exclusive)
            right = (answers == gold).all(axis=1).astype(int).tolist()
        return read_signs(
            find_answers(scores, exclusive=self.exclusive), *self.alike, self.held_out, right
        )

    def find_collapse(self, before: "Signs", found: Labelled) -> str:
        """Why pseudo-labels should not be taught at all, "" if they may."""
        from ..transfer.self_training import find_worsening, read_signs

        return find_worsening(before, read_signs(found.answers, *self.alike, self.held_out))


def _read_dev(
    config: "Config", gold: Gold, task: "Task"
) -> Tuple[List[str], List[str], "np.ndarray"]:
    """Labelled texts of the development corpus in source languages: texts, languages, answers."""
    import numpy as np
    from spacy.language import Language
    from spacy.util import resolve_dot_names

    from ..evaluation.scorer import has_gold
    from ..languages import get_doc_language
    from ..transfer.pseudo_labels import find_answers

    settings = config.interpolate()
    name = settings["training"].get("dev_corpus", "corpora.dev")
    (corpus,) = resolve_dot_names(settings, [name])
    docs = [
        eg.reference
        for eg in corpus(Language())
        if has_gold(eg.reference.cats, task.labels, exclusive=task.exclusive)
        and eg.reference.text.strip()
        and get_doc_language(eg.reference) in ("", *gold.langs)
    ]
    scores = np.array([[doc.cats.get(label, 0.0) for label in task.labels] for doc in docs])
    return (
        [doc.text for doc in docs],
        [get_doc_language(doc) for doc in docs],
        find_answers(scores.reshape(len(docs), len(task.labels)), exclusive=task.exclusive),
    )


def _find_source(config: "Config") -> Path:
    """The labelled texts of the source languages.

    RAISES (ValueError): If the config names none.
    """
    settings = config.interpolate()
    name = settings["training"].get("train_corpus", "corpora.train").partition(".")[2]
    path = settings.get("corpora", {}).get(name, {}).get("source_path")
    if not path:
        raise ValueError(
            "Self-training needs the labelled texts of the source language, but the config has "
            "none under source_path of its training corpus. Use configs/self_train.cfg, with "
            "--paths.source FILE."
        )
    return Path(path)


def _identify(
    config: "Config", texts: Sequence[Path], teachers: Sequence[str], *settings: Any
) -> "Identity":
    """What rounds must have in common to count as those of one self-training."""
    from ._resume import identify_run

    paths = [path for path in (*texts, *map(Path, teachers)) if path.exists()]
    names = {"teachers": list(teachers), "texts": list(map(str, texts))}
    return identify_run({**config.interpolate(), **names, "settings": list(settings)}, paths)


def _open_record(path: Path, run: "Identity", *, force: bool) -> Dict[str, Any]:
    """What earlier calls with the same output and settings have done.

    RAISES (ValueError): If it is damaged, or of other settings and must not be replaced.
    """
    from ._resume import describe_changes

    fresh: Dict[str, Any] = {"format": FORMAT, "run": run, "rounds": {}}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return fresh
    try:
        record = json.loads(path.read_text(encoding="utf8"))
        changes = describe_changes(record["run"], json.loads(json.dumps(run)))
        record["rounds"] = dict(record["rounds"])
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ValueError(
            f"'{path}' is not the record of a self-training ({e}). Choose another --output, or "
            f"remove that directory."
        ) from e
    if changes and force:
        msg.info(f"Other rounds were there, which are replaced. These are not the same: {changes}")
        return fresh
    if changes:
        raise ValueError(
            f"'{path.parent}' holds rounds of another self-training. These are not the same: "
            f"{changes}. Choose another --output, or replace them with --force."
        )
    return record


def _is_finished(folder: Path, record: Mapping[str, Any], number: int) -> bool:
    finished = str(number) in record["rounds"] and (folder / BEST / "meta.json").is_file()
    if finished:
        msg.info(f"Round {number} was trained before: {folder / BEST}")
    return finished


def train_student(
    config_path: Path,
    folder: Path,
    overrides: Mapping[str, Any],
    train_langs: Sequence[str],
    *,
    start: Optional[Path],
    gpu_id: int,
    code_path: Optional[Path],
) -> None:
    """Train a round's student. Its source languages are those of the teacher.

    start (Optional[Path]): Pipeline to start from; None for what the config has.
    """
    from ._config import read_config
    from .train import show_plan, train, trained_components

    names, _ = trained_components(read_config(config_path, dict(overrides)))
    begin = {"train_langs": list(train_langs), "start_from": start and str(start)}
    settings = {
        f"initialize.components.{name}.{key}": value
        for name in names
        for key, value in begin.items()
        if value
    }
    train(
        config_path,
        folder,
        overrides={
            **settings,
            **overrides,
            TRAIN: str(folder / "corpus" / SPLIT),
        },
        gpu_id=gpu_id,
        code_path=code_path,
        report=show_plan,
    )


def _note_round(
    path: Path, record: Dict[str, Any], number: int, signs: "Signs", reason: str
) -> None:
    from ..evaluation.results import dump_json

    record["rounds"][str(number)] = {**asdict(signs), "worse": reason}
    write_text(path, dump_json(record))


def _show_signs(number: int, before: "Signs", now: "Signs") -> None:
    """Print what is seen of a student beside what taught it."""
    from ..evaluation.rendering import percent

    rows = [
        (name, f"{signs.n_labels:.1f}", percent(signs.likeness), percent(signs.source_accuracy))
        for name, signs in (("before", before), (f"round {number}", now))
    ]
    msg.table(
        rows,
        header=("", "Labels in use", "Alike texts agree", "Source accuracy"),
        divider=True,
        aligns=("l", "r", "r", "r"),
    )


def _find_start(teacher: Teacher) -> Optional[Path]:
    """The pipeline that students start from; None if that must be the encoder's directory."""
    if teacher.has_vectors and teacher.nlp.path is not None:
        return teacher.nlp.path
    msg.info(
        f"Students start from the encoder's directory: '{teacher.name}' has no encoder of its own."
    )
    return None


def _finish(
    output: Path,
    record: Dict[str, Any],
    teachers: Sequence[str],
    beside: float,
    *,
    gpu_id: int,
    code_path: Optional[Path],
) -> None:
    """Put the result in its place and say which round it is of.

    record (Dict[str, Any]): Its "result" is the round of the last good student, 0 for none.
    """
    from ..evaluation.results import dump_json

    result, path = record["result"], output / BEST
    chosen = str(output / f"round-{result}" / BEST) if result else teachers[0]
    others = teachers[1:] if result and beside else []
    if others:
        weights = [1.0 - beside, *(beside / len(others) for _ in others)]
        make_ensemble([chosen, *others], path, weights=weights, gpu_id=gpu_id, code_path=code_path)
    else:
        save_pipeline(load_pipeline(chosen, gpu_id=gpu_id, code_path=code_path), path)
    write_text(output / RECORD, dump_json(record))
    if result:
        named = "".join(f" and '{name}'" for name in others)
        msg.good(f"The result is the student of round {result}{named}: {path}")
    else:
        msg.warn(f"No student was better. The result is the first teacher: {path}")
