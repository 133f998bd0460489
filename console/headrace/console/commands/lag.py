"""`headrace lag`: how far behind lanes and delay tiers are, and whether that is well."""

import time
from collections import defaultdict, deque
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, duration, load

if TYPE_CHECKING:
    from headrace.console.commands.lag_display import Details
    from headrace.processors.lag.measuring import LagReader
    from headrace.processors.lag.report import LagReport

WARNING: Final = 3
WORSE: Final = 4
"""Exit codes. 1 and 2 are those of errors and wrong calls."""
_POINTS: Final = 30


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
    over: Annotated[
        timedelta,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Without --watch: look a second time after so long, to tell rates, unless an "
            "exporter has told them. 0s looks once.",
        ),
    ] = "1s",  # type: ignore[assignment]
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show what waits on each lane, delay tier and dead-letter topic, how long, and whether it moves.

    Ready are jobs that are due and not started. The verdict is OK, warning, stalled (somebody is
    there and nothing moves), stopped (nobody is there), rewound or lost offset. With --watch --json
    there is one JSON document in a line for each look. `headrace exporter`, if it runs, makes one
    look know what it has seen for longer.

    Exit code 0 when all is OK, 3 for a warning, 4 for anything worse, 1 when Kafka cannot be
    asked: a number is never made up.
    """
    from headrace.console.commands.lag_display import Details, notes, tables
    from headrace.processors.lag.measuring import LagReader
    from headrace.processors.lag.report_json import as_json

    reader, details = (
        LagReader(load(reference, app_dir), views.kafka()),
        Details(totals, every_partition),
    )
    if watch:
        _watch(reader, every.total_seconds(), details, json=json)
        return
    report = _look(reader, over.total_seconds())
    if json:
        output.print_json(as_json(report))
    else:
        for number, (head, rows) in enumerate(tables(report, details)):
            if number:
                print()
            output.table(head, rows)
        for note in notes(report):
            output.progress(note)
    _end(report)


def _look(reader: "LagReader", over: float) -> "LagReport":
    """Look once, or twice when nobody has told what moves."""
    report = reader.read()
    told = all(p.progress.rate_in is not None for topic in report.topics for p in topic.partitions)
    if told or not over:
        return report
    time.sleep(over)
    return reader.read()


def _end(report: "LagReport") -> None:
    from headrace.processors.lag.verdicts import Verdict

    if report.verdict is not Verdict.OK:
        raise typer.Exit(WARNING if report.verdict is Verdict.WARNING else WORSE)


def _watch(reader: "LagReader", seconds: float, details: "Details", *, json: bool) -> None:
    from json import dumps

    from headrace.processors.lag.report_json import as_json

    try:
        if json:
            while True:
                print(dumps(as_json(reader.read()), ensure_ascii=False), flush=True)
                time.sleep(seconds)
        else:
            _live(reader, seconds, details)
    except KeyboardInterrupt:
        return


def _live(reader: "LagReader", seconds: float, details: "Details") -> None:
    from rich.console import Console
    from rich.live import Live

    from headrace.console.commands.lag_display import screen
    from headrace.pipeline.errors import KafkaUnavailableError

    report, problem = reader.read(), None
    history: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_POINTS))
    with Live(auto_refresh=False, console=Console(highlight=False)) as live:
        while True:
            if problem is None:
                for topic in report.topics:
                    history[topic.topic].append(topic.messages)
            live.update(_screen(screen, report, details, history, problem), refresh=True)
            time.sleep(seconds)
            try:
                report, problem = reader.read(), None
            except KafkaUnavailableError as error:
                problem = str(error)


def _screen(
    screen: Any,
    report: "LagReport",
    details: "Details",
    history: dict[str, deque[int]],
    problem: str | None,
) -> Any:
    old = None
    if problem is not None:
        age = output.shown_duration(timedelta(milliseconds=max(0, views.now() - report.at)))
        old = f"these figures are {age} old: {problem}"
    return screen(report, details, {topic: list(seen) for topic, seen in history.items()}, old)
