"""What the dedup window adds to a lane: jobs with a `dedup_key` are judged, and noted.

    read → judged: the first one is noted and goes on, a duplicate is dropped
    its partition's notes are not read yet → it waits for them, and other jobs go on
    ended → recorded once its note is stored

Notes are read when the first job with a `dedup_key` meets a partition: without any, nothing is
read, written or remembered.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from headrace.consumers import settling
from headrace.consumers.clock import now_ms
from headrace.consumers.dedup.first import Change, Firsts, Verdict, marked
from headrace.consumers.dedup.note_log import NoteLog
from headrace.consumers.dedup.note_reader import Answer, NoteReader
from headrace.consumers.dedup.notes import key_of
from headrace.consumers.figures import LaneFigures
from headrace.consumers.orders import Orders
from headrace.consumers.owned import Place
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.seldom import Seldom
from headrace.consumers.settled import Rules, Settled
from headrace.schemas.headers import JobHeaders

_LOG = structlog.get_logger("headrace.dedup")
NOTE_BYTES: Final = 450
"""What a remembered note costs, roughly."""
_ENOUGH: Final = 200
"""Jobs of one partition that wait for its notes, from which on it is not read further: the other
partitions must have room."""
_AGAIN: Final = 2.0
"""Seconds until notes that could not be read are asked for again."""


@dataclass(slots=True, eq=False)
class _Unread:
    """A partition whose notes are being read, with the jobs that wait for that."""

    assignment: Assignment
    waiting: deque[JobRecord] = field(default_factory=deque)
    ask_at: float | None = None
    """When to ask again, in monotonic seconds; None while an answer is awaited."""


class LaneDedup:
    """The dedup window of one lane. Owned by the lane's thread.

    Args:
        rules: What the lane's jobs are judged by.
        firsts: Decides.
        log: Stores notes.
        reader: Reads them.
        figures: Where it is counted.
        orders: What the process knows to be cancelled.
    """

    def __init__(
        self,
        rules: Rules,
        firsts: Firsts,
        log: NoteLog,
        reader: NoteReader,
        figures: LaneFigures,
        orders: Orders,
    ) -> None:
        self._rules = rules
        self._firsts = firsts
        self._log = log
        self._reader = reader
        self._figures = figures
        self._orders = orders
        self._known: dict[int, Assignment] = {}
        """The partitions whose notes have been read, with the ownership they were read for."""
        self._unread: dict[int, _Unread] = {}
        self._leaving: deque[JobRecord] = deque()
        """Jobs that have ended, in this order, and whose outcomes may not be recorded yet."""
        self._unreadable = ""
        self._failures = Seldom(_LOG)
        self.waiting = 0
        """Jobs that wait for notes to be read."""
        self.bytes = 0
        """Bytes of memory that they cost, roughly."""

    # -- what the lane asks ----------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether an answer is expected soon: notes are being read or stored."""
        reading = any(unread.ask_at is None for unread in self._unread.values())
        return reading or not self._log.idle

    @property
    def notes(self) -> int:
        """Notes remembered now."""
        return self._firsts.count

    @property
    def forgotten(self) -> int:
        """Notes that held and had to be forgotten, for the bound of memory."""
        return self._firsts.forgotten

    def concerns(self, record: JobRecord) -> bool:
        """Whether a job must be given to `admit`.

        In an ordered queue also one without a `dedup_key`, while one waits: it may be the next of
        the same key.
        """
        if record.headers.dedup_key is not None:
            return True
        return self.waiting > 0 and self._rules.ordered and record.partition in self._unread

    def has_enough(self, partition: int) -> bool:
        """Whether so many jobs of a partition wait that it should not be read further."""
        unread = self._unread.get(partition)
        return unread is not None and len(unread.waiting) >= _ENOUGH

    # -- from the poll on ------------------------------------------------------------------------

    def admit(self, record: JobRecord, now: int) -> Iterator[JobRecord | Settled]:
        """Let a job run, drop it as a duplicate, or keep it until the notes are read."""
        if self._known.get(record.partition) is record.assignment:
            yield self._judged(record, now)
            return
        unread = self._unread.get(record.partition)
        if unread is None or unread.assignment is not record.assignment:
            unread = self._unread[record.partition] = _Unread(record.assignment)
            self._reader.ask(record.assignment)
        unread.waiting.append(record)
        self.waiting += 1
        self.bytes += record.size

    def step(self, is_recorded: Callable[[JobRecord], bool], *, trusted: bool) -> list[Settled]:
        """Store notes; give the outcomes whose notes are stored.

        Args:
            is_recorded: Tells whether the outcome of a job is stored: until then it is live.
            trusted: Whether it is known that the partitions are still owned.
        """
        self._ask_again()
        self.leave(is_recorded)
        if trusted:
            self._log.publish()
        stored = self._log.stored()
        self._figures.unnoted = self._unreadable or self._log.refused
        return stored

    def leave(self, is_recorded: Callable[[JobRecord], bool]) -> None:
        """Let go of the jobs whose outcome is stored: from here on they are not live."""
        while self._leaving and is_recorded(self._leaving[0]):
            record = self._leaving.popleft()
            self._firsts.left(record.partition, record.offset, record.headers, now_ms())

    def judged(self) -> Iterator[JobRecord | Settled]:
        """Give what had to wait for notes that have been read by now, in order."""
        for answer in self._reader.answers():
            unread = self._unread.get(answer.assignment.partition)
            if unread is None or unread.assignment is not answer.assignment:
                continue  # given up meanwhile
            if answer.notes is None:
                self._could_not_read(answer, unread)
                continue
            self._unreadable = ""
            self._firsts.adopt(answer.assignment.partition, answer.notes)
            self._known[answer.assignment.partition] = answer.assignment
            yield from self._let_go(answer.assignment.partition)

    def keeps_back(self, record: JobRecord, settled: Settled) -> bool:
        """Take what became of a job; whether it must wait until a note is stored."""
        job = record.headers
        if job.dedup_key is None:
            return False
        transition = settled.transition
        if transition is not None and not record.assignment.closed:
            due = (transition.due or 0) if settled.handover is not None else 0
            change = self._firsts.ended(record.partition, job, transition.state, due, now_ms())
            if change is not None:
                self._write(record, change)
            self._leaving.append(record)
        return self._log.keep_back(settled)

    # -- partitions come and go ------------------------------------------------------------------

    def withdraw(self, places: Sequence[Place]) -> Counter[Place]:
        """Take back the jobs of partitions that wait; count them."""
        counts: Counter[Place] = Counter()
        for place in places:
            unread = self._unread.pop(place[1], None)
            if unread is not None:
                counts[place] = len(unread.waiting)
                self._leave(unread)
        return counts

    def forget(self, partitions: Sequence[int]) -> None:
        """Drop what is known of partitions that belong to others by now."""
        for partition in partitions:
            self._known.pop(partition, None)
            self._firsts.forget(partition)
            unread = self._unread.pop(partition, None)
            if unread is not None:
                self._leave(unread)
        self._leaving = deque(r for r in self._leaving if r.partition not in partitions)
        if not self._unread:
            self._unreadable = ""
        self._figures.fenced += self._log.drop_closed()

    # -- inside ----------------------------------------------------------------------------------

    def _judged(self, record: JobRecord, now: int) -> JobRecord | Settled:
        job = record.headers
        if job.dedup_key is None:
            return record
        if self._orders.some:
            self._firsts.leave_cancelled(record.partition, job, self._is_cancelled)
        verdict = self._firsts.judge(record.partition, record.offset, job, now)
        if verdict is Verdict.DUPLICATE:
            return settling.drop_double(record, self._rules, now)
        if verdict is Verdict.FIRST:
            self._write(record, self._firsts.note(record.partition, job))
        return replace(record, headers=marked(job))

    def _is_cancelled(self, job: JobHeaders) -> bool:
        return self._orders.cancels(job) is not None

    def _write(self, record: JobRecord, change: Change) -> None:
        key = key_of(self._rules.lane.priority, change.name)
        value = None if change.note is None else change.note.encode()
        self._log.write(record.assignment, record.offset, key, value)

    def _let_go(self, partition: int) -> Iterator[JobRecord | Settled]:
        unread = self._unread.pop(partition)
        self._leave(unread)
        now = now_ms()
        for record in unread.waiting:
            yield self._judged(record, now)

    def _leave(self, unread: _Unread) -> None:
        self.waiting -= len(unread.waiting)
        self.bytes -= sum(record.size for record in unread.waiting)

    def _ask_again(self) -> None:
        now = time.monotonic()
        for unread in self._unread.values():
            if unread.ask_at is not None and now >= unread.ask_at:
                unread.ask_at = None
                self._reader.ask(unread.assignment)

    def _could_not_read(self, answer: Answer, unread: _Unread) -> None:
        unread.ask_at = time.monotonic() + _AGAIN
        self._unreadable = answer.reason
        self._failures.warn(
            "the notes of dedup_keys cannot be read: jobs with such a key wait, others go on; "
            "check the topic and this worker's rights, or run `headrace topics apply`",
            topic=self._rules.topology.dedup(self._rules.lane.queue),
            partition=answer.assignment.partition,
            reason=answer.reason,
        )
