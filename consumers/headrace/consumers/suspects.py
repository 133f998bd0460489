"""Suspects: jobs of one lane that run in a process of their own, so that a death is surely theirs.

A job is isolated for one of two reasons. It is a *suspect*: it may have been running when owners of
its partition died. Or a process has died with it before, in an earlier attempt. As a rule a child
of its own is enough, beside others: if it dies, the parent sees it. One whose worker died all the
same while it ran must be alone in this process, across all lanes. Either way its offset is noted
with the broker before it starts.
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
        in_children: Whether the lane's jobs run in child processes anyway: then one with which a
            child has died goes its usual way.
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
        if not (history or standing.streak or standing.deaths):
            return False
        died = {past.error_type for past in history}
        if standing.must_be_alone(record.offset) or WORKER_DIED in died:
            self._alone.take(record, owned)
        elif standing.is_suspect(record.offset) or (PROCESS_DIED in died and not self._in_children):
            self._beside.take(record, owned)
        else:
            return False
        record.assignment.started += 1
        return True

    def step(self) -> bool:
        """Start what may start now; tells whether a commit must not wait for the interval."""
        alone = self._alone.step()
        return self._beside.step() or alone

    def running(self) -> Iterable[tuple[JobRecord, int]]:
        """Give what runs, with the epoch milliseconds of its start."""
        return (*self._beside.running(), *self._alone.running())

    def ended(self, record: JobRecord) -> None:
        """The result of a job has come: if it was an isolated one, the next may follow."""
        self._beside.ended(record)
        self._alone.ended(record)

    def withdraw(self, drop: Drop) -> list[JobRecord]:
        """Take back those that have not been started."""
        return [*self._beside.withdraw(drop), *self._alone.withdraw(drop)]


class _Phase(Enum):
    WAITING = auto()
    """For the place."""
    NOTING = auto()
    """For the broker to know that it runs."""
    RUNNING = auto()
    """Or blamed without being run; its result comes."""


@dataclass(slots=True, eq=False)
class _Suspect:
    record: JobRecord
    owned: OwnedPartition
    phase: _Phase = _Phase.WAITING
    since: int = 0

    def start(self, isolation: Isolation, *, alone: bool) -> None:
        """Run it in a child of its own."""
        record = self.record
        _LOG.warning(
            "a job runs isolated: processes have died before",
            job=record.headers.job_id,
            type=record.headers.job_type,
            attempt=record.headers.attempt,
            partition=record.partition,
            offset=record.offset,
            alone=alone,
        )
        self.phase = _Phase.RUNNING
        self.since = now_ms()
        isolation.start(record)


class _Beside:
    """Those that a child of their own is enough for."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation
        self._waiting: deque[_Suspect] = deque()
        self._entered: dict[int, _Suspect] = {}
        """Those that have a place, by the identity of the record: one that comes back after a
        rebalance is another."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._entered)

    def take(self, record: JobRecord, owned: OwnedPartition) -> None:
        self._waiting.append(_Suspect(record, owned))
        self.bytes += record.size

    def step(self) -> bool:
        while self._waiting and self._isolation.enter_beside():
            self._enter(self._waiting.popleft())
        noting = [each for each in self._entered.values() if each.phase is _Phase.NOTING]
        for suspect in noting:
            if suspect.record.assignment.closed:
                self._leave(suspect)
            elif suspect.record.offset in suspect.owned.noted_beside:
                suspect.start(self._isolation, alone=False)
        return any(each.phase is _Phase.NOTING for each in noting)

    def running(self) -> Iterable[tuple[JobRecord, int]]:
        for each in self._entered.values():
            if each.phase is _Phase.RUNNING:
                yield each.record, each.since

    def ended(self, record: JobRecord) -> None:
        suspect = self._entered.get(id(record))
        if suspect is not None:
            self._leave(suspect)

    def withdraw(self, drop: Drop) -> list[JobRecord]:
        taken = [each for each in self._waiting if drop(each.record)]
        self._waiting = deque(each for each in self._waiting if not drop(each.record))
        self.bytes -= sum(each.record.size for each in taken)
        for each in list(self._entered.values()):
            if each.phase is _Phase.NOTING and drop(each.record):
                self._leave(each)
                taken.append(each)
        return [each.record for each in taken]

    def _enter(self, suspect: _Suspect) -> None:
        self.bytes -= suspect.record.size
        suspect.owned.note_beside(suspect.record.offset)
        suspect.phase = _Phase.NOTING
        self._entered[id(suspect.record)] = suspect

    def _leave(self, suspect: _Suspect) -> None:
        suspect.owned.forget_beside(suspect.record.offset)
        del self._entered[id(suspect.record)]
        self._isolation.leave_beside()


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
            current.start(self._isolation, alone=True)
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

    def _blame(self, current: _Suspect) -> None:
        """Workers died with this job alone in them: it is charged without being run."""
        deaths = current.owned.standing.deaths[current.record.offset]
        now = now_ms()
        how = f"the worker, with this job alone in it ({deaths})"
        self._report(current.record, Attempted(Died(how, with_worker=True), now, now))
        current.phase = _Phase.RUNNING
        current.since = now
