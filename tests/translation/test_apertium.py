"""Where Apertium is not installed, only what needs no command is tested."""

import shutil

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_xlt.translation.apertium import (
    ApertiumTranslator,
    create_apertium_translator_v1,
    from_stream,
    installed_directions,
    to_stream,
)
from spacy_xlt.types import Translator

HAS_SPANISH = shutil.which("apertium") is not None and "eng-spa" in installed_directions()
real = pytest.mark.skipif(not HAS_SPANISH, reason="apt-get install apertium apertium-eng-spa")
ODD = r"*a ^b$ c/d <e> {f} \g [h] i@j #k l~m n+o ?p"


# -- the stream -----------------------------------------------------------------------------


def test_signs_of_the_stream_are_escaped():
    assert to_stream("a", 3) == "[3]a.[]"
    assert to_stream(r"^a$\ ~", 0) == r"[0]\^a\$\\ [~].[]"
    assert "\0" not in to_stream("a\0b", 0) and to_stream("\ud800", 0) == r"[0]\?.[]"


@given(st.text(), st.integers(0, 10**6))
def test_what_is_not_changed_comes_back_as_it_was(text, number):
    expected = text.encode("utf8", "replace").decode("utf8").replace("\0", " ")
    assert from_stream(to_stream(text, number), number) == expected


def test_what_is_not_whole_is_nothing():
    assert from_stream("[3]a.[]", 4) is None
    assert from_stream("[3]a", 3) is None and from_stream("", 0) is None


# -- the command ----------------------------------------------------------------------------


def test_directions_and_their_languages(make_command):
    make_command()
    assert installed_directions() == {"eng-spa": ("en", "es"), "es-pt_BR": ("es", "pt-BR")}
    translator = create_apertium_translator_v1(direction="eng-spa")
    assert isinstance(translator, Translator)
    assert (translator.from_lang, translator.to_lang) == ("en", "es")
    assert translator.name.startswith("apertium:eng-spa:")
    assert translator.translate([ODD, "", "b"]) == [ODD, "", "b"]


def test_a_missing_command_or_pair_says_what_to_install(monkeypatch, make_command):
    make_command()
    with pytest.raises(
        ValueError, match="no direction 'en-xx' installed. Installed are: eng-spa, es"
    ):
        ApertiumTranslator("en-xx")
    installed_directions.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        ImportError, match="is not installed. Install it .*apt-get install apertium "
    ):
        ApertiumTranslator("eng-spa")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo oh no >&2; exit 3", r"ended with 3 and gave 0 of 2 texts back \(oh no\)"),
        ("head -c 12", r"ended with 0 and gave 1 of 2 texts back \(no message\)"),
        ("cat >/dev/null; printf '[1]b.[]\\000[0]a.[]\\000'", "gave 0 of 2 texts back"),
        ("kill -9 $$", r"ended with -9 and gave 0 of 2"),
    ],
)
def test_a_command_that_fails_or_mixes_texts_up(make_command, script, message):
    make_command(script)
    with pytest.raises(ValueError, match=message):
        ApertiumTranslator("eng-spa").translate(["a", "b"])


# -- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spanish():
    return ApertiumTranslator("eng-spa")


@real
def test_english_into_spanish(spanish):
    assert spanish.translate(["The red house.", "I see a zorgblat", "two dogs\n\nthree cats"]) == [
        *("La casa roja.", "Veo un zorgblat", "Dos perros\n\ntres gatos"),
    ]
    assert spanish.translate([]) == [] and spanish.translate([""]) == [""]


@real
def test_white_space_around_a_text_stays_and_gaps_within_do_not(spanish):
    padded, gap = spanish.translate(["\n  I have one house. I see it.  \n", "two  dogs"])
    assert padded.startswith("\n  Tengo") and padded.endswith(".  \n")
    assert "  " not in padded.strip() and gap == "Dos  perros"


@real
def test_odd_signs_scripts_and_sizes(spanish):
    texts = [
        ODD,
        "😀 👩‍👩‍👧",
        "مرحبا بالعالم",
        "我们今天",
        "a\0b",
        "\ud800",
        "x" * 20_000,
        ODD * 300,
    ]
    made = spanish.translate(texts)
    signs = [
        [c for c in text if not c.isalnum() and not c.isspace()] for text in (texts[0], made[0])
    ]
    assert signs[0] == signs[1]
    assert made[1:4] == texts[1:4] and made[6] == texts[6]
    assert spanish.translate(texts[2:4]) == made[2:4]


@real
@settings(max_examples=15)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_whatever_the_text_the_next_ones_are_not_affected(texts):
    made = ApertiumTranslator("eng-spa").translate([*texts, "The red house."])
    assert len(made) == len(texts) + 1 and made[-1] == "La casa roja."


@real
def test_it_stands_in_configs():
    config = {"x": {"@misc": "spacy_xlt.ApertiumTranslator.v1", "direction": "eng-spa"}}
    assert spacy.registry.resolve(config)["x"].translate(["two dogs"]) == ["Dos perros"]
