import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.substitution import match_case, replace_words
from spacy_xlt.types import LexiconEntry


class StandIn:
    """A lexicon of a few words, which folds case and nothing else."""

    def __init__(self, words, to_lang="de", from_lang="en", max_words=3):
        self.words = {word.lower(): (word, value.split("|")) for word, value in words.items()}
        self.from_lang, self.to_lang, self.max_words = from_lang, to_lang, max_words

    def find(self, text):
        headword, translations = self.words.get(text.lower(), ("", ()))
        return LexiconEntry(headword, tuple(translations)) if translations else None

    def inverted(self):
        words = {value: word for word, values in self.words.values() for value in values}
        return StandIn(words, self.from_lang, self.to_lang)


GERMAN = StandIn(
    {
        "the": "das",
        "cold": "kalt",
        "water": "Wasser",
        "ice cream": "Eis",
        "ice": "X",
        "well-known": "bekannt",
    }
)
CHINESE = StandIn({"the": "这", "cold": "冷", "water": "水", "drink": "喝"}, "zh")
FROM_CHINESE = StandIn({"今天": "today", "今": "now", "我": "I", "水": "water"}, "en", "zh")


def translate(text, *lexicons, rate=1.0, seed=0):
    return replace_words(text, lexicons, rate=rate, rng=Random(seed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cold water", "das kalt Wasser"),
        ("The cold, cold (water)!\n", "Das kalt, kalt (Wasser)!\n"),
        ("THE COLD WATER", "DAS KALT WASSER"),
        ("Cold Water", "Kalt Wasser"),
        ("eat ice cream", "eat Eis"),
        ("a well-known", "a bekannt"),
        ("ice, cream", "X, cream"),
        ("", ""),
        ("  nothing known  ", "  nothing known  "),
        ("watered", "watered"),
        ("http://cold.water/", "http://cold.water/"),
    ],
)
def test_words_are_translated_in_their_places(text, expected):
    assert translate(text, GERMAN) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cold water", "这冷水"),
        ("we drink the water", "we 喝这水"),
        ("drink, water", "喝, 水"),
        ("drink  water", "喝  水"),
        ("drink and drink", "喝 and 喝"),
    ],
)
def test_translations_in_scripts_without_spaces_are_joined(text, expected):
    assert translate(text, CHINESE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天我喝水", "today I 喝 water"),
        ("今天，我", "today，I"),
        ("今水", "now water"),
        ("天水abc", "天 water abc"),
        ("天地", "天地"),
    ],
)
def test_texts_without_spaces_are_matched_by_the_longest_word(text, expected):
    assert translate(text, FROM_CHINESE) == expected


def test_between_two_scripts_without_spaces_there_is_none():
    japanese = StandIn({"今天": "今日", "水": "みず"}, "ja", "zh")
    assert translate("今天我喝水", japanese) == "今日我喝みず"


@pytest.mark.parametrize(
    ("translation", "original", "headword", "lang", "expected"),
    [
        ("haus", "House", "house", "de", "Haus"),
        ("house", "Haus", "Haus", "en", "house"),
        ("maji", "WATER", "water", "sw", "MAJI"),
        ("ein", "A", "a", "de", "Ein"),
        ("ışık", "Light", "light", "tr", "Işık"),
        ("iz", "Trace", "trace", "tr", "İz"),
        ("水", "Water", "water", "zh", "水"),
        ("Nasa", "NASA", "NASA", "de", "Nasa"),
    ],
)
def test_a_translation_has_the_case_of_what_it_replaces(
    translation, original, headword, lang, expected
):
    assert match_case(translation, original, headword, lang) == expected


def test_capitals_of_sentences_are_not_looked_at():
    class Marking(StandIn):
        def find(self, text):
            return LexiconEntry(text, (f"<{text}>",)) if text.isalpha() else None

    text = 'In Turkey. In US? US. A "New" year: May'
    marked = '<in> <Turkey>. <in> <US>? <US>. <a> "<new>" <year>: <may>'
    assert translate(text, Marking({})) == marked
    assert translate("IN US", Marking({})) == "<IN> <US>"


def test_the_rate_is_a_chance():
    text = "water " * 2000
    share = translate(text, GERMAN, rate=0.3).count("Wasser") / 2000
    assert 0.26 < share < 0.34
    assert translate(text, GERMAN, rate=0.0) == text
    assert translate(text, GERMAN, rate=0.3) == translate(text, GERMAN, rate=0.3)
    assert translate(text, GERMAN, rate=0.3) != translate(text, GERMAN, rate=0.3, seed=1)


def test_lexicons_and_translations_are_equally_likely():
    mixed = translate("water " * 3000, GERMAN, CHINESE, StandIn({"water": "maji|ziwa"}))
    counts = [mixed.count(word) for word in ("Wasser", "水", "maji", "ziwa")]
    assert all(900 < count < 1100 for count in counts[:2])
    assert all(400 < count < 600 for count in counts[2:])
    # A word that one lexicon lacks is left to the others.
    assert translate("drink ice", GERMAN, CHINESE) == "喝 X"


@given(st.text(), st.floats(0, 1))
def test_what_lexicons_do_not_know_stays(text, rate):
    assert translate(text, StandIn({}), rate=rate) == text


@given(st.text(alphabet="the cold water今天我.-'\n"))
def test_nothing_is_changed_at_rate_zero_and_no_text_is_refused(text):
    assert translate(text, GERMAN, CHINESE, rate=0.0) == text
    translate(text, GERMAN, CHINESE, FROM_CHINESE)


@pytest.mark.parametrize("word", ["water ", "水", "a" * 9 + "@", "WATER-", "water, http://"])
def test_a_long_text_takes_its_length(word):
    text = word * (200_000 // len(word))
    started = time.process_time()
    translate(text, GERMAN, FROM_CHINESE)
    assert time.process_time() - started < 10.0
