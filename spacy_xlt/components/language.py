"""The component `xlt_language`: which language a Doc is in, where that is not recorded."""

from typing import List, Optional

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc

from ..detection import MIN_CONFIDENCE, NOTHING, REQUIREMENT, load_detector, read_langs
from ..languages import known_language


@Language.factory(
    "xlt_language",
    assigns=["doc._.xlt_lang", "doc._.xlt_lang_confidence", "doc._.xlt_langs"],
    default_config={
        "langs": None,
        "min_confidence": MIN_CONFIDENCE,
        "overwrite": False,
        "shares": False,
    },
)
def make_xlt_language(
    nlp: Language,
    name: str,
    langs: Optional[List[str]],
    min_confidence: float,
    overwrite: bool,
    shares: bool,
) -> "XltLanguage":
    """Create a component that detects the language of Docs. Put it before `xlt_textcat`.

    langs (Optional[List[str]]): Tags of the languages that texts may be in; all that the detector
        knows if not given. The fewer, the surer it is of short texts.
    min_confidence (float): Probability below which the language stays unknown, in [0, 1].
    overwrite (bool): Whether to detect also where a language is recorded. That stays where the
        detector finds none.
    shares (bool): Whether to set `doc._.xlt_langs` too, for texts in several languages.
    """
    # So that packages of the pipeline install the detector.
    requirements = nlp.meta.setdefault("requirements", [])
    if REQUIREMENT not in requirements:
        requirements.append(REQUIREMENT)
    return XltLanguage(
        name, langs=langs, min_confidence=min_confidence, overwrite=overwrite, shares=shares
    )


class XltLanguage(Pipe):
    """Sets `doc._.xlt_lang`, "" where the language is unknown, and `doc._.xlt_lang_confidence`.

    It has nothing to train or store. The model is loaded at the first Doc that needs it.
    """

    def __init__(
        self,
        name: str = "xlt_language",
        *,
        langs: Optional[List[str]] = None,
        min_confidence: float = MIN_CONFIDENCE,
        overwrite: bool = False,
        shares: bool = False,
    ):
        if not 0.0 <= min_confidence <= 1.0:
            raise ValueError(f"min_confidence is {min_confidence}; allowed is 0 to 1.")
        self.name = name
        self.langs = read_langs(langs)
        self.min_confidence = min_confidence
        self.overwrite = overwrite
        self.shares = shares

    def __call__(self, doc: Doc) -> Doc:
        """Set the language of a Doc.

        RAISES (ImportError): If the detector is not installed.
        """
        known = known_language(doc)
        if known and not self.overwrite and not self.shares:
            return doc
        detector = load_detector(self.langs, self.min_confidence)
        if self.overwrite or not known:
            found = detector.detect(doc.text)
            if found is not NOTHING or not known:
                doc._.xlt_lang, doc._.xlt_lang_confidence = found
        if self.shares:
            doc._.xlt_langs = detector.shares(doc.text)
        return doc
