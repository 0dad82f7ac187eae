import subprocess
import sys
import time
from importlib.metadata import requires
from types import SimpleNamespace

import langcodes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from spacy_xlt import compat, detection
from spacy_xlt.detection import (
    MAX_CHARS,
    NOTHING,
    REQUIREMENT,
    can_be_read,
    load_detector,
    macrolanguage,
    name_labels,
    read_langs,
    sample,
    split_parts,
)
from spacy_xlt.languages import standardize_language

ENGLISH = "The government raised the taxes on fuel, and nobody was happy about it."
GERMAN = "Die Regierung hat die Steuern auf Benzin erhöht, und niemand war froh darüber."
TEXTS = {
    "en": ENGLISH,
    "de": GERMAN,
    "sw": "Serikali iliongeza ushuru wa mafuta, na hakuna mtu aliyefurahi kuhusu hilo.",
    "ru": "Правительство повысило налоги на топливо, и никто этому не обрадовался.",
    "zh": "政府提高了燃油税，没有人对此感到高兴。",
    "ja": "政府は燃料税を引き上げたが、それを喜ぶ人は誰もいなかった。",
    "th": "รัฐบาลขึ้นภาษีน้ำมันเชื้อเพลิงและไม่มีใครพอใจ",
    "am": "መንግሥት የነዳጅ ግብር ጨመረ፤ ማንም ደስተኛ አልነበረም።",
    "ko": "정부가 유류세를 인상했지만 아무도 기뻐하지 않았다.",
}


@pytest.mark.parametrize("lang", sorted(TEXTS))
def test_languages(lang):
    found = load_detector().detect(TEXTS[lang])
    assert found.tag == lang and 0.9 < found.confidence <= 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "123 456,78 %",
        "!?…",
        "🎉🎉🎉",
        "https://example.org/the/house/of/the/government?and=what",
        "somebody@example.org www.example.org",
        "ok",
        "\ud800",
        "\0\0\0",
    ],
)
def test_what_is_in_no_language(text):
    assert load_detector().detect(text) == NOTHING == ("", 0.0)


def test_scripts_that_the_model_never_saw():
    for text in ("ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ꦧꦱꦗꦮ", "𐍅𐌿𐌻𐍆𐌹𐌻𐌰"):
        assert not can_be_read(text) and load_detector((), 0.0).detect(text) == NOTHING
    assert can_be_read(f"{ENGLISH} ᱥᱟᱱᱛᱟᱲᱤ")


def test_every_script_of_the_models_languages_can_be_read():
    """Their own names of languages are written in their scripts."""
    names = [
        langcodes.Language.get(lang).autonym() for lang in load_detector()._tags.values() if lang
    ]
    assert len(names) > 100 and [name for name in names if not can_be_read(name)] == []


def test_addresses_do_not_count():
    text = f"https://example.org/{ENGLISH.replace(' ', '/')} {GERMAN} www.the-house-of-the-day.org"
    assert load_detector().detect(text).tag == "de"


def test_a_short_text_is_clear_among_few_languages():
    assert load_detector().detect("Bonjour") == NOTHING
    found = load_detector(("en", "fr")).detect("Bonjour")
    assert found.tag == "fr" and found.confidence > 0.8


def test_only_languages_asked_for_are_answered():
    detector = load_detector(("en", "fr"))
    assert {detector.detect(text).tag for text in TEXTS.values()} <= {"en", "fr", ""}


def test_a_language_that_the_model_does_not_know():
    """Then the others stay in the running: a German text is not called English."""
    with pytest.warns(UserWarning, match=r"does not know \['ee', 'sat'\] among the languages"):
        detector = detection.Detector(("ee", "en", "sat"))
    assert detector.detect(ENGLISH).tag == "en" and detector.detect(GERMAN) == NOTHING
    assert detector.knows("en") and detector.knows("quy") and not detector.knows("ee")
    ewe = "Dziɖuɖua do adzɔ ɖe ami ŋuti, eye ame aɖeke mekpɔ dzidzɔ ɖe eŋu o."
    assert detector.detect(ewe) == NOTHING


def test_tags_that_are_finer_than_the_models():
    detector = load_detector(("nb", "pt-BR", "quy", "zh-Hant"))
    assert detector.detect("O governo aumentou os impostos e ninguém ficou feliz.").tag == "pt-BR"
    assert detector.detect("Regjeringen økte skattene på bensin, og ingen var glade.").tag == "nb"
    assert detector.detect(TEXTS["zh"]).tag == "zh-Hant"
    assert name_labels({"pt": "pt", "qu": "qu", "zxx": ""}, ["pt-BR", "pt-PT", "quy"]) == {
        "pt": "pt",
        "qu": "quy",
    }


