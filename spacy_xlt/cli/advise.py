"""`spacy xlt advise`: which recipes fit what there is, what they brought, and how to run them."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Collection, Dict, List, Optional, Sequence, Tuple

from ..files import write_text
from ._app import GPU_ID, Arg, Opt, command, command_line, msg, xlt_cli
from .transfer import train_line

if TYPE_CHECKING:
    from ..corpora.layout import Row
    from ..evaluation.gains import Gain
    from ..pieces import PieceTokenizer
    from ..transfer.advice import Advice, LanguageFacts, Recommendation, Situation

# Texts of a language that its word pieces are counted in.
N_COUNTED = 500
# Languages of a measurement that are listed; of more, the number is told.
MAX_LISTED = 8
# Recipes whose commands are shown; those of all are in the file of --json.
N_SHOWN = 3
# What stands in a command for what was not given.
DEV, ENCODER = "DEV", "ENCODER"
# Splits that may be trained on.
TRAINED_SPLITS = ("train", "pool")


@dataclass
class Given:
    """What a user names, and what is in it.

    source_paths, target_paths (List[str]): Where documents to train on are: for a first stage and
        for a second one.
    dev (str): Development documents, or what stands for them.
    encoder, start (str): As named.
    unlabelled, lexicons, parallel, teacher (str): As named; "" for none.
    rows (List[Row]): Documents to train on, with and without labels.
    pairs (List[Row]): Documents that stand for source documents.
    texts (Dict[str, List[str]]): All texts by language, to count their pieces.
    """

    source_paths: List[str] = field(default_factory=list)
    target_paths: List[str] = field(default_factory=list)
    dev: str = DEV
    encoder: str = ENCODER
    start: str = ""
    unlabelled: str = ""
    lexicons: str = ""
    parallel: str = ""
    teacher: str = ""
    rows: List["Row"] = field(default_factory=list)
    pairs: List["Row"] = field(default_factory=list)
    texts: Dict[str, List[str]] = field(default_factory=dict)


@command(xlt_cli, "advise")
def advise_cli(
    corpora: List[Path] = Arg(
        ..., help="Labelled texts: corpora with their splits, .spacy, .jsonl, directories of them"
    ),
    unlabelled: Optional[Path] = Opt(
        None, "--unlabelled", "-u", help="Texts without labels: corpora, tables, files like sw.txt"
    ),
    lexicons: Optional[Path] = Opt(
        None, "--lexicons", help="Directory of bilingual lexicons, named like en-sw.tsv"
    ),
    parallel: Optional[Path] = Opt(
        None, "--parallel", help="Source texts in other languages (.spacy, .jsonl, directories)"
    ),
    translator: Optional[str] = Opt(
        None, "--translator", help="Languages you have a translator into, with commas"
    ),
    encoder: Optional[Path] = Opt(
        None, "--encoder", "-e", help="Encoder directory: what it can read, and how long it takes"
    ),
    start: Optional[Path] = Opt(
        None, "--start", help="Pipeline that is trained in the source language already"
    ),
    teacher: Optional[Path] = Opt(None, "--teacher", help="Larger trained pipeline to learn from"),
    minutes: Optional[float] = Opt(None, "--minutes", help="Time for training that there is"),
    source_langs: Optional[str] = Opt(
        None,
        "--source-langs",
        help="Languages to train on first, with commas; by default the one with most labels",
    ),
    target_langs: Optional[str] = Opt(
        None, "--target-langs", help="Languages to carry the classifier to, with commas"
    ),
    json_path: Optional[Path] = Opt(None, "--json", "-j", help="Write all of it to this file"),
    gpu_id: int = GPU_ID,
) -> None:
    """
    Recommend recipes for what there is: labels in which languages, texts without labels, lexicons,
    translations, time. Each with what it brought where it was measured, how long it will take, and
    the commands to run. Only documents to train on count; development and test sets do not.
    """
    from ..transfer.advice import advise
    from ._pipeline import split_langs

    if minutes is not None and minutes <= 0:
        raise ValueError(f"--minutes is {minutes:g}; allowed is more than 0.")
    if minutes is not None and encoder is None:
        raise ValueError("--minutes needs --encoder, to know how long recipes take with it.")
    given = read_given(
        corpora,
        unlabelled=unlabelled,
        lexicons=lexicons,
        parallel=parallel,
        encoder=encoder,
        start=start,
        teacher=teacher,
    )
    situation = find_situation(
        given,
        source_langs=split_langs(source_langs),
        target_langs=split_langs(target_langs),
        translated_langs=split_langs(translator) or [],
        minutes=minutes,
        gpu_id=gpu_id,
    )
    advice = advise(situation)
    if json_path is not None:
        write_text(json_path, json.dumps(to_json(situation, advice, given), indent=1) + "\n")
    show_situation(situation)
    show_advice(advice, situation, given)
    if json_path is not None:
        msg.good(f"All of it: {json_path}")


def read_given(
    corpora: Sequence[Path],
    *,
    unlabelled: Optional[Path] = None,
    lexicons: Optional[Path] = None,
    parallel: Optional[Path] = None,
    encoder: Optional[Path] = None,
    start: Optional[Path] = None,
    teacher: Optional[Path] = None,
) -> Given:
    """Read what the user names.

    RAISES (ValueError): If something is not there or cannot be read.
    """
    from spacy.language import Language

    from ..corpora.layout import Row, is_corpus, read_corpus
    from ..corpora.reader import read_rows
    from ._texts import read_as_rows, read_by_language

    given = Given()
    for path in corpora:
        if not is_corpus(path):
            given.rows += read_rows(path)
            given.source_paths.append(str(path))
            given.target_paths.append(str(path))
            continue
        rows = read_corpus(path).rows
        splits = {row.split for row in rows}
        given.rows += [row for row in rows if row.split in TRAINED_SPLITS]
        given.source_paths += [str(path / "train")] if "train" in splits else []
        target = next((name for name in reversed(TRAINED_SPLITS) if name in splits), None)
        given.target_paths += [str(path / target)] if target else []
        given.dev = str(path / "dev") if "dev" in splits else given.dev
        for row in rows:
            if row.split not in TRAINED_SPLITS:
                given.texts.setdefault(row.lang, []).append(row.text)
    given.source_paths = given.source_paths or given.target_paths
    if not given.source_paths:
        raise ValueError(
            f"{', '.join(map(str, corpora))} has no split to train on "
            f"({' or '.join(TRAINED_SPLITS)}). Divide it with: python -m spacy xlt data split"
        )
    if unlabelled is not None:
        given.unlabelled = str(unlabelled)
        by_language = read_by_language(Language(), [unlabelled])
        given.rows += [Row(x, {}, lang) for lang, texts in by_language.items() for x in texts]
    if parallel is not None:
        given.parallel = str(parallel)
        given.pairs = read_as_rows(parallel)
    for row in (*given.rows, *given.pairs):
        given.texts.setdefault(row.lang, []).append(row.text)
    named = {"lexicons": lexicons, "encoder": encoder, "start": start, "teacher": teacher}
    for name, value in named.items():
        if value is not None and not value.exists():
            raise ValueError(f"There is no '{value}', which --{name} names.")
        if value is not None:
            setattr(given, name, str(value))
    return given


def find_situation(
    given: Given,
    *,
    source_langs: Optional[Sequence[str]] = None,
    target_langs: Optional[Sequence[str]] = None,
    translated_langs: Sequence[str] = (),
    minutes: Optional[float] = None,
    gpu_id: int = -1,
) -> "Situation":
    """What there is in each language.

    source_langs (Optional[Sequence[str]]): As the user names them; None goes by the pipeline to
        start from, or by where most labels are.
    target_langs (Optional[Sequence[str]]): As the user names them; None is all others.
    translated_langs (Sequence[str]): Those that there is a translator into.
    """
    from ..languages import standardize_language
    from ..transfer.advice import Situation

    n_labelled = Counter(row.lang for row in given.rows if row.cats)
    if source_langs is not None:
        sources = [standardize_language(lang) for lang in source_langs]
    elif given.start:
        from ..components.starting import read_started
        from ..transfer.filling import NAME

        sources = read_started(Path(given.start), NAME).train_langs
    else:
        sources = [lang for lang, _ in sorted(n_labelled.items(), key=lambda x: (-x[1], x[0]))[:1]]
    words, glosses = count_lexicons(given.lexicons, sources)
    translated = {standardize_language(lang) for lang in translated_langs}
    targets = {*given.texts, *glosses, *translated} - {""}
    if target_langs is not None:
        targets = {standardize_language(lang) for lang in target_langs}
    langs = targets.union(sources)
    source_ids = {row.id for row in given.rows if row.id and row.lang in sources}
    tokenizer = load_tokenizer(given)
    languages = {
        lang: replace(
            _facts(lang, given, source_ids, tokenizer),
            has_translator=lang in translated,
            n_lexicon=words.get(lang, 0),
            n_gloss=glosses.get(lang, 0),
        )
        for lang in sorted(langs)
    }
    return Situation(
        source_langs=tuple(sources),
        languages=languages,
        baseline_minutes=estimate_minutes(given, sources, tokenizer, gpu_id=gpu_id),
        minutes=minutes,
        has_teacher=bool(given.teacher),
        has_start=bool(given.start),
    )


def _facts(
    lang: str,
    given: Given,
    source_ids: Collection[str],
    tokenizer: Optional["PieceTokenizer"],
) -> "LanguageFacts":
    from ..transfer.advice import LanguageFacts

    rows = [row for row in given.rows if row.lang == lang]
    pairs = [row for row in given.pairs if row.lang == lang]
    known = [row for row in pairs if row.id in source_ids]
    texts = given.texts.get(lang, [])[:N_COUNTED]
    unknown_share, pieces_per_word = read_pieces(texts, tokenizer)
    return LanguageFacts(
        labels=dict(Counter(label for row in rows for label in row.labels)),
        n_labelled=sum(bool(row.cats) for row in rows),
        n_unlabelled=len({row.text for row in rows if not row.cats}),
        # Texts without ids are paired by their meaning.
        n_parallel=len(known) if any(row.id for row in pairs) else len(pairs),
        unknown_share=unknown_share,
        pieces_per_word=pieces_per_word,
    )


def load_tokenizer(given: Given) -> Optional["PieceTokenizer"]:
    """The encoder's; None without an encoder."""
    from ..pieces import PieceTokenizer

    return None if given.encoder == ENCODER else PieceTokenizer.from_path(Path(given.encoder))


