"""How a corpus lies on disk: `CORPUS/<split>/<lang>.spacy` and a record, `CORPUS/corpus.json`."""

import copy
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

import srsly
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from srsly.msgpack import Packer, Unpacker

from ..files import check_replaceable, replaced_directory
from ..languages import (
    ID_KEY,
    UNKNOWN,
    get_doc_language,
    set_doc_language,
    standardize_language,
)

RECORD_FILE = "corpus.json"
REJECTS_FILE = "rejects.jsonl"
DOCBIN_SUFFIX = ".spacy"
# File name of documents whose language is unknown: BCP 47's "undetermined".
UNKNOWN_LANG_FILE = "und"
# Key in doc.user_data.
PAIR_KEY = "xlt_pair"
# Order in which splits are written and shown; other names follow alphabetically.
SPLIT_ORDER = ("train", "dev", "pool", "test")

standard_language = standardize_language
_WORD = re.compile(r"([^ ]+)( ?)|( +)")
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Row:
    """One labelled text.

    text (str): The text, exactly as `doc.text` gives it back.
    cats (Dict[str, float]): Gold probability per label; a label without a key is not judged.
    lang (str): Standard language tag, "" where unknown.
    split (str): Name of the split it belongs to.
    id (str): Rows with one id are the same item, perhaps in several languages; "" for none.
    pair (str): Second text of a text pair; "" for none.
    weight (float): Weight of the example in training.
    origin (Mapping[str, Any]): Of a translation its "text" and "lang" before, the "translator",
        and how good it is where that was measured; empty for any other text.
    """

    text: str
    cats: Dict[str, float]
    lang: str = UNKNOWN
    split: str = "train"
    id: str = ""
    pair: str = ""
    weight: float = 1.0
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> List[str]:
        """Labels that hold, sorted."""
        return gold_labels(self.cats)


@dataclass
class Corpus:
    """A corpus in memory: its rows and its record.

    rows (List[Row]): All rows, of every split and language.
    record (Dict[str, Any]): Content of `corpus.json`; counts are renewed when it is written.
    """

    rows: List[Row]
    record: Dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> List[str]:
        """Every label that a row knows, sorted."""
        return sorted({label for row in self.rows for label in row.cats})


def gold_labels(cats: Mapping[str, float]) -> List[str]:
    """Labels that hold according to gold scores: those of at least 0.5; where a distribution has
    none, its highest."""
    labels = sorted(label for label, score in cats.items() if score >= 0.5)
    if not labels and cats and abs(sum(cats.values()) - 1.0) < 1e-3:
        labels = [max(sorted(cats), key=lambda label: cats[label])]
    return labels


def normalize_text(text: str) -> str:
    """What two texts share when they count as duplicates: letters in one case, spaces as one."""
    return " ".join(text.casefold().split())


def make_doc(vocab: Vocab, text: str) -> Doc:
    """A Doc split at spaces only, whose `doc.text` is exactly the text.

    A tokenizer would add nothing that a text classifier reads, and takes seconds for some
    kilobytes of punctuation.
    """
    words, spaces = [], []
    for word, space, run in _WORD.findall(text):
        words.append(word or run)
        spaces.append(bool(space))
    return Doc(vocab, words=words, spaces=spaces)


def row_to_doc(vocab: Vocab, row: Row) -> Doc:
    """The Doc of a row: `cats`, `doc._.xlt_lang`, and id and pair in `doc.user_data`."""
    doc = make_doc(vocab, row.text)
    doc.cats = dict(row.cats)
    if row.lang:
        set_doc_language(doc, row.lang)
    if row.weight != 1.0:
        doc._.xlt_weight = row.weight
    if row.id:
        doc.user_data[ID_KEY] = row.id
    if row.pair:
        doc.user_data[PAIR_KEY] = row.pair
    if row.origin:
        doc._.xlt_origin = dict(row.origin)
    return doc


