"""Jobs that ran again: `reexecuted`, `reexecution_bound_violations`.

`reexecuted` counts executions of one job with the same attempt and turn (see `joined`) beyond the
first. No re-execution: the next attempt; the same attempt after a snooze (a new step); a record that
was released twice and dropped; a job that was given back before it had started.

Each re-execution must be explained by one fault, for which all of this holds:

1. it hit the worker of the execution before (`workers` of the fault names its pid);
2. the execution before began before the fault had ended;
3. the re-execution began after the fault had begun;
4. the record was not covered by what was committed when the fault hit: neither below the committed
   offset nor in the finished map. Of a partition that the snapshot does not name, nothing was;
5. nor should it have been covered: no record is covered whose outcome the same worker stored more
   than a second later. (Commits tell everything that is finished, so one that covers the later of
   two and not the earlier has forgotten it. Told by transitions; what had hit the worker between
   the two excuses it.)

A refusal of dead letters hits no worker, but bars the way out: the partition of a letter waits. When
a join, after a worker before was killed say, gives that partition to another worker meanwhile, the
attempt whose letter could not be stored runs again there. So a refusal explains the last attempt of a
job that ended in it (or right before), in another worker, and nothing else.

A storm of joins and leaves is known by what was committed at its end, when a job that it made run
again may be done. So 4 and 5 do not hold for it where the execution before ended while dead letters
were refused (or right before): its partition waits then, and whoever gives the partition up gives
such outcomes up with it.

So what may run again at a fault is exactly what its workers had in flight, or had finished since
their last commit. Anything else is a violation. In particular: a job that was cut off when a worker
was told to stop is explained only if the stop is in the list of faults; and a job that a stopped
worker starts after it goes on, while the partition's new owner has started it already, is not
explained: the fault hit the worker of the repetition, not the one before. The example says so.

Several faults may explain one; the latest is credited. Jobs without a promise count nowhere here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from headrace.console.proof.cover import Cover, cover_of
from headrace.console.proof.dump import TopicRecord
from headrace.console.proof.findings import Example, about
from headrace.console.proof.joined import MS, Job, Joined, Ran, pid_of
from headrace.console.proof.outcomes import FINAL
from headrace.console.proof.records import Fault, Kind, Place

_ANY_ORDER: Final = 1_000
"""Milliseconds between two outcomes within which the broker's answers may come in any order."""
_INSTANT: Final = 20 * MS
"""For so long after it was woken a worker may begin what it had begun to begin, in ns."""
_REFUSED_BEFORE: Final = 1_000 * MS
"""Nanoseconds before a refusal began in which an outcome may have been on its way."""


@dataclass(frozen=True, slots=True)
class Reexecutions:
    """All of a run.

    Attributes:
        count: How many there were.
        unexplained: The violations.
        by_kind: Explained ones by the kind of the fault.
    """

    count: int
    unexplained: Sequence[Example]
    by_kind: Mapping[str, int]


def reexecutions(joined: Joined) -> Reexecutions:
    """Find and explain every re-execution."""
    faults = _Faults.of(joined)
    unexplained: list[Example] = []
    kinds: Counter[str] = Counter()
    count = 0
    for job, before, again in _repeated(joined):
        count += 1
        fault = (
            faults.explaining(before, again)
            or faults.barring(job, before, again)
            or faults.freezing(again)
        )
        if fault is None:
            unexplained.append(_example(job, before, again, faults))
        else:
            kinds[fault.kind.value] += 1
    return Reexecutions(count, unexplained, dict(sorted(kinds.items())))


def _repeated(joined: Joined) -> Iterator[tuple[Job, Ran, Ran]]:
    for job in joined.accepted():
        if len(job.executions) < 2:
            continue
        for turn in job.turns():
            for before, again in pairwise(turn):
                yield job, before, again


