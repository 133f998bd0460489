"""One partition from assignment to revocation: its ledger, its standing, and what it may start."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from confluent_kafka import TopicPartition

from headrace.consumers.commit import Commit
from headrace.consumers.commit_metadata import MetadataTooLargeError
from headrace.consumers.ledger import PartitionLedger
from headrace.consumers.ordering.parked import ParkedKey
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.standing import Standing
from headrace.consumers.window import Window

Place = tuple[str, int]
"""A partition: its topic and its number."""
NARROWEST: Final = 8
"""Offsets that a window is wide at least."""


@dataclass(slots=True, eq=False)
class OwnedPartition:
    """One partition that this thread owns.

    A job is started only when a commit that the broker has covers its offset with its window;
    until then it waits at the gate. So whoever takes the partition over after a crash knows every
    job that may have been running.
    """

    assignment: Assignment
    ledger: PartitionLedger
    standing: Standing
    window: Window
    begins: int = 0
    """The offset where this ownership begins: what is read below it is history, never run."""
    paused: bool = False
    gated: deque[JobRecord] = field(default_factory=deque)
    gated_bytes: int = 0
    allowed: int = 0
    """The offset below which the broker knows that jobs may have been started."""
    noted_alone: int | None = None
    """The suspect of which the broker knows that it runs alone."""
    noted_beside: frozenset[int] = frozenset()
    """The suspects of which the broker knows that they run in children."""
    parkings: int = 0
    """How often a head was parked."""
    parkings_known: int = 0
    """How many of these the broker knows of."""
    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds."""
    known_open: bool = False
    """Whether the broker knows that this partition is being worked on."""
    _told: tuple[int, int | None, frozenset[int], int, bool] = (0, None, frozenset(), 0, False)
    """What the last commit says of these five."""
    _ran_short: bool = False
    """Whether jobs waited for nothing but a commit since the last one was made."""
    _widened_at: int = 0
    """What was allowed when the window was last found too narrow."""

    @property
    def place(self) -> Place:
        """Its topic and number."""
        return (self.assignment.topic, self.assignment.partition)

    def position(self, commit: Commit | None = None) -> TopicPartition:
        """Name it for the client, with a commit if one is to be sent."""
        if commit is None:
            return TopicPartition(*self.place)
        return TopicPartition(*self.place, commit.offset, commit.metadata)

    # -- the gate --------------------------------------------------------------------------------

    def may_start(self, record: JobRecord) -> bool:
        """Whether a job may be started now; else it waits at the gate, in order."""
        if record.offset < self.allowed and not self.gated:
            self.assignment.offered += 1
            return True
        self.gated.append(record)
        self.gated_bytes += record.size
        self.open()
        return False

    def open(self) -> None:
        """Let the next commit say that this partition is being worked on."""
        if not self.standing.opened:
            self.standing.opened = True
            self.ledger.touch()

    def let_through(self) -> Iterator[JobRecord]:
        """Take from the gate what may be started now."""
        while self.gated and self.gated[0].offset < self.allowed:
            record = self.gated.popleft()
            self.gated_bytes -= record.size
            self.assignment.offered += 1
            yield record

    @property
    def waiting(self) -> int:
        """Jobs that may start and wait for a slot."""
        return self.assignment.offered - self.assignment.started

    @property
    def runs_short(self) -> bool:
        """Whether jobs wait, or soon will, for a commit and nothing else.

        The next commit widens the window for it, also if that is made when they wait no more: after
        a hand-over that took long.
        """
        if not self.gated or self.gated[0].offset < self.allowed:
            return False
        short = self.waiting <= self.window.width // 4
        self._ran_short = self._ran_short or short
        return short

    def drop(self, wanted: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Take from the gate what is not to be started at all."""
        taken = [record for record in self.gated if wanted(record)]
        if taken:
            self.gated = deque(record for record in self.gated if not wanted(record))
            self.gated_bytes -= sum(record.size for record in taken)
        return taken

    def withdraw(self) -> list[JobRecord]:
        """Take back everything that waits at the gate."""
        taken = list(self.gated)
        self.gated.clear()
        self.gated_bytes = 0
        return taken

    # -- commits ---------------------------------------------------------------------------------

    def commit(self, handing_over: Collection[int] = (), *, renew: bool = False) -> Commit | None:
        """Make the next commit, with the window as wide as it should be; see `PartitionLedger`."""
        standing = self.standing
        if standing.opened and self.ledger.outstanding is None:
            self._widen()
        if standing.muted and not self._notes_known:
            renew = True  # it says the same as the one before, and is waited for all the same
        standing.leaving = handing_over
        try:
            commit = self._fitting(handing_over, renew=renew)
        finally:
            standing.leaving = ()
        if commit is not None:
            end = standing.window_end if standing.opened else 0
            beside = frozenset(standing.beside)
            self._told = (end, standing.lone, beside, self.parkings, standing.opened)
        return commit

    def _fitting(self, handing_over: Collection[int], *, renew: bool) -> Commit | None:
        try:
            return self.ledger.commit(handing_over, renew=renew)
        except MetadataTooLargeError:
            if not self.standing.mute():
                raise
            return self.ledger.commit(handing_over, renew=True)

    def committed(self, commit: Commit) -> None:
        """Say that the broker has a commit, with everything that it says."""
        for offset in commit.handed_over:
            self.standing.parked.release(offset)
            self.standing.charged(offset)
        self.ledger.committed(commit)
        window_end, self.noted_alone, self.noted_beside, parkings, self.known_open = self._told
        self.parkings_known = parkings
        self.allowed = max(self.allowed, window_end)

    def finish(self, offset: int) -> None:
        """Say that a job has its outcome, and that it is stored."""
        self.ledger.finish(offset)
        standing = self.standing
        if standing.deaths:
            standing.charged(offset)
        if standing.parked:
            standing.parked.release(offset)

    def park(self, parked: ParkedKey) -> bool:
        """Note that a head waits in place; False if there is no room for it now."""
        if not self.standing.parked.park(parked):
            return False
        self.parkings += 1
        self.standing.charged(parked.offset)
        self.ledger.touch()
        return True

    def commit_failed(self, commit: Commit) -> None:
        """Say that a commit surely did not land."""
        self.ledger.commit_failed(commit)

    def open_for_what_waits(self) -> None:
        """Let the next commit's window cover all that waits at the gate."""
        if self.gated:
            self._reach(max(record.offset for record in self.gated) + 1)

    def note_alone(self, offset: int | None) -> None:
        """Let the next commit say which suspect runs alone, or that none does any more."""
        self.standing.lone = offset
        self.ledger.touch()

    def note_beside(self, offset: int) -> None:
        """Let the next commit say that a suspect runs in a child."""
        self.standing.beside.add(offset)
        self.ledger.touch()

    def forget_beside(self, offset: int) -> None:
        """Let the next commit say so no more. There is no hurry: it has ended."""
        self.standing.beside.discard(offset)

    @property
    def _notes_known(self) -> bool:
        standing = self.standing
        return standing.lone == self.noted_alone and standing.beside <= self.noted_beside

    def close_standing(self) -> None:
        """The next commit is the last one, and says that nobody died."""
        self.standing.opened = False
        self.ledger.touch()

    def _widen(self) -> None:
        """Let as many jobs wait for a slot as the window is wide."""
        # Once for each commit that has landed: a slow or refused one says nothing of the width.
        short = self.runs_short or self._ran_short
        short = short and self.allowed > max(self.begins, self._widened_at)
        if short:
            self._widened_at = self.allowed
        self._ran_short = False
        self.window.adapt(self.assignment.started, self.clock(), short=short)
        room = self.window.width - self.waiting
        if room <= 0:
            return
        if not self.gated:
            self._reach(self.ledger.position + room)
            return
        # Not in order of their offsets in an ordered queue, nor when some were held.
        first = [record.offset for record in islice(self.gated, room)]
        self._reach(max(first) + 1 + room - len(first))

    def _reach(self, end: int) -> None:
        """Never back: what was let through may start at any time."""
        self.standing.window_end = max(self.standing.window_end, end)
        if self.gated and self.standing.window_end > self.allowed:
            # It may have been made wider before anything waited for that: then nobody was told.
            self.ledger.touch()
