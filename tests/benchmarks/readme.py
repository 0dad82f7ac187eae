"""The parts of the README that benchmarks write."""

from pathlib import Path
from typing import Iterable

README = Path(__file__).parents[2] / "README.md"


def with_part(text: str, name: str, lines: Iterable[str]) -> str:
    """A README with other lines between the markers of one of its parts."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    before, rest = text.split(start, 1)
    _, after = rest.split(end, 1)
    return "\n".join([before + start, "", *lines, "", end + after])
