"""What `/health/live` and `/health/ready` ask of the statistics."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from headrace.pipeline.telemetry.health import CheckKind, CheckResult, Health

_SILENT: Final = timedelta(seconds=30)
"""Without a turn of the event loop for so long, something blocks it for good."""
_NAME: Final = "statistics"


class Counts(Protocol):
    """What is needed of the agent."""

    @property
    def ready(self) -> bool:
        """Whether it counts the partitions that it owns."""
        ...


class StatisticsHealth:
    """The checks of one process.

    Args:
        agent: What counts.
        clock: Monotonic seconds.
    """

    def __init__(self, agent: Counts, clock: Callable[[], float] = time.monotonic) -> None:
        self._agent = agent
        self._clock = clock
        self._turned = clock()

    def turned(self) -> None:
        """Note that the event loop lives. Called by it, several times a second."""
        self._turned = self._clock()

    def register(self, health: Health) -> None:
        """Add the checks."""
        health.add(_NAME, self._lives, kind=CheckKind.LIVE)
        health.add(_NAME, self._is_ready)

    def _lives(self) -> CheckResult:
        silent = self._clock() - self._turned
        ok = silent < _SILENT.total_seconds()
        return CheckResult(
            ok=ok, detail="" if ok else f"its loop has not turned for {silent:.0f} s"
        )

    def _is_ready(self) -> CheckResult:
        ready = self._agent.ready
        detail = "counting" if ready else "waits for partitions, or reads what was counted of them"
        return CheckResult(ok=ready, detail=detail)
