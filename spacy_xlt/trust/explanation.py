"""Which words made a decision, whether they are what it should rest on, and how to show them."""

import unicodedata
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Literal, Optional, Sequence, Tuple, TypedDict

import numpy as np
from spacy import displacy
from spacy.language import Language
from spacy.tokens import Doc

from ..components.textcat import XltTextCat, withholding_nothing
from ..evaluation.rendering import render
from ..evaluation.results import ConfidentMistake, Evaluation, WordWeight
from ..evaluation.task import Task, find_task
from ..languages import known_language, make_doc
from ..layers.losses import to_logits
from .doubts import DoubtKind, capitals_mean_names, find_doubt
from .words import Span, find_words, without, word_of_pieces

Method = Literal["gradients", "occlusion"]
METHODS: Tuple[Method, ...] = ("gradients", "occlusion")
# Words that count as a decision's evidence.
N_WORDS = 3
# Deletions of one text; of longer texts, runs of words are deleted first.
MAX_DELETIONS = 128
# RGB of words for a label and of words against it; the same in a page's legend.
FOR, AGAINST = "13, 148, 136", "220, 90, 40"
TEMPLATE = (
    '<mark class="entity" style="background: {bg}; color: inherit; padding: 0.1em 0.2em; '
    'border-radius: 0.25em" title="{label}">{text}</mark>'
)


class Doubt(TypedDict):
    """A word among the evidence on which a decision should hardly rest."""

    text: str
    kind: DoubtKind


class Explanation(TypedDict):
    """Which words made a pipeline give a text a label, ready for JSON.

    lang (str): Language of the text, "" if unknown.
    probability (float): That of the label, as the pipeline gives it, or would if it did not
        withhold it.
    words (List[WordWeight]): All words, from first to last, with what each adds to the label's
        score: by gradients, its part of the logit; by occlusion, what the label's lead over the
        next one loses without it, in log odds.
    doubts (List[Doubt]): What of the evidence, the words of highest weight, is a URL, an e-mail
        address, a number or a name.
    """

    text: str
    lang: str
    label: str
    probability: float
    method: Method
    words: List[WordWeight]
    doubts: List[Doubt]


@dataclass(frozen=True)
class DeletionCheck:
    """What deleting the evidence does, beside deleting as many random words.

    n_texts (int): Texts with more words than are deleted.
    evidence, random (float): Share of the texts in which the decision flips or its probability
        is at least halved.
    """

    n_texts: int
    evidence: float
    random: float


def explain_texts(
    nlp: Language,
    texts: Iterable[str],
    *,
    langs: Optional[Iterable[str]] = None,
    component: Optional[str] = None,
    label: Optional[str] = None,
    method: Method = "gradients",
    n_words: int = N_WORDS,
) -> List[Explanation]:
    """Find the words that made a pipeline decide as it does.

    nlp (Language): A pipeline with a text classifier; for gradients, one of this package with an
        encoder of its own.
    texts (Iterable[str]): The texts. Equal ones are explained once.
    langs (Optional[Iterable[str]]): Their languages, which calibrated pipelines use.
    component (Optional[str]): The text classifier, where there are several.
    label (Optional[str]): The label to explain; that of the highest probability if not given.
    method (Method): "gradients" integrates gradients, which needs the captum library; "occlusion"
        deletes one word after the other, which suits any text classifier, but says little where a
        decision is so sure that no single word matters.
    n_words (int): Words of highest weight that count as evidence.
    RETURNS (List[Explanation]): One for each text.
    RAISES (ValueError): If the pipeline has no such component or label, or no gradients.
    """
    task = find_task(nlp, component)
    if method not in METHODS:
        raise ValueError(f"The method is '{method}'; allowed are: {', '.join(METHODS)}.")
    if n_words < 1:
        raise ValueError(f"The number of words is {n_words}; allowed is 1 or more.")
    if label is not None and label not in task.labels:
        raise ValueError(
            f"'{task.component}' has no label '{label}'. Its labels: {', '.join(task.labels)}."
        )
    known: Dict[Tuple[str, str], Explanation] = {}
    explanations = []
    pairs = ((text, "") for text in texts) if langs is None else zip(texts, langs, strict=True)
    with withholding_nothing(nlp.get_pipe(task.component)):
        for text, lang in pairs:
            if (text, lang) not in known:
                doc = make_doc(nlp, text, lang)
                known[text, lang] = _explain(nlp, task, doc, label, method, n_words)
            explanations.append(known[text, lang])
    return explanations


