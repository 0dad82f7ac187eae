"""Labelled texts of one language made into labelled texts of others: by translators, or by pairing
them with translations that are there."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..alignment.pairing import Pair
from ..alignment.quality import PairQuality, judge_pairs
from ..corpora.formats import BadRow
from ..corpora.label_map import LabelMap, apply_label_map, check_classes_left
from ..corpora.layout import Row
from ..detection import Detector, macrolanguage
from ..languages import UNKNOWN, language_name
from ..translation.translators import BATCH_SIZE, Progress, translate_all
from ..types import Translator

# Vectors of texts. Shape: (n_texts, width)
Embed = Callable[[Sequence[str]], np.ndarray]
# With more translations than this share that are in the language of the originals, or that are the
# originals, a translator does not do what it should.
MANY_UNTRANSLATED = 0.2


@dataclass(frozen=True)
class Translated:
    """Rows of one language made into another.

    rows (List[Row]): The translations, with `origin`.
    set_aside (List[BadRow]): Those that are left out, with the reason.
    n_unchanged (int): Of the rows those whose text is the original.
    """

    rows: List[Row]
    set_aside: List[BadRow]
    n_unchanged: int


def choose_source(rows: Sequence[Row], from_lang: Optional[str]) -> Tuple[str, List[Row]]:
    """The language to translate from and the rows in it.

    from_lang (Optional[str]): Its standard tag; None is the only one that there is. Rows without
        a language are taken to be in it if it is given.
    RAISES (ValueError): If it is not clear, or there is no such row.
    """
    counts = Counter(row.lang for row in rows)
    found = ", ".join(f"{lang or 'unknown'} {n:,}" for lang, n in sorted(counts.items()))
    if from_lang is None:
        if len(counts) != 1 or UNKNOWN in counts:
            raise ValueError(
                f"The texts are in {len(counts)} languages or unknown ones ({found}), so it is "
                f"unclear which to translate. Name one with --from."
            )
        from_lang = next(iter(counts))
    chosen = [row for row in rows if row.lang == from_lang]
    if not chosen:
        chosen = [replace(row, lang=from_lang) for row in rows if row.lang == UNKNOWN]
    if not chosen:
        raise ValueError(
            f"No text is in '{from_lang}'. Documents by language: {found}. Change --from."
        )
    return from_lang, chosen


def unify_labels(rows: Sequence[Row], label_map: LabelMap) -> List[Row]:
    """Rows with labels renamed, merged and dropped; those left without a label are left out.

    RAISES (ValueError): If the map does not know a label, or leaves nothing to tell apart.
    """
    mapped = []
    for row in rows:
        cats = apply_label_map(row.cats, label_map)
        if isinstance(cats, dict) and cats and (not row.labels or max(cats.values()) > 0.0):
            mapped.append(replace(row, cats=cats))
    if not mapped:
        raise ValueError(f"The label map drops all labels of the {len(rows):,} documents.")
    before, after = (Counter(x for row in group for x in row.labels) for group in (rows, mapped))
    check_classes_left(label_map, before, after, len(mapped))
    return mapped


def identify_rows(rows: Sequence[Row]) -> List[Row]:
    """Rows that all have an id, made of the text where there is none.

    Translations keep it, so that they count as one item with their originals.
    """
    return [row if row.id else replace(row, id=_make_id(row.text)) for row in rows]


def translate_rows(
    rows: Sequence[Row],
    translator: Translator,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress = iter,
) -> Translated:
    """Translations of rows, with their labels, ids, splits and weights.

    RAISES (ValueError): If the translator fails; what it made before is in its cache.
    """
    texts, pairs = (
        translate_all(translator, column, batch_size=batch_size, progress=progress)
        for column in ([row.text for row in rows], [row.pair for row in rows])
    )
    made, set_aside, n_unchanged = [], [], 0
    for number, (row, text, pair) in enumerate(zip(rows, texts, pairs, strict=True), start=1):
        if not text.strip() or bool(pair.strip()) != bool(row.pair.strip()):
            reason = f"no translation into {translator.to_lang!r}"
            set_aside.append(BadRow(row.split, number, reason, row.text))
            continue
        n_unchanged += text == row.text
        origin = {"text": row.text, "lang": row.lang, "translator": translator.name}
        made.append(replace(row, text=text, pair=pair, lang=translator.to_lang, origin=origin))
    return Translated(made, set_aside, n_unchanged)


def project_labels(
    sources: Sequence[Row], targets: Sequence[Row], pairs: Sequence[Pair], *, maker: str
) -> List[Row]:
    """Target texts with the labels of the source texts that they are translations of.

    sources (Sequence[Row]): Labelled texts, with ids.
    targets (Sequence[Row]): Texts of one other language; labels of their own do not count.
    pairs (Sequence[Pair]): Which belong together.
    maker (str): How that was found, to record.
    """
    made = []
    for pair in pairs:
        source, target = sources[pair.source], targets[pair.target]
        origin: Dict[str, Any] = {"text": source.text, "lang": source.lang, "translator": maker}
        if pair.margin:
            origin["margin"] = round(pair.margin, 4)
        made.append(replace(source, text=target.text, lang=target.lang, pair="", origin=origin))
    return made


def judge_rows(
    rows: Sequence[Row],
    *,
    embed: Optional[Embed] = None,
    back: Optional[Translator] = None,
    detector: Optional[Detector] = None,
    progress: Progress = iter,
) -> List[PairQuality]:
    """How good the translations of one language are.

    rows (Sequence[Row]): Translations as `translate_rows` makes them.
    embed (Optional[Embed]): Makes vectors, for cosines.
    back (Optional[Translator]): From their language into that of the originals, for round trips.
    detector (Optional[Detector]): Tells in which language they are.
    progress (Progress): Wraps the batches of the round trip.
    """
    texts, originals = [row.text for row in rows], [str(row.origin["text"]) for row in rows]
    langs = [UNKNOWN if detector is None else detector.detect(text).tag for text in texts]
    return judge_pairs(
        originals,
        texts,
        langs=langs,
        are_foreign=[
            detector is not None and _is_foreign(detector, lang, row.lang)
            for lang, row in zip(langs, rows, strict=True)
        ],
        vectors=None if embed is None else embed(originals),
        translation_vectors=None if embed is None else embed(texts),
        returned=None if back is None else translate_all(back, texts, progress=progress),
    )


def keep_quality(
    rows: Sequence[Row],
    qualities: Sequence[PairQuality],
    *,
    min_quality: float = 0.0,
    weigh: bool = False,
) -> Tuple[List[Row], List[BadRow]]:
    """Translations with how good they are, without the weak ones.

    min_quality (float): Score below which they are left out, in [0, 1].
    weigh (bool): Whether the others count in training as much as their score says.
    RETURNS (Tuple[List[Row], List[BadRow]]): Those kept and those left out.
    RAISES (ValueError): If min_quality is out of range, or nothing is left.
    """
    if not 0.0 <= min_quality <= 1.0:
        raise ValueError(f"min_quality is {min_quality}; allowed is 0 to 1.")
    kept, left_out = [], []
    for number, (row, quality) in enumerate(zip(rows, qualities, strict=True), start=1):
        if quality.score < min_quality:
            reason = f"quality {quality.score:.3f} is below {min_quality}"
            left_out.append(BadRow(row.split, number, reason, row.text))
        else:
            weight = row.weight * (quality.score if weigh else 1.0)
            kept.append(replace(row, weight=weight, origin={**row.origin, **quality.to_dict()}))
    if rows and not kept:
        best = max(quality.score for quality in qualities)
        raise ValueError(
            f"All {len(rows):,} translations are below the quality of {min_quality}; the best has "
            f"{best:.3f}. Lower --min-quality, or use another translator."
        )
    return kept, left_out


def find_worries(lang: str, qualities: Sequence[PairQuality], *, n_unchanged: int = 0) -> List[str]:
    """What about texts that should be in a language should worry their user.

    n_unchanged (int): How many of them are the originals.
    """
    n, name = len(qualities), language_name(lang)
    worries = []
    if n_unchanged > MANY_UNTRANSLATED * n:
        worries.append(f"{n_unchanged:,} of {n:,} texts in {name} are the originals, unchanged.")
    others = Counter(quality.lang for quality in qualities if quality.is_foreign)
    if others.total() > MANY_UNTRANSLATED * n:
        named = ", ".join(f"{language_name(other)} {k:,}" for other, k in others.most_common(3))
        worries.append(
            f"{others.total():,} of {n:,} texts that should be in {name} are in another language: "
            f"{named}. Leave them out with --min-quality, or replace them."
        )
    return worries


def tabulate_quality(
    qualities: Sequence[PairQuality],
    *,
    correct: Optional[Sequence[bool]] = None,
    n_bins: int = 5,
) -> List[Dict[str, float]]:
    """Documents and means by score, in bins of about equal size, the lowest scores first.

    correct (Optional[Sequence[bool]]): Whether a classifier is right about each, for the accuracy
        of each bin.
    """
    order = sorted(range(len(qualities)), key=lambda i: qualities[i].score)
    rows = []
    for members in np.array_split(np.array(order, dtype=int), n_bins):
        if not members.size:
            continue
        found = [qualities[i] for i in members]
        row: Dict[str, float] = {
            "from": found[0].score,
            "to": found[-1].score,
            "documents": len(found),
        }
        for name in ("cosine", "round_trip", "length_fit"):
            values = [x for quality in found if (x := getattr(quality, name)) is not None]
            row[name] = float(np.mean(values)) if values else float("nan")
        if correct is not None:
            row["accuracy"] = float(np.mean([correct[i] for i in members]))
        rows.append(row)
    return rows


def _make_id(text: str) -> str:
    return "text-" + hashlib.blake2b(text.encode("utf8", "replace"), digest_size=8).hexdigest()


def _is_foreign(detector: Detector, found: str, wanted: str) -> bool:
    """Whether a text is surely in another language than it should be."""
    if found == UNKNOWN or not detector.knows(wanted):
        return False
    return macrolanguage(found) != macrolanguage(wanted)
