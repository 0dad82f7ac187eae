import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from spacy_xlt.trust.forecast import (
    MIN_TEXTS,
    PRIOR_FILE,
    Decider,
    Labelled,
    Line,
    Prior,
    Reading,
    beyond_chance,
    explain,
    forecast_languages,
    read_prior,
    read_texts,
    split_text,
    to_stored,
    without_each,
)

LABELS = ["A", "B", "C"]
EXACT = Prior(np.array([0.0, 1.0, 0.0]), np.diag([1e-3, 1e-3, 1e-3]) ** 2, 0.05, 0.1)


def make_part(n=300, *, sure=3.0, seed=0, exclusive=True, **pieces):
    """Texts whose probabilities are right: gold labels are drawn from them."""
    rng = np.random.default_rng(seed)
    logits = sure * rng.normal(size=(3, n, len(LABELS)))
    # The halves see the text with noise of their own.
    logits[1:] = 0.7 * logits[0] + 0.3 * logits[1:]
    if exclusive:
        scores, first, second = softmax(logits, axis=2)
        drawn = [rng.choice(len(LABELS), p=row) for row in scores]
        gold = np.eye(len(LABELS))[drawn]
    else:
        scores, first, second = 1 / (1 + np.exp(-logits))
        gold = (rng.random(scores.shape) < scores).astype(float)
    counts = {
        "n_words": 10 * n,
        "n_letters": 50 * n,
        "n_pieces": 14 * n,
        "n_unknown": 0,
        "unreadable": Counter(),
        **pieces,
    }
    return Labelled(Reading(scores, first, second, **counts), gold)


def make_decider(exclusive=True):
    return Decider(LABELS, exclusive, None if exclusive else 0.5)


def forecast(line, part, lang="xx"):
    (row,) = forecast_languages(line, {lang: part.reading}, source_name="English")
    return row


# -- agreement ------------------------------------------------------------------------------


def test_agreement_beyond_chance():
    assert beyond_chance(np.eye(4)) == 1.0
    assert beyond_chance(np.full((4, 4), 0.7)) == pytest.approx(0.0)
    # Two labels, each for half of the texts: other texts agree in 2 of 6 pairs.
    halves = np.kron(np.eye(2), np.ones((2, 2)))
    assert beyond_chance(halves) == 1.0
    halves[0, 0] = 0.0  # one text in four is wrong: (3/4 − 1/3) / (2/3)
    assert beyond_chance(halves) == pytest.approx((3 / 4 - 1 / 3) / (2 / 3))


@given(arrays(float, (6, 6), elements=st.floats(0, 0.9)))
def test_leaving_out_each_text_is_what_it_says(agreements):
    keep = [[i for i in range(6) if i != out] for out in range(6)]
    expected = [beyond_chance(agreements[np.ix_(k, k)]) for k in keep]
    np.testing.assert_allclose(without_each(agreements), expected, atol=1e-9)


@pytest.mark.parametrize("exclusive", [True, False])
def test_agreement_of_each_with_each(exclusive):
    part, decider = make_part(12, exclusive=exclusive), make_decider(exclusive)
    a, b = part.reading.first, part.reading.second
    each = decider.agree_each(a, b)
    np.testing.assert_allclose(np.diag(each), decider.agree(a, b))
    if exclusive:
        expected = sum(a[3, k] * b[5, k] for k in range(3))
    else:
        expected = np.prod([a[3, k] * b[5, k] + (1 - a[3, k]) * (1 - b[5, k]) for k in range(3)])
    assert each[3, 5] == pytest.approx(expected)


def test_what_is_not_annotated_agrees_with_anything():
    decider = make_decider(exclusive=False)
    a, b = np.array([[1.0, 0.0, 1.0]]), np.array([[1.0, np.nan, np.nan]])
    assert decider.agree(a, b) == decider.agree_each(a, b) == 1.0


# -- the line -------------------------------------------------------------------------------


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("sure", [0.5, 1.5, 3.0])
def test_probabilities_that_are_right_are_believed(exclusive, sure):
    source = make_part(1000, sure=3.0, exclusive=exclusive)
    line = Line(make_decider(exclusive), source, {}, EXACT)
    target = make_part(1000, sure=sure, seed=1, exclusive=exclusive)
    row = forecast(line, target)
    assert row["accuracy"] == pytest.approx(line.decider.is_correct(target).mean(), abs=0.04)
    assert row["interval"][0] < row["accuracy"] < row["interval"][1]


