"""Trainings for a learning curve: a pipeline goes on with more and more labels of a language."""

import io
import time
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy
from spacy.language import Language
from spacy.training import Example
from thinc.api import Config

from ..components.gold import Gold, read_gold
from ..components.textcat import XltTextCat
from ..corpora.class_mix import count_groups, weigh_labels
from ..corpora.layout import Row, normalize_text, row_to_doc
from ..corpora.sampling import Candidate, draw_rows
from ..evaluation.learning import Trial
from ..evaluation.metrics import compare, measure
from ..evaluation.scorer import has_gold
from ..languages import make_doc
from ..layers.losses import to_logits

# Inverse penalty of a head, or of what it learns beside what it knows. On development texts of six
# languages of SIB-200 values from 0.3 to 3 gave the same within chance.
STRENGTH = 1.0
# Probabilities are kept this far from 0 and 1 where their logits are asked for.
SMALLEST = 1e-6


@dataclass(frozen=True)
class Job:
    """One training to be done.

    shots (Optional[int]): Labels per class; 0 for the pipeline as it is, None for all there are.
    draw (int): Number of the draw.
    """

    lang: str
    shots: Optional[int]
    draw: int

    @property
    def name(self) -> str:
        """Name of its file."""
        shots = "all" if self.shots is None else self.shots
        return f"{self.lang}-shots{shots}-draw{self.draw}"


@dataclass(frozen=True)
class LanguagePart:
    """Documents of a language.

    pool (List[Row]): Those to draw from.
    measured (List[Row]): Those to measure on; no text is in both.
    n_leaked (int): Documents that were taken out of the pool since they are measured on.
    """

    pool: List[Row]
    measured: List[Row]
    n_leaked: int


def divide(
    pool: Sequence[Row], measured: Sequence[Row], langs: Optional[Sequence[str]]
) -> Dict[str, LanguagePart]:
    """Documents by language, without those to draw that are measured on too.

    langs (Optional[Sequence[str]]): Languages that are asked for; None is all that have both.
    RAISES (ValueError): If a language has no document of one kind, or all are measured on.
    """
    found: Dict[str, Tuple[List[Row], List[Row]]] = {}
    for i, rows in enumerate((pool, measured)):
        for row in rows:
            if row.cats:
                found.setdefault(row.lang, ([], []))[i].append(row)
    both = [lang for lang, (own, against) in sorted(found.items()) if own and against and lang]
    lacking = [lang for lang in langs or [] if lang not in both]
    if lacking or not both:
        raise ValueError(
            f"There must be labelled documents both to draw and to measure on. There are not in "
            f"{', '.join(lacking) or 'any language'}. To draw: "
            f"{_count([row for row in pool if row.cats])}. To measure on: "
            f"{_count([row for row in measured if row.cats])}."
        )
    return {lang: _without_leaks(lang, *found[lang]) for lang in langs or both}


def _count(rows: Sequence[Row]) -> str:
    counts = Counter(row.lang or "unknown language" for row in rows)
    return ", ".join(f"{lang} {n:,}" for lang, n in sorted(counts.items())) or "none"


def without_texts(rows: Sequence[Row], others: Sequence[Row]) -> List[Row]:
    """Rows whose text, apart from case and spaces, is not that of another."""
    texts = {normalize_text(row.text) for row in others}
    return [row for row in rows if normalize_text(row.text) not in texts]


def _without_leaks(lang: str, pool: List[Row], measured: List[Row]) -> LanguagePart:
    kept = without_texts(pool, measured)
    if not kept:
        raise ValueError(
            f"All {len(pool):,} documents to draw in '{lang}' are also to be measured on. What is "
            f"trained on measures nothing. Give other documents with --dev."
        )
    return LanguagePart(kept, measured, len(pool) - len(kept))


