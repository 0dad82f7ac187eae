import pytest

from spacy_xlt.translation.apertium import installed_directions
from spacy_xlt.translation.choosing import list_translators, make_translator


@pytest.fixture
def apertium_here(make_command):
    """A command with a few directions, which returns what it gets."""
    make_command(directions=("eng-spa", "es-pt", "spa-eng", "eng-cat"))


def steps_of(translator):
    return [step.split(":")[1] for step in translator.name.split(" > ")]


def test_apertium_by_its_name_direction_or_chain(apertium_here):
    for spelling in ("apertium", "eng-spa", "apertium:eng-spa"):
        assert steps_of(make_translator(spelling, "en", "es")) == ["eng-spa"]
    for spelling in ("eng-spa,es-pt", "eng-spa, apertium", "apertium"):
        assert steps_of(make_translator(spelling, "en", "pt")) == ["eng-spa", "es-pt"]
    assert make_translator("apertium", "es", "en").translate(["a"]) == ["a"]


def test_lexicons_by_file_or_directory(tmp_path):
    (tmp_path / "en-sw.tsv").write_text("red\tnyekundu\n", encoding="utf8")
    (tmp_path / "sw-de.tsv").write_text("nyekundu\trot\n", encoding="utf8")
    for place in (tmp_path, tmp_path / "en-sw.tsv"):
        assert make_translator(f"lexicon:{place}", "en", "sw").translate(["red"]) == ["nyekundu"]
    chain = f"lexicon:{tmp_path / 'en-sw.tsv'},lexicon:{tmp_path}"
    cache = tmp_path / "cache.sqlite"
    assert make_translator(chain, "en", "de", cache=cache).translate(["red"]) == ["rot"]
    assert cache.is_file()


@pytest.mark.parametrize(
    ("spelling", "langs", "message"),
    [
        (
            "apertium",
            ("en", "sw"),
            "no direction from English into Swahili installed, and none over",
        ),
        (
            "eng-spa",
            ("en", "pt"),
            "translates from 'en' into 'es'; needed is a translator from 'en'",
        ),
        ("spa-eng", ("en", "es"), "translates from 'es' into 'en'"),
        ("eng-spa,eng-cat", ("en", "ca"), "A translator into 'es' is followed by one from 'en'"),
        (
            "xxx-yyy",
            ("en", "es"),
            "no direction 'xxx-yyy' installed. Installed are: eng-spa, es-pt",
        ),
        ("google", ("en", "es"), "'google' is no translator. Allowed are apertium, a direction of"),
        ("lexicon:", ("en", "es"), "'lexicon:' is no translator"),
        ("", ("en", "es"), "'' is no translator"),
        (
            "apertium,es-pt",
            ("en", "pt"),
            "'apertium' is followed by another translator, so it must",
        ),
        ("lexicon:FOLDER", ("en", "es"), "has no lexicon from 'en' into 'es'. It has: en-sw"),
        ("lexicon:FOLDER,es-pt", ("en", "pt"), "is followed by another translator"),
        ("lexicon:nope/en-es.tsv", ("en", "es"), "There is no lexicon 'nope/en-es.tsv'"),
    ],
)
def test_mistakes_are_named(apertium_here, tmp_path, spelling, langs, message):
    (tmp_path / "en-sw.tsv").write_text("red\tnyekundu\n", encoding="utf8")
    with pytest.raises(ValueError, match=message):
        make_translator(spelling.replace("FOLDER", str(tmp_path)), *langs)


def test_the_list_says_what_is_here_and_how_to_get_the_rest(apertium_here, monkeypatch):
    states = {kind.spelling.split(",")[0]: kind.state for kind in list_translators()}
    assert states["apertium"] == "eng-spa, es-pt, spa-eng, eng-cat"
    assert states["lexicon:PATH"] == "built in"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("spacy_xlt.translation.choosing.find_spec", lambda module: None)
    installed_directions.cache_clear()
    states = [kind.state for kind in list_translators()]
    assert "not installed: apt-get install apertium" in states[0]
    assert states[2] == "not installed: pip install 'spacy-xlt[translation]'"
    assert states[3] == "not installed: pip install 'spacy-xlt[ctranslate2]'"
