"""`spacy xlt suggest`: which texts to label next, and in which language."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Sequence

from ._app import (
    BATCH_SIZE,
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
from ._pipeline import check_batch_size, load_pipeline, split_langs

if TYPE_CHECKING:
    import numpy as np
    from spacy.language import Language

    from ..corpora.annotation import LabelTask
    from ..evaluation.task import Task
    from ..trust.suggestion import Suggestion
    from ._texts import Text


@dataclass(frozen=True)
class Share:
    """One language's part of the suggestions.

    n_texts (int): Texts to choose from.
    expected (float): Mean probability of the answer to them, as the classifier has it.
    n_chosen (int): Suggestions.
    expected_of_chosen (Optional[float]): The same of the suggestions; None without any.
    """

    lang: str
    n_texts: int
    expected: float
    n_chosen: int
    expected_of_chosen: Optional[float]


@dataclass(frozen=True)
class Suggested:
    """What to label, by language and in the order of choice, and what was left out and why."""

    tasks: List["LabelTask"]
    shares: List[Share]
    labels: List[str]
    exclusive: bool
    left_out: Dict[str, int]


@command(xlt_cli, "suggest")
def suggest_cli(
    pipeline: str = Arg(..., help="Name or path of the pipeline"),
    texts: List[Path] = Arg(
        ..., help="Texts to choose from: corpora (.spacy, directories), tables, text files"
    ),
    n: int = Opt(100, "--n", "-n", help="Texts to suggest"),
    output: Optional[Path] = Opt(None, "--output", "-o", help="File for the texts to label"),
    format: str = Opt(
        "jsonl", "--format", "-f", help="jsonl, prodigy, doccano or label-studio (a .json file)"
    ),
    strategy: str = Opt(
        "mix",
        "--strategy",
        "-s",
        help="mix (texts that tell most about those in doubt), uncertainty (those in most doubt), "
        "diversity (texts that tell most about all) or random",
    ),
    goal: str = Opt(
        "mean", "--goal", help="What the labels are for: mean of the languages or the worst one"
    ),
    labelled: List[Path] = Opt(
        [], "--labelled", help="Corpora with the labels there are: their texts are left out"
    ),
    langs: Optional[str] = Opt(
        None, "--langs", "-l", help="Languages to choose in, with commas (default: all)"
    ),
    minimum: int = Opt(0, "--minimum", help="Texts to suggest in each language at least"),
    seed: int = Opt(0, "--seed", min=0, help="Another seed gives another draw"),
    text_field: str = TEXT_FIELD,
    lang_field: str = LANG_FIELD,
    component: Optional[str] = COMPONENT,
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Choose the texts whose labels would help most, of unlabelled ones in several languages, and
    write them for Prodigy, doccano or Label Studio. Train with the labels, then ask the new
    pipeline, with the labelled texts under --labelled.
    """
    from ..corpora.annotation import FORMS, LISTS
    from ..trust.suggestion import check_choice

    check_choice("format", format, list(FORMS))
    is_list = format in LISTS
    if output is not None and is_list and output.suffix != ".json":
        raise ValueError(
            f"Label Studio reads tasks from files that end in .json; '{output}' does not."
        )
    suggested = suggest(
        load_pipeline(pipeline, gpu_id=gpu_id, code_path=code_path),
        texts,
        n,
        strategy=strategy,
        goal=goal,
        labelled=labelled,
        langs=split_langs(langs),
        minimum=minimum,
        seed=seed,
        text_field=text_field,
        lang_field=lang_field,
        component=component,
        batch_size=batch_size,
    )
    show_suggestions(suggested, n, goal)
    if output is None:
        msg.info("To get the texts, name a file with --output")
        return
    make = FORMS[format]
    write_tasks(output, [make(task, suggested.labels) for task in suggested.tasks], is_list)
    msg.good(f"Texts to label: {output}")
    if is_list:
        from ..corpora.annotation import label_studio_interface

        msg.text("Labelling interface of the project in Label Studio, under Settings, Code:")
        print(label_studio_interface(suggested.labels, exclusive=suggested.exclusive))


