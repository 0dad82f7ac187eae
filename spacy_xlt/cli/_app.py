"""The command group, its house style and its way of reporting errors."""

import functools
import sys
from typing import Any, Callable, TypeVar

import typer
from spacy.cli._util import Arg, Opt, app
from wasabi import Printer

__all__ = ["Arg", "Opt", "command", "group", "msg", "xlt_cli"]

msg = Printer()
xlt_cli = typer.Typer(
    name="xlt",
    help="Cross-lingual text classification: data, encoders, training, evaluation, reports",
    no_args_is_help=True,
)
app.add_typer(xlt_cli)

# What bad input or a failing machine raises. Anything else is a bug and keeps its traceback.
USER_ERRORS = (ValueError, ImportError, OSError, MemoryError)

# Options that several commands share.
BATCH_SIZE = Opt(512, "--batch-size", "-b", help="Documents handed to the pipeline at once")
TEXT_FIELD = Opt("text", "--text-field", "-t", help="Field that holds the text")
LANG_FIELD = Opt(
    "lang", "--lang-field", help="Field with the language tag of a text, if it has one"
)
COMPONENT = Opt(None, "--component", help="Text classifier to use, where the pipeline has several")
GPU_ID = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU")
CODE_PATH = Opt(None, "--code", "-c", help="Python file with registered functions to import")

F = TypeVar("F", bound=Callable[..., Any])


def group(name: str, help: str) -> typer.Typer:
    """A new group of commands under `spacy xlt`."""
    sub = typer.Typer(name=name, help=help, no_args_is_help=True)
    xlt_cli.add_typer(sub)
    return sub


def command(parent: typer.Typer, name: str, **settings: Any) -> Callable[[F], F]:
    """Register a function as a command whose errors are messages, not tracebacks.

    Exit codes: 0 done, 1 an error that the message explains, 130 interrupted.
    """

    def register(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except USER_ERRORS as e:
                sys.stdout.flush()
                printer = Printer(line_max=100)
                printer.fail(_title(e))
                for line in str(e).strip().splitlines():  # a list in a message stays a list
                    printer.text(line)
                raise typer.Exit(1) from e
            except KeyboardInterrupt as e:
                msg.warn("Interrupted.")
                raise typer.Exit(130) from e

        parent.command(name, **settings)(run)
        return function

    return register


def _title(error: BaseException) -> str:
    if isinstance(error, ConnectionError):
        return "Something could not be reached"
    if isinstance(error, OSError):
        return "The system refused a file operation"
    if isinstance(error, ImportError):
        return "A library is missing"
    if isinstance(error, MemoryError):
        return "Out of memory"
    return "That does not work"
