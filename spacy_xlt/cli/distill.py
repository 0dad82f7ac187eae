"""`spacy xlt distill`: a small pipeline that answers as a large one does."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, List, Optional, Sequence, cast

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
from ._pipeline import load_pipeline, split_langs

if TYPE_CHECKING:
    from spacy.language import Language

    from ..transfer.distillation import DistillationSettings

# The name of the result, as `spacy xlt train` has it.
BEST = "model-best"
# Below this share of the teacher's answers, a student is of no use.
LOW_AGREEMENT = 0.7

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Distilled:
    """What a distillation made.

    path (Path): The student.
    n_layers (int): Layers of the teacher.
    layers (List[int]): Those that the student kept.
    n_texts (int): Different texts that it learned from.
    n_mixed (int): Texts that were made of them, in all epochs.
    agreement (float): Share of texts, which it learned from, on which it answers as the teacher.
    seconds (float): Time from start to end.
    """

    path: Path
    n_layers: int
    layers: List[int]
    n_texts: int
    n_mixed: int
    agreement: float
    seconds: float


@command(xlt_cli, "distill")
def distill_cli(
    teacher: str = Arg(..., help="Name or path of the pipeline to make smaller"),
    texts: List[Path] = Arg(
        ..., help="Texts to learn from: corpora (.spacy, directories), tables, text files"
    ),
    output: Path = Opt(..., "--output", "-o", help="Directory that gets the student, model-best"),
    n_layers: int = Opt(4, "--layers", "-n", help="Layers of the student's encoder"),
    keep: Optional[str] = Opt(
        None, "--keep", help="Layers to start as, from 0 (default: the lowest and the last)"
    ),
    others: List[str] = Opt(
        [], "--teacher", help="More pipelines with the same labels, whose answers count too"
    ),
    langs: Optional[str] = Opt(
        None, "--langs", "-l", help="Languages to learn in, with commas (default: all)"
    ),
    mixed: int = Opt(
        1,
        "--mixed",
        help="New texts to make for each, in each epoch, of its beginning and another one's end",
    ),
    epochs: int = Opt(2, "--epochs", "-e", help="Passes over all of these"),
    learn_rate: float = Opt(5e-4, "--learn-rate", help="The highest learning rate"),
    temperature: float = Opt(2.0, "--temperature", help="Softens the answers to learn"),
    ngram_share: float = Opt(
        0.33, "--ngram-share", help="What the spelling of a text counts, by character n-grams"
    ),
    seed: int = Opt(0, "--seed", min=0, help="Another seed gives another order of the texts"),
    resume: Optional[bool] = Opt(
        None,
        "--resume/--no-resume",
        help="An interrupted run must go on, or must not; by default the very same run does",
        show_default=False,
    ),
    text_field: str = TEXT_FIELD,
    lang_field: str = LANG_FIELD,
    component: Optional[str] = COMPONENT,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Make a pipeline with a few of the layers of a trained one, which learns from texts without
    labels to give the same answers, about as many times faster as it has fewer layers. Texts in
    all languages that it is going to read serve best, thousands of them. It takes about ten times
    as long as the teacher needs to read them; the time grows with --epochs and --mixed. After an
    interruption, the same command goes on where the run was about a minute before.
    """
    result = distill(
        teacher,
        texts,
        output,
        n_layers=n_layers,
        keep=split_layers(keep),
        others=others,
        langs=split_langs(langs),
        mixed=mixed,
        epochs=epochs,
        learn_rate=learn_rate,
        temperature=temperature,
        ngram_share=ngram_share,
        seed=seed,
        resume=resume,
        text_field=text_field,
        lang_field=lang_field,
        component=component,
        gpu_id=gpu_id,
        code_path=code_path,
        progress=show_progress,
    )
    msg.good(
        f"Student with {len(result.layers)} of {result.n_layers} layers "
        f"({', '.join(map(str, result.layers))}): {result.path}",
        f"Learned from {result.n_texts:,} texts and {result.n_mixed:,} mixed ones in "
        f"{result.seconds:,.0f} seconds. It answers as the teacher on {result.agreement:.1%} of "
        f"those given; on others it will be less.",
    )
    if result.agreement < LOW_AGREEMENT:
        msg.warn(
            "The student has hardly learned what the teacher knows",
            "More --epochs, more texts or more --layers help, or another --learn-rate.",
        )


