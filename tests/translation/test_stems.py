import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.translation.stems import MAX_ENDING, MIN_LETTERS, MIN_SHARE, Stems

HEADWORDS = ["derya", "çalakî", "sayansi", "philosophie", "sea", "science", "scientist", "bigger"]


@pytest.mark.parametrize(
    ("word", "headword"),
    [
        ("deryayê", "derya"),
        ("çalakîyên", "çalakî"),
        ("kisayansi", "sayansi"),
        ("philosophiques", "philosophie"),
        # A headword that is whole comes before one that lacks its ending.
        ("sciencey", "science"),
        # The beginning comes first, of equal lengths.
        ("deryaxderya", None),
        ("deryade", "derya"),
        # Too little is shared, or too much lacks.
        ("seas", None),
        ("deryaxxxxx", None),
        ("scien", "science"),
        ("scie", None),
        ("bigg", "bigger"),
        ("", None),
        ("x" * 10_000, None),
    ],
)
def test_a_headword_that_a_word_is_a_form_of(word, headword):
    assert Stems(HEADWORDS).find(word) == headword


def test_the_longest_headword_wins_wherever_it_stands():
    stems = Stems(["water", "waterfall", "falls", "fallsy"])
    assert stems.find("waterfalls") == "waterfall"
    assert Stems(["abcd", "bcdef"]).find("abcdef") == "bcdef"
    assert Stems(["abcdef", "uvwxyz"]).find("abcdefuvwxyz") is None
    assert Stems(["abcde", "vwxyz"]).find("abcdevwxyz"[:8]) == "abcde"
    assert Stems([]).find("word") is None


@given(st.lists(st.text("abc", max_size=9)), st.text("abc", max_size=12))
def test_what_is_found_shares_enough_letters(headwords, word):
    found = Stems(headwords).find(word)
    if found is None:
        return
    assert found in headwords
    least = max(MIN_LETTERS, MIN_SHARE * len(word))
    if word.startswith(found) or word.endswith(found):
        assert least <= len(found) < max(len(word), len(found) + 1)
    else:
        assert any(
            word.startswith(found[: len(found) - n]) and len(found) - n >= least
            for n in range(MAX_ENDING + 1)
        )


def test_order_does_not_matter():
    assert Stems(["abcdx", "abcdy"]).find("abcde") == Stems(["abcdy", "abcdx"]).find("abcde")
