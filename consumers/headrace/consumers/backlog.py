"""What waits to be handed over: fresh records in large batches, refused ones apart from them.

A record that the broker refuses (its topic is missing, it is too large) must not hold up the
others. So what was refused alone is set aside and tried again with growing pauses, while fresh
records go on; what was refused in a batch is tried one by one, until it is known which it was.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from headrace.consumers.owned import Place
from headrace.consumers.settled import Settled

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between tries of what was refused."""


_OVERHEAD = 3_000
"""Bytes that a waiting record costs beside its payload: headers, transition, the objects."""


def _size(settled: Settled) -> int:
    handover = settled.handover
    return _OVERHEAD + len((handover and handover.value) or b"")


@dataclass(slots=True)
class _Line:
    at_once: int
    limit: int
    waiting: deque[Settled] = field(default_factory=deque)
    pause: float = 0.0
    next_try: float = 0.0

    def went_through(self) -> None:
        self.limit = min(self.at_once, self.limit * 2)
        self.pause = self.next_try = 0.0

    def postpone(self, now: float) -> None:
        self.limit = 1
        self.pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self.pause * 2))
        self.next_try = now + self.pause

    def drop_closed(self) -> int:
        kept = deque(each for each in self.waiting if not each.assignment.closed)
        dropped = len(self.waiting) - len(kept)
        self.waiting = kept
        return dropped

    def take(self, busy: Collection[Place]) -> list[Settled]:
        """Take what goes into one transaction; of busy partitions nothing."""
        taken: list[Settled] = []
        kept: deque[Settled] = deque()
        while self.waiting and len(taken) < self.limit:
            each = self.waiting.popleft()
            place = (each.assignment.topic, each.assignment.partition)
            (kept if place in busy else taken).append(each)
        self.waiting.extendleft(reversed(kept))
        return taken


class Backlog:
    """The hand-overs of one lane that have not gone through. Owned by the lane's thread.

    Args:
        at_once: Records in one transaction.
    """

    def __init__(self, at_once: int) -> None:
        self._fresh = _Line(at_once, at_once)
        self._refused = _Line(at_once, at_once)
        self._taken_from = self._fresh
        self.bytes = 0
        """Of memory, roughly, that what waits here costs."""

    def __len__(self) -> int:
        return len(self._fresh.waiting) + len(self._refused.waiting)

    @property
    def refused(self) -> int:
        """Records that were refused alone and wait for another try."""
        return len(self._refused.waiting)

    def due(self, now: float) -> bool:
        """Whether something may be tried now."""
        return any(line.waiting and now >= line.next_try for line in self._lines)

    def add(self, settled: Settled) -> None:
        """Queue one."""
        self._fresh.waiting.append(settled)
        self.bytes += _size(settled)

    def drop_closed(self) -> int:
        """Forget those of closed assignments; tells how many."""
        dropped = sum(line.drop_closed() for line in self._lines)
        if dropped:
            self.bytes = sum(_size(each) for line in self._lines for each in line.waiting)
        return dropped

    def take(self, now: float, busy: Collection[Place]) -> list[Settled]:
        """Take what goes into the next transaction: refused ones first, when their pause is over.

        Give each batch back with `went_through`, `failed` or `put_back` before taking another.
        """
        for line in self._lines:
            if line.waiting and now >= line.next_try and (taken := line.take(busy)):
                self._taken_from = line
                self.bytes -= sum(map(_size, taken))
                return taken
        return []

    def put_back(self, settled: list[Settled], now: float) -> None:
        """Put back what could not be tried. A refused one waits, or no fresh one had its turn."""
        if self._taken_from is self._refused:
            self._refused.postpone(now)
        self._taken_from.waiting.extend(settled)
        self.bytes += sum(map(_size, settled))

    def went_through(self) -> None:
        """The last batch is stored."""
        self._taken_from.went_through()

    def failed(self, settled: list[Settled], now: float) -> None:
        """The last batch is not stored, for sure."""
        line = self._taken_from
        self.bytes += sum(map(_size, settled))
        if line is self._fresh and len(settled) == 1:
            # The next fresh ones need not wait for the pause of this one.
            self._refused.waiting.extend(settled)
            if self._refused.next_try <= now:
                self._refused.postpone(now)
        else:
            line.waiting.extend(settled)
            line.postpone(now)

    @property
    def _lines(self) -> tuple[_Line, _Line]:
        return (self._refused, self._fresh)
