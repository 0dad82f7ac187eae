import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_xlt.languages import (
    get_doc_language,
    language_name,
    register_doc_extensions,
    set_doc_language,
    standardize_language,
)


@pytest.mark.parametrize(
    ("tag", "standard"),
    [
        ("en", "en"),
        ("EN", "en"),
        (" de ", "de"),
        ("eng", "en"),
        ("swh", "sw"),
        ("arb", "ar"),
        ("kmr", "ku"),
        ("quy", "quy"),
        ("zho_Hans", "zh"),
        ("zh-Hans", "zh"),
        ("zho_Hant", "zh-Hant"),
        ("eng_Latn", "en"),
        ("srp_Cyrl", "sr"),
        ("sr-Latn", "sr-Latn"),
        ("pt_BR", "pt-BR"),
        ("iw", "he"),
        ("sat", "sat"),
        ("und", "und"),
        ("", ""),
    ],
)
def test_one_spelling(tag, standard):
    assert standardize_language(tag) == standard


@pytest.mark.parametrize("tag", ["en", "sw", "zh-Hant", "sr-Latn", "pt-BR", "quy", ""])
def test_standard_tags_stay(tag):
    assert standardize_language(tag) == tag


@pytest.mark.parametrize("tag", ["english", "xx-yy-zz", "e", "?", "de_", "qq", "123", "de de"])
def test_what_is_no_language(tag):
    with pytest.raises(ValueError, match=r"is not a language tag\. Allowed are BCP 47"):
        standardize_language(tag)


@given(st.text(max_size=12))
def test_any_text_is_a_language_or_a_clear_error(tag):
    try:
        standard = standardize_language(tag)
    except ValueError as e:
        assert "is not a language tag" in str(e)
    else:
        assert standardize_language(standard) == standard


def test_names():
    assert language_name("sw") == "Swahili"
    assert language_name("zh-Hant") == "Chinese (Traditional)"
    assert language_name("") == "unknown"


def test_languages_of_documents():
    doc = Doc(Vocab(), words=["x"])
    assert get_doc_language(doc) == "" and doc._.xlt_weight == 1.0
    set_doc_language(doc, "swh")
    assert doc._.xlt_lang == get_doc_language(doc) == "sw"
    doc._.xlt_lang = "zho_Hans"  # set by hand
    assert get_doc_language(doc) == "zh"
    with pytest.raises(ValueError, match="is not a language tag"):
        set_doc_language(doc, "english")
    assert doc._.xlt_lang == "zho_Hans"


def test_registering_again_keeps_what_is_there():
    register_doc_extensions()
    assert Doc.get_extension("xlt_lang")[0] == "" and Doc.get_extension("xlt_weight")[0] == 1.0
