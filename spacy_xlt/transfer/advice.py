"""Which recipes fit what a user has, in the order of what they brought where they were measured."""

from dataclasses import dataclass, field
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..corpora.checks import MAX_UNKNOWN_SHARE
from ..evaluation.gains import Gain, find_gain, measured_gains
from ..languages import language_name
from ..pieces import MANY_PIECES
from .recipes import BASELINE, RECIPES, Recipe

# Target labels per class that are this many times more, or fewer, than those of a measurement.
FAR_FROM_MEASURED = 3.0
# Languages that are named in a sentence; of more, only the number is told.
MAX_NAMED = 6


@dataclass(frozen=True)
class LanguageFacts:
    """What there is in a language.

    labels (Mapping[str, int]): Texts to train on by label that holds.
    n_labelled (int): Texts to train on that have labels.
    n_unlabelled (int): Texts without labels.
    n_parallel (int): Texts that stand for source texts, as their ids tell.
    has_translator (bool): Whether there is a translator from a source language.
    n_lexicon (int): Words of the lexicon from a source language; 0 without one.
    n_gloss (int): Words of this language that lexicons know, in whichever direction they are.
    unknown_share (Optional[float]): Share of word pieces that the encoder cannot spell; None if
        that was not looked at.
    pieces_per_word (Optional[float]): Word pieces that a word takes.
    """

    labels: Mapping[str, int] = field(default_factory=dict)
    n_labelled: int = 0
    n_unlabelled: int = 0
    n_parallel: int = 0
    has_translator: bool = False
    n_lexicon: int = 0
    n_gloss: int = 0
    unknown_share: Optional[float] = None
    pieces_per_word: Optional[float] = None

    @property
    def is_readable(self) -> bool:
        """Whether the encoder spells enough of it, as far as is known."""
        return self.unknown_share is None or self.unknown_share <= MAX_UNKNOWN_SHARE


@dataclass(frozen=True)
class Situation:
    """What a user has.

    source_langs (Tuple[str, ...]): Languages whose labels a first stage trains on.
    languages (Mapping[str, LanguageFacts]): All languages by tag, the source's among them.
    baseline_minutes (Optional[float]): Time that the baseline will take; None if it is not known.
    minutes (Optional[float]): Time for training that there is; None for no limit.
    has_teacher (bool): Whether there is a trained pipeline to learn from.
    has_start (bool): Whether there is a pipeline already that the baseline would make.
    """

    source_langs: Tuple[str, ...]
    languages: Mapping[str, LanguageFacts]
    baseline_minutes: Optional[float] = None
    minutes: Optional[float] = None
    has_teacher: bool = False
    has_start: bool = False

    @property
    def targets(self) -> List[str]:
        """Languages to carry a classifier to."""
        return sorted(lang for lang in self.languages if lang not in self.source_langs)

    @property
    def sources(self) -> List[LanguageFacts]:
        """What there is in the source languages."""
        return [self.languages[lang] for lang in self.source_langs if lang in self.languages]

    @property
    def labels(self) -> List[str]:
        """Labels that have a text in a source language, or in any if they have none there."""
        for facts in (self.sources, list(self.languages.values())):
            labels = sorted({label for own in facts for label, n in own.labels.items() if n})
            if labels:
                return labels
        return []

    @property
    def has_choice(self) -> bool:
        """Whether there is something to tell apart: two labels, or one that some texts lack."""
        lacking = any(
            facts.n_labelled > sum(facts.labels.values()) for facts in self.languages.values()
        )
        return len(self.labels) > 1 or bool(self.labels) and lacking

    def labels_per_class(self, langs: Iterable[str]) -> float:
        """Labelled texts per label and language, on average over languages."""
        counts = [self.languages[lang].n_labelled for lang in langs]
        return sum(counts) / max(1, len(counts) * len(self.labels))


@dataclass(frozen=True)
class Recommendation:
    """A recipe that fits.

    langs (Tuple[str, ...]): Target languages it is for; empty where there is none yet.
    gain (Optional[Gain]): The nearest measurement; None if there is none, or it is the baseline.
    benefit (float): What the order goes by: points in the mean over all targets, where nothing is
        counted that is not sure or not measured.
    time (float): Time of training as a multiple of the baseline's, that of a first stage included.
    minutes (Optional[float]): The same in minutes; None if the baseline's is not known.
    reasons (Tuple[str, ...]): Why, and what to know, a sentence each.
    """

    recipe: Recipe
    langs: Tuple[str, ...]
    gain: Optional[Gain]
    benefit: float
    time: float
    minutes: Optional[float]
    reasons: Tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """A recipe that does not fit, and what is missing."""

    recipe: Recipe
    reason: str


@dataclass(frozen=True)
class Advice:
    """What to do.

    recommended (List[Recommendation]): The best first; if there are none, `warnings` say why.
    left_out (List[LeftOut]): All other recipes.
    warnings (List[str]): What to know in any case.
    """

    recommended: List[Recommendation]
    left_out: List[LeftOut]
    warnings: List[str]


