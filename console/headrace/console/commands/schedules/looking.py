"""`headrace schedules list` and `show`."""

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.schedules.naming import First, Second, desk, desk_and_name
from headrace.console.options import AppDir, Json, Reference

if TYPE_CHECKING:
    from headrace.processors.schedules import ScheduleView


def list_schedules(
    reference: Reference = None, *, json: Json = False, app_dir: AppDir = None
) -> None:
    """List all schedules: when they fire, next and last fire in their own zone, how they stand.

    JSON keys: `schedules`, and `problems`, why what lies on the topic cannot be used, by name.
    """
    schedules, problems = desk(reference, app_dir).look()
    if json:
        listed = [view.as_json() for view in schedules]
        output.print_json({"schedules": listed, "problems": problems})
        return
    if schedules:
        head = ("schedule", "state", "next", "last", "when")
        output.table(head, (_row(view) for view in schedules))
    elif not problems:
        output.progress("no schedules")
    for name, reason in problems.items():
        output.progress(f"{name}: {reason}")


def show(
    first: First = None,
    second: Second = None,
    *,
    count: Annotated[
        int, typer.Option("--next", min=1, max=1000, help="How many of the next fires.")
    ] = 5,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show a schedule in full: its words, policies, job, last job and next fires."""
    schedules, name = desk_and_name(first, second, app_dir)
    found = schedules.find(name)
    if json:
        output.print_json(found.as_json(count))
    else:
        print_schedule(found, count)


def print_schedule(view: "ScheduleView", count: int = 5) -> None:
    """Print a schedule for people."""
    told = view.as_json(count)
    jitter = f"up to {told['jitter']}" if told["jitter_ms"] else "none"
    lane = f"priority {told['priority']}" if told["priority"] else None
    output.facts(
        (
            ("schedule", told["name"]),
            ("when", told["words"]),
            ("expression", told.get("cron")),
            ("state", _state(view)),
            ("source", _source(view)),
            ("job type", told["job_type"]),
            ("arguments", views.one_line(str(told["arguments"]), 300)),
            ("submitted with", ", ".join(part for part in (lane, _options(view)) if part)),
            (
                "misfires",
                f"{view.entry.schedule.misfire.words}; late by up to {told['misfire_grace']} is not missed",
            ),
            ("overlap", told["overlap"]),
            ("jitter", jitter),
            ("last fire", _moment(view, view.last)),
            ("last job", _last_job(view)),
            ("last skipped", _moment(view, view.entry.state.skipped if view.entry.state else None)),
        )
    )
    upcoming = view.upcoming(count)
    print()
    if not upcoming:
        output.progress(
            "it will not fire again" + (" while it is paused" if view.entry.paused else "")
        )
        return
    head = ("next", "in", "due")
    output.table(
        head,
        ((view.local(f), _away(view, f), view.local(view.entry.schedule.due(f))) for f in upcoming),
    )


def _row(view: "ScheduleView") -> tuple[object, ...]:
    upcoming = view.upcoming(1)
    return (
        view.entry.schedule.name,
        view.standing.value,
        _moment(view, upcoming[0] if upcoming else None) or "-",
        _moment(view, view.last) or "-",
        view.entry.schedule.timing.words,
    )


def _moment(view: "ScheduleView", fire: int | None) -> str | None:
    return None if fire is None else f"{view.local(fire)} ({views.age(fire, view.at)})"


def _away(view: "ScheduleView", fire: int) -> str:
    return views.age(fire, view.at).removeprefix("in ")


def _state(view: "ScheduleView") -> str:
    pause, standing = view.entry.pause, view.standing
    if view.entry.paused and pause is not None:
        return f"paused {views.age(pause.since, view.at)} by {pause.by or 'somebody'}"
    hints = {
        "overdue": "overdue: no scheduler fires it; does `headrace scheduler` run?",
        "new": "new: no scheduler has seen it so far",
        "finished": "finished: it does not fire again",
    }
    return hints.get(standing.value, standing.value)


def _source(view: "ScheduleView") -> str:
    schedule = view.entry.schedule
    if not view.entry.managed:
        return "declared in code"
    when = "" if schedule.added is None else f" {views.age(schedule.added, view.at)}"
    return f"added{when} by {schedule.added_by or 'somebody'}"


def _options(view: "ScheduleView") -> str:
    schedule = view.entry.schedule
    parts = {"key": schedule.key, "tenant": schedule.tenant, "expires after": schedule.expires}
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


def _last_job(view: "ScheduleView") -> str | None:
    state = view.entry.state
    if state is None or state.job is None:
        return None
    return state.job + (f" ({state.ended})" if state.ended else "")
