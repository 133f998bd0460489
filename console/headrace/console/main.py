"""The `headrace` command: which commands there are, and how it ends when something is wrong."""

import importlib
import inspect
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from headrace.console.output import UsageError, print_error
from headrace.schemas.errors import HeadraceError

_RUN, _JOBS, _SET_UP = "Run", "Look and repair", "Set up"
COMMANDS: Final = {
    "up": ("up:up", _RUN),
    "worker": ("worker:worker", _RUN),
    "scheduler": ("worker:scheduler", _RUN),
    "processors": ("processors:app", _RUN),
    "exporter": ("exporter:exporter", _RUN),
    "scaler": ("scaler:scaler", _RUN),
    "submit": ("submit:submit", _RUN),
    "jobs": ("jobs:app", _JOBS),
    "dlq": ("dlq:app", _JOBS),
    "audit": ("audit:audit", _JOBS),
    "lag": ("lag:lag", _JOBS),
    "scale": ("scale:app", _JOBS),
    "workers": ("workers:workers", _JOBS),
    "stats": ("stats:stats", _JOBS),
    "retry": ("retry:app", _JOBS),
    "circuits": ("circuits:app", _JOBS),
    "schedules": ("schedules:app", _JOBS),
    "claims": ("claims:app", _SET_UP),
    "topics": ("topics:app", _SET_UP),
    "schemas": ("schemas:app", _SET_UP),
    "kafka": ("kafka:app", _SET_UP),
    "acl": ("acl:app", _SET_UP),
    "deploy": ("deploy:app", _SET_UP),
    "prove": ("prove:prove", _SET_UP),
    "bench": ("bench:bench", _SET_UP),
}
"""By name: the module in `commands` with what it exports (a Typer, or a function), and the panel of
the help that it stands in."""


class LazyCommands(TyperGroup):
    """Imports a command's module when it is called: a worker does not pay for the others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Typer looks for "did you mean" among these names; what they stand for comes from below.
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        place, panel = COMMANDS[cmd_name]
        module_name, _, attribute = place.partition(":")
        module = importlib.import_module(f"headrace.console.commands.{module_name}")
        command: Any = _as_command(getattr(module, attribute))
        command.name = cmd_name
        command.rich_help_panel = panel
        return command


def _as_command(exported: Any) -> Any:
    if isinstance(exported, typer.Typer):
        exported._add_completion = False  # noqa: SLF001 - the whole command has it once
        return _reflowed(typer.main.get_command(exported))
    alone = typer.Typer(add_completion=False)
    alone.command()(exported)
    return _reflowed(typer.main.get_command(alone))


def _reflowed(command: Any) -> Any:
    """Let the terminal break the lines of help texts, not the source code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    for below in getattr(command, "commands", {}).values():
        _reflowed(below)
    return command


app = typer.Typer(
    name="headrace",
    cls=LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Print the version and leave.",
        ),
    ] = False,
) -> None:
    """A job pipeline on Apache Kafka.

    Settings come from HEADRACE_* variables; see docs/reference/settings.md.
    """


def run() -> None:
    """Run the command line: exit code 0, 1 for our errors, 2 for a wrong call."""
    try:
        app()
    except UsageError as error:
        print_error(error)
        sys.exit(2)
    except HeadraceError as error:
        print_error(error)
        sys.exit(1)
