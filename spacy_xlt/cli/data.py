"""`spacy xlt data`: import, divide, check and sample labelled texts."""

import functools
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from tqdm import tqdm
from wasabi import wrap

from ..files import write_text
from ._app import Arg, Opt, command, command_line, group, msg

if TYPE_CHECKING:
    from ..corpora.checks import CorpusReport

# Languages for which a draw says which labels fall short; of more, only the number is told.
MAX_WARNINGS = 3

data_cli = group("data", help="Labelled texts: import, split, check, sample")
WIDTH = 100
ASSIST = "assist"
FORMATS = ("auto", "sib200")
progress = functools.partial(tqdm, leave=False, disable=None)


@command(data_cli, "import")
def data_import_cli(
    sources: List[str] = Arg(
        ...,
        help="Files or directories (TSV, CSV, JSONL, Parquet; .gz), or 'assist'",
    ),
    out: Path = Arg(
        ..., help="Directory of the corpus; one that is there is replaced if all goes well"
    ),
    format: str = Opt(
        "auto",
        "--format",
        "-f",
        help="auto: by file name. sib200: SIB-200's folder, or a clone of its repository",
    ),
    lang: Optional[str] = Opt(
        None,
        "--lang",
        "-l",
        help="Language of all rows; else the language column, or names like de.csv",
    ),
    split: Optional[str] = Opt(
        None,
        "--split",
        help="Split of all rows. Without it: the split column, file names, or train",
    ),
    text_column: Optional[str] = Opt(None, "--text-column", help="Column of the text"),
    label_column: Optional[str] = Opt(
        None,
        "--label-column",
        help="Column of the label, of several labels, or of an object of scores",
    ),
    lang_column: Optional[str] = Opt(None, "--lang-column", help="Column of the language tag"),
    id_column: Optional[str] = Opt(
        None, "--id-column", help="Column of the id that a text has in every language"
    ),
    split_column: Optional[str] = Opt(None, "--split-column", help="Column of the split"),
    pair_column: Optional[str] = Opt(
        None,
        "--pair-column",
        help="Column of the second text of a pair; kept in doc.user_data['xlt_pair']",
    ),
    weight_column: Optional[str] = Opt(
        None, "--weight-column", help="Column of the weight in training"
    ),
    join_pair: Optional[str] = Opt(
        None,
        "--join-pair",
        help="Make one text of a pair, with this between them, for classifiers that read one text",
    ),
    label_separator: Optional[str] = Opt(
        None, "--label-separator", help="What stands between several labels of a row"
    ),
    delimiter: Optional[str] = Opt(
        None, "--delimiter", help="What stands between the columns of a CSV file"
    ),
    labels: Optional[str] = Opt(
        None, "--labels", help="The labels that are allowed, with commas between them"
    ),
    label_map: Optional[Path] = Opt(
        None,
        "--label-map",
        help="File of old and new labels (JSON, YAML, TSV); no new label drops one",
    ),
    on_error: str = Opt(
        "stop",
        "--on-error",
        help="Bad rows: stop and list them, or skip them (see rejects.jsonl)",
    ),
    licence: str = Opt("", "--licence", help="Licence of the data, to record"),
    address: str = Opt("", "--address", help="Where the data come from, to record"),
    langs: Optional[str] = Opt(
        None, "--langs", help="assist, sib200: languages to import, with commas; all without it"
    ),
    source_lang: str = Opt(
        "en", "--source-lang", help="assist: the language that gets train and dev"
    ),
    seed: int = Opt(0, "--seed", "-s", help="assist: another seed gives other texts"),
    train_per_intent: int = Opt(
        100, "--train-per-intent", help="assist: most training texts of a label"
    ),
    test_per_intent: int = Opt(
        5, "--test-per-intent", help="assist: most test texts of a label and language"
    ),
    ids: Optional[str] = Opt(
        None, "--ids", help="sib200: training sentences to keep: even or odd ids"
    ),
) -> None:
    """Import labelled texts as a corpus: DocBins per split and language, and corpus.json, which
    records where they come from.

    'assist' is the embedded data set: voice-assistant intents in some fifty languages. In a
    directory, and among several files, names tell language and split: train.de.csv, de/train.csv.
    Nothing is dropped in silence: bad rows stop the import, or are counted and written apart.
    """
    from ..corpora.formats import Columns

    is_assist = sources == [ASSIST]
    if format not in FORMATS:
        raise ValueError(f"--format is '{format}'. Allowed are {', '.join(FORMATS)}.")
    if ids is not None and format != "sib200":
        raise ValueError("--ids chooses among SIB-200's sentences; it needs --format sib200.")
    if langs is not None and not is_assist and format != "sib200":
        raise ValueError(
            "--langs chooses among the languages of 'assist' and of --format sib200. The language "
            "of a file's rows is given with --lang or --lang-column."
        )
    if is_assist:
        from ..corpora.assist import AssistSettings, import_assist

        settings = AssistSettings(
            source_lang=source_lang,
            langs=_names(langs),
            seed=seed,
            train_per_intent=train_per_intent,
            test_per_intent=test_per_intent,
        )
        record = import_assist(out, settings, progress=progress)
    elif format == "sib200":
        from ..corpora.sib200 import import_sib200

        if len(sources) > 1:
            raise ValueError(f"--format sib200 takes one folder, not {len(sources)}.")
        record = import_sib200(
            Path(sources[0]),
            out,
            langs=_names(langs),
            ids=ids,  # type: ignore[arg-type]
            on_error=on_error,  # type: ignore[arg-type]
            progress=progress,
        )
    else:
        from ..corpora.importing import find_sources, import_corpus
        from ..corpora.label_map import read_label_map

        record = import_corpus(
            find_sources([Path(source) for source in sources]),
            out,
            columns=Columns(
                text=text_column,
                label=label_column,
                lang=lang_column,
                id=id_column,
                split=split_column,
                pair=pair_column,
                weight=weight_column,
            ),
            lang=lang,
            split=split,
            labels=_names(labels),
            label_map=None if label_map is None else read_label_map(label_map),
            label_separator=label_separator,
            delimiter=delimiter,
            join_pair=join_pair,
            on_error=on_error,  # type: ignore[arg-type]
            licence=licence,
            address=address,
            progress=progress,
        )
    print_record(record)
    print_losses(record, out)
    if pair_column and join_pair is None:
        msg.warn(
            "Classifiers of this package read one text per document",
            "The second texts are kept in doc.user_data['xlt_pair']. To classify on both, import "
            "again with --join-pair and what shall stand between them.",
        )
    msg.good(
        f"The corpus is in {out}", f"Look it through with: {command_line('data', 'check', out)}"
    )


