"""What a corpus holds, and what about it should worry the user."""

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Dict, Hashable, Iterable, List, Optional, Sequence, Set, Tuple

from ..detection import Detector, macrolanguage
from ..languages import language_name
from ..pieces import PieceTokenizer
from .importing import Progress
from .layout import Row, normalize_text, read_corpus, split_rank

# Above this share of unknown pieces an encoder reads too little of a language to classify it.
MAX_UNKNOWN_SHARE = 0.05
# With fewer test documents the interval of an accuracy is wider than 25 points.
MIN_TEST_DOCUMENTS = 30
# Most frequent to least frequent label in training.
MAX_IMBALANCE = 10.0
# Share of repeated documents in a training set that changes what is learnt.
MAX_DUPLICATE_SHARE = 0.05
# Probability from which a text counts as one in another language than its own, and share of such
# texts that is no longer names, quotations and mistakes of the detector.
SURE_OF_LANGUAGE = 0.9
MAX_OTHER_LANGUAGE_SHARE = 0.05
# Texts are encoded in groups of this size.
N_ENCODED = 1024
# Longest list in a sentence of a report.
MAX_NAMED = 8


@dataclass(frozen=True)
class PartReport:
    """One split in one language.

    documents (int): Number of documents.
    labels (Dict[str, int]): Documents per label.
    unlabelled (int): Documents without gold labels of any kind.
    median_chars (float): Median length in characters.
    max_chars (int): Greatest length in characters.
    median_pieces (Optional[float]): Median length in word pieces; None without an encoder.
    max_pieces (Optional[int]): Greatest length in word pieces.
    unknown_share (Optional[float]): Share of word pieces that the encoder cannot spell, in [0, 1].
    duplicates (int): Documents whose text stood before in the same split and language.
    other_languages (Optional[Dict[str, int]]): Documents that are surely in another language, by
        that; None if the languages were not checked.
    """

    split: str
    lang: str
    documents: int
    labels: Dict[str, int]
    unlabelled: int
    median_chars: float
    max_chars: int
    median_pieces: Optional[float]
    max_pieces: Optional[int]
    unknown_share: Optional[float]
    duplicates: int
    other_languages: Optional[Dict[str, int]] = None


@dataclass(frozen=True)
class Leak:
    """What two splits share.

    kind (str): "text" for documents of one language with the same text apart from case and
        spaces; "id" for documents with the same id, in whatever languages.
    first (str): The split that comes first, for example train.
    second (str): The other one, for example test.
    lang (str): Language of the documents in the second split.
    documents (int): Documents of the second split, in this language, that the first one has too.
    examples (List[str]): Some of the shared texts or ids.
    """

    kind: str
    first: str
    second: str
    lang: str
    documents: int
    examples: List[str]


@dataclass(frozen=True)
class CorpusReport:
    """Result of `check_corpus`.

    labels (List[str]): All labels.
    parts (List[PartReport]): Splits in their usual order, languages by tag.
    leaks (List[Leak]): What pairs of splits share.
    missing_labels (Dict[str, Dict[str, List[str]]]): By split and language, labels of the corpus
        that have no document there.
    one_language_labels (Dict[str, str]): Label to the only language that has documents of it.
    contradictions (int): Texts that stand in one language with different labels.
    worries (List[str]): Sentences about what should worry the user, the most serious first.
    """

    path: str
    labels: List[str]
    parts: List[PartReport]
    leaks: List[Leak]
    missing_labels: Dict[str, Dict[str, List[str]]]
    one_language_labels: Dict[str, str]
    contradictions: int
    worries: List[str] = field(default_factory=list)

    def to_dict(self) -> Dict[str, Any]:
        return asdict(self)