def suggest(
    nlp: "Language",
    paths: Sequence[Path],
    n: int,
    *,
    strategy: str = "mix",
    goal: str = "mean",
    labelled: Sequence[Path] = (),
    langs: Optional[Sequence[str]] = None,
    minimum: int = 0,
    seed: int = 0,
    text_field: str = "text",
    lang_field: str = "lang",
    component: Optional[str] = None,
    batch_size: int = 512,
) -> Suggested:
    """Choose texts to label; see `suggest_cli` for the settings.

    RAISES (ValueError): If a setting, the pipeline or a file is wrong, or no text is left.
    """
    import numpy as np

    from ..evaluation.task import find_task
    from ..trust.suggestion import COMPARING, check_settings, find_doubts
    from ..trust.suggestion import suggest as choose
    from ._texts import read_texts, with_languages

    check_settings(n, strategy, goal)
    check_batch_size(batch_size)
    classifier = find_task(nlp, component)
    left_out: Dict[str, int] = {}
    pool = [
        text
        for path in paths
        for text in read_texts(
            path, max_length=nlp.max_length, text_field=text_field, lang_field=lang_field
        )
    ]
    pool = with_languages(nlp, pool)
    pool = _select(pool, langs, _labelled_keys(nlp, labelled), left_out)
    embed = make_embed(nlp, classifier, batch_size)
    if strategy in COMPARING:
        # A pipeline without vectors is refused now, not after all predictions.
        embed([""])
    scores = predict_scores(nlp, pool, classifier, batch_size)
    usable = np.isfinite(scores).all(axis=1)
    _note(left_out, "without usable scores", int((~usable).sum()))
    pool = [text for text, is_usable in zip(pool, usable, strict=True) if is_usable]
    if not pool:
        raise ValueError(
            "No text is left to suggest. Left out: "
            + (", ".join(f"{count:,} {why}" for why, count in left_out.items()) or "none")
            + ". Give texts that have no label yet."
        )
    scores = scores[usable]
    doubts = find_doubts(scores, exclusive=classifier.exclusive)
    chosen = choose(
        [text.lang for text in pool],
        doubts,
        n,
        embed=lambda rows: embed([pool[row].text for row in rows]),
        strategy=strategy,
        goal=goal,
        minimum=minimum,
        seed=seed,
    )
    tasks = [
        _make_task(pool[found.index], scores[found.index], found, classifier, strategy)
        for own in chosen.values()
        for found in own
    ]
    tags = np.array([text.lang for text in pool], dtype=object)
    shares = [
        _make_share(lang, doubts[tags == lang], doubts[[found.index for found in own]])
        for lang, own in chosen.items()
    ]
    return Suggested(tasks, shares, classifier.labels, classifier.exclusive, left_out)


def _labelled_keys(nlp: "Language", paths: Sequence[Path]) -> List[bytes]:
    from ..corpora.reader import create_corpus_v1

    if not paths:
        return []
    read = create_corpus_v1(path=[str(path) for path in paths])
    return [_key(eg.reference.text) for eg in read(nlp) if eg.reference.cats]


def _key(text: str) -> bytes:
    """What two texts share when they count as one."""
    from ..corpora.layout import normalize_text
    from ..pieces import text_hash

    return text_hash(normalize_text(text))


def _select(
    pool: Sequence["Text"],
    langs: Optional[Sequence[str]],
    labelled: Iterable[bytes],
    left_out: Dict[str, int],
) -> List["Text"]:
    """Texts that may be suggested, each once; counts the others by the reason."""
    from ..corpora.layout import standard_language

    if langs is not None:
        wanted = {standard_language(lang) for lang in langs}
        there = {text.lang for text in pool}
        if wanted - there:
            raise ValueError(
                f"No text in: {', '.join(sorted(wanted - there))}. Languages of the texts: "
                f"{', '.join(lang or 'unknown' for lang in sorted(there)) or 'none'}."
            )
        pool = [text for text in pool if text.lang in wanted]
    known, seen = set(labelled), set()
    kept = []
    for text in pool:
        key = _key(text.text)
        if not text.text.strip():
            _note(left_out, "empty", 1)
        elif key in known:
            _note(left_out, "labelled already", 1)
        elif key in seen:
            _note(left_out, "that came before", 1)
        else:
            seen.add(key)
            kept.append(text)
    return kept


def _note(left_out: Dict[str, int], why: str, count: int) -> None:
    if count:
        left_out[why] = left_out.get(why, 0) + count


def predict_scores(
    nlp: "Language", pool: Sequence["Text"], classifier: "Task", batch_size: int
) -> "np.ndarray":
    """Scores of the texts, NaN where there are none. Shape: (n_texts, n_labels)"""
    import numpy as np
    from tqdm import tqdm

    from ..components.textcat import withholding_nothing
    from .predict import pipe_and_forget

    scores = np.full((len(pool), len(classifier.labels)), np.nan, dtype=np.float32)
    rows = ((text.text, (i, {"lang": text.lang})) for i, text in enumerate(pool))
    docs = pipe_and_forget(nlp, rows, "lang", batch_size)
    with withholding_nothing(nlp.get_pipe(classifier.component)):
        for doc, (i, _) in tqdm(docs, total=len(pool), unit="doc", disable=None, file=sys.stderr):
            scores[i] = [doc.cats.get(label, np.nan) for label in classifier.labels]
    return scores


