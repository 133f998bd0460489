"""A scheduler that shares the tiers asks often whether more of them is its own now.

Another one that stops gives its partitions up at once; the broker tells so in the answer to a
heartbeat, which is half a second to five seconds away, and nothing of theirs is released until then.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from headrace.consumers.figures import MemberFigures
from headrace.consumers.partitions import Partitions

INTERVAL: Final = 0.1
"""Seconds between two questions: one costs the broker what a heartbeat does."""


class Asks(Protocol):
    """What is needed of a member."""

    def partition_count(self, topic: str) -> int:
        """Tell how many partitions a topic has; 0 when that is not known."""
        ...

    def ask_for_more(self) -> None:
        """Ask at once what is this member's now."""
        ...


class Sharing:
    """Owned by the scheduler's thread.

    Args:
        topic: One whose partitions every member of the group has its part of.
        partitions: What is owned.
        figures: Where assignments are counted.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        topic: str,
        partitions: Partitions,
        figures: MemberFigures,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._partitions = partitions
        self._figures = figures
        self._clock = clock
        self._counted: tuple[int, int] | None = None
        self._next = 0.0

    def step(self, member: Asks) -> None:
        """Ask, if others have a part and the last question is long enough ago."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + INTERVAL
        if self._owned < self._count(member):
            member.ask_for_more()

    @property
    def _owned(self) -> int:
        return sum(topic == self._topic for topic, _ in self._partitions.owned)

    def _count(self, member: Asks) -> int:
        """Ask for it once for each assignment."""
        assigned = self._figures.assigned
        if self._counted is None or self._counted[0] != assigned:
            self._counted = (assigned, member.partition_count(self._topic))
        return self._counted[1]
