"""Isolation: in a child, or alone with the broker's knowledge; in its turn; the place given back."""

from headrace.consumers.clock import now_ms
from headrace.consumers.isolation import Isolation
from headrace.consumers.ledger import PartitionLedger
from headrace.consumers.outcomes import Attempted, Died
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.retry import PROCESS_DIED, WORKER_DIED
from headrace.consumers.slots import Slots
from headrace.consumers.standing import Standing
from headrace.consumers.suspects import Suspects
from headrace.consumers.window import Window
from headrace.pipeline import Lane, Pipeline
from headrace.schemas.headers import JobHeaders, PastAttempt

shop = Pipeline("shop")
LANE = Lane("shop", "default", "normal")


@shop.job("a.b")
def handler() -> None: ...


def partition(
    number: int = 0, *, streak: int = 2, until: int = 100, alone: bool = True
) -> OwnedPartition:
    """One that is open, with all its jobs read and allowed; its suspects must be alone, or not."""
    standing = Standing("me", True, streak, until if streak else 0, until)
    if alone and streak > 1:
        standing.deaths = dict.fromkeys(range(until), 0)
    ledger = PartitionLedger(0, (), standing)
    owned = OwnedPartition(
        Assignment(LANE.topic, number, 1), ledger, standing, Window(32), clock=lambda: 0.0
    )
    for offset in range(20):
        ledger.start(offset)
    tell(owned)
    return owned


def tell(owned: OwnedPartition) -> None:
    """The next commit lands."""
    commit = owned.commit()
    if commit is not None:
        owned.committed(commit)


def job(owned: OwnedPartition, offset: int, died: str = "") -> JobRecord:
    history = (PastAttempt(1, 0, died, "x"),) if died else ()
    headers = JobHeaders(str(offset), "a.b", "", 0, LANE.topic, history=history)
    number = owned.assignment.partition
    return JobRecord(headers, b"", b"", LANE, number, offset, owned.assignment, handler, 1.0)


class Process:
    """A process with one pool and as many lanes as asked for."""

    def __init__(self, lanes: int = 1, *, in_children: bool = False) -> None:
        self.beside: list[JobRecord] = []
        self.slots = Slots(2, self.beside.append)
        self.buffer = self.slots.add_lane(LANE)
        self.apart: list[JobRecord] = []
        self.told: list[tuple[JobRecord, Attempted]] = []
        isolation = Isolation((self.slots,), self.apart.append, places=2)
        self.lanes = [
            Suspects(isolation, lambda *told: self.told.append(told), in_children=in_children)
            for _ in range(lanes)
        ]
        self.suspects = self.lanes[0]

    def busy(self, owned: OwnedPartition) -> JobRecord:
        """Let an ordinary job run."""
        record = job(owned, 19)
        self.slots.offer(self.buffer, [record])
        return record

    def starts_others(self) -> bool:
        before = len(self.beside)
        record = job(partition(9, streak=0), 18)
        self.slots.offer(self.buffer, [record])
        started = len(self.beside) > before
        if started:
            self.slots.finished(self.buffer, record)
        else:
            self.slots.withdraw(self.buffer, lambda each: each is record)
        return started

    def until_running(self, owned: OwnedPartition, lane: int = 0) -> None:
        for _ in range(4):
            self.lanes[lane].step()
            tell(owned)


def test_only_suspects_and_jobs_that_processes_died_with_are_taken() -> None:
    calm = partition(1, streak=1)
    suspects = Process().suspects
    for alone in (False, True):
        owned = partition(until=10, alone=alone)
        assert suspects.takes(job(owned, 9), owned)
        assert not suspects.takes(job(owned, 10), owned)
    assert not suspects.takes(job(calm, 9), calm)
    assert suspects.takes(job(calm, 9, PROCESS_DIED), calm)
    assert suspects.takes(job(calm, 9, WORKER_DIED), calm)
    assert not suspects.takes(job(calm, 9, "ValueError"), calm)
    assert len(suspects) == 4


def test_a_job_whose_child_died_needs_no_other_place_in_a_lane_of_children() -> None:
    owned = partition(streak=0)
    suspects = Process(in_children=True).suspects
    assert not suspects.takes(job(owned, 1, PROCESS_DIED), owned)
    assert suspects.takes(job(owned, 1, WORKER_DIED), owned)
    suspected = partition(alone=False)
    assert suspects.takes(job(suspected, 1), suspected)