def read_pieces(
    texts: Sequence[str], tokenizer: Optional["PieceTokenizer"]
) -> Tuple[Optional[float], Optional[float]]:
    """Share of the word pieces of texts that the encoder does not know, and pieces of a word; None
    where there is no text or encoder, or a script puts no spaces between words."""
    from ..corpora.checks import count_pieces
    from ..words import has_spaceless

    if tokenizer is None or not texts:
        return None, None
    n_pieces, unknown_share = count_pieces(texts, tokenizer)
    spaced = [(n, text) for n, text in zip(n_pieces, texts, strict=True) if not has_spaceless(text)]
    n_words = sum(len(text.split()) for _, text in spaced)
    per_word = sum(n for n, _ in spaced) / n_words if n_words else None
    return unknown_share, per_word


def count_lexicons(
    directory: str, source_langs: Sequence[str]
) -> Tuple[Dict[str, int], Dict[str, int]]:
    """By target language, words of a source language that lexicons translate into it, and words of
    its own that lexicons of either direction know."""
    from ..translation.lexicon_files import find_lexicons, read_pairs

    translated: Dict[str, set] = {}
    known: Dict[str, set] = {}
    for path, (first, second) in find_lexicons(Path(directory)).items() if directory else ():
        if not {first, second} & set(source_langs):
            continue
        pairs = read_pairs(path, from_lang=first, to_lang=second)
        headwords = {pair.headword for pair in pairs}
        if first in source_langs:
            translated.setdefault(second, set()).update(headwords)
            known.setdefault(second, set()).update(pair.translation for pair in pairs)
        else:
            known.setdefault(first, set()).update(headwords)
    return (
        {lang: len(words) for lang, words in translated.items()},
        {lang: len(words) for lang, words in known.items()},
    )


