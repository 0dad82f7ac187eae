"""Few-shot subsets: a seeded draw of some documents per label and language."""

import hashlib
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..languages import language_name
from .importing import Progress
from .layout import (
    Corpus,
    Row,
    normalize_text,
    read_corpus,
    split_rank,
    standard_language,
    write_corpus,
)

# Stands for "no label holds" where documents are drawn per label.
NO_LABEL = ""
# Where a few-shot subset is drawn from, the first one that a corpus has.
SHOT_SPLITS = ("pool", "train")


@dataclass(frozen=True)
class Candidate:
    """What the draw needs to know of a document.

    text (str): Its text; of documents with one text at most one is drawn.
    labels (Sequence[str]): Labels that hold.
    lang (str): Standard language tag.
    """

    text: str
    labels: Sequence[str]
    lang: str


def draw_shots(candidates: Sequence[Candidate], *, shots: int, seed: int) -> List[int]:
    """Draw at most `shots` documents per label and language.

    The draw depends on the documents and the seed, not on their order, and a smaller draw is
    part of a larger one where every document has one label. With several labels on a document
    the rarest label is served first, and a document is taken only if none of its labels has its
    share already. Documents on which no label holds count as a label of their own.

    candidates (Sequence[Candidate]): All documents.
    shots (int): Documents per label and language.
    seed (int): Another seed gives another draw.
    RETURNS (List[int]): Indices of the drawn documents, ascending.
    RAISES (ValueError): If `shots` is below 1.
    """
    if shots < 1:
        raise ValueError(f"shots is {shots}; expected at least 1 document per label.")
    by_lang: Dict[str, List[int]] = {}
    for i, candidate in enumerate(candidates):
        by_lang.setdefault(candidate.lang, []).append(i)
    drawn: List[int] = []
    for lang, members in sorted(by_lang.items()):
        members.sort(key=lambda i: _draw_key(candidates[i], seed))
        drawn.extend(_draw_in_language(lang, members, candidates, shots))
    return sorted(drawn)


def draw_rows(rows: Sequence[Row], *, shots: int, seed: int) -> List[Row]:
    """Draw at most `shots` rows per label and language; see `draw_shots`."""
    candidates = [Candidate(row.text, row.labels, row.lang) for row in rows]
    return [rows[i] for i in draw_shots(candidates, shots=shots, seed=seed)]


def sample_corpus(
    path: Path,
    out: Path,
    *,
    shots: int,
    seed: int = 0,
    langs: Optional[Sequence[str]] = None,
    split: Optional[str] = None,
    progress: Progress = iter,
) -> Dict[str, Any]:
    """Write a few-shot subset of a corpus as a corpus of its own.

    path (Path): The corpus.
    out (Path): Directory of the new corpus.
    shots (int): Documents per label and language; see `draw_shots`.
    seed (int): Another seed gives another draw.
    langs (Optional[Sequence[str]]): Languages to draw in; None is all.
    split (Optional[str]): The split to draw from, the only one that the new corpus has; None is
        "pool" if there is one, else "train".
    progress (Progress): Wraps the list of files to write.
    RETURNS (Dict[str, Any]): The record of the new corpus.
    RAISES (ValueError): If the split or a language is not there.
    """
    corpus = read_corpus(path)
    present = sorted({row.split for row in corpus.rows}, key=split_rank)
    chosen = split or next((name for name in SHOT_SPLITS if name in present), present[0])
    if chosen not in present:
        raise ValueError(f"'{path}' has no split '{chosen}'. It has: {', '.join(present)}.")
    rows = [row for row in corpus.rows if row.split == chosen and row.cats]
    if langs is not None:
        wanted = [standard_language(lang) for lang in langs]
        found = sorted({row.lang for row in rows})
        for lang in wanted:
            if lang not in found:
                raise ValueError(
                    f"'{path}' has no document in '{lang}' in its split '{chosen}'. Languages "
                    f"found there: {', '.join(lang or 'none recorded' for lang in found)}."
                )
        rows = [row for row in rows if row.lang in wanted]
    record = {**corpus.record, "sample": {"from": chosen, "per_label": shots, "seed": seed}}
    drawn = draw_rows(rows, shots=shots, seed=seed)
    return write_corpus(out, Corpus(drawn, record), progress=progress)


def _draw_in_language(
    lang: str, members: Sequence[int], candidates: Sequence[Candidate], shots: int
) -> List[int]:
    by_label: Dict[str, List[int]] = {}
    for i in members:
        for label in label_groups(candidates[i]):
            by_label.setdefault(label, []).append(i)
    taken: Counter = Counter()
    texts = set()
    drawn: List[int] = []
    for label in sorted(by_label, key=lambda label: (len(by_label[label]), label)):
        for i in by_label[label]:
            if taken[label] >= shots:
                break
            text = normalize_text(candidates[i].text)
            has_room = all(taken[other] < shots for other in label_groups(candidates[i]))
            if has_room and text not in texts:
                texts.add(text)
                taken.update(label_groups(candidates[i]))
                drawn.append(i)
    short = [
        f"{label} ({taken[label]})" for label in sorted(by_label) if label and taken[label] < shots
    ]
    if short:
        warnings.warn(
            f"In {language_name(lang)} fewer than {shots} different documents per label could be "
            f"drawn for: {', '.join(short)}.",
            stacklevel=2,
        )
    return drawn


def label_groups(candidate: Candidate) -> Sequence[str]:
    """The labels that a document counts for; `NO_LABEL` where none holds."""
    return candidate.labels or (NO_LABEL,)


def _draw_key(candidate: Candidate, seed: int) -> Tuple[bytes, Sequence[str]]:
    content = f"{seed}\0{candidate.lang}\0{candidate.text}".encode("utf8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=16).digest(), candidate.labels