def doc_to_row(doc: Doc, split: str) -> Row:
    """The row that `row_to_doc` made a Doc of."""
    return Row(
        text=doc.text,
        cats=dict(doc.cats),
        lang=get_doc_language(doc),
        split=split,
        id=str(doc.user_data.get(ID_KEY, "")),
        pair=str(doc.user_data.get(PAIR_KEY, "")),
        weight=float(doc._.xlt_weight),
        origin=dict(doc._.xlt_origin),
    )


def rows_to_docbin(rows: Iterable[Row]) -> DocBin:
    """Pack rows; the vocabulary is theirs alone."""
    vocab = Vocab()
    # DocBin makes a new packer, which searches all installed packages for encoders, for each
    # document: nine tenths of the time. So user data are packed here.
    packer = Packer(use_bin_type=True)
    docbin = DocBin(attrs=[])
    for row in rows:
        doc = row_to_doc(vocab, row)
        docbin.add(doc)
        docbin.user_data.append(packer.pack(doc.user_data))
    docbin.store_user_data = True
    return docbin


def read_docbin(path: Path) -> DocBin:
    """Read a DocBin file whole.

    RAISES (ValueError): If it is damaged or no DocBin.
    """
    try:
        return DocBin().from_disk(path)
    except OSError:
        raise
    except Exception as e:  # zlib, msgpack, numpy and missing keys: all mean a damaged file
        raise ValueError(
            f"'{path}' is not a readable DocBin: it is truncated, damaged or of another format "
            f"({type(e).__name__}). Make it again, for example with: "
            f"python -m spacy xlt data import SOURCE OUT"
        ) from e


def docbin_docs(path: Path, docbin: DocBin, vocab: Vocab) -> Iterator[Doc]:
    """Docs of a DocBin, with the file named in errors and language tags in standard spelling."""
    docs = _unpack(docbin, vocab)
    while True:
        try:
            doc = next(docs)
        except StopIteration:
            return
        except Exception as e:  # whatever numpy, msgpack and the vocabulary make of damaged bytes
            raise ValueError(
                f"'{path}' is not a readable DocBin: a document in it is damaged "
                f"({type(e).__name__}). Make the file again, for example with: "
                f"python -m spacy xlt data import SOURCE OUT"
            ) from e
        try:
            lang = standard_language(doc._.xlt_lang)
        except ValueError as e:
            raise ValueError(f"'{path}': {e}") from e
        if lang != doc._.xlt_lang:
            doc._.xlt_lang = lang
        yield doc


def _unpack(docbin: DocBin, vocab: Vocab) -> Iterator[Doc]:
    """`DocBin.get_docs` with one unpacker for all user data; see `rows_to_docbin`."""
    unpacker = Unpacker(raw=False, use_list=False)
    bare = copy.copy(docbin)
    bare.user_data = []
    for doc, packed in zip(bare.get_docs(vocab), docbin.user_data, strict=True):
        if packed is not None:
            unpacker.feed(packed)
            doc.user_data.update(unpacker.unpack())
        yield doc


def is_corpus(path: Path) -> bool:
    return (Path(path) / RECORD_FILE).is_file()


def check_split_name(name: str) -> str:
    """RAISES (ValueError): If the name cannot be a directory of a corpus."""
    if not _SPLIT_NAME.fullmatch(name):
        raise ValueError(
            f"'{name}' cannot be the name of a split. Allowed are letters, digits, '_' and '-', "
            f"for example train, dev or test."
        )
    return name


def read_record(path: Path) -> Dict[str, Any]:
    """Read `corpus.json`.

    RAISES (ValueError): If the directory is not a corpus or the file is damaged.
    """
    path = Path(path)
    if not is_corpus(path):
        found = "it does not exist" if not path.exists() else f"it has no {RECORD_FILE}"
        raise ValueError(
            f"'{path}' is not a corpus: {found}. "
            f"Make one with: python -m spacy xlt data import SOURCE {path}"
        )
    try:
        record = json.loads((path / RECORD_FILE).read_text(encoding="utf8"))
        if not isinstance(record, dict):
            raise ValueError(f"it holds {type(record).__name__}, expected an object")
    except ValueError as e:
        raise ValueError(
            f"'{path / RECORD_FILE}' is damaged ({e}). Make the corpus again with: "
            f"python -m spacy xlt data import SOURCE {path}"
        ) from e
    return record


