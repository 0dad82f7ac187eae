import os

import pytest
import spacy

from spacy_xlt.translation.freedict import Pair
from spacy_xlt.translation.lexicon import (
    WordLexicon,
    count_words,
    create_lexicon_v1,
    create_lexicons_v1,
    invert_pairs,
    join_pairs,
)
from spacy_xlt.types import Lexicon


def make(pairs, from_lang="en", to_lang="de", **settings):
    lexicon = WordLexicon(
        [Pair(*pair) for pair in pairs],
        from_lang=from_lang,
        to_lang=to_lang,
        **{"lemmas": False, **settings},
    )
    assert isinstance(lexicon, Lexicon)
    return lexicon


def translations(lexicon, text):
    entry = lexicon.find(text)
    return None if entry is None else list(entry.translations)


def test_the_same_case_comes_first():
    lexicon = make([("turkey", "Truthahn"), ("Turkey", "Türkei"), ("Monday", "Montag")])
    assert translations(lexicon, "turkey") == ["Truthahn"]
    assert translations(lexicon, "Turkey") == ["Türkei"]
    assert translations(lexicon, "TurKEY") == ["Truthahn"]
    assert translations(lexicon, "monday") == ["Montag"]
    assert lexicon.find("monday").headword == "Monday"
    assert lexicon.find("Tuesday") is None and lexicon.find("") is None
    assert len(lexicon) == 2


def test_an_abbreviation_is_only_itself():
    lexicon = make([("us", "uns"), ("NASA", "Nasa"), ("a", "ein")])
    assert lexicon.find("US") is None
    assert translations(lexicon, "Us") == ["uns"] and translations(lexicon, "A") == ["ein"]
    assert translations(lexicon, "NASA") == ["Nasa"]


def test_composed_letters_and_apostrophes_are_equal():
    lexicon = make([("cafe\u0301", "Kaffee"), ("don't", "nicht")])
    assert translations(lexicon, "Caf\u00e9") == ["Kaffee"]
    assert translations(lexicon, "don\u2019t") == ["nicht"]


def test_turkish_words_fold_as_turkish_does():
    lexicon = make([("ışık", "light"), ("iz", "trace")], "tr", "en")
    assert translations(lexicon, "Işık") == ["light"] and translations(lexicon, "İz") == ["trace"]
    assert lexicon.find("Iz") is None


def test_dictionary_forms_are_found():
    pairs = [("child", "Kind"), ("city", "Stadt"), ("running", "laufend"), ("run", "laufen")]
    lexicon = make(pairs, lemmas=True)
    assert translations(lexicon, "children") == ["Kind"]
    assert translations(lexicon, "Cities") == ["Stadt"]
    assert translations(lexicon, "running") == ["laufend"] and translations(lexicon, "ran") == [
        "laufen"
    ]
    assert make(pairs).find("children") is None
    # A language that the library does not know is looked up as it stands.
    assert translations(make([("水", "water")], "zh", "en", lemmas=True), "水") == ["water"]
    assert make([("ni", "is")], "yo", "en", lemmas=True).find("x") is None


def test_stems_are_looked_up_last_and_names_are_left_alone():
    pairs = [
        ("derya", "sea"),
        ("Moldova", "Moldova"),
        ("bi hev", "together"),
        ("deryayê", "marine"),
    ]
    lexicon = make(pairs, "ku", "en", stems=True)
    assert translations(lexicon, "deryayan") == ["sea"] and lexicon.stems
    assert lexicon.find("deryayan").headword == "derya"
    assert translations(lexicon, "deryayê") == ["marine"]
    assert translations(lexicon, "Moldovayê") == ["Moldova"]
    for word in ("Deryayan", "moldovayê", "bi heva", "derya-yan", "derya2", "deryayan li", ""):
        assert lexicon.find(word) is None
    assert make(pairs, "ku", "en").find("deryayan") is None
    english = make([("child", "Kind"), ("childre", "x")], lemmas=True, stems=True)
    assert translations(english, "children") == ["Kind"]


def test_pairs_are_joined_over_a_pivot():
    pivot = make([("Meer", "sea"), ("Meer", "main"), ("See", "sea"), ("Sees", "lake")], "de", "en")
    pairs = [Pair("derya", translation) for translation in ("Meer", "See", "Haus", "sees")]
    assert join_pairs(pairs, pivot) == [("derya", "sea"), ("derya", "lake")]
    assert join_pairs([], pivot) == []


def test_phrases_are_kept_up_to_a_length():
    lexicon = make(
        [
            ("in front of", "vor"),
            ("one two three four five", "zu lang"),
            ("tree", "ein sehr langer Satz"),
            ("leaf", "das grüne Blatt"),
            ("born in 1990", "x"),
            ("y", "model 2"),
            ("-", "x"),
        ]
    )
    assert translations(lexicon, "in  front\nof") == ["vor"] and len(lexicon) == 2
    assert translations(lexicon, "leaf") == ["das grüne Blatt"] and lexicon.find("tree") is None
    assert lexicon.max_words == 3
    chinese = make([("今天", "today"), ("人" * 16, "people"), ("人" * 17, "x")], "zh", "en")
    assert len(chinese) == 2 and chinese.max_words == 16
    assert [count_words(text) for text in ("", "well-known", "in front of", "今天a")] == [
        0,
        2,
        3,
        3,
    ]


