"""`spacy xlt pseudo-label`: what trained pipelines and alike texts say of texts without labels."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Collection, Dict, Iterator, List, Optional, Sequence

from ..transfer.pseudo_labels import LabelSettings
from ._app import (
    BATCH_SIZE,
    CODE_PATH,
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

    from ..corpora.layout import Row
    from ..evaluation.task import Task
    from ..transfer.pseudo_labels import Alike

# A language of whose texts so many are detected to be in a source language is left out.
MAX_SOURCE_SHARE = 0.5
# Texts of a language that are looked at for that.
N_DETECTED = 200
# Labels of a language that the table shows, the most frequent first.
N_SHOWN = 3
SPLIT = "train"
DEFAULTS = LabelSettings()

TEACHERS = Opt(
    ...,
    "--teacher",
    "-T",
    help="Trained pipeline whose labels count; may be given several times. One of frozen.cfg among "
    "them has the vectors that find alike texts best",
)
SOURCE = Opt(
    None,
    "--source",
    "-s",
    help="Labelled texts that the teachers were trained on: they are no targets, and their labels "
    "are the mix for --balance",
)
LANGS = Opt(None, "--langs", "-l", help="Languages to label, with commas (default: all)")
LIMIT = Opt(1000, "--limit", help="Most texts of a language to label, drawn at random; 0 for all")
NEIGHBOURS = Opt(
    DEFAULTS.neighbours,
    "--neighbours",
    help="What alike texts of all languages count for a text's labels, from 0 to 1",
)
SHARPNESS = Opt(
    DEFAULTS.sharpness, "--sharpness", help="1 for probabilities as they are; more for surer ones"
)
BALANCE = Opt(
    DEFAULTS.balance,
    "--balance",
    help="From 0 to 1: how far each language gets the source's mix of labels",
)

MAX_LIKENESS = Opt(
    DEFAULTS.max_likeness,
    "--max-likeness",
    help="From 0 to 1: label only languages in which a text and those alike to it agree no more "
    "than this by the first teacher's answers; 1 for all languages",
)


@dataclass(frozen=True)
class Pool:
    """Texts without labels.

    texts (List[str]): Each once in its language.
    langs (List[str]): Language of each, "" where unknown.
    notes (List[str]): What was left out, and why.
    """

    texts: List[str]
    langs: List[str]
    notes: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Labelled:
    """A pool with pseudo-labels.

    labels (List[str]): Names of the columns.
    exclusive (bool): Whether they exclude each other.
    scores (np.ndarray): Probabilities. Shape: (n_texts, n_labels)
    answers (np.ndarray): Whether a label is the likeliest (or holds). Shape: (n_texts, n_labels)
    agreed (np.ndarray): Whether all teachers and the alike texts say that. Shape: (n_texts,)
    likeness (Dict[str, float]): How far a text and those alike to it agree by the first teacher's
        answers, by language; empty where it is not known which are alike.
    taught (np.ndarray): Whether a text is of a language to teach. Shape: (n_texts,)
    notes (List[str]): What users should know of how it was done.
    """

    pool: Pool
    labels: List[str]
    exclusive: bool
    scores: "np.ndarray"
    answers: "np.ndarray"
    agreed: "np.ndarray"
    likeness: Dict[str, float]
    taught: "np.ndarray"
    notes: List[str]


@command(xlt_cli, "pseudo-label")
def pseudo_label_cli(
    texts: List[Path] = Arg(
        ..., help="Unlabelled texts: corpora (.spacy, directories), tables, files like sw.txt"
    ),
    teachers: List[str] = TEACHERS,
    output: Path = Opt(..., "--output", "-o", help="Directory for the corpus"),
    source: Optional[Path] = SOURCE,
    langs: Optional[str] = LANGS,
    limit: int = LIMIT,
    neighbours: float = NEIGHBOURS,
    sharpness: float = SHARPNESS,
    balance: float = BALANCE,
    max_likeness: float = MAX_LIKENESS,
    text_field: str = TEXT_FIELD,
    lang_field: str = LANG_FIELD,
    batch_size: int = BATCH_SIZE,
    gpu_id: int = GPU_ID,
    code_path: Optional[Path] = CODE_PATH,
) -> None:
    """
    Write a corpus of texts without labels, with probabilities that trained pipelines and alike
    texts of all languages give them, to train on beside the labelled texts of the source: with
    self_train.cfg, --paths.train OUTPUT/train. Calibrated teachers make better probabilities.
    Languages that the first teacher knows well only help to label the others: pseudo-labels are
    no better than its own answers there.
    """
    settings = LabelSettings(neighbours, sharpness, balance, max_likeness)
    check_batch_size(batch_size)
    loaded = load_teachers(teachers, batch_size=batch_size, gpu_id=gpu_id, code_path=code_path)
    gold = read_source(loaded[0], source)
    pool = read_pool(
        loaded[0],
        texts,
        gold,
        langs=split_langs(langs),
        limit=limit,
        text_field=text_field,
        lang_field=lang_field,
    )
    found = Labeller(loaded, pool, gold, settings).label()
    write_labelled(output, found, teachers)
    show_labelled(found)
    msg.good(f"Texts with pseudo-labels: {output / SPLIT}")


class Teacher:
    """A trained pipeline that labels texts."""

    def __init__(self, nlp: "Language", name: str, batch_size: int = 512):
        from ..components.textcat import XltTextCat
        from ..evaluation.task import find_task

        self.nlp, self.name, self.batch_size = nlp, name, batch_size
        self.task: Task = find_task(nlp)
        pipe: Any = nlp.get_pipe(self.task.component)
        self.has_vectors = isinstance(pipe, XltTextCat) and pipe.reads_text
        model = nlp.config["components"][self.task.component].get("model", {})
        self.is_untouched = self.has_vectors and model.get("freeze") == "encoder"

    def order_labels(self, labels: Sequence[str]) -> None:
        """Give scores in another order of the labels."""
        self.task = replace(self.task, labels=list(labels))

    def predict(self, pool: Pool) -> "np.ndarray":
        """Probabilities of its labels. Shape: (n_texts, n_labels)"""
        from ._texts import Text
        from .suggest import predict_scores

        texts = [Text(text, lang) for text, lang in zip(pool.texts, pool.langs, strict=True)]
        return predict_scores(self.nlp, texts, self.task, self.batch_size)

    def embed(self, texts: Sequence[str]) -> "np.ndarray":
        """Vectors of its encoder. Shape: (n_texts, width)"""
        from .suggest import make_embed

        return make_embed(self.nlp, self.task, self.batch_size)(texts)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Which part of the texts' word pieces its encoder cannot read; 0 if it has none."""
        if not self.has_vectors:
            return 0.0
        pipe: Any = self.nlp.get_pipe(self.task.component)
        counts = pipe.count_pieces(texts)
        return sum(unknown for _, unknown in counts) / max(sum(n for n, _ in counts), 1)


