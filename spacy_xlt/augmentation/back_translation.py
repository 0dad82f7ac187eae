"""An augmenter that says training texts in other words: translated, and translated back."""

from random import Random
from typing import Dict, Iterable, Iterator, Sequence, Tuple

from spacy.language import Language
from spacy.training import Example

from ..languages import UNKNOWN, get_doc_language
from ..types import Translator
from .augmenters import Augmenter, copy_example, seed_of

# Texts handed to a translator at once.
BATCH_SIZE = 64


def create_back_translate_v1(
    *,
    there: Translator,
    back: Translator,
    rate: float = 1.0,
    weight: float = 1.0,
    seed: int = 0,
) -> Augmenter:
    """Add a copy of each document that went into another language and back.

    there (Translator): From the documents' language; best in `spacy_xlt.CachedTranslator.v1`, so
        that the next run does not wait for it again.
    back (Translator): From there into the documents' language.
    rate (float): Chance of each document to get a copy, in [0, 1].
    weight (float): What a copy counts in training, compared with its original.
    seed (int): Another seed chooses other documents.
    RETURNS (Augmenter): The augmenter; see `BackTranslator`.
    RAISES (ValueError): If the translators do not make a round trip, or a setting is out of range.
    SOURCE: Xie et al. (2020), "Unsupervised Data Augmentation", section 2.2,
        https://arxiv.org/abs/1904.12848; there for consistency, here with the original's labels.
    """
    if (there.to_lang, back.to_lang) != (back.from_lang, there.from_lang):
        raise ValueError(
            f"The translators go from '{there.from_lang}' into '{there.to_lang}' and from "
            f"'{back.from_lang}' into '{back.to_lang}', which is no way there and back."
        )
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate is {rate}; allowed is 0 to 1.")
    if not 0.0 <= weight < float("inf"):
        raise ValueError(f"weight is {weight}; allowed is any number from 0.")
    return BackTranslator(there, back, rate=rate, weight=weight, seed=seed)


class BackTranslator:
    """Gives each example, and after it a copy in other words.

    A copy has the labels, the id and the language of its original. Documents in other languages
    than the translators', without labels, or whose text comes back as it was get none.

    there, back (Translator): The way into another language and back.
    rate (float): Chance of a copy.
    weight (float): What a copy counts in training, compared with its original.
    seed (int): Seed of the choice, which depends on it and the text alone.
    """

    def __init__(
        self, there: Translator, back: Translator, *, rate: float, weight: float, seed: int
    ):
        self.there = there
        self.back = back
        self.rate = rate
        self.weight = weight
        self.seed = seed
        self._returned: Dict[str, str] = {}

    def __call__(self, nlp: Language, example: Example) -> Iterator[Example]:
        """YIELDS (Example): The example itself, then its copy."""
        yield example
        text = example.reference.text
        lang = get_doc_language(example.reference)
        if not example.reference.cats or not self._is_chosen(text, lang):
            return
        if text not in self._returned:
            self._translate([text])
        copy = self._returned[text]
        if copy.strip() and copy != text:
            yield copy_example(nlp, example, copy, weight=self.weight)

    def prepare(self, texts: Iterable[Tuple[str, str]]) -> None:
        """Translate the texts of a corpus in batches before it is read document by document.

        texts (Iterable[Tuple[str, str]]): Each with its language.
        """
        wanted = dict.fromkeys(text for text, lang in texts if self._is_chosen(text, lang))
        missing = [text for text in wanted if text not in self._returned]
        for start in range(0, len(missing), BATCH_SIZE):
            self._translate(missing[start : start + BATCH_SIZE])

    def _is_chosen(self, text: str, lang: str) -> bool:
        if lang not in (UNKNOWN, self.there.from_lang) or not text.strip():
            return False
        return Random(seed_of(text, lang, self.seed)).random() < self.rate

    def _translate(self, texts: Sequence[str]) -> None:
        """RAISES (ValueError): If a translator loses texts."""
        foreign = _check_count(self.there, texts, self.there.translate(texts))
        known = [text for text in foreign if text.strip()]
        returned = iter(_check_count(self.back, known, self.back.translate(known)))
        for text, translation in zip(texts, foreign, strict=True):
            self._returned[text] = next(returned) if translation.strip() else ""


def _check_count(
    translator: Translator, texts: Sequence[str], translated: Sequence[str]
) -> Sequence[str]:
    if len(translated) != len(texts):
        raise ValueError(
            f"The translator '{translator.name}' returned {len(translated):,} texts for "
            f"{len(texts):,}, so it is unclear which belong together."
        )
    return translated
