"""Languages of documents: BCP 47 tags and the Doc extensions that carry them."""

import functools
from typing import Any, Dict

import langcodes
from spacy.language import Language
from spacy.tokens import Doc

UNKNOWN = ""
# Key in doc.user_data: identity of a document, the same in all languages of a parallel corpus.
ID_KEY = "xlt_id"
# Doc extensions and their defaults: the language; how sure it is where it was detected, in
# [0, 1]; share of the letters in each language, where that was asked for; weight in training; by
# the name of a component that may abstain its "label", None without an answer, and its "set"; the
# text in the language that classifiers read, and what it counts beside the Doc's own text, 1.0 if
# it is read in its place; and of a text that is a translation itself what it was made of, by what,
# and how good it is (see `alignment/quality.py`).
EXTENSIONS: Dict[str, Any] = {
    "xlt_lang": UNKNOWN,
    "xlt_lang_confidence": 0.0,
    "xlt_langs": {},
    "xlt_weight": 1.0,
    "xlt_decisions": {},
    "xlt_translation": "",
    "xlt_translation_share": 1.0,
    "xlt_origin": {},
}
# Key in doc.user_data: warnings by the component that gave them.
WARNINGS_KEY = "xlt_warnings"


@functools.lru_cache(maxsize=4096)
def standardize_language(tag: str) -> str:
    """The one spelling of a language tag that this package compares and stores.

    Macro-languages replace their dominant member (`swh` is `sw`, `arb` is `ar`), and a script
    that is the language's usual one is left out (`zho_Hans` is `zh`, `zho_Hant` is `zh-Hant`).

    tag (str): BCP 47 or ISO 639 tag, with `-` or `_`; empty for an unknown language.
    RETURNS (str): The standard tag, or "" for an unknown language.
    RAISES (ValueError): If the tag is not a language tag.
    """
    if not tag:
        return UNKNOWN
    try:
        language = langcodes.Language.get(
            langcodes.standardize_tag(tag.strip().replace("_", "-"), macro=True)
        )
        if not language.is_valid():
            raise ValueError("no such language is registered")
    except (ValueError, AttributeError) as e:
        raise ValueError(
            f"'{tag}' is not a language tag. Allowed are BCP 47 and ISO 639 codes such as 'de', "
            f"'pt-BR', 'swh' or 'zho_Hans'; write '' if the language is unknown."
        ) from e
    plain = langcodes.Language.make(language=language.language, territory=language.territory)
    if language.script == plain.maximize().script:
        subtags = {key: value for key, value in language.to_dict().items() if key != "script"}
        language = langcodes.Language.make(**subtags)
    return language.to_tag()


def language_name(tag: str) -> str:
    """English name of a language tag, for tables and pages; "unknown" for the empty tag."""
    if not tag:
        return "unknown"
    return langcodes.Language.get(tag).display_name()


def get_doc_language(doc: Doc) -> str:
    """Standard tag of the language recorded on a Doc, "" where none is."""
    return standardize_language(doc._.xlt_lang)


def known_tag(tag: Any) -> str:
    """Standard tag of whatever stands where a language tag should; "" if it is none.

    For what must not fail because of a tag: rows that each get an answer, names of files. What
    groups or chooses by language takes `standardize_language`, which refuses such a tag.
    """
    try:
        return standardize_language(tag) if isinstance(tag, str) else UNKNOWN
    except ValueError:
        return UNKNOWN


def known_language(doc: Doc) -> str:
    """Standard tag of the language recorded on a Doc, also "" where that is no language tag."""
    return known_tag(doc._.xlt_lang)


def set_doc_language(doc: Doc, tag: str) -> None:
    """Record the language of a Doc in `doc._.xlt_lang`, in its standard spelling."""
    doc._.xlt_lang = standardize_language(tag)


def make_doc(nlp: Language, text: str, lang: str) -> Doc:
    """A Doc of a pipeline's tokenizer, with its language recorded."""
    doc = nlp.make_doc(text)
    set_doc_language(doc, lang)
    return doc


def without_territory(tag: str) -> str:
    """A standard tag without what tells a country's variety: `pt-BR` is `pt`."""
    if "-" not in tag:
        return tag
    language = langcodes.Language.get(tag)
    return langcodes.Language.make(language=language.language, script=language.script).to_tag()


def get_doc_warning(doc: Doc) -> str:
    """What classifiers have against trusting their labels of a Doc, "" for nothing."""
    return " ".join(dict.fromkeys(doc.user_data.get(WARNINGS_KEY, {}).values()))


def set_doc_warning(doc: Doc, component: str, warning: str) -> None:
    """Record what a component warns of in place of what it did before; "" for nothing."""
    warnings = doc.user_data.get(WARNINGS_KEY, {})
    if warning or component in warnings:
        kept = {name: text for name, text in warnings.items() if name != component}
        doc.user_data[WARNINGS_KEY] = {**kept, component: warning} if warning else kept


def register_doc_extensions() -> None:
    """Declare the Doc extensions of this package, `doc._.xlt_warning` (read only) among them; safe
    to call again.

    They must exist before a DocBin that carries them is read.
    """
    for name, default in EXTENSIONS.items():
        if not Doc.has_extension(name):
            Doc.set_extension(name, default=default)
    if not Doc.has_extension("xlt_warning"):
        Doc.set_extension("xlt_warning", getter=get_doc_warning)


register_doc_extensions()
