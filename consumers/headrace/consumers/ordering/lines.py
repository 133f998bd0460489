"""Jobs of one key, one behind the other: what an ordered queue starts, and what waits.

A lane's thread enters each record as it comes from its partition. The first of a key is its
*head*: it may start, and stays the head through its failures and retries until it has its outcome.
The others wait in the key's *line*, in the order of their offsets. So the jobs of a key start in
the order in which they reached the lane, one at a time, and no key waits for another.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.consumers.records import Assignment, JobRecord


class OrderError(RuntimeError):
    """The lines were told something that cannot be; going on could break the order of a key."""


@dataclass(slots=True, eq=False)
class _Lines:
    """The lines of one partition, for one assignment."""

    assignment: Assignment
    given_up: bool = False
    last_entered: int = -1
    heads: dict[bytes, int] = field(default_factory=dict)
    """The offset of each key's head."""
    behind: dict[bytes, deque[JobRecord]] = field(default_factory=dict)
    """Who waits behind it; only for keys of which somebody does."""
    waiting: int = 0
    waiting_bytes: int = 0


class KeyLines:
    """The lines of a lane, by partition and key. Owned by the lane's thread.

    Guarantees, for the records of one assignment: of each key there is one head at a time, heads
    of a key come in the order of their offsets, and the first record of a key is its head at once,
    whatever other keys do. Entering and leaving take constant time.
    """

    def __init__(self) -> None:
        self._partitions: dict[int, _Lines] = {}
        self._waiting = 0
        self._waiting_bytes = 0

    def __len__(self) -> int:
        """Keys that have a head."""
        return sum(len(lines.heads) for lines in self._partitions.values())

    @property
    def waiting(self) -> int:
        """Records behind their heads."""
        return self._waiting

    @property
    def waiting_bytes(self) -> int:
        """Bytes of memory that they cost, roughly."""
        return self._waiting_bytes

    def enter(self, record: JobRecord) -> bool:
        """Enter a record that was read. Call it in the order of the partition's offsets.

        Returns:
            True if it is the head of its key and may start. False if it waits in its line, or was
            dropped because its partition was given up.

        Raises:
            OrderError: A record with this or a later offset has been entered before.
        """
        lines = self._lines_of(record)
        if lines is None:
            return False
        if record.offset <= lines.last_entered:
            raise OrderError(
                f"{_name(record)} was entered after offset {lines.last_entered}: enter records in "
                "the order in which they are read, each once in an assignment"
            )
        lines.last_entered = record.offset
        key = line_key(record)
        if lines.heads.setdefault(key, record.offset) == record.offset:
            return True
        lines.behind.setdefault(key, deque()).append(record)
        self._count(lines, 1, record.size)
        return False

    def leave(self, record: JobRecord) -> JobRecord | None:
        """Say that a head has its outcome, and get the next head of its key, if any: start it.

        None also if the partition was given up meanwhile: nothing more of it is started here.

        Raises:
            OrderError: It is not the head of its key: an outcome came twice, or for a job that
                waits in its line.
        """
        lines = self._lines_of(record)
        if lines is None:
            return None
        key = line_key(record)
        if lines.heads.get(key) != record.offset:
            raise OrderError(
                f"{_name(record)} is not the head of its key, which is offset "
                f"{lines.heads.get(key)}: an outcome was reported twice, or for a waiting job"
            )
        return self._advance(lines, key)

    def drop(self, wanted: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Take records out of the lines that wait behind their heads; the heads stay."""
        return [
            record for lines in self._partitions.values() for record in self._drop(lines, wanted)
        ]

    def withdraw(self, partition: int) -> int:
        """Give the lines of a partition up: nothing of it is started until it is assigned anew.

        Its heads may still end, and nobody follows them. A partition of which nothing was entered
        is not known here, and stays so: enter no more of it either.

        Returns:
            How many records had not become heads: they were never started.
        """
        lines = self._partitions.get(partition)
        if lines is None:
            return 0
        dropped = lines.waiting
        self._count(lines, -dropped, -lines.waiting_bytes)
        self._partitions[partition] = _Lines(lines.assignment, given_up=True)
        return dropped

    def _drop(self, lines: _Lines, wanted: Callable[[JobRecord], bool]) -> list[JobRecord]:
        taken: list[JobRecord] = []
        for key, behind in list(lines.behind.items()):
            dropped = [record for record in behind if wanted(record)]
            if not dropped:
                continue
            taken += dropped
            left = deque(record for record in behind if not wanted(record))
            if left:
                lines.behind[key] = left
            else:
                del lines.behind[key]
        self._count(lines, -len(taken), -sum(record.size for record in taken))
        return taken

    def _lines_of(self, record: JobRecord) -> _Lines | None:
        """Find the lines of a record's assignment; None when they were given up."""
        partition, assignment = record.partition, record.assignment
        lines = self._partitions.get(partition)
        if assignment.closed:
            if lines is not None and lines.assignment is assignment:
                self.withdraw(partition)
            return None
        if lines is None or lines.assignment is not assignment:
            self.withdraw(partition)  # of an assignment that was closed without a word
            lines = self._partitions[partition] = _Lines(assignment)
        return None if lines.given_up else lines

    def _advance(self, lines: _Lines, key: bytes) -> JobRecord | None:
        behind = lines.behind.get(key)
        if behind is None:
            del lines.heads[key]
            return None
        record = behind.popleft()
        if not behind:
            del lines.behind[key]
        lines.heads[key] = record.offset
        self._count(lines, -1, -record.size)
        return record

    def _count(self, lines: _Lines, records: int, size: int) -> None:
        lines.waiting += records
        lines.waiting_bytes += size
        self._waiting += records
        self._waiting_bytes += size


def line_key(record: JobRecord) -> bytes:
    """Give what decides the line of a record: its key, or the job's id if it has none."""
    return record.key or record.headers.job_id.encode()


def _name(record: JobRecord) -> str:
    where = f"{record.lane.topic}/{record.partition}/{record.offset}"
    return f"job {record.headers.job_id} ({where})"
