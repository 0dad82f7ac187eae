"""What a recipe's config gets from the user's corpora, with reasons: languages and labels."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import spacy

from ..components.starting import Started
from ..corpora.layout import Row, normalize_text, row_to_doc
from ..corpora.reader import find_files
from ..languages import language_name
from .adaptation import adapt_second_stage, is_far, measure_target
from .advice import name_languages
from .recipes import Recipe

# What a name under [paths] stands for, and how to come by it; no period comes after a command.
PATHS: Dict[str, Tuple[str, str]] = {
    "train": (
        "labelled texts to train on",
        "Make a corpus with: python -m spacy xlt data import SOURCE OUT",
    ),
    "dev": (
        "labelled texts to watch the training by",
        "Divide a corpus with: python -m spacy xlt data split CORPUS OUT",
    ),
    "encoder": (
        "the directory of an encoder",
        "Fetch one with: python -m spacy xlt encoder fetch multilingual-e5-small DIRECTORY",
    ),
    "start": (
        "a trained pipeline to go on from",
        "Train one in the source language: python -m spacy xlt transfer zero_shot",
    ),
    "source": (
        "the source language's labelled texts",
        "Give them with --source, or as SOURCE_LANGUAGE.spacy in the directory of --train.",
    ),
    "unlabelled": (
        "texts in the target languages, which need no labels",
        "Give a corpus, a table, or files like sw.txt with --unlabelled.",
    ),
    "lexicons": (
        "a directory of bilingual lexicons",
        "Make one with: python -m spacy xlt lexicon convert SOURCE LEXICONS/en-sw.tsv",
    ),
    "teacher": (
        "a trained pipeline to learn from",
        "Train one with a larger encoder: python -m spacy xlt transfer zero_shot",
    ),
}
# Those of spaCy's own, which stay empty.
SPACY_PATHS = ("vectors", "init_tok2vec")
NAME = "textcat"
# So many say how far a target is.
MAX_SOURCE_DOCUMENTS = 500


@dataclass(frozen=True)
class Setting:
    """A setting of a config by its dotted name, and why it is what it is."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True)
class Material:
    """What a config is filled from.

    train (Sequence[Row]): Documents of paths.train.
    dev (Sequence[Row]): Documents of paths.dev.
    source (Sequence[Row]): Documents of paths.source; none if the recipe has no such path.
    start (Optional[Started]): The component to go on from.
    source_langs (Optional[Sequence[str]]): Source languages, where the user names them.
    target_langs (Optional[Sequence[str]]): Target languages, where the user names them.
    """

    train: Sequence[Row]
    dev: Sequence[Row]
    source: Sequence[Row] = ()
    start: Optional[Started] = None
    source_langs: Optional[Sequence[str]] = None
    target_langs: Optional[Sequence[str]] = None

    @property
    def known_langs(self) -> List[str]:
        """Languages that count as trained on before."""
        if self.source_langs is not None:
            return list(self.source_langs)
        return [] if self.start is None else self.start.train_langs

    @property
    def target_rows(self) -> List[Row]:
        """Labelled documents to train on in languages that were not trained on before."""
        known, wanted = self.known_langs, self.target_langs
        return [
            row
            for row in self.train
            if row.cats and row.lang not in known and (wanted is None or row.lang in wanted)
        ]


@dataclass(frozen=True)
class Filled:
    """What was found out for a config.

    settings (List[Setting]): What to set.
    multilabel (bool): Whether any number of labels may hold.
    why_labels (str): What tells so.
    warnings (List[str]): What the user should know.
    """

    settings: List[Setting]
    multilabel: bool
    why_labels: str
    warnings: List[str] = field(default_factory=list)


def fill_recipe(
    recipe: Recipe, config: Mapping[str, Any], material: Material, *, multilabel: Optional[bool]
) -> Filled:
    """What a recipe's config gets from the user's corpora, apart from paths.

    recipe (Recipe): The recipe.
    config (Mapping[str, Any]): Its config, not interpolated.
    material (Material): The corpora.
    multilabel (Optional[bool]): Whether any number of labels may hold; None goes by the corpora.
    RAISES (ValueError): If there is no labelled document in a language that the recipe trains on,
        or corpora and the pipeline to start from do not go together.
    """
    is_multilabel, why = _choose_kind(material, multilabel)
    settings = [setting for rule in RULES for setting in rule(recipe, config, material)]
    return Filled(settings, is_multilabel, why, _find_warnings(material, settings))


