"""`headrace stats`: rates, error shares, waiting times and what comes next."""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Json, Reference, duration, load, split

if TYPE_CHECKING:
    from headrace.processors.statistics.reading import Statistics, Summary

_BARS: Final = "▁▂▃▄▅▆▇█"
_POINTS: Final = 30
Window = Literal["1m", "5m", "1h"]
_NAMES: Final = ("queue", "priority", "job_type", "tenant")
Rows = list[tuple[object, ...]]


def stats(
    reference: Reference = None,
    *,
    window: Annotated[Window, typer.Option("--window", help="Which time to sum up.")] = "5m",
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="NAME",
            help="A row for each queue, priority, job_type or tenant; repeat it to combine. Job "
            "types when not given.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="With --watch: how often to look."),
    ] = "2s",  # type: ignore[assignment]
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show how many jobs come, end and fail, how long they wait and run, and what comes next.

    The figures are those that `headrace processors statistics` published last. With --watch --json
    there is one JSON document in a line for each look. JSON keys: `pipeline`, `at`, `fresh`,
    `complete`, `total`, `rows`, `backlogs`.

    Exit code 1 when nothing was published, or Kafka cannot be asked.
    """
    from headrace.processors.statistics.reading import read_statistics

    pipeline, kafka = load(reference, app_dir), views.kafka()
    names = _names(by)

    def look() -> "Statistics":
        return _required(read_statistics(kafka, pipeline))

    if watch:
        _watch(look, every.total_seconds(), names, window, json=json)
        return
    found = look()
    if json:
        output.print_json(_json(found, names))
        return
    for number, (head, rows) in enumerate(_tables(found, names, window)):
        if number:
            print()
        output.table(head, rows)
    for note in _notes(found):
        output.progress(note)


def _names(by: Sequence[str] | None) -> Sequence[str]:
    found = split(by) or ("job_type",)
    wrong = [name for name in found if name not in _NAMES]
    if wrong:
        raise output.UsageError(f"--by {wrong[0]}: write one of {', '.join(_NAMES)}")
    return found


def _required(found: "Statistics") -> "Statistics":
    from headrace.processors.errors import NotFoundError

    if found.at is None:
        raise NotFoundError(
            f"nothing is published on {found.pipeline.topology.stats}: start `headrace processors "
            "statistics`"
        )
    return found


def _watch(look: Any, seconds: float, names: Sequence[str], window: str, *, json: bool) -> None:
    from json import dumps

    try:
        if json:
            while True:
                print(dumps(_json(look(), names), ensure_ascii=False), flush=True)
                time.sleep(seconds)
        else:
            _live(look, seconds, names, window)
    except KeyboardInterrupt:
        return


def _live(look: Any, seconds: float, names: Sequence[str], window: str) -> None:
    from rich.console import Console
    from rich.live import Live

    from headrace.pipeline.errors import KafkaUnavailableError

    found, problem = look(), None
    with Live(auto_refresh=False, console=Console(highlight=False)) as live:
        while True:
            live.update(_screen(found, names, window, problem), refresh=True)
            time.sleep(seconds)
            try:
                found, problem = look(), None
            except KafkaUnavailableError as error:
                problem = str(error)


def _screen(found: "Statistics", names: Sequence[str], window: str, problem: str | None) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    for head, rows in _tables(found, names, window):
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for number, name in enumerate(head):
            table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text("-" if value is None else str(value)) for value in row))
        parts += [table, Text()]
    parts += [Text(note, style="dim") for note in _notes(found)]
    if problem is not None:
        parts.append(Text(f"old figures: {problem}", style="bold red"))
    return Group(*parts)


def _tables(
    found: "Statistics", names: Sequence[str], window: str
) -> Iterator[tuple[Sequence[str], Rows]]:
    head = (
        " ".join(name.replace("_", " ") for name in names),
        *("submitted/s", "ended/s", "errors", "waits p50", "p99", "runs p50", "p99", "dead"),
        f"ended, {_POINTS} min",
        "failed",
    )
    rows = [
        _row(" ".join(key) or "(others)", each, window) for key, each in found.by(*names).items()
    ]
    yield head, [*rows, _row("total", found.total(), window)]
    lanes = ("lane", "ready", "growth/s", "in 60 s", "last 5 min")
    yield lanes, [_backlog_row(lane, backlog) for lane, backlog in sorted(found.backlogs.items())]


def _row(name: str, summary: "Summary", window: str) -> tuple[object, ...]:
    minutes = summary.minutes
    ended = [a + b for a, b in zip(minutes["succeeded"], minutes["failed"], strict=True)]
    found = summary.windows.get(window)
    if found is None:
        return (name, *("-" for _ in range(8)), spark(ended), spark(minutes["failed"]))
    figures = found.figures
    share = figures.error_share
    return (
        name,
        _number(found.rate("submitted")),
        _number(found.rate("succeeded") + found.rate("failed")),
        "-" if share is None else f"{share:.1%}",
        *(_time(figures.waiting.quantile(q)) for q in (0.5, 0.99)),
        *(_time(figures.running.quantile(q)) for q in (0.5, 0.99)),
        figures["dead"],
        spark(ended),
        spark(minutes["failed"]),
    )


def _backlog_row(lane: str, backlog: Any) -> tuple[object, ...]:
    jobs = [sample.jobs for sample in backlog.samples]
    ahead = backlog.forecast
    expected = ("-", "-") if ahead is None else (f"{ahead.growth:+.1f}", f"{ahead.jobs:,.0f}")
    return (lane, jobs[-1] if jobs else None, *expected, spark(jobs[-_POINTS:]))


def _notes(found: "Statistics") -> Iterator[str]:
    now = views.now()
    at = found.at or now
    yield f"{found.pipeline.name}, {views.age(at, now)}"
    if not found.is_fresh(now):
        yield "these figures are old: start `headrace processors statistics`"
    elif not found.is_complete:
        yield "not everything is counted yet: the statistics are catching up"


def spark(values: Sequence[float]) -> str:
    """Draw a line of bars: a dot for 0, the highest bar for the largest value."""
    most = max(values, default=0)
    if not most:
        return "·" * len(values)
    last = len(_BARS) - 1
    return "".join(_BARS[round(value / most * last)] if value else "·" for value in values)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    return output.shown_duration(timedelta(milliseconds=milliseconds))


def _json(found: "Statistics", names: Sequence[str]) -> dict[str, Any]:
    from headrace.schemas.headers import format_time

    return {
        "pipeline": found.pipeline.name,
        "at": format_time(found.at or 0),
        "fresh": found.is_fresh(views.now()),
        "complete": found.is_complete,
        "total": found.total().as_json(),
        "rows": [
            {**dict(zip(names, key, strict=True)), **summary.as_json()}
            for key, summary in found.by(*names).items()
        ],
        "backlogs": {lane: each.as_json() for lane, each in sorted(found.backlogs.items())},
    }
