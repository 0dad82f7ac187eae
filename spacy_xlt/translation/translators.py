"""What all translators share: batches, chains over a pivot, and word-by-word translation."""

import hashlib
from typing import Any, Callable, Dict, Iterable, List, Sequence

from ..substitution import translate_words
from ..types import Lexicon, Translator

BATCH_SIZE = 64
# Wraps what is gone through, to show how far it is; gets the number of texts as `total`.
Progress = Callable[[Iterable[List[str]]], Iterable[List[str]]]


def create_lexicon_translator_v1(*, lexicon: Lexicon) -> "LexiconTranslator":
    """Translate word by word.

    lexicon (Lexicon): `spacy_xlt.Lexicon.v1`.
    """
    return LexiconTranslator(lexicon)


def create_translator_chain_v1(*translators: Translator) -> Translator:
    """Translate over one or more pivots: English, Spanish, Portuguese.

    translators (Translator): The steps, each from the language that the one before gives.
    RAISES (ValueError): If there is none, or one does not go on where the one before ends.
    """
    return chain_translators(translators)


class LexiconTranslator:
    """Puts the first translation in a lexicon in the place of each word that is there.

    lexicon (Lexicon): The lexicon.
    """

    def __init__(self, lexicon: Lexicon):
        self.lexicon = lexicon
        self.from_lang = lexicon.from_lang
        self.to_lang = lexicon.to_lang
        self.name = f"lexicon:{lexicon.from_lang}-{lexicon.to_lang}:{_hash_lexicon(lexicon)}"

    def translate(self, texts: Sequence[str]) -> List[str]:
        return [translate_words(text, self.lexicon) for text in texts]


class TranslatorChain:
    """Translators one after the other; see `chain_translators`."""

    def __init__(self, translators: Sequence[Translator]):
        self.translators = list(translators)
        self.from_lang = self.translators[0].from_lang
        self.to_lang = self.translators[-1].to_lang
        self.name = " > ".join(translator.name for translator in self.translators)

    def translate(self, texts: Sequence[str]) -> List[str]:
        translated = list(texts)
        for translator in self.translators:
            translated = translate_all(translator, translated)
        return translated


def chain_translators(translators: Sequence[Translator]) -> Translator:
    """Several translators as one, over the languages between them.

    RAISES (ValueError): If there is none, or one does not go on where the one before ends.
    """
    if not translators:
        raise ValueError("A chain of translators is empty. Give at least one.")
    for first, second in zip(translators, translators[1:], strict=False):
        if first.to_lang != second.from_lang:
            raise ValueError(
                f"A translator into '{first.to_lang}' is followed by one from "
                f"'{second.from_lang}'. Each must go on from the language before it."
            )
    return translators[0] if len(translators) == 1 else TranslatorChain(translators)


def translate_all(
    translator: Translator,
    texts: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress = iter,
) -> List[str]:
    """The translation of each text, "" for those that the translator gave none for.

    A text that stands several times is translated once. Blank texts stay as they are, and no
    translator sees them.

    texts (Sequence[str]): Texts in the translator's `from_lang`.
    batch_size (int): Texts handed to the translator at once.
    progress (Progress): Wraps the batches.
    RAISES (ValueError): If the translator fails, or returns another number of texts than it got.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; allowed is 1 or more.")
    wanted = list(dict.fromkeys(text for text in texts if text.strip()))
    found: Dict[str, str] = {}
    batches = [wanted[i : i + batch_size] for i in range(0, len(wanted), batch_size)]
    for batch in progress(batches):
        found.update(
            zip(batch, _translate_batch(translator, batch, len(found), len(wanted)), strict=True)
        )
    return [found.get(text, text) for text in texts]


def _translate_batch(
    translator: Translator, batch: List[str], n_done: int, n_texts: int
) -> List[str]:
    """RAISES (ValueError): With how far it came."""
    where = f"{n_done:,} of {n_texts:,} texts are translated"
    try:
        translated = translator.translate(batch)
    except (ValueError, OSError, RuntimeError) as e:
        raise ValueError(f"{where}; then '{translator.name}' failed: {e}") from e
    if len(translated) != len(batch):
        raise ValueError(
            f"{where}; then '{translator.name}' returned {len(translated):,} texts for "
            f"{len(batch):,}. Nothing is kept of these, since it is unclear which belong together."
        )
    return [text if text.strip() else "" for text in translated]


def _hash_lexicon(lexicon: Any) -> str:
    """What tells a lexicon from others of the same languages."""
    pairs: Callable[[], Iterable[Any]] = getattr(lexicon, "pairs", list)
    digest = hashlib.blake2b(digest_size=6)
    for pair in pairs():
        digest.update("\t".join(pair).encode("utf8", "surrogatepass") + b"\n")
    return digest.hexdigest()
