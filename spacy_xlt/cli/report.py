"""`spacy xlt report`: pages from the figures of `spacy xlt evaluate`."""

from pathlib import Path
from typing import Dict, List, Optional, Sequence

from ..files import write_text
from ._app import Arg, Opt, command, msg, xlt_cli


@command(xlt_cli, "report")
def report_cli(
    metrics: List[Path] = Arg(
        ..., help="JSON files of spacy xlt evaluate: the run to compare with first"
    ),
    output: Path = Opt(..., "--output", "-o", help="Directory for the report", file_okay=False),
    title: Optional[str] = Opt(None, "--title", "-t", help="Heading of the report"),
    forecast: Optional[Path] = Opt(
        None, "--forecast", help="JSON file of spacy xlt forecast, for the pipeline of the last run"
    ),
) -> None:
    """
    Make a report of one or several evaluations, such as before and after fine-tuning:
    report.html (one page with plots, readable offline), report.md and report.json.
    """
    paths = make_reports(metrics, output, title=title, forecast=forecast)
    msg.good(f"Report: {paths['html']}", f"Also as {paths['md']} and {paths['json']}")


def make_reports(
    metrics: Sequence[Path],
    output: Path,
    *,
    title: Optional[str] = None,
    forecast: Optional[Path] = None,
) -> Dict[str, Path]:
    """Write the three forms of a report; see `evaluation.report.make_report`.

    RETURNS (Dict[str, Path]): Path of each form: "html", "md", "json".
    """
    from ..evaluation.forecasts import read_forecast
    from ..evaluation.report import make_report, render_html, render_markdown
    from ..evaluation.results import dump_json, read_evaluation

    if output.exists() and not output.is_dir():
        raise ValueError(f"'{output}' is a file; --output needs a directory. Choose another name.")
    report = make_report(
        [read_evaluation(path) for path in metrics],
        title=title,
        forecast=None if forecast is None else read_forecast(forecast),
    )
    texts = {
        "html": render_html(report),
        "md": render_markdown(report),
        "json": dump_json(report),
    }
    paths = {form: output / f"report.{form}" for form in texts}
    for form, text in texts.items():
        write_text(paths[form], text)
    return paths
