import threading
from datetime import timedelta
from queue import SimpleQueue
from typing import Any, cast

import pytest
from structlog.typing import FilteringBoundLogger

from headrace.pipeline.telemetry.system_metrics import FiguresReporter, WorkerFigures


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Log:
    def __init__(self) -> None:
        self.lines: SimpleQueue[tuple[str, dict[str, Any]]] = SimpleQueue()

    def info(self, event: str, **fields: Any) -> None:
        self.lines.put((event, fields))


def reporter(figures: WorkerFigures, log: Log, interval: timedelta) -> FiguresReporter:
    return FiguresReporter(figures, interval, cast("FilteringBoundLogger", log))


def test_a_line_tells_the_interval_and_the_total() -> None:
    clock = Clock()
    figures = WorkerFigures(slots=4, clock=clock)
    reports = reporter(figures, Log(), timedelta(minutes=1))
    figures.started(2)
    clock.now += 10
    figures.record("succeeded", 10)
    clock.now += 20
    figures.record("dead", 30)
    clock.now += 30
    assert reports.report() == {
        "processed": 2,
        "succeeded": 1,
        "failed": 1,
        "average_seconds": 20,
        "utilisation": 40 / 240,
        "error_rate": 0.5,
        "in_flight": 0,
        "uptime_seconds": 60,
        "total_processed": 2,
        "total_succeeded": 1,
        "total_failed": 1,
        "total_average_seconds": 20,
        "total_utilisation": 40 / 240,
        "total_error_rate": 0.5,
    } | {"utilisation": 0.1667, "total_utilisation": 0.1667}
    figures.started()
    clock.now += 60
    second = reports.report()
    assert (second["processed"], second["total_processed"], second["in_flight"]) == (0, 2, 1)
    assert (second["utilisation"], second["uptime_seconds"]) == (0.25, 120)


def test_a_job_that_runs_for_hours_counts_as_use_of_its_slot_all_along() -> None:
    clock = Clock()
    figures = WorkerFigures(slots=1, clock=clock)
    figures.started()
    clock.now += 7_200
    assert figures.total().utilisation == 1
    assert figures.total().processed == 0


@pytest.mark.parametrize("outcome", ["snoozed", "postponed", "expired", "duplicate", "fenced"])
def test_what_neither_succeeded_nor_failed_leaves_the_error_rate_alone(outcome: str) -> None:
    figures = WorkerFigures(slots=1, clock=Clock())
    figures.started(2)
    figures.record("retrying", 1)
    figures.record(outcome, 1)
    total = figures.total()
    assert (total.processed, total.failed, total.succeeded, total.error_rate) == (2, 1, 0, 1)


def test_nothing_done_is_zero_everywhere() -> None:
    assert set(WorkerFigures(slots=0, clock=Clock()).total().as_fields().values()) == {0}


def test_a_lane_may_report_many_jobs_at_once() -> None:
    figures = WorkerFigures(slots=10, clock=Clock())
    figures.started(5)
    figures.record("succeeded", 2.5, jobs=5)
    assert (figures.total().succeeded, figures.total().average_seconds) == (5, 0.5)
    assert figures.in_flight == 0


def test_lost_slots_leave_the_utilisation_from_then_on() -> None:
    clock = Clock()
    figures = WorkerFigures(slots=2, clock=clock)
    figures.started()
    clock.now += 10
    figures.set_slots(1)
    clock.now += 10
    assert figures.total().utilisation == 20 / 30


def test_recording_from_several_threads_loses_nothing() -> None:
    figures = WorkerFigures(slots=4)

    def work() -> None:
        for _ in range(5_000):
            figures.started()
            figures.record("succeeded", 0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (figures.total().succeeded, figures.in_flight) == (20_000, 0)


def test_lines_come_by_themselves_and_once_more_at_the_stop() -> None:
    log = Log()
    reports = reporter(WorkerFigures(slots=1), log, timedelta(milliseconds=5))
    reports.start()
    for _ in range(3):
        event, fields = log.lines.get(timeout=30)
        assert event == "worker figures"
        assert fields["processed"] == 0
    reports.stop()
    reports.stop()


def test_the_jobs_of_the_last_interval_are_told_at_the_stop() -> None:
    log = Log()
    figures = WorkerFigures(slots=1)
    reports = reporter(figures, log, timedelta(hours=1))
    reports.start()
    figures.started()
    figures.record("succeeded", 0.1)
    reports.stop()
    assert log.lines.get(timeout=30)[1]["processed"] == 1


def test_a_reporter_that_never_began_can_be_stopped() -> None:
    reporter(WorkerFigures(slots=1), Log(), timedelta(hours=1)).stop()