def test_the_temperature_comes_from_the_source():
    source, target = make_part(1000), make_part(1000, sure=1.5, seed=1)

    def heat(part):
        hot = (softmax(4 * np.log(x), axis=1) for x in (part.reading.scores, part.reading.first))
        scores, first = hot
        second = softmax(4 * np.log(part.reading.second), axis=1)
        reading = Reading(**{**vars(part.reading), "scores": scores, "first": first})
        return Labelled(Reading(**{**vars(reading), "second": second}), part.gold)

    plain = Line(make_decider(), source, {}, EXACT)
    heated = Line(make_decider(), heat(source), {}, EXACT)
    assert heated.decider.temperature == pytest.approx(4 * plain.decider.temperature, rel=0.05)
    assert forecast(heated, heat(target))["accuracy"] == pytest.approx(
        forecast(plain, target)["accuracy"], abs=0.01
    )


def test_labelled_languages_correct_it():
    """Where answers are worse than they seem, other languages' labels tell."""
    rng = np.random.default_rng(0)

    def spoil(part, share=0.3):
        gold = part.gold.copy()
        wrong = rng.random(len(gold)) < share
        gold[wrong] = np.roll(gold[wrong], 1, axis=1)
        return Labelled(part.reading, gold)

    wide = Prior(np.array([0.0, 1.0, 0.0]), np.diag([0.5, 0.5, 0.5]) ** 2, 0.2, 0.4)
    source, decider = make_part(1000), make_decider()
    target = spoil(make_part(2000, sure=2.0, seed=9))
    truth = decider.is_correct(target).mean()
    rows = []
    for n in (0, 2, 8):
        others = {f"x{i}": spoil(make_part(200, sure=1 + i / 4, seed=20 + i)) for i in range(n)}
        rows.append(forecast(Line(decider, source, others, wide), target))
    errors = [abs(row["accuracy"] - truth) for row in rows]
    widths = [row["interval"][1] - row["interval"][0] for row in rows]
    assert errors[0] > errors[1] > errors[2] < 0.05
    assert widths[0] > widths[1] > widths[2]
    # And its own labels most of all.
    own = {"xx": spoil(make_part(500, sure=2.0, seed=9))}
    row = forecast(Line(decider, source, own, wide), target)
    assert abs(row["accuracy"] - truth) < errors[0] / 2
    assert row["n_labelled"] == 500


def test_languages_off_the_line_make_it_unsure():
    source, decider = make_part(500), make_decider()
    near = {f"x{i}": make_part(300, sure=1 + i / 4, seed=30 + i) for i in range(8)}
    far = {
        lang: Labelled(part.reading, np.roll(part.gold, i % 2, axis=1) if i % 2 else part.gold)
        for i, (lang, part) in enumerate(near.items())
    }
    spreads = [Line(decider, source, labelled).spread for labelled in (near, far)]
    assert spreads[0] < spreads[1]


def test_few_texts_make_it_unsure():
    line = Line(make_decider(), make_part(), {})
    widths = []
    for n in (MIN_TEXTS, 100, 1000):
        low, high = forecast(line, make_part(n, sure=1.5, seed=3))["interval"]
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]


def test_one_answer_for_all_texts_is_chance_however_sure_it_is():
    source = make_part(900)
    line = Line(make_decider(), source, {})
    scores = np.tile([0.01, 0.98, 0.01], (200, 1))
    reading = Reading(**{**vars(source.reading), **dict.fromkeys(("scores", "first"), scores)})
    reading = Reading(**{**vars(reading), "second": scores})
    row = forecast(line, Labelled(reading, source.gold))
    assert row["accuracy"] == pytest.approx(source.gold[:, 1].mean(), abs=0.03)
    assert row["alarm"] and row["risk"] > 0.99
    assert "100 % of the texts get the same answer, 'B'." in row["reasons"]


def test_a_source_that_is_always_right():
    part = make_part(100, sure=9.0)
    right = Labelled(part.reading, np.eye(3)[part.reading.scores.argmax(axis=1)])
    line = Line(make_decider(), right, {})
    assert line.accuracy == pytest.approx(101 / 102)
    row = forecast(line, make_part(100, sure=9.0, seed=1))
    assert 0.5 < row["accuracy"] < 1.0 and np.isfinite(row["interval"]).all()


def test_a_source_that_is_no_better_than_chance():
    part = make_part(100)
    line = Line(make_decider(), Labelled(part.reading, np.roll(part.gold, 1, axis=1)), {})
    row = forecast(line, make_part(100, seed=1))
    assert 0.0 <= row["interval"][0] <= row["interval"][1] <= 1.0 and row["risk"] <= 1.0


