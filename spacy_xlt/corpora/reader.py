"""The corpus reader of configs: labelled DocBin or JSONL files as Examples."""

import hashlib
import itertools
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.vocab import Vocab

from ..languages import language_name
from ..types import ClassMix
from .class_mix import count_groups, weigh_labels
from .formats import BadRow, Columns, Fields, file_format, file_hash, read_fields, to_cats
from .layout import (
    DOCBIN_SUFFIX,
    REJECTS_FILE,
    Row,
    corpus_files,
    doc_to_row,
    docbin_docs,
    gold_labels,
    is_corpus,
    read_docbin,
    rows_to_docbin,
    standard_language,
)
from .sampling import Candidate, draw_shots

# Its name in configs.
READER = "spacy_xlt.Corpus.v1"
# Files of up to this size in all are kept in memory between epochs.
MAX_KEPT_BYTES = 64 * 1024 * 1024
Bins = List[Tuple[Path, DocBin]]


def create_corpus_v1(
    *,
    path: Optional[Union[str, Path, List[str]]],
    langs: Optional[List[str]] = None,
    shots: int = 0,
    source_path: Optional[Union[str, Path]] = None,
    seed: int = 0,
    limit: int = 0,
    augmenter: Optional[Callable] = None,
    class_mix: ClassMix = "own",
) -> Callable[[Language], Iterable[Example]]:
    """Create a reader of labelled documents, of one or several languages.

    path (Optional[Union[str, Path, List[str]]]): A DocBin (.spacy) or JSONL file, a directory of
        such files, or a list of both. A line of JSONL holds "text", "cats" (scores) or "label"
        (one or a list), and optionally "lang", "id" and "weight".
    langs (Optional[List[str]]): Languages to read from `path`; None is all.
    shots (int): Documents to draw per label and language from `path`; 0 is all.
    source_path (Optional[Union[str, Path]]): More documents, read whole and before the others.
    seed (int): Seed of the draw.
    limit (int): Number of documents to stop after; 0 is all.
    augmenter (Optional[Callable]): Gives the examples that stand for one; None is the example. If
        it has a method `prepare`, that gets all texts with their languages beforehand.
    class_mix (ClassMix): Weighs the documents of each language in `path`, 1 on average, so that
        labels count as if they were as frequent as they are ("own"), as those in `source_path`
        ("source"; for shots, which are drawn evenly and so say nothing about it), or all the same
        ("even"; class-balanced training).
    RETURNS (Callable[[Language], Iterable[Example]]): The reader.
    RAISES (ValueError): If a setting is out of range.
    """
    return CorpusReader(
        path=path,
        langs=langs,
        shots=shots,
        source_path=source_path,
        seed=seed,
        limit=limit,
        augmenter=augmenter,
        class_mix=class_mix,
    )