@command(data_cli, "split")
def data_split_cli(
    corpus: Path = Arg(..., help="The corpus"),
    out: Path = Arg(..., help="Directory of the new corpus; may be the same one"),
    ratios: str = Opt(
        "train=0.8,dev=0.1,test=0.1", "--ratios", "-r", help="Splits to make and the share of each"
    ),
    split: Optional[str] = Opt(
        None,
        "--split",
        help="The split to divide; others are taken over. Without it: the only one that there is",
    ),
    seed: int = Opt(0, "--seed", "-s", help="Another seed gives another division"),
) -> None:
    """Divide a corpus into training, development and test sets.

    Every label of every language is divided by the ratios; equal texts, and rows of one id in all
    languages, stay together.
    """
    from ..corpora.split import parse_ratios, split_corpus

    record = split_corpus(
        corpus, out, ratios=parse_ratios(ratios), seed=seed, split=split, progress=progress
    )
    print_record(record)
    msg.good(f"The corpus is in {out}")


@command(data_cli, "sample")
def data_sample_cli(
    corpus: Path = Arg(..., help="The corpus"),
    out: Path = Arg(..., help="Directory of the new corpus"),
    per_label: int = Opt(..., "--per-label", "-n", help="Documents per label and language"),
    seed: int = Opt(0, "--seed", "-s", help="Another seed gives another draw"),
    langs: Optional[str] = Opt(
        None, "--lang", "-l", help="Languages to draw in, with commas; all without it"
    ),
    split: Optional[str] = Opt(
        None, "--split", help="The split to draw from. Without it: pool if there is one, else train"
    ),
) -> None:
    """Draw a few documents per label and language, as a corpus of their own."""
    from ..corpora.sampling import sample_corpus

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = sample_corpus(
            corpus,
            out,
            shots=per_label,
            seed=seed,
            langs=_names(langs),
            split=split,
            progress=progress,
        )
    print_record(record)
    for warning in caught[:MAX_WARNINGS]:
        msg.warn(str(warning.message))
    if len(caught) > MAX_WARNINGS:
        msg.warn(f"The same goes for some labels of {len(caught) - MAX_WARNINGS} more languages.")
    msg.good(f"The corpus is in {out}")