def corpus_files(path: Path) -> List[Tuple[str, Path]]:
    """Split name and path of each DocBin of a corpus, in the order of splits and languages."""
    found = [
        (file_path.parent.name, file_path)
        for file_path in Path(path).glob(f"*/*{DOCBIN_SUFFIX}")
        if not file_path.parent.name.startswith(".")
    ]
    return sorted(found, key=lambda item: (split_rank(item[0]), item[1].name))


def split_rank(name: str) -> Tuple[int, str]:
    """Sort key that puts splits in their usual order."""
    return (SPLIT_ORDER.index(name) if name in SPLIT_ORDER else len(SPLIT_ORDER), name)


def read_corpus(path: Path) -> Corpus:
    """Read a corpus whole.

    RAISES (ValueError): If it is not a corpus, or a file of it is damaged.
    """
    record = read_record(path)
    vocab = Vocab()
    rows = [
        doc_to_row(doc, split)
        for split, file_path in corpus_files(path)
        for doc in docbin_docs(file_path, read_docbin(file_path), vocab)
    ]
    return Corpus(rows, record)


def write_corpus(
    path: Path,
    corpus: Corpus,
    *,
    rejects: Sequence[Mapping[str, Any]] = (),
    progress: Callable[[List[Any]], Iterable[Any]] = iter,
) -> Dict[str, Any]:
    """Write a corpus, replacing one that is there; if anything fails, that one stays untouched.

    path (Path): The directory to write.
    corpus (Corpus): Rows and record.
    rejects (Sequence[Mapping[str, Any]]): Bad rows with their reasons, written beside the splits.
    progress (Callable): Wraps the list of files to write, to show how far it is.
    RETURNS (Dict[str, Any]): The record as written.
    RAISES (ValueError): If there are no rows, or the directory holds something else.
    RAISES (OSError): If the system refuses, for example because the disk is full.
    """
    path = Path(path)
    if not corpus.rows:
        raise ValueError(f"There is no document to write to '{path}'.")
    check_replaceable(path, "corpus", is_corpus)
    files: Dict[Tuple[str, str], List[Row]] = {}
    for row in corpus.rows:
        files.setdefault((check_split_name(row.split), row.lang), []).append(row)
    order = sorted(files, key=lambda key: (split_rank(key[0]), key[1]))
    facts = {
        "format": 1,
        "labels": corpus.labels,
        "exclusive": all(len(row.labels) == 1 for row in corpus.rows),
        "counts": count_rows(corpus.rows),
    }
    record = {**facts, **corpus.record, **facts}
    with replaced_directory(path) as staging:
        for split, lang in progress(order):
            (staging / split).mkdir(exist_ok=True)
            name = (lang or UNKNOWN_LANG_FILE) + DOCBIN_SUFFIX
            rows_to_docbin(files[split, lang]).to_disk(staging / split / name)
        if rejects:
            srsly.write_jsonl(staging / REJECTS_FILE, rejects)
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (staging / RECORD_FILE).write_text(text, encoding="utf8")
    return record


def count_rows(rows: Iterable[Row]) -> Dict[str, Dict[str, Dict[str, Any]]]:
    """Documents, and documents per label, of each split and language."""
    n_docs: Counter = Counter()
    n_labels: Dict[Tuple[str, str], Counter] = {}
    for row in rows:
        n_docs[row.split, row.lang] += 1
        n_labels.setdefault((row.split, row.lang), Counter()).update(row.labels)
    counts: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for split, lang in sorted(n_docs, key=lambda key: (split_rank(key[0]), key[1])):
        counts.setdefault(split, {})[lang] = {
            "documents": n_docs[split, lang],
            "labels": dict(sorted(n_labels[split, lang].items())),
        }
    return counts
