"""Isolation: one job at a time in a process of its own, so that a death is surely that job's.

A job is isolated for one of two reasons. It is a *suspect*: it may have been running when owners of
its partition died. Then it runs alone in this process, across all lanes, after its offset was noted
with the broker. Or a process has died with it before, in an earlier attempt: then a child of its
own is enough, as that is what will die, and the others go on beside it.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from headrace.consumers.clock import now_ms
from headrace.consumers.outcomes import Attempted, Died
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import JobRecord
from headrace.consumers.retry import PROCESS_DIED, WORKER_DIED
from headrace.consumers.slots import Slots

_LOG = structlog.get_logger("headrace.isolation")


class Isolation:
    """The one place for an isolated job in a process. Thread-safe.

    Args:
        pools: Everything else that starts jobs here.
        start: Starts a job in a child of its own; its result is reported as any other.
    """

    def __init__(self, pools: Sequence[Slots], start: Callable[[JobRecord], None]) -> None:
        self._pools = pools
        self.start = start
        self._lock = threading.Lock()
        self._holder: object = None
        self._alone = False

    def enter(self, who: object, *, alone: bool) -> bool:
        """Ask for the place, again and again until it is given.

        Args:
            who: Who asks.
            alone: Whether nothing else may run: then nothing is started any more, and the place
                is given when what runs has ended.
        """
        with self._lock:
            if self._holder is None:
                self._holder = who
            if self._holder is not who:
                return False
            self._hold(alone=alone)
        return not (alone and any(pool.used for pool in self._pools))

    def leave(self, who: object) -> None:
        """Give the place, or the wish for it, up."""
        with self._lock:
            if self._holder is not who:
                return
            self._holder = None
            self._hold(alone=False)

    def _hold(self, *, alone: bool) -> None:
        if self._alone == alone:
            return
        self._alone = alone
        for pool in self._pools:
            if alone:
                pool.pause()
            else:
                pool.resume()


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
    alone: bool
    phase: _Phase = _Phase.WAITING
    since: int = 0


class Suspects:
    """The jobs of one lane that are isolated, one after the other. Owned by the lane's thread.

    Args:
        isolation: The place, shared with the other lanes of the process.
        in_children: Whether the lane's jobs run in child processes anyway: then one with which a
            child has died needs no other place.
        report: Takes the result of a job that is not run again.
    """

    def __init__(
        self,
        isolation: Isolation,
        report: Callable[[JobRecord, Attempted], None],
        *,
        in_children: bool,
    ) -> None:
        self._isolation = isolation
        self._report = report
        self._in_children = in_children
        self._waiting: deque[_Suspect] = deque()
        self._current: _Suspect | None = None
        self._noted: OwnedPartition | None = None
        """The partition of which the broker may know that a job runs alone."""
        self._asked = False
        """Whether the place is wanted or held."""
        self.bytes = 0

    def __len__(self) -> int:
        """Give how many wait for their turn or run."""
        return len(self._waiting) + (self._current is not None)

    def takes(self, record: JobRecord, owned: OwnedPartition) -> bool:
        """Take a job that may be started, if it must be isolated."""
        standing = owned.standing
        history = record.headers.history
        if not (history or standing.streak):
            return False
        died = {past.error_type for past in history}
        alone = standing.is_suspect(record.offset) or WORKER_DIED in died
        if not alone and (self._in_children or PROCESS_DIED not in died):
            return False
        record.assignment.started += 1
        self._waiting.append(_Suspect(record, owned, alone))
        self.bytes += record.size
        return True

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
        """Give what runs, with the epoch milliseconds of its start."""
        current = self._current
        if current is not None and current.phase is _Phase.RUNNING:
            yield current.record, current.since

    def ended(self, record: JobRecord) -> None:
        """The result of a job has come: if it was the isolated one, the next may follow."""
        current = self._current
        if current is not None and current.record is record:
            self._current = None
            if current.owned is self._noted:
                current.owned.note_alone(None)

    def withdraw(self, drop: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Take back those that have not been started."""
        current = self._current
        taken = [each.record for each in self._waiting if drop(each.record)]
        self._waiting = deque(each for each in self._waiting if not drop(each.record))
        if current is not None and current.phase is not _Phase.RUNNING and drop(current.record):
            taken.append(current.record)
            self._current = None
            if current.owned is self._noted:
                current.owned.note_alone(None)
        self.bytes = sum(each.record.size for each in self._waiting)
        return taken

    def _next(self) -> _Suspect | None:
        """The place, and the note, go on to the next one that must be alone on its partition."""
        if not self._waiting:
            return None
        following = self._waiting[0]
        if self._noted is not None and not (following.alone and following.owned is self._noted):
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
        self._isolation.leave(self)
        return False

    def _begin(self, current: _Suspect) -> None:
        record, standing = current.record, current.owned.standing
        blamed_before = any(past.error_type == WORKER_DIED for past in record.headers.history)
        if standing.is_to_blame(record.offset, blamed_before=blamed_before):
            self._blame(current)
            return
        self._asked = True
        if not self._isolation.enter(self, alone=current.alone):
            return
        if current.alone:
            self._noted = current.owned
            current.owned.note_alone(record.offset)
            current.phase = _Phase.NOTING
        else:
            self._start(current)

    def _start(self, current: _Suspect) -> None:
        record = current.record
        _LOG.warning(
            "a job runs isolated: processes have died before",
            job=record.headers.job_id,
            type=record.headers.job_type,
            attempt=record.headers.attempt,
            partition=record.partition,
            offset=record.offset,
            alone=current.alone,
        )
        current.phase = _Phase.RUNNING
        current.since = now_ms()
        self._isolation.start(record)

    def _blame(self, current: _Suspect) -> None:
        """Workers died with this job alone in them: it is charged without being run."""
        deaths = current.owned.standing.deaths[current.record.offset]
        now = now_ms()
        how = f"the worker, with this job alone in it ({deaths})"
        self._report(current.record, Attempted(Died(how, with_worker=True), now, now))
        current.phase = _Phase.RUNNING
        current.since = now