def check_paths(recipe: Recipe, config: Mapping[str, Any], given: Iterable[str]) -> None:
    """RAISES (ValueError): If a path that the recipe needs is not given, or one that it does not
    know; names all of them."""
    known = [name for name in config["paths"] if name not in SPACY_PATHS]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"The recipe '{recipe.name}' does not read {', '.join(unknown)}. It reads: "
            f"{', '.join(known)}. Leave out --{unknown[0]}, or choose another recipe."
        )
    missing = [name for name in known if name not in given and config["paths"][name] is None]
    if missing:
        lines = [f"The recipe '{recipe.name}' needs more than is given:"]
        for name in missing:
            what, how = PATHS.get(name, (f"paths.{name} of its config", f"Set --paths.{name}."))
            lines.append(f"--{name}: {what}. {how}")
        raise ValueError("\n".join(lines))


def find_source_file(train: Sequence[Path], source_langs: Sequence[str]) -> Optional[Path]:
    """The file of a source language in the directories to train on, as `en.spacy`; None if there
    is none, or more than one."""
    files = [file for path in train if path.is_dir() for file in find_files(path)]
    found = [file for file in files if file.stem in source_langs]
    return found[0] if len(found) == 1 else None


def _choose_kind(material: Material, asked: Optional[bool]) -> Tuple[bool, str]:
    """Whether any number of labels may hold, and what tells so."""
    rows = [row for row in (*material.train, *material.source) if row.cats]
    n_other = sum(len(row.labels) != 1 for row in rows)
    found = f"{n_other:,} of {len(rows):,} documents have several labels or none"
    if material.start is None:
        if asked is not None:
            return asked, "as asked for"
        return n_other > 0, found if n_other else "every document has one label"
    exclusive = bool(material.start.cfg.get("exclusive", True))
    if asked is not None and asked == exclusive or exclusive and n_other and asked is None:
        raise ValueError(
            f"The pipeline to start from gives {'one label' if exclusive else 'any number of'}"
            f"{'' if exclusive else ' labels'} per document, but "
            f"{found if asked is None else 'the other kind was asked for'}. Start from a pipeline "
            f"of the same kind, or mend the documents."
        )
    return not exclusive, "as the pipeline to start from"


def choose_langs(
    recipe: Recipe, config: Mapping[str, Any], material: Material
) -> Iterable[Setting]:
    """Languages to train on, and to watch the training by."""
    found = _count_langs(material.train)
    known = set(material.known_langs)
    if recipe.needs.start:
        role, langs = "target", list(_count_langs(material.target_rows))
    elif recipe.needs.target_labels:
        named = None if material.target_langs is None else {*known, *material.target_langs}
        role, langs = "trained", [lang for lang in found if named is None or lang in named]
    else:
        role, langs = "source", [lang for lang in found if not known or lang in known]
    if not langs:
        wanted = "other than the source's" if role == "target" else "asked for"
        raise ValueError(
            f"No labelled training document is in a language {wanted}. Documents are in "
            f"{name_languages(list(found)) or 'none'}; the source is "
            f"{name_languages(sorted(known)) or 'not known'}. Change --train, --source-langs or "
            f"--target-langs."
        )
    yield from _lang_setting(config, "train", langs, list(found), role)
    in_dev = list(_count_langs(material.dev))
    watched = [lang for lang in in_dev if lang in langs]
    if watched:
        yield from _lang_setting(config, "dev", watched, in_dev, role)


def _lang_setting(
    config: Mapping[str, Any], corpus: str, langs: List[str], found: List[str], role: str
) -> Iterable[Setting]:
    """A line for a corpus that has other languages too."""
    place = _find_reader(config["corpora"].get(corpus, {}), f"corpora.{corpus}", corpus)
    if set(langs) != set(found) and "" not in langs and place is not None:
        others = name_languages([lang for lang in found if lang not in langs])
        why = f"{role} languages of the corpus, which also has {others}"
        yield Setting(f"{place}.langs", sorted(langs), why)


def _find_reader(block: Any, place: str, name: str) -> Optional[str]:
    """Dotted name of the block that reads a path, at whatever depth; None if languages cannot be
    chosen there."""
    if not isinstance(block, dict):
        return None
    if block.get("path") == f"${{paths.{name}}}":
        return place if "langs" in block else None
    found = (_find_reader(value, f"{place}.{key}", name) for key, value in block.items())
    return next((one for one in found if one is not None), None)