@dataclass(frozen=True)
class Gold:
    """What the source's labelled texts say.

    texts (Collection[str]): Their texts.
    langs (List[str]): Source languages.
    mix (Optional[np.ndarray]): Share of each label; None without labelled texts. Shape:
        (n_labels,)
    """

    texts: Collection[str]
    langs: List[str]
    mix: Optional["np.ndarray"] = None


def load_teachers(
    names: Sequence[str],
    *,
    batch_size: int = 512,
    gpu_id: int = -1,
    code_path: Optional[Path] = None,
) -> List[Teacher]:
    """Load teachers that fit together.

    RAISES (ValueError): If one cannot be loaded, or their labels are not the same.
    """
    teachers = [
        Teacher(load_pipeline(name, gpu_id=gpu_id, code_path=code_path), name, batch_size)
        for name in names
    ]
    first = teachers[0]
    for other in teachers[1:]:
        problem = ""
        if set(other.task.labels) != set(first.task.labels):
            lists = (", ".join(teacher.task.labels) for teacher in (first, other))
            problem = f"their labels are {' against '.join(lists)}"
        elif other.task.exclusive != first.task.exclusive:
            problem = "labels exclude each other in only one of them"
        if problem:
            raise ValueError(
                f"The teachers '{first.name}' and '{other.name}' do not fit together: {problem}. "
                f"Name teachers that were trained on the same labels, in the same way."
            )
        other.order_labels(first.task.labels)
    return teachers


