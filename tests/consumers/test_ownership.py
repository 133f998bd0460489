"""What is known of one's own partitions while some of them are being drained.

What can go wrong: a process that is frozen, or cut off, in the middle of that goes on with what it
keeps, though others have had it for a while. Commits tell no more by then: their answers come in polls.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.consumers.commits import TRUSTED_FOR
from headrace.consumers.figures import MemberFigures
from headrace.consumers.handover import End, HandOverResult
from headrace.consumers.recording import Recorder
from headrace.consumers.settled import HandOver, Settled
from tests.consumers.conftest import Clock
from tests.consumers.test_owned import Partition


class AnsweringConsumer:
    """A broker that takes every commit at once."""

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> list[TopicPartition]:
        return [] if asynchronous else offsets

    asked = 0
    """How often it was asked who is a member."""

    def consumer_group_metadata(self) -> object:
        self.asked += 1
        return "me"


class StubHandOvers:
    """Transactions that end as the test says."""

    def __init__(self) -> None:
        self.end = End.COMMITTED
        self.asked: list[tuple[int, Any]] = []

    def hand_over(self, records: Sequence[object], offsets: Any, group: Any) -> HandOverResult:
        self.asked.append((len(records), group))
        return HandOverResult(self.end)


class Owning:
    """A partition that is kept while another one is drained."""

    def __init__(self) -> None:
        self.partition = Partition()
        place = self.partition.owned.place
        owned: Any = type("Owned", (), {"owned": {place: self.partition.owned}})()
        self.handovers = StubHandOvers()
        given: Any = self.handovers
        self.recorder = Recorder(owned, given, None, "shop.events", MemberFigures(), "shop")
        self.consumer = AnsweringConsumer()
        consumer: Any = self.consumer
        self.recorder.belong_to(consumer)
        self.recorder.prove_membership()

    @property
    def trusted_until(self) -> float:
        return self.recorder.commits.trusted_until


@pytest.fixture
def drained(clock: Clock) -> Owning:
    """What is owned was proven right before the draining began."""
    owning = Owning()
    owning.recorder.commits.confirm(clock.now)
    owning.recorder.commits.suspend()
    return owning


def test_who_sleeps_while_a_partition_is_drained_does_not_know_what_he_owns(
    drained: Owning, clock: Clock
) -> None:
    assert drained.trusted_until == clock.now + TRUSTED_FOR
    clock.now += 8.5
    assert drained.trusted_until < clock.now


def test_a_transaction_that_moves_nothing_proves_what_is_owned(
    drained: Owning, clock: Clock
) -> None:
    clock.now += TRUSTED_FOR / 2
    drained.recorder.ask_for_proof(clock.now)
    assert drained.handovers.asked == [(0, "me")]
    assert drained.trusted_until == clock.now + TRUSTED_FOR


def test_a_transaction_that_is_refused_proves_nothing(drained: Owning, clock: Clock) -> None:
    drained.handovers.end = End.ABORTED
    clock.now += 8.5
    drained.recorder.ask_for_proof(clock.now)
    assert drained.handovers.asked
    assert drained.trusted_until < clock.now


def test_it_is_asked_once_a_second_at_most(drained: Owning, clock: Clock) -> None:
    drained.handovers.end = End.ABORTED
    clock.now += TRUSTED_FOR
    for _ in range(5):
        drained.recorder.ask_for_proof(clock.now)
    assert len(drained.handovers.asked) == 1


def test_who_has_no_membership_to_ask_with_asks_nothing(drained: Owning, clock: Clock) -> None:
    drained.recorder.distrust_membership()
    clock.now += TRUSTED_FOR
    drained.recorder.ask_for_proof(clock.now)
    assert drained.handovers.asked == []


def test_commits_are_the_proof_as_soon_as_their_answers_can_come(
    drained: Owning, clock: Clock
) -> None:
    drained.recorder.commits.resume()
    clock.now += TRUSTED_FOR
    drained.recorder.ask_for_proof(clock.now)
    assert drained.handovers.asked == []
    assert drained.recorder.commits.outstanding


def test_the_membership_is_noted_again_now_and_then_and_before_each_poll_when_it_is_needed(
    clock: Clock,
) -> None:
    owning = Owning()
    recorder, consumer = owning.recorder, owning.consumer
    for _ in range(5):
        recorder.note_membership()
    assert consumer.asked == 1
    clock.now += 0.06
    recorder.note_membership()
    assert consumer.asked == 2
    recorder.distrust_membership()
    recorder.note_membership()
    assert consumer.asked == 3
    assert recorder.trusts_membership
    record = HandOver("retry", "shop.delay.soon", b"k", b"x", [])
    recorder.add(Settled(owning.partition.owned.assignment, 0, None, record))
    recorder.note_membership()
    assert consumer.asked == 4
