"""Suspects: jobs of one lane that run in a process of their own, so that a death is surely theirs.

A job is isolated for one of two reasons. It is a *suspect*: it may have been running when owners of
its partition died. Or a process has died with it before, in an earlier attempt. As a rule a child
of its own is enough, beside others: if it dies, the parent sees it. When that has not kept the
owners of a partition alive, its suspects run alone in this process, across all lanes, each after
its offset was noted with the broker.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from headrace.consumers.clock import now_ms
from headrace.consumers.isolation import Isolation
from headrace.consumers.outcomes import Attempted, Died
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import JobRecord
from headrace.consumers.retry import PROCESS_DIED, WORKER_DIED

_LOG = structlog.get_logger("headrace.isolation")
Report = Callable[[JobRecord, Attempted], None]
Drop = Callable[[JobRecord], bool]


class Suspects:
    """The isolated jobs of one lane. Owned by the lane's thread.

    Args:
        isolation: The place, shared with the other lanes of the process.
        report: Takes the result of a job that is not run again.
        in_children: Whether the lane's jobs run in child processes anyway: then one that needs no
            more than that goes its usual way.
    """

    def __init__(self, isolation: Isolation, report: Report, *, in_children: bool) -> None:
        self._in_children = in_children
        self._beside = _Beside(isolation)
        self._alone = _Alone(isolation, report)

    def __len__(self) -> int:
        """Give how many wait for their turn or run."""
        return len(self._beside) + len(self._alone)

    @property
    def bytes(self) -> int:
        """Bytes of memory that those cost which wait, roughly."""
        return self._beside.bytes + self._alone.bytes

    def takes(self, record: JobRecord, owned: OwnedPartition) -> bool:
        """Take a job that may be started, if it must be isolated."""
        standing = owned.standing
        history = record.headers.history
        if not (history or standing.streak):
            return False
        died = {past.error_type for past in history}
        if standing.must_be_alone(record.offset) or WORKER_DIED in died:
            self._alone.take(record, owned)
        elif self._in_children or not (standing.is_suspect(record.offset) or PROCESS_DIED in died):
            return False
        else:
            self._beside.take(record)
        record.assignment.started += 1
        return True

    def step(self) -> bool:
        """Start what may start now; tells whether a commit must not wait for the interval."""
        urgent = self._alone.step()
        self._beside.step()
        return urgent

    def running(self) -> Iterable[tuple[JobRecord, int]]:
        """Give what runs, with the epoch milliseconds of its start."""
        return (*self._beside.running.values(), *self._alone.running())

    def ended(self, record: JobRecord) -> None:
        """The result of a job has come: if it was an isolated one, the next may follow."""
        self._beside.ended(record)
        self._alone.ended(record)

    def withdraw(self, drop: Drop) -> list[JobRecord]:
        """Take back those that have not been started."""
        return [*self._beside.withdraw(drop), *self._alone.withdraw(drop)]


class _Beside:
    """Those that a child of their own is enough for."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation
        self._waiting: deque[JobRecord] = deque()
        self.running: dict[int, tuple[JobRecord, int]] = {}
        """By the identity of the record: one that comes back after a rebalance is another."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self.running)

    def take(self, record: JobRecord) -> None:
        self._waiting.append(record)
        self.bytes += record.size

    def step(self) -> None:
        while self._waiting and self._isolation.enter_beside():
            record = self._waiting.popleft()
            self.bytes -= record.size
            _tell(record, alone=False)
            self.running[id(record)] = (record, now_ms())
            self._isolation.start(record)

    def ended(self, record: JobRecord) -> None:
        if self.running.pop(id(record), None) is not None:
            self._isolation.leave_beside()

    def withdraw(self, drop: Drop) -> list[JobRecord]:
        taken, self._waiting = _parted(self._waiting, drop)
        self.bytes -= sum(record.size for record in taken)
        return taken


class _Phase(Enum):
    WAITING = auto()
    """For the place."""
    NOTING = auto()
    """For the broker to know that it runs alone."""
    RUNNING = auto()
    """Or blamed without being run; its result comes."""


@dataclass(slots=True, eq=False)
class _Suspect:
    record: JobRecord
    owned: OwnedPartition
    phase: _Phase = _Phase.WAITING
    since: int = 0


class _Alone:
    """Those that must be alone, one after the other."""

    def __init__(self, isolation: Isolation, report: Report) -> None:
        self._isolation = isolation
        self._report = report
        self._waiting: deque[_Suspect] = deque()
        self._current: _Suspect | None = None
        self._noted: OwnedPartition | None = None
        """The partition of which the broker may know that a job runs alone."""
        self._asked = False
        """Whether the place is wanted or held."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + (self._current is not None)

    def take(self, record: JobRecord, owned: OwnedPartition) -> None:
        self._waiting.append(_Suspect(record, owned))
        self.bytes += record.size

    def step(self) -> bool:
        """Go on with the current one; tells whether a commit must not wait for that."""
        current = self._current = self._current or self._next()
        if current is None:
            return self._asked and self._leave()
        if current.record.assignment.closed and current.phase is not _Phase.RUNNING:
            self._current = None
        elif current.phase is _Phase.WAITING:
            self._begin(current)
        if current.phase is _Phase.NOTING:
            if current.owned.noted_alone != current.record.offset:
                return True
            self._start(current)
        return False

    def running(self) -> Iterable[tuple[JobRecord, int]]:
        current = self._current
        if current is not None and current.phase is _Phase.RUNNING:
            yield current.record, current.since

    def ended(self, record: JobRecord) -> None:
        current = self._current
        if current is not None and current.record is record:
            self._give_up(current)

    def withdraw(self, drop: Drop) -> list[JobRecord]:
        current = self._current
        taken = [each.record for each in self._waiting if drop(each.record)]
        self._waiting = deque(each for each in self._waiting if not drop(each.record))
        if current is not None and current.phase is not _Phase.RUNNING and drop(current.record):
            taken.append(current.record)
            self._give_up(current)
        self.bytes = sum(each.record.size for each in self._waiting)
        return taken

    def _give_up(self, current: _Suspect) -> None:
        self._current = None
        if current.owned is self._noted:
            current.owned.note_alone(None)

    def _next(self) -> _Suspect | None:
        """The place, and the note, go on to the next one of the same partition."""
        if not self._waiting:
            return None
        following = self._waiting[0]
        if self._noted is not None and following.owned is not self._noted:
            return None
        self._waiting.popleft()
        self.bytes -= following.record.size
        return following

    def _leave(self) -> bool:
        """Give the place up, once the broker knows that nothing runs alone any more.

        Until then the death of this worker would be counted against a job that has ended.
        """
        noted = self._noted
        if noted is not None and not noted.assignment.closed and noted.noted_alone is not None:
            return True
        self._noted = None
        self._asked = False
        self._isolation.leave_alone(self)
        return False

    def _begin(self, current: _Suspect) -> None:
        record, standing = current.record, current.owned.standing
        blamed_before = any(past.error_type == WORKER_DIED for past in record.headers.history)
        if standing.is_to_blame(record.offset, blamed_before=blamed_before):
            self._blame(current)
            return
        self._asked = True
        if self._isolation.enter_alone(self):
            self._noted = current.owned
            current.owned.note_alone(record.offset)
            current.phase = _Phase.NOTING

    def _start(self, current: _Suspect) -> None:
        _tell(current.record, alone=True)
        current.phase = _Phase.RUNNING
        current.since = now_ms()
        self._isolation.start(current.record)

    def _blame(self, current: _Suspect) -> None:
        """Workers died with this job alone in them: it is charged without being run."""
        deaths = current.owned.standing.deaths[current.record.offset]
        now = now_ms()
        how = f"the worker, with this job alone in it ({deaths})"
        self._report(current.record, Attempted(Died(how, with_worker=True), now, now))
        current.phase = _Phase.RUNNING
        current.since = now


def _tell(record: JobRecord, *, alone: bool) -> None:
    _LOG.warning(
        "a job runs isolated: processes have died before",
        job=record.headers.job_id,
        type=record.headers.job_type,
        attempt=record.headers.attempt,
        partition=record.partition,
        offset=record.offset,
        alone=alone,
    )


def _parted(records: Iterable[JobRecord], drop: Drop) -> tuple[list[JobRecord], deque[JobRecord]]:
    taken: list[JobRecord] = []
    kept: deque[JobRecord] = deque()
    for record in records:
        (taken if drop(record) else kept).append(record)
    return taken, kept
