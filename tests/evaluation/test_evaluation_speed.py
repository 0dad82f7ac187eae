import pytest
import spacy

from spacy_xlt.evaluation.speed import measure_speed, peak_memory_bytes

TEXTS = ["", *(f"A {i}" for i in range(20)), "B:0.3 A", "一二三", "A " * 500, "A"]


@pytest.fixture
def nlp(make_nlp):
    return make_nlp()


def test_a_pipeline_without_an_encoder_has_all_other_figures(nlp):
    loads = []
    rounds = []
    result = measure_speed(
        nlp,
        TEXTS,
        load=lambda: loads.append(1),
        n_runs=3,
        progress=lambda items: rounds.extend(items) or rounds,
    )
    assert (result["n_texts"], result["n_characters"]) == (25, sum(map(len, TEXTS)))
    for key in ("docs_per_second", "load_seconds"):
        assert 0 < result[key]["smallest"] <= result[key]["median"] <= result[key]["largest"]
    assert (len(loads), rounds) == (3, [0, 1, 2])
    assert 0 < result["latency"]["p50"] <= result["latency"]["p99"]
    assert result["encoder"] is result["n_pieces"] is result["pieces_per_second"] is None
    assert result["signature"]["pipeline"]["component"] == "textcat"


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    held = bytearray(before + 50_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_memory_bytes() > before + 40_000_000


@pytest.mark.parametrize(
    "texts, n_runs, message",
    [
        ([], 1, "no texts"),
        (["A"], 0, "runs is 0; allowed is 1 or more"),
        (["A", "B", "A"], 1, "Some texts are equal"),
    ],
)
def test_nothing_to_measure(nlp, texts, n_runs, message):
    with pytest.raises(ValueError, match=message):
        measure_speed(nlp, texts, n_runs=n_runs)


def test_no_classifier():
    with pytest.raises(ValueError, match="no text classifier"):
        measure_speed(spacy.blank("xx"), ["A"])
