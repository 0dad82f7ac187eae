import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.trust.words import find_words, without, word_of_pieces


def words_of(text, cuts=()):
    """Words of a text whose pieces end at some places."""
    places = [0, *cuts, len(text)]
    return [text[a:b] for a, b in find_words(text, list(zip(places, places[1:], strict=False)))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("We want pizza, today!", ["We", "want", "pizza", "today"]),
        ("it's a well-known U.S. case", ["it's", "a", "well-known", "U.S", "case"]),
        ("(see https://a.com/x?b=1&c.)", ["see", "https://a.com/x?b=1&c"]),
        ("mail me@a.org — now", ["mail", "me@a.org", "now"]),
        ("3.5 % of 20,000", ["3.5", "of", "20,000"]),
        ("तिमाही से आधे-मील।", ["तिमाही", "से", "आधे-मील"]),
        ("ከሩብ፡ማይል።", ["ከሩብ", "ማይል"]),
        ("so good 🎉🎉 !!!", ["so", "good", "🎉🎉"]),
        ("", []),
        (" \n\t ?! ", []),
        ("a\u00a0b\u3000c", ["a", "b", "c"]),
    ],
)
def test_words_between_spaces(text, words):
    assert words_of(text) == words
    # Pieces do not matter there.
    assert words_of(text, range(1, len(text))) == words


@pytest.mark.parametrize(
    ("text", "cuts", "words"),
    [
        ("足球比赛在北京。", [2, 4, 5], ["足球", "比赛", "在", "北京"]),
        # A run of Katakana or of another script is one word, wherever its pieces end.
        (
            "マラソンと2024年BBC報道",
            [1, 2, 4, 5, 7, 9, 10, 13],
            ["マラソン", "と", "2024", "年", "BBC", "報道"],
        ),
        # A vowel sign stays with its consonant.
        ("ที่นี่", [1, 3, 4, 5], ["ที่", "นี่"]),
        ("请看https://a.cn/b，谢谢", [2, 4, 6], ["请看", "https://a.cn/b", "谢谢"]),
    ],
)
def test_scripts_without_spaces(text, cuts, words):
    assert words_of(text, cuts) == words


@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=20))
def test_any_text(text, cuts):
    cuts = sorted({min(cut, len(text)) for cut in cuts})
    places = [0, *cuts, len(text)]
    pieces = list(zip(places, places[1:], strict=False))
    words = find_words(text, pieces)
    for start, end in words:
        assert 0 <= start < end <= len(text)
        assert not any(character.isspace() for character in text[start:end])
    assert all(a[1] <= b[0] for a, b in zip(words, words[1:], strict=False))
    letters = sum(map(str.isalnum, text))
    assert sum(character.isalnum() for a, b in words for character in text[a:b]) == letters
    assert not any(map(str.isalnum, without(text, words)))
    for piece, i in zip(pieces, word_of_pieces(text, words, pieces), strict=True):
        shared = [j for j, (a, b) in enumerate(words) if a < piece[1] and piece[0] < b]
        if text[slice(*piece)].isspace():
            assert i == next((j for j, (a, _) in enumerate(words) if a == piece[1]), -1)
        else:
            assert i == min(shared, default=-1)


def test_a_word_is_deleted_with_a_space():
    assert without("we want pizza today", [(8, 13)]) == "we want today"
    assert without("we want pizza, today", [(8, 13)]) == "we want , today"
    assert without("we want pizza", [(8, 13), (0, 2)]) == "want"
    assert without("we want pizza", [(0, 2), (3, 7), (8, 13)]) == ""
    assert without("足球比赛", [(0, 2)]) == "比赛"
    assert without("pizza", []) == "pizza"


def test_pieces_belong_to_the_first_word_they_touch():
    text = "we want, now"
    words = [(0, 2), (3, 7), (9, 12)]
    pieces = [(0, 2), (2, 3), (2, 5), (5, 7), (7, 8), (8, 8), (8, 12)]
    assert word_of_pieces(text, words, pieces) == [0, 1, 1, 1, -1, -1, 2]
    assert word_of_pieces("", [], []) == []
