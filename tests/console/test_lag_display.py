"""The screen and tables of `headrace lag`, without a broker."""

from io import StringIO
from typing import Any

from rich.console import Console

from headrace.console.commands.lag_display import Details, notes, screen, tables
from headrace.pipeline.topology import TIERS
from headrace.processors.lag.groups import Group
from headrace.processors.lag.observing import Observer
from headrace.processors.lag.report import LagReport
from headrace.processors.snapshot import CommitPoint
from tests.processors.lag.build import AT, Said, pipeline_of

LANE = "shop.q0.normal"


def moving() -> LagReport:
    """Two lanes, looked at twice: on one a job was finished, on the other nobody works."""
    said, observer = Said(pipeline_of(2), partitions=2), Observer()
    said.wait("soon", "q0.normal", AT - 20_000)
    said.wait("5m", "q0.normal", AT + 400_000)
    said.groups["shop.q1.normal"] = Group("shop.q1.normal", "empty")
    said.report(observer)
    said.at += 10_000
    said.commits[LANE, 0] = CommitPoint(6, (range(7, 8),))
    return said.report(observer)


def drawn(renderable: Any) -> str:
    console = Console(width=250, record=True, file=StringIO())
    console.print(renderable)
    return console.export_text()


def row_of(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(name)).split()


def test_the_screen_draws_rates_verdicts_and_the_last_looks() -> None:
    text = drawn(screen(moving(), Details(), {LANE: [8, 8, 4, 0]}, None))
    row = row_of(text, LANE)
    assert row[1:3] == ["7", "8"]
    assert "0.1" in row
    assert row[-1] == "██▅·"
    assert "stopped" in row_of(text, "shop.q1.normal")
    assert "stalled" in row_of(text, "shop.delay.soon")


def test_old_figures_are_marked_as_old() -> None:
    text = drawn(screen(moving(), Details(), {}, "these figures are 12s old: no answer"))
    assert "these figures are 12s old: no answer" in text


def test_details_choose_the_rows_of_partitions() -> None:
    report = moving()

    def rows(details: Details) -> int:
        return sum(len(found) for _, found in tables(report, details))

    assert rows(Details(totals=True)) == 2 + len(TIERS) + 2 + 3
    assert rows(Details()) == rows(Details(totals=True)) + 4 + 2 + 2
    assert rows(Details(every_partition=True)) == rows(Details(totals=True)) + 4 + len(TIERS) + 2


def test_notes_say_where_something_is_wrong() -> None:
    told = list(notes(moving()))
    assert "shop.q1.normal: stopped: jobs wait, and no worker is in the group" in told
    late = next(note for note in told if note.startswith("shop.delay.soon"))
    assert "the first due job has not been moved for 30 s" in late