def check_corpus(
    path: Path,
    encoder: Optional[Path] = None,
    *,
    detector: Optional[Detector] = None,
    progress: Progress = iter,
) -> CorpusReport:
    """Look through a corpus.

    path (Path): The corpus.
    encoder (Optional[Path]): Encoder directory whose tokenizer counts word pieces; None leaves
        them out.
    detector (Optional[Detector]): Compares the languages of texts with those recorded; None
        leaves that out.
    progress (Progress): Wraps the list of splits and languages.
    RETURNS (CorpusReport): Numbers and worries.
    RAISES (ValueError): If the path is no corpus, or the encoder has no readable tokenizer.
    """
    corpus = read_corpus(path)
    tokenizer = None if encoder is None else PieceTokenizer.from_path(Path(encoder))
    rows_of: Dict[Tuple[str, str], List[Row]] = {}
    for row in corpus.rows:
        rows_of.setdefault((row.split, row.lang), []).append(row)
    order = sorted(rows_of, key=lambda key: (split_rank(key[0]), key[1]))
    parts = [_report_part(key, rows_of[key], tokenizer, detector) for key in progress(order)]
    labels = corpus.labels
    missing: Dict[str, Dict[str, List[str]]] = {}
    for part in parts:
        lacks = [label for label in labels if label not in part.labels]
        if lacks:
            missing.setdefault(part.split, {})[part.lang] = lacks
    report = CorpusReport(
        path=str(path),
        labels=labels,
        parts=parts,
        leaks=find_leaks(corpus.rows),
        missing_labels=missing,
        one_language_labels=_one_language_labels(parts),
        contradictions=_count_contradictions(corpus.rows),
    )
    return replace(report, worries=find_worries(report))


def find_leaks(rows: Sequence[Row]) -> List[Leak]:
    """Texts and ids that stand in two splits, those in test first."""
    by_text = [(("text", row.lang, _text_key(row)), row) for row in rows]
    by_id = [(("id", "", row.id), row) for row in rows if row.id]
    splits_of: Dict[Hashable, Set[str]] = {}
    for key, row in by_text + by_id:
        splits_of.setdefault(key, set()).add(row.split)
    found: Dict[Tuple[str, str, str, str], List[str]] = {}
    for key, row in by_text + by_id:
        for other in splits_of[key]:
            if split_rank(other) < split_rank(row.split):
                found.setdefault((key[0], other, row.split, row.lang), []).append(key[2])
    leaks = [
        Leak(kind, first, second, lang, len(keys), sorted(set(keys))[:3])
        for (kind, first, second, lang), keys in found.items()
    ]
    return sorted(leaks, key=_leak_rank)


def find_worries(report: CorpusReport) -> List[str]:
    """What about a corpus should worry the user, the most serious first."""
    checks = (
        _worry_no_train,
        _worry_leaks,
        _worry_untrained_labels,
        _worry_unknown_pieces,
        _worry_other_languages,
        _worry_contradictions,
        _worry_unlabelled,
        _worry_labels_not_measured,
        _worry_small_tests,
        _worry_imbalance,
        _worry_duplicates,
        _worry_one_language,
        _worry_missing_in_targets,
    )
    return [worry for check in checks for worry in check(report)]


def _report_part(
    key: Tuple[str, str],
    rows: Sequence[Row],
    tokenizer: Optional[PieceTokenizer],
    detector: Optional[Detector],
) -> PartReport:
    lengths = [len(row.text) for row in rows]
    pieces, unknown = count_pieces([row.text for row in rows], tokenizer)
    return PartReport(
        split=key[0],
        lang=key[1],
        documents=len(rows),
        labels=dict(sorted(Counter(label for row in rows for label in row.labels).items())),
        unlabelled=sum(not row.cats for row in rows),
        median_chars=float(median(lengths)),
        max_chars=max(lengths),
        median_pieces=float(median(pieces)) if pieces else None,
        max_pieces=max(pieces) if pieces else None,
        unknown_share=unknown,
        duplicates=len(rows) - len({_text_key(row) for row in rows}),
        other_languages=None if detector is None else _other_languages(rows, key[1], detector),
    )


def _other_languages(rows: Sequence[Row], lang: str, detector: Detector) -> Dict[str, int]:
    """Texts that are surely in another language than the one recorded, by their language."""
    if not lang:
        return {}
    found = [detector.detect(row.text) for row in rows]
    return dict(
        Counter(
            tag
            for tag, confidence in found
            if tag and confidence >= SURE_OF_LANGUAGE and macrolanguage(tag) != macrolanguage(lang)
        ).most_common()
    )


