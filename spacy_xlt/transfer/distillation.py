"""Distillation: a pipeline with a few of the layers learns, from unlabelled texts, to answer as the
whole one does."""

from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple, cast

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch
from thinc.api import Adam

from ..components.deltas import merge_adapters
from ..components.textcat import XltTextCat
from ..evaluation.metrics import DEFAULT_THRESHOLD, one_hot
from ..layers.losses import ACTIVATIONS, to_logits
from ..optimizers import create_warmup_linear_v1

# Probabilities of other teachers are kept this far from 0 and 1, where logits end.
SMALLEST = 1e-6
BATCH_SIZE = 256
# Two texts that are mixed stand no further apart, so that they mostly are of one file and language.
MOST_APART = 300
# Of the texts, so many are read in the end to compare answers.
MOST_COMPARED = 500


@dataclass(frozen=True)
class DistillationSettings:
    """How a student learns.

    layers (Sequence[int]): Places of the teacher's layers that its own start as, from 0.
    epochs (int): Passes over the texts.
    mixed (int): How many times as many texts are made of them by `mix_texts`, anew in each epoch.
    size (int): Texts in a batch.
    learn_rate (float): The highest rate. It is far above that of tuning, since layers that stood
        apart have to fit together.
    temperature (float): By what logits are divided before they become probabilities.
    ngram_share (float): What the character n-grams of the texts, fitted to the teacher's answers,
        count in the student beside its head; with 0 it keeps those of the teacher, if it has any.
    seed (int): Of the order of the texts, and of what is mixed.
    """

    layers: Sequence[int]
    epochs: int = 2
    mixed: int = 1
    size: int = 16
    learn_rate: float = 5e-4
    temperature: float = 2.0
    ngram_share: float = 0.33
    seed: int = 0


