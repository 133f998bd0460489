"""Warnings that may repeat a thousand times a second while a broker is away."""

import time
from typing import Any

_INTERVAL = 10.0


class Seldom:
    """Logs the first of many alike warnings, then one in an interval, with how many there were.

    Owned by one thread.

    Args:
        log: A structlog logger.
        interval: Seconds between two of them.
    """

    def __init__(self, log: Any, interval: float = _INTERVAL) -> None:
        self._log = log
        self._interval = interval
        self._next = 0.0
        self._kept_back = 0

    def warn(self, what: str, **values: object) -> None:
        """Log it, or only count it."""
        now = time.monotonic()
        if now < self._next:
            self._kept_back += 1
            return
        self._next = now + self._interval
        if self._kept_back:
            values["alike_since_the_last"] = self._kept_back
        self._kept_back = 0
        self._log.warning(what, **values)
