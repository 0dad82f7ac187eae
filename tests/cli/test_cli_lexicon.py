import pytest
from running import run_command

from spacy_xlt.translation.lexicon_files import read_pairs

ENTRIES = "water\tmaji\nwater\tziwa\nthe house\tnyumba\nwater\tmaji\n"


@pytest.fixture
def run():
    return lambda *arguments, code=0: run_command("lexicon", *arguments, code=code)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.txt"
    path.write_text(ENTRIES, encoding="utf8")
    return path


def pairs_of(path, from_lang="en", to_lang="sw"):
    return read_pairs(path, from_lang=from_lang, to_lang=to_lang)


def test_a_lexicon_is_converted(run, source, tmp_path):
    out = tmp_path / "new" / "en-sw.tsv"
    output = run("convert", source, out)
    assert "3 of 3 pairs kept, for 2 words" in output
    assert f"Lexicon from 'en' into 'sw': {out}" in output.replace("- ", "-")
    assert out.read_text(encoding="utf8").splitlines()[0] == "en\tsw"
    assert pairs_of(out) == [("water", "maji"), ("water", "ziwa"), ("the house", "nyumba")]
    run("convert", source, tmp_path / "x", "--from", "eng", "--to", "swh", "--format", "tsv")
    assert (tmp_path / "x").read_text() == out.read_text()


def test_other_directions_are_turned_round_by_name_or_option(run, source, tmp_path):
    back = tmp_path / "sw-en.tsv"
    back.write_text("mvua\train\nmaji\twater\n", encoding="utf8")
    out = tmp_path / "en-sw.tsv"
    run("convert", source, back, out)
    assert pairs_of(out) == [
        *(("water", "maji"), ("water", "ziwa"), ("the house", "nyumba"), ("rain", "mvua")),
    ]
    run("convert", source, tmp_path / "sw-en.tsv", "--invert")
    assert pairs_of(tmp_path / "sw-en.tsv", "sw", "en")[0] == ("maji", "water")


def test_a_third_language_leads_on(run, tmp_path):
    """Kurmanji into English, over German in either direction too."""
    files = {
        "ku-de.tsv": "derya\tMeer\nderya\tSee\nstran\tLied\nmal\tHaus\n",
        "en-de.tsv": "ocean\tMeer\nsea\tMeer\nsea\tSee\nlake\tSee\nsong\tLied\n",
        "ku-en.tsv": "derya\tbrine\nderya\tsea\nmal\thome\n",
    }
    paths = {name: tmp_path / name for name in files}
    for name, text in files.items():
        paths[name].write_text(text, encoding="utf8")
    out = tmp_path / "out.tsv"
    langs = ("--from", "ku", "--to", "en")
    output = run(
        "convert", paths["ku-en.tsv"], paths["ku-de.tsv"], out, *langs, "--via", paths["en-de.tsv"]
    )
    assert pairs_of(out, "ku", "en") == [
        *(("derya", "brine"), ("derya", "sea"), ("derya", "ocean"), ("derya", "lake")),
        *(("mal", "home"), ("stran", "song")),
    ]
    assert "for 3 words" in output
    # Several from the third language complete each other.
    house = tmp_path / "de-en.tsv"
    house.write_text("Haus\thouse\n", encoding="utf8")
    via = [word for path in (paths["en-de.tsv"], house) for word in ("--via", path)]
    run("convert", paths["ku-de.tsv"], out, *langs, *via)
    assert [pair.translation for pair in pairs_of(out, "ku", "en")] == [
        *("ocean", "lake", "song", "house"),
    ]
    # A lexicon of other languages than the third one and that of OUT goes into it directly.
    run("convert", paths["ku-en.tsv"], out, *langs, "--via", paths["en-de.tsv"])
    assert len(pairs_of(out, "ku", "en")) == 3