def read_source(teacher: Teacher, path: Optional[Path]) -> Gold:
    """What is known of the source languages, from labelled texts where they are given."""
    import numpy as np

    from ..corpora.reader import create_corpus_v1
    from ..languages import get_doc_language

    if path is None:
        return Gold((), teacher.task.source_langs)
    docs = [eg.reference for eg in create_corpus_v1(path=path)(teacher.nlp)]
    rows = [[doc.cats.get(label, 0.0) for label in teacher.task.labels] for doc in docs]
    total = np.sum(rows, axis=0, dtype=np.float64)
    if not total.sum() > 0.0:
        raise ValueError(
            f"No document of '{path}' has a label of the teacher '{teacher.name}'. Its labels: "
            f"{', '.join(teacher.task.labels)}."
        )
    langs = {get_doc_language(doc) for doc in docs} - {""}
    return Gold(
        {doc.text for doc in docs},
        sorted(langs.union(teacher.task.source_langs)),
        total / total.sum(),
    )


def read_pool(
    teacher: Teacher,
    paths: Sequence[Path],
    gold: Gold,
    *,
    langs: Optional[Sequence[str]] = None,
    limit: int = 1000,
    text_field: str = "text",
    lang_field: str = "lang",
) -> Pool:
    """Unlabelled texts of target languages, without those that pseudo-labels would harm.

    RAISES (ValueError): If a language asked for has no text, or nothing is left.
    """
    from ..corpora.layout import standard_language
    from ..languages import language_name
    from ._texts import check_limit, draw, read_by_language

    check_limit(limit)
    found = read_by_language(teacher.nlp, paths, text_field, lang_field)
    counts = ", ".join(f"{lang or 'unknown'} ({len(own):,})" for lang, own in found.items())
    if langs is not None:
        missing = sorted({standard_language(lang) for lang in langs} - set(found))
        if missing:
            raise ValueError(
                f"No unlabelled text in {', '.join(missing)}. Languages of the texts: "
                f"{counts or 'none'}. Give texts in {', '.join(map(language_name, missing))}, or "
                f"leave it out of --langs."
            )
        wanted = [standard_language(lang) for lang in langs]
        found = {lang: own for lang, own in found.items() if lang in wanted}
    notes, kept = [], {}
    for lang, own in found.items():
        texts = [text for text in own if text not in gold.texts]
        if len(texts) < len(own):
            n = len(own) - len(texts)
            notes.append(f"{language_name(lang)}: {n:,} of {len(own):,} texts are source texts")
        texts = draw(texts, limit)
        reason = find_fault(teacher, lang, texts, gold.langs)
        if reason:
            notes.append(f"{language_name(lang)} is left out: {reason}")
        else:
            kept[lang] = texts
    if not kept:
        raise ValueError(
            f"There is no text to label. Languages of the texts: {counts or 'none'}.\n"
            + "\n".join(notes)
        )
    return Pool(
        [text for own in kept.values() for text in own],
        [lang for lang, own in kept.items() for _ in own],
        notes,
    )


def find_fault(
    teacher: Teacher, lang: str, texts: Sequence[str], source_langs: Sequence[str]
) -> str:
    """Why a language's texts should get no pseudo-labels, "" if they may."""
    from ..components.warning import MAX_UNKNOWN_SHARE
    from ..evaluation.rendering import percent

    n_labels = len(teacher.task.labels)
    if lang and lang in source_langs:
        return f"it is a source language, in which there are labels ({len(texts):,} texts)"
    if len(texts) < n_labels:
        return f"it has {len(texts):,} texts for {n_labels} labels; at least as many are needed"
    unknown = teacher.unknown_share(texts)
    if unknown >= MAX_UNKNOWN_SHARE:
        return (
            f"the encoder cannot read {percent(unknown)} % of the word pieces in its "
            f"{len(texts):,} texts (at most {percent(MAX_UNKNOWN_SHARE)} %)"
        )
    detected = count_detected(texts[:N_DETECTED], source_langs)
    if detected and max(detected.values()) > MAX_SOURCE_SHARE * len(texts[:N_DETECTED]):
        tag, n = detected.most_common(1)[0]
        return (
            f"{n:,} of {len(texts[:N_DETECTED]):,} texts that were looked at are in the source "
            f"language ({tag})"
        )
    return ""