def test_a_suspect_waits_until_nothing_else_runs_and_nothing_else_starts_meanwhile() -> None:
    owned, process = partition(), Process()
    beside = process.busy(owned)
    process.suspects.takes(job(owned, 0), owned)
    process.until_running(owned)
    assert process.apart == []
    assert not process.starts_others()
    process.slots.finished(process.buffer, beside)
    process.until_running(owned)
    assert [each.offset for each in process.apart] == [0]
    assert not process.starts_others()


def test_a_suspect_starts_only_when_the_broker_knows_that_it_runs_alone() -> None:
    owned, process = partition(), Process()
    process.suspects.takes(job(owned, 0), owned)
    for _ in range(3):
        assert process.suspects.step(), "the commit is urgent"
        assert process.apart == []
        failed = owned.commit()
        assert failed is not None
        owned.commit_failed(failed)
    tell(owned)
    process.suspects.step()
    assert len(process.apart) == 1


def test_others_start_again_only_when_the_broker_knows_that_nothing_runs_alone() -> None:
    """Else the death of this worker by one of them would be counted against the suspect."""
    owned, process = partition(), Process()
    process.suspects.takes(job(owned, 0), owned)
    process.until_running(owned)
    process.suspects.ended(process.apart[0])
    assert process.suspects.step()
    assert not process.starts_others()
    tell(owned)
    assert not process.suspects.step()
    assert process.starts_others()


def test_suspects_of_one_partition_follow_each_other_without_a_break() -> None:
    owned, process = partition(), Process()
    for offset in range(3):
        process.suspects.takes(job(owned, offset), owned)
    for number in range(3):
        process.until_running(owned)
        assert [each.offset for each in process.apart] == list(range(number + 1))
        assert not process.starts_others()
        assert [each.offset for each, _ in process.suspects.running()] == [number]
        process.suspects.ended(process.apart[-1])
    process.until_running(owned)
    assert process.starts_others()
    assert len(process.suspects) == 0


def test_a_suspect_of_another_partition_waits_until_the_note_of_the_first_is_gone() -> None:
    one, two, process = partition(0), partition(1), Process()
    process.suspects.takes(job(one, 0), one)
    process.suspects.takes(job(two, 0), two)
    process.until_running(one)
    process.suspects.ended(process.apart[0])
    for _ in range(4):
        process.suspects.step()
        tell(two)
    assert len(process.apart) == 1
    tell(one)
    process.until_running(two)
    assert [each.partition for each in process.apart] == [0, 1]
    assert one.noted_alone is None


def test_suspects_after_two_deaths_run_in_children_beside_the_others() -> None:
    owned, process = partition(alone=False), Process()
    beside = process.busy(owned)
    for offset in range(4):
        assert process.suspects.takes(job(owned, offset), owned)
    process.until_running(owned)
    assert [each.offset for each in process.apart] == [0, 1], "as many as there are places"
    assert process.starts_others()
    assert owned.standing.lone is None
    process.slots.finished(process.buffer, beside)
    process.suspects.ended(process.apart[1])
    process.until_running(owned)
    assert [each.offset for each in process.apart] == [0, 1, 2]
    assert [each.offset for each, _ in process.suspects.running()] == [0, 2]
    assert [each.offset for each in process.suspects.withdraw(lambda _: True)] == [3]
    assert (len(process.suspects), process.suspects.bytes) == (2, 0)


def test_a_suspect_starts_beside_others_only_when_the_broker_knows_that_it_runs() -> None:
    owned, process = partition(alone=False), Process()
    process.suspects.takes(job(owned, 0), owned)
    for _ in range(3):
        assert process.suspects.step(), "the commit is urgent"
        assert process.apart == []
        failed = owned.commit()
        assert failed is not None
        owned.commit_failed(failed)
    tell(owned)
    assert not process.suspects.step()
    assert len(process.apart) == 1
    assert owned.noted_beside == {0}
    process.suspects.ended(process.apart[0])
    process.suspects.takes(job(owned, 1), owned)
    process.until_running(owned)
    assert owned.noted_beside == {1}


def test_a_place_beside_others_is_given_back_by_one_that_is_withdrawn_or_lost_in_time() -> None:
    for lost in (False, True):
        owned, process = partition(alone=False), Process()
        for offset in range(2):
            process.suspects.takes(job(owned, offset), owned)
        process.suspects.step()
        if lost:
            owned.assignment.closed = True
            process.suspects.step()
        else:
            taken = process.suspects.withdraw(lambda _: True)
            assert [each.offset for each in taken] == [0, 1]
        assert (len(process.suspects), process.suspects.bytes, process.apart) == (0, 0, [])
        other = partition(1, alone=False)
        for offset in range(2):
            process.suspects.takes(job(other, offset), other)
        process.until_running(other)
        assert len(process.apart) == 2


