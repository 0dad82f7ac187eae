import pytest

from spacy_xlt.trust.doubts import capitals_mean_names, find_doubt
from spacy_xlt.trust.words import find_words


def doubts(text, lang=""):
    words = find_words(text, [])
    names = capitals_mean_names(text, words, lang)
    found = {text[a:b]: find_doubt(text, (a, b), names=names) for a, b in words}
    return {word: kind for word, kind in found.items() if kind}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("look at https://a.com/b?c=1, please", {"https://a.com/b?c=1": "url"}),
        ("write to me@example.org now", {"me@example.org": "email"}),
        (
            "it cost 3.5 or 20,000 or 1/4 or 20% or 10km",
            {
                "3.5": "number",
                "20,000": "number",
                "1/4": "number",
                "20": "number",
                "10km": "number",
            },
        ),
        ("في ٢٠٢٤ كان", {"٢٠٢٤": "number"}),
        ("COVID-19 and the a320neo", {}),
        ("Yesterday the mayor of Paris met NATO.", {"Paris": "name", "NATO": "name"}),
        # Each of these may start a sentence.
        ("Paris is large. London is too: Rome? “Berlin” also", {}),
        ("Вчера в Москве", {"Москве": "name"}),
        ("I think I know", {}),
        ("北京的足球", {}),
        ("ᱥᱟᱱᱛᱟᱲᱤ ᱪᱤᱠᱤ", {}),
        ("the iPhone", {"iPhone": "name"}),
        ("", {}),
    ],
)
def test_doubtful_words(text, expected):
    assert doubts(text) == expected


def test_capitals_that_mean_no_names():
    german = (
        "Gestern hat der Bürgermeister von Paris das Gesetz zur Reform der Schulen im Amt gelesen"
    )
    assert "name" not in doubts(german).values()
    assert doubts("Gestern in Paris", "de") == doubts("Gestern in Paris", "de-AT") == {}
    assert doubts("Gestern in Paris") == {"Paris": "name"}
    assert doubts("New Law On Schools Signed In Paris") == {}
    assert doubts("NEW LAW ON SCHOOLS SIGNED IN PARIS IN 2024") == {"2024": "number"}
