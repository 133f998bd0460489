"""The gate: nothing starts that no landed commit covers, and whatever waits starts in the end."""

import random

import pytest

from headrace.consumers import commit_metadata
from headrace.consumers.commit import Commit
from headrace.consumers.commit_metadata import CommitMetadata, MetadataTooLargeError, State
from headrace.consumers.ledger import PartitionLedger
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.standing import Standing
from headrace.consumers.window import WIDEST, Window
from headrace.pipeline import Lane, Pipeline
from headrace.schemas.headers import JobHeaders

shop = Pipeline("shop")
LANE = Lane("shop", "default", "normal")
WIDTH = 32


@shop.job("a.b")
def handler() -> None: ...


class Partition:
    """An owned partition; what is let through is started when the test says so."""

    def __init__(self, begins: int = 0, width: int = WIDTH) -> None:
        standing = Standing("me")
        self.now = 0.0
        self.owned = OwnedPartition(
            Assignment(LANE.topic, 0, 1),
            PartitionLedger(begins, (), standing),
            standing,
            Window(width),
            begins,
            clock=lambda: self.now,
        )
        self.through: list[int] = []

    def read(self, *offsets: int) -> None:
        for offset in offsets:
            assert self.owned.ledger.start(offset)
            self.offer(offset)

    def offer(self, offset: int) -> None:
        job = JobHeaders(str(offset), "a.b", "", 0, LANE.topic)
        assignment = self.owned.assignment
        record = JobRecord(job, b"", b"", LANE, 0, offset, assignment, handler, 1.0)
        if self.owned.may_start(record):
            self.through.append(offset)

    def let_through(self) -> None:
        self.through += [record.offset for record in self.owned.let_through()]

    def start(self, count: int) -> None:
        self.owned.assignment.started += count

    def commit(self) -> CommitMetadata | None:
        """A commit that lands."""
        commit = self.owned.commit()
        if commit is None:
            return None
        self.owned.committed(commit)
        return told(commit)


def told(commit: Commit) -> CommitMetadata:
    found = commit_metadata.decode(commit.metadata, commit.offset)
    assert isinstance(found, CommitMetadata)
    return found


def test_the_first_job_waits_for_a_commit_that_says_open() -> None:
    partition = Partition()
    first = partition.commit()
    assert first is not None
    assert (first.state, first.window) == (State.CLEAN, 0)
    partition.read(0)
    partition.let_through()
    assert partition.through == []
    opened = partition.commit()
    assert opened is not None
    assert (opened.state, opened.window) == (State.OPEN, WIDTH)
    partition.let_through()
    assert partition.through == [0]


def test_within_the_window_jobs_start_without_waiting_for_a_commit() -> None:
    partition = Partition()
    partition.read(0)
    partition.commit()
    partition.let_through()
    partition.read(*range(1, WIDTH))
    assert partition.through == list(range(WIDTH))
    partition.read(WIDTH)
    assert partition.through == list(range(WIDTH))


@pytest.mark.parametrize("landed", [True, False])
def test_a_window_counts_when_its_commit_has_landed_and_only_then(landed: bool) -> None:
    partition = Partition()
    partition.read(0)
    commit = partition.owned.commit()
    assert commit is not None
    partition.owned.open_for_what_waits()  # what is told later is not what this commit says
    partition.let_through()
    assert partition.through == []
    if landed:
        partition.owned.committed(commit)
    else:
        partition.owned.commit_failed(commit)
    partition.let_through()
    assert partition.through == ([0] if landed else [])
    if not landed:
        assert partition.commit() is not None


def test_jobs_wait_for_slots_no_further_than_the_window_is_wide() -> None:
    partition = Partition()
    partition.read(*range(200))
    for _ in range(5):
        partition.commit()
        partition.let_through()
    assert len(partition.through) == WIDTH
    partition.start(WIDTH - 3)
    partition.commit()
    partition.let_through()
    assert len(partition.through) > WIDTH


def test_holes_do_not_keep_jobs_from_starting() -> None:
    partition = Partition()
    partition.read(*range(0, 100_000, 5_000))
    partition.commit()
    partition.let_through()
    assert len(partition.through) == 20


def test_jobs_that_were_held_come_in_any_order_and_all_start() -> None:
    partition = Partition()
    offsets = list(range(300))
    for offset in offsets:
        partition.owned.ledger.start(offset)
    random.Random(4).shuffle(offsets)
    for offset in offsets:
        partition.offer(offset)
    for _ in range(100):
        partition.commit()
        partition.let_through()
        partition.start(partition.owned.waiting)
    assert sorted(partition.through) == list(range(300))


