import numpy as np
import pytest

from spacy_xlt.transfer.pseudo_labels import center_languages, find_answers, find_neighbours
from spacy_xlt.transfer.self_training import (
    Signs,
    draw_held_out,
    find_worsening,
    read_signs,
)

GOOD = Signs(likeness=0.8, n_held_out=1000, n_labels=6.0, source_accuracy=0.9, n_source=100)


def test_held_out_texts_are_a_share_of_each_language():
    langs = ["de"] * 50 + ["sw"] * 3 + [""] * 20
    rows = draw_held_out(langs, 0.1)
    assert [langs[i] for i in rows] == ["de"] * 5 + ["sw"] + [""] * 2
    assert (draw_held_out(langs, 0.1) == rows).all()
    assert (draw_held_out(langs, 0.1, seed=1) != rows).any()
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match=r"held-out texts is .*; allowed is between 0 and 1"):
            draw_held_out(langs, share)


@pytest.fixture
def alike():
    """Two topics in two languages, and which texts are alike."""
    rng = np.random.default_rng(0)
    gold = np.tile(np.repeat([0, 1], 50), 2)
    vectors = rng.normal(size=(2, 8))[gold] + 0.2 * rng.normal(size=(200, 8))
    langs = ["de"] * 100 + ["sw"] * 100
    return gold, find_neighbours(center_languages(vectors, langs)), draw_held_out(langs, 0.5)


def test_noise_and_collapse_show_without_labels(alike):
    gold, neighbours, held_out = alike
    right = find_answers(np.eye(2)[gold], exclusive=True)
    signs = read_signs(right, *neighbours, held_out, [1, 1, 1, 0])
    assert signs.likeness > 0.95 and signs.n_labels == pytest.approx(2.0, abs=0.05)
    assert (signs.source_accuracy, signs.n_source, signs.n_held_out) == (0.75, 4, 100)
    assert find_worsening(signs, signs) == ""
    rng = np.random.default_rng(1)
    flipped = np.where(rng.random(200) < 0.2, 1 - gold, gold)
    noisy = read_signs(np.eye(2, dtype=np.int8)[flipped], *neighbours, held_out)
    assert "held-out texts and those alike to them agree to only" in find_worsening(signs, noisy)
    one = read_signs(np.eye(2, dtype=np.int8)[np.zeros(200, dtype=int)], *neighbours, held_out)
    assert one.likeness == pytest.approx(1.0)
    assert find_worsening(signs, one) == (
        "its answers use 1.0 labels, where 2.0 were in use: labels collapse"
    )
    with pytest.raises(ValueError, match="No text is held out"):
        read_signs(right, *neighbours, np.array([], dtype=int))


def test_what_chance_explains_does_not_count():
    assert find_worsening(GOOD, Signs(0.79, 1000, 6.0, 0.86, 100)) == ""
    assert find_worsening(GOOD, Signs(0.99, 1000, 7.0)) == ""
    assert find_worsening(GOOD, Signs(0.75, 1000, 6.0, 0.9, 100)) == (
        "held-out texts and those alike to them agree to only 75.0 %, where it was 80.0 %"
    )
    found = find_worsening(GOOD, Signs(0.75, 1000, 3.0, 0.7, 100))
    assert found.count(";") == 2
    assert "it has 70.0 % of 100 labelled source texts right, where 90.0 % were" in found
