"""The place of isolated jobs in a process: several in children side by side, or one alone."""

import threading
from collections.abc import Callable, Sequence

from headrace.consumers.records import JobRecord
from headrace.consumers.slots import Slots


class Isolation:
    """Who may run a job in a child of its own. Thread-safe.

    Args:
        pools: Everything else that starts jobs here.
        start: Starts a job in a child of its own; its result is reported as any other.
        places: Isolated jobs that may run beside each other.
    """

    def __init__(
        self, pools: Sequence[Slots], start: Callable[[JobRecord], None], places: int
    ) -> None:
        self._pools = pools
        self.start = start
        self._places = places
        self._lock = threading.Lock()
        self._beside = 0
        self._holder: object = None

    def enter_beside(self) -> bool:
        """Ask for a place beside others; nobody gets one while somebody is, or wants to be, alone."""
        with self._lock:
            if self._holder is not None or self._beside >= self._places:
                return False
            self._beside += 1
            return True

    def leave_beside(self) -> None:
        """Give a place beside others up."""
        with self._lock:
            self._beside -= 1

    def enter_alone(self, who: object) -> bool:
        """Ask to be alone, again and again until it is given.

        From the first time on nothing else is started; it is given when what runs has ended.
        """
        with self._lock:
            if self._holder is None:
                self._holder = who
                for pool in self._pools:
                    pool.pause()
            if self._holder is not who:
                return False
            return not (self._beside or any(pool.used for pool in self._pools))

    def leave_alone(self, who: object) -> None:
        """Give it, or the wish for it, up."""
        with self._lock:
            if self._holder is not who:
                return
            self._holder = None
            for pool in self._pools:
                pool.resume()
