"""`headrace lag`: how far behind lanes and delay tiers are."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, duration, load

if TYPE_CHECKING:
    from headrace.processors.lag import LagReader
    from headrace.processors.lag_report import LagReport, PartitionLag, TopicLag

Rows = list[tuple[object, ...]]


def lag(
    reference: Reference = None,
    *,
    totals: Annotated[bool, typer.Option("--totals", help="Leave out the partitions.")] = False,
    every_partition: Annotated[
        bool, typer.Option("--all", help="Show partitions where nothing waits, too.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="With --watch: how often to look."),
    ] = "2s",  # type: ignore[assignment]
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show what waits on each lane and delay tier: how many jobs, and for how long.

    Exit code 1 when Kafka cannot be asked: a number is never made up. With --watch --json there
    is one JSON document in a line for each look.
    """
    from headrace.processors.lag import LagReader

    reader = LagReader(load(reference, app_dir), views.kafka())
    if watch:
        _watch(reader, every.total_seconds(), json=json, details=(totals, every_partition))
        return
    report = reader.read()
    if json:
        output.print_json(report.as_json())
        return
    for number, (head, rows) in enumerate(_tables(report, totals, every_partition)):
        if number:
            print()
        output.table(head, rows)
    for note in _notes(report):
        output.progress(note)


def _watch(reader: "LagReader", seconds: float, *, json: bool, details: tuple[bool, bool]) -> None:
    import time
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


def _live(reader: "LagReader", seconds: float, details: tuple[bool, bool]) -> None:
    import time

    from rich.live import Live

    from headrace.pipeline.errors import KafkaUnavailableError

    report = reader.read()
    with Live(_screen(report, details), auto_refresh=False, console=_wide()) as live:
        while True:
            time.sleep(seconds)
            problem = None
            try:
                report = reader.read()
            except KafkaUnavailableError as error:
                problem = str(error)
            live.update(_screen(report, details, problem), refresh=True)


def _wide() -> Any:
    from rich.console import Console

    return Console(highlight=False)


def _screen(report: "LagReport", details: tuple[bool, bool], problem: str | None = None) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from headrace.schemas.headers import format_time

    parts: list[Any] = [Text(f"{report.pipeline} at {format_time(report.at)}", style="dim")]
    for head, rows in _tables(report, *details):
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for number, name in enumerate(head):
            table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(_text(value) for value in row))
        parts += [Text(), table]
    parts += [Text(note, style="dim") for note in _notes(report)]
    if problem is not None:
        parts.append(Text(f"old figures: {problem}", style="bold red"))
    return Group(*parts)


def _text(value: object) -> Any:
    from rich.text import Text

    if isinstance(value, int):
        return Text(f"{value:,}")
    return Text("-" if value is None else str(value))


def _tables(
    report: "LagReport", totals: bool, every_partition: bool
) -> Iterator[tuple[Sequence[str], Rows]]:
    head = ["lane", "jobs", "oldest", "workers", "group"]
    yield head, _rows(report, report.lanes, totals, every_partition, late=False)
    head = ["delay tier", "jobs", "oldest", "next due", "overdue", "schedulers", "group"]
    yield head, _rows(report, report.tiers, totals, every_partition, late=True)
    dead: Rows = [(each.topic, _count(each.messages, each.exact)) for each in report.dead_letters]
    yield ("dead letters", "jobs"), dead


def _rows(
    report: "LagReport",
    topics: Sequence["TopicLag"],
    totals: bool,
    every_partition: bool,
    *,
    late: bool,
) -> Rows:
    rows: Rows = []
    for topic in topics:
        rows.append(_row(report, topic, topic.topic, (topic.members, topic.state), late=late))
        if not totals:
            rows += [
                _row(report, part, f"  partition {part.partition}", ("", ""), late=late)
                for part in topic.partitions
                if every_partition or part.messages
            ]
    jobs = _count(sum(t.messages for t in topics), all(t.exact for t in topics))
    rows.append(("total", jobs, *("" for _ in range(5 if late else 3))))
    return rows


def _row(
    report: "LagReport",
    found: "TopicLag | PartitionLag",
    name: str,
    group: tuple[object, str],
    *,
    late: bool,
) -> tuple[object, ...]:
    dues = (_next_due(report, found), _seconds(report.overdue(found))) if late else ()
    oldest = _seconds(report.age(found.since))
    return (name, _count(found.messages, found.exact), oldest, *dues, *group)


def _count(messages: int, exact: bool) -> str:
    return f"{messages:,}" if exact else f"≤ {messages:,}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else output.shown_duration(timedelta(seconds=seconds))


def _next_due(report: "LagReport", found: "TopicLag | PartitionLag") -> str:
    if found.next_due is None or found.next_due <= report.at:
        return "-" if found.next_due is None else "now"
    return f"in {output.shown_duration(timedelta(milliseconds=found.next_due - report.at))}"


def _notes(report: "LagReport") -> Iterator[str]:
    for topic in (*report.lanes, *report.tiers):
        if not topic.partitions:
            yield f"{topic.topic} does not exist: run `headrace topics apply`"
        elif topic.without_offset:
            numbers = ", ".join(map(str, topic.without_offset))
            yield (
                f"{topic.topic}: group {topic.group} has no offset in partition {numbers}, so what "
                "waits there is not known: run `headrace topics apply`"
            )
        if topic.lost:
            yield f"{topic.topic}: retention deleted {topic.lost:,} offsets that were not finished"
    exact = [*(tier.exact for tier in report.tiers), *(d.exact for d in report.dead_letters)]
    if not all(exact):
        yield "≤ is an upper bound: markers of transactions take offsets too"