def estimate_minutes(
    given: Given,
    source_langs: Sequence[str],
    tokenizer: Optional["PieceTokenizer"],
    *,
    gpu_id: int = -1,
) -> Optional[float]:
    """Time that the baseline takes here, about; None without an encoder or labels."""
    from ..compat import use_gpu
    from ._estimate import EPOCHS, compute_seconds, layer_weights, measure_speed

    texts = [row.text for row in given.rows if row.cats and row.lang in source_langs]
    if tokenizer is None or not texts:
        return None
    counted = tokenizer.encode(texts[:N_COUNTED])
    seconds = compute_seconds(
        layer_weights(given.encoder),
        sum(map(len, counted)) / len(counted) + 2,
        measure_speed(use_gpu(gpu_id)),
        n_trained=EPOCHS * len(texts),
        n_read=len(texts),
    )
    return seconds / 60


def command_lines(one: "Recommendation", given: Given, source_langs: Sequence[str]) -> List[str]:
    """The commands of a recommendation, that of the first stage included.

    DEV and ENCODER stand for what was not given.
    """
    from ..transfer.filling import find_source_file
    from ..transfer.recipes import BASELINE, fill_commands

    needs, name = one.recipe.needs, one.recipe.name
    start, lines = given.start, []
    if needs.start and not start:
        first = _transfer_line(BASELINE, given, given.source_paths, source_langs, [])
        lines += [first, train_line(f"{BASELINE}.cfg", BASELINE)]
        start = f"training/{BASELINE}/model-best"
    source = find_source_file([Path(given.source_paths[0])], source_langs)
    values = {
        "train": given.source_paths[0],
        "source": given.source_paths[0] if source is None else str(source),
        "dev": given.dev,
        "encoder": given.encoder,
        "start": start,
        "source_lang": ",".join(source_langs),
        "source_list": json.dumps(source_langs) if any(source_langs) else "",
        "target_langs": ",".join(one.langs),
        # Without a source language nothing is said of languages, so that all are trained on.
        "all_langs": ",".join((*source_langs, *one.langs)) if any(source_langs) else "",
        # Texts without labels may also stand among those with labels.
        "unlabelled": given.unlabelled or given.target_paths[0],
        "lexicons": given.lexicons,
        "parallel": given.parallel,
        "pairing": "id" if any(row.id for row in given.pairs) else "neighbours",
        "teacher": given.teacher,
    }
    if one.recipe.commands:
        return [*lines, *fill_commands(one.recipe, values)]
    paths = given.source_paths
    options: List[str] = []
    if needs.target_labels:
        both = dict.fromkeys([*given.source_paths, *given.target_paths])
        paths = given.target_paths if needs.start else list(both)
        options += ["--target-langs", values["target_langs"]]
    if "source" in _paths_of(name) and given.source_paths != given.target_paths:
        options += ["--source", given.source_paths[0]]
    for key in ("start", "unlabelled", "lexicons", "teacher"):
        options += [f"--{key}", values[key]] if getattr(needs, key) else []
    made = _transfer_line(name, given, paths, source_langs, options)
    return [*lines, made, train_line(f"{name}.cfg", name)]


