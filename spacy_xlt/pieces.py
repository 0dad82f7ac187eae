"""Text to word-piece ids, without spaCy's tokenisation and without torch."""

import functools
import hashlib
from pathlib import Path
from typing import Callable, Dict, Generic, List, Optional, Protocol, Sequence, Set, Tuple, TypeVar

import numpy
from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
UNKNOWN_PIECES = ("<unk>", "[UNK]", "<|unk|>")
MASK_PIECES = ("<mask>", "[MASK]", "<|mask|>")
# In a language whose words take so many times the pieces of the source's, the encoder knows little.
MANY_PIECES = 1.8


class PieceTokenizer:
    """A fast tokenizer read from its `tokenizer.json`.

    The special pieces around a text are the ones that the tokenizer's own post-processor adds,
    so the class knows no model families.
    """

    def __init__(self, tokenizer: Tokenizer):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.starts, self.ends = _special_pieces(tokenizer)
        self.unknown_id = _find_piece(tokenizer, UNKNOWN_PIECES)
        # What stands for a piece that says nothing.
        self.blank_id = _find_piece(tokenizer, (*MASK_PIECES, *UNKNOWN_PIECES))

    @classmethod
    def from_path(cls, path: Path) -> "PieceTokenizer":
        """Read an encoder directory's `tokenizer.json`, once per process.

        A large vocabulary takes a second and 300 MB, and reader, batchers and component need it.

        RAISES (ValueError): If the file is missing or is not a tokenizer.
        """
        file_path = Path(path) / TOKENIZER_FILE
        if not file_path.is_file():
            raise ValueError(
                f"No {TOKENIZER_FILE} in '{path}'. An encoder directory holds config.json, "
                f"{TOKENIZER_FILE} and *.safetensors; get one with: "
                f"python -m spacy xlt encoder fetch NAME DIRECTORY"
            )
        stat = file_path.stat()
        return _read_tokenizer(str(file_path.resolve()), stat.st_mtime_ns, stat.st_size)

    @classmethod
    def from_json(cls, text: str, *, source: str = "the given JSON") -> "PieceTokenizer":
        """Read the content of a `tokenizer.json`."""
        try:
            return cls(Tokenizer.from_str(text))
        except Exception as e:  # the library raises bare Exception
            raise ValueError(
                f"'{source}' is not a tokenizer that the tokenizers library can read: {e}"
            ) from e

    def to_json(self) -> str:
        return self._tokenizer.to_str()

    @property
    def n_pieces(self) -> int:
        """Size of the vocabulary, added pieces included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def encode(self, texts: Sequence[str]) -> List[numpy.ndarray]:
        """Piece ids of each text, without special pieces, whole and unpadded.

        texts (Sequence[str]): Any texts, empty ones included.
        RETURNS (List[numpy.ndarray]): int32. Shape of each: (n_pieces,)
        """
        encodings = self._tokenizer.encode_batch_fast(_clean(texts), add_special_tokens=False)
        return [numpy.asarray(encoding.ids, dtype=numpy.int32) for encoding in encodings]

    def encode_with_offsets(
        self, texts: Sequence[str]
    ) -> List[Tuple[numpy.ndarray, numpy.ndarray]]:
        """The same, slower, with the characters that each piece stands for.

        RETURNS (List[Tuple[numpy.ndarray, numpy.ndarray]]): Ids, and first character and the one
            after the last, white space around a word perhaps included. Shapes of each:
            (n_pieces,), (n_pieces, 2)
        """
        encodings = self._tokenizer.encode_batch(_clean(texts), add_special_tokens=False)
        return [
            (
                numpy.asarray(encoding.ids, dtype=numpy.int32),
                numpy.asarray(encoding.offsets, dtype=numpy.int64).reshape(-1, 2),
            )
            for encoding in encodings
        ]

    def split_words(self, text: str) -> List[str]:
        """A text's words as its model sees them: normalized, white space perhaps part of them."""
        (text,) = _clean([text])
        if self._tokenizer.normalizer is not None:
            text = self._tokenizer.normalizer.normalize_str(text)
        if self._tokenizer.pre_tokenizer is None:
            return [text] if text else []
        return [word for word, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    def encode_word(self, word: str) -> List[int]:
        """Piece ids of one of the words that `split_words` gives."""
        return [token.id for token in self._tokenizer.model.tokenize(word)]

    @property
    def added_ids(self) -> Set[int]:
        """Ids of pieces that are no part of any text, such as those that start and end it."""
        return set(self._tokenizer.get_added_tokens_decoder())

    def unknown_share(self, ids: numpy.ndarray) -> float:
        """Share of pieces in [0, 1] that stand for text the vocabulary cannot spell."""
        if self.unknown_id is None or ids.size == 0:
            return 0.0
        return float(numpy.mean(ids == self.unknown_id))


class HasBytes(Protocol):
    """An array of NumPy's or torch's."""

    @property
    def nbytes(self) -> int: ...


V = TypeVar("V", bound=HasBytes)


class BoundedCache(Generic[V]):
    """Keeps arrays by key, up to a limit of bytes.

    What comes when it is full is not kept: training asks for everything once an epoch, so to drop
    the oldest would be to drop what comes next.

    max_bytes (int): The limit.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._entries: Dict[bytes, V] = {}

    def get(self, key: bytes) -> Optional[V]:
        return self._entries.get(key)

    def put(self, key: bytes, value: V) -> None:
        """Keep an array, if there is room and none of the key. It must not be part of another."""
        if key not in self._entries and self.n_bytes + value.nbytes <= self.max_bytes:
            self.n_bytes += value.nbytes
            self._entries[key] = value

    def get_all(
        self, keys: Sequence[bytes], compute: Callable[[Sequence[int]], Sequence[V]]
    ) -> List[V]:
        """Arrays of many keys. Those that are not there are computed together, and kept.

        compute (Callable[[Sequence[int]], Sequence[V]]): Gives the arrays of the keys at some
            places. None of them may be part of another.
        """
        found = [self.get(key) for key in keys]
        missing = [i for i, value in enumerate(found) if value is None]
        for i, value in zip(missing, compute(missing) if missing else [], strict=True):
            found[i] = value
            self.put(keys[i], value)
        return [value for value in found if value is not None]

    def clear(self) -> None:
        self._entries.clear()
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)


def _clean(texts: Sequence[str]) -> List[str]:
    """Texts without halves of characters, which the tokenizers library refuses; of equal length."""
    return [text.encode("utf8", "replace").decode("utf8") for text in texts]


def text_hash(text: str) -> bytes:
    """16 bytes that stand for a text in caches and duplicate checks."""
    return hashlib.blake2b(text.encode("utf8", "surrogatepass"), digest_size=16).digest()


@functools.lru_cache(maxsize=4)
def _read_tokenizer(path: str, mtime_ns: int, n_bytes: int) -> PieceTokenizer:
    """Read a file; its time and size make a changed file another key."""
    return PieceTokenizer.from_json(Path(path).read_text(encoding="utf8"), source=path)


def _special_pieces(tokenizer: Tokenizer) -> Tuple[List[int], List[int]]:
    """Ids that the post-processor puts before and after a text."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    dressed = tokenizer.encode("a", add_special_tokens=True).ids
    for start in range(len(dressed) - len(plain) + 1):
        if dressed[start : start + len(plain)] == plain:
            return dressed[:start], dressed[start + len(plain) :]
    raise ValueError(
        f"The tokenizer's post-processor changes the pieces of a text ({plain} became {dressed}); "
        f"only one that adds special pieces around it is supported."
    )


def _find_piece(tokenizer: Tokenizer, names: Sequence[str]) -> Optional[int]:
    """Id of the first of some pieces that the vocabulary has."""
    vocabulary: Dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    return next((vocabulary[name] for name in names if name in vocabulary), None)
