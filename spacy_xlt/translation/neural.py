"""Translation by neural models in local directories: Marian, M2M100 and NLLB, with the transformers
library or converted for CTranslate2."""

import hashlib
import re
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Union,
)

from ..compat import default_device, require
from ..languages import language_name, standardize_language

BATCH_SIZE = 16
# Models are made for sentences; a longer one is divided at a space.
MAX_SEGMENT_PIECES = 200
# A translation has at most so many pieces for each of its original's, and a few more.
MAX_GROWTH, MAX_EXTRA = 2.0, 20
# Ends of sentences, which stay with them, and what stands between sentences.
_GAPS = re.compile(r"((?<=[.!?…؟۔।።])\s+|\s*\n\s*|(?<=[。！？]))")
# How models write languages: __en__, eng_Latn, >>spa<<.
_CODE = re.compile(r"(?:__|>>)?([a-z]{2,3}(?:[_-][A-Za-z]{2,4})?)(?:__|<<)?")


class Languages(NamedTuple):
    """How a model is told which language to write.

    prefix (str): What stands before each text.
    first (Optional[int]): The piece that translations begin with; None where there is none.
    codes (FrozenSet[int]): Pieces that are languages, not words.
    """

    prefix: str
    first: Optional[int]
    codes: FrozenSet[int]


class Engine(Protocol):
    """What runs a model."""

    def generate(self, ids: List[List[int]], first: Optional[int]) -> List[List[int]]:
        """Piece ids of the translations.

        ids (List[List[int]]): Piece ids of the segments, special ones included.
        first (Optional[int]): The piece that says which language to write, if the model has some.
        """


def create_transformers_translator_v1(
    *,
    path: Union[str, Path],
    from_lang: str,
    to_lang: str,
    batch_size: int = BATCH_SIZE,
    beams: int = 1,
) -> "NeuralTranslator":
    """Translate with a Marian, M2M100 or NLLB model of the transformers library.

    path (Union[str, Path]): Its directory.
    from_lang (str): Language of the texts.
    to_lang (str): Language of the translations.
    batch_size (int): Sentences translated at once.
    beams (int): Width of the beam; 1 takes the likeliest piece each time.
    """
    return NeuralTranslator(
        Path(path), from_lang, to_lang, TransformersEngine, batch_size=batch_size, beams=beams
    )


def create_ctranslate2_translator_v1(
    *,
    path: Union[str, Path],
    from_lang: str,
    to_lang: str,
    batch_size: int = BATCH_SIZE,
    beams: int = 1,
) -> "NeuralTranslator":
    """Translate with a model that was converted for CTranslate2, its tokenizer's files beside it.

    All arguments are those of `create_transformers_translator_v1`.
    """
    return NeuralTranslator(
        Path(path), from_lang, to_lang, CTranslate2Engine, batch_size=batch_size, beams=beams
    )


