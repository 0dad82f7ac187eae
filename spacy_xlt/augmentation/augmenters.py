"""Augmenters of `spacy_xlt.Corpus.v1` that translate words of the source's training texts."""

import hashlib
import warnings
from collections import Counter
from random import Random
from typing import Callable, Iterable, Iterator, List, Sequence, Tuple, Union

from spacy.language import Language
from spacy.training import Example

from ..languages import UNKNOWN, get_doc_language, language_name
from ..substitution import replace_words
from ..types import Lexicon
from ..words import word_spans
from .coverage import judge_lexicon

# Words of the first documents by which coverage is judged.
JUDGED_WORDS = 1000

Augmenter = Callable[[Language, Example], Iterator[Example]]
# Makes the texts of a document's copies, with a source of chance.
Rewrite = Callable[[str, Random], Iterator[str]]


def create_code_switch_v1(
    *,
    lexicons: Union[Lexicon, List[Lexicon]],
    rate: float = 0.5,
    copies: int = 1,
    weight: float = 1.0,
    seed: int = 0,
) -> Augmenter:
    """Add copies of each document in which some words are translated, each into any language.

    lexicons (Union[Lexicon, List[Lexicon]]): `spacy_xlt.Lexicon.v1` or `spacy_xlt.Lexicons.v1`.
    rate (float): Chance of each word that a lexicon knows to be translated, in [0, 1].
    copies (int): Copies per document; those that come out as the text itself are left out.
    weight (float): What a copy counts in training, compared with its original.
    seed (int): Another seed gives other copies.
    RETURNS (Augmenter): The augmenter; see `WordAugmenter`.
    SOURCE: Qin et al. (2020), "CoSDA-ML", https://arxiv.org/abs/2006.06402; there texts are
        replaced, here they are kept, and phrases, dictionary forms and case count.
    """
    known = _check_settings(lexicons, rate, copies, weight)

    def switch(text: str, rng: Random) -> Iterator[str]:
        for _ in range(copies):
            yield replace_words(text, known, rate=rate, rng=rng)

    return WordAugmenter(switch, lexicons=known, weight=weight, seed=seed)


def create_word_translate_v1(
    *,
    lexicons: Union[Lexicon, List[Lexicon]],
    rate: float = 1.0,
    copies: int = 1,
    weight: float = 1.0,
    seed: int = 0,
) -> Augmenter:
    """Add copies of each document whose words are translated, those of a copy into one language.

    copies (int): Copies per document, each in another language while there are some left.

    All other arguments are those of `create_code_switch_v1`.
    SOURCE: Yong et al. (2024), "LexC-Gen", section 4, https://arxiv.org/abs/2402.14086, with
        several languages at once.
    """
    known = _check_settings(lexicons, rate, copies, weight)

    def translate(text: str, rng: Random) -> Iterator[str]:
        order = rng.sample(known, len(known))
        for i in range(copies):
            yield replace_words(text, [order[i % len(order)]], rate=rate, rng=rng)

    return WordAugmenter(translate, lexicons=known, weight=weight, seed=seed)


class WordAugmenter:
    """Gives each example, and after it copies with other words where lexicons know some.

    A copy has the labels, the id and the language of its original: a text with foreign words is
    no labelled text of the foreign language, and scores must not count it as one. Chance depends
    on the seed and the text alone, so that a corpus gives the same copies whenever, and in
    whatever order, it is read. spaCy reads a corpus once and goes through it epoch by epoch; for
    new words at each pass ask for more copies and train fewer epochs.

    Documents without labels, or of another language than the lexicons' words, get no copies.

    rewrite (Rewrite): Makes the texts of copies.
    lexicons (Sequence[Lexicon]): The lexicons.
    weight (float): What a copy counts in training, compared with its original.
    seed (int): Another seed gives other copies.
    """

    def __init__(self, rewrite: Rewrite, *, lexicons: Sequence[Lexicon], weight: float, seed: int):
        self.rewrite = rewrite
        self.lexicons = lexicons
        self.from_lang = lexicons[0].from_lang
        self.weight = weight
        self.seed = seed
        self._is_judged = False

    def __call__(self, nlp: Language, example: Example) -> Iterator[Example]:
        """YIELDS (Example): The example itself, then its copies."""
        yield example
        text = example.reference.text
        lang = get_doc_language(example.reference)
        if not example.reference.cats or lang not in (UNKNOWN, self.from_lang):
            return
        seen = {text}
        for copy in self.rewrite(text, Random(seed_of(text, lang, self.seed))):
            if copy not in seen:
                seen.add(copy)
                yield copy_example(nlp, example, copy, weight=self.weight)

    def prepare(self, texts: Iterable[Tuple[str, str]]) -> None:
        """Judge the lexicons, once, by the first texts of a corpus in the language of their words.

        texts (Iterable[Tuple[str, str]]): Each with its language.
        RAISES (ValueError): If a lexicon is of the other direction than it says.
        """
        if self._is_judged:
            return
        self._is_judged = True
        sample: List[str] = []
        n_words, others = 0, Counter[str]()
        for text, lang in texts:
            if lang not in (UNKNOWN, self.from_lang):
                others[lang] += 1
                continue
            sample.append(text)
            n_words += len(word_spans(text))
            if n_words >= JUDGED_WORDS:
                break
        if others and not sample:
            warnings.warn(
                f"None of the {others.total():,} documents is in {language_name(self.from_lang)}, "
                f"the language of the lexicons' words; they are in "
                f"{', '.join(language_name(lang) for lang in others)}, so they get no copies. Give "
                f"lexicons from their language.",
                stacklevel=3,
            )
        for lexicon in self.lexicons if n_words else ():
            judgement = judge_lexicon(lexicon, sample)
            if judgement.is_reversed:
                raise ValueError(judgement.worry)
            if judgement.worry:
                warnings.warn(judgement.worry, stacklevel=3)


def _check_settings(
    lexicons: Union[Lexicon, List[Lexicon]], rate: float, copies: int, weight: float
) -> List[Lexicon]:
    """The lexicons as a list. RAISES (ValueError): If a setting is out of range."""
    known = lexicons if isinstance(lexicons, list) else [lexicons]
    if not known:
        raise ValueError("lexicons is an empty list. Give at least one lexicon.")
    langs = sorted({lexicon.from_lang for lexicon in known})
    if len(langs) > 1:
        raise ValueError(
            f"The lexicons are of words in {', '.join(langs)}; allowed is one language. Set "
            f"from_lang of spacy_xlt.Lexicons.v1."
        )
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate is {rate}; allowed is 0 to 1.")
    if copies < 0:
        raise ValueError(f"copies is {copies}; allowed is 0 or more.")
    if not 0.0 <= weight < float("inf"):
        raise ValueError(f"weight is {weight}; allowed is any number from 0.")
    return known


def copy_example(nlp: Language, example: Example, text: str, *, weight: float) -> Example:
    """An example of another text with the labels of one."""
    original = example.reference
    reference, predicted = nlp.make_doc(text), nlp.make_doc(text)
    reference.cats = dict(original.cats)
    for key, value in original.user_data.items():
        # What belongs to places in the text, ("._.", name, start, end), does not fit another.
        if not isinstance(key, tuple) or key[2] is None:
            reference.user_data[key] = value
    reference._.xlt_weight = original._.xlt_weight * weight
    predicted._.xlt_lang = original._.xlt_lang
    return Example(predicted, reference)


def seed_of(text: str, lang: str, seed: int) -> int:
    """A seed that depends on a document and a seed, not on when it is read."""
    content = f"{seed}\0{lang}\0{text}".encode("utf8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