def advise(
    situation: Situation,
    recipes: Mapping[str, Recipe] = RECIPES,
    gains: Optional[Sequence[Gain]] = None,
) -> Advice:
    """Recommend recipes.

    situation (Situation): What there is.
    recipes (Mapping[str, Recipe]): Recipes by name.
    gains (Optional[Sequence[Gain]]): What was measured; None is what comes with the package.
    RETURNS (Advice): Each recipe is either recommended or left out. By falling benefit, what lost
        where it was measured after all else, what is measured before what is not, and the quicker
        one first where that is the same.
    """
    known = measured_gains() if gains is None else gains
    warnings = _find_warnings(situation)
    recommended: List[Recommendation] = []
    left_out: List[LeftOut] = []
    for recipe in recipes.values():
        langs = [lang for lang in situation.targets if _suits(recipe, situation, lang)]
        one = _recommend(recipe, situation, langs, known)
        missing = _what_is_missing(one, situation)
        if missing:
            left_out.append(LeftOut(recipe, missing))
        else:
            recommended.append(one)
    recommended.sort(key=_rank)
    if not recommended and situation.has_choice:
        warnings.append(
            f"No recipe fits into {situation.minutes:g} minutes, which is what --minutes allows."
            if situation.minutes is not None
            else "No recipe fits what there is."
        )
    return Advice(recommended, left_out, warnings)


def _rank(one: Recommendation) -> Tuple:
    is_measured = one.gain is not None or one.recipe.name == BASELINE
    # Where no target counts, what lost elsewhere still comes last.
    has_lost = one.gain is not None and one.gain.mean < 0.0
    return (-one.benefit, has_lost, not is_measured, one.time, one.recipe.name)


def _suits(recipe: Recipe, situation: Situation, lang: str) -> bool:
    """Whether there is in a target language what a recipe needs of one."""
    facts, needs = situation.languages[lang], recipe.needs
    per_class = situation.labels_per_class([lang])
    return (
        facts.is_readable
        and (not needs.target_labels or per_class >= needs.target_labels)
        and facts.n_unlabelled >= needs.unlabelled
        and (not needs.lexicons or facts.n_lexicon > 0)
        and (not needs.glosses or facts.n_gloss > 0)
        and (not needs.translator or facts.has_translator)
        and (not needs.parallel or facts.n_parallel > 0)
    )


def _what_is_missing(one: Recommendation, situation: Situation) -> str:
    """What stands against a recipe, "" for nothing."""
    needs = one.recipe.needs
    if not situation.has_choice:
        return "It needs texts that differ in their labels."
    if needs.source_labels and not any(facts.n_labelled for facts in situation.sources):
        return "It needs labelled texts in a source language."
    if needs.teacher and not situation.has_teacher:
        return "It needs a trained pipeline to learn from (--teacher)."
    wants = [
        (needs.target_labels, f"{needs.target_labels} or more labels per class"),
        (needs.unlabelled, f"{needs.unlabelled} or more unlabelled texts (--unlabelled)"),
        (needs.lexicons, "a lexicon from the source language (--lexicons)"),
        (needs.glosses, "a lexicon from or into the source language (--lexicons)"),
        (needs.translator, "a translator from the source language (--translator)"),
        (needs.parallel, "translations of source texts (--parallel)"),
    ]
    wanted = [text for is_needed, text in wants if is_needed]
    if wanted and not one.langs:
        return f"It needs {' and '.join(wanted)} in a target language that the encoder can read."
    limit = situation.minutes
    if one.minutes is not None and limit is not None and one.minutes > limit:
        return f"It takes about {one.minutes:.0f} minutes; there are {limit:g}."
    return ""


def _recommend(
    recipe: Recipe, situation: Situation, langs: Sequence[str], gains: Sequence[Gain]
) -> Recommendation:
    per_class = situation.labels_per_class(langs) if recipe.needs.target_labels else 0.0
    gain = None if recipe.name == BASELINE else find_gain(recipe.name, per_class, gains)
    share = len(langs) / max(1, len(situation.targets))
    counted = 0.0 if gain is None or (gain.mean > 0.0 and not gain.is_sure) else gain.mean
    is_second = recipe.needs.start
    time = recipe.time + is_second if gain is None or gain.time is None else gain.time
    time -= is_second and situation.has_start
    whole = situation.baseline_minutes
    reasons = [_why(recipe, situation, langs, per_class)]
    reasons += _reservations(recipe, situation, langs, gain, per_class)
    return Recommendation(
        recipe=recipe,
        langs=tuple(langs),
        gain=gain,
        benefit=counted * share,
        time=time,
        minutes=None if whole is None else time * whole,
        reasons=tuple(reasons),
    )


