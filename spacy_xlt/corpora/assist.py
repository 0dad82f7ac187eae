"""The embedded data set: voice-assistant intents in some fifty languages.

The texts come from the sentence templates of the `home-assistant-intents` package, parsed with
`hassil`, the library they are written for.
"""

import functools
import random
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..compat import require
from ..languages import language_name
from .formats import file_hash, to_cats
from .importing import Progress
from .layout import Corpus, Row, normalize_text, standard_language, write_corpus

PURPOSE = "The data set 'assist'"
LICENCE = "Apache-2.0"
ADDRESS = "https://github.com/OHF-Voice/intents"
# Fills every open slot (rooms, devices, floors, timer names, items to buy …) in every language:
# a slot's words must not give its intent away.
NAMES = (
    *("Luna", "Nova", "Milo", "Zara", "Kira", "Otto", "Nemo", "Vega", "Orion", "Atlas"),
    *("Delta", "Omega", "Bravo", "Lima", "Oslo", "Roma", "Sahara", "Nero", "Mira", "Tango"),
    *("Alma", "Bruno", "Cleo", "Dora"),
)
# Deeper nesting of rules than any language has; rules that name each other end here.
MAX_DEPTH = 60
# Tries to find one more text of a template that differs from those before.
MAX_TRIES = 8


@dataclass(frozen=True)
class AssistSettings:
    """How many texts are made of the templates.

    source_lang (str): The language that gets train, dev and test; others get pool and test.
    langs (Optional[Sequence[str]]): Languages besides the source; None is all.
    seed (int): Another seed gives other texts and another division of templates.
    min_templates (int): Templates an intent needs in the source language to be kept.
    min_intents (int): Kept intents a language needs in its test set (half of them where fewer
        than twice as many are kept); languages with fewer are listed as thin and left out.
    per_template (int): Most texts of one template.
    train_per_intent (int): Most training texts of an intent.
    dev_per_intent (int): Most texts of an intent in dev.
    pool_per_intent (int): Most texts of an intent in a target language's few-shot pool.
    test_per_intent (int): Most texts of an intent in each language's test set.
    """

    source_lang: str = "en"
    langs: Optional[Sequence[str]] = None
    seed: int = 0
    min_templates: int = 3
    min_intents: int = 15
    per_template: int = 10
    train_per_intent: int = 100
    dev_per_intent: int = 6
    pool_per_intent: int = 16
    test_per_intent: int = 5

    def per_intent(self) -> Dict[str, int]:
        """Most texts of an intent, by split."""
        return {
            "train": self.train_per_intent,
            "dev": self.dev_per_intent,
            "pool": self.pool_per_intent,
            "test": self.test_per_intent,
        }


@dataclass(frozen=True)
class Template:
    """A sentence template with the rules and lists that hold where it stands.

    id (str): Language, intent and number of the template.
    """

    id: str
    text: str
    rules: Mapping[str, str]
    lists: Mapping[str, Mapping[str, Any]]


@dataclass
class Texts:
    """Texts of one language, and what did not become one.

    rows (List[Tuple[str, str, str, str]]): Split, intent, template id and text of each.
    n_ambiguous (int): Texts left out because two intents have them.
    n_repeated (int): Texts left out because another template has them too.
    failed (Dict[str, str]): Template id, or language, to the reason why it could not be read.
    """

    rows: List[Tuple[str, str, str, str]] = field(default_factory=list)
    n_ambiguous: int = 0
    n_repeated: int = 0
    failed: Dict[str, str] = field(default_factory=dict)

    @property
    def intents(self) -> Set[str]:
        """Intents that the test set has."""
        return {intent for split, intent, _, _ in self.rows if split == "test"}


