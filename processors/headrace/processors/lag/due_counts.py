"""What waits in the delay tiers, by lane and by when it is due. No Kafka, no clock.

The tiers are shared by all lanes, so offsets cannot tell whose jobs wait in them: each record is
looked at once, as it is appended, and 18 bytes of it are kept until the scheduler has finished it.
A million waiting jobs take 18 MB, and the counts by due time some hundred bytes for each slot.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from types import MappingProxyType
from typing import Final

from headrace.pipeline.group_offsets import Place
from headrace.processors.snapshot import CommitPoint

WIDTHS: Final[Mapping[str, int]] = MappingProxyType(
    {"5m": 5, "30m": 10, "2h": 60, "8h": 300, "24h": 600}
)
"""Seconds of a slot of due times, by tier; a second in all others. What is far away need not be
known to the second: it hops to a shorter tier in time."""
_GONE: Final = 2**63 - 1
"""In place of the due time of a record that is finished."""
_TRIM: Final = 4_096


@dataclass(frozen=True, slots=True)
class LaneDue:
    """The jobs of one lane that wait in the tiers.

    Attributes:
        slots: Ascending: epoch seconds, and how many jobs are due in the slot that ends then. A
            job is in no slot that ends before it is due.
    """

    slots: tuple[tuple[int, int], ...] = ()

    @property
    def jobs(self) -> int:
        """All of them."""
        return sum(count for _, count in self.slots)

    @property
    def next_due(self) -> int | None:
        """When the slot of the first one ends, in epoch ms."""
        return self.slots[0][0] * 1_000 if self.slots else None

    def within(self, now: int, seconds: float = 0) -> int:
        """Count those that are due within so many seconds from a time (epoch ms)."""
        bound = now + seconds * 1_000
        return sum(count for end, count in self.slots if end * 1_000 <= bound)


@dataclass(slots=True)
class _Rows:
    """The unfinished records of one partition, in the order of their offsets."""

    width: int
    point: int = 0
    done: tuple[range, ...] = ()
    live: int = 0
    head: int = 0
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    lanes: "array[int]" = field(default_factory=lambda: array("H"))
    dues: "array[int]" = field(default_factory=lambda: array("q"))

    def is_done(self, offset: int) -> bool:
        if offset < self.point:
            return True
        at = bisect_left(self.done, offset, key=lambda run: run.stop - 1)
        return at < len(self.done) and offset in self.done[at]

    def trim(self) -> None:
        if self.head > _TRIM and self.head * 2 > len(self.offsets):
            for column in (self.offsets, self.lanes, self.dues):
                del column[: self.head]
            self.head = 0


class DueCounts:
    """Counts, by lane and slot, the records of tiers that are not finished. One thread owns it.

    Args:
        lanes: The topics that jobs may go back to. What names none of them is counted for its
            partition alone.
        widths: As `WIDTHS`.
    """

    def __init__(self, lanes: Iterable[str], widths: Mapping[str, int] = WIDTHS) -> None:
        self._widths = widths
        self._lanes = {lane: number for number, lane in enumerate(lanes)}
        self._slots: list[dict[int, int]] = [{} for _ in range(len(self._lanes) + 1)]
        self._rows: dict[Place, _Rows] = {}

    @property
    def places(self) -> frozenset[Place]:
        """The partitions that are counted."""
        return frozenset(self._rows)

    def begin(self, place: Place, tier: str) -> None:
        """Count a partition, from nothing."""
        self.forget(place)
        self._rows[place] = _Rows(self._widths.get(tier, 1))

    def forget(self, place: Place) -> None:
        """Count a partition no more."""
        rows = self._rows.pop(place, None)
        if rows is not None:
            for at in range(rows.head, len(rows.offsets)):
                self._count(rows, at, -1)

    def add(self, place: Place, offset: int, lane: str | None, due: int) -> None:
        """Count a record, in the order of offsets; one that is finished is passed over.

        Args:
            place: A partition that was begun.
            offset: Its offset; one that was added before is passed over, too.
            lane: Where the job goes.
            due: When, in epoch ms.
        """
        rows = self._rows[place]
        known = rows.offsets and offset <= rows.offsets[-1]
        if known or rows.is_done(offset):
            return
        rows.offsets.append(offset)
        rows.lanes.append(self._lanes.get(lane or "", len(self._lanes)))
        rows.dues.append(due)
        self._count(rows, len(rows.offsets) - 1, 1)

    def settle(self, place: Place, commit: CommitPoint) -> bool:
        """Take off what the scheduler has finished since the last time.

        Returns:
            False, and nothing is changed, when less is finished than was before: somebody reset
            the offsets. The partition must be begun anew.
        """
        rows = self._rows[place]
        if commit.offset < rows.point or not _covers(commit, rows.done):
            return False
        while rows.head < len(rows.offsets) and rows.offsets[rows.head] < commit.offset:
            self._take_off(rows, rows.head)
            rows.head += 1
        for run in _added(rows.done, commit.finished):
            first = bisect_left(rows.offsets, run.start, rows.head)
            for at in range(first, bisect_left(rows.offsets, run.stop, first)):
                self._take_off(rows, at)
        rows.point, rows.done = commit.offset, commit.finished
        rows.trim()
        return True

    def waiting(self, place: Place) -> int:
        """How many records of a partition wait."""
        return self._rows[place].live

    def next_due(self, place: Place) -> int | None:
        """When the first job of a partition is due, in epoch ms."""
        rows = self._rows[place]
        first = min(islice(rows.dues, rows.head, None), default=_GONE)
        return None if first == _GONE else first

    def lanes(self, until: float = inf) -> Mapping[str, LaneDue]:
        """What waits, by lane; all of them.

        Args:
            until: Epoch seconds; what is due in slots that end later is left out.
        """
        return {
            lane: LaneDue(tuple(sorted(_ending(self._slots[number], until))))
            for lane, number in self._lanes.items()
        }

    def _take_off(self, rows: _Rows, at: int) -> None:
        self._count(rows, at, -1)
        rows.dues[at] = _GONE

    def _count(self, rows: _Rows, at: int, by: int) -> None:
        due = rows.dues[at]
        if due == _GONE:
            return
        rows.live += by
        slots = self._slots[rows.lanes[at]]
        end = slot_end(due, rows.width)
        slots[end] = slots.get(end, 0) + by
        if not slots[end]:
            del slots[end]


def slot_end(due: int, width: int) -> int:
    """Give the epoch second at which the slot of a due time (epoch ms) ends."""
    return -(-due // (width * 1_000)) * width


def _ending(slots: Mapping[int, int], until: float) -> Iterator[tuple[int, int]]:
    return ((end, count) for end, count in slots.items() if end <= until)


def _covers(commit: CommitPoint, done: Sequence[range]) -> bool:
    """Whether all that was finished is finished still."""
    above = (range(max(run.start, commit.offset), run.stop) for run in done)
    return not any(_added(commit.finished, [run for run in above if run]))


def _added(before: Sequence[range], after: Sequence[range]) -> Iterator[range]:
    """Give the parts of `after` that are not in `before`; both ascending and disjoint."""
    first = 0
    for run in after:
        while first < len(before) and before[first].stop <= run.start:
            first += 1
        edge = run.start
        for known in islice(before, first, None):
            if known.start >= run.stop:
                break
            if known.start > edge:
                yield range(edge, known.start)
            edge = max(edge, known.stop)
        if edge < run.stop:
            yield range(edge, run.stop)
