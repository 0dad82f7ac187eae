import pytest
import spacy
from fake_translators import FakeTranslator
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.translation.freedict import Pair
from spacy_xlt.translation.lexicon import WordLexicon
from spacy_xlt.translation.translators import (
    LexiconTranslator,
    chain_translators,
    create_lexicon_translator_v1,
    create_translator_chain_v1,
    translate_all,
)
from spacy_xlt.types import Translator


def make_lexicon(*pairs, from_lang="en", to_lang="de"):
    return WordLexicon(
        [Pair(*pair) for pair in pairs], from_lang=from_lang, to_lang=to_lang, lemmas=False
    )


# -- batches --------------------------------------------------------------------------------


def test_texts_are_translated_in_batches_once_each_and_blank_ones_never():
    translator = FakeTranslator()
    texts = ["a", "b", "a", "", " \n", "c"]
    assert translate_all(translator, texts, batch_size=2) == [
        "de:a",
        "de:b",
        "de:a",
        "",
        " \n",
        "de:c",
    ]
    assert translator.calls == [["a", "b"], ["c"]]
    assert translate_all(translator, []) == []


def test_progress_sees_every_batch():
    seen = []

    def progress(batches):
        for batch in batches:
            yield batch
            seen.append(len(batch))

    translate_all(FakeTranslator(), list("abcde"), batch_size=2, progress=progress)
    assert seen == [2, 2, 1]


def test_a_blank_translation_is_none():
    translator = FakeTranslator(translate_one=lambda text: " \n" if text == "b" else text)
    assert translate_all(translator, ["a", "b"]) == ["a", ""]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fails_after": 2}, r"4 of 5 texts are translated; then 'fake:en-de' failed: out of ink"),
        (
            {"n_lost": 1},
            r"0 of 5 texts are translated; then 'fake:en-de' returned 1 texts for 2. No",
        ),
    ],
)
def test_a_translator_that_fails_says_how_far_it_came(settings, message):
    with pytest.raises(ValueError, match=message):
        translate_all(FakeTranslator(**settings), list("abcde"), batch_size=2)
    with pytest.raises(ValueError, match="batch_size is 0; allowed is 1 or more"):
        translate_all(FakeTranslator(), ["a"], batch_size=0)


@given(st.lists(st.text()), st.integers(1, 5))
def test_every_text_gets_its_own_translation(texts, batch_size):
    translated = translate_all(FakeTranslator(), texts, batch_size=batch_size)
    assert translated == [f"de:{text}" if text.strip() else text for text in texts]


# -- chains ---------------------------------------------------------------------------------


def test_a_chain_goes_over_pivots():
    steps = [FakeTranslator("en", "es"), FakeTranslator("es", "pt"), FakeTranslator("pt", "gl")]
    chain = create_translator_chain_v1(*steps)
    assert isinstance(chain, Translator)
    assert (chain.from_lang, chain.to_lang) == ("en", "gl")
    assert chain.name == "fake:en-es > fake:es-pt > fake:pt-gl"
    assert chain.translate(["a"]) == ["gl:pt:es:a"]
    assert chain_translators(steps[:1]) is steps[0]


def test_a_text_that_is_lost_on_the_way_stays_lost():
    steps = [FakeTranslator("en", "es", translate_one=lambda text: ""), FakeTranslator("es", "pt")]
    assert chain_translators(steps).translate(["a"]) == [""]
    assert steps[1].calls == []


def test_a_chain_must_fit():
    with pytest.raises(ValueError, match="into 'es' is followed by one from 'fr'. Each must go on"):
        chain_translators([FakeTranslator("en", "es"), FakeTranslator("fr", "pt")])
    with pytest.raises(ValueError, match="chain of translators is empty"):
        chain_translators([])


# -- lexicons -------------------------------------------------------------------------------


def test_words_become_their_first_translation():
    lexicon = make_lexicon(("house", "Haus"), ("house", "Heim"), ("red", "rot"), ("of", "von"))
    translator = create_lexicon_translator_v1(lexicon=lexicon)
    assert isinstance(translator, Translator)
    assert (translator.from_lang, translator.to_lang) == ("en", "de")
    texts = ["The red house.", "Red!", "RED", "HOUSE of x@house.de", "", "a\nhouse\u00a0😀"]
    assert translator.translate(texts) == [
        *("The rot Haus.", "Rot!", "ROT", "HOUSE von x@house.de", "", "a\nHaus\u00a0😀"),
    ]
    assert translator.translate(texts) == translator.translate(texts)


def test_the_name_tells_lexicons_apart():
    names = {
        LexiconTranslator(make_lexicon(*pairs)).name
        for pairs in ([("a", "b")], [("a", "c")], [("a", "b"), ("a", "c")])
    }
    assert len(names) == 3 and all(name.startswith("lexicon:en-de:") for name in names)


def test_scripts_without_spaces_and_from_right_to_left():
    lexicon = make_lexicon(("want", "想要"), ("today", "今天"), to_lang="zh")
    assert LexiconTranslator(lexicon).translate(["we want today"]) == ["we 想要今天"]
    lexicon = make_lexicon(("hello", "مرحبا"), to_lang="ar")
    assert LexiconTranslator(lexicon).translate(["hello *you*"]) == ["مرحبا *you*"]


def test_a_hundred_thousand_characters():
    (translated,) = LexiconTranslator(make_lexicon(("red", "rot"))).translate(["red " * 25_000])
    assert translated == "rot " * 25_000


def test_translators_stand_in_configs(tmp_path):
    (tmp_path / "en-de.tsv").write_text("red\trot\n", encoding="utf8")
    (tmp_path / "de-sw.tsv").write_text("rot\tnyekundu\n", encoding="utf8")
    steps = [
        {
            "@misc": "spacy_xlt.LexiconTranslator.v1",
            "lexicon": {"@misc": "spacy_xlt.Lexicon.v1", "path": str(tmp_path / f"{name}.tsv")},
        }
        for name in ("en-de", "de-sw")
    ]
    config = {
        "@misc": "spacy_xlt.CachedTranslator.v1",
        "path": str(tmp_path / "cache.sqlite"),
        "translator": {"@misc": "spacy_xlt.TranslatorChain.v1", "*": dict(enumerate(steps))},
    }
    resolved = spacy.registry.resolve({"translator": config})["translator"]
    assert resolved.translate(["red"]) == ["nyekundu"]
    assert (tmp_path / "cache.sqlite").is_file()
