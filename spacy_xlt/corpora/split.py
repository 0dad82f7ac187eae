"""Division of a corpus into training, development and test sets."""

import hashlib
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, Dict, Hashable, List, Mapping, Optional, Sequence, Tuple

from .importing import Progress
from .layout import (
    Corpus,
    Row,
    check_split_name,
    normalize_text,
    read_corpus,
    split_rank,
    write_corpus,
)

DEFAULT_RATIOS = "train=0.8,dev=0.1,test=0.1"
# A language and all labels that hold.
Stratum = Tuple[str, Tuple[str, ...]]
# What besides strata shall be evenly divided: a label of a language, or, as None, rows.
Item = Optional[Tuple[str, str]]


def parse_ratios(text: str) -> Dict[str, float]:
    """Read `train=0.8,dev=0.1,test=0.1`.

    RETURNS (Dict[str, float]): Share per split; they sum to 1, in the order given.
    RAISES (ValueError): If it is something else, or a share is not above 0.
    """
    ratios: Dict[str, float] = {}
    for part in text.replace(",", " ").split():
        name, equals, value = part.partition("=")
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if not equals or not 0 < share < math.inf:
            raise ValueError(
                f"'{part}' is no share of a split. Expected names and numbers above 0, for "
                f"example: {DEFAULT_RATIOS}"
            )
        if name in ratios:
            raise ValueError(f"The split '{name}' is named twice in '{text}'.")
        ratios[check_split_name(name)] = share
    if len(ratios) < 2:
        raise ValueError(
            f"'{text}' names {len(ratios)} splits; expected at least 2, for example: "
            f"{DEFAULT_RATIOS}"
        )
    total = sum(ratios.values())
    return {name: share / total for name, share in ratios.items()}


def split_corpus(
    path: Path,
    out: Path,
    *,
    ratios: Mapping[str, float],
    seed: int = 0,
    split: Optional[str] = None,
    progress: Progress = iter,
) -> Dict[str, Any]:
    """Divide one split of a corpus into several; other splits are taken over as they are.

    path (Path): The corpus.
    out (Path): Directory of the new corpus; may be the same one.
    ratios (Mapping[str, float]): Share per new split; see `parse_ratios`.
    seed (int): Another seed gives another division.
    split (Optional[str]): The split to divide; None is the only one that there is.
    progress (Progress): Wraps the list of files to write.
    RETURNS (Dict[str, Any]): The record of the new corpus.
    RAISES (ValueError): If the split to divide is not there or not clear, a name is taken, or
        there are too few rows for the splits.
    """
    corpus = read_corpus(path)
    present = sorted({row.split for row in corpus.rows}, key=split_rank)
    if split is None and len(present) != 1:
        raise ValueError(
            f"'{path}' has the splits {', '.join(present)}. Say which one to divide with --split."
        )
    chosen = present[0] if split is None else split
    if chosen not in present:
        raise ValueError(f"'{path}' has no split '{chosen}'. It has: {', '.join(present)}.")
    taken = [name for name in ratios if name in present and name != chosen]
    if taken:
        raise ValueError(
            f"'{path}' already has a split '{taken[0]}'. Divide '{chosen}' into other names."
        )
    rows = [row for row in corpus.rows if row.split == chosen]
    names = assign_splits(rows, ratios, seed)
    divided = [replace(row, split=name) for row, name in zip(rows, names, strict=True)]
    others = [row for row in corpus.rows if row.split != chosen]
    record = {
        **corpus.record,
        "split": {"from": chosen, "ratios": dict(ratios), "seed": seed},
    }
    return write_corpus(out, Corpus(divided + others, record), progress=progress)


def assign_splits(rows: Sequence[Row], ratios: Mapping[str, float], seed: int) -> List[str]:
    """Name of the split of each row.

    Rows with one text (apart from case and spaces) or one id, in whatever language, stay
    together. Within that, each label of each language is divided by the ratios.

    rows (Sequence[Row]): Rows to divide; their own splits do not count.
    ratios (Mapping[str, float]): Share per split; they sum to 1.
    seed (int): Another seed gives another division; the order of rows makes no difference.
    RETURNS (List[str]): One of the names for each row.
    RAISES (ValueError): If a split would stay empty.
    SOURCE: Sechidis, Tsoumakas and Vlahavas (2011), iterative stratification: the rarest label
        goes first, to the split that lacks it most. Here groups take the place of examples and
        sets of labels that of labels, and what one set leaves unevenly divided, in rows or in
        one of its labels, is made up for with the next.
    """
    groups = group_rows(rows)
    stratum_of: List[Stratum] = [(row.lang, tuple(row.labels)) for row in rows]
    strata = [Counter(stratum_of[i] for i in group) for group in groups]
    items = [Counter(x for i in group for x in _items(stratum_of[i])) for group in groups]
    totals = Counter(stratum_of)
    lacks = {split: {s: share * n for s, n in totals.items()} for split, share in ratios.items()}
    # A group is placed with the groups that have the same rarest stratum.
    by_stratum: Dict[Stratum, List[int]] = {}
    for g in range(len(groups)):
        rarest = min(strata[g], key=lambda s: (totals[s], s))
        by_stratum.setdefault(rarest, []).append(g)
    names = [""] * len(rows)
    # What a split got too few of in strata placed before, per item.
    arrears: Dict[Item, Dict[str, float]] = {
        item: dict.fromkeys(ratios, 0.0) for found in items for item in found
    }
    for stratum in sorted(by_stratum, key=lambda s: (totals[s], s)):
        members = by_stratum[stratum]
        members.sort(key=lambda g: (-len(groups[g]), _group_key(rows, groups[g], seed)))
        # In groups of this stratum, as the lacks are.
        per_group = {x: fmean(items[g][x] for g in members) for x in _items(stratum)}
        owed = {
            split: fmean(arrears[x][split] / n for x, n in per_group.items()) for split in ratios
        }
        for g in members:
            need = {split: lacks[split][stratum] + owed[split] for split in ratios}
            split = max(ratios, key=lambda split: need[split])
            for s, n in strata[g].items():
                lacks[split][s] -= n
            for i in groups[g]:
                names[i] = split
        for g in members:
            for x, n in items[g].items():
                for split, share in ratios.items():
                    arrears[x][split] += n * (share - (split == names[groups[g][0]]))
    empty = [split for split in ratios if split not in names]
    if empty:
        raise ValueError(
            f"{len(rows):,} rows are too few for the splits {', '.join(ratios)}: '{empty[0]}' "
            f"would be empty. The rows form {len(groups):,} groups that share no text and no id; "
            f"use fewer splits or other ratios, or import without the id column if it names "
            f"something else."
        )
    return names


def group_rows(rows: Sequence[Row]) -> List[List[int]]:
    """Indices of rows that must stay together because they share a text or an id."""
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: Dict[Hashable, int] = {}
    for i, row in enumerate(rows):
        keys = [("text", normalize_text(row.text))]
        if row.id:
            keys.append(("id", row.id))
        for key in keys:
            parent[root(i)] = root(first.setdefault(key, i))
    groups: Dict[int, List[int]] = {}
    for i in range(len(rows)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def _items(stratum: Stratum) -> List[Item]:
    lang, labels = stratum
    return [None, *((lang, label) for label in labels)]


def _group_key(rows: Sequence[Row], group: Sequence[int], seed: int) -> bytes:
    """A random number that depends on what the group holds, not on where it stands."""
    content = min(f"{rows[i].lang}\0{rows[i].text}\0{rows[i].id}" for i in group)
    return hashlib.blake2b(f"{seed}\0{content}".encode(), digest_size=16).digest()
