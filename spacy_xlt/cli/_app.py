"""The command group, its house style and its way of reporting errors."""

import functools
import re
import shlex
import sys
import warnings
from contextlib import contextmanager, redirect_stdout
from typing import Any, Callable, Dict, Iterator, Sequence, Set, TypeVar

import typer
from spacy.cli._util import Arg, Opt, app
from typer.core import TyperGroup
from wasabi import Printer

__all__ = ["Arg", "Opt", "command", "command_line", "group", "msg", "xlt_cli"]

# A command within a message, up to the end of the sentence or clause.
_COMMAND = re.compile(
    r"(?:python -m (?:spacy|pip)|pip install) .*?(?=(?<=\S)[.,;)](?:\s|$)|$)", re.MULTILINE
)
# Stands for a space at which no line may break.
_GLUE = "\x1f"


class CommandPrinter(Printer):
    """Wraps messages, but no command within them, which is there to be copied."""

    def text(  # type: ignore[override]
        self, title: Any = "", text: Any = "", **settings: Any
    ) -> None:
        shown = super().text(_glue_commands(title), _glue_commands(text), no_print=True, **settings)
        if shown is not None:
            print(shown.replace(_GLUE, " "))


def _glue_commands(text: Any) -> str:
    return _COMMAND.sub(lambda match: match[0].replace(" ", _GLUE), str(text))


msg = CommandPrinter()

# The order of the help: what one does first, then what one does next.
SECTIONS: Dict[str, Sequence[str]] = {
    "Start": ("init-project", "init-config", "advise", "transfer", "encoder"),
    "Texts": ("data", "lexicon", "translate", "translators", "align", "pseudo-label"),
    "Training": ("train", "self-train", "distill", "soup", "ensemble", "gloss", "delta", "search"),
    "Figures": ("evaluate", "compare", "report", "learning-curve", "benchmark"),
    "Trust": ("calibrate", "forecast", "explain", "suggest"),
    "Use": ("predict", "package", "check-package"),
    "Steps of project.yml": ("project",),
}


class SectionedGroup(TyperGroup):
    """A group whose help lists its commands in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, names in SECTIONS.items():
            rows = [(name, self.commands[name].get_short_help_str(limit=200)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


xlt_cli = typer.Typer(
    name="xlt",
    cls=SectionedGroup,
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
    """Register a function as a command whose errors and warnings are messages.

    Exit codes: 0 done, 1 an error that the message explains, 130 interrupted.
    """

    def register(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                with warnings_as_messages():
                    return function(*args, **kwargs)
            except USER_ERRORS as e:
                sys.stdout.flush()
                msg.fail(_title(e))
                for line in str(e).strip().splitlines():  # a list in a message stays a list
                    msg.text(line)
                raise typer.Exit(1) from e
            except KeyboardInterrupt as e:
                msg.warn("Interrupted.")
                raise typer.Exit(130) from e

        short_help = _first_clause(settings.get("help") or function.__doc__ or "")
        parent.command(name, short_help=short_help, **settings)(run)
        return function

    return register


def command_line(*words: Any) -> str:
    """One of our commands as a user types it."""
    return shlex.join(["python", "-m", "spacy", "xlt", *map(str, words)])


def _first_clause(text: str) -> str:
    """What a command does, as a list of commands says it."""
    return re.split(r"[.,:;](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


@contextmanager
def warnings_as_messages() -> Iterator[None]:
    """Show warnings to users as messages, each once, beside what goes to standard output; those to
    programmers as they are."""
    told: Set[str] = set()  # spaCy makes and reads things several times

    def show(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
        if category is not UserWarning:
            show_others(message, category, *args, **kwargs)
        elif str(message) not in told:
            told.add(str(message))
            sys.stdout.flush()
            with redirect_stdout(sys.stderr):
                msg.warn(str(message))

    with warnings.catch_warnings():
        show_others = warnings.showwarning
        warnings.showwarning = show
        yield


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
