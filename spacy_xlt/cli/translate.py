"""`spacy xlt translate`: labelled texts into other languages, with labels and quality."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from ._app import GPU_ID, Arg, Opt, command, command_line, msg, xlt_cli
from ._pipeline import split_langs
from .data import print_record, print_table, progress

if TYPE_CHECKING:
    from ..alignment.quality import PairQuality
    from ..corpora.formats import BadRow
    from ..corpora.layout import Row
    from ..detection import Detector
    from ..types import Translator

SPLITS = "train,dev"
# What translations without text lead to.
ON_EMPTY = ("skip", "stop")


@dataclass
class Outcome:
    """Labelled texts of one language by way of another.

    from_lang (str): The language that labels come from.
    to_lang (str): The language of the texts.
    maker (str): What made them, or brought them together.
    rows (List[Row]): The texts that are kept.
    set_aside (List[BadRow]): Those that are not.
    qualities (List[PairQuality]): Of all that there were.
    worries (List[str]): What about them should worry their user.
    """

    from_lang: str
    to_lang: str
    maker: str
    rows: List["Row"]
    set_aside: List["BadRow"]
    qualities: List["PairQuality"]
    worries: List[str] = field(default_factory=list)


@command(xlt_cli, "translate")
def translate_cli(
    source: Path = Arg(..., help="Labelled texts: a corpus, or DocBin or JSONL files"),
    out: Path = Arg(..., help="Directory of the new corpus; one that is there is replaced"),
    to: str = Opt(..., "--to", help="Languages to translate into, with commas"),
    spelling: str = Opt(
        "apertium",
        "--with",
        help="Translator: apertium, eng-spa, eng-spa,es-pt (over a pivot), lexicon:PATH, "
        "model:DIR, ctranslate2:DIR. See spacy xlt translators",
    ),
    from_lang: Optional[str] = Opt(
        None, "--from", help="Language to translate from. Without it: the only one that there is"
    ),
    splits: str = Opt(SPLITS, "--splits", help="Splits of a corpus to translate, with commas"),
    keep_source: bool = Opt(
        False, "--keep-source", help="Put the original texts into the new corpus too"
    ),
    label_map: Optional[Path] = Opt(
        None, "--label-map", help="File of old and new labels (JSON, YAML, TSV)"
    ),
    cache: Optional[Path] = Opt(
        None,
        "--cache",
        help="File that keeps translations between runs. Without it: OUT.translations.sqlite",
    ),
    batch_size: int = Opt(64, "--batch-size", "-b", help="Texts handed to the translator at once"),
    on_empty: str = Opt(
        "skip", "--on-empty", help="Empty translations: skip (see rejects.jsonl) or stop"
    ),
    encoder: Optional[Path] = Opt(
        None,
        "--encoder",
        "-e",
        help="Encoder or pipeline directory, to compare meanings by cosine",
    ),
    round_trip: Optional[str] = Opt(
        None, "--round-trip", help="Translator back, to compare what returns with the original"
    ),
    min_quality: float = Opt(0.0, "--min-quality", help="Leave weaker translations out, 0 to 1"),
    weigh: bool = Opt(False, "--weigh", help="Let translations count as much as their quality"),
    gpu_id: int = GPU_ID,
) -> None:
    """
    Translate labelled texts, for training in the languages of the translations (translate-train).

    Labels, splits and ids are kept. Each document records its original, the translator and how
    good the translation seems (doc._.xlt_origin). A run that is interrupted goes on where it was
    when the same command is given again.
    """
    if on_empty not in ON_EMPTY:
        raise ValueError(f"--on-empty is '{on_empty}'. Allowed are {', '.join(ON_EMPTY)}.")
    record, outcomes = translate(
        source,
        out,
        to_langs=split_langs(to) or [],
        spelling=spelling,
        from_lang=from_lang,
        splits=[name.strip() for name in splits.split(",")],
        keep_source=keep_source,
        label_map=label_map,
        cache=cache or out.with_name(f"{out.name}.translations.sqlite"),
        batch_size=batch_size,
        may_skip=on_empty == "skip",
        encoder=encoder,
        round_trip=round_trip,
        min_quality=min_quality,
        weigh=weigh,
        gpu_id=gpu_id,
    )
    print_results(out, record, outcomes)


@command(xlt_cli, "translators")
def translators_cli() -> None:
    """Show the kinds of translators for `spacy xlt translate`, and which are installed."""
    from ..translation.choosing import list_translators

    header = ("--with", "what it is", "here")
    msg.table(list_translators(), header=header, divider=True, max_col=90, spacing=2)


def translate(
    source: Path,
    out: Path,
    *,
    to_langs: Sequence[str],
    spelling: str,
    cache: Path,
    from_lang: Optional[str] = None,
    splits: Sequence[str] = ("train", "dev"),
    keep_source: bool = False,
    label_map: Optional[Path] = None,
    batch_size: int = 64,
    may_skip: bool = True,
    encoder: Optional[Path] = None,
    round_trip: Optional[str] = None,
    min_quality: float = 0.0,
    weigh: bool = False,
    gpu_id: int = -1,
) -> Tuple[Dict[str, Any], List[Outcome]]:
    """Write a corpus of translations.

    to_langs (Sequence[str]): Languages to translate into.
    spelling (str): The translator, see `make_translator`.
    cache (Path): File that keeps translations.
    may_skip (bool): Whether documents without a translation may be left out.
    All other arguments are the options of `spacy xlt translate`.
    RETURNS (Tuple[Dict[str, Any], List[Outcome]]): The record of the corpus, and what each
        language gave.
    RAISES (ValueError): If the source, the translator or a setting is not as it should be, or the
        translator fails; what was translated is in the cache.
    """
    from ..compat import use_gpu
    from ..corpora.label_map import read_label_map
    from ..corpora.layout import Corpus, is_corpus, write_corpus
    from ..files import check_replaceable
    from ..languages import standardize_language
    from ..transfer.translating import choose_source, identify_rows, unify_labels
    from ..translation.choosing import make_translator

    check_replaceable(out, "corpus", is_corpus)
    use_gpu(gpu_id)
    rows, record = read_source(source, splits)
    start, rows = choose_source(rows, from_lang and standardize_language(from_lang))
    ends = list(dict.fromkeys(map(standardize_language, to_langs)))
    if start in ends:
        raise ValueError(f"The texts are in '{start}' already. Take it out of --to.")
    if label_map is not None:
        mapping = read_label_map(label_map)
        rows = unify_labels(rows, mapping)
        record["label_map"] = mapping
    rows = identify_rows(rows)
    # All translators are made before the first one works.
    ways = [
        (
            make_translator(spelling, start, end, cache=cache),
            None if round_trip is None else make_translator(round_trip, end, start, cache=cache),
        )
        for end in ends
    ]
    embed = None
    if encoder is not None:
        from ._vectors import load_embedder

        embed = load_embedder(encoder, gpu_id=gpu_id)
    outcomes = [
        _translate_into(
            rows,
            translator,
            back=back,
            embed=embed,
            batch_size=batch_size,
            may_skip=may_skip,
            min_quality=min_quality,
            weigh=weigh,
        )
        for translator, back in ways
    ]
    made = [row for outcome in outcomes for row in outcome.rows]
    record["translations"] = {outcome.to_lang: describe_outcome(outcome) for outcome in outcomes}
    rejects = [asdict(row) for outcome in outcomes for row in outcome.set_aside]
    corpus = Corpus([*(rows if keep_source else []), *made], record)
    return write_corpus(out, corpus, rejects=rejects, progress=progress), outcomes


def read_source(path: Path, splits: Sequence[str]) -> Tuple[List["Row"], Dict[str, Any]]:
    """Rows of a corpus, or of files with labels, and what is known of where they come from.

    splits (Sequence[str]): Splits of a corpus to read; files are all training data.
    RAISES (ValueError): If there are none.
    """
    from spacy.vocab import Vocab

    from ..corpora.layout import doc_to_row, docbin_docs, is_corpus, read_corpus
    from ..corpora.reader import find_files, read_files

    if not is_corpus(path):
        bins, vocab = read_files(find_files(path)), Vocab()
        docs = (doc for file, docbin in bins for doc in docbin_docs(file, docbin, vocab))
        rows = [doc_to_row(doc, "train") for doc in docs]
        if not any(row.cats for row in rows):
            raise ValueError(
                f"'{path}': none of the {len(rows):,} documents is labelled. A document needs "
                f"doc.cats in a DocBin, or 'label' or 'cats' in JSONL."
            )
        return rows, {}
    corpus = read_corpus(path)
    rows = [row for row in corpus.rows if row.split in splits]
    if not rows:
        found = ", ".join(sorted({row.split for row in corpus.rows}))
        raise ValueError(
            f"'{path}' has no split {' or '.join(splits)}. It has: {found}. Change --splits."
        )
    return rows, dict(corpus.record)


def _translate_into(
    rows: Sequence["Row"],
    translator: "Translator",
    *,
    back: Optional["Translator"],
    embed: Any,
    batch_size: int,
    may_skip: bool,
    min_quality: float,
    weigh: bool,
) -> Outcome:
    from ..transfer.translating import find_worries, judge_rows, keep_quality, translate_rows

    found = translate_rows(rows, translator, batch_size=batch_size, progress=progress)
    if not found.rows or (found.set_aside and not may_skip):
        raise ValueError(
            f"{len(found.set_aside):,} of {len(rows):,} texts got no translation into "
            f"'{translator.to_lang}' from '{translator.name}', the first one being "
            f"{found.set_aside[0].content[:60]!r}. Nothing was written; the others are in the "
            f"cache. Use another translator, or leave these texts out with --on-empty skip."
        )
    if found.n_unchanged == len(found.rows):
        raise ValueError(
            f"All {len(found.rows):,} translations into '{translator.to_lang}' are the originals, "
            f"unchanged: '{translator.name}' knows none of their words. Nothing was written. "
            f"Check that the texts are in '{translator.from_lang}', or use another translator."
        )
    qualities = judge_rows(
        found.rows,
        embed=embed,
        back=back,
        detector=find_detector(translator.from_lang, translator.to_lang),
        progress=progress,
    )
    kept, weak = keep_quality(found.rows, qualities, min_quality=min_quality, weigh=weigh)
    return Outcome(
        translator.from_lang,
        translator.to_lang,
        translator.name,
        kept,
        [*found.set_aside, *weak],
        qualities,
        find_worries(translator.to_lang, qualities, n_unchanged=found.n_unchanged),
    )


def find_detector(*langs: str) -> Optional["Detector"]:
    """What tells languages apart; None without the library, or if it does not know one."""
    from ..detection import load_detector, read_langs

    try:
        if not all(load_detector().knows(lang) for lang in langs):
            return None
        return load_detector(read_langs(langs))
    except ImportError as e:
        msg.info("In which language the translations are was not checked", str(e))
        return None


def describe_outcome(outcome: Outcome) -> Dict[str, Any]:
    """What the record of a corpus says of the texts in a language."""
    from statistics import fmean

    return {
        "from": outcome.from_lang,
        "translator": outcome.maker,
        "documents": len(outcome.rows),
        "left_out": len(outcome.set_aside),
        "mean_quality": round(fmean(quality.score for quality in outcome.qualities), 4),
    }


def print_results(out: Path, record: Dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    """Show what each language gave, and where the corpus is."""
    for outcome in outcomes:
        print_outcome(outcome)
    print_record(record)
    n_aside = sum(len(outcome.set_aside) for outcome in outcomes)
    if n_aside:
        msg.warn(f"{n_aside:,} translations left out, see {out / 'rejects.jsonl'}")
    msg.good(
        f"The corpus is in {out}", f"Look it through with: {command_line('data', 'check', out)}"
    )


def print_outcome(outcome: Outcome) -> None:
    """Show how good the texts in a language are, and what should worry about them."""
    from ..languages import language_name
    from ..transfer.translating import tabulate_quality

    print(f"\n{language_name(outcome.to_lang)} ({outcome.to_lang}), by {outcome.maker}")
    bins = tabulate_quality(outcome.qualities)
    rows = [
        (
            f"{row['from']:.2f} to {row['to']:.2f}",
            f"{row['documents']:,.0f}",
            *(_number(row[name]) for name in ("cosine", "round_trip", "length_fit")),
        )
        for row in reversed(bins)
    ]
    header = ("Quality", "Documents", "Cosine", "Round trip", "Length")
    print_table(rows, header, "lrrrr")
    for worry in outcome.worries:
        msg.warn(worry)


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"
