"""Translations kept on disk, so that none is made twice and an interrupted run goes on."""

import hashlib
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Sequence, Union

from ..types import Translator

_SCHEMA = """
CREATE TABLE IF NOT EXISTS translations (
    translator TEXT NOT NULL, text_hash BLOB NOT NULL, translation BLOB NOT NULL,
    PRIMARY KEY (translator, text_hash)
) WITHOUT ROWID
"""
_FIND = "SELECT translation FROM translations WHERE translator = ? AND text_hash = ?"
_KEEP = "INSERT OR REPLACE INTO translations VALUES (?, ?, ?)"
# How long to wait for another process that writes to the same file.
WAIT_SECONDS = 60.0


def create_cached_translator_v1(
    *, translator: Translator, path: Union[str, Path]
) -> "CachedTranslator":
    """Keep what a translator makes.

    translator (Translator): The translator.
    path (Union[str, Path]): File of the cache; several translators may share one.
    """
    return CachedTranslator(translator, Path(path))


class CachedTranslator:
    """A translator that is asked only for what a file does not know yet.

    Whatever it returns is on disk before the next batch begins; empty translations are not kept,
    so that another run tries these texts again.

    translator (Translator): The translator.
    path (Path): SQLite file, made if it is not there.
    """

    def __init__(self, translator: Translator, path: Path):
        self.translator = translator
        self.path = path
        self.from_lang = translator.from_lang
        self.to_lang = translator.to_lang
        self.name = translator.name

    def translate(self, texts: Sequence[str]) -> List[str]:
        """RAISES (OSError): If the file cannot be read or written, or is no cache."""
        known = read_translations(self.path, self.name, texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            made = self.translator.translate(missing)
            if len(made) != len(missing):
                raise ValueError(
                    f"it returned {len(made):,} texts for {len(missing):,}. Nothing is kept of "
                    f"these, since it is unclear which belong together"
                )
            found = dict(zip(missing, made, strict=True))
            write_translations(self.path, self.name, found)
            known.update(found)
        return [known[text] for text in texts]


def read_translations(path: Path, translator: str, texts: Sequence[str]) -> Dict[str, str]:
    """Those translations of texts by a translator that a cache knows."""
    if not path.exists():
        return {}
    known = {}
    with _open(path) as cache:
        for text in texts:
            row = cache.execute(_FIND, (translator, _hash(text))).fetchone()
            if row is not None:
                known[text] = row[0].decode("utf8", "surrogatepass")
    return known


def write_translations(path: Path, translator: str, translations: Mapping[str, str]) -> None:
    """Add translations of texts to a cache, all or none of them; empty ones are left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        (translator, _hash(text), translation.encode("utf8", "surrogatepass"))
        for text, translation in translations.items()
        if translation.strip()
    ]
    with _open(path) as cache, cache:  # the second one is a transaction
        cache.executemany(_KEEP, rows)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """RAISES (OSError): If the system refuses, or the file is no cache of translations."""
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as cache:
            cache.execute(_SCHEMA)
            yield cache
    except sqlite3.DatabaseError as e:
        if isinstance(e, sqlite3.OperationalError):
            advice = (
                "Make room or choose another file with --cache; what was kept before is still "
                "there, and the same command goes on from it"
            )
        else:
            advice = "It is damaged or another kind of file; remove it or choose another one"
        raise OSError(f"The cache of translations '{path}' cannot be used: {e}. {advice}.") from e


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf8", "surrogatepass"), digest_size=16).digest()