def test_a_way_that_leads_nowhere_is_told(run, tmp_path):
    for name, text in (("ku-de.tsv", "derya\tMeer\n"), ("de-en.tsv", "Haus\thouse\n")):
        (tmp_path / name).write_text(text, encoding="utf8")
    source, via, out = (tmp_path / name for name in ("ku-de.tsv", "de-en.tsv", "ku-en.tsv"))
    output = run("convert", source, out, "--via", via, code=1)
    assert "No translation in ku-de.tsv is a word of de-en.tsv" in output
    output = run("convert", source, tmp_path / "ku-fr.tsv", "--via", via, code=1)
    assert "must lead from a third language into 'fr'" in output
    assert "this one's languages are de and en" in output
    assert not out.exists()


def test_lines_that_are_left_out_are_told(run, tmp_path):
    path = tmp_path / "source.tsv"
    path.write_text("".join(f"word{'x' * i}\tneno\n" for i in range(150)) + "alone\n")
    output = run("convert", path, tmp_path / "en-sw.tsv")
    assert "1 of 151 lines are left out" in output and "150 of 150 pairs kept" in output


def test_what_lexicons_know_of_a_corpus(run, tmp_path, corpus_dir):
    folder = tmp_path / "lexicons"
    folder.mkdir()
    (folder / "en-sw.tsv").write_text("want\ttaka\neverybody\twote\n", encoding="utf8")
    (folder / "en-de.tsv").write_text("is\tist\nwe\twir\n", encoding="utf8")
    output = run("check", folder, corpus_dir / "train.spacy", "--no-lemmas")
    assert "en to sw 2 18 of 99 18.2 % we, today, is, there, here, for, " in output
    assert "en to de 2 18 of 99 18.2 %" in output
    assert "Nothing here should worry you." in output


def test_worries_name_the_numbers(run, tmp_path, corpus_dir):
    (tmp_path / "en-sw.tsv").write_text("taka\twant\n", encoding="utf8")
    (tmp_path / "en-de.tsv").write_text("unheard\tx\n", encoding="utf8")
    output = run("check", tmp_path, corpus_dir / "train.spacy")
    assert "into German knows 0 of the 99 words looked at (0.0 %), less than 1 %" in output
    assert "9 (9.1 %) stand among its translations: it is in the wrong direction" in output
    assert "Nothing here" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "SOURCE", "out.tsv"], "languages of 'out.tsv' are unknown"),
        (["convert", "SOURCE", "o.tsv", "--from", "en", "--to", "?"], "'?' is not a language tag"),
        (["convert", "nope.txt", "en-sw.tsv"], "There is no lexicon 'nope.txt'"),
        (["convert", "SOURCE", "en-sw.tsv", "-f", "muse"], "of its 4 lines are wrong"),
        (["convert", "SOURCE", "en-sw.tsv", "-f", "xml"], "format is 'xml'. Allowed are auto"),
        (["convert", "LONG", "en-sw.tsv"], "None of the 1 pairs is of use: all are long phrases"),
        (["check", "SOURCE", "CORPUS"], "are unknown: its name is not like"),
        (["check", "nope/en-sw.tsv", "CORPUS"], "There is no lexicon 'nope/en-sw.tsv'"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    run, source, tmp_path, corpus_dir, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.txt").write_text("water\twhat falls from the sky\n", encoding="utf8")
    places = {"SOURCE": source, "LONG": "long.txt", "CORPUS": corpus_dir / "train.spacy"}
    assert message in run(*(places.get(a, a) for a in arguments), code=1)
    assert not (tmp_path / "en-sw.tsv").exists()


def test_a_corpus_in_another_language_is_told(run, tmp_path, corpus_dir):
    (tmp_path / "en-sw.tsv").write_text("want\ttaka\n", encoding="utf8")
    output = run("check", tmp_path, corpus_dir / "dev", code=1)
    assert "has no text in 'en', the language of the lexicon into 'sw'" in output
    assert "Languages found there: ar, de, sw, zh." in output
