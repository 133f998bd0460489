"""Whether a new owner of `soon` is still reading what lies there.

It reads all of it before it knows what is due now. Meanwhile nothing hops and no schedule is begun: a
hop has a third of its tier's wait left, what is due has no time at all.
"""

import time
from collections.abc import Callable

LONGEST = 5.0
"""Seconds after an assignment that it may take: if more is submitted all the time than is read, what
hops must have its turn again."""
PAUSE = 0.25
"""Seconds in which the broker surely answers the next fetch, after an assignment and in between."""


class ReadingUp:
    """Owned by the scheduler's thread.

    Args:
        much: Records of `soon` in one poll that are more than hops bring.
        clock: Monotonic seconds.
    """

    def __init__(self, much: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._much = much
        self._clock = clock
        self._assigned = 0
        self._awaited_until = 0.0
        self._until = 0.0
        self.goes_on = False

    def note(self, of_soon: int, assigned: int) -> None:
        """Note what a poll has brought.

        Args:
            of_soon: Records of `soon`.
            assigned: Partitions that were assigned since the process began.
        """
        now = self._clock()
        if assigned != self._assigned:
            self._assigned = assigned
            self._until = now + LONGEST
            self._awaited_until = now + PAUSE
        elif of_soon >= self._much:
            self._awaited_until = min(now + PAUSE, self._until)
        self.goes_on = now < self._awaited_until
