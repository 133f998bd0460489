"""The two orders in which records wait in memory: by due time, and as a timed tier has them."""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.consumers.records import Assignment
from headrace.pipeline.topology import Tier
from headrace.schemas import waiting_headers
from headrace.schemas.headers import JobHeaders
from headrace.schemas.waiting_headers import Alike

RECORD_OVERHEAD = 600
"""Bytes that holding a record costs beside its payload and key: a quarter more than Python counts."""
RESUME_SHARE = 0.8
"""Share of a bound in bytes below which a paused partition is read again: a pause discards what
was prefetched, so it must not flicker."""
_ENOUGH = 500
"""Records of one partition of a timed tier in memory, before the partition is paused."""
_ENOUGH_BYTES = 1_048_576
"""The same in bytes."""
_MOVING = 2
"""Times as much is in memory of a partition whose records are moving on: the reading must not stand
still meanwhile, and a partition that is read again waits for the answer to what was asked without
it."""
_SHORTLY = 1_000
"""Milliseconds before its first record moves on that a partition counts as moving."""


@dataclass(slots=True, eq=False)
class DelayedRecord:
    """One record of a delay tier. Times in epoch milliseconds.

    What it says of its job is kept as `waiting_headers` has it, since many of them wait.
    """

    job_id: bytes
    created: bytes
    alike: Alike
    tier: Tier
    key: bytes | None
    payload: bytes | None
    assignment: Assignment
    offset: int
    due: int
    """When the job may run."""
    moves: int
    """When the record leaves its tier: when it is due, or when its tier's wait is over."""
    too_large: bool = False
    """Whether its lane has refused it for its size once."""

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        own = len(self.payload or b"") + len(self.key or b"") + self.alike.own
        return own + RECORD_OVERHEAD

    @property
    def job(self) -> JobHeaders:
        """All that it says of its job: made anew each time."""
        return waiting_headers.job_of(self.job_id, self.created, self.due, self.alike)

    @property
    def lane(self) -> str:
        """The topic that it is released to."""
        return self.alike.job.lane

    def following(self) -> list[tuple[str, bytes | None]]:
        """Give the headers of the record that is written from this one."""
        return waiting_headers.following(self.job_id, self.created, self.due, self.alike)

    def __lt__(self, other: "DelayedRecord") -> bool:
        """Of those with one due time and offset, in two partitions, any may be the first."""
        return False


class DueHeap:
    """Records by due time. Those of closed assignments are dropped when they come up."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, DelayedRecord]] = []
        self._last = 0
        """When the last one is due, at the latest."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, record: DelayedRecord) -> None:
        """Hold a record."""
        heapq.heappush(self._heap, (record.due, record.offset, record))
        self._last = max(self._last, record.due)
        self.bytes += record.size

    def next_due(self) -> int | None:
        """When the first one is due; None when nothing is held."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: int, most: int) -> list[DelayedRecord]:
        """Take up to `most` records that are due."""
        taken: list[DelayedRecord] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < most:
            record = heapq.heappop(self._heap)[2]
            self.bytes -= record.size
            if not record.assignment.closed:
                taken.append(record)
        return taken

    def take_last(self, share: float, not_before: int) -> list[DelayedRecord]:
        """Take the records due last: up to a share of all, rounded up, none due before a time."""
        if self._last < not_before:
            return []
        self._heap.sort()  # a sorted list is a heap
        keep = len(self._heap) - math.ceil(len(self._heap) * share)
        while keep < len(self._heap) and self._heap[keep][0] < not_before:
            keep += 1
        taken = [record for _, _, record in self._heap[keep:]]
        del self._heap[keep:]
        self._last = self._heap[-1][0] if self._heap else 0
        self.bytes -= sum(record.size for record in taken)
        return [record for record in taken if not record.assignment.closed]

    def drop(self, wanted: Callable[[DelayedRecord], bool]) -> list[DelayedRecord]:
        """Take out what is not to be waited for any more."""
        entries = [entry for entry in self._heap if wanted(entry[2])]
        if entries:
            gone = {id(entry[2]) for entry in entries}
            self._heap = [entry for entry in self._heap if id(entry[2]) not in gone]
            heapq.heapify(self._heap)
            self.bytes -= sum(entry[2].size for entry in entries)
        return [record for _, _, record in entries if not record.assignment.closed]

    def drop_closed(self) -> None:
        """Forget the records of closed assignments."""
        self._heap = [entry for entry in self._heap if not entry[2].assignment.closed]
        heapq.heapify(self._heap)
        self.bytes = sum(record.size for _, _, record in self._heap)


@dataclass(slots=True)
class InHand:
    """The head of one partition of a timed tier: in order of appending, so of moving on too."""

    records: deque[DelayedRecord] = field(default_factory=deque)
    bytes: int = 0

    def push(self, record: DelayedRecord) -> None:
        """Hold one more."""
        self.records.append(record)
        self.bytes += record.size

    def next_move(self) -> int | None:
        """When the first one leaves its tier; None when nothing is held."""
        return self.records[0].moves if self.records else None

    def latest(self) -> int:
        """Until when the first one must have left its tier, so as not to be late; one is held."""
        first = self.records[0]
        return first.moves + first.tier.wait_ms // 3

    def is_enough(self, now: int, *, paused: bool) -> bool:
        """Whether its partition need not be read further; one that is paused, not yet again."""
        if not self.records:
            return False
        times = _MOVING if self.records[0].moves <= now + _SHORTLY else 1
        if len(self.records) >= times * (_ENOUGH // 2 if paused else _ENOUGH):
            return True
        return self.bytes > times * _ENOUGH_BYTES * (RESUME_SHARE if paused else 1.0)

    def drop(self, wanted: Callable[[DelayedRecord], bool]) -> list[DelayedRecord]:
        """Take out what is not to be waited for any more."""
        taken = [record for record in self.records if wanted(record)]
        if taken:
            gone = {record.offset for record in taken}
            self.records = deque(each for each in self.records if each.offset not in gone)
            self.bytes -= sum(record.size for record in taken)
        return taken

    def take_over(self, now: int, most: int) -> list[DelayedRecord]:
        """Take up to `most` records whose wait in this tier is over."""
        taken: list[DelayedRecord] = []
        while self.records and self.records[0].moves <= now and len(taken) < most:
            record = self.records.popleft()
            self.bytes -= record.size
            taken.append(record)
        return taken
