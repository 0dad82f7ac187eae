"""Types shared by all rooms of the house; imports nothing heavy."""

from dataclasses import dataclass
from typing import (
    List,
    Literal,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
    runtime_checkable,
)

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


@dataclass(frozen=True)
class LoRASettings:
    """Low-rank matrices beside linear maps; see `architectures.build_lora_v1`.

    n_below (int): Lowest layers that get none.
    """

    rank: int
    alpha: float
    dropout: float
    targets: Optional[Tuple[str, ...]]
    n_below: int = 0


@dataclass(frozen=True)
class BottleneckSettings:
    """A narrow block after each layer's last map; see `architectures.build_bottleneck_v1`.

    n_below (int): Lowest layers that get none.
    """

    width: int
    n_below: int = 0


@dataclass(frozen=True)
class PrefixSettings:
    """Keys and values that every window attends to; see `architectures.build_prefix_v1`.

    n_below (int): Lowest layers that get none.
    """

    length: int
    n_below: int = 0


# What is trained inside an encoder that stays as it is.
AdapterSettings = Union[LoRASettings, BottleneckSettings, PrefixSettings]


@dataclass(frozen=True)
class RobustSettings:
    """What training adds to its objective; `architectures.build_robust_v1` explains each."""

    agreement: float = 0.0
    adversary_radius: float = 0.0
    pull_to_start: float = 0.0
    mask_rate: float = 0.0
    drop_rate: float = 0.0
    subword_rate: float = 0.0
    subword_sharpness: float = 0.3
    language_reversal: float = 0.0

    @property
    def has_second_pass(self) -> bool:
        """Whether a document is read twice in a step."""
        return self.agreement > 0.0 or self.adversary_radius > 0.0

    @property
    def changes_pieces(self) -> bool:
        """Whether texts are read in other pieces than usual."""
        return max(self.mask_rate, self.drop_rate, self.subword_rate) > 0.0


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


@runtime_checkable
class Translator(Protocol):
    """Translates texts of one language into another.

    from_lang (str): Standard tag of the texts' language.
    to_lang (str): Standard tag of the translations' language.
    name (str): What makes the translations, and which version of it. Equal names stand for equal
        translations, so that a cache may keep them under it.
    """

    from_lang: str
    to_lang: str
    name: str

    def translate(self, texts: Sequence[str]) -> List[str]:
        """The translation of each text, in their order; "" for one that was not translated."""