def make_embed(
    nlp: "Language", classifier: "Task", batch_size: int
) -> Callable[[Sequence[str]], "np.ndarray"]:
    """What makes vectors of texts, with the component's encoder."""
    from ..components.textcat import XltTextCat
    from ._vectors import embed_texts

    pipe: Any = nlp.get_pipe(classifier.component)

    def embed(texts: Sequence[str]) -> "np.ndarray":
        if not isinstance(pipe, XltTextCat) or not pipe.reads_text:
            raise ValueError(
                f"'{classifier.component}' is a component of '{classifier.factory}' without an "
                f"encoder of its own, so it makes no vectors of texts. Allowed are --strategy "
                f"uncertainty and random."
            )
        return embed_texts(nlp, pipe, texts, batch_size)

    return embed


def _make_task(
    text: "Text",
    scores: "np.ndarray",
    found: "Suggestion",
    classifier: "Task",
    strategy: str,
) -> "LabelTask":
    import numpy as np

    from ..corpora.annotation import LabelTask
    from ..trust.suggestion import find_doubts

    by_label = dict(zip(classifier.labels, scores.tolist(), strict=True))
    answer = classifier.choose(by_label)
    (doubt,) = find_doubts(np.array([scores]), exclusive=classifier.exclusive).tolist()
    return LabelTask(
        text=text.text,
        lang=text.lang,
        id=text.id,
        predicted=[answer] if isinstance(answer, str) else answer,
        probability=1.0 - doubt,
        reason=_say_why(by_label, found, classifier, strategy),
    )


def _say_why(
    scores: Dict[str, float], found: "Suggestion", classifier: "Task", strategy: str
) -> str:
    """Why a text was chosen."""
    if strategy == "random":
        return "drawn at random"
    reasons = []
    if strategy != "diversity":
        if classifier.exclusive:
            order = sorted(scores, key=lambda label: -scores[label])[:2]
        else:
            order = sorted(scores, key=lambda label: abs(scores[label] - 0.5))[:1]
        between = " and ".join(f"{label} ({scores[label]:.2f})" for label in order)
        reasons.append(f"in doubt between {between}" if len(order) > 1 else f"in doubt: {between}")
    if found.n_alike is not None:
        reasons.append(f"nearest to {found.n_alike:,} of the texts")
    return "; ".join(reasons)


def _make_share(lang: str, doubts: "np.ndarray", chosen: "np.ndarray") -> Share:
    return Share(
        lang=lang,
        n_texts=len(doubts),
        expected=1.0 - float(doubts.mean()),
        n_chosen=len(chosen),
        expected_of_chosen=1.0 - float(chosen.mean()) if len(chosen) else None,
    )


def write_tasks(path: Path, tasks: Sequence[Dict[str, Any]], is_list: bool) -> None:
    """Write tasks, each on a line: as JSONL, or as one JSON list."""
    from ._rows import open_output, to_json

    lines = [to_json(task) for task in tasks]
    with open_output(path) as file:
        if is_list:
            file.write("[\n" + ",\n".join(lines) + "\n]\n")
        else:
            file.writelines(line + "\n" for line in lines)


def show_suggestions(suggested: Suggested, n: int, goal: str) -> None:
    """Print how many texts each language gets, and why."""
    from ..languages import language_name

    header = ("Language", "Tag", "Texts", "Expected accuracy", "To label", "Expected of these")
    rows = [
        (
            language_name(share.lang),
            share.lang,
            f"{share.n_texts:,}",
            f"{100 * share.expected:.0f} %",
            f"{share.n_chosen:,}",
            "" if share.expected_of_chosen is None else f"{100 * share.expected_of_chosen:.0f} %",
        )
        for share in sorted(suggested.shares, key=lambda share: (-share.n_chosen, share.lang))
    ]
    msg.table(rows, header=header, divider=True, aligns=("l", "l", *"rrrr"))
    why = {
        "mean": "The more wrong answers a language is expected to have, the more labels it gets.",
        "worst": "Labels go where most answers are expected to be wrong.",
    }
    msg.text(f"{why[goal]} Expected: mean probability of the answers; see spacy xlt calibrate.")
    if suggested.left_out:
        counts = (f"{count:,} {why}" for why, count in suggested.left_out.items())
        msg.info(f"Left out: {', '.join(counts)}")
    if len(suggested.tasks) < n:
        msg.warn(f"{n:,} texts were asked for, but there are no more than these.")
