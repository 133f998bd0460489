"""Jobs that wait on their lane: in the order of their moments, given up with their partition."""

from headrace.consumers.held import Held
from headrace.consumers.records import Assignment, JobRecord
from headrace.pipeline import Lane, Pipeline
from headrace.schemas.headers import JobHeaders

shop = Pipeline("shop")
LANE = Lane("shop", "default", "normal")


@shop.job("a.b")
def handler() -> None: ...


def record(offset: int, assignment: Assignment) -> JobRecord:
    job = JobHeaders(str(offset), "a.b", "", 0, LANE.topic)
    return JobRecord(job, b"k", b"", LANE, assignment.partition, offset, assignment, handler, 1.0)


def test_what_is_held_starts_at_its_moment_and_in_that_order() -> None:
    held, owner = Held(), Assignment(LANE.topic, 0, 1)
    for offset, at in enumerate((3.0, 1.0, 2.0)):
        held.push(record(offset, owner), at)

    assert held.seconds_left(0.5) == 0.5
    assert held.take(0.9) == []
    assert [each.offset for each in held.take(2.0)] == [1, 2]
    assert (len(held), held.seconds_left(5.0)) == (1, 0.0)


def test_what_is_held_of_a_partition_goes_with_it() -> None:
    held, kept, lost = Held(), Assignment(LANE.topic, 0, 1), Assignment(LANE.topic, 1, 2)
    for offset, owner in enumerate((kept, lost, kept, lost)):
        held.push(record(offset, owner), 1.0)
    before = held.bytes

    taken = held.withdraw(lambda each: each.partition == 1)

    assert sorted(each.offset for each in taken) == [1, 3]
    assert held.bytes * 2 == before
    kept.closed = True
    assert held.take(1.0) == []
    assert (len(held), held.bytes) == (0, 0)