def distill(
    teacher: str,
    texts: Sequence[Path],
    output: Path,
    *,
    n_layers: int = 4,
    keep: Optional[Sequence[int]] = None,
    others: Sequence[str] = (),
    langs: Optional[Sequence[str]] = None,
    mixed: int = 1,
    epochs: int = 2,
    learn_rate: float = 5e-4,
    temperature: float = 2.0,
    ngram_share: float = 0.33,
    seed: int = 0,
    resume: Optional[bool] = None,
    text_field: str = "text",
    lang_field: str = "lang",
    component: Optional[str] = None,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
    progress: Progress = lambda steps, n_steps: steps,
) -> Distilled:
    """Make a small pipeline of a large one; see `distill_cli`.

    n_layers (int): Layers of the student, which start as the lowest ones and the last.
    keep (Optional[Sequence[int]]): Places of the layers to start as instead, from 0.
    others (Sequence[str]): More pipelines with the same labels.
    langs (Optional[Sequence[str]]): Languages to learn in; None is all, and texts without one.
    progress (Progress): Wraps the steps, whose number it is told.
    RETURNS (Distilled): What was made.
    RAISES (ValueError): If a pipeline, a text or a layer is not there, or they do not fit together.
    """
    from thinc.api import fix_random_seed

    from ..components.textcat import XltTextCat
    from ..evaluation.task import find_task
    from ..layers.distilling import outer_layers
    from ..transfer.distillation import DistillationSettings, Lessons, check_teacher
    from ._resume import ResumableRun, find_state
    from ._staging import staged_results, states_of

    start = time.perf_counter()
    nlp = load_pipeline(teacher, gpu_id=gpu_id, code_path=code_path)
    name = find_task(nlp, component).component
    whole: XltTextCat = check_teacher(nlp, name)
    settings = DistillationSettings(
        layers=list(keep) if keep is not None else outer_layers(whole.n_layers, n_layers),
        mixed=mixed,
        epochs=epochs,
        learn_rate=learn_rate,
        temperature=temperature,
        ngram_share=ngram_share,
        seed=seed,
    )
    chosen = read_chosen(texts, nlp, langs=langs, text_field=text_field, lang_field=lang_field)
    fix_random_seed(seed)
    lessons = Lessons(
        nlp,
        load_pipeline(teacher, gpu_id=gpu_id),
        name,
        chosen,
        others=[load_pipeline(other, gpu_id=gpu_id) for other in others],
        settings=settings,
    )
    with staged_results(output) as making:
        identity = identify(settings, lessons.texts, [teacher, *others])
        state = find_state(states_of(making), identity, resume=resume)
        run = ResumableRun([name], making, identity, start=state)
        with run.recorded(cast("Language", lessons)):
            losses: dict = {}
            for batch in progress(lessons.batches(), lessons.n_steps):
                lessons.update(batch, losses=losses)
        lessons.fit_ngrams()
        agreement = lessons.agreement()
        lessons.student.to_disk(making / BEST)
    return Distilled(
        output / BEST,
        whole.n_layers,
        sorted(settings.layers),
        len(lessons.texts),
        lessons.n_mixed,
        agreement,
        time.perf_counter() - start,
    )


def read_chosen(
    paths: Sequence[Path],
    nlp: "Language",
    *,
    langs: Optional[Sequence[str]],
    text_field: str,
    lang_field: str,
) -> List[str]:
    """The texts of some files in some languages.

    RAISES (ValueError): If there are none in one of the languages.
    """
    from ..corpora.layout import standard_language
    from ._texts import read_texts, with_languages

    found = [
        text
        for path in paths
        for text in read_texts(
            path, max_length=nlp.max_length, text_field=text_field, lang_field=lang_field
        )
    ]
    if langs is None:
        return [text.text for text in found]
    found = with_languages(nlp, found)
    wanted = {standard_language(lang) for lang in langs}
    present = {text.lang for text in found}
    missing = sorted(wanted - present)
    if missing:
        raise ValueError(
            f"No text is in {', '.join(missing)}. Languages found: "
            f"{', '.join(lang or 'none recorded' for lang in sorted(present))}."
        )
    return [text.text for text in found if text.lang in wanted]


def identify(
    settings: "DistillationSettings", texts: Sequence[str], teachers: Sequence[str]
) -> dict:
    """What must be the same for an interrupted run to go on."""
    from ._resume import identify_run

    digest = hashlib.sha256(json.dumps(list(texts)).encode("ascii")).hexdigest()
    facts = {**asdict(settings), "texts": digest, "teachers": list(teachers)}
    return identify_run(facts, [Path(teacher) for teacher in teachers if Path(teacher).exists()])


def split_layers(value: Optional[str]) -> Optional[List[int]]:
    """Numbers of a comma-separated option; None where it is not given.

    RAISES (ValueError): If a part is no whole number.
    """
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError as e:
        raise ValueError(
            f"--keep is '{value}'; allowed are numbers of layers from 0 with commas, such as "
            f"2,5,8,11."
        ) from e


def show_progress(steps: Iterable[Any], n_steps: int) -> Iterator[Any]:
    """A bar where somebody watches."""
    from tqdm import tqdm

    yield from tqdm(steps, total=n_steps, desc="Steps", unit="step", disable=None)
