from dataclasses import dataclass, field
from datetime import timedelta
from queue import SimpleQueue
from typing import Any, cast

from structlog.typing import FilteringBoundLogger

from headrace.pipeline.telemetry.system_metrics import Figures, FiguresReporter


@dataclass
class Source:
    """A process that has counted what the test says."""

    figures: Figures = field(default_factory=Figures)
    in_flight: int = 0
    uptime: timedelta = timedelta()

    def total(self) -> Figures:
        return self.figures


class Log:
    def __init__(self) -> None:
        self.lines: SimpleQueue[tuple[str, dict[str, Any]]] = SimpleQueue()

    def info(self, event: str, **fields: Any) -> None:
        self.lines.put((event, fields))


def reporter(source: Source, log: Log, interval: timedelta) -> FiguresReporter:
    return FiguresReporter(source, interval, cast("FilteringBoundLogger", log))


def test_a_line_tells_the_interval_and_the_total() -> None:
    source = Source()
    reports = reporter(source, Log(), timedelta(minutes=1))
    source.figures = Figures(2, 1, 1, run_seconds=40, busy_seconds=40, slot_seconds=240)
    source.uptime = timedelta(seconds=60)
    assert reports.report() == {
        "processed": 2,
        "succeeded": 1,
        "failed": 1,
        "average_seconds": 20,
        "utilisation": 0.1667,
        "error_rate": 0.5,
        "in_flight": 0,
        "uptime_seconds": 60,
        "total_processed": 2,
        "total_succeeded": 1,
        "total_failed": 1,
        "total_average_seconds": 20,
        "total_utilisation": 0.1667,
        "total_error_rate": 0.5,
    }
    source.figures = Figures(2, 1, 1, run_seconds=40, busy_seconds=100, slot_seconds=480)
    source.in_flight, source.uptime = 1, timedelta(seconds=120)
    second = reports.report()
    assert (second["processed"], second["total_processed"], second["in_flight"]) == (0, 2, 1)
    assert (second["utilisation"], second["uptime_seconds"]) == (0.25, 120)


def test_what_neither_succeeded_nor_failed_leaves_the_error_rate_alone() -> None:
    assert Figures(processed=9, succeeded=1, failed=1).error_rate == 0.5


def test_nothing_done_is_zero_everywhere() -> None:
    assert set(Figures().as_fields().values()) == {0}


def test_lines_come_by_themselves_and_once_more_at_the_stop() -> None:
    log = Log()
    reports = reporter(Source(), log, timedelta(milliseconds=5))
    reports.start()
    for _ in range(3):
        event, fields = log.lines.get(timeout=30)
        assert event == "worker figures"
        assert fields["processed"] == 0
    reports.stop()
    reports.stop()


def test_the_jobs_of_the_last_interval_are_told_at_the_stop() -> None:
    log = Log()
    source = Source()
    reports = reporter(source, log, timedelta(hours=1))
    reports.start()
    source.figures = Figures(processed=1, succeeded=1)
    reports.stop()
    assert log.lines.get(timeout=30)[1]["processed"] == 1


def test_a_reporter_that_never_began_can_be_stopped() -> None:
    reporter(Source(), Log(), timedelta(hours=1)).stop()
