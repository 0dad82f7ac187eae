import pytest

from spacy_xlt.translation.glosses import read_glosses


@pytest.fixture
def folder(tmp_path):
    """Swahili in both directions, Kurmanji from English only, and one of other languages."""
    files = {
        "sw-en.tsv": "bahari\tsea\nbahari\tocean\nsayansi\tscience\n",
        "en-sw.tsv": "sea\tmaji\nwater\tmaji\nsea\tbahari\nschool\tshule\n",
        "en-ku.tsv": "sea\tderya\nocean\tderya\n",
        "de-fr.tsv": "See\tmer\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf8")
    return tmp_path


def first(lexicon, word):
    entry = lexicon.find(word)
    return entry and entry.translations


def test_lexicons_of_both_directions_complete_each_other(folder):
    kurmanji, swahili = read_glosses(folder, "eng")
    assert (kurmanji.from_lang, kurmanji.to_lang) == ("ku", "en")
    assert (swahili.from_lang, swahili.to_lang) == ("sw", "en")
    assert first(kurmanji, "derya") == ("sea",)
    # What goes into the language comes first, and one translation is kept.
    assert first(swahili, "bahari") == ("sea",) and first(swahili, "maji") == ("sea",)
    assert first(swahili, "shule") == ("school",)
    # Inflected words are found in any language.
    assert first(kurmanji, "deryayê") == ("sea",) and first(swahili, "kisayansi") == ("science",)


def test_languages_can_be_chosen(folder):
    (lexicon,) = read_glosses(folder, "en", from_langs=["swh"])
    assert lexicon.from_lang == "sw"
    (lexicon,) = read_glosses(folder / "en-ku.tsv", "en")
    assert lexicon.from_lang == "ku"


@pytest.mark.parametrize(
    ("name", "to_lang", "langs", "message"),
    [
        ("", "en", ["sw", "yo"], "no lexicon between 'en' and yo. It has: de-fr, en-ku, en-sw"),
        ("", "th", None, "no lexicon between 'th' and any other language. It has: de-fr"),
        ("de-fr.tsv", "en", None, "between 'en' and any other language. It has: de-fr"),
        ("nope.tsv", "en", None, "has no lexicon .* It has: none"),
        ("en-none.tsv", "en", None, "It has: none"),
        ("empty", "en", None, "holds no lexicon"),
        ("bad", "en", None, "is no lexicon in the format 'tsv'"),
        ("turned", "en", None, "is a lexicon from 'en' into 'sw', as its header says"),
        ("", "english!", None, "'english!' is not a language tag"),
    ],
)
def test_what_cannot_be_read_is_named(folder, name, to_lang, langs, message):
    for directory, text in (("empty", None), ("bad", "one\tword\ttwo\n"), ("turned", "en\tsw\n")):
        (folder / directory).mkdir()
        if text is not None:
            (folder / directory / "sw-en.tsv").write_text(text + "a\tb\n", encoding="utf8")
    with pytest.raises(ValueError, match=message):
        read_glosses(folder / name, to_lang, from_langs=langs)
