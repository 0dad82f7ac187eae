"""Templates of pages, and how figures and names are written in them."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional, Sequence

import jinja2
from markupsafe import Markup

from ..languages import language_name
from .plots import plot_calibration, plot_forecasts

TEMPLATES = Path(__file__).parent / "templates"
# What Markdown or HTML would take for markup, or a table for the end of a cell.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~&])")
_ADDRESS = re.compile(r"https?://[^\s<>]+")
_SPACE = re.compile(r"\s+")


def render(template: str, **values: Any) -> str:
    """Fill a template of this room; values are escaped in HTML pages."""
    return _environment().get_template(template).render(**values)


def percent(value: Optional[float], digits: int = 1) -> str:
    """A share in percent, without the sign; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def points(value: Optional[float]) -> str:
    """A difference of shares in percentage points, with its sign."""
    if value is None:
        return "–"
    return f"{100 * value:+.1f}".replace("-", "−")


def interval(value: Optional[Sequence[float]]) -> str:
    """A 95 % interval in percent."""
    return "–" if value is None else f"{percent(value[0])}–{percent(value[1])}"


def points_interval(value: Optional[Sequence[float]]) -> str:
    """A 95 % interval of a difference in percentage points."""
    return "–" if value is None else f"{points(value[0])} to {points(value[1])}"


def plain_minus(text: str) -> str:
    """A text whose signs every terminal has."""
    return text.replace("−", "-")


def escape_markdown(value: Any) -> str:
    """Text that Markdown shows as it is, on one line."""
    return escape_markdown_part(value).strip()


def escape_markdown_part(value: Any) -> str:
    """The same with a space before and after it where there are any."""
    return _MARKUP.sub(r"\\\1", _SPACE.sub(" ", str(value)))


def link_markdown(value: Any) -> str:
    """An address as a link, anything else as text."""
    text = str(value).strip()
    return f"<{text}>" if _ADDRESS.fullmatch(text) else escape_markdown(text)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES, encoding="utf8"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        points=points,
        interval=interval,
        points_interval=points_interval,
        language=language_name,
        plot_calibration=lambda curve: Markup(plot_calibration(curve)),
        plot_forecasts=lambda rows: Markup(plot_forecasts(rows)),
        md=escape_markdown,
        md_part=escape_markdown_part,
        md_link=link_markdown,
    )
    return environment
