"""The component `xlt_ensemble`: the mean of what several pipelines say."""

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy
import srsly
from spacy import util
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from ..encoder_files import EncoderRecord
from ..evaluation.task import Task, find_task
from ..languages import known_language, make_doc
from .textcat import XltTextCat
from .textcat_factories import SCORE_WEIGHTS

MEMBERS = "members"


@Language.factory(
    "xlt_ensemble",
    assigns=["doc.cats"],
    default_config={"scorer": {"@scorers": "spacy_xlt.textcat_by_language.v1"}},
    default_score_weights=SCORE_WEIGHTS,
)
def make_xlt_ensemble(nlp: Language, name: str, scorer: Optional[Callable]) -> "XltEnsemble":
    """Create a classifier that averages the probabilities of several trained pipelines.

    Which ones is said under `[initialize.components.NAME]`; see `XltEnsemble.initialize`.

    scorer (Optional[Callable]): Scoring function.
    """
    return XltEnsemble(nlp.vocab, name, scorer=scorer)


class XltEnsemble(Pipe):
    """Classifier made of other pipelines' classifiers, with equal or different encoders.

    It holds whole copies of them, so that it can be saved, packaged and loaded anywhere.
    """

    def __init__(self, vocab: Vocab, name: str, *, scorer: Optional[Callable] = None):
        self.vocab = vocab
        self.name = name
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {
            "labels": [],
            "exclusive": True,
            "threshold": None,
            "train_langs": [],
            "tuned_langs": [],
            "components": [],
            "weights": [],
        }
        self._members: List[Language] = []

    @property
    def labels(self) -> Tuple[str, ...]:
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> List[str]:
        return list(self.cfg["labels"])

    @property
    def members(self) -> List[Language]:
        """The pipelines that it is made of."""
        return list(self._members)

    @property
    def encoder_record(self) -> EncoderRecord:
        """The members' encoders in one record: each name and variant once."""
        records = [getattr(pipe, "encoder_record", {}) for pipe in self._pipes]
        joined: Dict[str, Any] = {}
        for key in ("name", "variant", "licence"):
            values = dict.fromkeys(str(record[key]) for record in records if record.get(key))
            if values:
                joined[key] = " + ".join(values)
        return joined  # type: ignore[return-value]

    @property
    def _pipes(self) -> List[Any]:
        pairs = zip(self._members, self.cfg["components"], strict=True)
        return [member.get_pipe(component) for member, component in pairs]

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        pipelines: Optional[List[str]] = None,
        weights: Optional[List[float]] = None,
    ) -> None:
        """Load the members.

        get_examples (Callable[[], Iterable[Example]]): Not used: nothing is trained.
        nlp (Optional[Language]): The pipeline, whose packages will install what members need.
        pipelines (Optional[List[str]]): Directories or names of two or more trained pipelines with
            one text classifier each, for the same labels in any order.
        weights (Optional[List[float]]): What each counts, above 0; None is the same for all.
        RAISES (ValueError): What `set_members` does.
        """
        pipelines = pipelines or []
        members = [util.load_model(path) for path in pipelines]
        self.set_members(members, names=pipelines, weights=weights)
        if nlp is not None:
            add_requirements(nlp, members)

    def set_members(
        self,
        members: Sequence[Language],
        *,
        names: Sequence[str],
        weights: Optional[Sequence[float]] = None,
    ) -> None:
        """Take pipelines that are loaded already.

        members (Sequence[Language]): Two or more.
        names (Sequence[str]): How messages call them.
        weights (Optional[Sequence[float]]): What each counts; None is the same for all.
        RAISES (ValueError): If there are fewer than two, one has not exactly one text classifier,
            their labels differ, or weights are not as many numbers above 0.
        """
        if len(members) < 2:
            raise ValueError(
                f"'{self.name}' is made of {len(members)} pipelines, but needs at least 2. List "
                f"them under [initialize.components.{self.name}] pipelines = […]."
            )
        shares = to_shares(weights, len(members), owner=self.name)
        tasks = [find_task(member) for member in members]
        for task, name in zip(tasks[1:], names[1:], strict=True):
            _check_fit(tasks[0], task, names[0], name)
        self._members = list(members)
        thresholds = [task.threshold for task in tasks if task.threshold is not None]
        self.cfg.update(
            labels=tasks[0].labels,
            exclusive=tasks[0].exclusive,
            threshold=float(numpy.average(thresholds)) if thresholds else None,
            train_langs=sorted({lang for task in tasks for lang in task.source_langs}),
            tuned_langs=sorted({lang for task in tasks for lang in task.tuned_langs}),
            components=[task.component for task in tasks],
            weights=shares,
        )
        self._share_encoders()

    def _share_encoders(self) -> None:
        """Let members with the same encoder run it once."""
        owners: List[XltTextCat] = []
        for pipe in self._pipes:
            if isinstance(pipe, XltTextCat) and not any(map(pipe.share_encoder, owners)):
                owners.append(pipe)

    def predict(self, docs: Iterable[Doc]) -> numpy.ndarray:
        """Mean probability of every label for every document. Shape: (n_docs, n_labels)"""
        docs = list(docs)
        if not self._members:
            raise ValueError(
                f"'{self.name}' has no members yet. Call nlp.initialize() with pipelines listed "
                f"under [initialize.components.{self.name}], or load a trained pipeline."
            )
        total = numpy.zeros((len(docs), len(self.labels)))
        for member, component, weight in zip(
            self._members, self.cfg["components"], self.cfg["weights"], strict=True
        ):
            total += weight * self._ask(member, component, docs)
        return total

    def _ask(self, member: Language, component: str, docs: List[Doc]) -> numpy.ndarray:
        """One member's probabilities, in the ensemble's order of labels.

        What a member that may abstain withholds counts too.
        """
        pipe: Any = member.get_pipe(component)
        before = member.pipe_names[: member.pipe_names.index(component)]
        if not isinstance(pipe, XltTextCat):
            rows = [
                [doc.cats[label] for label in self.labels]
                for doc in member.pipe(_copy(member, docs))
            ]
            return numpy.array(rows, dtype=float).reshape(len(docs), len(self.labels))
        if before or not pipe.reads_text:
            # A component before it may tell the language, or hold the encoder.
            with member.select_pipes(enable=before):
                docs = list(member.pipe(_copy(member, docs)))
        order = [pipe.labels.index(label) for label in self.labels]
        return pipe.predict(docs)[:, order]

    def set_annotations(self, docs: Iterable[Doc], scores: numpy.ndarray) -> None:
        for doc, row in zip(docs, scores.tolist(), strict=True):
            doc.cats.update(zip(self.labels, row, strict=True))

    def __call__(self, doc: Doc) -> Doc:
        return next(iter(self.pipe([doc], batch_size=1)))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Classify a stream of documents, in its order."""
        error_handler = self.get_error_handler()
        for docs in util.minibatch(stream, size=batch_size):
            try:
                self.set_annotations(docs, self.predict(docs))
            except Exception as e:  # what to do about it is the pipeline's choice
                error_handler(self.name, self, docs, e)
            yield from docs

    # -- storage ----------------------------------------------------------------------------

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        def write_members(folder: Path) -> None:
            folder.mkdir(exist_ok=True)
            for i, member in enumerate(self._members):
                member.to_disk(folder / str(i))

        writers: Dict[str, Callable[[Path], Any]] = {
            "cfg": lambda p: srsly.write_json(p, self.cfg),
            MEMBERS: write_members,
        }
        util.to_disk(path, writers, exclude)

    def from_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> "XltEnsemble":
        def read_members(folder: Path) -> None:
            n_members = len(self.cfg["components"])
            self._members = [util.load_model(folder / str(i)) for i in range(n_members)]
            self._share_encoders()

        readers: Dict[str, Callable[[Path], Any]] = {
            "cfg": lambda p: self.cfg.update(srsly.read_json(p)),
            MEMBERS: read_members,
        }
        util.from_disk(path, readers, exclude)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        members = [
            {"config": member.config.to_str(), "data": member.to_bytes()}
            for member in self._members
        ]
        return util.to_bytes(
            {
                "cfg": lambda: srsly.json_dumps(self.cfg),
                MEMBERS: lambda: srsly.msgpack_dumps(members),
            },
            exclude,
        )

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "XltEnsemble":
        def read_members(content: bytes) -> None:
            self._members = []
            for row in srsly.msgpack_loads(content):
                config = util.load_config_from_str(row["config"])
                member = util.load_model_from_config(config, auto_fill=True)
                self._members.append(member.from_bytes(row["data"]))
            self._share_encoders()

        readers: Dict[str, Callable[[bytes], Any]] = {
            "cfg": lambda content: self.cfg.update(srsly.json_loads(content)),
            MEMBERS: read_members,
        }
        util.from_bytes(data, readers, exclude)
        return self


def to_shares(weights: Optional[Sequence[float]], n_pipelines: int, *, owner: str) -> List[float]:
    """What each of several pipelines counts, as shares that add up to 1.

    weights (Optional[Sequence[float]]): What each counts; None is the same for all.
    owner (str): What is made of them, for messages.
    RAISES (ValueError): If weights are not as many numbers above 0.
    """
    weights = [1.0] * n_pipelines if weights is None else weights
    if len(weights) != n_pipelines or not all(0 < w < float("inf") for w in weights):
        raise ValueError(
            f"The weights of '{owner}' are {list(weights)}; allowed are {n_pipelines} numbers "
            f"above 0, one for each pipeline."
        )
    return [float(weight) / sum(weights) for weight in weights]


def add_requirements(nlp: Language, members: Iterable[Language]) -> None:
    """Note what members need, such as the detector of languages, so that packages install it."""
    requirements = nlp.meta.setdefault("requirements", [])
    for member in members:
        requirements += [
            name for name in member.meta.get("requirements") or [] if name not in requirements
        ]


def _copy(member: Language, docs: Sequence[Doc]) -> List[Doc]:
    """The Docs as a member's tokenizer has them, with their languages and translations."""
    copies = [make_doc(member, doc.text, known_language(doc)) for doc in docs]
    for copy, doc in zip(copies, docs, strict=True):
        copy._.xlt_translation = doc._.xlt_translation
        copy._.xlt_translation_share = doc._.xlt_translation_share
    return copies


def _check_fit(first: Task, other: Task, first_name: str, other_name: str) -> None:
    """RAISES (ValueError): If two members do not say the same kind of thing."""
    if first.exclusive != other.exclusive:
        kinds = ["exclude each other" if task.exclusive else "do not" for task in (first, other)]
        raise ValueError(
            f"The labels of '{first_name}' {kinds[0]}, those of '{other_name}' {kinds[1]}, so "
            f"their probabilities have no mean. Take pipelines of one kind."
        )
    if set(first.labels) != set(other.labels):
        lacking = sorted(set(first.labels) - set(other.labels))
        added = sorted(set(other.labels) - set(first.labels))
        raise ValueError(
            f"'{other_name}' has not the labels of '{first_name}': it lacks {lacking} and has "
            f"{added} besides. Take pipelines that were trained for the same labels."
        )
