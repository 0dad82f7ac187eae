import re
import xml.etree.ElementTree as ET

import pytest

from spacy_xlt.evaluation.plots import (
    PAPER,
    VARIABLES,
    Forecasted,
    plot_calibration,
    plot_forecasts,
    plot_learning_curves,
)

CURVE = [
    {"n": 20, "confidence": 0.4, "accuracy": 0.5, "interval": (0.3, 0.7)},
    {"n": 20, "confidence": 0.9, "accuracy": 0.75, "interval": (0.55, 0.9)},
]
FORECASTS = [
    Forecasted("de", 0.9, (0.85, 0.94), 0.88, (0.83, 0.92), alarm=False),
    Forecasted("<sat>", 0.3, (0.2, 0.45), 0.26, (0.2, 0.33), alarm=True),
]


def read(svg):
    """The element, where `xlink` is known as a page knows it."""
    return ET.fromstring(svg.replace("<svg", '<svg xmlns:xlink="x"', 1))


def place(value, low, high):
    """Where a share stands on an axis between two places."""
    return low + value * (high - low)


@pytest.mark.parametrize("svg", [plot_calibration(CURVE), plot_forecasts(FORECASTS)])
def test_it_is_part_of_a_page_and_loads_nothing(svg):
    root = read(svg)
    assert root.tag == "svg" and root.get("viewBox")
    assert "http" not in svg and "url(" not in svg and "<style" not in svg
    assert "font-family" not in svg
    assert not any(color in svg for color in VARIABLES)
    assert set(re.findall(r"#\w{6}\b", svg)) <= set(re.findall(r'"#(m\w+)"', svg))
    assert "var(--c1)" in svg and "var(--muted)" in svg


def test_points_stand_where_the_figures_say():
    root = read(plot_calibration(CURVE))
    (frame,) = [
        [float(x) for x in re.findall(r"[\d.]+", path.get("d"))]
        for path in root.iter("path")
        if path.get("d").count("L") == 4 and "M 0" not in path.get("d")
    ]
    (left, bottom, right, _, _, top) = frame[:6]
    marks = [(float(use.get("x")), float(use.get("y"))) for use in root.iter("use")][-2:]
    for (x, y), point in zip(marks, CURVE, strict=True):
        assert x == pytest.approx(place(point["confidence"], left, right), abs=0.1)
        assert y == pytest.approx(place(point["accuracy"], bottom, top), abs=0.1)


def test_the_same_plot_is_the_same_text():
    assert plot_calibration(CURVE) == plot_calibration(list(CURVE))
    assert plot_calibration(CURVE) != plot_calibration(CURVE[:1])


def test_languages_are_named_and_alarms_stand_out():
    svg = plot_forecasts(FORECASTS)
    assert ">de<" in svg and "&lt;sat&gt;" in svg
    assert VARIABLES["#0d0e0f"] in svg and "var(--text)" in svg and "#000000" not in svg
    assert VARIABLES["#0d0e0f"] not in plot_forecasts(FORECASTS[:1])


def make_learning_curve(lang, *, fitted=True):
    points = [
        {"shots": shots, "n_labels": n, "n_draws": 3, "accuracy": 0.6 + n / 1000, "sd": sd}
        for shots, n, sd in ((0, 0.0, None), (4, 20.0, 0.02), (None, 100.0, None))
    ]
    rows = [(float(n), 0.6 + n / 1000, 0.55, 0.75) for n in (0, 50, 100)]
    return {
        "lang": lang,
        "n_measured": 99,
        "points": points,
        "fitted": rows if fitted else [],
        "gain": 0.1,
        "gain_interval": (0.0, 0.2),
        "ahead": 0.01,
        "ahead_interval": (-0.02, 0.04),
    }


@pytest.mark.parametrize("langs", [["sw"], ["sw", "yo", "zu", "ha", "ku"]])
def test_learning_curves_are_a_file_of_their_own(langs):
    curves = {
        "format": "spacy_xlt.learning_curve.v1",
        "pipeline": "xx_test",
        "recipe": "head",
        "languages": [make_learning_curve(lang, fitted=lang != "yo") for lang in langs],
        "mean": make_learning_curve("") if len(langs) > 1 else None,
    }
    svg = plot_learning_curves(curves)
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.count("labelled documents") == len(langs) + (len(langs) > 1)
    assert "Swahili" in svg and ("mean" in svg) == (len(langs) > 1)
    assert not any(color in svg for color in PAPER) and "var(" not in svg
    assert plot_learning_curves(curves) == svg
