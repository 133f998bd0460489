"""A worker's own figures, as one log line per interval: `worker figures`."""

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from structlog.typing import FilteringBoundLogger


@dataclass(frozen=True, slots=True)
class Figures:
    """What was done in a span of time.

    Attributes:
        processed: Attempts that ended, whatever the outcome.
        succeeded: Those whose handler returned.
        failed: Those that will be retried or are dead. A snooze is neither.
        run_seconds: How long the processed ones ran, together.
        busy_seconds: Slot time in use, jobs that still run included.
        slot_seconds: Slot time there was.
    """

    processed: int = 0
    succeeded: int = 0
    failed: int = 0
    run_seconds: float = 0.0
    busy_seconds: float = 0.0
    slot_seconds: float = 0.0

    @property
    def average_seconds(self) -> float:
        """How long one attempt ran; 0 when there was none."""
        return self.run_seconds / self.processed if self.processed else 0.0

    @property
    def utilisation(self) -> float:
        """Share of the slot time in use, 0 to 1."""
        return self.busy_seconds / self.slot_seconds if self.slot_seconds else 0.0

    @property
    def error_rate(self) -> float:
        """Share of failures among successes and failures, 0 to 1."""
        judged = self.succeeded + self.failed
        return self.failed / judged if judged else 0.0

    def __sub__(self, earlier: "Figures") -> "Figures":
        return Figures(
            self.processed - earlier.processed,
            self.succeeded - earlier.succeeded,
            self.failed - earlier.failed,
            self.run_seconds - earlier.run_seconds,
            self.busy_seconds - earlier.busy_seconds,
            self.slot_seconds - earlier.slot_seconds,
        )

    def as_fields(self) -> dict[str, float]:
        """Give the fields of a log line; durations in seconds, shares from 0 to 1."""
        return {
            "processed": self.processed,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "average_seconds": round(self.average_seconds, 6),
            "utilisation": round(self.utilisation, 4),
            "error_rate": round(self.error_rate, 4),
        }


class FigureSource(Protocol):
    """What a reporter asks: whoever counts what a process does."""

    @property
    def in_flight(self) -> int:
        """Jobs that hold a slot now."""
        ...

    @property
    def uptime(self) -> timedelta:
        """Time since it began to count."""
        ...

    def total(self) -> Figures:
        """Give the figures since the start."""
        ...


class FiguresReporter:
    """Logs `worker figures` once per interval from a daemon thread, and once more at the stop."""

    def __init__(
        self, figures: FigureSource, interval: timedelta, log: FilteringBoundLogger
    ) -> None:
        self._figures = figures
        self._interval = interval
        self._log = log
        self._before = figures.total()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-figures", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Log the last, shorter interval, and end. May be called without a start, or twice."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def report(self) -> dict[str, Any]:
        """Close the interval: give its fields, and the same as `total_…` since the start."""
        total = self._figures.total()
        interval, self._before = total - self._before, total
        return {
            **interval.as_fields(),
            "in_flight": self._figures.in_flight,
            "uptime_seconds": round(self._figures.uptime.total_seconds(), 3),
            **{f"total_{name}": value for name, value in total.as_fields().items()},
        }

    def _run(self) -> None:
        while not self._stopped.wait(self._interval.total_seconds()):
            self._log.info("worker figures", **self.report())
        self._log.info("worker figures", **self.report())