def explain_mistakes(
    nlp: Language, evaluation: Evaluation, *, method: Method = "occlusion"
) -> List[ConfidentMistake]:
    """The mistakes of an evaluation with the words that made them.

    evaluation (Evaluation): Of the same pipeline.
    method (Method): Occlusion needs no other library and suits any text classifier.
    RETURNS (List[ConfidentMistake]): The mistakes, without words where a text cannot be explained.
    """
    component = evaluation["signature"]["pipeline"]["component"]
    explained: List[ConfidentMistake] = []
    for mistake in evaluation["mistakes"]:
        try:
            (found,) = explain_texts(
                nlp,
                [mistake["text"]],
                langs=[mistake["lang"]],
                component=component,
                label=mistake["predicted"],
                method=method,
            )
        except ValueError:  # a part of the text may have no usable scores
            explained.append(mistake)
        else:
            explained.append({**mistake, "words": found["words"]})
    return explained


def _explain(
    nlp: Language, task: Task, doc: Doc, label: Optional[str], method: Method, n_words: int
) -> Explanation:
    pipe: Any = nlp.get_pipe(task.component)
    doc = nlp(doc)
    scores = _read_scores(task, [doc])[0]
    chosen = task.labels[int(scores.argmax())] if label is None else label
    text, lang = doc.text, known_language(doc)
    # Without pieces, scripts without spaces are taken character by character.
    pieces = [(i, i + 1) for i in range(len(text))]
    found = pipe.find_pieces([doc]) if isinstance(pipe, XltTextCat) else None
    if found is not None:
        pieces = [(start, end) for start, end in found[0].tolist()]
    words = find_words(text, pieces)
    if method == "occlusion":
        weights = _occlude(nlp, task, doc, chosen, words)
    else:
        weights = _integrate(task, pipe, doc, chosen, words)
    explanation: Explanation = {
        "text": text,
        "lang": lang,
        "label": chosen,
        "probability": float(scores[task.labels.index(chosen)]),
        "method": method,
        "words": [
            {"text": text[start:end], "start": start, "end": end, "weight": float(weight)}
            for (start, end), weight in zip(words, weights, strict=True)
        ],
        "doubts": [],
    }
    names = capitals_mean_names(text, words, lang)
    for word in top_words(explanation, n_words):
        kind = find_doubt(text, (word["start"], word["end"]), names=names)
        if kind is not None:
            explanation["doubts"].append({"text": word["text"], "kind": kind})
    return explanation


def _read_scores(task: Task, docs: Iterable[Doc]) -> np.ndarray:
    """Probabilities of a component's labels. Shape: (n_docs, n_labels)"""
    rows = [[doc.cats.get(label, np.nan) for label in task.labels] for doc in docs]
    scores = np.array(rows, dtype=float).reshape(len(rows), len(task.labels))
    if not np.isfinite(scores).all():
        raise ValueError(
            f"'{task.component}' gave no usable scores for a text, so there is nothing to "
            f"explain. Train or copy the pipeline again."
        )
    return scores


def _occlude(nlp: Language, task: Task, doc: Doc, label: str, words: Sequence[Span]) -> np.ndarray:
    """What a label's lead loses with each word. Shape: (n_words,)

    The lead is that of its log-probability over the next label's, or over that of its absence
    where labels do not exclude each other; unlike a probability near 1, it shows every loss.

    Of a text with very many words, runs of neighbours are deleted first, and then each word of
    those that count most; words of the other runs share what theirs counts.
    """
    text, lang = doc.text, known_language(doc)
    column = task.labels.index(label)

    def lost(parts: Sequence[np.ndarray]) -> np.ndarray:
        changed = [without(text, [words[i] for i in part]) for part in parts]
        docs = nlp.pipe([make_doc(nlp, some, lang) for some in [text, *changed]])
        leads = to_logits(_read_scores(task, docs), exclusive=task.exclusive)
        lead = leads[:, column]
        if task.exclusive:
            lead = lead - np.delete(leads, column, axis=1).max(axis=1)
        return lead[0] - lead[1:]

    if not words:
        return np.zeros(0)
    runs = np.array_split(np.arange(len(words)), min(len(words), MAX_DELETIONS))
    of_runs = lost(runs)
    lengths = [len(run) for run in runs]
    weights = np.repeat(of_runs / lengths, lengths)
    if len(words) > MAX_DELETIONS:
        heaviest = np.concatenate([runs[i] for i in np.argsort(-of_runs)])[:MAX_DELETIONS]
        weights[heaviest] = lost(list(heaviest[:, None]))
    return weights