@dataclass(slots=True)
class _Faults:
    """Faults by the worker that they hit, and what was committed at each."""

    by_worker: dict[int, list[Fault]]
    told: Mapping[tuple[int, Place], Mapping[int, int]]
    """By worker and partition: when it stored the outcome of each offset, in ms."""
    refusals: Sequence[Fault] = ()
    """When dead letters were refused."""
    _frozen: set[tuple[int, str]] = field(default_factory=set)
    """Faults and lanes of which one start was in the instant of a freeze."""
    _covers: dict[tuple[int, Place], Cover] = field(default_factory=dict)
    _latest: dict[tuple[int, int, Place], int] = field(default_factory=dict)

    @classmethod
    def of(cls, joined: Joined) -> "_Faults":
        by_worker: dict[int, list[Fault]] = {}
        for fault in sorted(joined.faults, key=lambda each: (each.began_ns, each.number)):
            for worker in fault.workers:
                by_worker.setdefault(worker, []).append(fault)
        refusals = [fault for fault in joined.faults if fault.kind is Kind.DLQ_FULL]
        return cls(by_worker, _told(joined), refusals)

    def explaining(self, before: Ran, again: Ran) -> Fault | None:
        """Give the latest fault that explains a re-execution."""
        record = before.record
        if record is None:
            return None
        return next(
            (
                fault
                for fault in reversed(self.between(before, again))
                if self.refused(fault, before)
                or not (self.covered(fault, record) or self.forgotten(fault, before))
            ),
            None,
        )

    def barring(self, job: Job, before: Ran, again: Ran) -> Fault | None:
        """Give the refusal because of which a job's letter was left to another worker."""
        attempt = before.execution.attempt
        is_letter = any(letter.attempt == attempt for letter in job.dead)
        if not is_letter or before.execution.worker == again.execution.worker:
            return None
        return self._refusal_at(before.execution.end)

    def freezing(self, again: Ran) -> Fault | None:
        """Give the freeze that came between a worker's last look and this start, if one did.

        Nobody can close that instant (`docs/guarantees.md`), and a lane's thread is in it with one job.
        """
        execution, record = again.execution, again.record
        for fault in self.by_worker.get(execution.worker, ()):
            if record is None or not 0 <= execution.start - fault.woken_ns <= _INSTANT:
                continue
            if (fault.number, record.topic) not in self._frozen:
                self._frozen.add((fault.number, record.topic))
                return fault
        return None

    def between(self, before: Ran, again: Ran) -> list[Fault]:
        """Give the faults that hit the worker in time to explain a re-execution."""
        hits = self.by_worker.get(before.execution.worker, ())
        start, restart = before.execution.start, again.execution.start
        return [fault for fault in hits if start < fault.ended_ns and fault.began_ns < restart]

    def refused(self, fault: Fault, before: Ran) -> bool:
        """Whether a worker that left in a storm could not store this outcome."""
        if fault.kind is not Kind.REBALANCE_STORM:
            return False
        return self._refusal_at(before.execution.end) is not None

    def _refusal_at(self, moment: int) -> Fault | None:
        """Give the refusal in which, or right before which, something ended."""
        for each in self.refusals:
            if each.began_ns - _REFUSED_BEFORE <= moment <= each.ended_ns:
                return each
        return None

    def covered(self, fault: Fault, record: TopicRecord) -> bool:
        """Whether a record was done for everybody when the fault hit."""
        committed = fault.committed.get(record.place)
        return committed is not None and record.offset in self._cover(fault, record.place)

    def forgotten(self, fault: Fault, before: Ran) -> int:
        """By how many ms an outcome is older than one that was committed; 0 if it is in order."""
        worker, record = before.execution.worker, before.record
        if record is None or record.place not in fault.committed:
            return 0
        stored = self.told.get((worker, record.place), {}).get(record.offset)
        if stored is None:
            return 0
        latest = self._latest_covered(fault, worker, record.place)
        if latest - stored <= _ANY_ORDER or self._disturbed(worker, stored, latest, fault):
            return 0
        return latest - stored

    def _latest_covered(self, fault: Fault, worker: int, place: Place) -> int:
        key = (fault.number, worker, place)
        if key not in self._latest:
            cover = self._cover(fault, place)
            told = self.told.get((worker, place), {})
            until = (fault.snapshot_ns or fault.ended_ns) // MS
            in_time = (at for offset, at in told.items() if at <= until and offset in cover)
            self._latest[key] = max(in_time, default=0)
        return self._latest[key]

    def _disturbed(self, worker: int, since: int, until: int, but: Fault) -> bool:
        return any(
            fault is not but and fault.began_ns < until * MS and since * MS < fault.ended_ns
            for fault in self.by_worker.get(worker, ())
        )

    def _cover(self, fault: Fault, place: Place) -> Cover:
        key = (fault.number, place)
        if key not in self._covers:
            self._covers[key] = cover_of(fault.committed[place])
        return self._covers[key]


def _told(joined: Joined) -> dict[tuple[int, Place], dict[int, int]]:
    told: dict[tuple[int, Place], dict[int, int]] = {}
    for job in joined.jobs.values():
        for each in job.transitions:
            if each.state in FINAL - {"dead"}:  # which goes with its dead letter, as one
                where = (pid_of(each.worker), (each.lane, each.partition))
                told.setdefault(where, {}).setdefault(each.offset, each.appended)
    return told


def _example(job: Job, before: Ran, again: Ran, faults: _Faults) -> Example:
    attempt, worker = again.execution.attempt, before.execution.worker
    return about(
        job,
        f"attempt {attempt} ran again in worker {again.execution.worker} after worker {worker}: "
        + _why_not(before, again, faults),
        before=before.execution._asdict(),
        again=again.execution._asdict(),
    )


def _why_not(before: Ran, again: Ran, faults: _Faults) -> str:
    if before.record is None:
        return "no record on its lane has this attempt"
    in_time = faults.between(before, again)
    forgotten = max((faults.forgotten(fault, before) for fault in in_time), default=0)
    if forgotten:
        return f"its outcome was stored {forgotten} ms before that of another, which was committed"
    if in_time:
        numbers = ", ".join(str(fault.number) for fault in in_time)
        return f"its record was committed when fault {numbers} hit"
    begun = [
        fault
        for fault in faults.by_worker.get(again.execution.worker, [])
        if fault.began_ns < again.execution.start
    ]
    if begun:
        fault = begun[-1]
        return (
            f"no fault had hit the former; the latter was hit by fault {fault.number} "
            f"({fault.kind.value}) before, and started what was no longer its own"
        )
    return "no fault had hit the former by then"