def test_too_few_source_texts():
    with pytest.raises(ValueError, match=r"There are 9 labelled source texts, at least 10"):
        Line(make_decider(), make_part(9), {})


# -- alarms and reasons ---------------------------------------------------------------------


def test_no_alarm_where_all_is_well():
    row = forecast(Line(make_decider(), make_part(500), {}), make_part(500, seed=1))
    assert not row["alarm"] and row["reasons"] == [] and abs(row["gap"]) < 0.1


def test_reasons_are_sentences():
    line = Line(make_decider(), make_part(500), {})
    unreadable = Counter({"ᱚ": 7000, "ᱞ": 5000})
    part = make_part(300, sure=0.2, seed=2, n_pieces=12000, unreadable=unreadable)
    row = forecast(line, part)
    assert row["alarm"]
    text = " ".join(row["reasons"])
    assert text.startswith("The encoder cannot read 80 % of the letters (Ol Chiki).")
    assert "The accuracy is forecast to be" in text and "in English it is" in text
    assert "Words fall into 4.0 pieces, in English into 1.4" in text
    assert "Its answers have a probability of" in text
    stored = to_stored([row])["xx"]
    assert stored["alarm"] and stored["reason"].endswith(text)
    assert stored["reason"].startswith("Labels in ")


def test_letters_that_cannot_be_read_are_an_alarm_whatever_is_forecast():
    line = Line(make_decider(), make_part(500), {})
    part = make_part(500, seed=1, unreadable=Counter({"ᱚ": 10_000}))
    row = forecast(line, part)
    assert row["risk"] < 0.2 and row["alarm"]


def test_scripts_without_spaces_are_not_said_to_fall_into_pieces():
    line = Line(make_decider(), make_part(500), {})
    row = forecast(line, make_part(300, sure=0.2, seed=2, n_words=300, n_pieces=6000))
    assert row["alarm"] and not any("pieces" in reason for reason in row["reasons"])


def test_without_pieces_there_are_other_reasons():
    none = {"n_pieces": 0, "n_unknown": 0}
    line = Line(make_decider(), make_part(500, **none), {})
    row = forecast(line, make_part(300, sure=0.2, seed=2, **none))
    assert row["signs"]["pieces_per_word"] is None and row["signs"]["unreadable_share"] is None
    assert row["reasons"] == explain(row, line.source_signs, "English")


def test_nothing_is_stored_as_a_reason_without_an_alarm():
    row = forecast(Line(make_decider(), make_part(500), {}), make_part(500, seed=1), "de")
    stored = to_stored([row])
    assert stored["de"]["reason"] == "" and not stored["de"]["alarm"]
    assert json.loads(json.dumps(stored)) == stored


# -- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "halves"),
    [
        ("", ("", "")),
        ("a", ("", "a")),
        ("one two", ("one", "two")),
        ("one two three four", ("one two", "three four")),
        ("我们今天想要", ("我们今", "天想要")),
    ],
)
def test_halves_of_a_text(text, halves):
    assert split_text(text) == halves


@given(st.text(max_size=80))
def test_halves_hold_the_whole_text(text):
    assert "".join("".join(split_text(text)).split()) == "".join(text.split())


def test_a_pipeline_reads_texts(trained):
    trained.get_pipe("textcat").set_calibration({"temperatures": {"": 5.0}})
    texts = ["we want pizza today", "ᱚᱞ", "给大家的opera"]
    reading = read_texts(trained, "textcat", texts)
    docs = [trained.make_doc(text) for text in texts]
    expected = trained.get_pipe("textcat").predict(docs, calibrated=False)
    np.testing.assert_allclose(reading.scores, expected, atol=1e-5)
    assert reading.unreadable == Counter("ᱚᱞ") and reading.n_words == 6
    assert reading.first.shape == reading.second.shape == (3, 3) and reading.n_pieces > 3


def test_the_prior_that_is_shipped():
    prior, content = read_prior(), json.loads(PRIOR_FILE.read_text())
    assert "tests/benchmarks/forecast.py" in content["made_by"] and content["fitted_to"]
    # The sharper, the better; and where nothing differs from the source, neither does accuracy.
    assert prior.mean[1] > 0.5 and prior.mean[2] >= 0.0 and abs(prior.mean[0]) < 0.2
    assert (np.linalg.eigvalsh(prior.covariance) > 0.0).all() and 0.0 < prior.spread < 1.0
