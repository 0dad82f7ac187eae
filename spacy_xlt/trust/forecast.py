"""How accurate a classifier will be in languages without labels, and which not to trust.

What a pipeline says about unlabelled text is compared with what it says about the source
language, whose accuracy is known: how sure it is, and how far the halves of a text get the same
answer, both beyond chance. A line leads from there to accuracy beyond chance. Its coefficients
come from other pipelines (`forecast_prior.json`) and give way to what the user's own labelled
languages show, the more so the more there are.
"""

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import norm
from spacy.language import Language

from ..components.warning import StoredForecast
from ..evaluation.advice import MAX_GAP
from ..evaluation.forecasts import LanguageForecast, Signs
from ..evaluation.metrics import Z_95, compare
from ..languages import language_name
from ..layers.losses import to_logits
from ..pieces import MANY_PIECES
from .temperatures import BOUNDS, to_scores

PRIOR_FILE = Path(__file__).with_name("forecast_prior.json")
# With fewer different texts there is no forecast.
MIN_TEXTS = 10
# The alarm goes off if a language stands more than MAX_GAP below the source with more than this
# probability: to miss one costs as much as four false alarms.
MAX_RISK = 0.2
# Share of letters that the encoder cannot read from which the alarm goes off in any case.
MAX_UNREADABLE = 0.2
# How far the noise in accuracies measured in several languages is the same: corpora often have the
# same sentences in all, and a hard one is hard everywhere.
SHARED_NOISE = 0.5
# Agreement beyond chance is kept within this range, so that its logit is finite.
AGREEMENT_RANGE = (0.02, 0.98)
# What is worth a sentence: words in many pieces (from so many on they are not words, but of a
# script without spaces), and one answer for this share of the texts.
LONGEST_WORD = 6.0
FREQUENT_ANSWER = 0.5


@dataclass(frozen=True)
class Prior:
    """What other pipelines tell of the coefficients of (1, sharpness, halves).

    mean (np.ndarray): Shape: (3,)
    covariance (np.ndarray): How pipelines differ. Shape: (3, 3)
    spread (float): Standard deviation of languages around the line of their pipeline.
    spread_log_sd (float): How pipelines differ in that: standard deviation of its logarithm.
    """

    mean: np.ndarray
    covariance: np.ndarray
    spread: float
    spread_log_sd: float

    def loss(
        self, rows: np.ndarray, measured: np.ndarray, noise: np.ndarray, log_spread: float
    ) -> float:
        """How unlikely measured languages of a pipeline are: minus the logarithm, up to a
        constant.

        rows, measured, noise: As `Line` has them. Shapes: (n_langs, 3), (n_langs,),
            (n_langs, n_langs)
        log_spread (float): The pipeline's own spread, as the logarithm of a multiple.
        """
        spread = self.spread * np.exp(log_spread)
        covariance = rows @ self.covariance @ rows.T + noise + spread**2 * np.eye(len(rows))
        rest = measured - rows @ self.mean
        fit = np.linalg.slogdet(covariance)[1] + rest @ np.linalg.solve(covariance, rest)
        return 0.5 * float(fit + (log_spread / self.spread_log_sd) ** 2)


@dataclass(frozen=True)
class Reading:
    """What a pipeline says about different texts of one language.

    scores (np.ndarray): Probabilities without calibration. Shape: (n_texts, n_labels)
    first, second (np.ndarray): Those of the halves of the texts. Shapes: as above.
    n_words, n_letters (int): Of all texts.
    n_pieces (int): The same; 0 if another component divides texts into pieces.
    n_unknown (int): Pieces that the encoder cannot read.
    unreadable (Counter): Letters that the encoder cannot read, with their numbers.
    """

    scores: np.ndarray
    first: np.ndarray
    second: np.ndarray
    n_words: int
    n_letters: int
    n_pieces: int
    n_unknown: int
    unreadable: Counter

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Labelled:
    """Texts of one language with their labels.

    gold (np.ndarray): Gold probabilities, NaN where not annotated. Shape: (n_texts, n_labels)
    """

    reading: Reading
    gold: np.ndarray


