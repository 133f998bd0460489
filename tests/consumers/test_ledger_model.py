"""The ledger against a model that keeps plain sets: any interleaving, any crash.

The partition is a list of slots: a record or a hole (a marker, a compacted or aborted record).
The model knows which records have an outcome; nothing else decides whether a commit is right.
"""

import os
import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from headrace.consumers import commit_metadata
from headrace.consumers.commit import Commit
from headrace.consumers.commit_metadata import CommitMetadata, State, Unreadable
from headrace.consumers.ledger import PartitionLedger


class LedgerModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.records: set[int] = set()
        self.end = 0
        self.log_start = 0
        self.done: set[int] = set()  # records with an outcome that lasts
        self.lost: set[int] = set()  # records that retention took before they ran
        self.running: set[int] = set()
        self.pending: Commit | None = None
        self.on_broker: tuple[int, str | None] = (0, None)
        self.position = 0
        self.owners = 0
        self.take_over(0, CommitMetadata())

    def take_over(self, offset: int, metadata: CommitMetadata) -> None:
        self.owners += 1
        note = CommitMetadata(State.OPEN, transactional_id=f"lane-{self.owners}")
        self.ledger = PartitionLedger(offset, metadata.finished, note)
        self.skippable = {at for run in metadata.finished for at in run}
        self.position = offset
        self.running = set()
        self.pending = None

    @rule(slots=st.lists(st.booleans(), min_size=1, max_size=40))
    def append(self, slots: list[bool]) -> None:
        self.records |= {self.end + at for at, is_record in enumerate(slots) if is_record}
        self.end += len(slots)

    @rule(count=st.integers(1, 60))
    def read(self, count: int) -> None:
        for offset in range(self.position, self.end):
            if count == 0:
                return
            if offset in self.records:
                count -= 1
                must_run = self.ledger.start(offset)
                assert must_run == (offset not in self.skippable)
                if must_run:
                    self.running.add(offset)
            self.position = offset + 1

    @precondition(lambda self: self.running)
    @rule(seed=st.integers(0, 2**16), share=st.sampled_from((0.1, 0.5, 0.9, 1.0)))
    def finish(self, seed: int, share: float) -> None:
        free = sorted(self.running - set(self.pending.handed_over if self.pending else ()))
        for offset in random.Random(seed).sample(free, k=round(len(free) * share)):
            self.ledger.finish(offset)
            self.running.discard(offset)
            self.done.add(offset)

    @rule()
    def reach_the_end_of_the_partition(self) -> None:
        self.read(self.end)
        self.position = self.end
        self.ledger.advance_to(self.end)
        assert self.ledger.commit_point >= min(self.running, default=self.end)

    @precondition(lambda self: self.position < self.end)
    @rule(ahead=st.integers(1, 30))
    def retention_overtakes_reading(self, ahead: int) -> None:
        self.log_start = max(self.log_start, min(self.end, self.position + ahead))
        self.pass_over_what_is_deleted()

    def pass_over_what_is_deleted(self) -> None:
        unread = range(self.position, self.log_start)
        reported = {at for gap in self.ledger.lost(self.log_start) for at in gap}
        gone = {at for at in unread if at in self.records and at not in self.skippable}
        assert reported & self.records == gone
        self.lost |= gone
        self.position = max(self.position, self.log_start)

    @precondition(lambda self: self.pending is None)
    @rule(seed=st.integers(0, 2**16), share=st.sampled_from((0.0, 0.0, 0.3, 1.0)))
    def commit(self, seed: int, share: float) -> None:
        running = sorted(self.running)
        leaving = random.Random(seed).sample(running, k=round(len(running) * share))
        self.pending = self.ledger.commit(leaving)
        if self.pending is None:
            assert not leaving
        else:
            self.check(self.pending, self.done | set(leaving))

    def check(self, commit: Commit, done: set[int]) -> None:
        metadata = commit_metadata.decode(commit.metadata, commit.offset, self.end)
        assert isinstance(metadata, CommitMetadata)
        covered = {at for run in metadata.finished for at in run} | set(range(commit.offset))
        assert covered & self.records <= done | self.lost

    @precondition(lambda self: self.pending is not None)
    @rule(landed=st.booleans())
    def settle(self, landed: bool) -> None:
        assert self.pending is not None
        if landed:
            self.land(self.pending)
            self.ledger.committed(self.pending)
        else:
            self.ledger.commit_failed(self.pending)
        self.pending = None

    def land(self, commit: Commit) -> None:
        self.on_broker = (commit.offset, commit.metadata)
        self.running -= set(commit.handed_over)
        self.done |= set(commit.handed_over)

    @rule(landed=st.booleans(), tampering=st.sampled_from(("", "", "", "wiped", "moved", "cut")))
    def crash_and_restore(self, landed: bool, tampering: str) -> None:
        if self.pending is not None and landed:
            self.land(self.pending)
        offset, text = self.on_broker
        if tampering == "wiped":
            text = None
        elif tampering == "cut" and text:
            text = text[:-1]
        elif tampering == "moved":
            offset = max(0, offset - 1)
        metadata = commit_metadata.decode(text, offset, self.end)
        if isinstance(metadata, Unreadable):
            metadata = CommitMetadata()
        else:
            assert not tampering or (tampering == "moved" and offset == self.on_broker[0])
        self.take_over(offset, metadata)
        self.pass_over_what_is_deleted()

    @precondition(lambda self: self.pending is None)
    @rule()
    def drain(self) -> None:
        self.reach_the_end_of_the_partition()
        for offset in sorted(self.running, reverse=True):
            self.ledger.finish(offset)
        self.done |= self.running
        self.running = set()
        commit = self.ledger.commit()
        if commit is not None:
            self.land(commit)
            self.ledger.committed(commit)
        offset, text = self.on_broker
        metadata = commit_metadata.decode(text, offset)
        assert offset == self.end
        assert isinstance(metadata, CommitMetadata)
        assert metadata.finished == ()
        assert self.records <= self.done | self.lost

    @invariant()
    def the_figures_are_those_of_the_sets(self) -> None:
        ledger = self.ledger
        assert ledger.running == len(self.running)
        assert ledger.commit_point <= min(self.running, default=self.end)
        assert ledger.span >= ledger.finished_above >= 0
        unsafe = self.records - self.done - self.lost
        assert ledger.commit_point <= min(unsafe, default=self.end)


TestLedgerModel = LedgerModel.TestCase
TestLedgerModel.settings = settings(
    derandomize=True,
    max_examples=int(os.environ.get("HEADRACE_MODEL_EXAMPLES", "150")),
    stateful_step_count=40,
    deadline=None,
)