class CorpusReader:
    """Reads files on each call, in the same order; see `create_corpus_v1`."""

    def __init__(
        self,
        *,
        path: Optional[Union[str, Path, List[str]]],
        langs: Optional[List[str]],
        shots: int,
        source_path: Optional[Union[str, Path]],
        seed: int,
        limit: int,
        augmenter: Optional[Callable],
        class_mix: ClassMix,
    ):
        if path is None or path == "" or path == []:
            raise ValueError(
                "No path to a corpus is given. Set paths.train and paths.dev in the config, or on "
                "the command line with --paths.train FILE --paths.dev FILE, to a DocBin (.spacy) "
                "or JSONL file or a directory of them."
            )
        for name, value in (("shots", shots), ("limit", limit)):
            if value < 0:
                raise ValueError(f"{name} is {value}; expected 0 (no limit) or more.")
        if langs is not None and not langs:
            raise ValueError("langs is an empty list. Name languages, or set null to read all.")
        if class_mix == "source" and not source_path:
            raise ValueError(
                'class_mix is "source", but there is no source_path whose labels could be counted. '
                'Set paths.source, or class_mix to "own" or "even".'
            )
        self.paths = [Path(p) for p in (path if isinstance(path, list) else [path])]
        self.langs = None if langs is None else [standard_language(lang) for lang in langs]
        self.shots = shots
        self.source_paths = [Path(source_path)] if source_path else []
        self.seed = seed
        self.limit = limit
        self.augmenter = augmenter
        self.class_mix = class_mix
        self._kept: Optional[Tuple[Bins, Bins]] = None
        # Places of the documents to read, and what they count.
        self._chosen: Optional[Dict[int, float]] = None

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the corpus.

        nlp (Language): The pipeline whose tokenizer and vocabulary the documents get.
        YIELDS (Example): `predicted` has only a text and its language; `reference` has `cats`,
            `doc._.xlt_lang` and whatever else the file says.
        RAISES (ValueError): If files are missing or damaged, or hold no labelled document.
        """
        source, target = self._read()
        if self._chosen is None:
            self._chosen = self._choose(source, target)
        prepare = getattr(self.augmenter, "prepare", None)
        if prepare is not None:
            docs = (
                doc
                for i, (_, doc) in enumerate(_docs([*source, *target], nlp.vocab))
                if i in self._chosen
            )
            prepare(
                (doc.text, doc._.xlt_lang) for doc in itertools.islice(docs, self.limit or None)
            )
        n_docs = 0
        for i, (path, doc) in enumerate(_docs([*source, *target], nlp.vocab)):
            if i not in self._chosen:
                continue
            doc._.xlt_weight *= self._chosen[i]
            example = _make_example(nlp, path, doc)
            yield from [example] if self.augmenter is None else self.augmenter(nlp, example)
            n_docs += 1
            if n_docs == self.limit:
                return

    def _read(self) -> Tuple[Bins, Bins]:
        """Files of `source_path` and of `path`, as DocBins."""
        if self._kept is not None:
            return self._kept
        source = [file for path in self.source_paths for file in find_files(path)]
        target = [file for path in self.paths for file in find_files(path)]
        bins = read_files([*source, *target])
        result = bins[: len(source)], bins[len(source) :]
        if sum(file.stat().st_size for file in source + target) <= MAX_KEPT_BYTES:
            self._kept = result
        return result

    def _choose(self, source: Bins, target: Bins) -> Dict[int, float]:
        """Places of the documents to read, over all files, and what each counts."""
        vocab = Vocab()
        n_source = sum(len(docbin) for _, docbin in source)
        candidates, is_labelled = [], []
        for _, doc in _docs([*source, *target], vocab):
            text = doc.text if self.shots else ""
            candidates.append(Candidate(text, gold_labels(doc.cats), doc._.xlt_lang))
            is_labelled.append(bool(doc.cats))
        if not any(is_labelled):
            where = ", ".join(f"'{path}'" for path in self.source_paths + self.paths)
            raise ValueError(
                f"{where}: none of the {len(candidates):,} documents is labelled. A document needs "
                f"doc.cats in a DocBin, or 'label' or 'cats' in JSONL."
            )
        chosen = list(range(n_source, len(candidates)))
        if self.langs is not None:
            self._check_langs(sorted({candidates[i].lang for i in chosen}))
            chosen = [i for i in chosen if candidates[i].lang in self.langs]
        if self.shots:
            chosen = [i for i in chosen if is_labelled[i]]
            drawn = draw_shots([candidates[i] for i in chosen], shots=self.shots, seed=self.seed)
            chosen = [chosen[k] for k in drawn]
        weights = dict.fromkeys([*range(n_source), *chosen], 1.0)
        if self.class_mix != "own":
            counted = [i for i in chosen if is_labelled[i]]
            sources = [candidates[i] for i in range(n_source) if is_labelled[i]]
            wanted = count_groups(sources) if self.class_mix == "source" else None
            found = weigh_labels([candidates[i] for i in counted], wanted)
            weights.update(zip(counted, found, strict=True))
        return weights

    def _check_langs(self, present: List[str]) -> None:
        unknown = [lang for lang in self.langs or [] if lang not in present]
        if unknown:
            found = ", ".join(lang or "none recorded" for lang in present)
            names = ", ".join(f"{lang} ({language_name(lang)})" for lang in unknown)
            raise ValueError(
                f"No document in {names} under {', '.join(map(str, self.paths))}. "
                f"Languages found there: {found}. Change langs, or set it to null to read all."
            )


def read_rows(path: Path, split: str = "train") -> List[Row]:
    """All documents of files or directories as rows, without a pipeline.

    path (Path): A file, or a directory of them.
    split (str): The split that they count as.
    RAISES (ValueError): If there is nothing, or a file is damaged.
    """
    return [doc_to_row(doc, split) for _, doc in _docs(read_files(find_files(path)), Vocab())]


def find_files(path: Path) -> List[Path]:
    """DocBin and JSONL files at a path, sorted; of a directory, those at any depth.

    RAISES (ValueError): If there are none, or the path is a whole corpus with all its splits.
    """
    if not path.exists():
        raise ValueError(
            f"There is no corpus at '{path}'. Name a DocBin (.spacy) or JSONL file or a directory "
            f"of them; in a config that is paths.train or paths.dev. Make one with: "
            f"python -m spacy xlt data import SOURCE OUT"
        )
    if path.is_file():
        if not _is_readable(path):
            raise ValueError(
                f"'{path}' is not a corpus file. Allowed are DocBin (.spacy) and JSONL (.jsonl); "
                f"other formats are read by: python -m spacy xlt data import {path.name} OUT"
            )
        return [path]
    if is_corpus(path):
        splits = sorted({split for split, _ in corpus_files(path)})
        raise ValueError(
            f"'{path}' is a corpus with several splits. Name one of them: "
            f"{', '.join(str(path / split) for split in splits)}."
        )
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and _is_readable(file)
        and file.name != REJECTS_FILE
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not files:
        raise ValueError(
            f"The directory '{path}' holds no corpus: no file that ends in .spacy or .jsonl. "
            f"Make one with: python -m spacy xlt data import SOURCE OUT"
        )
    return files


def hash_corpus(path: Path) -> str:
    """SHA-256 of a corpus, in hexadecimal: of a directory, over the names and hashes of its files.

    RAISES (ValueError): If there are none; see `find_files`.
    """
    files = find_files(path)
    if files == [path]:
        return file_hash(path)
    lines = (f"{file.relative_to(path).as_posix()} {file_hash(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode("utf8")).hexdigest()


def _is_readable(path: Path) -> bool:
    if path.suffix == DOCBIN_SUFFIX:
        return True
    try:
        return file_format(path) == "jsonl"
    except ValueError:
        return False


def read_files(files: Sequence[Path]) -> Bins:
    """Read files of both formats as DocBins, in their order."""
    jsonl = {file: _read_jsonl(file) for file in files if file.suffix != DOCBIN_SUFFIX}
    labels = sorted({label for rows in jsonl.values() for row in rows for label in row.labels})
    return [
        (file, rows_to_docbin(_to_row(fields, labels) for fields in jsonl[file]))
        if file in jsonl
        else (file, read_docbin(file))
        for file in files
    ]


def _read_jsonl(path: Path) -> List[Fields]:
    rows = []
    for fields in read_fields(path, Columns(), allow_empty=True):
        if isinstance(fields, BadRow):
            raise ValueError(
                f"{path}:{fields.line}: {fields.reason}. A line holds a JSON object with 'text', "
                f"and 'label' or 'cats'."
            )
        try:
            standard_language(fields.lang or "")
        except ValueError as e:
            raise ValueError(f"{path}:{fields.line}: {e}") from e
        rows.append(fields)
    return rows


def _to_row(fields: Fields, labels: Sequence[str]) -> Row:
    return Row(
        text=fields.text,
        cats=to_cats(fields.labels, labels),
        lang=standard_language(fields.lang or ""),
        id=fields.id,
        pair=fields.pair,
        weight=fields.weight,
    )


def _make_example(nlp: Language, path: Path, reference: Doc) -> Example:
    text = reference.text
    if len(text) > nlp.max_length:
        raise ValueError(
            f"'{path}': a document has {len(text):,} characters, more than nlp.max_length "
            f"({nlp.max_length:,}). Divide it, or raise nlp.max_length in a callback at "
            f"nlp.after_creation."
        )
    predicted = nlp.make_doc(text)
    predicted._.xlt_lang = reference._.xlt_lang
    return Example(predicted, reference)


def _docs(bins: Bins, vocab: Vocab) -> Iterator[Tuple[Path, Doc]]:
    for path, docbin in bins:
        for doc in docbin_docs(path, docbin, vocab):
            yield path, doc
