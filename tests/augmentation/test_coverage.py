import pytest

from spacy_xlt.augmentation.coverage import judge_lexicon, measure_coverage
from spacy_xlt.translation.freedict import Pair
from spacy_xlt.translation.lexicon import WordLexicon

TEXTS = ["The cold water", "ice cream, and WATER and sand"]


def make(pairs, from_lang="en", to_lang="sw"):
    return WordLexicon(
        [Pair(*pair) for pair in pairs], from_lang=from_lang, to_lang=to_lang, lemmas=False
    )


def test_words_in_the_lexicon_are_counted_alone_and_in_phrases():
    coverage = measure_coverage(make([("water", "maji"), ("ice cream", "x")]), TEXTS)
    # WATER is written in capitals, and could be something else.
    assert (coverage.n_words, coverage.n_found) == (9, 3) and coverage.share == 3 / 9
    assert coverage.lacking == {"and": 2, "the": 1, "cold": 1, "water": 1, "sand": 1}
    assert measure_coverage(make([("water", "maji")]), []).share == 0.0


def test_characters_count_where_there_are_no_spaces():
    coverage = measure_coverage(make([("今天", "leo")], "zh"), ["今天，我"])
    assert (coverage.n_words, coverage.n_found) == (3, 2)


def test_a_good_lexicon_is_no_worry():
    judgement = judge_lexicon(make([("water", "maji")]), TEXTS)
    assert judgement.worry == "" and not judgement.is_reversed


def test_too_little_is_a_worry_with_numbers():
    judgement = judge_lexicon(make([("water", "maji")]), ["sand " * 200 + "water"])
    assert not judgement.is_reversed
    assert judgement.worry.startswith(
        "The lexicon from English into Swahili knows 1 of the 201 words looked at (0.5 %), less "
        "than 1 %"
    )


@pytest.mark.parametrize("pairs", [[("maji", "water")], [("maji", "water"), ("the", "x")]])
def test_the_wrong_direction_is_seen(pairs):
    texts = ["water " * 30 + "the", "water"]
    judgement = judge_lexicon(make(pairs), texts)
    assert judgement.is_reversed
    assert "31 (96.9 %) stand among its translations: it is in the wrong dir" in judgement.worry


def test_synonyms_have_no_wrong_direction():
    synonyms = make([("water", "liquid"), ("liquid", "water")], to_lang="en")
    assert judge_lexicon(synonyms, TEXTS).worry == ""