def plan_jobs(
    parts: Dict[str, LanguagePart], labels: Sequence[str], *, shots: Sequence[int], draws: int
) -> List[Job]:
    """Trainings in the order in which they are done: the curve is rough first, then finer.

    shots (Sequence[int]): Labels per class; those of which no label has more are left out.
    draws (int): How often each is drawn; the first and the last point have one draw.
    """
    jobs = []
    for draw in range(draws):
        for lang, part in parts.items():
            counts = Counter(label for row in part.pool for label in row.labels)
            most = max((counts[label] for label in labels), default=0)
            if draw == 0:
                jobs += [Job(lang, 0, 0), Job(lang, None, 0)]
            jobs += [Job(lang, n, draw) for n in sorted(set(shots)) if 0 < n < most]
    return jobs


def draw(part: LanguagePart, job: Job) -> List[Row]:
    """Documents that a job trains on; a smaller draw is part of a larger one."""
    if job.shots == 0:
        return []
    if job.shots is None:
        return list(part.pool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label with fewer documents is no news here
        return draw_rows(part.pool, shots=job.shots, seed=job.draw)


def weigh(rows: Sequence[Row], pool: Sequence[Row]) -> List[Row]:
    """Rows that count, 1 on average, as if labels were as frequent among them as in the pool.

    Documents drawn evenly from each label say nothing about how frequent labels are, but a head
    takes their word for it, and gets worse with more of them.
    """
    drawn, all_there_are = (
        [Candidate(row.text, row.labels, row.lang) for row in part] for part in (rows, pool)
    )
    weights = weigh_labels(drawn, count_groups(all_there_are))
    return [
        replace(row, weight=row.weight * weight) for row, weight in zip(rows, weights, strict=True)
    ]


class Head:
    """A trained classifier whose head alone goes on, on vectors that are computed once.

    With documents of the source language, the head is fitted anew to them and to those of the
    target together. Without, it learns what to add to its logits, with a penalty, so that with no
    label it is as it was.

    nlp (Language): The pipeline.
    component (str): Its classifier.
    source (Sequence[Row]): Labelled documents of the source language.
    """

    def __init__(self, nlp: Language, component: str, source: Sequence[Row] = ()):
        self.nlp = nlp
        self.pipe = find_pipe(nlp, component)
        self.source = with_gold(self.pipe, source)
        self._vectors: Dict[str, numpy.ndarray] = {}
        self._logits: Dict[str, numpy.ndarray] = {}

    def read(self, rows: Sequence[Row]) -> None:
        """Compute the vectors of documents that are not known yet."""
        new = list(dict.fromkeys(row.text for row in rows if row.text not in self._vectors))
        if new:
            docs = [self.nlp.make_doc(text) for text in new]
            vectors = self.pipe.model.ops.to_numpy(self.pipe.embed(docs)).astype("float64")
            scores = self.pipe.predict(docs, calibrated=False).astype("float64")
            logits = to_logits(scores, exclusive=self.pipe.exclusive, smallest=SMALLEST)
            self._vectors.update(zip(new, vectors, strict=True))
            self._logits.update(zip(new, logits, strict=True))

    def train(self, rows: Sequence[Row], measured: Sequence[Row]) -> numpy.ndarray:
        """Go on with some documents; scores of others. Shape: (n_measured, n_labels)"""
        from ..layers.losses import ACTIVATIONS, LOSSES
        from ..layers.probe import fit_probe

        own = [*self.source, *rows]
        self.read([*own, *measured])
        before = self._stack(self._logits, measured)
        activate = ACTIVATIONS[self.pipe.exclusive]
        gold = gold_of(self.nlp, self.pipe, own)
        counted = numpy.flatnonzero(gold.weights > 0.0).tolist()
        if not counted:
            return activate(before.astype("f"))
        gold, own = gold.select(counted), [own[i] for i in counted]
        weight, bias = fit_probe(
            self._stack(self._vectors, own),
            gold.targets,
            gold.known,
            gold.weights,
            loss=LOSSES[self.pipe.exclusive],
            C=STRENGTH,
            offset=None if self.source else self._stack(self._logits, own),
        )
        learnt = self._stack(self._vectors, measured) @ weight.T + bias
        return activate((learnt if self.source else before + learnt).astype("f"))

    @staticmethod
    def _stack(known: Dict[str, numpy.ndarray], rows: Sequence[Row]) -> numpy.ndarray:
        return numpy.stack([known[row.text] for row in rows])


def find_pipe(nlp: Language, component: str) -> XltTextCat:
    """RAISES (ValueError): If the component is none of ours, or has no encoder of its own."""
    pipe: Any = nlp.get_pipe(component)
    if not isinstance(pipe, XltTextCat) or not pipe.reads_text:
        raise ValueError(
            f"'{component}' has no encoder of its own, so it has no learning curve. Allowed are "
            f"xlt_textcat and xlt_textcat_multilabel with spacy_xlt.TextCat.v1."
        )
    return pipe


def train_whole(config: Config, measured: Sequence[Row], *, use_gpu: int = -1) -> numpy.ndarray:
    """Train a whole pipeline that is not kept.

    config (Config): Its development corpus must choose nothing.
    measured (Sequence[Row]): Documents to score at the end of the training.
    RETURNS (numpy.ndarray): Scores in the order of the component's labels, as they stand in the
        config. Shape: (n_measured, n_labels)
    """
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train as train_nlp

    nlp = init_nlp(config, use_gpu=use_gpu)
    evaluate = nlp.evaluate
    kept: List[numpy.ndarray] = []

    def evaluate_and_score(examples: Any, **settings: Any) -> Dict[str, Any]:
        # Where spaCy evaluates, the weights are those that would be kept.
        (pipe,) = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, XltTextCat)]
        kept[:] = [pipe.predict([make_doc(nlp, row.text, row.lang) for row in measured])]
        return evaluate(examples, **settings)

    nlp.evaluate = evaluate_and_score  # type: ignore[method-assign]
    silence = io.StringIO()
    train_nlp(nlp, None, use_gpu=use_gpu, stdout=silence, stderr=silence)
    return kept[0]


