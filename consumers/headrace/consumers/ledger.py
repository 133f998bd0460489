"""The ledger of one partition: which offsets are done, which are running, and what to commit.

Offsets are started ascending, so a dict of the running ones is ascending too: its first key is
the commit point, and what it does not hold is finished. Nothing is kept per finished offset:
100,000 of them behind a stuck one cost nothing, and a start and a finish are one insertion and
one deletion.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from headrace.consumers import commit_metadata
from headrace.consumers.commit import Commit, CommitSlot, LedgerError
from headrace.consumers.commit_metadata import MAX_BODY_BYTES, CommitMetadata
from headrace.consumers.finished_map import ranges_between, worst_case_bytes, worst_case_bytes_of
from headrace.consumers.restored_map import RestoredMap

FULL_SHARE = 0.75
"""From here on a partition takes no new records. The rest is for those already in hand."""

RECORDS_PAST_FULL = 128
"""Records in hand that surely still fit: the last quarter has six bytes for each."""


class Note(Protocol):
    """What commits say beside the map."""

    def at(self, offset: int) -> CommitMetadata:
        """Give what a commit of this offset says; its own `finished` is not used."""
        ...


class PartitionLedger:
    """Which offsets of one partition are done, which are running, and what to commit.

    Owned by one thread. Serves one assignment: after a seek backwards make a new one.

    Guarantees: no commit covers an offset that was started and has not finished; an offset that
    the map it was made with calls finished is never started again. Every commit fits if at most
    `RECORDS_PAST_FULL` records are started after the last look at `full`, holes among them of
    less than 6,000 offsets together. One that does not fit is refused until jobs have finished.
    """

    __slots__ = (
        "_changed",
        "_fixed_bytes",
        "_measured",
        "_note",
        "_restored",
        "_running",
        "_seen",
        "_slot",
    )

    def __init__(
        self,
        position: int,
        finished: Iterable[range] = (),
        note: Note | None = None,
    ) -> None:
        """Take a partition up where the last commit left it.

        Args:
            position: The committed offset.
            finished: The finished ranges above it, as the commit metadata had them.
            note: See the attribute `note`.
        """
        self._running: OrderedDict[int, None] = OrderedDict()
        self._seen = position  # everything below is running or done
        ranges = tuple(finished)
        self._restored = RestoredMap(ranges) if ranges else None
        self._note: Note = note or CommitMetadata()
        self._fixed_bytes = 0
        self._changed = True
        self._slot = CommitSlot()
        self._measured = (-1, -1, 0)
        self._absorb_restored()
        self.touch()

    def start(self, offset: int) -> bool:
        """Enter a record that was read. Call it for every record, in the order of reading.

        What lies between the last record and this one was compacted away, aborted or is a
        marker, and counts as done: so a record that is read but not entered would be skipped.

        Returns:
            True if it must run; False if it has finished or runs already.
        """
        if offset > self._seen:
            self.advance_to(offset)
        if offset < self._seen:
            return False
        self._running[offset] = None
        self._seen = offset + 1
        if self._restored is not None:
            self._absorb_restored()
        return True

    def finish(self, offset: int) -> None:
        """Say that a running record has its outcome, and that the outcome is recorded.

        Raises:
            LedgerError: The offset is not running: it was never started or has finished before.
        """
        try:
            del self._running[offset]
        except KeyError:
            raise LedgerError(
                f"offset {offset} is not running: {self!r}; an outcome was reported twice, or "
                "comes from an older epoch and must be fenced"
            ) from None
        self._changed = True

    def advance_to(self, offset: int) -> None:
        """Count as done what lies below this offset and was never started.

        Call it with the consumer's position or the end-of-partition offset, after every record
        below was entered: so markers at the tail leave no lag. An older offset changes nothing.
        """
        if offset <= self._seen:
            return
        self._seen = offset
        self._changed = True
        self._absorb_restored()

    def lost(self, first_available: int) -> tuple[range, ...]:
        """Pass over what retention deleted before it was read.

        Args:
            first_available: The log start offset.

        Returns:
            The offsets that nobody ran and nobody can run any more; an upper bound, as holes
            among them can't be told from records. Running jobs are not lost.
        """
        unread = []
        edge = self._seen
        for run in self._restored or ():
            unread.append(range(edge, min(run.start, first_available)))
            edge = run.stop
        unread.append(range(edge, first_available))
        self.advance_to(first_available)
        return tuple(gap for gap in unread if gap)

    @property
    def note(self) -> Note:
        """What the next commits say beside the map."""
        return self._note

    @note.setter
    def note(self, note: Note) -> None:
        self._note = note
        self.touch()

    def touch(self) -> None:
        """Say that the note tells something new: the next commit is due even without progress."""
        self._changed = True
        point = self.commit_point
        self._fixed_bytes = commit_metadata.fixed_bytes(self._note.at(point))

    def is_running(self, offset: int) -> bool:
        """Whether a record was started and has not finished."""
        return offset in self._running

    @property
    def commit_point(self) -> int:
        """The offset below which every record is done."""
        return next(iter(self._running), self._seen)

    @property
    def position(self) -> int:
        """The offset after the last one that was entered, or passed over."""
        return self._seen

    @property
    def running(self) -> int:
        """Records started and not finished."""
        return len(self._running)

    @property
    def span(self) -> int:
        """Offsets from the commit point to the last one known, finished or not."""
        end = self._seen if self._restored is None else self._restored.end
        return end - self.commit_point

    @property
    def finished_above(self) -> int:
        """Offsets above the commit point that are done, holes included."""
        return self.span - self._unfinished

    @property
    def metadata_use(self) -> float:
        """Share of the commit metadata that this ledger can come to need without new records.

        Not what the map takes now: a thousand running jobs in a row take nothing until they
        finish out of order. No job that finishes takes it above `FULL_SHARE`. An upper bound:
        O(1) while that is below `FULL_SHARE`, then a closer one, O(running) once per change.
        """
        if not self._running and self._restored is None:  # a scheduler asks all of its partitions
            return self._fixed_bytes / MAX_BODY_BYTES
        span = self.span
        size = self._fixed_bytes + worst_case_bytes(self._unfinished, span)
        if size >= FULL_SHARE * MAX_BODY_BYTES and self._restored is None:
            size = self._fixed_bytes + self._measure(span)
        return size / MAX_BODY_BYTES

    @property
    def full(self) -> bool:
        """Whether the partition must take no new records.

        Records below the end of the restored map are not new: room for them is in use already,
        and the map only shrinks when they have run.
        """
        return self._restored is None and self.metadata_use >= FULL_SHARE

    @property
    def outstanding(self) -> Commit | None:
        """The commit whose end is not known yet. There is no other one until it is."""
        return self._slot.outstanding

    def commit(self, handing_over: Iterable[int] = (), *, renew: bool = False) -> Commit | None:
        """Make the next commit, outstanding until `committed` or `commit_failed`.

        Costs O(running), some 0.25 microseconds each: once a turn, not once a job.

        Args:
            handing_over: Running offsets whose hand-over is in the same transaction. They stay
                running until it has landed.
            renew: Make it even if nothing has changed (offsets expire).

        Returns:
            None if there is nothing new to commit, or a commit is outstanding.

        Raises:
            LedgerError: An offset to hand over is not running, or a commit is outstanding.
            MetadataTooLargeError: The metadata does not fit; nothing has changed. Let running
                jobs finish and ask again.
        """
        leaving = dict.fromkeys(handing_over)
        self._slot.refuse_second(leaving)
        if self._slot.outstanding is not None:
            return None
        if not (self._changed or leaving or renew):
            return None
        commit = self._build(leaving)
        self._changed = False
        return self._slot.occupy(commit, renew=renew)

    def committed(self, commit: Commit) -> None:
        """Say that the broker has the outstanding commit: its hand-overs are finished.

        Raises:
            LedgerError: Another commit is outstanding, or none.
        """
        self._slot.settle(commit, landed=True)
        for offset in commit.handed_over:
            self.finish(offset)

    def commit_failed(self, commit: Commit) -> None:
        """Say that the outstanding commit surely did not land: its hand-overs still run.

        Raises:
            LedgerError: Another commit is outstanding, or none.
        """
        self._slot.settle(commit, landed=False)
        self._changed = True

    def __repr__(self) -> str:
        return (
            f"<PartitionLedger commit_point={self.commit_point} seen={self._seen} "
            f"running={self.running} finished_above={self.finished_above}>"
        )

    @property
    def _unfinished(self) -> int:
        unread = 0 if self._restored is None else self._restored.unread(self._seen)
        return len(self._running) + unread

    def _absorb_restored(self) -> None:
        if self._restored is not None:
            self._seen = self._restored.reach(self._seen)
            self._restored = self._restored or None

    def _measure(self, span: int) -> int:
        fingerprint = (self._seen, len(self._running))
        if self._measured[:2] != fingerprint:
            self._measured = (*fingerprint, worst_case_bytes_of(list(self._running), span))
        return self._measured[2]

    def _build(self, leaving: dict[int, None]) -> Commit:
        strangers = [offset for offset in leaving if offset not in self._running]
        if strangers:
            raise LedgerError(f"offsets {strangers} to hand over are not running: {self!r}")
        staying = iter(self._running)
        if leaving:
            staying = iter([offset for offset in staying if offset not in leaving])
        offset = next(staying, self._seen)
        finished = (*ranges_between(offset, staying, self._seen), *(self._restored or ()))
        text = commit_metadata.encode(replace(self._note.at(offset), finished=finished), offset)
        return Commit(offset, text, tuple(leaving))
