"""`spacy xlt align`: labels carried over to texts that are translations of labelled ones."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from ._app import GPU_ID, Arg, Opt, command, xlt_cli
from .data import progress
from .translate import SPLITS, Outcome, describe_outcome, find_detector, print_results, read_source

if TYPE_CHECKING:
    from ..alignment.pairing import Pair
    from ..corpora.layout import Row
    from ..transfer.translating import Embed

WAYS = ("id", "neighbours")


@command(xlt_cli, "align")
def align_cli(
    source: Path = Arg(..., help="Labelled texts: a corpus, or DocBin or JSONL files"),
    target: Path = Arg(
        ..., help="Texts in other languages, labelled or not: a corpus, directory, DocBin or table"
    ),
    out: Path = Arg(..., help="Directory of the new corpus; one that is there is replaced"),
    by: str = Opt(
        "id", "--by", help="id: texts with the same id. neighbours: texts with the same meaning"
    ),
    from_lang: Optional[str] = Opt(
        None, "--from", help="Language of the labelled texts. Without it: the only one there is"
    ),
    splits: str = Opt(SPLITS, "--splits", help="Splits of corpora to read, with commas"),
    encoder: Optional[Path] = Opt(
        None, "--encoder", "-e", help="Encoder or pipeline directory, to compare meanings"
    ),
    min_margin: Optional[float] = Opt(
        None,
        "--min-margin",
        help="neighbours: how much closer than their neighbours pairs must be; 1.02 without it",
    ),
    min_quality: float = Opt(0.0, "--min-quality", help="Leave weaker pairs out, 0 to 1"),
    weigh: bool = Opt(False, "--weigh", help="Let texts count as much as their quality"),
    gpu_id: int = GPU_ID,
) -> None:
    """
    Give texts the labels of those that they are translations of, where translations are there
    already: parallel texts, paired by id or by their meaning.
    """
    record, outcomes = align(
        source,
        target,
        out,
        by=by,
        from_lang=from_lang,
        splits=[name.strip() for name in splits.split(",")],
        encoder=encoder,
        min_margin=min_margin,
        min_quality=min_quality,
        weigh=weigh,
        gpu_id=gpu_id,
    )
    print_results(out, record, outcomes)


def align(
    source: Path,
    target: Path,
    out: Path,
    *,
    by: str = "id",
    from_lang: Optional[str] = None,
    splits: Sequence[str] = ("train", "dev"),
    encoder: Optional[Path] = None,
    min_margin: Optional[float] = None,
    min_quality: float = 0.0,
    weigh: bool = False,
    gpu_id: int = -1,
) -> Tuple[Dict[str, Any], List[Outcome]]:
    """Write a corpus of target texts with the labels of source texts.

    All arguments are the options of `spacy xlt align`.
    RETURNS (Tuple[Dict[str, Any], List[Outcome]]): The record of the corpus, and what each
        language gave.
    RAISES (ValueError): If texts cannot be paired, or a setting is not as it should be.
    """
    from ..corpora.layout import Corpus, is_corpus, write_corpus
    from ..files import check_replaceable
    from ..languages import standardize_language
    from ..transfer.translating import choose_source, identify_rows
    from ._texts import read_as_rows

    if by not in WAYS:
        raise ValueError(f"--by is '{by}'. Allowed are {', '.join(WAYS)}.")
    if by == "neighbours" and encoder is None:
        raise ValueError("Pairing by neighbours compares meanings. Give an encoder with --encoder.")
    check_replaceable(out, "corpus", is_corpus)
    rows, record = read_source(source, splits)
    start, rows = choose_source(rows, from_lang and standardize_language(from_lang))
    targets: Dict[str, List[Row]] = {}
    for row in read_source(target, splits)[0] if is_corpus(target) else read_as_rows(target):
        if row.lang != start:
            targets.setdefault(row.lang, []).append(row)
    if not targets:
        raise ValueError(f"'{target}' has no text in another language than '{start}'.")
    embed = None
    if encoder is not None:
        from ._vectors import load_embedder

        embed = load_embedder(encoder, gpu_id=gpu_id)
    rows = rows if by == "id" else identify_rows(rows)
    outcomes = [
        _align_one(
            rows,
            found,
            by=by,
            embed=embed,
            min_margin=min_margin,
            min_quality=min_quality,
            weigh=weigh,
        )
        for _, found in sorted(targets.items())
    ]
    record["translations"] = {outcome.to_lang: describe_outcome(outcome) for outcome in outcomes}
    corpus = Corpus([row for outcome in outcomes for row in outcome.rows], record)
    rejects = [asdict(row) for outcome in outcomes for row in outcome.set_aside]
    return write_corpus(out, corpus, rejects=rejects, progress=progress), outcomes


def _align_one(
    sources: Sequence["Row"],
    targets: Sequence["Row"],
    *,
    by: str,
    embed: Optional["Embed"],
    min_margin: Optional[float],
    min_quality: float,
    weigh: bool,
) -> Outcome:
    """Texts of one language with the labels of the source texts."""
    from ..transfer.translating import find_worries, judge_rows, keep_quality, project_labels

    start, lang = sources[0].lang, targets[0].lang
    pairs = _find_pairs(sources, targets, by, embed, min_margin)
    if not pairs:
        raise ValueError(
            f"None of the {len(sources):,} texts in '{start}' is close enough to one of the "
            f"{len(targets):,} in '{lang}'. Lower --min-margin, or check that they are parallel."
        )
    maker = "parallel texts, by " + by
    rows = project_labels(sources, targets, pairs, maker=maker)
    qualities = judge_rows(rows, embed=embed, detector=find_detector(start, lang))
    kept, weak = keep_quality(rows, qualities, min_quality=min_quality, weigh=weigh)
    worries = find_worries(lang, qualities)
    if len(pairs) < len(targets):
        n_alone = len(targets) - len(pairs)
        worries.append(f"{n_alone:,} of {len(targets):,} texts in '{lang}' have no partner.")
    return Outcome(start, lang, maker, kept, weak, qualities, worries)


def _find_pairs(
    sources: Sequence["Row"],
    targets: Sequence["Row"],
    by: str,
    embed: Optional["Embed"],
    min_margin: Optional[float],
) -> List["Pair"]:
    from ..alignment.pairing import MIN_MARGIN, pair_by_id, pair_by_neighbours

    if by == "id" or embed is None:
        return pair_by_id([row.id for row in sources], [row.id for row in targets])
    vectors = (embed([row.text for row in group]) for group in (sources, targets))
    return pair_by_neighbours(*vectors, min_margin=MIN_MARGIN if min_margin is None else min_margin)