def make_trial(
    job: Job,
    rows: Sequence[Row],
    gold: Gold,
    scores: numpy.ndarray,
    *,
    exclusive: bool,
    threshold: float,
    started: float,
) -> Trial:
    """What came of a job.

    rows (Sequence[Row]): Documents trained on.
    gold (Gold): Gold labels of the documents measured on.
    scores (numpy.ndarray): What was predicted for them. Shape: (n_measured, n_labels)
    started (float): When it began, by `time.perf_counter`.
    """
    known = numpy.where(gold.known > 0.0, gold.targets, numpy.nan).astype("float64")
    outcomes = compare(known, scores.astype("float64"), exclusive=exclusive, threshold=threshold)
    metrics = measure(outcomes)
    return {
        "lang": job.lang,
        "shots": job.shots,
        "draw": job.draw,
        "n_labels": len(rows),
        "accuracy": float(outcomes.correct.mean()),
        "macro_f": metrics["macro_f"],
        "correct": "".join(str(int(right)) for right in outcomes.correct),
        "seconds": round(time.perf_counter() - started, 3),
    }


def gold_of(nlp: Language, pipe: XltTextCat, rows: Sequence[Row]) -> Gold:
    """Gold labels of rows, those of the component."""
    docs = [row_to_doc(nlp.vocab, row) for row in rows]
    examples = [Example(doc, doc) for doc in docs]
    return read_gold(
        examples, pipe.labels, exclusive=pipe.exclusive, class_weights=pipe.class_weights
    )


def with_gold(pipe: XltTextCat, rows: Sequence[Row]) -> List[Row]:
    """Rows with a label of the component: others can be neither learnt from nor measured on."""
    return [row for row in rows if has_gold(row.cats, pipe.labels, exclusive=pipe.exclusive)]
