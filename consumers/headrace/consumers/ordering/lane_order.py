"""What an ordered queue adds to its lane: keys wait for their heads, heads wait in place.

    read → enter: the head of its key goes on, the others wait in line
    comes back → park: noted with the broker, then held until it is due, then tried again
    ended → the next of its line goes on: at once after a success, once it is stored after a death

A head is tried again only when the broker has the note of its next attempt: so attempts never go
back, whoever owns the partition then.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from headrace.consumers.figures import LaneFigures
from headrace.consumers.ordering.lines import KeyLines
from headrace.consumers.ordering.parked import ParkedKey
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import JobRecord
from headrace.consumers.seldom import Seldom
from headrace.consumers.settled import Settled, StayHere
from headrace.pipeline.partitioner import partition_of

_LOG = structlog.get_logger("headrace.order")


@dataclass(slots=True, eq=False)
class _Parked:
    record: JobRecord
    owned: OwnedPartition
    parking: int = 0
    """Its number among the parkings of its partition; 0 while there is no room for its note."""


class LaneOrder:
    """The order of one lane of an ordered queue. Owned by the lane's thread.

    Args:
        partitions: Tells how many partitions the lane has.
        figures: Where it is counted.
    """

    def __init__(self, partitions: Callable[[], int], figures: LaneFigures) -> None:
        self._lines = KeyLines()
        self._partitions = partitions
        self._figures = figures
        self._parked: deque[_Parked] = deque()
        self._dying: deque[tuple[JobRecord, OwnedPartition]] = deque()
        self._misplaced = Seldom(_LOG)

    @property
    def waiting(self) -> int:
        """Records that wait in lines, and heads that wait for the broker to know of them."""
        return self._lines.waiting + len(self._parked)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of memory that they cost, roughly."""
        return self._lines.waiting_bytes + sum(each.record.size for each in self._parked)

    def enter(self, record: JobRecord) -> bool:
        """Take a record that was read; tells whether it is the head of its key."""
        self._check_place(record)
        return self._lines.enter(record)

    def park(self, stays: StayHere, owned: OwnedPartition) -> None:
        """Let a head wait in place for its next attempt."""
        parked = _Parked(stays.record, owned)
        self._note(parked)
        self._parked.append(parked)

    def ended(self, record: JobRecord, owned: OwnedPartition, settled: Settled) -> list[JobRecord]:
        """A head has its outcome: give the next of its key, if it may go on now."""
        if settled.handover is None:
            return self._next_after(record)
        self._dying.append((record, owned))
        return []

    def step(self) -> tuple[list[JobRecord], bool]:
        """Give the heads that may go on now, and whether a commit must not wait for others."""
        following: list[JobRecord] = []
        for _ in range(len(self._dying)):
            record, owned = self._dying.popleft()
            if not owned.ledger.is_running(record.offset):
                following += self._next_after(record)
            elif not record.assignment.closed:
                self._dying.append((record, owned))
        return following + self._retried(), any(each.parking for each in self._parked)

    def drop(self, wanted: Callable[[JobRecord], bool]) -> tuple[list[JobRecord], list[JobRecord]]:
        """Take out what is not to be started: from the lines, and heads that wait in place."""
        heads = [each.record for each in self._parked if wanted(each.record)]
        self._parked = deque(each for each in self._parked if not wanted(each.record))
        return self._lines.drop(wanted), heads

    def withdraw(self, drop: Callable[[JobRecord], bool], partition: int) -> int:
        """Give up the lines of a partition; tells how many of its jobs were not running."""
        withdrawn = [each for each in self._parked if drop(each.record)]
        self._parked = deque(each for each in self._parked if not drop(each.record))
        self._dying = deque(each for each in self._dying if not drop(each[0]))
        return self._lines.withdraw(partition) + len(withdrawn)

    def _next_after(self, record: JobRecord) -> list[JobRecord]:
        following = self._lines.leave(record)
        return [] if following is None else [following]

    def _retried(self) -> list[JobRecord]:
        known: list[JobRecord] = []
        for _ in range(len(self._parked)):
            each = self._parked.popleft()
            if each.record.assignment.closed:
                continue
            if not each.parking:
                self._note(each)
            if 0 < each.parking <= each.owned.parkings_known:
                known.append(each.record)
            else:
                self._parked.append(each)
        return known

    def _note(self, parked: _Parked) -> None:
        record = parked.record
        job = record.headers
        if parked.owned.park(ParkedKey(record.offset, job.attempt, job.step, job.due or 0)):
            parked.parking = parked.owned.parkings

    def _check_place(self, record: JobRecord) -> None:
        """Whoever puts a key on another partition than all others gives up its order."""
        count = self._partitions()
        right = partition_of(record.key, count) if record.key and count else record.partition
        if right == record.partition:
            return
        self._figures.misplaced += 1
        self._misplaced.warn(
            "a job lies on another partition than its key belongs to: it is run, but jobs of this "
            "key have no order among themselves; let its producer partition as Java's default "
            "does (librdkafka: partitioner=murmur2_random)",
            job=record.headers.job_id,
            source=record.headers.source,
            lane=record.lane.topic,
            partition=record.partition,
            right_partition=right,
            partitions=count,
        )
