"""Commands run in this process."""

from typer.testing import CliRunner

from spacy_xlt.cli import xlt_cli


def run_command(*arguments, code=0):
    """Output of a command that ends with the exit code and without a traceback, on one line."""
    result = CliRunner().invoke(xlt_cli, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())