def keep_labels(recipe: Recipe, config: Mapping[str, Any], material: Material) -> Iterable[Setting]:
    """Labels of the pipeline to start from that the documents lack, which else would be dropped."""
    block = config["initialize"]["components"].get(NAME, {})
    if material.start is None or block.get("new_head"):
        return
    found = sorted({label for row in (*material.train, *material.source) for label in row.cats})
    lacking = [label for label in material.start.labels if label not in found]
    if lacking:
        labels = [*material.start.labels, *(x for x in found if x not in material.start.labels)]
        why = f"kept from the start: {', '.join(lacking)}, which no training document has"
        yield Setting(f"initialize.components.{NAME}.labels", labels, why)


def adapt_to_target(
    recipe: Recipe, config: Mapping[str, Any], material: Material
) -> Iterable[Setting]:
    """What depends on how many target labels there are, and how far the targets are."""
    block = config["initialize"]["components"].get(NAME, {})
    rows, source = material.target_rows, material.source[:MAX_SOURCE_DOCUMENTS]
    if material.start is None or "untouched_share" not in block or not block.get("refit_head"):
        return
    if not rows or len(source) < 2:
        return
    nlp = spacy.load(material.start.path.parent)
    pipe: Any = nlp.get_pipe(material.start.path.name)
    if not pipe.reads_text:
        return
    docs = [[row_to_doc(nlp.vocab, row) for row in part] for part in (source, rows)]
    target = measure_target(pipe, *docs)
    place = "far from" if is_far(target) else "near"
    why = (
        f"{target.n_documents:,} labelled target documents, {place} the source: at "
        f"{target.distance:.2f} times the distance of source texts from each other, with "
        f"{target.pieces_per_word:.1f} times as many pieces a word"
    )
    for key, value in adapt_second_stage(target, name=NAME).items():
        yield Setting(key, value, why)


Rule = Callable[[Recipe, Mapping[str, Any], Material], Iterable[Setting]]
# All that is set by what the corpora hold.
RULES: Tuple[Rule, ...] = (choose_langs, keep_labels, adapt_to_target)


def _count_langs(rows: Sequence[Row]) -> Dict[str, int]:
    """Labelled documents by language, the most frequent first."""
    return dict(Counter(row.lang for row in rows if row.cats).most_common())


def _find_warnings(material: Material, settings: Sequence[Setting]) -> List[str]:
    """What to know about corpora that are to be used together."""
    chosen = (x.value for x in settings if x.key.startswith("corpora.train."))
    langs = next(chosen, None)
    trained = [row for row in material.train if langs is None or row.lang in langs]
    trained += material.source
    warnings = []
    texts = {(row.lang, normalize_text(row.text)) for row in trained}
    shared = Counter(
        row.lang for row in material.dev if (row.lang, normalize_text(row.text)) in texts
    )
    if shared:
        named = ", ".join(f"{language_name(lang)} {n:,}" for lang, n in shared.most_common())
        warnings.append(
            f"{sum(shared.values()):,} of {len(material.dev):,} development documents are trained "
            f"on too ({named}), so scores there mean nothing. Divide the data anew, together: "
            f"python -m spacy xlt data split"
        )
    if not {row.lang for row in material.dev} & {row.lang for row in trained}:
        warnings.append(
            "No development document is in a language that is trained on. Scores while training "
            "are of other languages; in a zero-shot run they choose nothing."
        )
    taught = {label for row in trained for label in row.labels}
    taught.update([] if material.start is None else material.start.labels)
    unseen = sorted({label for row in material.dev for label in row.labels} - taught)
    if unseen:
        warnings.append(
            f"Development documents have labels that no training document has: "
            f"{', '.join(unseen)}. The pipeline will not know them."
        )
    return [*warnings, *_warn_of_parts(trained)]


def _warn_of_parts(rows: Sequence[Row]) -> Iterable[str]:
    """Labels that some languages have and others lack."""
    by_lang: Dict[str, set] = {}
    for row in rows:
        by_lang.setdefault(row.lang, set()).update(row.labels)
    everywhere = set.intersection(*by_lang.values()) if by_lang else set()
    partly = sorted(set().union(*by_lang.values()) - everywhere) if by_lang else []
    if partly:
        named = "; ".join(
            f"{language_name(lang)} lacks {', '.join(sorted(set(partly) - labels))}"
            for lang, labels in sorted(by_lang.items())
            if set(partly) - labels
        )
        yield f"Label sets overlap only in part: {named}. A label map may join them."