def count_pieces(
    texts: Sequence[str], tokenizer: Optional[PieceTokenizer]
) -> Tuple[List[int], Optional[float]]:
    """Word pieces of each text, and the share of unknown ones among all."""
    if tokenizer is None:
        return [], None
    counts: List[int] = []
    n_unknown = 0.0
    for start in range(0, len(texts), N_ENCODED):
        for ids in tokenizer.encode(texts[start : start + N_ENCODED]):
            counts.append(len(ids))
            n_unknown += tokenizer.unknown_share(ids) * len(ids)
    return counts, n_unknown / max(sum(counts), 1)


def _one_language_labels(parts: Sequence[PartReport]) -> Dict[str, str]:
    langs_of: Dict[str, Set[str]] = {}
    for part in parts:
        for label in part.labels:
            langs_of.setdefault(label, set()).add(part.lang)
    if len({part.lang for part in parts}) < 2:
        return {}
    return {label: min(langs) for label, langs in sorted(langs_of.items()) if len(langs) == 1}


def _count_contradictions(rows: Sequence[Row]) -> int:
    labels_of: Dict[Tuple[str, str], Set[Tuple[str, ...]]] = {}
    for row in rows:
        labels_of.setdefault((row.lang, _text_key(row)), set()).add(tuple(row.labels))
    return sum(len(labels) > 1 for labels in labels_of.values())


def _text_key(row: Row) -> str:
    """Equal for documents, or pairs, whose text is the same apart from case and spaces."""
    return normalize_text(row.text) + ("\0" + normalize_text(row.pair) if row.pair else "")


def _leak_rank(leak: Leak) -> Tuple:
    return (leak.second != "test", leak.first != "train", leak.kind, -leak.documents, leak.lang)


def _worry_no_train(report: CorpusReport) -> Iterable[str]:
    if "train" not in _splits(report):
        yield (
            f"There is no split named train (found: {', '.join(_splits(report))}). Divide one "
            f"with: spacy xlt data split"
        )


def _worry_leaks(report: CorpusReport) -> Iterable[str]:
    n_docs = {(part.split, part.lang): part.documents for part in report.parts}
    grouped: Dict[Tuple[str, str, str], List[Leak]] = {}
    for leak in report.leaks:
        grouped.setdefault((leak.kind, leak.first, leak.second), []).append(leak)
    for (kind, first, second), leaks in grouped.items():
        n = sum(leak.documents for leak in leaks)
        total = sum(n_docs[second, leak.lang] for leak in leaks)
        what = "also stand in" if kind == "text" else "have an id that also stands in"
        where = _listed([f"{leak.lang or 'unknown'} {leak.documents:,}" for leak in leaks])
        yield (
            f"{n:,} of {total:,} documents in {second} ({_percent(n / total)}) {what} {first} "
            f"({where}). What is trained on measures nothing: divide the data anew, together."
        )


def _worry_untrained_labels(report: CorpusReport) -> Iterable[str]:
    trained = _labels_in(report, "train")
    lacking = [label for label in report.labels if label not in trained]
    if "train" in _splits(report) and lacking:
        yield (
            f"{len(lacking):,} of {len(report.labels):,} labels have no training document: "
            f"{_listed(lacking)}. Training stops at them: add documents, or drop the labels with "
            f"a label map."
        )


def _worry_unknown_pieces(report: CorpusReport) -> Iterable[str]:
    worst: Dict[str, float] = {}
    for part in report.parts:
        if part.unknown_share is not None and part.unknown_share > MAX_UNKNOWN_SHARE:
            worst[part.lang] = max(part.unknown_share, worst.get(part.lang, 0.0))
    for lang, share in sorted(worst.items(), key=lambda item: -item[1]):
        yield (
            f"{_percent(share)} of the word pieces in {language_name(lang)} are unknown to the "
            f"encoder: it cannot read this language. Use another encoder, or leave it out."
        )


def _worry_other_languages(report: CorpusReport) -> Iterable[str]:
    for part in report.parts:
        others = part.other_languages or {}
        n = sum(others.values())
        if n / part.documents > MAX_OTHER_LANGUAGE_SHARE:
            named = _listed([f"{language_name(lang)} {count:,}" for lang, count in others.items()])
            yield (
                f"{n:,} of {part.documents:,} documents in {part.split} that are recorded as "
                f"{language_name(part.lang)} ({_percent(n / part.documents)}) seem to be in "
                f"another language: {named}. Was something not translated, or is the tag wrong?"
            )