def test_a_window_that_grew_unseen_is_told_when_a_job_needs_it() -> None:
    """The window moves with the position; nobody commits for that alone."""
    partition = Partition(width=WIDEST)  # it cannot grow by being too narrow
    partition.read(*range(WIDEST))
    partition.commit()
    partition.let_through()
    partition.start(WIDEST)
    assert partition.commit() is None
    partition.read(WIDEST)
    partition.commit()
    partition.let_through()
    assert partition.through[-1] == WIDEST


def test_a_slow_commit_is_no_reason_for_a_wider_window() -> None:
    partition = Partition()
    partition.read(*range(500))
    partition.commit()
    partition.let_through()
    partition.start(WIDTH)
    commit = partition.owned.commit()
    assert commit is not None
    assert partition.owned.window.width == 2 * WIDTH
    for _ in range(20):
        assert partition.owned.commit() is None
    partition.owned.commit_failed(commit)
    for _ in range(20):
        refused = partition.owned.commit()
        assert refused is not None
        partition.owned.commit_failed(refused)
    assert partition.owned.window.width == 2 * WIDTH


def test_what_was_withdrawn_waits_no_more() -> None:
    partition = Partition()
    partition.read(0, 1, 2)
    assert [record.offset for record in partition.owned.withdraw()] == [0, 1, 2]
    partition.commit()
    partition.let_through()
    assert partition.through == []
    assert partition.owned.gated_bytes == 0


def test_before_a_drain_the_gate_opens_for_all_that_waits() -> None:
    partition = Partition()
    partition.read(0)
    partition.commit()
    partition.let_through()
    partition.read(*range(1, 400))
    partition.owned.open_for_what_waits()
    partition.commit()
    partition.let_through()
    assert partition.through == list(range(400))


def test_the_last_commit_says_clean_whatever_still_runs() -> None:
    partition = Partition()
    partition.read(0, 1)
    partition.commit()
    partition.let_through()
    partition.owned.close_standing()
    last = partition.commit()
    assert last is not None
    assert (last.state, last.window, last.streak) == (State.CLEAN, 0, 0)


def test_a_suspects_note_gives_way_when_the_metadata_is_full() -> None:
    """Else the only job that may run would wait for a commit that waits for it."""
    partition = Partition()
    owned = partition.owned
    chance = random.Random(1)
    offset = 0
    size = 0
    while size <= 4_085:
        for _ in range(100 if size < 3_800 else 1):
            owned.ledger.start(offset)
            if offset % 2:
                owned.ledger.finish(offset)
            offset += chance.randrange(1, 9)
        commit = owned.commit()  # nothing is said of suspects yet
        if commit is not None:
            owned.committed(commit)
            size = len(commit.metadata)
    owned.standing.deaths = dict.fromkeys(range(0, 40, 2), 1)
    owned.note_alone(0)
    full = owned.commit()
    assert full is not None
    owned.committed(full)
    assert owned.noted_alone == 0
    assert told(full).extra == b""
    assert len(full.metadata) <= commit_metadata.MAX_CHARACTERS
    for following in (None, 2):  # what waits for these commits sees them land
        owned.note_alone(following)
        partition.commit()
        assert owned.noted_alone == following


def test_metadata_that_is_full_of_finished_jobs_is_told_as_before() -> None:
    partition = Partition()
    owned = partition.owned
    owned.ledger.start(0)
    chance = random.Random(2)
    offset = 1
    for _ in range(30_000):
        owned.ledger.start(offset)
        if chance.random() < 0.5:
            owned.ledger.finish(offset)
        offset += 1
    with pytest.raises(MetadataTooLargeError):
        owned.commit()


def test_a_window_that_was_too_narrow_during_a_slow_hand_over_is_wider_after_it() -> None:
    partition = Partition()
    owned = partition.owned
    partition.read(0)
    partition.commit()
    partition.let_through()
    partition.read(*range(1, 20))
    partition.start(20)
    slow = owned.commit((0,))
    assert slow is not None
    partition.read(*range(20, owned.allowed + 3))
    partition.start(owned.waiting)  # all that may start has been started
    short = [owned.runs_short]  # a lane asks in every turn
    owned.committed(slow)
    partition.let_through()
    short.append(owned.runs_short)
    partition.commit()
    assert short == [True, False]
    assert owned.window.width == 2 * WIDTH