class NeuralTranslator:
    """Translates sentence by sentence; what stands between sentences stays.

    The model is loaded at the first text.

    path (Path): Directory of model and tokenizer.
    from_lang (str): Language of the texts.
    to_lang (str): Language of the translations.
    engine (Callable): What runs the model, made of the directory, the tokenizer and the width of
        the beam.
    batch_size (int): Sentences translated at once.
    beams (int): Width of the beam.
    RAISES (ValueError): If there is no such directory, or a setting is out of range.
    """

    def __init__(
        self,
        path: Path,
        from_lang: str,
        to_lang: str,
        engine: Callable[[Path, Any, int], Engine],
        *,
        batch_size: int = BATCH_SIZE,
        beams: int = 1,
    ):
        for setting, value in (("batch_size", batch_size), ("beams", beams)):
            if value < 1:
                raise ValueError(f"{setting} is {value}; allowed is 1 or more.")
        if not (path / "config.json").is_file():
            raise ValueError(
                f"'{path}' holds no translation model: it has no config.json. Name the directory "
                f"of a Marian, M2M100 or NLLB model, for example a copy of Helsinki-NLP's "
                f"opus-mt-en-es."
            )
        self.path = path
        self.from_lang = standardize_language(from_lang)
        self.to_lang = standardize_language(to_lang)
        self.batch_size = batch_size
        self.beams = beams
        self.name = f"{path.name}:{self.from_lang}-{self.to_lang}:{beams}:{_hash_model(path)}"
        self._make_engine = engine
        self._loaded: Optional[Tuple[Any, Engine]] = None

    def translate(self, texts: Sequence[str]) -> List[str]:
        """RAISES (ValueError): If the model cannot be read or does not know the languages."""
        tokenizer, engine = self._load()
        languages = choose_languages(tokenizer, self.from_lang, self.to_lang)

        def encode(segment: str) -> List[int]:
            return list(tokenizer(languages.prefix + segment)["input_ids"])

        split = [
            split_segments(text, lambda x: len(encode(x)) <= MAX_SEGMENT_PIECES) for text in texts
        ]
        wanted = {
            segment: encode(segment) for parts in split for segment in parts[::2] if segment.strip()
        }
        # Segments of like length make batches with little padding.
        order = sorted(wanted, key=lambda segment: len(wanted[segment]))
        no_words = {*languages.codes, *tokenizer.all_special_ids}
        found: Dict[str, str] = {}
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            for segment, ids in zip(
                batch, engine.generate([wanted[x] for x in batch], languages.first), strict=True
            ):
                # No more than it could have if it was alone in its batch.
                made = ids[: longest_translation(len(wanted[segment])) - 1]
                words = [id for id in made if id not in no_words]
                found[segment] = tokenizer.decode(words).strip()
        return ["".join(found.get(part, part) for part in parts) for parts in split]

    def _load(self) -> Tuple[Any, Engine]:
        """The tokenizer and the engine."""
        if self._loaded is None:
            tokenizer = load_tokenizer(self.path)
            try:
                self._loaded = tokenizer, self._make_engine(self.path, tokenizer, self.beams)
            except (OSError, ValueError, RuntimeError) as e:
                raise ValueError(
                    f"The translation model in '{self.path}' cannot be loaded: {e}"
                ) from e
        return self._loaded


class TransformersEngine:
    """A model of the transformers library."""

    def __init__(self, path: Path, tokenizer: Any, beams: int):
        import torch
        from transformers import AutoModelForSeq2SeqLM

        self._torch = torch
        self.beams = beams
        self.pad = int(tokenizer.pad_token_id)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(str(path), local_files_only=True)
        self.model = self.model.to(default_device()).eval()

    def generate(self, ids: List[List[int]], first: Optional[int]) -> List[List[int]]:
        torch = self._torch
        longest = max(map(len, ids))
        padded = torch.full((len(ids), longest), self.pad)
        for row, values in zip(padded, ids, strict=True):
            row[: len(values)] = torch.tensor(values)
        padded = padded.to(self.model.device)
        mask = torch.zeros_like(padded)
        for row, values in zip(mask, ids, strict=True):
            row[: len(values)] = 1
        with torch.inference_mode():
            made = self.model.generate(
                input_ids=padded,
                attention_mask=mask,
                num_beams=self.beams,
                do_sample=False,
                max_new_tokens=longest_translation(longest),
                **({} if first is None else {"forced_bos_token_id": first}),
            )
        return [list(map(int, row[1:])) for row in made]  # without the mark of the start


class CTranslate2Engine:
    """A model that was converted for CTranslate2.

    RAISES (ImportError): If the library is not installed.
    """

    def __init__(self, path: Path, tokenizer: Any, beams: int):
        library: Any = require("ctranslate2", "Translating with a converted model")
        self.tokenizer = tokenizer
        self.beams = beams
        device = default_device().split(":")[0]
        self.model = library.Translator(str(path), device=device, inter_threads=1)

    def generate(self, ids: List[List[int]], first: Optional[int]) -> List[List[int]]:
        to_pieces = self.tokenizer.convert_ids_to_tokens
        prefix = None if first is None else [[to_pieces(first)]] * len(ids)
        results = self.model.translate_batch(
            [to_pieces(row) for row in ids],
            target_prefix=prefix,
            beam_size=self.beams,
            max_decoding_length=longest_translation(max(map(len, ids))),
        )
        to_ids = self.tokenizer.convert_tokens_to_ids
        return [list(to_ids(result.hypotheses[0])) for result in results]


