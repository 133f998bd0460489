"""Who came first, and who is a duplicate. Pure: no Kafka, no clock of its own.

A job must rather run twice than never, so a record is a duplicate only when another submission of
its key has surely been taken up, and either is live or was first taken up within the window.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from headrace.consumers.dedup.notes import Note, Notes, Span, name_of
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders
from headrace.schemas.states import JobState

_MARK = (headers.FIRST, b"1")
_NOT_RUN = (JobState.EXPIRED.value, JobState.CANCELLED.value)
"""Ends of a job that leave its key to the next submission."""


class Verdict(Enum):
    """What is to become of a record."""

    FIRST = auto()
    """Runs, and its note is to be stored."""
    RUNS = auto()
    """Runs: it is the first one's, or came back."""
    DUPLICATE = auto()


class Change(NamedTuple):
    """What is to be stored: a note, or None to take it back."""

    name: str
    note: Note | None


class _Live(NamedTuple):
    """A record that was taken up and whose outcome is not recorded yet."""

    offset: int
    created: int


def marked(job: JobHeaders) -> JobHeaders:
    """Mark a job that was taken up: what is written from it says that it is no duplicate."""
    return job if _MARK in job.extra else job._replace(extra=(*job.extra, _MARK))


def came_back(job: JobHeaders) -> bool:
    """Whether a record is from a job that was taken up before, or that somebody ordered to run."""
    return job.attempt > 1 or job.generation > 0 or _MARK in job.extra


class Firsts:
    """What the owner of some partitions knows of first submissions. Owned by one thread.

    Args:
        span: How long notes hold.
        most: Notes remembered, of all partitions together; beyond it the oldest are forgotten.
    """

    def __init__(self, span: Span, most: int) -> None:
        self._span = span
        self._most = most
        self._notes: dict[int, Notes] = {}
        self._live: dict[tuple[int, str], _Live] = {}
        self.count = 0
        """Notes remembered now."""
        self.forgotten = 0
        """Notes that held and had to be forgotten."""

    def judge(self, partition: int, offset: int, job: JobHeaders, now: int) -> Verdict:
        """Say what becomes of a record that may start now; if it runs, it is live from here on."""
        name = name_of(job.job_id)
        verdict = self._verdict(partition, name, job, now)
        if verdict is Verdict.FIRST:
            self._remember(partition, name, Note(job.created, now), now)
        if verdict is not Verdict.DUPLICATE:
            self._live[partition, name] = _Live(offset, job.created)
        return verdict

    def note(self, partition: int, job: JobHeaders) -> Change:
        """Give the note of a job that was just judged to be the first."""
        name = name_of(job.job_id)
        return Change(name, self._notes[partition][name])

    def leave_cancelled(
        self, partition: int, job: JobHeaders, is_cancelled: Callable[[JobHeaders], bool]
    ) -> None:
        """Leave a key to this submission if the one that was first has been cancelled.

        It may lie in a delay tier, and be dropped there; or be about to end where it runs.
        """
        name = name_of(job.job_id)
        for known in (self._live.get((partition, name)), self._note_of(partition, name)):
            if known is None or known.created == job.created:
                continue
            if not is_cancelled(job._replace(created=known.created)):
                continue
            if isinstance(known, _Live):
                del self._live[partition, name]
            else:
                del self._notes[partition][name]
                self.count -= 1

    def ended(
        self, partition: int, job: JobHeaders, state: str, due: int, now: int
    ) -> Change | None:
        """Take what became of a record; give what is to be stored before that is recorded.

        Args:
            partition: Where it lies.
            job: What it says.
            state: The job's state now.
            due: When the job is due again; 0 if it is not to come back.
            now: The time.
        """
        name = name_of(job.job_id)
        note = self._note_of(partition, name)
        if state in _NOT_RUN:
            return self._take_back(partition, name, note, job)
        if not due:
            return None
        return self._stays_live(
            partition, name, note or Note(job.created, job.created), job, due, now
        )

    def left(self, partition: int, offset: int, job: JobHeaders, now: int) -> None:
        """What became of a record has been recorded: it is not live any more.

        If the job is to come back and that was recorded late, it counts as live as much longer.
        """
        name = name_of(job.job_id)
        live = self._live.get((partition, name))
        if live is not None and live.offset == offset:
            del self._live[partition, name]
        note = self._note_of(partition, name)
        if note is not None and note.created == job.created and 0 < note.due < now:
            self._notes[partition][name] = note._replace(due=now)

    def adopt(self, partition: int, notes: Notes) -> None:
        """Take the notes that a partition's owners before this one have stored."""
        self.forget(partition)
        self._notes[partition] = notes
        self.count += len(notes)
        self._bound()

    def forget(self, partition: int) -> None:
        """The partition belongs to somebody else now."""
        self.count -= len(self._notes.pop(partition, ()))
        for live in [each for each in self._live if each[0] == partition]:
            del self._live[live]

    def _note_of(self, partition: int, name: str) -> Note | None:
        notes = self._notes.get(partition)
        return None if notes is None else notes.get(name)

    def _verdict(self, partition: int, name: str, job: JobHeaders, now: int) -> Verdict:
        if came_back(job):
            return Verdict.RUNS
        live = self._live.get((partition, name))
        if live is not None:
            return Verdict.RUNS if live.created == job.created else Verdict.DUPLICATE
        note = self._note_of(partition, name)
        if note is None:
            return Verdict.FIRST
        if note.created == job.created:
            return Verdict.RUNS
        return Verdict.DUPLICATE if now < self._span.end(note) else Verdict.FIRST

    def _stays_live(
        self, partition: int, name: str, note: Note, job: JobHeaders, due: int, now: int
    ) -> Change | None:
        """Let the note hold until the next attempt has come, should the window end before."""
        if note.created != job.created or due + self._span.grace <= self._span.end(note):
            return None
        note = note._replace(due=due)
        self._remember(partition, name, note, now)
        return Change(name, note)

    def _take_back(
        self, partition: int, name: str, note: Note | None, job: JobHeaders
    ) -> Change | None:
        if note is None or note.created != job.created:
            return None
        del self._notes[partition][name]
        self.count -= 1
        return Change(name, None)

    def _remember(self, partition: int, name: str, note: Note, now: int) -> None:
        notes = self._notes.setdefault(partition, OrderedDict())
        if notes.pop(name, None) is not None:  # to the end: those in front are looked at first
            self.count -= 1
        notes[name] = note
        self.count += 1
        for _ in range(2):  # two for each that comes, so that what is over does not pile up
            oldest = next(iter(notes))
            if self._span.end(notes[oldest]) > now:
                break
            del notes[oldest]
            self.count -= 1
        if self.count > self._most:
            self._bound()

    def _bound(self) -> None:
        while self.count > self._most:
            notes = max(self._notes.values(), key=len)
            notes.popitem(last=False)
            self.count -= 1
            self.forgotten += 1
