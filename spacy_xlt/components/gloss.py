"""The component `xlt_gloss`: foreign Docs are read word by word too, by lexicons it carries."""

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Sequence, Union

import srsly
from spacy import util
from spacy.language import Language
from spacy.tokens import Doc

from ..translation.freedict import Pair
from ..translation.glosses import REQUIREMENT, make_gloss_lexicon
from ..translation.lexicon import WordLexicon
from ..translation.translators import LexiconTranslator
from .translate import ASSIGNS, XltTranslate, check_share

# What its lexicons are saved as.
FILE = "lexicons.jsonl.gz"


@Language.factory("xlt_gloss", assigns=ASSIGNS, default_config={"share": 0.5})
def make_xlt_gloss(nlp: Language, name: str, share: float) -> "XltGloss":
    """Create a component that translates Docs word by word, for classifiers to read both texts.

    It has no lexicons before `set_lexicons`, which `spacy xlt gloss` calls.

    share (float): What the translation counts beside the text itself, in (0, 1].
    RAISES (ValueError): If the share is out of range.
    """
    # So that packages of the pipeline install what looks up dictionary forms.
    requirements = nlp.meta.setdefault("requirements", [])
    if REQUIREMENT not in requirements:
        requirements.append(REQUIREMENT)
    return XltGloss(name, share=share)


class XltGloss(XltTranslate):
    """Sets the translation of Docs in languages that it has a lexicon of.

    Words that a lexicon lacks stay as they are. What is saved has the lexicons in it.
    """

    def __init__(self, name: str, *, share: float = 0.5):
        self.name = name
        self.share = check_share(share)
        self.translators = {}

    @property
    def lexicons(self) -> List[WordLexicon]:
        """The lexicons, by the tags of their languages."""
        translators: Dict[str, Any] = self.translators
        return [translators[lang].lexicon for lang in sorted(translators)]

    def set_lexicons(self, lexicons: Sequence[WordLexicon]) -> None:
        """Take lexicons in the place of those before.

        RAISES (ValueError): If there is none, two are from one language, or they go into several.
        """
        self.set_translators([LexiconTranslator(lexicon) for lexicon in lexicons])

    def _translate(self, docs: List[Doc]) -> None:
        if not self.translators:
            raise ValueError(
                f"'{self.name}' has no lexicons. Add them with: python -m spacy xlt gloss PIPELINE "
                f"LEXICONS --output OUT"
            )
        super()._translate(docs)

    # -- storage ----------------------------------------------------------------------------

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        writers: Dict[str, Callable[[Path], Any]] = {
            FILE: lambda p: srsly.write_gzip_jsonl(p, self._to_rows())
        }
        util.to_disk(path, writers, exclude)

    def from_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> "XltGloss":
        readers: Dict[str, Callable[[Path], Any]] = {
            FILE: lambda p: self._from_rows(srsly.read_gzip_jsonl(p))
        }
        util.from_disk(path, readers, exclude)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        return util.to_bytes({FILE: lambda: srsly.msgpack_dumps(self._to_rows())}, exclude)

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "XltGloss":
        readers = {FILE: lambda rows: self._from_rows(srsly.msgpack_loads(rows))}
        util.from_bytes(data, readers, exclude)
        return self

    def _to_rows(self) -> List[Dict[str, Any]]:
        return [
            {"from_lang": x.from_lang, "to_lang": x.to_lang, "pairs": list(map(list, x.pairs()))}
            for x in self.lexicons
        ]

    def _from_rows(self, rows: Iterable[Dict[str, Any]]) -> None:
        lexicons = [
            make_gloss_lexicon([Pair(*p) for p in row["pairs"]], row["from_lang"], row["to_lang"])
            for row in rows
        ]
        if lexicons:
            self.set_lexicons(lexicons)
