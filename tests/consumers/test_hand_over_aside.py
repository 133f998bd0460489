"""A hand-over goes on beside its lane.

What can go wrong: a second one begins, or a partition is committed, while the end of the first is not
known, and undoes it; what is under way is forgotten by a lane that leaves, or counted as done before it is.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.consumers.aside import aside
from headrace.consumers.commit import Commit
from headrace.consumers.figures import MemberFigures
from headrace.consumers.handover import End, HandOverResult
from headrace.consumers.ledger import PartitionLedger
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.recording import Recorder
from headrace.consumers.records import Assignment
from headrace.consumers.settled import HandOver, Settled
from headrace.consumers.standing import Standing
from headrace.consumers.window import Window
from tests.consumers.conftest import Clock
from tests.consumers.test_owned import LANE


class Beside:
    """Calls that end when the test lets them, or when somebody waits for them."""

    def __init__(self) -> None:
        self.begun: list[tuple[Future[Any], Callable[[], Any]]] = []

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        beside = self

        class Waited(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                if not self.done():
                    beside.end()
                return super().result(timeout)

        future = Waited()
        self.begun.append((future, call))
        return future

    def end(self) -> None:
        future, call = self.begun.pop(0)
        future.set_result(call())


class Broker:
    """Ends transactions as the test says; refuses to be asked who has ended what."""

    def __init__(self) -> None:
        self.end = End.COMMITTED
        self.moved: list[list[tuple[int, int]]] = []
        self.ended_by_force = 0

    def hand_over(
        self, records: Sequence[object], offsets: Sequence[TopicPartition], group: Any
    ) -> HandOverResult:
        self.moved.append([(each.partition, each.offset) for each in offsets])
        return HandOverResult(self.end, "as the test says")

    def end_now(self) -> None:
        self.ended_by_force += 1


class Lane:
    """A recorder with two partitions."""

    def __init__(self) -> None:
        self.broker, self.beside = Broker(), Beside()
        self.owned = {(LANE.topic, number): _owned(number) for number in range(2)}
        self.partitions: Any = type("Owned", (), {"owned": self.owned})()
        broker: Any = self.broker
        self.figures = MemberFigures()
        self.recorder = Recorder(
            self.partitions, broker, None, "e", self.figures, "t", most=10, begin=self.beside
        )
        consumer: Any = self
        self.recorder.belong_to(consumer)
        self.recorder.prove_membership()
        self.committed: list[tuple[int, int]] = []

    def consumer_group_metadata(self) -> object:
        return "me"

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> list[TopicPartition]:
        self.committed += [(each.partition, each.offset) for each in offsets]
        self.recorder.commits.on_commit(None, offsets)
        return offsets

    def of(self, partition: int) -> OwnedPartition:
        return self.owned[LANE.topic, partition]

    def fail(self, partition: int, offset: int) -> None:
        """A job fails: it is to be handed over."""
        assert self.of(partition).ledger.start(offset)
        record = HandOver("retry", "shop.delay.soon", b"k", b"x", [])
        self.recorder.add(Settled(self.of(partition).assignment, offset, None, record))

    def succeed(self, partition: int, offset: int) -> None:
        assert self.of(partition).ledger.start(offset)
        self.recorder.add(Settled(self.of(partition).assignment, offset, None))

    def standing(self) -> tuple[bool, bool, int]:
        return self.recorder.busy, self.recorder.idle, self.recorder.waiting

    def turn(self, clock: Clock) -> None:
        clock.now += 1.0
        self.recorder.step()


def _owned(number: int) -> OwnedPartition:
    standing = Standing("me")
    ledger = PartitionLedger(0, (), standing)
    owned = OwnedPartition(Assignment(LANE.topic, number, 1), ledger, standing, Window(8))
    owned.open()
    owned.known_open = True
    return owned


@pytest.fixture
def lane(clock: Clock) -> Lane:
    return Lane()


def test_everything_else_goes_on_while_a_job_is_handed_over(lane: Lane, clock: Clock) -> None:
    lane.fail(0, 0)
    lane.turn(clock)
    lane.committed.clear()
    lane.succeed(0, 1)
    lane.succeed(1, 0)
    lane.turn(clock)
    assert lane.committed == [(1, 1)]  # a commit of partition 0 now could undo the hand-over
    assert lane.standing() == (True, False, 1)
    assert lane.recorder.waiting_bytes > 0
    lane.beside.end()
    lane.turn(clock)
    assert lane.broker.moved == [[(0, 1)]]
    assert lane.committed[1:] == [(0, 2)]
    assert lane.standing() == (False, True, 0)
    assert lane.recorder.waiting_bytes == 0


def test_what_fails_meanwhile_goes_with_the_next_one(lane: Lane, clock: Clock) -> None:
    lane.fail(0, 0)
    lane.turn(clock)
    lane.fail(0, 1)
    lane.fail(1, 0)
    lane.turn(clock)
    assert len(lane.beside.begun) == 1
    assert lane.recorder.waiting == 3
    lane.beside.end()
    lane.turn(clock)
    lane.turn(clock)
    lane.beside.end()
    lane.turn(clock)
    assert lane.broker.moved == [[(0, 1)], [(0, 2), (1, 1)]]
    assert lane.recorder.idle


def test_one_that_is_refused_is_tried_again(lane: Lane, clock: Clock) -> None:
    lane.broker.end = End.ABORTED
    lane.fail(0, 0)
    lane.turn(clock)
    lane.beside.end()
    lane.turn(clock)
    assert lane.figures.blocked == "as the test says"
    lane.broker.end = End.COMMITTED
    lane.turn(clock)
    lane.beside.end()
    lane.turn(clock)
    assert not lane.figures.blocked
    assert lane.recorder.idle


def test_a_lane_that_gives_partitions_up_waits_for_it(lane: Lane, clock: Clock) -> None:
    lane.fail(0, 0)
    lane.turn(clock)
    lane.recorder.await_hand_over()
    assert lane.broker.moved == [[(0, 1)]]
    failure = lane.recorder.commits.commit_finally([(LANE.topic, 0)], in_poll=True)
    assert failure is None
    assert lane.committed[-1] == (0, 1)


def test_it_has_ended_before_anybody_asks_where_a_partition_stands(
    lane: Lane, clock: Clock
) -> None:
    lane.broker.end = End.UNKNOWN
    lane.fail(0, 0)
    lane.turn(clock)
    lane.partitions.before_asking()
    assert lane.broker.moved == [[(0, 1)]]
    assert lane.broker.ended_by_force == 1


def test_what_others_own_by_then_is_left_to_them(lane: Lane, clock: Clock) -> None:
    lane.fail(0, 0)
    lane.turn(clock)
    lost = lane.owned.pop((LANE.topic, 0))
    lost.assignment.closed = True
    before = lost.ledger.outstanding
    lane.beside.end()
    lane.turn(clock)
    assert lost.ledger.outstanding is before
    assert isinstance(before, Commit)
    assert lane.recorder.idle


def test_it_proves_what_was_owned_when_it_began(lane: Lane, clock: Clock) -> None:
    lane.fail(0, 0)
    lane.turn(clock)
    began = clock.now
    clock.now += 20.0
    lane.beside.end()
    lane.recorder.step()
    assert lane.recorder.commits.trusted_until < began + 10


def test_an_error_that_nobody_expects_reaches_the_lane() -> None:
    def broken() -> None:
        raise ZeroDivisionError("one that nobody expects")

    with pytest.raises(ZeroDivisionError, match="nobody expects"):
        aside("a thread", broken).result(10)