def _paths_of(recipe: str) -> Collection[str]:
    """Names under [paths] of a recipe's config."""
    from spacy.util import load_config

    from ._shipped import get_recipe

    return list(load_config(get_recipe(recipe), interpolate=False)["paths"])


def _transfer_line(
    name: str,
    given: Given,
    paths: Sequence[str],
    source_langs: Sequence[str],
    options: Sequence[str],
) -> str:
    train = [word for path in paths for word in ("--train", path)]
    langs = ["--source-langs", ",".join(source_langs)] if any(source_langs) else []
    other = ["--dev", given.dev, "--encoder", given.encoder, *options, *langs]
    return command_line("transfer", name, *train, *other, "--output", f"{name}.cfg")


def to_json(situation: "Situation", advice: "Advice", given: Given) -> Dict[str, Any]:
    """All that is shown, and the commands of all recommendations."""
    return {
        "format": "spacy_xlt.advice.v1",
        "situation": asdict(situation),
        "recommended": [
            {
                **asdict(one),
                "recipe": one.recipe.name,
                "commands": command_lines(one, given, situation.source_langs),
            }
            for one in advice.recommended
        ],
        "left_out": [{"recipe": x.recipe.name, "reason": x.reason} for x in advice.left_out],
        "warnings": advice.warnings,
    }