def _worry_contradictions(report: CorpusReport) -> Iterable[str]:
    if report.contradictions:
        yield (
            f"{_count(report.contradictions, 'text')} with different labels in one language: at "
            f"most one of them can be right."
        )


def _worry_unlabelled(report: CorpusReport) -> Iterable[str]:
    n = sum(part.unlabelled for part in report.parts)
    if n:
        yield f"{_count(n, 'document')} without labels: nothing is learnt from or measured on them."


def _worry_labels_not_measured(report: CorpusReport) -> Iterable[str]:
    for part in report.parts:
        if part.split != "train":
            continue
        for other in ("dev", "test"):
            measured = _find_part(report, other, part.lang)
            lacking = [label for label in part.labels if measured and label not in measured.labels]
            if lacking:
                yield (
                    f"{len(lacking):,} of {len(part.labels):,} labels in {part.lang or 'unknown'} "
                    f"train have no document in {other}: {_listed(lacking)}."
                )


def _worry_small_tests(report: CorpusReport) -> Iterable[str]:
    small = [
        f"{part.lang or 'unknown'} {part.documents}"
        for part in report.parts
        if part.split == "test" and part.documents < MIN_TEST_DOCUMENTS
    ]
    if small:
        yield (
            f"{_count(len(small), 'language')} with fewer than {MIN_TEST_DOCUMENTS} test "
            f"documents ({_listed(small)}): differences of ten points there are chance."
        )


def _worry_imbalance(report: CorpusReport) -> Iterable[str]:
    counts: Counter = Counter()
    for part in report.parts:
        if part.split == "train":
            counts.update(part.labels)
    if len(counts) < 2:
        return
    (most, n_most), (least, n_least) = counts.most_common()[0], counts.most_common()[-1]
    if n_most / n_least > MAX_IMBALANCE:
        yield (
            f"{most} has {n_most:,} training documents, {least} only {n_least:,} "
            f"({n_most / n_least:.0f} times fewer): rare labels may never be predicted. Look at "
            f"macro F, not at accuracy; class weights help."
        )


def _worry_duplicates(report: CorpusReport) -> Iterable[str]:
    for part in report.parts:
        share = part.duplicates / part.documents
        if part.split == "train" and share > MAX_DUPLICATE_SHARE:
            yield (
                f"{part.duplicates:,} of {part.documents:,} training documents in "
                f"{part.lang or 'unknown'} ({_percent(share)}) repeat a text that stood before."
            )


def _worry_one_language(report: CorpusReport) -> Iterable[str]:
    if report.one_language_labels:
        named = [f"{label} ({lang})" for label, lang in report.one_language_labels.items()]
        yield (
            f"{_count(len(named), 'label')} in one language only: {_listed(named)}. A model may "
            f"learn the language in place of the label."
        )


def _worry_missing_in_targets(report: CorpusReport) -> Iterable[str]:
    trained_langs = {part.lang for part in report.parts if part.split == "train"}
    trained = _labels_in(report, "train")
    lacking = [
        (part.lang, len(trained - set(part.labels)))
        for part in report.parts
        if part.split == "test" and part.lang not in trained_langs and trained - set(part.labels)
    ]
    if lacking:
        lacking.sort(key=lambda item: -item[1])
        named = _listed([f"{lang or 'unknown'} {n}" for lang, n in lacking])
        yield (
            f"{_count(len(lacking), 'target language')} without test documents for some of the "
            f"{len(trained):,} trained labels ({named}): their scores say nothing about those."
        )


def _splits(report: CorpusReport) -> List[str]:
    return list(dict.fromkeys(part.split for part in report.parts))


def _labels_in(report: CorpusReport, split: str) -> Set[str]:
    return {label for part in report.parts if part.split == split for label in part.labels}


def _find_part(report: CorpusReport, split: str, lang: str) -> Optional[PartReport]:
    return next((p for p in report.parts if (p.split, p.lang) == (split, lang)), None)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _count(n: int, noun: str) -> str:
    """`1 text stands` … `3 texts stand`, as far as the noun."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