def count_detected(texts: Sequence[str], langs: Sequence[str]) -> Counter:
    """How many texts are detected to be in each of some languages; none without a detector."""
    from ..detection import load_detector

    try:
        detector = load_detector()
    except ImportError:
        return Counter()
    tags = (detector.detect(text).tag for text in texts)
    return Counter(tag for tag in tags if tag in langs)


class Labeller:
    """Makes pseudo-labels of one pool, as often as its first teacher changes.

    What the other teachers say, and which texts are alike, is found once.
    """

    def __init__(
        self, teachers: Sequence[Teacher], pool: Pool, gold: Gold, settings: LabelSettings
    ):
        from ..transfer.pseudo_labels import (
            center_languages,
            find_answers,
            find_likeness,
            find_neighbours,
            mean_by_language,
        )

        first = teachers[0]
        if settings.balance and (gold.mix is None or not first.task.exclusive):
            raise ValueError(
                f"balance is {settings.balance}, but "
                + (
                    "the mix of labels is not known. Give the labelled texts of the source."
                    if first.task.exclusive
                    else "labels that do not exclude each other have no mix. Leave it out."
                )
            )
        self.pool, self.gold, self.settings = pool, gold, settings
        self.task = first.task
        self.views = [teacher.predict(pool) for teacher in teachers]
        self.notes = list(pool.notes)
        embedding = self._choose_embedding(teachers)
        self.alike: Optional[Alike] = None
        self.likeness: Dict[str, float] = {}
        if embedding is not None and len(pool.texts) > 1:
            vectors = embedding.embed(pool.texts)
            self.alike = find_neighbours(center_languages(vectors, pool.langs))
            answers = find_answers(self.views[0], exclusive=self.task.exclusive)
            self.likeness = mean_by_language(find_likeness(answers, *self.alike), pool.langs)

    def _choose_embedding(self, teachers: Sequence[Teacher]) -> Optional[Teacher]:
        """Whose vectors find alike texts: best those of an encoder that was not tuned."""
        able = [teacher for teacher in teachers if teacher.has_vectors]
        untouched = [teacher for teacher in able if teacher.is_untouched]
        if not able:
            self.notes.append("No teacher has vectors of its own, so alike texts do not count")
        elif not untouched:
            self.notes.append(
                f"No teacher has an encoder that was not tuned, so alike texts are found by "
                f"'{able[0].name}', which is worse. Add a pipeline of frozen.cfg as a teacher"
            )
        return next(iter([*untouched, *able]), None)

    def label(self, first: Optional["np.ndarray"] = None) -> Labelled:
        """Pseudo-labels.

        first (Optional[np.ndarray]): What stands for the first teacher's scores. Shape:
            (n_texts, n_labels)
        RAISES (ValueError): If all texts get the same label.
        """
        import numpy as np

        from ..evaluation.rendering import percent
        from ..transfer.pseudo_labels import find_agreement, find_answers, make_pseudo_labels

        exclusive = self.task.exclusive
        views = [*([] if first is None else [first]), *self.views[first is not None :]]
        scores = make_pseudo_labels(
            views,
            self.pool.langs,
            self.settings,
            exclusive=exclusive,
            alike=self.alike,
            mix=self.gold.mix,
        )
        answers = find_answers(scores, exclusive=exclusive)
        if len(scores) > 1 and (answers == answers[0]).all():
            names = [x for x, holds in zip(self.task.labels, answers[0], strict=True) if holds]
            raise ValueError(
                f"All {len(scores):,} texts get the same pseudo-label: "
                f"{', '.join(names) or 'none at all'} (mean probability "
                f"{percent(float(scores.max(axis=1).mean()))} %). A student would learn nothing "
                f"else. Measure the teachers with spacy xlt evaluate, and look at the texts."
            )
        agreed = find_agreement([scores, *views], exclusive=exclusive)
        known = {x for x, share in self.likeness.items() if share > self.settings.max_likeness}
        return Labelled(
            self.pool,
            self.task.labels,
            exclusive,
            scores,
            answers,
            agreed,
            self.likeness,
            np.array([lang not in known for lang in self.pool.langs]),
            self.notes,
        )


