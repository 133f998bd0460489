"""`headrace schedules run` and `backfill`: fires by hand."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.schedules.naming import First, Second, desk_and_name
from headrace.console.options import AppDir, Json, moment

if TYPE_CHECKING:
    from headrace.processors.schedules.desk import Backfill

_ASKED_ABOVE: Final = 100


def run(
    first: First = None, second: Second = None, *, json: Json = False, app_dir: AppDir = None
) -> None:
    """Fire a schedule now, also a paused one; the policies and the next fires are as before."""
    schedules, name = desk_and_name(first, second, app_dir)
    job_id = schedules.run(name)
    if json:
        output.print_json({"schedule": name, "job_id": job_id})
    else:
        output.facts((("schedule", name), ("job", job_id)))


def backfill(
    first: First = None,
    second: Second = None,
    *,
    start: Annotated[
        datetime,
        typer.Option("--from", parser=moment, metavar="TIME", help="From here (ISO 8601)."),
    ],
    end: Annotated[
        datetime,
        typer.Option("--to", parser=moment, metavar="TIME", help="Up to here, not later than now."),
    ],
    again: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Run fires again that have run: they get other job ids, the same for the same TEXT.",
        ),
    ] = "",
    most: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="Refuse more fires than this.")
    ] = 100_000,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, however many they are.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many they are.")] = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Submit the fires of a past span, in order, each with the time and the id that it has.

    A fire whose job ran within the dedup window is dropped by its lane unless --again is given, so
    a backfill that broke off can be repeated. Above 100 fires it asks; without a terminal to ask
    on, it needs --yes. Exit code 1 when there is no fire in the span, or the answer is no.
    """
    from headrace.processors.errors import ScheduleError

    schedules, name = desk_and_name(first, second, app_dir)
    plan = schedules.plan_backfill(name, start, end, most)
    if not plan.fires and not json:
        raise ScheduleError(
            f"schedule {name!r} does not fire from {start.isoformat()} to {end.isoformat()}: "
            "nothing was submitted"
        )
    if dry_run:
        _tell(plan, 0, json=json)
        return
    _ask(plan, yes=yes)
    with views.progress() as progress:
        stored = schedules.backfill(plan, again=again, progress=progress)
    _tell(plan, stored, json=json)


def _ask(plan: "Backfill", *, yes: bool) -> None:
    import sys

    from headrace.processors.errors import ScheduleError

    count = len(plan.fires)
    if yes or count <= _ASKED_ABOVE:
        return
    question = f"submit {count:,} jobs of type {plan.schedule.job.job_type}?"
    if not sys.stdin.isatty():
        raise ScheduleError(f"{question} nothing was submitted; say --yes to mean it")
    if not typer.confirm(question):
        raise typer.Exit(1)


def _tell(plan: "Backfill", stored: int, *, json: bool) -> None:
    first, last = (plan.fires[0], plan.fires[-1]) if plan.fires else (None, None)
    told = {
        "schedule": plan.schedule.name,
        "fires": len(plan.fires),
        "submitted": stored,
        "first": first,
        "last": last,
    }
    if json:
        output.print_json(told)
        return
    at = views.now()
    output.facts(
        (
            ("schedule", plan.schedule.name),
            ("fires", f"{len(plan.fires):,}"),
            ("submitted", f"{stored:,}"),
            ("first", views.moment(first, at)),
            ("last", views.moment(last, at)),
        )
    )
