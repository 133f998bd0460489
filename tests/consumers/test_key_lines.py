"""The order law of ordered queues, against a model that keeps plain lists.

What can go wrong: two jobs of a key run at once, the second before the first; a key waits for
another; a line goes on after its partition was given up, beside the new owner; memory stays.
"""

import os
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.consumers.ordering import KeyLines, OrderError, line_key
from headrace.consumers.records import Assignment, JobRecord
from headrace.pipeline import Lane, Pipeline
from headrace.schemas.headers import JobHeaders

shop = Pipeline("shop")
LANE = Lane("shop", "payments", "normal")
PARTITIONS: tuple[int, ...] = (0, 1)


@shop.job("a.b")
def handler() -> None: ...


def record(
    offset: int, assignment: Assignment, key: bytes | None = b"k", job_id: str = "", size: int = 0
) -> JobRecord:
    job = JobHeaders(job_id or str(offset), "a.b", "", 0, LANE.topic)
    payload = b"x" * size
    return JobRecord(
        job, key, payload, LANE, assignment.partition, offset, assignment, handler, 1.0
    )


def owner(partition: int = 0, epoch: int = 1) -> Assignment:
    return Assignment(LANE.topic, partition, epoch)


class LinesModel(RuleBasedStateMachine):
    """Every key has a list; its first element must be the one that was started."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = KeyLines()
        self.epoch = 0
        self.owners: dict[int, Assignment] = {}
        self.next_offset = dict.fromkeys(PARTITIONS, 0)
        self.lists: dict[int, dict[bytes, list[JobRecord]]] = {}
        self.started: dict[tuple[Assignment, bytes], list[int]] = defaultdict(list)
        self.fenced: list[JobRecord] = []  # heads of given up partitions that still run
        self.entered: set[int] = set()
        self.given_up: set[int] = set()
        for partition in PARTITIONS:
            self.assign(partition)

    def assign(self, partition: int) -> None:
        self.epoch += 1
        self.owners[partition] = owner(partition, self.epoch)
        self.lists[partition] = defaultdict(list)
        self.given_up.discard(partition)
        self.entered.discard(partition)

    def start(self, head: JobRecord) -> None:
        starts = self.started[head.assignment, line_key(head)]
        assert not starts or head.offset > starts[-1]
        starts.append(head.offset)

    @rule(
        partition=st.sampled_from(PARTITIONS),
        key=st.sampled_from((b"a", b"a", b"b", None, b"")),
        hole=st.integers(1, 3),
        size=st.integers(0, 50),
        count=st.integers(1, 4),
    )
    def read(self, partition: int, key: bytes | None, hole: int, size: int, count: int) -> None:
        for _ in range(count):
            self.read_one(partition, key, hole, size)

    def read_one(self, partition: int, key: bytes | None, hole: int, size: int) -> None:
        self.next_offset[partition] += hole
        read = record(self.next_offset[partition], self.owners[partition], key, size=size)
        if partition in self.given_up:
            assert not self.lines.enter(read)
            return
        self.entered.add(partition)
        line = self.lists[partition][line_key(read)]
        line.append(read)
        may_start = self.lines.enter(read)
        assert may_start == (len(line) == 1), "a key waits for itself alone"
        if may_start:
            self.start(read)

    @precondition(lambda self: any(line for each in self.lists.values() for line in each.values()))
    @rule(data=st.data())
    def outcome(self, data: st.DataObject) -> None:
        heads = [line[0] for each in self.lists.values() for line in each.values() if line]
        head = data.draw(st.sampled_from(heads))
        line = self.lists[head.partition][line_key(head)]
        # A head that was retried in place is another record at the same place.
        retried = replace(head, headers=head.headers._replace(attempt=2, step=1))
        line.pop(0)
        follower = self.lines.leave(data.draw(st.sampled_from((head, retried))))
        assert follower is (line[0] if line else None)
        if follower is not None:
            self.start(follower)

    @rule(partition=st.sampled_from(PARTITIONS))
    def give_up(self, partition: int) -> None:
        lists = self.lists[partition]
        unstarted = sum(max(0, len(line) - 1) for line in lists.values())
        assert self.lines.withdraw(partition) == unstarted
        assert self.lines.withdraw(partition) == 0
        self.fenced += [line[0] for line in lists.values() if line]
        self.lists[partition] = defaultdict(list)
        if partition in self.entered:
            self.given_up.add(partition)

    @rule(partition=st.sampled_from(PARTITIONS), told=st.booleans())
    def rebalance(self, partition: int, told: bool) -> None:
        """A partition goes and comes back: read again from the first head that has no outcome."""
        lists = self.lists[partition]
        self.owners[partition].closed = True
        if told:
            self.lines.withdraw(partition)
        self.fenced += [line[0] for line in lists.values() if line]
        unfinished = sorted(r.offset for line in lists.values() for r in line)
        keys = {r.offset: r.key for line in lists.values() for r in line}
        self.assign(partition)
        for offset in unfinished:
            again = record(offset, self.owners[partition], keys[offset])
            line = self.lists[partition][line_key(again)]
            line.append(again)
            self.entered.add(partition)
            if self.lines.enter(again):
                self.start(again)
            assert self.started[again.assignment, line_key(again)] == [line[0].offset]

    @precondition(lambda self: self.fenced)
    @rule(data=st.data())
    def late_outcome_of_a_given_up_partition(self, data: st.DataObject) -> None:
        late = data.draw(st.sampled_from(self.fenced))
        self.fenced.remove(late)
        assert self.lines.leave(late) is None

    @invariant()
    def the_figures_are_those_of_the_lists(self) -> None:
        lists = [line for each in self.lists.values() for line in each.values() if line]
        if self.lines_know_every_owner():
            assert len(self.lines) == len(lists)
            assert self.lines.waiting == sum(len(line) - 1 for line in lists)
            assert self.lines.waiting_bytes == sum(r.size for line in lists for r in line[1:])

    def lines_know_every_owner(self) -> bool:
        """An owner that went without a word is noticed with the next record."""
        known = self.lines._partitions
        return all(p not in known or known[p].assignment is self.owners[p] for p in PARTITIONS)


TestLinesModel = LinesModel.TestCase
TestLinesModel.settings = settings(
    derandomize=True,
    max_examples=int(os.environ.get("HEADRACE_MODEL_EXAMPLES", "150")),
    stateful_step_count=50,
    deadline=None,
)


def test_the_jobs_of_a_key_become_heads_in_the_order_of_their_offsets() -> None:
    lines, assignment = KeyLines(), owner()
    jobs = [record(offset, assignment) for offset in (3, 4, 7, 20)]
    assert [lines.enter(job) for job in jobs] == [True, False, False, False]
    assert [lines.leave(job) for job in jobs] == [*jobs[1:], None]


def test_a_job_without_a_key_waits_for_no_other() -> None:
    lines, assignment = KeyLines(), owner()
    assert lines.enter(record(1, assignment, None, "job-1"))
    assert lines.enter(record(2, assignment, b"", "job-2"))
    assert not lines.enter(record(3, assignment, b"job-1", "job-3"))


def test_one_key_on_two_partitions_is_two_lines() -> None:
    lines = KeyLines()
    assert lines.enter(record(1, owner(0)))
    assert lines.enter(record(1, owner(1)))


def test_nothing_is_kept_of_keys_that_came_and_went() -> None:
    lines, assignment = KeyLines(), owner()
    for offset in range(1_000):
        each = record(offset, assignment, b"key-%d" % offset)
        assert lines.enter(each)
        assert lines.leave(each) is None
    held = lines._partitions[0]
    assert (len(lines), held.heads, held.behind) == (0, {}, {})


def test_nothing_is_kept_of_a_partition_that_was_given_up() -> None:
    lines, assignment = KeyLines(), owner()
    for offset in range(10):
        lines.enter(record(offset, assignment))
    assert lines.withdraw(0) == 9
    held = lines._partitions[0]
    assert (len(lines), lines.waiting, lines.waiting_bytes) == (0, 0, 0)
    assert (held.heads, held.behind) == ({}, {})


def test_a_record_of_a_closed_assignment_is_dropped() -> None:
    lines, assignment = KeyLines(), owner()
    head, behind = record(1, assignment), record(2, assignment)
    assert lines.enter(head)
    assert not lines.enter(behind)
    assignment.closed = True
    assert lines.leave(head) is None
    assert not lines.enter(record(3, assignment, b"other"))
    assert (len(lines), lines.waiting, lines.waiting_bytes) == (0, 0, 0)


def test_a_record_that_is_read_twice_or_out_of_order_is_refused_by_name() -> None:
    lines, assignment = KeyLines(), owner()
    lines.enter(record(5, assignment, job_id="job-5"))
    for offset in (5, 4):
        with pytest.raises(OrderError, match=rf"shop\.payments\.normal/0/{offset}.*offset 5"):
            lines.enter(record(offset, assignment, b"other"))


def test_an_outcome_that_comes_twice_or_too_early_is_refused() -> None:
    lines, assignment = KeyLines(), owner()
    head, behind = record(1, assignment), record(2, assignment)
    lines.enter(head)
    lines.enter(behind)
    with pytest.raises(OrderError, match="which is offset 1"):
        lines.leave(behind)
    assert lines.leave(head) is behind
    with pytest.raises(OrderError, match="reported twice"):
        lines.leave(head)
