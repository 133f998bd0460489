"""What `headrace lag` shows: rows of a table, and a screen that is drawn again and again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from headrace.console import output
from headrace.console.commands.stats import spark
from headrace.pipeline.topics import Role
from headrace.processors.lag.report import LagReport, PartitionLag, TopicLag
from headrace.processors.lag.verdicts import Verdict
from headrace.schemas.headers import format_time

Row = tuple[object, ...]
_STYLES: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow"}
_LANE: Final = ("lane", "jobs", "ready", "oldest", "in/s", "out/s", "closes in", "retention")
_TIER: Final = ("delay tier", "jobs", "oldest", "next due", "overdue", "in/s", "out/s", "retention")
_HEADS: Final = {
    Role.LANE: (*_LANE, "last commit", "workers", "group", "verdict"),
    Role.TIER: (*_TIER, "last commit", "schedulers", "group", "verdict"),
    Role.DEAD_LETTERS: ("dead letters", "jobs", "in/s", "verdict"),
}


@dataclass(frozen=True, slots=True)
class Details:
    """Which rows are shown."""

    totals: bool = False
    every_partition: bool = False

    def shows(self, part: PartitionLag) -> bool:
        """Whether a partition has a row."""
        if self.totals:
            return False
        is_worth_it = part.messages or part.finding.verdict is not Verdict.OK
        return bool(self.every_partition or is_worth_it)


def tables(report: LagReport, details: Details) -> Iterator[tuple[Sequence[str], list[Row]]]:
    """Give the head and rows of each table."""
    for role, topics in _by_role(report):
        rows = [row for topic in topics for _, row in _rows(report, topic, details)]
        jobs = _count(sum(t.messages for t in topics), all(t.exact for t in topics))
        head = _HEADS[role]
        yield head, [*rows, ("total", jobs, *("" for _ in head[2:]))]


def screen(
    report: LagReport,
    details: Details,
    history: Mapping[str, Sequence[int]],
    problem: str | None,
) -> Any:
    """Draw everything.

    Args:
        report: The last look.
        details: Which rows are shown.
        history: The jobs of each topic at the last looks.
        problem: Why these figures are old, if they are.
    """
    parts: list[Any] = [Text(f"{report.pipeline} at {format_time(report.at)}", style="dim")]
    for role, topics in _by_role(report):
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for number, name in enumerate((*_HEADS[role], "jobs, last looks")):
            table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
        for topic in topics:
            for number, (verdict, row) in enumerate(_rows(report, topic, details)):
                line = spark(history.get(topic.topic, ())) if number == 0 else ""
                table.add_row(*map(_text, row[:-1]), _verdict_text(verdict), Text(line))
        parts += [Text(), table]
    parts += [Text(note, style="dim") for note in notes(report)]
    if problem is not None:
        parts.append(Text(problem, style="bold red"))
    return Lines(*parts)


def notes(report: LagReport) -> Iterator[str]:
    """Say why a topic is not OK, and what is not known."""
    for topic in report.topics:
        if topic.finding.why:
            where = _where(topic)
            yield f"{topic.topic}{where}: {topic.finding.verdict.value}: {topic.finding.why}"
        if topic.without_offset and topic.group is not None:
            yield (
                f"{topic.topic}: what waits where group {topic.group.name} has no offset is not "
                "known: run `headrace topics apply`"
            )
    if not all(topic.exact for topic in report.topics):
        yield "≤ is an upper bound: markers of transactions take offsets too"
    yield from report.notes


def _where(topic: TopicLag) -> str:
    same = [str(p.partition) for p in topic.partitions if p.finding == topic.finding]
    if not same or len(same) == len(topic.partitions):
        return ""
    shown = ", ".join(same[:5]) + (f" and {len(same) - 5} more" if len(same) > 5 else "")
    return f", partition {shown}"


def _by_role(report: LagReport) -> Iterator[tuple[Role, Sequence[TopicLag]]]:
    yield Role.LANE, report.lanes
    yield Role.TIER, report.tiers
    yield Role.DEAD_LETTERS, report.dead_letters


def _rows(report: LagReport, topic: TopicLag, details: Details) -> Iterator[tuple[Verdict, Row]]:
    yield topic.finding.verdict, _row(report, topic, topic)
    for part in topic.partitions:
        if details.shows(part):
            yield part.finding.verdict, _row(report, topic, part)


def _row(report: LagReport, topic: TopicLag, found: TopicLag | PartitionLag) -> Row:
    part = found if isinstance(found, PartitionLag) else None
    name = topic.topic if part is None else f"  partition {part.partition}"
    jobs, verdict = _count(found.messages, found.exact), found.finding.verdict.value
    rate_in, rate_out = _rates(found)
    if topic.role is Role.DEAD_LETTERS:
        return name, jobs, rate_in, verdict
    oldest = _seconds(report.age(found.since))
    known = (
        _share(found.retention_used),
        _ago(report, found),
        _members(topic) if part is None else "",
        topic.group.state if part is None and topic.group is not None else "",
        verdict,
    )
    if topic.role is Role.TIER:
        dues = (_next_due(report, found), _seconds(report.overdue(found)))
        return name, jobs, oldest, *dues, rate_in, rate_out, *known
    closes = _closes(topic) if part is None else ""
    return name, jobs, f"{found.ready:,}", oldest, rate_in, rate_out, closes, *known


def _rates(found: TopicLag | PartitionLag) -> tuple[str, str]:
    source = found if isinstance(found, TopicLag) else found.progress
    return _rate(source.rate_in), _rate(source.rate_out)


def _rate(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _closes(found: TopicLag) -> str:
    if not found.messages:
        return "-"
    if found.closes_in is None:
        return "-" if found.rate_out is None else "never"
    return output.shown_duration(timedelta(seconds=found.closes_in))


def _share(used: float | None) -> str:
    return "-" if used is None else f"{used:.0%}"


def _ago(report: LagReport, found: TopicLag | PartitionLag) -> str:
    moved = found.last_commit if isinstance(found, TopicLag) else found.progress.moved
    age = report.age(moved)
    return "-" if age is None else f"{_seconds(age)} ago"


def _members(topic: TopicLag) -> str:
    group = topic.group
    if group is None:
        return ""
    return f"{group.members}, {group.idle} idle" if group.idle else str(group.members)


def _count(messages: int, exact: bool) -> str:
    return f"{messages:,}" if exact else f"≤ {messages:,}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else output.shown_duration(timedelta(seconds=seconds))


def _next_due(report: LagReport, found: TopicLag | PartitionLag) -> str:
    if found.next_due is None or found.next_due <= report.at:
        return "-" if found.next_due is None else "now"
    return f"in {output.shown_duration(timedelta(milliseconds=found.next_due - report.at))}"


def _verdict_text(verdict: Verdict) -> Text:
    return Text(verdict.value, style=_STYLES.get(verdict, "bold red"))


def _text(value: object) -> Text:
    return Text("-" if value is None else str(value))
