from pathlib import Path

import pytest
from freedicts import write_freedict

from spacy_xlt.translation.freedict import Pair
from spacy_xlt.translation.lexicon_files import (
    find_lexicons,
    languages_of_name,
    read_pairs,
    write_pairs,
)

PAIRS = [("water", "Wasser"), ("water", "Gewässer"), ("ice cream", "Eis")]


@pytest.fixture
def read(tmp_path):
    """Read a file with a content, from English into German unless said otherwise."""

    def run(content, name="x.tsv", langs=("en", "de"), **settings):
        path = tmp_path / name
        path.write_text(content, encoding="utf8")
        return read_pairs(path, from_lang=langs[0], to_lang=langs[1], **settings)

    return run


def table(rows, separator="\t"):
    return "".join(separator.join(row) + "\n" for row in rows)


def test_tsv(read):
    assert read(table(PAIRS)) == PAIRS
    assert read("\ufeff" + table(PAIRS).replace("\n", "\r\n\r\n") + table(PAIRS)) == PAIRS
    assert read(table([("en", "de"), *PAIRS])) == PAIRS
    assert read(table([("eng", "DE"), *PAIRS])) == PAIRS
    # Another pair of tags is a pair of words.
    assert read(table([("de", "fr"), *PAIRS])) == [("de", "fr"), *PAIRS]
    assert read("en\ten\nbig\tlarge\n", langs=("en", "en")) == [("big", "large")]


def test_muse(read):
    content = "water wasser\nwater gewässer\nthe die\n"
    expected = [("water", "wasser"), ("water", "gewässer"), ("the", "die")]
    assert read(content, "en-de.txt") == expected
    assert read(content, format="muse") == expected
    # Some of its files have tabs.
    assert read(content.replace(" ", "\t"), "en-de.txt") == expected
    assert read(content.replace(" ", "\t"), format="muse") == expected


PANLEX = [
    ("langvar1", "expr1", "langvar2", "expr2", "quality"),
    ("eng-000", "water", "deu-000", "Gewässer", "3"),
    ("deu-000", "Eis", "eng-000", "ice cream", "5"),
    ("eng-000", "water", "deu-000", "Wasser", "9"),
    ("eng-000", "water", "swh-000", "maji", "9"),
]
BY_MEANING = [
    ("meaning", "lang", "txt"),
    ("1", "eng", "water"),
    ("1", "deu", "Wasser"),
    ("1", "swh", "maji"),
    ("1", "deu", "Gewässer"),
    ("2", "deu", "Eis"),
    ("2", "eng", "ice cream"),
    ("3", "eng", "lonely"),
]


@pytest.mark.parametrize("separator", ["\t", ","])
def test_panlex(read, separator):
    best_first = [PAIRS[0], PAIRS[2], PAIRS[1]]
    assert read(table(PANLEX, separator), "x.csv") == best_first
    assert read(table(PANLEX, separator), langs=("en", "sw")) == [("water", "maji")]
    assert read(table(PANLEX, separator), langs=("sw", "en")) == [("maji", "water")]
    assert read(table(BY_MEANING, separator), format="panlex") == PAIRS
    synonyms = read(table(BY_MEANING, separator), langs=("de", "de"))
    assert sorted(synonyms) == [("Gewässer", "Wasser"), ("Wasser", "Gewässer")]


def test_a_few_bad_rows_of_panlex_are_counted(read):
    content = table([*PANLEX, *PANLEX[1:] * 50, ("eng", "x")])
    with pytest.warns(UserWarning, match="1 of 205 lines are left out, .*one with 2 columns"):
        assert len(read(content)) == 3


def test_quotes_are_letters_where_tabs_divide(read):
    content = table([PANLEX[0], ("eng", 'a 5"', "deu", '"x', "1"), *PANLEX[1:]])
    assert ('a 5"', '"x') in read(content)


def test_freedict(tmp_path):
    index = write_freedict(tmp_path, "freedict-eng-deu", [("water", "water /x/\nWasser <neut>\n")])
    assert read_pairs(index, from_lang="en", to_lang="de") == [("water", "Wasser")]


def test_a_few_bad_lines_are_left_out_and_counted(read):
    rows = [(f"word{i}", f"wort{i}") for i in range(200)]
    with pytest.warns(UserWarning, match=r"1 of 201 lines are left out, .*line 201 with 1 col"):
        assert read(table([*rows, ("alone",)])) == rows


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (table([("water", "Wasser", "n")] * 3), {}, "3 of its 3 lines are wrong.*line 1 with 3 co"),
        ("water Wasser\n", {}, "line 1 with 1 columns instead of a word, a tab and a translation"),
        ("ice cream Eis\n", {"format": "muse"}, "3 columns instead of a word, a space and a tran"),
        ("water\t\n", {}, "1 of its 1 lines are wrong"),
        (table([("de", "en"), *PAIRS]), {}, "lexicon from 'de' into 'en', as its header.*--invert"),
        (table(PANLEX), {"langs": ("en", "yo")}, "no translation from 'en' into 'yo' .*'panlex'"),
        ("a,b,c\n", {"format": "panlex"}, "no table of PanLex's: its columns are a, b, c.*expr1"),
        (
            table(PANLEX) + "eng\twater\n",
            {},
            "1 of its 5 lines.*2 columns instead of 5",
        ),
        ("", {}, "has no translation from 'en' into 'de' in the format 'tsv'"),
        ("x\ty\n", {"format": "xml"}, "format is 'xml'. Allowed are auto, tsv, muse, panlex, free"),
    ],
)
def test_what_is_no_lexicon_is_named(read, content, settings, message):
    with pytest.raises(ValueError, match=message):
        read(content, **settings)


def test_what_is_no_text_is_named(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_bytes("wäter\tx\n".encode("latin1"))
    with pytest.raises(ValueError, match="not a text in UTF-8"):
        read_pairs(path, from_lang="en", to_lang="de")
    with pytest.raises(ValueError, match="There is no lexicon '.*nope.tsv'.*lexicon convert"):
        read_pairs(tmp_path / "nope.tsv", from_lang="en", to_lang="de")


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "deep" / "en-de.tsv"
    write_pairs(path, [Pair(*pair) for pair in PAIRS], from_lang="en", to_lang="de")
    assert read_pairs(path, from_lang="en", to_lang="de") == PAIRS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("en-de.tsv", ("en", "de")),
        ("freedict-eng-swh.dict.dz", ("en", "sw")),
        ("freedict-eng-swh.index", ("en", "sw")),
        ("en-pt-BR.txt", ("en", "pt-BR")),
        ("zh-Hant-en.tsv", ("zh-Hant", "en")),
        ("en-en.tsv", ("en", "en")),
        ("german.tsv", None),
        ("LICENSE.txt", None),
        ("no-such-language.csv", None),
    ],
)
def test_names_tell_languages(name, expected):
    assert languages_of_name(Path(name)) == expected


def test_lexicons_of_a_directory(tmp_path):
    for name in ("en-sw.tsv", "en-de.txt", "README.txt", "other.json", "german.tsv"):
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match="german.tsv left out, since the name does not tell two"):
        found = find_lexicons(tmp_path)
    assert {path.name: langs for path, langs in found.items()} == {
        "en-de.txt": ("en", "de"),
        "en-sw.tsv": ("en", "sw"),
    }
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"holds no lexicon: .*found: nothing"):
        find_lexicons(tmp_path / "none")