def show_situation(situation: "Situation") -> None:
    """Print what there is by language."""
    from ..languages import language_name

    n_labels = len(situation.labels)
    rows = []
    order = sorted(
        situation.languages.items(),
        key=lambda item: (item[0] not in situation.source_langs, -item[1].n_labelled, item[0]),
    )
    for lang, facts in order:
        counts = [facts.labels.get(label, 0) for label in situation.labels]
        rows.append(
            (
                f"{language_name(lang)}{' (source)' if lang in situation.source_langs else ''}",
                lang,
                f"{facts.n_labelled:,}",
                f"{min(counts):,} to {max(counts):,}" if facts.n_labelled and counts else "",
                f"{facts.n_unlabelled:,}",
                f"{facts.n_parallel:,}",
                f"{facts.n_gloss:,}",
                "" if facts.unknown_share is None else f"{100 * facts.unknown_share:.1f} %",
                "" if facts.pieces_per_word is None else f"{facts.pieces_per_word:.1f}",
            )
        )
    amounts = ("Labelled", "per label", "Unlabelled", "Parallel", "Lexicon")
    header = ("Language", "Tag", *amounts, "Unknown", "Pieces/word")
    msg.divider(f"What there is, for {n_labels} labels")
    # Columns that say nothing are left out.
    shown = [i for i in range(len(header)) if i < 4 or any(row[i] not in ("0", "") for row in rows)]
    msg.table(
        [[row[i] for i in shown] for row in rows],
        header=[header[i] for i in shown],
        divider=True,
        aligns=["l" if i < 2 else "r" for i in shown],
    )


def show_advice(advice: "Advice", situation: "Situation", given: Given) -> None:
    """Print warnings, the table of recipes, and reasons and commands of the first ones."""
    from ..transfer.filling import PATHS

    for warning in advice.warnings:
        msg.warn(warning)
    if advice.recommended:
        msg.divider("Recipes that fit, the best first")
        rows = [
            (
                str(i),
                one.recipe.name,
                f"{len(one.langs)} of {len(situation.targets)}",
                *describe_gain(one),
                describe_time(one),
            )
            for i, one in enumerate(advice.recommended, start=1)
        ]
        header = ("", "Recipe", "Targets", "Gain in points (95 %)", "Measured on", "Time")
        aligns = ("r", "l", "r", "l", "l", "r")
        msg.table(rows, header=header, divider=True, aligns=aligns, max_col=60, spacing=2)
        msg.text(
            "Gains are over zero-shot on SIB-200 (topics of single sentences), where they were "
            "measured, and need not be yours. The order goes by what is sure, over all targets. "
            "Intervals are over sentences, with a star over languages."
        )
        for name, stand_in in (("dev", DEV), ("encoder", ENCODER)):
            if getattr(given, name) == stand_in:
                msg.info("{} stands for {}. {}".format(stand_in, *PATHS[name]))
    for i, one in enumerate(advice.recommended[:N_SHOWN], start=1):
        msg.divider(f"{i}. {one.recipe.name}")
        for reason in one.reasons:
            msg.text(reason)
        print()
        for line in command_lines(one, given, situation.source_langs):
            print(line)
    if advice.left_out:
        msg.divider("Recipes that do not fit")
        msg.table([(one.recipe.name, one.reason) for one in advice.left_out], max_col=100)


def describe_gain(one: "Recommendation") -> Tuple[str, str]:
    """What a recipe brought, and on what."""
    from ..transfer.recipes import BASELINE

    if one.recipe.name == BASELINE:
        return "the baseline", ""
    if one.gain is None:
        return "not measured", ""
    return format_gain(one.gain), _measured_on(one.gain)


def format_gain(gain: "Gain") -> str:
    """Points with their interval; one over languages has a star."""
    return gain.points if gain.by_sentence or gain.interval is None else f"{gain.points} *"


def _measured_on(gain: "Gain") -> str:
    labels = f", {gain.labels_per_class} labels per class" if gain.labels_per_class else ""
    runs = "1 run" if gain.n_runs == 1 else f"{gain.n_runs} runs"
    is_many = len(gain.langs) > MAX_LISTED
    langs = f"{len(gain.langs)} languages" if is_many else " ".join(gain.langs)
    return f"{langs}; {runs}{labels}"


def describe_time(one: "Recommendation") -> str:
    """Minutes where they are known, else a multiple of the baseline's time."""
    from ._estimate import describe_seconds

    if one.minutes is not None:
        return f"about {describe_seconds(60 * one.minutes)}"
    return f"{one.time:.2g} x zero_shot"
