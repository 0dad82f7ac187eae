"""Texts that a command reads whole, with their languages, from whatever holds texts."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, List, Sequence

from ..corpora.layout import DOCBIN_SUFFIX, Row, docbin_docs, read_docbin, standard_language
from ..corpora.reader import find_files
from ..languages import ID_KEY, known_tag
from ._rows import INPUT_FORMATS, find_format, get_text, read_rows

if TYPE_CHECKING:
    from spacy.language import Language

# What a row may call its identity.
ID_FIELDS = ("id", "index_id")


@dataclass(frozen=True)
class Text:
    """A text, with or without a label.

    lang (str): Standard tag, "" where unknown.
    id (str): As its file has it, "" for none.
    """

    text: str
    lang: str = ""
    id: str = ""


def read_texts(
    path: Path, *, max_length: int, text_field: str = "text", lang_field: str = "lang"
) -> List[Text]:
    """All texts of a DocBin, a directory of corpus files, a table or a text file.

    path (Path): Where they are.
    max_length (int): Most characters, which is the pipeline's `nlp.max_length`.
    text_field (str): Field of a row that holds the text.
    lang_field (str): Field of a row that holds the language tag, if it has one.
    RAISES (ValueError): If there is nothing, a row has no text that can be read, or its language
        tag is none.
    """
    if not path.exists():
        raise ValueError(f"There is no file or directory '{path}' with texts.")
    files = find_files(path) if path.is_dir() else [path]
    return [
        text
        for file in files
        for text in (
            _docbin_texts(file, max_length)
            if file.suffix == DOCBIN_SUFFIX
            else _table_texts(file, max_length, text_field, lang_field)
        )
    ]


def read_as_rows(path: Path) -> List[Row]:
    """The same, as rows without labels; blank ones are left out."""
    from spacy.language import Language

    texts = read_texts(path, max_length=Language().max_length)
    return [Row(x.text, {}, x.lang, id=x.id) for x in texts if x.text.strip()]


def with_languages(nlp: "Language", texts: Sequence[Text]) -> List[Text]:
    """The same texts, with the language that the pipeline itself detects where none is recorded.

    Without an `xlt_language` in the pipeline they stay as they are.
    """
    from ..components.language import XltLanguage
    from ..languages import known_language

    detector = next((pipe for _, pipe in nlp.pipeline if isinstance(pipe, XltLanguage)), None)
    if detector is None:
        return list(texts)
    found = []
    with nlp.memory_zone():
        for text in texts:
            if not text.lang:
                text = replace(text, lang=known_language(detector(nlp.make_doc(text.text))))
            found.append(text)
    return found


def read_by_language(
    nlp: "Language", paths: Sequence[Path], text_field: str = "text", lang_field: str = "lang"
) -> Dict[str, List[str]]:
    """Different texts by language; of a file that has no tags, the name may be one (`sw.txt`)."""
    found: Dict[str, Dict[str, None]] = {}
    for path in paths:
        named = "" if path.is_dir() else known_tag(path.name.split(".")[0])
        texts = [
            replace(text, lang=text.lang or named)
            for text in read_texts(
                path, max_length=nlp.max_length, text_field=text_field, lang_field=lang_field
            )
            if text.text.strip()
        ]
        for text in with_languages(nlp, texts):
            found.setdefault(text.lang, {})[text.text] = None
    return {lang: list(found[lang]) for lang in sorted(found)}


def check_limit(limit: int) -> None:
    """RAISES (ValueError): If it is below 0."""
    if limit < 0:
        raise ValueError(f"--limit is {limit}; allowed is 0, for no limit, or more.")


def draw(texts: List[str], limit: int) -> List[str]:
    """Some of the texts, the same at every run; all of them if there are no more than the limit,
    or it is 0."""
    return random.Random(0).sample(texts, limit) if 0 < limit < len(texts) else texts


def _docbin_texts(path: Path, max_length: int) -> Iterator[Text]:
    from spacy.vocab import Vocab

    for number, doc in enumerate(docbin_docs(path, read_docbin(path), Vocab()), start=1):
        try:
            text = get_text({"text": doc.text}, "text", max_length)
        except ValueError as e:
            raise ValueError(f"{path}, document {number}: {e}. Mend it, or leave it out.") from e
        yield Text(text, doc._.xlt_lang, str(doc.user_data.get(ID_KEY, "")))


def _table_texts(path: Path, max_length: int, text_field: str, lang_field: str) -> Iterator[Text]:
    for line, row, _ in read_rows(path, find_format(path, None, INPUT_FORMATS, "txt"), text_field):
        try:
            text = get_text(row, text_field, max_length)
            lang = standard_language(str(row.get(lang_field) or ""))
        except ValueError as e:
            raise ValueError(f"{path}:{line}: {e}. Mend the row, or leave it out.") from e
        found = next((row[name] for name in ID_FIELDS if row.get(name) is not None), "")
        yield Text(text, lang, str(found))