def import_assist(
    out: Path, settings: AssistSettings = AssistSettings(), *, progress: Progress = iter
) -> Dict[str, Any]:
    """Make a corpus of the templates, replacing one that is there.

    Intents with few templates in the source language are left out, and so are languages that
    know few of the intents; both are recorded. All texts of a template are in one split.

    out (Path): Directory of the corpus.
    settings (AssistSettings): Languages, seed and sizes.
    progress (Progress): Wraps the lists of languages and files.
    RETURNS (Dict[str, Any]): The record of the corpus.
    RAISES (ImportError): If the packages are not installed.
    RAISES (ValueError): If a language is not in the package, or the source language has fewer
        than two intents with enough templates.
    """
    package = require("home_assistant_intents", PURPOSE)
    require("hassil", PURPOSE)
    codes = _choose_languages(package, settings)
    source = standard_language(settings.source_lang)
    templates = read_templates(package, codes[source])
    kept = sorted(i for i, found in templates.items() if len(found) >= settings.min_templates)
    if len(kept) < 2:
        raise ValueError(
            f"{language_name(source)} cannot be the source language of 'assist': only {len(kept)} "
            f"of its intents have at least {settings.min_templates} templates. Choose another one "
            f"with --source-lang, such as en, de, fr, ru or zh-CN."
        )
    made: Dict[str, Texts] = {}
    for lang in progress(list(codes)):
        try:
            found = templates if lang == source else read_templates(package, codes[lang])
        except Exception as e:  # one damaged language must not end the import
            made[lang] = Texts(failed={lang: f"{type(e).__name__}: {e}"})
            continue
        shares = SOURCE_SHARES if lang == source else TARGET_SHARES
        made[lang] = make_texts(lang, {i: found[i] for i in kept if i in found}, shares, settings)
    # A source language with few intents of its own cannot ask for more of others.
    needed = min(settings.min_intents, (len(kept) + 1) // 2)
    thin = {
        lang: len(texts.intents)
        for lang, texts in made.items()
        if lang != source and len(texts.intents) < needed
    }
    rows = [
        Row(text, to_cats([intent], kept), lang, split, id=id)
        for lang, texts in made.items()
        if lang not in thin
        for split, intent, id, text in texts.rows
    ]
    record = _describe(package, codes, templates, kept, made, thin, settings)
    return write_corpus(out, Corpus(rows, record), progress=progress)


# Share of an intent's templates per split, in the order in which the splits are served: each gets
# at least one as long as there are any.
SOURCE_SHARES = {"train": 0.7, "test": 0.15, "dev": 0.15}
TARGET_SHARES = {"test": 0.5, "pool": 0.5}


def read_templates(package: ModuleType, code: str) -> Dict[str, List[Template]]:
    """Templates of a language by intent; one that stands twice under an intent counts once."""
    data = package.get_intents(code) or {}
    rules, lists = data.get("expansion_rules", {}), data.get("lists", {})
    found: Dict[str, List[Template]] = {}
    for intent, description in data.get("intents", {}).items():
        texts: Dict[str, Template] = {}
        for block in description.get("data", []):
            local_rules = {**rules, **block.get("expansion_rules", {})}
            local_lists = {**lists, **block.get("lists", {})}
            for text in block.get("sentences", []):
                id = f"{code}/{intent}/{len(texts)}"
                texts.setdefault(text, Template(id, text, local_rules, local_lists))
        found[intent] = list(texts.values())
    return found


def make_texts(
    lang: str,
    templates: Mapping[str, Sequence[Template]],
    shares: Mapping[str, float],
    settings: AssistSettings,
) -> Texts:
    """Divide a language's templates among the splits and expand them.

    templates (Mapping[str, Sequence[Template]]): Templates by intent.
    shares (Mapping[str, float]): Share of the templates per split.
    """
    texts = Texts()
    drawn: List[Tuple[str, str, str, str]] = []
    most = settings.per_intent()
    for intent, found in templates.items():
        rng = random.Random(f"{settings.seed} {lang} {intent}")
        for split, part in divide(found, shares, rng).items():
            for id, text in _draw(part, most[split], settings.per_template, rng, texts.failed):
                drawn.append((split, intent, id, text))
    intents_of: Dict[str, Set[str]] = {}
    for _, intent, _, text in drawn:
        intents_of.setdefault(normalize_text(text), set()).add(intent)
    seen: Set[str] = set()
    for row in drawn:
        key = normalize_text(row[3])
        if len(intents_of[key]) > 1:
            texts.n_ambiguous += 1
        elif key in seen:
            texts.n_repeated += 1
        else:
            seen.add(key)
            texts.rows.append(row)
    return texts


def divide(
    templates: Sequence[Template], shares: Mapping[str, float], rng: random.Random
) -> Dict[str, List[Template]]:
    """Divide templates at random; each split gets its share, and one as long as there are any."""
    order = list(templates)
    rng.shuffle(order)
    sizes = dict.fromkeys(shares, 0)
    for n_given in range(len(order)):
        # The split that is furthest behind its share; the first one where none has any.
        behind = {split: share * (n_given + 1) - sizes[split] for split, share in shares.items()}
        empty = [split for split in shares if not sizes[split]]
        sizes[empty[0] if empty else max(behind, key=lambda split: behind[split])] += 1
    parts, start = {}, 0
    for split, size in sizes.items():
        parts[split] = order[start : start + size]
        start += size
    return parts


def expand(template: Template, rng: random.Random) -> str:
    """One sentence that a template stands for.

    `hassil.sample` lists the sentences of a template in order, all variants of its end before
    the second variant of its beginning; a random walk over the parsed template needs no list.

    RAISES (Exception): Whatever the parser raises on a malformed template.
    """
    return " ".join(_walk(_parse(template.text), template, rng, 0).split())


def _draw(
    templates: Sequence[Template],
    most: int,
    per_template: int,
    rng: random.Random,
    failed: Dict[str, str],
) -> List[Tuple[str, str]]:
    """Template id and text of up to `most` different texts, one per template in turn."""
    drawn: Dict[str, Tuple[str, str]] = {}
    active = list(templates)
    for _ in range(per_template):
        for template in list(active):
            if len(drawn) >= most:
                return list(drawn.values())
            try:
                text = _expand_anew(template, rng, drawn)
            except Exception as e:  # one malformed template must not end the import
                failed[template.id] = f"{type(e).__name__}: {e}"
                text = None
            if text is None:
                active.remove(template)
            else:
                drawn[normalize_text(text)] = (template.id, text)
    return list(drawn.values())


def _expand_anew(template: Template, rng: random.Random, drawn: Mapping[str, Any]) -> Optional[str]:
    """A text that is not drawn yet, None if the template seems to have no more."""
    for _ in range(MAX_TRIES):
        text = expand(template, rng)
        if text and normalize_text(text) not in drawn:
            return text
    return None


@functools.lru_cache(maxsize=20_000)
def _parse(text: str) -> Any:
    """A parsed template; rules are read many times over."""
    return require("hassil", PURPOSE).parse_sentence(text).expression


@functools.lru_cache(maxsize=1)
def _node_types() -> ModuleType:
    return require("hassil.expression", PURPOSE)


def _walk(node: Any, template: Template, rng: random.Random, depth: int) -> str:
    """Text of a parsed template with every choice made at random."""
    expression = _node_types()
    if depth > MAX_DEPTH:
        raise ValueError(f"rules of the template '{template.text}' name each other without end")
    if isinstance(node, expression.TextChunk):
        return node.original_text
    if isinstance(node, expression.Alternative):
        return _walk(rng.choice(node.items), template, rng, depth + 1)
    if isinstance(node, expression.Group):
        items = list(node.items)
        if isinstance(node, expression.Permutation):
            rng.shuffle(items)
        return "".join(_walk(item, template, rng, depth + 1) for item in items)
    if isinstance(node, expression.RuleReference):
        if node.rule_name not in template.rules:
            raise ValueError(f"there is no rule <{node.rule_name}>")
        rule = _parse(template.rules[node.rule_name])
        return _walk(rule, template, rng, depth + 1)
    if isinstance(node, expression.ListReference):
        return _fill(node.list_name, template, rng, depth)
    raise ValueError(f"unknown part of a template: {type(node).__name__}")


def _fill(name: str, template: Template, rng: random.Random, depth: int) -> str:
    """A value of a list; a list without values is an open slot."""
    values = template.lists.get(name, {})
    if "range" in values:
        numbers = values["range"]
        start, stop = int(numbers["from"]), int(numbers["to"])
        return str(rng.choice(range(start, stop + 1, int(numbers.get("step", 1)))))
    if not values.get("values"):
        return rng.choice(NAMES)
    value = rng.choice(values["values"])
    text = value["in"] if isinstance(value, Mapping) else value
    return _walk(_parse(text), template, rng, depth + 1)


def _choose_languages(package: ModuleType, settings: AssistSettings) -> Dict[str, str]:
    """Standard tag to the package's code, the source language first."""
    codes = {standard_language(code): code for code in package.get_languages()}
    source = standard_language(settings.source_lang)
    wanted = [source]
    wanted += list(codes) if settings.langs is None else map(standard_language, settings.langs)
    for lang in wanted:
        if lang not in codes:
            raise ValueError(
                f"'assist' has no language '{lang}'. It has: {', '.join(sorted(codes))}."
            )
    return {lang: codes[lang] for lang in dict.fromkeys(wanted)}


def _describe(
    package: ModuleType,
    codes: Mapping[str, str],
    source_templates: Mapping[str, Sequence[Template]],
    kept: Sequence[str],
    made: Mapping[str, Texts],
    thin: Mapping[str, int],
    settings: AssistSettings,
) -> Dict[str, Any]:
    """What `corpus.json` says about the making of the corpus."""
    folder = Path(str(package.__file__)).parent / "data"
    sources = [
        {
            "name": f"home_assistant_intents/data/{code}.json",
            "sha256": file_hash(folder / f"{code}.json"),
            "licence": LICENCE,
            "address": ADDRESS,
            "rows": len(made[lang].rows) + made[lang].n_ambiguous + made[lang].n_repeated,
            "kept": 0 if lang in thin else len(made[lang].rows),
            "failed_templates": len(made[lang].failed),
            "ambiguous": made[lang].n_ambiguous,
            "repeated": made[lang].n_repeated,
        }
        for lang, code in codes.items()
    ]
    few = {i: len(found) for i, found in source_templates.items() if i not in kept}
    return {
        "name": "assist",
        "sources": sources,
        "packages": {name: version(name) for name in ("home-assistant-intents", "hassil")},
        "source_lang": standard_language(settings.source_lang),
        "seed": settings.seed,
        "per_template": settings.per_template,
        "per_intent": settings.per_intent(),
        "intents_left_out": dict(sorted(few.items())),
        "thin": dict(sorted(thin.items())),
        "failed_templates": {lang: t.failed for lang, t in made.items() if t.failed},
        "labels_per_language": {lang: len(t.intents) for lang, t in made.items()},
    }
