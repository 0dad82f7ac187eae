"""Which documents of a corpus are trained on, drawn from and tested on in a transfer."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from ..languages import UNKNOWN
from .importing import Progress
from .layout import Corpus, Row, read_corpus, standard_language, write_corpus
from .split import assign_splits, group_rows

SOURCE_RATIOS = {"train": 0.8, "dev": 0.1, "test": 0.1}
TARGET_RATIOS = {"pool": 0.5, "test": 0.5}


def arrange_corpus(
    path: Path,
    out: Path,
    *,
    source_lang: str,
    target_langs: Optional[Sequence[str]] = None,
    seed: int = 0,
    progress: Progress = iter,
) -> Dict[str, Any]:
    """Arrange a corpus for transfer from one language to others; see `arrange_rows`.

    path (Path): The corpus.
    out (Path): Directory of the new corpus; may be the same one.
    source_lang (str): Language to train in. Where no row has a language, all are in this one.
    target_langs (Optional[Sequence[str]]): Languages to keep besides it; None is all.
    seed (int): Another seed gives another division.
    progress (Progress): Wraps the list of files to write.
    RETURNS (Dict[str, Any]): The record of the new corpus.
    RAISES (ValueError): If a language asked for is not there, some rows have no language, or
        there are too few rows.
    """
    corpus = read_corpus(path)
    source = standard_language(source_lang)
    rows = _fill_language(corpus.rows, source)
    found = Counter(row.lang for row in rows)
    targets = sorted(set(found) - {source})
    if target_langs is not None:
        targets = [lang for lang in map(standard_language, target_langs) if lang != source]
    for lang in [source, *targets]:
        if lang not in found:
            raise ValueError(
                f"No document is in '{lang}'. Languages found: {', '.join(sorted(found))}. Set "
                f"the source and target languages to some of these."
            )
    wanted = {source, *targets}
    arranged = arrange_rows([row for row in rows if row.lang in wanted], source, seed=seed)
    record = {
        **corpus.record,
        "arranged": {
            "source_lang": source,
            "target_langs": targets,
            "seed": seed,
            "left_out": len(rows) - len(arranged),
        },
    }
    return write_corpus(out, Corpus(arranged, record), progress=progress)


def arrange_rows(rows: Sequence[Row], source_lang: str, *, seed: int = 0) -> List[Row]:
    """Give rows the splits that transfer needs.

    The source language gets train, dev and test; splits that it lacks are taken from its train.
    Every other language gets a test set and a pool that few labelled documents are drawn from:
    what is not test is pool, and a language without a test set is halved. Rows of one text or id
    stay together where anything is divided. A pool leaves out rows with the id of a source
    training row, as long as others are left: translations of what was trained on already.

    rows (Sequence[Row]): All rows.
    source_lang (str): Standard tag of the source language.
    seed (int): Another seed gives another division.
    RETURNS (List[Row]): The rows, without those left out of a pool.
    RAISES (ValueError): If there are too few rows to divide.
    """
    is_undivided = len({row.split for row in rows}) == 1
    if is_undivided:
        return _divide_all(rows, source_lang, seed)
    by_lang: Dict[str, List[Row]] = {}
    for row in rows:
        by_lang.setdefault(row.lang, []).append(row)
    source = _complete_source(by_lang.pop(source_lang), seed)
    trained_on = {row.id for row in source if row.split == "train" and row.id}
    arranged = list(source)
    for _, found in sorted(by_lang.items()):
        arranged.extend(_arrange_target(found, trained_on, seed))
    return arranged


def _divide_all(rows: Sequence[Row], source_lang: str, seed: int) -> List[Row]:
    """Divide rows of one split; what shares a text or an id with a source row goes with it."""
    with_source: Set[int] = set()
    for group in group_rows(rows):
        if any(rows[i].lang == source_lang for i in group):
            with_source.update(group)
    first = [row for i, row in enumerate(rows) if i in with_source]
    rest = [row for i, row in enumerate(rows) if i not in with_source]
    divided = _divide(first, SOURCE_RATIOS, seed) + (
        _divide(rest, TARGET_RATIOS, seed) if rest else []
    )
    return [
        row if row.lang == source_lang or row.split == "test" else replace(row, split="pool")
        for row in divided
    ]


def _complete_source(rows: Sequence[Row], seed: int) -> List[Row]:
    """Rows of the source language in train, dev and test."""
    rows = [row if row.split in SOURCE_RATIOS else replace(row, split="train") for row in rows]
    present = {row.split for row in rows}
    lacking = {split: SOURCE_RATIOS[split] for split in SOURCE_RATIOS if split not in present}
    if not lacking:
        return rows
    ratios = {"train": 1.0 - sum(lacking.values()), **lacking}
    train = [row for row in rows if row.split == "train"]
    if not train:
        raise ValueError("The source language has no training documents.")
    return _divide(train, ratios, seed) + [row for row in rows if row.split != "train"]


def _arrange_target(rows: Sequence[Row], trained_on: Set[str], seed: int) -> List[Row]:
    """Rows of one target language in pool and test."""
    test = [row for row in rows if row.split == "test"]
    if not test:
        return _divide(rows, TARGET_RATIOS, seed)
    others = [replace(row, split="pool") for row in rows if row.split != "test"]
    new = [row for row in others if row.id not in trained_on]
    return test + (new or others)


def _divide(rows: Sequence[Row], ratios: Mapping[str, float], seed: int) -> List[Row]:
    names = assign_splits(rows, ratios, seed)
    return [replace(row, split=name) for row, name in zip(rows, names, strict=True)]


def _fill_language(rows: Sequence[Row], source: str) -> List[Row]:
    """Rows with a language; where none has one, they are in the source language."""
    n_unknown = sum(row.lang == UNKNOWN for row in rows)
    if n_unknown == len(rows):
        return [replace(row, lang=source) for row in rows]
    if n_unknown:
        raise ValueError(
            f"{n_unknown:,} of the {len(rows):,} documents have no language. Fill the "
            f"language column, such as 'lang', in all rows."
        )
    return list(rows)