def _why(recipe: Recipe, situation: Situation, langs: Sequence[str], per_class: float) -> str:
    """What the recipe does and for whom."""
    with_what = []
    if recipe.needs.target_labels:
        with_what.append(f"{per_class:.0f} labels per class")
    if recipe.needs.unlabelled:
        n_texts = sum(situation.languages[lang].n_unlabelled for lang in langs)
        with_what.append(f"{n_texts:,} unlabelled texts")
    if recipe.needs.lexicons or recipe.needs.glosses:
        with_what.append("lexicons")
    if recipe.needs.translator:
        with_what.append("a translator")
    if recipe.needs.parallel:
        with_what.append("translations of source texts")
    own = f" with {' and '.join(with_what)}" if with_what else ""
    where = f", for {name_languages(langs)}{own}" if langs else ""
    good_for = f" Good for: {recipe.when}." if recipe.when else ""
    return f"What is trained: {recipe.what}{where}.{good_for}"


def _reservations(
    recipe: Recipe,
    situation: Situation,
    langs: Sequence[str],
    gain: Optional[Gain],
    per_class: float,
) -> Iterable[str]:
    """What to know before one trusts the figure."""
    if recipe.name == BASELINE:
        yield "It is what all gains are against."
    elif gain is None:
        yield "What it brings was not measured."
    elif gain.mean <= 0.0:
        yield "It brought nothing where it was measured."
    elif not gain.is_sure:
        yield "That it brings anything is not sure: the interval holds 0, or is not known."
    if gain is not None and gain.labels_per_class and per_class:
        ratio = per_class / gain.labels_per_class
        if not 1 / FAR_FROM_MEASURED <= ratio <= FAR_FROM_MEASURED:
            yield (
                f"It was measured with {gain.labels_per_class} labels per class; "
                f"{'more' if ratio > 1 else 'fewer'} may bring {'more' if ratio > 1 else 'less'}."
            )
    n_targets = len(situation.targets)
    if langs and len(langs) < n_targets:
        yield f"It does nothing for {n_targets - len(langs)} of {n_targets} target languages."
    if recipe.needs.target_labels:
        for lang in langs:
            lacking = [x for x in situation.labels if not situation.languages[lang].labels.get(x)]
            if lacking:
                yield (
                    f"{language_name(lang)} has no labelled text of {len(lacking)} of "
                    f"{len(situation.labels)} labels ({', '.join(lacking[:MAX_NAMED])})."
                )


def _find_warnings(situation: Situation) -> List[str]:
    warnings = []
    labels = situation.labels
    if not any(facts.n_labelled for facts in situation.languages.values()):
        warnings.append("There is no labelled text, so nothing can be trained.")
    elif not situation.has_choice:
        warnings.append(
            f"All labelled texts have the label {', '.join(labels) or '(none)'}: there is nothing "
            f"to tell apart."
        )
    counts = {lang: facts.n_labelled for lang, facts in situation.languages.items()}
    most = max((facts.n_labelled for facts in situation.sources), default=0)
    rivals = [x for x in situation.targets if counts[x] and counts[x] >= most]
    if rivals:
        warnings.append(
            f"{name_languages(rivals)} {'has' if len(rivals) == 1 else 'have'} as many labels as "
            f"the source, {name_languages(situation.source_langs)}. Others can be the source: "
            f"--source-langs."
        )
    if not situation.targets:
        warnings.append(
            "Only the source language is known of. To hear about others, give texts in them "
            "(--unlabelled), labelled or not, or name them (--target-langs)."
        )
    unreadable = [x for x, facts in situation.languages.items() if not facts.is_readable]
    if unreadable:
        warnings.append(
            f"The encoder cannot read {name_languages(unreadable)}: more than "
            f"{100 * MAX_UNKNOWN_SHARE:.0f} % of the word pieces are unknown to it. No recipe "
            f"helps there but another encoder."
        )
    warnings += _warn_of_pieces(situation)
    new = sorted(
        {
            label
            for lang in situation.targets
            for label, n in situation.languages[lang].labels.items()
            if n and label not in labels
        }
    )
    if new and any(facts.n_labelled for facts in situation.sources):
        warnings.append(
            f"Labels that only target languages have: {', '.join(new[:MAX_NAMED])}. A classifier "
            f"trained on the source never gives them. If they are others under another name, "
            f"import the data with a label map (data import --label-map)."
        )
    return warnings


def _warn_of_pieces(situation: Situation) -> Iterable[str]:
    known: Dict[str, float] = {
        lang: facts.pieces_per_word
        for lang, facts in situation.languages.items()
        if facts.pieces_per_word is not None and facts.is_readable
    }
    usual = [known[lang] for lang in situation.source_langs if lang in known]
    torn = [
        lang
        for lang in situation.targets
        if lang in known and usual and known[lang] > MANY_PIECES * max(usual)
    ]
    if torn:
        yield (
            f"Words of {name_languages(torn)} are torn into more than {MANY_PIECES:g} times as "
            f"many pieces as those of the source: the encoder knows little of them, and zero-shot "
            f"loses most there."
        )


def name_languages(langs: Sequence[str]) -> str:
    """Names of languages, or of many their number."""
    if len(langs) > MAX_NAMED:
        return f"{len(langs)} languages"
    return ", ".join(language_name(lang) for lang in langs)
