"""Plots as SVG that stands in a page: its colours are the page's, and it loads nothing."""

import io
import re
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from ..languages import language_name
from .calibration import CurvePoint
from .learning import LearningCurve, LearningCurves
from .uncertainty import Interval

# matplotlib wants colours, a page has names for them, which differ by day and night: each of these
# stands for the page's variable in what matplotlib draws.
INK, MUTED, LINE, ACCENT, BAD = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
VARIABLES = {
    INK: "var(--text)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--c1)",
    BAD: "rgb(var(--bad))",
}
# The same where a plot is a file of its own.
PAPER = {INK: "#202124", MUTED: "#5f6368", LINE: "#dadce0", ACCENT: "#1a5fb4", BAD: "#b3261e"}
PANEL_INCHES = (3.0, 2.7)
PANELS_PER_ROW = 3
WIDE_INCHES = (6.4, 4.6)
STYLE: Any = {  # its keys are literals to the library's types
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",  # letters stay text
    "svg.hashsalt": "spacy_xlt",  # the same plot is the same file
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
# What a file of its own needs and a part of a page must not have: names that several plots share,
# fonts and sizes that are the page's to choose.
CLEANING = [
    (re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL), ""),
    (re.compile(r"<defs>\s*<style.*?</style>\s*</defs>\s*", re.DOTALL), ""),
    (re.compile(r' xmlns(:\w+)?="[^"]*"'), ""),
    (re.compile(r'<g id="[^"]*"'), "<g"),
    (re.compile(r'<svg width="[^"]*" height="[^"]*"'), '<svg role="img"'),
    (re.compile(r"font-family: [^;\"]*; ?"), ""),
    (re.compile(r"\s*\n\s*"), "\n"),
]


class Forecasted(NamedTuple):
    """A language's accuracy as forecast without labels and as measured; shares, not percent."""

    name: str
    forecast: float
    forecast_interval: Interval
    measured: float
    measured_interval: Interval
    alarm: bool


def plot_calibration(curve: Sequence[CurvePoint]) -> str:
    """Accuracy against confidence, with the diagonal on which both are equal.

    curve (Sequence[CurvePoint]): The points; at least one.
    RETURNS (str): An `<svg>` element.
    """
    figure, axes = _new_plot(PANEL_INCHES, "confidence, %", "accuracy, %", (0.0, 1.0))
    x = [100 * point["confidence"] for point in curve]
    y = [100 * point["accuracy"] for point in curve]
    _whiskers(axes, x, y, [point["interval"] for point in curve], ACCENT)
    axes.plot(x, y, color=ACCENT, linewidth=1.6, marker="o", markersize=4)
    return _to_svg(figure, "drawn")


def plot_forecasts(rows: Sequence[Forecasted]) -> str:
    """Measured against forecast accuracy of languages, those with an alarm in another colour.

    rows (Sequence[Forecasted]): The languages; at least one.
    RETURNS (str): An `<svg>` element.
    """
    lows = [min(row.forecast_interval[0], row.measured_interval[0]) for row in rows]
    low = max(0.0, int(10 * min(lows)) / 10)
    figure, axes = _new_plot(WIDE_INCHES, "forecast, %", "measured, %", (low, 1.0))
    for alarm, color in ((False, ACCENT), (True, BAD)):
        chosen = [row for row in rows if row.alarm == alarm]
        x = [100 * row.forecast for row in chosen]
        y = [100 * row.measured for row in chosen]
        _whiskers(axes, x, y, [row.measured_interval for row in chosen], color)
        _whiskers(axes, x, y, [row.forecast_interval for row in chosen], color, across=True)
        axes.plot(x, y, color=color, linestyle="", marker="s" if alarm else "o", markersize=5)
    for row in rows:
        place = (100 * row.forecast, 100 * row.measured)
        axes.annotate(
            row.name, place, xytext=(4, 4), textcoords="offset points", fontsize=8, color=INK
        )
    return _to_svg(figure, "drawn wide")


def plot_learning_curves(curves: LearningCurves) -> str:
    """Accuracy against the number of labels, a panel for each language and the mean.

    Points are what was measured, with their standard deviation over draws; the line is the fitted
    curve and the band its 95 % interval, drawn out beyond the last point.

    RETURNS (str): An SVG file.
    """
    import matplotlib
    from matplotlib.figure import Figure

    shown = [*([curves["mean"]] if curves["mean"] else []), *curves["languages"]]
    n_rows = -(-len(shown) // PANELS_PER_ROW)
    n_columns = min(len(shown), PANELS_PER_ROW)
    size = (n_columns * PANEL_INCHES[0], n_rows * PANEL_INCHES[1])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes, curve in zip(grid.flat, shown, strict=False):
        _draw_learning_curve(axes, curve)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    svg = _save_svg(figure)
    for color, printed in PAPER.items():
        svg = svg.replace(color, printed)
    return svg.replace(">", '><rect width="100%" height="100%" fill="white"/>', 1)


def _draw_learning_curve(axes: Any, curve: LearningCurve) -> None:
    if curve["fitted"]:
        n = [row[0] for row in curve["fitted"]]
        middle, low, high = ([100 * row[i] for row in curve["fitted"]] for i in (1, 2, 3))
        axes.fill_between(n, low, high, color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(n, middle, color=ACCENT, linewidth=1.4)
    points = curve["points"]
    x = [point["n_labels"] for point in points]
    y = [100 * point["accuracy"] for point in points]
    spreads = [100 * (point["sd"] or 0.0) for point in points]
    axes.errorbar(x, y, yerr=spreads, color=INK, linestyle="", marker="o", markersize=4)
    axes.set_title(language_name(curve["lang"]) if curve["lang"] else "mean", fontsize=9)
    axes.set(xlabel="labelled documents", ylabel="accuracy, %")
    axes.set_axisbelow(True)


def _new_plot(
    inches: Tuple[float, float], x_label: str, y_label: str, limits: Interval
) -> Tuple[Any, Any]:
    """A square of percentages with its diagonal."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        axes = figure.subplots()
    low, high = (100 * limit for limit in limits)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=x_label, ylabel=y_label)
    axes.set_axisbelow(True)
    return figure, axes


def _whiskers(
    axes: Any,
    x: List[float],
    y: List[float],
    intervals: Sequence[Optional[Interval]],
    color: str,
    *,
    across: bool = False,
) -> None:
    """95 % intervals (shares) of points (percent), upright or across."""
    for at_x, at_y, interval in zip(x, y, intervals, strict=True):
        if interval is not None:
            ends = [100 * end for end in interval]
            line = (ends, [at_y, at_y]) if across else ([at_x, at_x], ends)
            axes.plot(*line, color=color, alpha=0.35, linewidth=2.5, solid_capstyle="round")


def _to_svg(figure: Any, css_class: str) -> str:
    """The element alone, in the colours of the page."""
    for artist in figure.findobj():
        artist.set_clip_on(False)  # clip paths are addresses, which a page without a network shuns
    svg = _save_svg(figure)
    for pattern, replacement in CLEANING:
        svg = pattern.sub(replacement, svg)
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg.replace("<svg", f'<svg class="{css_class}"', 1)


def _save_svg(figure: Any) -> str:
    """What matplotlib draws, from the element on."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    svg = file.getvalue()
    return svg[svg.index("<svg") :]
