"""`headrace schedules add`."""

import json as jsonlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands.schedules.looking import print_schedule
from headrace.console.commands.schedules.naming import First, Second, caller, desk_and_name
from headrace.console.options import AppDir, Json, duration, moment

if TYPE_CHECKING:
    from headrace.pipeline.schedules import Misfire


def add(
    first: First = None,
    second: Second = None,
    *,
    job: Annotated[str, typer.Option(metavar="TYPE", help="The job type.")],
    arguments: Annotated[
        str, typer.Option(metavar="JSON", help="The job's arguments as a JSON object.")
    ] = "{}",
    cron: Annotated[
        str | None,
        typer.Option(
            metavar="EXPRESSION",
            help="5 fields, 6 with seconds first, or @daily and the like.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="An interval, such as 15m."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Once, at this time (ISO 8601); without an offset by the clocks of --timezone, or "
            "of this machine.",
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Such as Europe/Berlin; UTC when not given."),
    ] = None,
    misfire: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="Of fires that were missed: skip, run_once (one for all), or catch_up:N (the last N).",
        ),
    ] = "run_once",
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="How late a fire may be without being missed.")
    ] = "1m",
    overlap: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="While the job of the fire before is not final: allow, skip, or cancel_old.",
        ),
    ] = "allow",
    jitter: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Each fire waits up to this."),
    ] = None,
    priority: Annotated[str | None, typer.Option(metavar="NAME", help="The lane.")] = None,
    key: Annotated[str | None, typer.Option(metavar="TEXT", help="The ordering key.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TEXT", help="On whose behalf.")] = None,
    expires: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration, metavar="DURATION", help="Dropped when not started by then: 1h."
        ),
    ] = None,
    replacing: Annotated[
        bool, typer.Option("--replace", help="One of that name may be there; it begins anew.")
    ] = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Add a schedule; schedulers see it within a second. Give one of --cron, --every and --at.

    Exit code 1 when it cannot be used as it is: the message says what to write instead.
    """
    from headrace.pipeline.errors import DeclarationError
    from headrace.pipeline.schedules.schedule import NamedJob, Schedule
    from headrace.pipeline.schedules.timing import make_timing

    schedules, name = desk_and_name(first, second, app_dir)
    try:
        made = Schedule(
            name,
            make_timing(cron, every, _at(at, timezone), timezone),
            NamedJob(job, _object(job, arguments)),
            _misfire(misfire, duration(grace)),
            overlap,
            jitter or timedelta(),
            priority,
            key,
            tenant,
            expires,
        )
    except DeclarationError as error:
        raise DeclarationError(f"schedule {name!r}: {error}") from None
    found = schedules.add(made, caller(), replacing=replacing)
    if json:
        output.print_json(found.as_json())
    else:
        print_schedule(found, 3)


def _at(text: str | None, timezone: str | None) -> datetime | None:
    from headrace.pipeline.schedules.timing import find_zone

    if text is None:
        return None
    found = moment(text)
    if timezone is None or datetime.fromisoformat(text).tzinfo is not None:
        return found
    return datetime.fromisoformat(text).replace(tzinfo=find_zone(timezone))


def _misfire(text: str, grace: timedelta) -> "Misfire":
    from headrace.pipeline.schedules import Misfire

    kind, _, limit = text.partition(":")
    if text == "skip":
        return Misfire.skip(grace=grace)
    if text == "run_once":
        return Misfire.run_once(grace=grace)
    if kind == "catch_up" and limit.isdecimal():
        return Misfire.catch_up(int(limit), grace=grace)
    raise output.UsageError(f"--misfire {text!r}: write skip, run_once, or catch_up:3")


def _object(job_type: str, text: str) -> dict[str, Any]:
    from headrace.schemas.errors import ArgumentError

    try:
        found = jsonlib.loads(text)
    except ValueError as error:
        raise ArgumentError(job_type, None, f"the arguments are no JSON: {error}") from None
    if not isinstance(found, dict):
        reason = f'the arguments must be a JSON object, such as {{"name": "Ada"}}, got {text}'
        raise ArgumentError(job_type, None, reason)
    return found
