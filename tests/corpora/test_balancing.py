import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_xlt.corpora.balancing import (
    create_balance_languages_v1,
    draw_balanced,
    language_shares,
    share_out,
)
from spacy_xlt.corpora.batchers import create_batch_by_pieces_v1
from spacy_xlt.corpora.layout import Row, row_to_doc

VOCAB = Vocab()
COUNTS = st.dictionaries(
    st.sampled_from(["en", "de", "sw", "yo", ""]), st.integers(1, 60), min_size=1
)
ALPHAS = st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0])


def stream(counts, seed=0):
    """Languages of documents in a random order."""
    langs = [lang for lang, n in counts.items() for _ in range(n)]
    random.Random(seed).shuffle(langs)
    return langs


def examples(counts):
    rows = [Row(f"{lang} {i}", {}, lang) for lang, n in counts.items() for i in range(n)]
    return [Example(Doc(VOCAB), row_to_doc(VOCAB, row)) for row in rows]


def test_shares_are_powers_of_the_counts():
    # 100^0.5 : 4^0.5 = 10 : 2
    shares = language_shares({"en": 100, "sw": 4}, 0.5)
    assert shares == pytest.approx({"en": 10 / 12, "sw": 2 / 12})
    assert language_shares({"en": 100, "sw": 4}, 0.0) == {"en": 0.5, "sw": 0.5}
    assert language_shares({"en": 75, "sw": 25}, 1.0) == {"en": 0.75, "sw": 0.25}


def test_shares_become_whole_numbers_by_the_largest_remainder():
    assert share_out(10, {"a": 0.55, "b": 0.3, "c": 0.15}) == {"a": 6, "b": 3, "c": 1}
    assert share_out(3, {"a": 0.5, "b": 0.5}) == {"a": 2, "b": 1}


@given(COUNTS, ALPHAS)
def test_an_epoch_has_the_shares_of_the_formula(counts, alpha):
    langs = stream(counts)
    drawn = Counter(langs[i] for i in draw_balanced(langs, alpha))
    assert sum(drawn.values()) == len(langs)
    powers = {lang: n**alpha for lang, n in counts.items()}
    for lang in counts:
        exact = len(langs) * powers[lang] / sum(powers.values())
        assert abs(drawn[lang] - exact) < 1.0
        assert drawn[lang] >= 1


@given(COUNTS, ALPHAS)
def test_documents_of_a_language_come_equally_often_but_for_one(counts, alpha):
    langs = stream(counts)
    drawn = Counter(draw_balanced(langs, alpha))
    for lang in counts:
        times = [drawn[i] for i, own in enumerate(langs) if own == lang]
        assert max(times) - min(times) <= 1


@given(COUNTS)
def test_alpha_1_reads_every_document_once(counts):
    langs = stream(counts)
    assert sorted(draw_balanced(langs, 1.0)) == list(range(len(langs)))


@given(COUNTS, ALPHAS)
def test_every_stretch_has_about_the_shares_of_the_whole(counts, alpha):
    langs = stream(counts)
    drawn = [langs[i] for i in draw_balanced(langs, alpha)]
    whole = Counter(drawn)
    for start in range(0, len(drawn) - 15, 8):
        part = Counter(drawn[start : start + 16])
        for lang in counts:
            # Each document lies in its own of as many stretches as the language has.
            assert abs(part[lang] - 16 * whole[lang] / len(drawn)) < 2.0


def test_one_language_comes_in_the_order_of_the_stream():
    assert draw_balanced(["en"] * 7, 0.5) == list(range(7))
    assert draw_balanced([], 0.5) == []


def test_a_single_document_is_repeated_to_fill_its_share():
    langs = ["en"] * 9 + ["sw"]
    assert Counter(langs[i] for i in draw_balanced(langs, 0.0)) == {"en": 5, "sw": 5}
    # The odd one of 5 : 5 documents of English are all different.
    assert len({i for i in draw_balanced(langs, 0.0) if langs[i] == "en"}) == 5


def test_another_order_draws_other_documents_and_the_same_order_the_same():
    counts = {"en": 40, "sw": 4}
    found = examples(counts)
    batcher = create_balance_languages_v1(batcher=create_batch_by_pieces_v1(size=8), alpha=0.0)

    def draw(stream):
        return [[eg.reference.text for eg in batch] for batch in batcher(stream)]

    shuffled = random.Random(1).sample(found, len(found))
    assert draw(iter(found)) == draw(found)
    assert draw(shuffled) == draw(list(shuffled)) != draw(found)
    assert all(3 <= sum("sw" in text for text in batch) <= 5 for batch in draw(found)[:5])


def test_tags_are_compared_in_standard_spelling():
    found = examples({"swh": 3, "sw": 3, "en": 6})
    batcher = create_balance_languages_v1(batcher=create_batch_by_pieces_v1(size=99), alpha=0.0)
    ((*batch,),) = batcher(found)
    assert Counter(eg.reference._.xlt_lang for eg in batch)["en"] == 6


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha is .*; allowed is 0 .* an alpha of 1/T"):
        create_balance_languages_v1(batcher=create_batch_by_pieces_v1(), alpha=alpha)
