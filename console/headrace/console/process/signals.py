"""SIGTERM and SIGINT, as events for the main thread."""

import os
import signal
from queue import Empty, SimpleQueue
from typing import Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class Inbox:
    """What the main thread waits for: a signal, or a part that ended.

    A handler may interrupt any line, so it must take no lock: `SimpleQueue.put` is made for that.
    """

    def __init__(self) -> None:
        self._events: SimpleQueue[signal.Signals | None] = SimpleQueue()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT from now on. In the main thread only."""
        for number in STOPPING:
            signal.signal(number, lambda taken, _: self._events.put(signal.Signals(taken)))
        # A child that a job forks must die of a SIGTERM like any other.
        os.register_at_fork(after_in_child=_forget)

    def wake(self) -> None:
        """End the current `wait`. From any thread."""
        self._events.put(None)

    def wait(self, seconds: float) -> signal.Signals | None:
        """Wait for a signal; None when there was none, or somebody called `wake`."""
        try:
            return self._events.get(timeout=seconds)
        except Empty:
            return None


def _forget() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
