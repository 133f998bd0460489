"""What commands that change something share: who does it, why, and the question before."""

import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from headrace.console import output

By = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who does it, for the audit record; the user name of this process when not given. "
        "Nobody checks it.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option(help="Say what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def who(by: str | None) -> str:
    """Give the name for the audit record."""
    from headrace.processors.repair.audit import user_name

    return by or user_name()


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless it was said already.

    Raises:
        UsageError: Nobody is there to ask.
        Exit: The answer is no; exit code 1.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise output.UsageError(f"{question} There is no terminal to ask on: say --yes to do it")
    if not typer.confirm(question, err=True):
        output.progress("nothing was done")
        raise typer.Exit(1)


def warn_missing(ids: Iterable[str]) -> None:
    """Name the jobs that were asked for and have no such letter."""
    for job_id in ids:
        output.progress(f"job {job_id} has no such dead letter")
