"""`headrace workers`: who works, what runs where since when, who is gone, what nobody serves."""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, duration, load

if TYPE_CHECKING:
    from headrace.processors.workers import SeenProcess, Unserved, WorkerReader, WorkerView
    from headrace.schemas.heartbeats import RunningJob

_NOT_SERVED: Final = 3
_FRESHLY_GONE: Final = timedelta(hours=1)
_NAMED: Final = 5
"""Running jobs that are shown of each worker."""
Rows = list[tuple[object, ...]]


def workers(
    reference: Reference = None,
    *,
    every_process: Annotated[
        bool,
        typer.Option(
            "--all", help="Show those that were stopped, or fell silent over an hour ago, too."
        ),
    ] = False,
    jobs: Annotated[bool, typer.Option("--jobs", help="Show what runs, and since when.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit code 3 when nobody serves a partition of a lane."),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="With --watch: how often to look."),
    ] = "2s",  # type: ignore[assignment]
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show the workers and schedulers of a pipeline, by the heartbeats that they send to Kafka.

    A process that was silent for three of its heartbeats is gone: killed, stuck, or cut off. The
    partitions that nobody serves are named, with who had them last; those of a lane without any
    worker are so on purpose where lanes scale to zero. With --watch --json there is one JSON
    document in a line for each look.

    Exit code 1 when Kafka cannot be asked; 3 with --check when a lane's partition is not served.
    """
    from headrace.processors.workers import WorkerReader

    with WorkerReader(load(reference, app_dir), views.kafka()) as reader:
        if watch:
            _watch(reader, every.total_seconds(), json=json, details=(every_process, jobs))
            return
        view = reader.read()
    if json:
        output.print_json(view.as_json())
    else:
        _print(view, (every_process, jobs))
    if check and view.unserved(view.lanes):
        raise typer.Exit(_NOT_SERVED)


def _print(view: "WorkerView", details: tuple[bool, bool]) -> None:
    for number, (head, rows) in enumerate(_tables(view, *details)):
        if number:
            print()
        output.table(head, rows)
    for note in _notes(view):
        output.progress(note)


def _watch(
    reader: "WorkerReader", seconds: float, *, json: bool, details: tuple[bool, bool]
) -> None:
    from json import dumps

    try:
        if json:
            while True:
                print(dumps(reader.read().as_json(), ensure_ascii=False), flush=True)
                time.sleep(seconds)
        else:
            _live(reader, seconds, details)
    except KeyboardInterrupt:
        return


def _live(reader: "WorkerReader", seconds: float, details: tuple[bool, bool]) -> None:
    from rich.console import Console
    from rich.live import Live

    from headrace.pipeline.errors import KafkaUnavailableError

    view, problem = reader.read(), None
    with Live(auto_refresh=False, console=Console(highlight=False)) as live:
        while True:
            live.update(_screen(view, details, problem), refresh=True)
            time.sleep(seconds)
            try:
                view, problem = reader.read(), None
            except KafkaUnavailableError as error:
                # Judged by the clock again: what is not heard of any more must not look alive
                view, problem = reader.view(views.now()), str(error)


def _screen(view: "WorkerView", details: tuple[bool, bool], problem: str | None) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    for head, rows in _tables(view, *details):
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for name in head:
            table.add_column(name, no_wrap=True)
        for row in rows:
            table.add_row(*(Text("-" if value is None else str(value)) for value in row))
        parts += [table, Text()]
    parts += [Text(note, style="dim") for note in _notes(view)]
    if problem is not None:
        parts.append(Text(f"old figures: {problem}", style="bold red"))
    return Group(*parts)


def _tables(
    view: "WorkerView", every_process: bool, jobs: bool
) -> Iterator[tuple[Sequence[str], Rows]]:
    head: tuple[str, ...] = (
        "process",
        "role",
        "state",
        "since",
        "seen",
        "slots",
        "longest run",
        "serves",
    )
    shown = [each for each in view.processes if every_process or _matters(view, each)]
    yield head, [_process_row(view, each) for each in shown]
    if jobs:
        head = ("job", "type", "attempt", "runs for", "where", "process")
        rows = [
            _job_row(view, process, job)
            for process in view.alive
            for job in process.beat.running[:_NAMED]
        ]
        yield head, rows
    unserved = view.unserved()
    if unserved:
        yield ("served by nobody", "partitions", "last owner", "seen"), _unserved(view, unserved)


def _matters(view: "WorkerView", process: "SeenProcess") -> bool:
    """Whether somebody who looks for trouble wants to see it."""
    from headrace.processors.workers import Standing

    if process.standing is Standing.GONE:
        return view.at - process.seen <= _FRESHLY_GONE.total_seconds() * 1000
    return process.standing is Standing.ALIVE


def _process_row(view: "WorkerView", process: "SeenProcess") -> tuple[object, ...]:
    beat = process.beat
    slots = " ".join(f"{each.used}/{each.total}" for each in beat.slots)
    oldest = min((part.oldest for _, part in process.places if part.oldest), default=None)
    return (
        beat.name,
        beat.role,
        process.standing.value,
        views.age(beat.started, view.at),
        views.age(process.seen, view.at),
        slots or "-",
        None if oldest is None else _lasted(oldest, beat.time),
        _serves(view.pipeline, process),
    )


def _serves(pipeline: str, process: "SeenProcess") -> str:
    """Write what it serves: `default.high 0-5, media.normal 3`."""
    parts = [
        f"{topic.topic.removeprefix(f'{pipeline}.')} "
        f"{_ranges([part.partition for part in topic.partitions])}"
        for topic in process.beat.served
        if topic.partitions
    ]
    return ", ".join(parts) or "no partition"


def _job_row(view: "WorkerView", process: "SeenProcess", job: "RunningJob") -> tuple[object, ...]:
    where = f"{job.lane.removeprefix(f'{view.pipeline}.')} {job.partition}@{job.offset}"
    runs = _lasted(job.started, process.beat.time)
    return (job.job_id, job.job_type, job.attempt, runs, where, process.beat.name)


def _unserved(view: "WorkerView", unserved: Sequence["Unserved"]) -> Rows:
    from headrace.processors.workers import by_topic

    rows: Rows = []
    for topic, parts in by_topic(unserved).items():
        last = max((part.last for part in parts if part.last), key=_seen, default=None)
        rows.append(
            (
                topic,
                _ranges([part.partition for part in parts]),
                None if last is None else f"{last.beat.name} ({last.standing})",
                None if last is None else views.age(last.seen, view.at),
            )
        )
    return rows


def _seen(process: "SeenProcess") -> int:
    return process.seen


def _lasted(since: int, until: int) -> str:
    return output.shown_duration(timedelta(milliseconds=max(0, until - since)))


def _ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers shortly: `0-3 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _notes(view: "WorkerView") -> Iterator[str]:
    from headrace.processors.workers import Standing

    stopped, alive = view.of(Standing.STOPPED), view.alive
    yield (
        f"{view.pipeline}: {len(alive)} alive, {len(view.gone)} gone and {len(stopped)} stopped "
        "within a day"
    )
    if view.unreadable:
        yield (
            f"heartbeats of {', '.join(view.unreadable)} cannot be read: another version wrote them; "
            "run `headrace topics apply` with it"
        )
