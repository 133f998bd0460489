"""What `headrace dlq replay` shows: a bar, or lines where there is no terminal, and summaries."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from headrace.console import output
from headrace.console.commands import views

if TYPE_CHECKING:
    from headrace.processors.repair.drain import LaneDrain
    from headrace.processors.repair.replay_definition import ReplayProgress
    from headrace.processors.repair.replay_dry import DryRun
    from headrace.processors.repair.replay_status import ReplayStatus
    from headrace.processors.repair.replay_store import StoredReplay
    from headrace.processors.repair.replays import Ended

_LINE_EVERY: Final = 2.0
"""Seconds between lines where there is no terminal."""


@contextmanager
def bar(
    total: int, done: "ReplayProgress | None" = None
) -> Iterator[Callable[["ReplayProgress"], None]]:
    """Give what shows how far a replay is: with its rate, and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    before = done.looked_at if done else 0
    speed = _Speed(before)

    def tail(progress: "ReplayProgress") -> str:
        return _tail(progress, total, speed.of(progress.looked_at))

    console = Console(stderr=True)
    if not console.is_terminal:
        line = _Lines()
        yield lambda p: line.show(f"{p.looked_at:,} of {total:,} letters, {tail(p)}")
        return
    columns = (
        TextColumn("replaying"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tail]}"),
    )
    with Progress(*columns, console=console) as shown:
        task = shown.add_task("", total=total, completed=before, tail="")
        yield lambda p: shown.update(task, completed=p.looked_at, tail=tail(p))


class _Speed:
    """Letters a second since the replay was under way: opening it takes a moment."""

    def __init__(self, before: int) -> None:
        self._began = time.monotonic()
        self._before = before
        self._underway = False

    def of(self, looked_at: int) -> float:
        """Give the rate, now that so many were looked at."""
        now = time.monotonic()
        rate = (looked_at - self._before) / max(0.001, now - self._began)
        if not self._underway:
            self._began, self._before, self._underway = now, looked_at, True
        return rate


class _Lines:
    """A line now and then."""

    def __init__(self) -> None:
        self._due = 0.0

    def show(self, line: str) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            print(line, file=sys.stderr, flush=True)


def _tail(progress: "ReplayProgress", total: int, rate: float) -> str:
    parts = [f"{rate:,.0f}/s"]
    left = total - progress.looked_at
    if rate and left > 0:
        parts.append(f"{_duration(left / rate)} left")
    refused = sum(progress.refused.values())
    if refused:
        parts.append(f"{refused:,} refused")
    return ", ".join(parts)


def print_summary(ended: "Ended") -> None:
    """Print what a replay came to, and what to do next."""
    name, progress = ended.definition.name, ended.progress
    print(f"replay {name} {'has finished' if ended.finished else 'was interrupted'}")
    rows: list[tuple[object, ...]] = [("replayed", progress.replayed)]
    rows += [(f"refused: {cause}", count) for cause, count in _largest(progress.refused)]
    output.table(("letters", "count"), rows)
    if ended.finished:
        output.progress(f"what becomes of them: headrace dlq replay status {name} --follow")
        return
    left = max(0, ended.definition.matched - progress.looked_at)
    output.progress(f"{left:,} letters are left; go on: headrace dlq replay --resume {name}")


def print_dry_run(found: "DryRun") -> None:
    """Print what a replay would do."""
    print(f"{found.matched:,} letters match; {found.would_run:,} would run")
    if found.runs:
        print()
        output.table(("would run", "letters"), found.runs.items())
    if found.refused:
        print()
        head = ("would be refused", "letters", "of which", "first job", "because")
        output.table(
            head,
            (
                (
                    kind.cause,
                    kind.count,
                    _named(kind.job_types),
                    kind.sample,
                    views.one_line(kind.detail, 120),
                )
                for kind in found.refused
            ),
        )
    if found.lanes:
        print()
        head = ("lane", "letters", "waiting there", "lately", "for")
        output.table(head, (_lane(lane) for lane in found.lanes))
    for line in _times(found):
        print(line)
    for queue in found.without_order:
        output.progress(
            f"queue {queue} is ordered: replayed jobs come behind those that are there, so their "
            "order is given up"
        )


def _lane(lane: "LaneDrain") -> tuple[object, ...]:
    rate = f"{lane.rate:,.0f}/s" if lane.rate else "nothing ran"
    return lane.lane, lane.jobs, lane.waiting, rate, _duration(lane.seconds)


def _times(found: "DryRun") -> Iterator[str]:
    if found.writing_seconds is not None:
        yield f"at {found.rate:g}/s the replay takes {_duration(found.writing_seconds)}"
    if found.seconds is not None and found.would_run:
        yield f"all would be over in about {_duration(found.seconds)}"
    elif found.would_run:
        yield "how long the jobs take is not known: nothing ran on their lanes in the last 5m"


def print_list(found: "Iterable[StoredReplay]") -> None:
    """Print replays."""
    at = views.now()
    head = ("name", "state", "letters", "replayed", "refused", "begun", "by", "why")
    output.table(
        head,
        (
            (
                each.definition.name,
                f"{each.progress.phase.value} ({views.age(each.progress.at, at)})",
                each.definition.matched,
                each.progress.replayed,
                sum(each.progress.refused.values()),
                views.age(each.definition.at, at),
                each.definition.by,
                views.one_line(each.definition.reason, 40) or "-",
            )
            for each in found
        ),
    )


def print_status(found: "ReplayStatus") -> None:
    """Print how a replay and its jobs stand."""
    at, replay = views.now(), found.replay
    definition, progress = replay.definition, replay.progress
    output.facts(
        (
            ("replay", definition.name),
            ("state", f"{progress.phase.value}, recorded {views.age(progress.at, at)}"),
            ("begun", f"{views.moment(definition.at, at)} by {definition.by}"),
            ("why", definition.reason),
            ("letters", f"{definition.matched:,} matched, {progress.replayed:,} replayed"),
            ("refused", _named(progress.refused)),
        )
    )
    print()
    output.table(("its jobs", "count"), [*found.states.items(), ("total", found.jobs)])
    if found.errors:
        print()
        output.table(("died again of", "jobs"), found.errors.items())
        output.progress(f"for example: {', '.join(found.dead)}")
    if found.is_abandoned(at):
        output.progress(
            f"it has not finished; go on with: headrace dlq replay --resume {definition.name}"
        )


@contextmanager
def following(*, quiet: bool) -> Iterator[Callable[["ReplayStatus"], None]]:
    """Give what shows how the jobs of a replay stand, while they are followed."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with output.console(errors=True).status("reading") as shown:
            yield lambda found: shown.update(_standing(found))
    else:
        line = _Lines()
        yield lambda found: line.show(_standing(found))


def _standing(found: "ReplayStatus") -> str:
    return f"{found.jobs:,} jobs: {_named(found.states) or 'none yet'}"


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name or '(none)'}" for name, count in _largest(counts))


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: -each[1])


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else output.shown_duration(timedelta(seconds=seconds))
