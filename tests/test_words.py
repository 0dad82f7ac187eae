import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.words import (
    capitalize,
    fold,
    has_spaceless,
    is_spaceless,
    uppercase,
    word_spans,
)


def words(text):
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("Hello, world!", ["Hello", "world"]),
        ("a well-known 1st-rate", ["a", "well", "known", "1st", "rate"]),
        ("John's don\u2019t", ["John's", "don\u2019t"]),
        ("l'eau d'une qu'elle aujourd'hui", ["l", "eau", "d", "une", "qu", "elle", "aujourd'hui"]),
        ("It's I'm we'll", ["It", "I", "we"]),
        ("'quoted' words'", ["quoted", "words"]),
        ("see https://example.com/a-b or www.x.org, mail me@x.org @you", ["see", "or", "mail"]),
        # Marks belong to their letters, composed or not.
        ("पानी पिया", ["पानी", "पिया"]),
        ("cafe\u0301 x", ["cafe\u0301", "x"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        # Characters with their marks, where there are no spaces.
        ("今天，我", ["今", "天", "我"]),
        ("น้ำดี", ["น้", "ำ", "ดี"]),
        ("iPhone手机x", ["iPhone", "手", "机", "x"]),
        ("ワード2語", ["ワ", "ー", "ド", "2", "語"]),
        ("\u0301", []),
        ("한국어 text", ["한국어", "text"]),
    ],
)
def test_words_are_found(text, expected):
    assert words(text) == expected


@given(st.text())
def test_words_stand_one_after_another_and_have_no_space(text):
    spans = word_spans(text)
    ends = [0, *(end for _, end in spans)]
    assert all(start < end for start, end in spans)
    assert all(start >= before for (start, _), before in zip(spans, ends, strict=False))
    assert not any(char.isspace() for word in words(text) for char in word)


@given(st.text(alphabet="abc XYZ", min_size=1))
def test_plain_words_are_what_split_gives(text):
    assert words(text) == text.split()


def test_scripts_without_spaces():
    assert all(map(is_spaceless, "水みカไລកက"))
    assert not any(map(is_spaceless, "aß水"[:2] + "привет한ع1 ,"))
    assert not is_spaceless("")
    assert has_spaceless("an 水") and not has_spaceless("anything else") and not has_spaceless("")


def test_case_is_folded_by_the_language():
    assert fold("  Groß\n HAUS ", "de") == "gross haus"
    assert fold("cafe\u0301", "fr") == fold("Caf\u00e9", "fr")
    assert fold("don\u2019t", "en") == "don't"
    assert fold("İstanbul", "tr") == fold("istanbul", "tr") == "istanbul"
    assert fold("IŞIK", "tr") == "ışık" and fold("TITLE", "en") == "title"


def test_capitals_are_those_of_the_language():
    assert capitalize("istanbul", "tr") == "İstanbul" and capitalize("is", "en") == "Is"
    assert uppercase("iki", "tr") == "İKİ" and uppercase("iki", "sw") == "IKI"
    assert capitalize("", "en") == "" and capitalize("水", "zh") == "水"
