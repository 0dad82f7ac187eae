"""The component `xlt_translate`: foreign Docs get a translation, which classifiers read."""

import itertools
from typing import Any, Dict, Iterable, Iterator, List, Sequence

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc

from ..languages import known_language, standardize_language, without_territory
from ..types import Translator

ASSIGNS = ["doc._.xlt_translation", "doc._.xlt_translation_share"]


@Language.factory("xlt_translate", assigns=ASSIGNS, default_config={"share": 1.0})
def make_xlt_translate(
    nlp: Language, name: str, translators: Dict[str, Any], share: float
) -> "XltTranslate":
    """Create a component that translates Docs into the language of a classifier.

    Put it before `xlt_textcat`, and after `xlt_language` where languages are to be detected.

    translators (Dict[str, Translator]): Any name -> a translator from another language. All must
        go into the same language.
    share (float): What a translation counts beside the text itself, in (0, 1]; 1 if classifiers
        are to read it in the place of the text.
    RAISES (ValueError): If they do not, one is no translator, or the share is out of range.
    """
    # spaCy's own check of types does not resolve what stands in a dictionary.
    for key, translator in translators.items():
        if not isinstance(translator, Translator):
            raise ValueError(
                f"[components.{name}.translators] {key} is {type(translator).__name__}; needed is "
                f'a translator, for example @misc = "spacy_xlt.ApertiumTranslator.v1".'
            )
    return XltTranslate(name, list(translators.values()), share=share)


class XltTranslate(Pipe):
    """Sets `doc._.xlt_translation` of Docs in languages that there is a translator for, and
    `doc._.xlt_translation_share`.

    Their own text stays as it is. Docs in other languages, or in none that is known, are left
    alone, and so is a translation that is there already. It has nothing to train or store: the
    translators are made anew from the config wherever the pipeline is loaded.

    translators (List[Translator]): One for each language.
    share (float): What a translation counts beside the text, in (0, 1].
    RAISES (ValueError): If there is no translator, two are from one language, they go into
        several, or the share is out of range.
    """

    def __init__(self, name: str, translators: List[Translator], *, share: float = 1.0):
        self.name = name
        self.share = check_share(share)
        self.set_translators(translators)

    def set_translators(self, translators: Sequence[Translator]) -> None:
        """Take translators in the place of those before.

        RAISES (ValueError): If there is none, two are from one language, or they go into several.
        """
        by_lang = {standardize_language(t.from_lang): t for t in translators}
        targets = sorted({translator.to_lang for translator in translators})
        if len(targets) != 1:
            raise ValueError(
                f"The translators of '{self.name}' go into {targets or 'no language'}; allowed is "
                f"one language, that of the classifier. Set [components.{self.name}.translators]."
            )
        if len(by_lang) < len(translators):
            from_langs = sorted(translator.from_lang for translator in translators)
            raise ValueError(
                f"The translators of '{self.name}' are from {from_langs}; allowed is one for each "
                f"language."
            )
        self.translators, self.to_lang = by_lang, targets[0]

    def __call__(self, doc: Doc) -> Doc:
        """Translate a Doc. RAISES (ValueError): If the translator fails."""
        self._translate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Translate Docs, those of a batch in one language together."""
        docs = iter(stream)
        while batch := list(itertools.islice(docs, batch_size)):
            try:
                self._translate(batch)
            except (ValueError, OSError, RuntimeError) as e:
                self.get_error_handler()(self.name, self, batch, e)  # by default raises it
                continue
            yield from batch

    def _translate(self, docs: List[Doc]) -> None:
        waiting: Dict[str, List[Doc]] = {}
        for doc in docs:
            lang = self._find_lang(doc)
            if lang and doc.text.strip() and not doc._.xlt_translation:
                waiting.setdefault(lang, []).append(doc)
        for lang, foreign in waiting.items():
            texts = list(dict.fromkeys(doc.text for doc in foreign))
            made = self.translators[lang].translate(texts)
            if len(made) != len(texts):
                raise ValueError(
                    f"The translator '{self.translators[lang].name}' of '{self.name}' returned "
                    f"{len(made):,} texts for {len(texts):,}, so it is unclear which belong "
                    f"together."
                )
            translations = dict(zip(texts, made, strict=True))
            for doc in foreign:
                doc._.xlt_translation = translations[doc.text].strip() and translations[doc.text]
                doc._.xlt_translation_share = self.share

    def _find_lang(self, doc: Doc) -> str:
        """Language of the translator for a Doc, "" if there is none."""
        lang = known_language(doc)
        return next((x for x in (lang, without_territory(lang)) if x in self.translators), "")


def check_share(share: float) -> float:
    """The share itself. RAISES (ValueError): If it is not above 0 and up to 1."""
    if not 0.0 < share <= 1.0:
        raise ValueError(
            f"share is {share}; allowed is above 0, up to 1 where translations are read in the "
            f"place of texts."
        )
    return share