def test_varieties_take_the_name_of_their_macro_language():
    tags = {tag: tag for tag in ("zh", "yue", "ar", "arz", "id", "ms", "gom", "hr")}
    named = name_labels(tags)
    assert {tag for tag in tags if named[tag] != tag} == {"yue", "arz"}
    assert (named["yue"], named["arz"]) == ("zh", "ar")
    assert name_labels(tags, ["yue", "zh"]) == {"zh": "zh", "yue": "yue"}
    assert name_labels(tags, ["zh", "id"]) == {"zh": "zh", "yue": "zh", "id": "id"}


def test_macro_languages():
    assert macrolanguage("quy") == macrolanguage("qu") == "qu"
    assert macrolanguage("zh-Hant") == macrolanguage("yue") == "zh"
    assert macrolanguage("de-CH") == "de"


def test_languages_asked_for():
    assert read_langs(None) == ()
    assert read_langs(["swh", "de", "sw"]) == ("de", "sw")
    with pytest.raises(ValueError, match="'english' is not a language tag"):
        read_langs(["english", "de"])
    for langs in ([], ["de"], ["de", "deu"], ["de", ""]):
        with pytest.raises(ValueError, match=r"langs are \[.*\]; name two languages or more"):
            read_langs(langs)


def test_confidence_decides():
    confidence = load_detector((), 0.0).detect("Hello world").confidence
    assert 0.0 < confidence < 0.5
    assert load_detector((), confidence).detect("Hello world").confidence == confidence
    assert load_detector((), confidence + 1e-6).detect("Hello world") == NOTHING


def test_shares_of_several_languages():
    shares = load_detector().shares(f"{ENGLISH} {GERMAN}\n{TEXTS['zh']} {ENGLISH} 123 🎉")
    assert list(shares) == ["en", "de", "zh"] and sum(shares.values()) == pytest.approx(1.0)
    n_letters = [sum(map(str.isalpha, text)) for text in (ENGLISH * 2, GERMAN, TEXTS["zh"])]
    assert list(shares.values()) == pytest.approx([n / sum(n_letters) for n in n_letters])
    assert load_detector().shares("") == load_detector().shares("12. 34.") == {}
    assert load_detector().shares("ᱥᱟᱱᱛᱟᱲᱤ ᱯᱟᱹᱨᱥᱤ") == {"": 1.0}


def test_parts_are_long_enough():
    assert split_parts("Oh. Yes. This is it. And so\nwhat") == [
        "Oh. Yes. This is it.",
        "And so what",
    ]
    assert split_parts("") == [""]


def test_a_long_text_is_judged_by_start_middle_and_end():
    long = "a" * 5000 + "b" * 5000 + "c" * 5000
    assert len(sample(long)) <= MAX_CHARS and set(sample(long)) == set("abc ")
    assert sample("short") == "short"
    assert load_detector().detect(ENGLISH + (GERMAN + " ") * 300).tag == "de"


@pytest.mark.parametrize("text", ["1.1." * 50_000, "a" * 200_000, "." * 200_000, "@" * 200_000])
def test_enormous_texts_take_a_moment(text):
    started = time.process_time()
    load_detector().detect(text)
    load_detector().shares(text)
    assert time.process_time() - started < 2.0


@given(st.text())
def test_any_text_has_a_language_or_none(text):
    found = load_detector().detect(text)
    assert (found == NOTHING) or (0.5 <= found.confidence <= 1.0)
    assert found.tag == standardize_language(found.tag)
    shares = load_detector().shares(text)
    assert sum(shares.values()) == pytest.approx(1.0 if any(map(str.isalpha, text)) else 0.0)


@given(st.lists(st.text(alphabet="ab .。\n", max_size=30)).map(" ".join))
def test_parts_lose_no_letter(text):
    letters = [char for char in text if char.isalpha()]
    assert [char for part in split_parts(text) for char in part if char.isalpha()] == letters


def test_without_the_library(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(compat, "import_module", missing)
    detection._load_identifier.cache_clear()
    with pytest.raises(ImportError, match=r"'py3langid'.*pip install 'spacy-xlt\[language\]'"):
        detection.Detector()


def test_an_older_library(monkeypatch):
    old = SimpleNamespace(LanguageIdentifier=object)
    monkeypatch.setattr(detection, "require", lambda *args: old)
    detection._load_identifier.cache_clear()
    with pytest.raises(
        ImportError, match=r"needs py3langid>=0\.4,<0\.5, but py3langid .* is installed"
    ):
        detection.Detector()


def test_the_requirement_is_that_of_the_extra():
    found = [Requirement(line) for line in requires("spacy-xlt")]
    specifiers = {req.specifier for req in found if req.name == "py3langid"}
    assert specifiers == {Requirement(REQUIREMENT).specifier}


def test_importing_it_loads_no_detector():
    code = "import sys, spacy_xlt.detection; assert 'py3langid' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