def _integrate(task: Task, pipe: Any, doc: Doc, label: str, words: Sequence[Span]) -> np.ndarray:
    """What each word adds to a label's logit, by integrated gradients. Shape: (n_words,)"""
    if not isinstance(pipe, XltTextCat):
        raise ValueError(
            f"'{task.component}' is a component of '{task.factory}', which has no gradients of "
            f"word pieces. Explain by occlusion instead."
        )
    (found,) = pipe.attribute([doc], [label])
    weights = np.zeros(len(words))
    pieces = [(start, end) for start, end in found.offsets.tolist()]
    owners = np.array(word_of_pieces(doc.text, words, pieces), dtype=int)
    np.add.at(weights, owners[owners >= 0], found.weights[owners >= 0])
    return weights


def top_words(explanation: Explanation, n_words: int = N_WORDS) -> List[WordWeight]:
    """The words of highest weight, the first one first; words against the label do not count."""
    ordered = sorted(explanation["words"], key=lambda word: -word["weight"])
    return [word for word in ordered[:n_words] if word["weight"] > 0.0]


def check_deletion(
    nlp: Language,
    explanations: Sequence[Explanation],
    *,
    component: Optional[str] = None,
    n_words: int = N_WORDS,
    n_draws: int = 5,
    seed: int = 0,
) -> DeletionCheck:
    """Delete the words of highest weight, and as many random ones, and see what that does.

    explanations (Sequence[Explanation]): Explanations.
    n_draws (int): Draws of random words for each text.
    RETURNS (DeletionCheck): Over the texts with more than `n_words` words whose explained label is
        the one that the pipeline decides on.
    """
    task = find_task(nlp, component)
    rng = np.random.default_rng(seed)
    outcomes = []
    for explanation in explanations:
        words = [(word["start"], word["end"]) for word in explanation["words"]]
        if len(words) <= n_words:
            continue
        heaviest = np.argsort([-word["weight"] for word in explanation["words"]], kind="stable")
        draws = [rng.choice(len(words), n_words, replace=False) for _ in range(n_draws)]
        gone = _decision_is_gone(
            nlp,
            task,
            explanation,
            [
                without(explanation["text"], [words[i] for i in chosen])
                for chosen in (heaviest[:n_words], *draws)
            ],
        )
        if gone:
            outcomes.append((float(gone[0]), float(np.mean(gone[1:]))))
    evidence, random = np.mean(outcomes, axis=0).tolist() if outcomes else (0.0, 0.0)
    return DeletionCheck(len(outcomes), evidence, random)


def _decision_is_gone(
    nlp: Language, task: Task, explanation: Explanation, changed: Sequence[str]
) -> List[bool]:
    """For each changed text; nothing if the label is not what the pipeline decides on."""
    texts = [explanation["text"], *changed]
    with withholding_nothing(nlp.get_pipe(task.component)):
        docs = nlp.pipe([make_doc(nlp, text, explanation["lang"]) for text in texts])
        scores = _read_scores(task, docs)
    column = task.labels.index(explanation["label"])
    if scores[0].argmax() != column:
        return []
    others = scores[1:]
    is_gone = (others.argmax(axis=1) != column) | (others[:, column] <= scores[0, column] / 2)
    return is_gone.tolist()


def render_explanation(explanation: Explanation) -> str:
    """The text with its words coloured by weight, as HTML made by displaCy.

    Words for the label are green and words against it red, the stronger the more they count; the
    weight is what shows when one points at a word.
    """
    words = explanation["words"]
    most = max((abs(word["weight"]) for word in words), default=0.0) or 1.0
    ents = [
        {
            "start": word["start"],
            "end": word["end"],
            "label": f"{word['weight']:+.2f}",
            "params": {"bg": _color(word["weight"] / most)},
        }
        for word in words
    ]
    return displacy.render(
        {
            "text": explanation["text"],
            "ents": ents,
            "settings": {"direction": _direction(explanation["text"])},
        },
        style="ent",
        manual=True,
        jupyter=False,
        options={"template": TEMPLATE},
    )


def render_page(explanations: Sequence[Explanation], title: str, n_words: int = N_WORDS) -> str:
    """A page of explanations in one HTML file, which needs nothing else."""
    shown = [
        {**one, "html": render_explanation(one), "top": top_words(one, n_words)}
        for one in explanations
    ]
    return render(
        "explanations.html.jinja", title=title, explanations=shown, color_for=FOR, against=AGAINST
    )


def _color(share: float) -> str:
    """Colour of a word by its share of the largest weight, in [-1, 1]."""
    return f"rgba({FOR if share > 0 else AGAINST}, {abs(share) * 0.75:.2f})"


def _direction(text: str) -> str:
    """Direction of writing, by the first letter that has one."""
    kinds = (unicodedata.bidirectional(character) for character in text)
    first = next((kind for kind in kinds if kind in ("L", "R", "AL")), "L")
    return "ltr" if first == "L" else "rtl"