def longest_translation(n_pieces: int) -> int:
    """Pieces at which a translation that does not end is cut off."""
    return round(MAX_GROWTH * n_pieces) + MAX_EXTRA


def split_segments(text: str, fits: Callable[[str], bool]) -> List[str]:
    """Sentences of a text, and at every second place what stands between them.

    fits (Callable[[str], bool]): Whether a sentence is short enough; others are divided.
    """
    parts: List[str] = []
    for i, part in enumerate(_GAPS.split(text)):
        if i % 2:
            parts.append(part)
        else:
            parts += _divide(part, fits)
    return parts


def _divide(segment: str, fits: Callable[[str], bool]) -> List[str]:
    """A segment in pieces that fit, with a gap between each two."""
    if len(segment) < 2 or fits(segment):
        return [segment]
    middle = len(segment) // 2
    space = segment.find(" ", middle)
    if 0 < space < len(segment) - 1:
        left, gap, right = segment[:space], " ", segment[space + 1 :]
    else:
        left, gap, right = segment[:middle], "", segment[middle:]
    return [*_divide(left, fits), gap, *_divide(right, fits)]


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a translation model.

    RAISES (ValueError): If there is none, or it cannot be read.
    RAISES (ImportError): If it needs a library that is not installed.
    """
    from transformers import AutoTokenizer

    if not (path / "tokenizer.json").is_file():
        require("sentencepiece", "The tokenizer of this translation model")
    try:
        return AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as e:  # a missing file is a path of None
        raise ValueError(
            f"The tokenizer in '{path}' cannot be read: {e}. Its files must lie beside the model; "
            f"when converting for CTranslate2, copy them with --copy_files."
        ) from e


def choose_languages(tokenizer: Any, from_lang: str, to_lang: str) -> Languages:
    """Tell a tokenizer the language of the texts, and find out how a model is told that of the
    translations.

    RAISES (ValueError): If the model has several languages, and one of these is not among them.
    """
    pieces = getattr(tokenizer, "lang_code_to_token", {}).values()
    named = find_codes([*tokenizer.additional_special_tokens, *pieces])
    if named:
        source, target = (_find_code(named, lang) for lang in (from_lang, to_lang))
        tokenizer.src_lang = source.strip("_")
        to_id = tokenizer.convert_tokens_to_ids
        return Languages("", int(to_id(target)), frozenset(map(to_id, named.values())))
    marks = find_codes(piece for piece in tokenizer.get_vocab() if piece.startswith(">>"))
    prefix = f"{_find_code(marks, to_lang)} " if marks else ""
    return Languages(prefix, None, frozenset())


def find_codes(pieces: Iterable[str]) -> Dict[str, str]:
    """Pieces that stand for languages, by standard tag."""
    found: Dict[str, str] = {}
    for piece in pieces:
        match = _CODE.fullmatch(piece)
        try:
            lang = standardize_language(match[1]) if match else ""
        except ValueError:
            continue
        if lang:
            found.setdefault(lang, piece)
    return found


def _find_code(codes: Dict[str, str], lang: str) -> str:
    if lang not in codes:
        known = ", ".join(sorted(codes)[:20])
        raise ValueError(
            f"The model does not know {language_name(lang)} ('{lang}'). It knows {len(codes)} "
            f"languages: {known}{', …' if len(codes) > 20 else ''}"
        )
    return codes[lang]


def _hash_model(path: Path) -> str:
    """What changes with the model."""
    digest = hashlib.blake2b((path / "config.json").read_bytes(), digest_size=6)
    for file in sorted(path.iterdir()):
        if file.is_file():
            status = file.stat()
            digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
