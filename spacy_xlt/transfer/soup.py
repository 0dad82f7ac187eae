"""Soups: one pipeline whose weights are the mean of those of several runs from one start."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence

from spacy.language import Language
from spacy.training import Example

from ..components.ensemble import to_shares
from ..components.textcat import XltTextCat, withholding_nothing
from ..evaluation.scorer import has_gold
from ..evaluation.task import Task, find_task
from ..languages import get_doc_language, make_doc

# An answer to more than this share of texts, although half as many have it, is a collapse.
MAX_SHARE = 0.95
# So is an accuracy this far below that of the best run, and by more standard errors than chance
# brings about.
MAX_BEHIND, MAX_ERRORS = 0.10, 3.0


@dataclass(frozen=True)
class Answers:
    """What a run says about labelled texts.

    n_texts (int): The texts.
    accuracy (float): Share of them that is wholly right.
    commonest (str): The answer that it gives most often.
    share, gold_share (float): Share of the texts that gets this answer, and that should.
    """

    n_texts: int
    accuracy: float
    commonest: str
    share: float
    gold_share: float


def make_soup(
    members: Sequence[Language],
    *,
    names: Sequence[str],
    weights: Optional[Sequence[float]] = None,
) -> Language:
    """Average the weights of runs from one start, into the first of the pipelines.

    What was fitted or measured with a run's own weights is not kept.

    members (Sequence[Language]): Two or more, whose configs differ in the seed only.
    names (Sequence[str]): How messages call them.
    weights (Optional[Sequence[float]]): What each counts; None is the same for all.
    RETURNS (Language): The first pipeline, with the mean of all.
    RAISES (ValueError): If there are fewer than two, weights are not as many numbers above 0, or
        the pipelines do not have the same labels or cannot have had one start.
    """
    if len(members) < 2:
        raise ValueError(
            f"A soup is made of 2 or more pipelines, not of {len(members)}. Train the same config "
            f"again with --system.seed 1, and with 2."
        )
    shares = to_shares(weights, len(members), owner="the soup")
    tasks = [find_task(member) for member in members]
    pipes = [
        _find_pipe(member, task, name)
        for member, task, name in zip(members, tasks, names, strict=True)
    ]
    for task, name in zip(tasks[1:], names[1:], strict=True):
        _check_labels(tasks[0], task, names[0], name)
    pipes[0].set_average(pipes, names=names, shares=shares)
    members[0].meta["performance"] = {}
    return members[0]


def read_answers(
    members: Sequence[Language], names: Sequence[str], examples: Sequence[Example]
) -> List[Answers]:
    """What pipelines say about the examples in their source languages; others are passed over.

    names (Sequence[str]): How messages call the pipelines.
    RAISES (ValueError): If there is no labelled example for one of them, or its scores are not
        numbers.
    """
    answers = []
    for member, name in zip(members, names, strict=True):
        try:
            answers.append(_read_answers(member, examples))
        except ValueError as e:
            raise ValueError(f"'{name}' could not be looked at. {e}") from e
    return answers


def check_answers(runs: Sequence[Answers], names: Sequence[str]) -> None:
    """RAISES (ValueError): If a run has collapsed: it gives one answer to nearly all texts, or is
    far less accurate than the best of them."""
    best = max(runs, key=lambda run: run.accuracy)
    for run, name in zip(runs, names, strict=True):
        if run.share > MAX_SHARE and run.gold_share < run.share / 2:
            raise ValueError(
                f"'{name}' has collapsed: it answers '{run.commonest}' to {run.share:.0%} of "
                f"{run.n_texts} texts, {run.gold_share:.0%} of which have it. Leave it out, or "
                f"train it again with another seed."
            )
        behind = best.accuracy - run.accuracy
        errors = sum(r.accuracy * (1.0 - r.accuracy) / r.n_texts for r in (best, run)) ** 0.5
        if behind > max(MAX_BEHIND, MAX_ERRORS * errors):
            raise ValueError(
                f"'{name}' has {run.accuracy:.1%} of {run.n_texts} texts right, the best run "
                f"{best.accuracy:.1%}, so it would spoil the mean. Leave it out, or train it again "
                f"with another seed."
            )


def _read_answers(nlp: Language, examples: Sequence[Example]) -> Answers:
    task = find_task(nlp)
    gold, docs = [], []
    for eg in examples:
        lang, cats = get_doc_language(eg.reference), eg.reference.cats
        is_source = not task.source_langs or lang in task.source_langs
        if is_source and has_gold(cats, task.labels, exclusive=task.exclusive):
            gold.append(_name(task, {label: cats.get(label, 0.0) for label in task.labels}))
            docs.append(make_doc(nlp, eg.reference.text, lang))
    if not docs:
        raise ValueError(
            f"None of the {len(examples)} texts has one of its labels ({_describe(task)}) and is "
            f"in a language that it was trained in ({', '.join(task.source_langs) or 'any'}). Take "
            f"texts of the source language, such as corpus/dev."
        )
    with withholding_nothing(nlp.get_pipe(task.component)):
        answers = [_name(task, doc.cats) for doc in nlp.pipe(docs)]
    (commonest, count), n_texts = Counter(answers).most_common(1)[0], len(docs)
    right = sum(answer == wanted for answer, wanted in zip(answers, gold, strict=True))
    return Answers(
        n_texts, right / n_texts, commonest, count / n_texts, gold.count(commonest) / n_texts
    )


def _find_pipe(nlp: Language, task: Task, name: str) -> XltTextCat:
    pipe: Any = nlp.get_pipe(task.component)
    if not isinstance(pipe, XltTextCat) or not pipe.reads_text:
        raise ValueError(
            f"'{task.component}' of '{name}' is made by '{task.factory}'"
            f"{' and shares its encoder' if isinstance(pipe, XltTextCat) else ''}; only weights of "
            f"xlt_textcat and xlt_textcat_multilabel with an encoder of their own are averaged. "
            f"Make an ensemble: python -m spacy xlt ensemble"
        )
    return pipe


def _check_labels(first: Task, other: Task, first_name: str, name: str) -> None:
    if (first.labels, first.exclusive) != (other.labels, other.exclusive):
        raise ValueError(
            f"The labels of '{name}' ({_describe(other)}) are not those of '{first_name}' "
            f"({_describe(first)}), in the same order. Take runs of one config that differ in the "
            f"seed only."
        )


def _describe(task: Task) -> str:
    shown: List[str] = [*task.labels[:8], *(["…"] if len(task.labels) > 8 else [])]
    return f"{'one' if task.exclusive else 'any'} of {', '.join(shown)}"


def _name(task: Task, scores: Any) -> str:
    """The answer that scores amount to, as one word."""
    answer = task.choose(scores)
    return answer if isinstance(answer, str) else " + ".join(answer) or "none"
