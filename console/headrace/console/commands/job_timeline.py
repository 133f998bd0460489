"""A job's timeline as a table: attempts, waits in delay tiers, dead letters, replays, doubles."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from headrace.console import output
from headrace.console.commands import job_watching, views
from headrace.schemas.states import JobState

if TYPE_CHECKING:
    from headrace.processors.job_events import JobEvent

_HEAD: Final = ("time (UTC)", "what", "attempt", "started", "took", "worker", "where", "detail")
_RECORDS: Final[Mapping[str, str]] = {
    JobState.DELAYED: "waits in a delay tier",
    JobState.RETRYING: "waits in a delay tier",
    JobState.DEAD: "lies as a dead letter",
    JobState.QUEUED: "back on its lane",
}
"""What it means that a record came to lie somewhere."""


def draw(events: "Sequence[JobEvent]") -> None:
    """Print the timeline; of the progress of one attempt the last word alone."""
    kept = condensed(events)
    replays = _replayed(kept)
    output.table(_HEAD, (_row(each, first) for each, first in zip(kept, replays, strict=True)))


def condensed(life: "Iterable[JobEvent]") -> "list[JobEvent]":
    """Leave out all but the last word of each attempt: it may have told one each second."""
    kept: list[JobEvent] = []
    for each in life:
        if kept and _goes_on(kept[-1], each):
            kept.pop()
        kept.append(each)
    return kept


def _goes_on(before: "JobEvent", each: "JobEvent") -> bool:
    """Whether both tell of one running attempt."""
    return (before.state, before.generation, before.step) == (
        each.state,
        each.generation,
        each.step,
    ) and each.state == JobState.RUNNING


def _replayed(events: "Sequence[JobEvent]") -> list[int | None]:
    """For each event that is the first of a replay, which one it was; None for the others."""
    seen, found = 0, list[int | None]()
    for each in events:
        found.append(each.generation if each.generation > seen else None)
        seen = max(seen, each.generation)
    return found


def _row(each: "JobEvent", replay: int | None) -> tuple[object, ...]:
    from headrace.schemas.headers import format_time

    place = each.place
    return (
        format_time(each.time)[:-1].replace("T", " "),
        _what(each),
        each.attempt,
        None if each.started is None else format_time(each.started)[11:-1],
        views.took(each.duration),
        views.one_line(each.worker, 60),
        None if place is None else str(place),
        "; ".join(_detail(each, replay)),
    )


def _what(each: "JobEvent") -> str:
    if each.told_by == "record":
        return _RECORDS.get(each.state, each.state)
    if each.state == JobState.DUPLICATE:
        return "duplicate, dropped"
    return each.state


def _detail(each: "JobEvent", replay: int | None) -> "Iterable[str]":
    from headrace.schemas.headers import format_time

    if replay is not None:
        yield f"replay {replay}"
    if each.reason:
        yield each.reason
    if each.state == JobState.RUNNING and each.progress is not None:
        yield job_watching.bar(each.progress, each.progress_text)
    if each.error_type or each.error_message:
        yield views.error_line(each.error_type, each.error_message)
    if each.due is not None and each.state in (JobState.DELAYED, JobState.RETRYING):
        yield f"due {format_time(each.due)[11:-1]}"
