"""What the commands of schedules share: the words of the call, and who calls."""

import getpass
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import load, reference_and_rest

if TYPE_CHECKING:
    from headrace.processors.schedules import Schedules

First = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        help="The pipeline as module:attribute; leave it out when HEADRACE_PIPELINE is set.",
        show_default=False,
    ),
]
Second = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The schedule's name.", show_default=False)
]


def desk(reference: str | None, app_dir: Path | None) -> "Schedules":
    """Make what the commands work with."""
    from headrace.processors.schedules import Schedules

    return Schedules(load(reference, app_dir), views.kafka())


def desk_and_name(
    first: str | None, second: str | None, app_dir: Path | None
) -> tuple["Schedules", str]:
    """Read the pipeline, which may be left out, and the schedule's name."""
    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one schedule's name, got {' '.join(rest) or 'none'}")
    return desk(reference, app_dir), rest[0]


def caller() -> str:
    """Who gives an order, as far as this machine knows: `ada@build-7`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
