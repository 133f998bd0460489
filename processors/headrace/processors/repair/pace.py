"""Keeping to a rate: so many a second, evenly, and never more than a moment's worth at once."""

import threading
import time
from collections.abc import Callable
from typing import Final

_BURST: Final = 0.05
"""Seconds of lateness that may be made up for: more would be a burst."""


class Pace:
    """Lets one thing through at a time. Owned by one thread.

    Args:
        rate: Things a second; None for as many as come.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._step = 0.0 if rate is None else 1.0 / rate
        self._clock = clock
        self._next = clock()

    def wait(self, stop: threading.Event) -> bool:
        """Wait for the next one's turn.

        Returns:
            False when `stop` was set first: then it has had no turn.
        """
        if not self._step:
            return not stop.is_set()
        now = self._clock()
        self._next = max(self._next, now - _BURST)
        if self._next > now and stop.wait(self._next - now):
            return False
        self._next += self._step
        return not stop.is_set()
