"""A lane stands still while it hands over: jobs that fail one after the other are to go together.

What can go wrong: each goes alone, and the lane does little else; or what waits is forgotten, or waits
for as long as a slow broker took before.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.consumers.figures import MemberFigures
from headrace.consumers.handover import End, HandOverResult
from headrace.consumers.recording import Recorder
from headrace.consumers.settled import HandOver, Settled
from tests.consumers.conftest import Clock
from tests.consumers.test_owned import Partition
from tests.consumers.test_ownership import AnsweringConsumer

AT_ONCE = 4


class SlowBroker:
    """Takes every transaction, and its time."""

    def __init__(self, clock: Clock) -> None:
        self.takes = 0.01
        self.transactions: list[int] = []
        self._clock = clock

    def hand_over(self, records: Sequence[object], offsets: Any, group: Any) -> HandOverResult:
        self._clock.now += self.takes
        self.transactions.append(len(records))
        return HandOverResult(End.COMMITTED)


class PromptConsumer(AnsweringConsumer):
    """Tells at once that a commit has landed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> list[TopicPartition]:
        self._recorder.commits.on_commit(None, offsets)
        return offsets


class Lane:
    """A recorder with one partition, whose jobs fail."""

    def __init__(self, clock: Clock) -> None:
        self.broker = SlowBroker(clock)
        broker: Any = self.broker
        self._owned = Partition().owned
        self._owned.open()
        self._owned.known_open = True
        owning: Any = type("Owned", (), {"owned": {self._owned.place: self._owned}})()
        self._recorder = Recorder(
            owning, broker, None, "e", MemberFigures(), "t", most=AT_ONCE, rest=3.0
        )
        consumer: Any = PromptConsumer(self._recorder)
        self._recorder.belong_to(consumer)
        self._recorder.prove_membership()
        self._offset = 0

    def fail(self, jobs: int = 1) -> None:
        for _ in range(jobs):
            assert self._owned.ledger.start(self._offset)
            record = HandOver("retry", "shop.delay.soon", b"k", b"x", [])
            self._recorder.add(Settled(self._owned.assignment, self._offset, None, record))
            self._offset += 1
        self._recorder.step()


@pytest.fixture
def lane(clock: Clock) -> Lane:
    return Lane(clock)


def test_the_first_goes_at_once_and_the_next_ones_together(lane: Lane, clock: Clock) -> None:
    lane.fail()
    lane.fail()
    lane.fail()
    assert lane.broker.transactions == [1]
    clock.now += 3.1 * lane.broker.takes
    lane.fail()
    assert lane.broker.transactions == [1, 3]


def test_as_many_as_go_together_do_not_wait(lane: Lane) -> None:
    lane.fail()
    lane.fail(AT_ONCE)
    assert lane.broker.transactions == [1, AT_ONCE]


def test_a_transaction_that_took_long_is_not_waited_for_as_long_again(
    lane: Lane, clock: Clock
) -> None:
    lane.broker.takes = 20.0
    lane.fail()
    lane.fail()
    clock.now += 0.11
    lane.fail()
    assert lane.broker.transactions == [1, 2]
