import pytest
from freedicts import to_digits, write_freedict

from spacy_xlt.translation.freedict import parse_entry, read_freedict

# Entries as the dictionaries of Debian's packages have them.
SWAHILI = "water /wˈɔːtə/ <n>\n\nmaji\n"
SENSES = "house /hˈaʊs/\n1.\nnyumba, chumba\n2. familia (ya mtu); ukoo\n"
GLOSS = "brother //ˈbɹʌðə// <n>\n1. 修道士, ブラザー\nmale fellow member\n2. 兄\nmale relative\n"
EXAMPLE = 'about /ɐbˈaʊt/ <Adv>\n1. लगभग\n      "about ten, or so"\n2. आस~पास{न्याय}\n      "x"\n'
GERMAN = (
    "recycling center /ɹɪ/\n [Am.] Abfallhof <masc>, Altstoffhof <masc> [Dt.]  [envir.]\n"
    "   Synonyms: {recycling centre}, {yard}\n\n see: {recycling yards}\n"
)
PLURAL = "majibu /maɟˈibu/ <n>\n\n Plural of {jibu}: answer\n"
QUESTION = "why? /wˈaɪ/ <adv>\n\nkwani?\n"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (SWAHILI, ["maji"]),
        (SENSES, ["nyumba", "chumba", "familia", "ukoo"]),
        (GLOSS, ["修道士", "ブラザー", "兄"]),
        (EXAMPLE, ["लगभग", "आस पास"]),
        (GERMAN, ["Abfallhof", "Altstoffhof"]),
        (PLURAL, []),
        (QUESTION, ["kwani"]),
        ("and /ˈand/\nund, u. /jˈuː/, und\n", ["und", "u"]),
        ("", []),
        ("word", []),
        ("word\n...\n<n>\n", []),
        ("a\nb、c，d；e؛f، g/h\n", ["b", "c", "d", "e", "f", "g", "h"]),
    ],
)
def test_translations_of_an_entry(entry, expected):
    assert parse_entry(entry) == expected


@pytest.mark.parametrize("packed", [True, False])
def test_a_dictionary_is_read_by_either_file(tmp_path, packed):
    entries = [("water", SWAHILI), ("house (big)", SENSES), ("water", SWAHILI), ("why?", QUESTION)]
    index = write_freedict(tmp_path, "freedict-eng-swh", entries, packed=packed)
    pairs = list(read_freedict(index))
    assert pairs == [
        ("water", "maji"),
        *(("house", word) for word in ("nyumba", "chumba", "familia", "ukoo")),
        ("why", "kwani"),
    ]
    (data,) = tmp_path.glob("*.dict*")
    assert list(read_freedict(data)) == pairs


def test_places_are_numbers_to_the_base_64(tmp_path):
    """A dictionary so long that places have several digits."""
    entries = [(f"word{i}x", f"word{i}x /x/\ntranslation of {i}\n") for i in range(500)]
    pairs = list(read_freedict(write_freedict(tmp_path, "d", entries)))
    assert pairs == [(f"word{i}x", f"translation of {i}") for i in range(500)]
    assert to_digits(64 * 64 + 63) == "BA/"


def test_half_a_dictionary_is_named(tmp_path):
    index = write_freedict(tmp_path, "d", [("water", SWAHILI)])
    (tmp_path / "d.dict.dz").unlink()
    with pytest.raises(ValueError, match=r"half a dictionary.*'d.index' and 'd.dict.dz'"):
        list(read_freedict(index))


def test_a_damaged_dictionary_is_named(tmp_path):
    index = write_freedict(tmp_path, "d", [("water", SWAHILI * 50)])
    data = tmp_path / "d.dict.dz"
    whole = data.read_bytes()
    data.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"d.dict.dz' is damaged .*Download the dictionary again"):
        list(read_freedict(index))
    data.write_bytes(b"no gzip")
    with pytest.raises(ValueError, match=r"d.dict.dz' is damaged"):
        list(read_freedict(index))
    write_freedict(tmp_path, "other", [])
    (tmp_path / "other.dict.dz").replace(data)
    with pytest.raises(ValueError, match=r"of another dictionary than .*entry 2 ends at"):
        list(read_freedict(index))
    index.write_text("water\t!!\tB\n")
    with pytest.raises(ValueError, match=r"d.index:1: expected a headword, a place and a length"):
        list(read_freedict(index))