def test_one_that_must_be_alone_waits_for_children_and_lets_no_other_begin() -> None:
    owned, process = partition(streak=0), Process()
    process.suspects.takes(job(owned, 0, PROCESS_DIED), owned)
    process.until_running(owned)
    process.suspects.takes(job(owned, 1, WORKER_DIED), owned)
    process.until_running(owned)
    process.suspects.takes(job(owned, 2, PROCESS_DIED), owned)
    process.until_running(owned)
    assert [each.offset for each in process.apart] == [0]
    process.suspects.ended(process.apart[0])
    process.until_running(owned)
    assert [each.offset for each in process.apart] == [0, 1]
    assert not process.starts_others()
    process.suspects.ended(process.apart[1])
    process.until_running(owned)
    assert [each.offset for each in process.apart] == [0, 1, 2]
    assert process.starts_others()


def test_two_lanes_have_one_place() -> None:
    one, two, process = partition(0), partition(1), Process(lanes=2)
    process.lanes[0].takes(job(one, 0), one)
    process.lanes[1].takes(job(two, 0), two)
    process.until_running(one, 0)
    process.until_running(two, 1)
    assert len(process.apart) == 1
    process.lanes[0].ended(process.apart[0])
    process.until_running(one, 0)
    process.until_running(two, 1)
    assert [each.partition for each in process.apart] == [0, 1]


def test_the_place_is_given_back_when_those_that_would_follow_are_withdrawn() -> None:
    owned, process = partition(), Process()
    for offset in range(3):
        process.suspects.takes(job(owned, offset), owned)
    process.until_running(owned)
    process.suspects.ended(process.apart[0])
    taken = process.suspects.withdraw(lambda _: True)
    assert [each.offset for each in taken] == [1, 2]
    process.until_running(owned)
    assert process.starts_others()
    assert process.suspects.bytes == 0


def test_the_place_is_given_back_when_one_that_waits_or_is_noted_is_withdrawn() -> None:
    for steps in (0, 1, 2):
        owned, process = partition(), Process()
        process.suspects.takes(job(owned, 0), owned)
        for _ in range(steps):
            process.suspects.step()
        assert [each.offset for each in process.suspects.withdraw(lambda _: True)] == [0]
        process.until_running(owned)
        assert process.starts_others()
        assert owned.standing.lone is None


def test_a_suspect_of_a_lost_partition_is_dropped_but_one_that_runs_keeps_the_place() -> None:
    owned, other, process = partition(0), partition(1), Process()
    process.suspects.takes(job(owned, 0), owned)
    process.until_running(owned)
    process.suspects.takes(job(owned, 1), owned)
    process.suspects.takes(job(other, 0), other)
    owned.assignment.closed = True
    assert [each.offset for each in process.suspects.withdraw(lambda r: r.partition == 0)] == [1]
    process.until_running(other)
    assert not process.starts_others()
    process.suspects.ended(process.apart[0])
    process.until_running(other)
    assert [each.partition for each in process.apart] == [0, 1]


def test_a_job_with_which_three_workers_died_alone_is_charged_without_being_run() -> None:
    owned, process = partition(), Process()
    owned.standing.deaths[0] = 3
    process.suspects.takes(job(owned, 0), owned)
    process.suspects.takes(job(owned, 1), owned)
    before = now_ms()
    process.suspects.step()
    ((record, attempted),) = process.told
    assert (record.offset, process.apart) == (0, [])
    assert attempted.outcome == Died("the worker, with this job alone in it (3)", True)
    assert attempted.started >= before
    process.suspects.ended(record)
    process.until_running(owned)
    assert [each.offset for each in process.apart] == [1]


def test_the_deaths_of_a_charged_job_are_forgotten_when_its_outcome_is_stored() -> None:
    owned = partition(alone=False)
    owned.standing.deaths.update({0: 3, 1: 1})
    owned.finish(0)
    assert owned.standing.deaths == {1: 1}
    commit = owned.commit([1])
    assert commit is not None
    owned.commit_failed(commit)
    assert owned.standing.deaths == {1: 1}
    commit = owned.commit([1])
    assert commit is not None
    owned.committed(commit)
    assert owned.standing.deaths == {}


def test_the_result_of_another_job_ends_nothing() -> None:
    owned, process = partition(), Process()
    process.suspects.takes(job(owned, 0), owned)
    process.until_running(owned)
    process.suspects.ended(job(owned, 0, "ValueError"))
    assert len(list(process.suspects.running())) == 1