def to_rows(found: Labelled, rows: Sequence[int]) -> Iterator["Row"]:
    """Rows of a corpus, with soft labels."""
    from ..corpora.layout import Row

    for i in rows:
        cats = dict(zip(found.labels, found.scores[i].round(6).tolist(), strict=True))
        yield Row(found.pool.texts[i], cats, found.pool.langs[i], SPLIT)


def write_labelled(
    path: Path, found: Labelled, teachers: Sequence[str], rows: Optional[Sequence[int]] = None
) -> None:
    """Write a corpus, `PATH/train/LANG.spacy`, of the languages to teach.

    rows (Optional[Sequence[int]]): The texts to choose from; None for all.
    RAISES (ValueError): If no language is to be taught.
    """
    from ..corpora.layout import Corpus, write_corpus

    chosen = [i for i in (range(len(found.taught)) if rows is None else rows) if found.taught[i]]
    if not chosen:
        raise ValueError(describe_untaught(found))
    record = {"pseudo_labels": {"teachers": [str(name) for name in teachers]}}
    write_corpus(path, Corpus(list(to_rows(found, chosen)), record))


def describe_untaught(found: Labelled) -> str:
    """Which languages get no pseudo-labels, and what to do where they should."""
    from ..evaluation.rendering import percent

    langs = sorted(
        {x for x, taught in zip(found.pool.langs, found.taught, strict=True) if not taught}
    )
    named = ", ".join(f"{lang} {percent(found.likeness[lang])}" for lang in langs)
    return (
        f"The first teacher is taken to know these languages already, by how far its answers to "
        f"alike texts agree, in percent: {named}. They get no pseudo-labels; if they should, raise "
        f"--max-likeness."
    )


def show_labelled(found: Labelled) -> None:
    """Print a table of the languages, and what users should know."""
    import numpy as np

    from ..evaluation.rendering import percent
    from ..languages import language_name

    tags = np.array(found.pool.langs, dtype=object)
    confidence = np.maximum(found.scores, 1.0 - found.scores).mean(axis=1)
    if found.exclusive:
        confidence = found.scores.max(axis=1)
    rows, alone = [], []
    for lang in sorted(set(found.pool.langs)):
        own = tags == lang
        shares = found.answers[own].mean(axis=0)
        frequent = [i for i in np.argsort(-shares, kind="stable")[:N_SHOWN] if shares[i]]
        if shares.max() == 1.0:
            alone.append(f"{language_name(lang)} ({own.sum():,} texts)")
        rows.append(
            (
                language_name(lang),
                lang,
                f"{own.sum():,}",
                percent(float(confidence[own].mean())),
                percent(float(found.agreed[own].mean())),
                percent(found.likeness.get(lang)),
                ", ".join(f"{found.labels[i]} {percent(shares[i], 0)} %" for i in frequent),
            )
        )
    header = ("Language", "Tag", "Texts", "Confidence", "Agreed", "Alike", "Most frequent labels")
    aligns = ("l", "l", "r", "r", "r", "r", "l")
    msg.table(rows, header=header, divider=True, aligns=aligns, max_col=60)
    msg.text(
        "Confidence: mean probability of pseudo-labels. Agreed: texts of which all teachers and "
        "the alike texts say the same. Alike: how far the first teacher's answers to a text and to "
        "those alike to it agree. All in percent."
    )
    if not found.taught.all():
        msg.info(describe_untaught(found))
    for note in found.notes:
        msg.warn(note)
    if alone:
        msg.warn(f"All texts of a language get one pseudo-label: {', '.join(alone)}")
