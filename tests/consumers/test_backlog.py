"""The backlog of hand-overs: nothing that cannot go stops what can, and its size is known."""

from headrace.consumers.backlog import Backlog
from headrace.consumers.records import Assignment
from headrace.consumers.settled import HandOver, Settled

ONE = Assignment("shop.default.normal", 1, 1)
TWO = Assignment("shop.default.normal", 2, 2)


def settled(assignment: Assignment, offset: int, size: int = 10) -> Settled:
    record = HandOver("retry", "shop.delay.soon", b"k", b"x" * size, [])
    return Settled(assignment, offset, None, record)


def test_a_refused_one_that_cannot_be_tried_lets_the_fresh_ones_have_their_turn() -> None:
    backlog = Backlog(200)
    backlog.add(settled(ONE, 1))
    backlog.failed(backlog.take(0.0, ()), 0.0)
    backlog.add(settled(TWO, 2))

    refused = backlog.take(1.0, ())
    assert [each.offset for each in refused] == [1]
    backlog.put_back(refused, 1.0)

    assert [each.offset for each in backlog.take(1.0, ())] == [2]


def test_a_transaction_takes_so_many_and_after_a_failure_one_first() -> None:
    backlog = Backlog(4)
    for offset in range(12):
        backlog.add(settled(ONE, offset))
    taken = backlog.take(0.0, ())
    assert len(taken) == 4
    backlog.failed(taken, 0.0)

    sizes = []
    for _ in range(4):
        sizes.append(len(backlog.take(9.0, ())))
        backlog.went_through()
    assert sizes == [1, 2, 4, 4]


def test_its_bytes_are_those_of_what_waits() -> None:
    backlog = Backlog(200)
    for offset, owner in enumerate((ONE, TWO, ONE)):
        backlog.add(settled(owner, offset, 1_000_000))
    assert backlog.bytes > 3_000_000

    batch = backlog.take(0.0, ())
    assert backlog.bytes == 0
    backlog.failed(batch, 0.0)
    assert backlog.bytes > 3_000_000

    ONE_closed = [each for each in batch if each.assignment is ONE]
    ONE.closed = True
    assert backlog.drop_closed() == len(ONE_closed)
    assert 1_000_000 < backlog.bytes < 2_000_000
    ONE.closed = False
