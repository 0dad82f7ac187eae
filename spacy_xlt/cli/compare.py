"""`spacy xlt compare`: two runs on the same documents."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional, Tuple, Union

from ..files import write_text
from ._app import Arg, Opt, command, msg, xlt_cli

if TYPE_CHECKING:
    from ..evaluation.comparison import Comparison, LanguageComparison, MeanComparison

# Adjusted probability below which a difference counts as shown.
LEVEL = 0.05


@command(xlt_cli, "compare")
def compare_cli(
    a: Path = Arg(..., help="Figures of the first run, of spacy xlt evaluate --output"),
    b: Path = Arg(..., help="Figures of the second run, on the same texts"),
    output: Optional[Path] = Opt(None, "--output", "-o", help="JSON file for the comparison"),
) -> None:
    """
    Compare two runs on the same texts: the difference in each language with its 95 % interval
    and a paired test, adjusted for the number of languages, and in the mean over languages.
    """
    comparison = compare(a, b, output=output)
    show_comparison(comparison)
    if output is not None:
        msg.good(f"Comparison: {output}")


def compare(a: Path, b: Path, *, output: Optional[Path] = None) -> "Comparison":
    """Compare two evaluations and write what was asked for; see `compare_evaluations`."""
    from ..evaluation.comparison import compare_evaluations
    from ..evaluation.results import dump_json, read_evaluation

    comparison = compare_evaluations(read_evaluation(a), read_evaluation(b))
    if output is not None:
        write_text(output, dump_json(comparison))
    return comparison


def show_comparison(comparison: "Comparison") -> None:
    """Print the table of languages, the means, and what they show."""
    from ..languages import language_name

    a, b = comparison["a"], comparison["b"]
    header = ("Language", "Tag", "Role", "N", a, b, "Difference", "95 %", "p", "p adj.", "")
    rows = [
        (
            language_name(row["lang"]),
            row["lang"],
            row["role"],
            f"{row['n']:,}",
            *_show_difference(row),
            f"{row['p']:.3f}",
            f"{row['p_adjusted']:.3f}",
            "*" if row["p_adjusted"] < LEVEL else "",
        )
        for row in comparison["languages"]
    ]
    means = [
        (
            f"Mean of {mean['n_langs']} {role} language{'s' if mean['n_langs'] > 1 else ''}",
            *_show_difference(mean),
            f"p = {mean['p']:.3f}",
        )
        for role, mean in comparison["means"].items()
    ]
    msg.divider(f"{b} against {a}")
    msg.table(rows, header=header, divider=True, aligns=("l", "l", "l", *"rrrrrrr", "l"))
    msg.table(means, aligns=("l", *"rrrrr"))
    shown = [row for row in comparison["languages"] if row["p_adjusted"] < LEVEL]
    better = sum(row["difference"] > 0 for row in shown)
    msg.text(
        f"* {b} is better in {better} and worse in {len(shown) - better} of "
        f"{len(comparison['languages'])} languages; in the others no difference is shown "
        f"(adjusted p below {LEVEL})."
    )
    left_out = [(comparison["n_only_a"], a), (comparison["n_only_b"], b)]
    if any(n for n, _ in left_out):
        told = " and ".join(f"{n:,} of '{name}'" for n, name in left_out if n)
        msg.warn(f"Documents that the other run lacks do not count: {told}.")


def _show_difference(row: Union["LanguageComparison", "MeanComparison"]) -> Tuple[str, ...]:
    """Accuracies of both runs, their difference and its interval."""
    from ..evaluation.rendering import percent, plain_minus, points, points_interval

    return (
        percent(row["a"]),
        percent(row["b"]),
        plain_minus(points(row["difference"])),
        plain_minus(points_interval(row["interval"])),
    )