@dataclass(frozen=True)
class Decider:
    """How the scores of a pipeline become answers, and probabilities that mean what they say."""

    labels: Sequence[str]
    exclusive: bool
    threshold: Optional[float]
    temperature: float = 1.0

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """Answers, 1.0 for each label that is given. Shape: (n_texts, n_labels)"""
        nothing = np.zeros_like(scores)
        outcomes = compare(nothing, scores, exclusive=self.exclusive, threshold=self.threshold)
        return outcomes.predicted.astype(float)

    def is_correct(self, part: Labelled) -> np.ndarray:
        """Which texts get wholly the right answer. Shape: (n_texts,)"""
        scores = part.reading.scores
        return compare(
            part.gold, scores, exclusive=self.exclusive, threshold=self.threshold
        ).correct

    def calibrate(self, scores: np.ndarray) -> np.ndarray:
        logits = to_logits(scores, exclusive=self.exclusive) / self.temperature
        return to_scores(logits, exclusive=self.exclusive)

    def agree(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Probability that answers drawn from the scores of a text are the same.

        a, b (np.ndarray): Scores; NaN in b agrees with anything. Shape: (n_texts, n_labels)
        RETURNS (np.ndarray): Shape: (n_texts,)
        """
        if self.exclusive:
            return (a * np.nan_to_num(b)).sum(axis=1)
        return np.where(np.isnan(b), 1.0, a * b + (1 - a) * (1 - b)).prod(axis=1)

    def agree_each(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The same for every text of a with every text of b. Shape: (n_a, n_b)"""
        if self.exclusive:
            return a @ np.nan_to_num(b).T
        agreement = np.ones((len(a), len(b)))
        for x, y in zip(a.T[:, :, None], b.T[:, None], strict=True):
            agreement *= np.where(np.isnan(y), 1.0, x * y + (1 - x) * (1 - y))
        return agreement


# -- what a pipeline says -------------------------------------------------------------------


def read_texts(nlp: Language, component: str, texts: Sequence[str]) -> Reading:
    """Let a pipeline read the texts of a language.

    component (str): Name of an `xlt_textcat` or `xlt_textcat_multilabel`.
    texts (Sequence[str]): At least one.
    """
    pipe: Any = nlp.get_pipe(component)
    first, second = zip(*map(split_text, texts), strict=True)
    letters = Counter(char for text in texts for char in text if char.isalpha())
    pieces = pipe.count_pieces(texts)
    of_letters = zip(letters, pipe.count_pieces(list(letters)), strict=bool(pieces))
    return Reading(
        scores=_predict(nlp, component, texts),
        first=_predict(nlp, component, first),
        second=_predict(nlp, component, second),
        n_words=sum(len(text.split()) for text in texts),
        n_letters=letters.total(),
        n_pieces=sum(n for n, _ in pieces),
        n_unknown=sum(n_unknown for _, n_unknown in pieces),
        unreadable=Counter({x: letters[x] for x, (_, n_unknown) in of_letters if n_unknown}),
    )


def split_text(text: str) -> Tuple[str, str]:
    """Both halves of a text, divided at the space nearest to its middle if one is near."""
    middle = len(text) // 2
    spaces = (i for i, char in enumerate(text) if char.isspace())
    nearest = min(spaces, key=lambda i: abs(i - middle), default=middle)
    if abs(nearest - middle) <= max(15, len(text) // 6):
        middle = nearest
    return text[:middle].strip(), text[middle:].strip()


def _predict(nlp: Language, component: str, texts: Sequence[str]) -> np.ndarray:
    """Probabilities without calibration. Shape: (n_texts, n_labels)"""
    pipe: Any = nlp.get_pipe(component)
    before = nlp.pipe_names[: nlp.pipe_names.index(component)]
    parts = []
    with nlp.select_pipes(enable=before):
        for start in range(0, len(texts), nlp.batch_size):
            with nlp.memory_zone():
                docs = list(nlp.pipe(texts[start : start + nlp.batch_size]))
                parts.append(pipe.predict(docs, calibrated=False))
    return np.concatenate(parts).astype(float)


# -- from there to accuracy -----------------------------------------------------------------


class Line:
    """The line from signs to accuracy of one pipeline.

    It runs through the source, from which logits and signs are counted.

    decider (Decider): Of the pipeline; the temperature is fitted to the source.
    source (Labelled): Source texts that were not trained on.
    labelled (Mapping[str, Labelled]): Texts of other languages, which it then follows.
    prior (Optional[Prior]): What other pipelines tell; None is what this package ships.
    RAISES (ValueError): If there are fewer than MIN_TEXTS source texts.
    """

    def __init__(
        self,
        decider: Decider,
        source: Labelled,
        labelled: Mapping[str, Labelled],
        prior: Optional[Prior] = None,
    ):
        n = len(source.reading)
        if n < MIN_TEXTS:
            raise ValueError(
                f"There are {n} labelled source texts, at least {MIN_TEXTS} are needed, better "
                f"100. Name texts that the pipeline was not trained on with --source."
            )
        self.prior = prior or read_prior()
        self.gold = source.gold
        # Neither all nor none of its answers are ever right for certain.
        self.accuracy = (int(decider.is_correct(source).sum()) + 1) / (n + 2)
        self.decider = _fit_temperature(decider, source.reading.scores, self.accuracy)
        chance = self._chance(source.reading)
        self.agreement = _logit((self.accuracy - chance) / (1 - chance))
        self.origin, _ = self._place(source.reading)
        self.source_signs = self.signs(source.reading)
        self.n_labelled = {lang: len(part.reading) for lang, part in labelled.items()}
        points = [self._measure(part) for part in labelled.values()]
        self.rows = np.array([row for row, _, _ in points]).reshape(-1, len(self.prior.mean))
        self.measured = np.array([measured for _, measured, _ in points])
        noise = np.array([noise for _, _, noise in points])
        self.noise = (1 - SHARED_NOISE) * np.diag(noise)
        self.noise += SHARED_NOISE * np.sqrt(np.outer(noise, noise))
        self.spread = self._fit_spread()

    def _fit_spread(self) -> float:
        """How far languages lie off the line, by those with labels as far as there are any."""
        prior = self.prior
        log_spread = prior.spread_log_sd**2  # the root of the mean square, nothing else known
        if self.n_labelled:
            found = minimize_scalar(
                lambda value: prior.loss(self.rows, self.measured, self.noise, value),
                bounds=(-3 * prior.spread_log_sd, 3 * prior.spread_log_sd),
                method="bounded",
            )
            log_spread = float(found.x)
        return prior.spread * float(np.exp(log_spread))

    def _measure(self, part: Labelled) -> Tuple[np.ndarray, float, float]:
        """Where a labelled language lies: its row, the logit of its agreement with the gold
        labels, and the variance of that."""
        n, chance = len(part.reading), self._chance(part.reading)
        # Drawn a little towards chance, so that it is never without noise.
        accuracy = (int(self.decider.is_correct(part).sum()) + 2 * chance) / (n + 2)
        agreement = float(np.clip((accuracy - chance) / (1 - chance), *AGREEMENT_RANGE))
        slope = (1 - chance) * agreement * (1 - agreement)
        noise = accuracy * (1 - accuracy) / n / slope**2
        return self._row(part.reading)[0], _logit(agreement) - self.agreement, noise

    def forecast(self, lang: str, reading: Reading) -> Tuple[float, Tuple[float, float], float]:
        """Accuracy in a language, its 95 % interval, and the risk of more than MAX_GAP.

        SOURCE: regression with a Gaussian process, whose kernel is linear with an effect of the
            language (Rasmussen and Williams, 2006, equations 2.23 and 2.24).
        """
        row, noise = self._row(reading)
        prior, effect_variance = self.prior, self.spread**2
        effect = np.array([effect_variance * (lang == other) for other in self.n_labelled])
        common = self.rows @ prior.covariance @ row + effect
        known = self.rows @ prior.covariance @ self.rows.T
        known += self.noise + effect_variance * np.eye(len(self.rows))
        weights = np.linalg.solve(known, common)
        center = row @ prior.mean + weights @ (self.measured - self.rows @ prior.mean)
        variance = row @ prior.covariance @ row + effect_variance - weights @ common + noise
        deviation = float(np.sqrt(variance))
        chance = self._chance(reading)
        low, middle, high = (
            float(chance + (1 - chance) * expit(self.agreement + center + z * deviation))
            for z in (-Z_95, 0.0, Z_95)
        )
        limit = (self.accuracy - MAX_GAP - chance) / (1 - chance)
        if limit <= 0.0:
            return middle, (low, high), 0.0
        # The source's accuracy, and so the limit, is not known for certain either.
        slope = (1 - chance) * limit * (1 - limit)
        source_variance = self.accuracy * (1 - self.accuracy) / len(self.gold) / slope**2
        distance = logit(limit) - self.agreement - center
        return middle, (low, high), float(norm.cdf(distance / np.sqrt(variance + source_variance)))

    def signs(self, reading: Reading) -> Signs:
        """What the pipeline shows on texts."""
        answers = self.decider.decide(reading.scores)
        sharpness, halves = (beyond_chance(each) for each in self._agreements(reading))
        kinds, counts = np.unique(answers, axis=0, return_counts=True)
        given = zip(self.decider.labels, kinds[counts.argmax()], strict=True)
        has_pieces = reading.n_pieces > 0
        return {
            "confidence": float(self.decider.agree(answers, self._calibrated(reading)).mean()),
            "sharpness": sharpness,
            "halves": halves,
            "frequent_answer": "+".join(label for label, is_given in given if is_given),
            "frequent_share": float(counts.max() / len(answers)),
            "pieces_per_word": reading.n_pieces / max(1, reading.n_words) if has_pieces else None,
            "unknown_share": reading.n_unknown / reading.n_pieces if has_pieces else None,
            "unreadable_share": (
                reading.unreadable.total() / max(1, reading.n_letters) if has_pieces else None
            ),
            "unreadable_script": _name_script(reading.unreadable),
        }

    def _calibrated(self, reading: Reading) -> np.ndarray:
        return self.decider.calibrate(reading.scores)

    def _agreements(self, reading: Reading) -> Tuple[np.ndarray, np.ndarray]:
        """Of answers with probabilities, and of first with second halves: each with each."""
        decider = self.decider
        answers = decider.decide(reading.scores)
        halves = decider.calibrate(reading.first), decider.calibrate(reading.second)
        return decider.agree_each(answers, self._calibrated(reading)), decider.agree_each(*halves)

    def _place(self, reading: Reading) -> Tuple[np.ndarray, np.ndarray]:
        """Logit of the sharpness, and agreement of the halves; and their covariance, as it comes
        from the choice of texts (jackknife)."""
        sharp, halves = self._agreements(reading)
        n = len(reading)
        rest = np.array([_logit(without_each(sharp)), without_each(halves)])
        rest -= rest.mean(axis=1, keepdims=True)
        place = np.array([_logit(beyond_chance(sharp)), beyond_chance(halves)])
        return place, (n - 1) / n * rest @ rest.T

    def _row(self, reading: Reading) -> Tuple[np.ndarray, float]:
        """What the coefficients are multiplied with, and the variance from the choice of texts."""
        place, covariance = self._place(reading)
        slopes = self.prior.mean[1:]
        return np.concatenate([[1.0], place - self.origin]), float(slopes @ covariance @ slopes)

    def _chance(self, reading: Reading) -> float:
        """Accuracy of answers that are given to source texts at random."""
        answers = self.decider.decide(reading.scores)
        return min(0.99, float(self.decider.agree_each(answers, self.gold).mean()))


def _fit_temperature(decider: Decider, scores: np.ndarray, accuracy: float) -> Decider:
    """A decider whose answers are on average as probable as they are right."""
    answers = decider.decide(scores)

    def with_log(value: float) -> Decider:
        return replace(decider, temperature=float(np.exp(value)))

    def error(value: float) -> float:
        found = decider.agree(answers, with_log(value).calibrate(scores)).mean()
        return float(found - accuracy) ** 2

    return with_log(minimize_scalar(error, bounds=BOUNDS, method="bounded").x)


def beyond_chance(agreements: np.ndarray) -> float:
    """Agreement of texts with themselves, as a share of what they may have more than with other
    texts: 1 for full agreement, 0 for chance.

    agreements (np.ndarray): Of each text with each. Shape: (n_texts, n_texts)
    SOURCE: kappa of Cohen (1960)
    """
    n, own = len(agreements), float(np.trace(agreements))
    chance = (float(agreements.sum()) - own) / (n * (n - 1))
    return (own / n - chance) / max(1 - chance, 1e-9)


def without_each(agreements: np.ndarray) -> np.ndarray:
    """`beyond_chance` without each text in turn. Shape: (n_texts,)"""
    n, own = len(agreements) - 1, np.diag(agreements)
    with_text = agreements.sum(axis=0) + agreements.sum(axis=1) - 2 * own
    chance = (agreements.sum() - own.sum() - with_text) / (n * (n - 1))
    return ((own.sum() - own) / n - chance) / np.maximum(1 - chance, 1e-9)


def _logit(agreement: Any) -> Any:
    return logit(np.clip(agreement, *AGREEMENT_RANGE))


@lru_cache(maxsize=1)
def read_prior() -> Prior:
    """The coefficients that this package ships; their file says how they were made."""
    content: Dict[str, Any] = json.loads(PRIOR_FILE.read_text(encoding="utf8"))
    return Prior(
        np.array(content["mean"]),
        np.array(content["covariance"]),
        content["spread"],
        content["spread_log_sd"],
    )


# -- what to say ----------------------------------------------------------------------------


def forecast_languages(
    line: Line, texts: Mapping[str, Reading], *, source_name: str
) -> List[LanguageForecast]:
    """Forecasts for the texts of several languages, the best first.

    source_name (str): What sentences call the source.
    """
    rows = []
    for lang, reading in texts.items():
        accuracy, interval, risk = line.forecast(lang, reading)
        signs = line.signs(reading)
        row: LanguageForecast = {
            "lang": lang,
            "n": len(reading),
            "n_labelled": line.n_labelled.get(lang, 0),
            "accuracy": accuracy,
            "interval": interval,
            "gap": line.accuracy - accuracy,
            "risk": risk,
            "alarm": risk > MAX_RISK or _is_unreadable(signs),
            "reasons": [],
            "signs": signs,
        }
        if row["alarm"]:
            row["reasons"] = explain(row, line.source_signs, source_name)
        rows.append(row)
    return sorted(rows, key=lambda row: -row["accuracy"])


def explain(row: LanguageForecast, source: Signs, source_name: str) -> List[str]:
    """Why labels in a language should not be trusted, the gravest reason first."""
    signs, (low, high) = row["signs"], row["interval"]
    reasons = []
    if _is_unreadable(signs):
        reasons.append(
            f"The encoder cannot read {_percent(signs['unreadable_share'])} of the letters "
            f"({signs['unreadable_script']})."
        )
    reasons.append(
        f"The accuracy is forecast to be {_percent(row['accuracy'])} ({_percent(low)} to "
        f"{_percent(high)}), in {source_name} it is {_percent(row['accuracy'] + row['gap'])}."
    )
    share, answer = signs["frequent_share"], signs["frequent_answer"]
    if share >= max(FREQUENT_ANSWER, 1.5 * source["frequent_share"]):
        reasons.append(f"{_percent(share)} of the texts get the same answer, '{answer}'.")
    own, usual = signs["pieces_per_word"], source["pieces_per_word"]
    if own is not None and usual is not None and MANY_PIECES * usual <= own <= LONGEST_WORD:
        reasons.append(
            f"Words fall into {own:.1f} pieces, in {source_name} into {usual:.1f}: the encoder has "
            f"seen little of the language."
        )
    if signs["confidence"] < source["confidence"]:
        reasons.append(
            f"Its answers have a probability of {_percent(signs['confidence'])} on average, in "
            f"{source_name} of {_percent(source['confidence'])}."
        )
    return reasons


def to_stored(forecasts: Iterable[LanguageForecast]) -> Dict[str, StoredForecast]:
    """What a pipeline keeps of forecasts, by language."""
    stored: Dict[str, StoredForecast] = {}
    for row in forecasts:
        name = language_name(row["lang"])
        reasons = [f"Labels in {name} should not be trusted.", *row["reasons"]]
        stored[row["lang"]] = {
            "accuracy": row["accuracy"],
            "interval": list(row["interval"]),
            "alarm": row["alarm"],
            "reason": " ".join(reasons) if row["alarm"] else "",
        }
    return stored


def _is_unreadable(signs: Signs) -> bool:
    return (signs["unreadable_share"] or 0.0) > MAX_UNREADABLE


def _percent(share: Optional[float]) -> str:
    return f"{100 * (share or 0.0):.0f} %"


def _name_script(letters: Counter) -> str:
    """Unicode's name of the script of the most frequent letter, such as "Ol Chiki"."""
    if not letters:
        return ""
    name = unicodedata.name(max(letters, key=lambda x: letters[x]), "no name")
    for word in (" LETTER", " SYLLABLE", " VOWEL", " IDEOGRAPH"):
        name = name.partition(word)[0]
    return name.title()