def test_the_first_translations_are_kept():
    pairs = [("go", word) for word in ("gehen", "fahren", "gehen", "laufen", "ziehen")]
    assert translations(make(pairs), "go") == ["gehen", "fahren", "laufen"]
    assert translations(make(pairs, max_translations=1), "go") == ["gehen"]
    with pytest.raises(ValueError, match="max_translations is 0; allowed is 1 or more"):
        make(pairs, max_translations=0)


def test_no_word_is_its_own_synonym():
    assert translations(make([("big", "big"), ("big", "large")], "en", "en"), "big") == ["large"]
    assert translations(make([("Radio", "Radio")]), "Radio") == ["Radio"]


def test_it_is_turned_round():
    pairs = [("bank", "Ufer"), ("bank", "Bank"), ("bench", "Bank"), ("shore", "Ufer")]
    assert invert_pairs([Pair(*pair) for pair in pairs]) == [
        *(("Ufer", "bank"), ("Bank", "bench"), ("Ufer", "shore"), ("Bank", "bank")),
    ]
    inverted = make(pairs).inverted()
    assert (inverted.from_lang, inverted.to_lang) == ("de", "en")
    assert translations(inverted, "bank") == ["bench", "bank"]
    assert sorted(inverted.inverted().pairs()) == sorted(make(pairs).pairs())


@pytest.fixture
def folder(tmp_path):
    for lang, word in (("de", "Wasser"), ("sw", "maji"), ("zh", "水")):
        (tmp_path / f"en-{lang}.tsv").write_text(f"water\t{word}\n", encoding="utf8")
    (tmp_path / "de-en.tsv").write_text("Wasser\twater\n", encoding="utf8")
    return tmp_path


def test_a_lexicon_of_a_config(folder):
    lexicon = spacy.registry.misc.get("spacy_xlt.Lexicon.v1")(path=str(folder / "en-sw.tsv"))
    assert (lexicon.from_lang, lexicon.to_lang) == ("en", "sw")
    assert translations(lexicon, "waters") == ["maji"]
    named = create_lexicon_v1(path=folder / "en-sw.tsv", from_lang="deu", to_lang="swh")
    assert (named.from_lang, named.to_lang) == ("de", "sw")


def test_lexicons_of_a_directory(folder):
    create = spacy.registry.misc.get("spacy_xlt.Lexicons.v1")
    found = create(path=str(folder), lemmas=False)
    assert [(x.from_lang, x.to_lang) for x in found] == [
        *(("de", "en"), ("en", "de"), ("en", "sw"), ("en", "zh")),
    ]
    assert [x.to_lang for x in create(path=folder, from_lang="eng")] == ["de", "sw", "zh"]
    chosen = create(path=folder, from_lang="en", to_langs=["swh", "zh"], max_translations=1)
    assert [x.to_lang for x in chosen] == ["sw", "zh"]
    (alone,) = create(path=folder / "en-sw.tsv")
    assert alone.to_lang == "sw"


def test_a_file_is_read_again_only_if_it_changed(folder):
    path = folder / "en-sw.tsv"
    first = create_lexicon_v1(path=path, lemmas=False)
    assert create_lexicon_v1(path=path, lemmas=False) is first
    assert create_lexicon_v1(path=path, lemmas=False, max_translations=1) is not first
    path.write_text("water\tmaji\nhouse\tnyumba\n")
    os.utime(path, ns=(1, 1))
    assert len(create_lexicon_v1(path=path, lemmas=False)) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": None}, "No path to a lexicon is given. Set paths.lexicons in the config"),
        ({"path": ""}, "No path to a lexicon is given"),
        ({"path": "/no/such/en-de.tsv"}, "There is no lexicon '/no/such/en-de.tsv'"),
        ({"path": "/no/such"}, "The languages of '/no/such' are unknown"),
        ({"path": "en-sw.tsv", "from_lang": "sw"}, "no lexicon from 'sw' into any language"),
        ({"path": ".", "from_lang": "fr"}, "no lexicon from 'fr' into any language. It has: de-en"),
        ({"path": ".", "from_lang": "en", "to_langs": ["sw", "yo"]}, "from 'en' into yo. It has:"),
    ],
)
def test_mistakes_are_named(folder, monkeypatch, settings, message):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match=message):
        create_lexicons_v1(**settings)


def test_the_library_for_dictionary_forms_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "simplemma", None)
    path = folder / "en-sw.tsv"
    os.utime(path, ns=(2, 2))
    with pytest.raises(ImportError, match=r"'simplemma'.*pip install 'spacy-xlt\[lexicon\]'"):
        create_lexicon_v1(path=path)
    assert create_lexicon_v1(path=path, lemmas=False).find("waters") is None
