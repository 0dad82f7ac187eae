import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_xlt.evaluation.mistakes import MAX_CHARS, MistakeCollector


def collect(n, rows):
    collector = MistakeCollector(n)
    for i, (lang, probability) in enumerate(rows):
        collector.add(f"text {i}", lang, "A", "B", probability)
    return [(row["lang"], row["probability"]) for row in collector.choose()]


def test_the_surest_of_each_language_come_first():
    rows = [("de", 0.9), ("de", 0.99), ("de", 0.95), ("sw", 0.5), ("sw", 0.4)]
    assert collect(1, rows) == [("de", 0.99)]
    assert collect(2, rows) == [("de", 0.99), ("sw", 0.5)]
    assert collect(3, rows) == [("de", 0.99), ("de", 0.95), ("sw", 0.5)]
    assert collect(9, rows) == sorted(rows, key=lambda row: -row[1])
    assert collect(0, rows) == []


def test_ties_go_to_the_first_and_long_texts_are_cut():
    collector = MistakeCollector(1)
    collector.add("x" * 5000, "", "A", "B", 0.7)
    collector.add("later", "", "A", "B", 0.7)
    (mistake,) = collector.choose()
    assert mistake["text"] == "x" * (MAX_CHARS - 1) + "…"
    with pytest.raises(ValueError, match="is -1; allowed is 0 or more"):
        MistakeCollector(-1)


@given(st.integers(0, 6), st.lists(st.tuples(st.sampled_from(["de", "sw", ""]), st.floats(0, 1))))
def test_no_language_has_two_before_another_has_its_first(n, rows):
    chosen = collect(n, rows)
    assert len(chosen) == min(n, len(rows))
    assert [p for _, p in chosen] == sorted((p for _, p in chosen), reverse=True)
    counts = {lang: sum(row[0] == lang for row in chosen) for lang, _ in rows}
    for lang, count in counts.items():
        own = sorted((p for other, p in rows if other == lang), reverse=True)
        assert sorted((p for other, p in chosen if other == lang), reverse=True) == own[:count]
        for other, more in counts.items():
            if other != lang and more > count + 1:
                assert count == len(own)
