"""Arguments and options that several commands share, and what is made from them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from headrace.console.output import UsageError

if TYPE_CHECKING:  # a command that shows its help needs no pipeline
    from headrace.pipeline.pipeline import Pipeline

PIPELINE_VARIABLE: Final = "HEADRACE_PIPELINE"

Reference = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        envvar=PIPELINE_VARIABLE,
        show_envvar=False,
        help="The pipeline as module:attribute, such as shop.jobs:shop; HEADRACE_PIPELINE when "
        "not given.",
        show_default=False,
    ),
]
AppDir = Annotated[
    Path | None,
    typer.Option(
        "--app-dir",
        metavar="FOLDER",
        help="The folder that the pipeline's module is imported from; the working directory when "
        "not given.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]
Start = Literal["earliest", "latest"]
From = Annotated[
    Start | None,
    typer.Option(
        "--from",
        help="Where to begin where a group's offset is lost: earliest runs all that is kept, "
        "latest skips it. Without it nobody guesses: that is an error.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue", metavar="NAME", help="Only this queue; repeat it for more.", show_default=False
    ),
]
Priorities = Annotated[
    list[str] | None,
    typer.Option(
        "--priority",
        metavar="NAME",
        help="Only this priority; repeat it for more.",
        show_default=False,
    ),
]


def load(reference: str | None, app_dir: Path | None) -> "Pipeline":
    """Import the pipeline that a command was given.

    Raises:
        UsageError: None was given.
        LoadError: The reference does not name a pipeline.
    """
    from headrace.pipeline.loading import load_pipeline

    return load_pipeline(required(reference), app_dir)


def required(reference: str | None) -> str:
    """Give the reference.

    Raises:
        UsageError: None was given.
    """
    if not reference:
        raise UsageError(
            "no pipeline is given: write module:attribute, such as shop.jobs:shop, or set "
            f"{PIPELINE_VARIABLE}"
        )
    return reference


def split(values: Iterable[str] | None) -> tuple[str, ...]:
    """Give the names of a repeatable option, each of which may hold several: `a,b`."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    return tuple(part for part in parts if part)


def duration(text: str) -> timedelta:
    """Read `5m` or `1h30m`; a usage error when it is none."""
    from headrace.pipeline.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def moment(text: str) -> datetime:
    """Read an ISO 8601 time; one without a zone is this machine's local time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write 2026-12-24T18:00:00+01:00, or without +01:00 for local "
            "time"
        ) from None
    return found if found.tzinfo is not None else found.astimezone()


def duration_or_moment(text: str) -> timedelta | datetime:
    """Read either; what begins with four digits and a hyphen is a time."""
    if text[4:5] == "-" and text[:4].isdigit():
        return moment(text)
    try:
        return duration(text)
    except typer.BadParameter as error:
        raise typer.BadParameter(f"{error.message}; or a time such as 2026-12-24T18:00") from None


def reference_and_rest(
    given: Sequence[str | None], most: int
) -> tuple[str | None, tuple[str, ...]]:
    """Take the optional pipeline off the front of a command's words.

    Args:
        given: The words as they were written; None for those that were not.
        most: How many words there can be beside the pipeline. With fewer, a first word with a
            colon is the pipeline.
    """
    words = [word for word in given if word is not None]
    first = words[0] if words else ""
    if len(words) > most or (":" in first and not first.lstrip().startswith("{")):
        return first, tuple(words[1:])
    import os

    return os.environ.get(PIPELINE_VARIABLE), tuple(words)
