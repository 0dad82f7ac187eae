"""Types shared by all rooms of the house; imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Optional, Protocol, Tuple, Union, runtime_checkable

# How the piece vectors of a window become one vector.
Pooling = Literal["mean", "cls", "last"]
# What training leaves untouched: nothing, the embedding table, all below the layers and the lower
# half or the N lowest of them, or the whole encoder (only the head is trained).
Freeze = Union[Literal["none", "embeddings", "half", "encoder"], int]
# Arithmetic of the encoder. "auto" is bfloat16 where the hardware has it, else fp32.
Precision = Literal["auto", "fp32", "bf16"]
# How frequent labels count as in target documents: as they are, as in the source's, all the same.
ClassMix = Literal["own", "source", "even"]
# Which matrices are kept in half precision (fp16): none, those that training leaves untouched, or
# on the disk all of them.
HalfPrecision = Literal["none", "frozen", "all"]


@dataclass(frozen=True)
class EncoderSettings:
    """Which encoder a component reads and how it reads a text.

    path (Optional[str]): Directory of the encoder; only needed by `initialize`.
    pooling (Optional[Pooling]): How pieces become one vector; None is what the encoder was
        trained with, as recorded in its directory.
    prefix (Optional[str]): Text put before every document; None is what the encoder was
        trained with, as recorded in its directory.
    normalize (bool): Whether pooled vectors get unit length.
    window_pieces (int): Longest window in word pieces, special pieces included.
    overlap_pieces (int): Word pieces that neighbouring windows of a long document share.
    """

    path: Optional[str]
    pooling: Optional[Pooling]
    prefix: Optional[str]
    normalize: bool
    window_pieces: int
    overlap_pieces: int


class LexiconEntry(NamedTuple):
    """What a lexicon says about a word.

    headword (str): The word as the lexicon spells it.
    translations (Tuple[str, ...]): Its translations, the best first; at least one.
    """

    headword: str
    translations: Tuple[str, ...]


@runtime_checkable
class Lexicon(Protocol):
    """Words of one language and their translations into another, or into its own: synonyms.

    from_lang (str): Standard tag of the words' language.
    to_lang (str): Standard tag of the translations' language.
    max_words (int): Words in the longest headword.
    """

    from_lang: str
    to_lang: str
    max_words: int

    def find(self, text: str) -> Optional[LexiconEntry]:
        """The entry of a word or phrase as it stands in a text; None if there is none."""

    def inverted(self) -> "Lexicon":
        """The lexicon for the other direction."""