class Lessons:
    """A student and what it learns from, step by step.

    teacher (Language): A pipeline whose component has an encoder of its own, of the BERT family.
    student (Language): The same, loaded once more; it loses layers.
    name (str): Name of the component.
    texts (Sequence[str]): What to learn from, best in the order of their files; blank ones teach
        nothing.
    others (Sequence[Language]): More pipelines, whose answers count as much as the teacher's.
    settings (DistillationSettings): How it learns.
    RAISES (ValueError): If there is no text, the pipelines do not fit together, or a layer is not
        there.
    """

    def __init__(
        self,
        teacher: Language,
        student: Language,
        name: str,
        texts: Sequence[str],
        *,
        others: Sequence[Language] = (),
        settings: DistillationSettings,
    ):
        self.texts = _different(texts)
        if not self.texts:
            raise ValueError("There is no text to learn from.")
        for setting in ("epochs", "size", "learn_rate", "temperature"):
            if not getattr(settings, setting) > 0:
                raise ValueError(
                    f"{setting} is {getattr(settings, setting)}; allowed is more than 0."
                )
        if settings.mixed < 0:
            raise ValueError(f"mixed is {settings.mixed}; allowed is 0 or more.")
        if not 0.0 <= settings.ngram_share <= 1.0:
            raise ValueError(f"ngram_share is {settings.ngram_share}; allowed is 0 to 1.")
        self._teacher = check_teacher(teacher, name)
        self._others = list(others)
        self._read_others(self.texts[:1])  # so that what does not fit is told before training
        self.settings = settings
        self.student = student
        merge_adapters(student)
        self.component = cast(XltTextCat, student.get_pipe(name))
        self.component.keep_layers(settings.layers)
        self._distillation = self._teacher.prepare_distillation(
            self.component, temperature=settings.temperature
        )
        schedule: Any = create_warmup_linear_v1(
            settings.learn_rate, total_steps=self.n_steps, warmup=0.05, final=0.05
        )
        self._optimizer = Adam(
            schedule,
            beta2=0.98,
            L2=0.01,
            L2_is_weight_decay=True,
            grad_clip=1.0,
            use_averages=False,
        )

    @property
    def n_mixed(self) -> int:
        """Texts that are made of those given, in all epochs."""
        return self.settings.epochs * self.settings.mixed * len(self.texts)

    @property
    def n_steps(self) -> int:
        n_texts = (1 + self.settings.mixed) * len(self.texts)
        return self.settings.epochs * -(-n_texts // self.settings.size)

    def batches(self) -> Iterator[List[Example]]:
        """All batches of the run, each to be given to `update`."""
        rng = np.random.default_rng(self.settings.seed)
        size = self.settings.size
        for _ in range(self.settings.epochs):
            texts = [*self.texts, *mix_texts(self.texts, self.settings.mixed, rng=rng)]
            order = rng.permutation(len(texts))
            for start in range(0, len(order), size):
                docs = [self.student.make_doc(texts[i]) for i in order[start : start + size]]
                yield [Example(doc, doc) for doc in docs]
                self._optimizer.step_schedules()

    def fit_ngrams(self) -> None:
        """After the last batch: fit character n-grams to the teachers' answers, if they count."""
        share = self.settings.ngram_share
        if share == 0.0:
            return
        activation = ACTIVATIONS[self.component.exclusive]
        docs = map(self.student.make_doc, self.texts)
        own = [
            self._teacher.predict(part, calibrated=False) for part in minibatch(docs, BATCH_SIZE)
        ]
        answers = [np.concatenate(own), *map(activation, self._read_others(self.texts))]
        self.component.add_ngrams(self.texts, np.mean(answers, axis=0), share=share)
        self.student.get_pipe_config(self.component.name)["model"]["ngram_share"] = share

    def agreement(self) -> float:
        """On what share of the texts given, or of some hundreds of them, the student answers as its
        teacher: with the same likeliest label, or the same labels where any number may hold.

        The student has read these texts; of others it will be less.
        """
        chosen = self.texts[:: -(-len(self.texts) // MOST_COMPARED)]
        docs = [self.student.make_doc(text) for text in chosen]
        found, wanted = (_decide(pipe, docs) for pipe in (self.component, self._teacher))
        return float((found == wanted).all(axis=1).mean())

    # What a run that may be interrupted needs of a pipeline: these have its names.

    def get_pipe(self, name: str) -> XltTextCat:
        return cast(XltTextCat, self.student.get_pipe(name))

    def update(self, examples: Sequence[Example], *, losses: Dict[str, float]) -> Dict[str, float]:
        """Take a step. RETURNS (Dict[str, float]): `losses`, with the batch's added."""
        texts = [eg.reference.text for eg in examples]
        loss = self._distillation.step(texts, self._read_others(texts), self._optimizer)
        losses[self.component.name] = losses.get(self.component.name, 0.0) + loss
        return losses

    def evaluate(self, examples: Sequence[Example]) -> Dict[str, Any]:
        """Nothing is measured: there are no labels."""
        return {}

    def _read_others(self, texts: Sequence[str]) -> List[np.ndarray]:
        """Logits of the other teachers. Shape of each: (n_texts, n_labels)"""
        return [read_answers(other, self._teacher, texts) for other in self._others]


def _decide(pipe: XltTextCat, docs: Sequence[Doc]) -> np.ndarray:
    """Which labels a component gives. Shape: (n_docs, n_labels)"""
    scores = pipe.predict(docs, calibrated=False)
    return one_hot(scores) if pipe.exclusive else scores >= DEFAULT_THRESHOLD


def mix_texts(texts: Sequence[str], n_times: int, *, rng: np.random.Generator) -> List[str]:
    """New texts, each the beginning of one and the end of another that stands near it.

    Some hundreds of sentences say too little, in however many languages: a student comes to know
    them by heart. A mixed text may make no sense, but its teacher knows what to say of it.

    texts (Sequence[str]): Texts; neighbours should be of one language.
    n_times (int): How many there are for each of the texts.
    rng (np.random.Generator): Source of chance.
    RETURNS (List[str]): None is blank. Shape: (n_texts * n_times,)
    """
    mixed = []
    for _ in range(n_times):
        for i, text in enumerate(texts):
            other = texts[(i + int(rng.integers(1, MOST_APART + 1))) % len(texts)]
            made = f"{_cut(text, rng)[0]} {_cut(other, rng)[1]}".strip()
            mixed.append(made or text)
    return mixed


def _cut(text: str, rng: np.random.Generator) -> Tuple[str, str]:
    """A text's beginning and end, cut between words, or characters where nothing parts words."""
    words = text.split()
    parts, space = (words, " ") if len(words) > 1 else (list(text), "")
    at = int(rng.integers(len(parts) + 1))
    return space.join(parts[:at]), space.join(parts[at:])


def _different(texts: Iterable[str]) -> List[str]:
    """Every text once, without blank ones."""
    return list(dict.fromkeys(text for text in texts if text.strip()))


def check_teacher(nlp: Language, name: str) -> XltTextCat:
    """The component of a pipeline that can be made smaller.

    RAISES (ValueError): If it is none of this package's.
    """
    pipe = nlp.get_pipe(name)
    if not isinstance(pipe, XltTextCat):
        raise ValueError(
            f"'{name}' is a {type(pipe).__name__}; a student is made of the encoder of an "
            f"xlt_textcat or xlt_textcat_multilabel. Name a pipeline with one first; others may "
            f"follow it."
        )
    return pipe


def read_answers(nlp: Language, teacher: XltTextCat, texts: Sequence[str]) -> np.ndarray:
    """Logits of a pipeline's answers to texts, in the order of a teacher's labels.

    RETURNS (np.ndarray): Shape: (n_texts, n_labels)
    RAISES (ValueError): If its labels are not the teacher's.
    """
    rows: List[List[float]] = []
    with nlp.memory_zone():
        for doc in nlp.pipe(texts, batch_size=BATCH_SIZE):
            if not rows and set(doc.cats) != set(teacher.labels):
                raise ValueError(
                    f"The teachers have different labels: {sorted(teacher.labels)} the first one, "
                    f"{sorted(doc.cats)} another. Name teachers of the same task."
                )
            rows.append([doc.cats[label] for label in teacher.labels])
    scores = np.asarray(rows, dtype="f")
    return to_logits(scores, exclusive=teacher.exclusive, smallest=SMALLEST)