@command(data_cli, "check")
def data_check_cli(
    corpus: Path = Arg(..., help="The corpus"),
    encoder: Optional[Path] = Opt(
        None,
        "--encoder",
        "-e",
        help="Encoder directory, to count word pieces and those unknown to it",
    ),
    json_path: Optional[Path] = Opt(
        None, "--json", "-j", help="Write everything that was found to this file"
    ),
) -> None:
    """Show what a corpus holds per split and language, and what about it should worry you."""
    from ..corpora.checks import check_corpus
    from ..detection import load_detector

    try:
        detector = load_detector()
    except ImportError as e:
        detector = None
        reason = str(e)
    report = check_corpus(corpus, encoder, detector=detector, progress=progress)
    print_report(report)
    if detector is None:
        msg.info("Whether the texts are in the languages recorded was not checked", reason)
    if json_path is not None:
        write_text(json_path, json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
        msg.info(f"Everything that was found: {json_path}")


def print_record(record: Dict[str, Any]) -> None:
    """Show the splits of a corpus, a line each."""
    rows = []
    for split, langs in record["counts"].items():
        sizes = sorted(part["documents"] for part in langs.values())
        spread = str(sizes[0]) if sizes[0] == sizes[-1] else f"{sizes[0]:,} to {sizes[-1]:,}"
        n_labels = len({label for part in langs.values() for label in part["labels"]})
        rows.append((split, len(langs), f"{sum(sizes):,}", spread, n_labels))
    header = ("Split", "Languages", "Documents", "per language", "Labels")
    print_table(rows, header, "lrrrr")
    langs = sorted({lang for part in record["counts"].values() for lang in part})
    print_lines(f"Languages: {', '.join(lang or 'unknown' for lang in langs)}")
    if record.get("thin"):
        thin = ", ".join(f"{lang} {n}" for lang, n in record["thin"].items())
        print_lines(f"Left out, because too few of the labels have templates there: {thin}")
    print()


def print_losses(record: Dict[str, Any], out: Path) -> None:
    """Say which rows are not in the corpus, and why."""
    totals = {
        key: sum(source.get(key, 0) for source in record["sources"])
        for key in ("rows", "rejected", "dropped_by_label_map", "left_out", "ambiguous", "repeated")
    }
    reasons = {
        "rejected": f"are bad, see {out / 'rejects.jsonl'}",
        "dropped_by_label_map": "have only labels that the label map drops",
        "left_out": "have an id that was not asked for",
        "ambiguous": "stand under two labels",
        "repeated": "stood before in the same language",
    }
    for key, reason in reasons.items():
        if totals[key]:
            msg.warn(f"{totals[key]:,} of {totals['rows']:,} rows left out: they {reason}")
    if any("" in langs for langs in record["counts"].values()):
        msg.warn(
            "Some documents have no language",
            "They can be trained on, but no result will be told for their language. Give it with "
            "--lang, --lang-column, or file names such as train.de.csv.",
        )


def print_report(report: "CorpusReport") -> None:
    """Show a report on a corpus: parts, labels, worries."""
    from ..languages import language_name

    has_pieces = any(part.median_pieces is not None for part in report.parts)
    header = ["Split", "Language", "Docs", "Labels", "Characters", "max"]
    header += ["Pieces", "max", "unknown"] if has_pieces else []
    rows = []
    for part in report.parts:
        row = [
            _short(part.split, 10),
            f"{part.lang:<8}{_short(language_name(part.lang), 24)}".strip(),
            f"{part.documents:,}",
            f"{len(part.labels)}/{len(report.labels)}",
            f"{part.median_chars:,.0f}",
            f"{part.max_chars:,}",
        ]
        if part.median_pieces is not None and part.unknown_share is not None:
            row += [
                f"{part.median_pieces:,.0f}",
                f"{part.max_pieces:,}",
                f"{100 * part.unknown_share:.1f} %",
            ]
        rows.append([*row, f"{part.duplicates:,}"])
    print_table(rows, [*header, "Repeated"], "ll" + "r" * (len(header) - 1))
    print_lines(
        "Characters, Pieces: the median document, and the longest. "
        "Repeated: documents whose text stood before in the same split and language."
    )
    splits = list(dict.fromkeys(part.split for part in report.parts))
    counts = {label: dict.fromkeys(splits, 0) for label in report.labels}
    langs = {label: set() for label in report.labels}  # type: Dict[str, set]
    for part in report.parts:
        for label, n in part.labels.items():
            counts[label][part.split] += n
            langs[label].add(part.lang)
    label_rows = [
        (_short(label, 40), *(f"{counts[label][split]:,}" for split in splits), len(langs[label]))
        for label in sorted(report.labels, key=lambda label: (-sum(counts[label].values()), label))
    ]
    header = ["Label", *(_short(split, 10) for split in splits), "Languages"]
    print_table(label_rows, header, "l" + "r" * (len(splits) + 1))
    if not report.worries:
        msg.good("Nothing here should worry you.")
    for worry in report.worries:
        msg.warn(worry)


def print_table(rows: List[Any], header: Sequence[str], aligns: str) -> None:
    """Print a table whose last columns are numbers."""
    msg.table(rows, header=header, divider=True, aligns=tuple(aligns), max_col=60, spacing=2)


def print_lines(text: str) -> None:
    print(wrap(text, wrap_max=WIDTH, indent=0))


def _names(text: Optional[str]) -> Optional[List[str]]:
    """Names with commas between them."""
    if text is None:
        return None
    return [name for part in text.split(",") if (name := part.strip())]


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
