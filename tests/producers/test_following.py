"""Waiting for the ends of jobs, without a broker: what is read again, what is kept, who is told."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from headrace.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.producers import ResultUnavailableError, following
from headrace.producers.following import Follower
from headrace.producers.waits import Wait
from headrace.schemas.transitions import Transition, encode_batch

PATIENCE = 30.0
SUBMITTED = 1_000_000


def told(job_id: str, state: str, step: int = 0, generation: int = 0) -> Transition:
    return Transition(job_id, "work", state, "shop.a.normal", 0, 0, 1, step, generation, 5, 4, "w")


class Stored:
    """A record of the events topic."""

    def __init__(self, at: int, *transitions: Transition) -> None:
        self.at = at
        self.payload = encode_batch(transitions) if transitions else b"no batch"

    def value(self) -> bytes:
        return self.payload

    def timestamp(self) -> tuple[int, int]:
        return (1, self.at)


class FakeTopic:
    """An events topic, and every `Tail` that was opened on it."""

    def __init__(self) -> None:
        self.records: list[Stored] = []
        self.starts: list[int] = []
        self.open = 0
        self.keeps_all = True
        self.failures: list[KafkaException] = []

    def make(self, _: object, __: str, take: Callable[[Message], object]) -> Any:
        self.open += 1
        return FakeTail(self, take)


class FakeTail:
    def __init__(self, topic: FakeTopic, take: Callable[[Any], object]) -> None:
        self.topic = topic
        self.take = take
        self.at = 0

    def start(self, since: int) -> bool:
        self.topic.starts.append(since)
        self.at = next((i for i, each in enumerate(self.topic.records) if each.at >= since), 0)
        return self.topic.keeps_all

    def catch_up(self) -> None:
        if self.topic.failures:
            raise self.topic.failures.pop()
        while self.at < len(self.topic.records):
            self.at += 1
            self.take(self.topic.records[self.at - 1])

    def poll(self, seconds: float) -> None:
        self.catch_up()
        time.sleep(0.001)

    def close(self) -> None:
        self.topic.open -= 1


@pytest.fixture
def topic() -> FakeTopic:
    return FakeTopic()


@pytest.fixture
def follower(topic: FakeTopic, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follower]:
    monkeypatch.setattr(following, "_PAUSE", 0.001)
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    follower = Follower(nowhere, Pipeline("shop").topology, topic.make)
    yield follower
    follower.close()
    assert topic.open == 0


def wait(follower: Follower, job_id: str = "j", since: int = SUBMITTED, **how: bool) -> Wait:
    waiting = begin(follower, job_id, since, **how)
    assert waiting.ended.wait(PATIENCE)
    return waiting


class Waiting(Wait):
    ended: threading.Event


def begin(
    follower: Follower, job_id: str = "j", since: int = SUBMITTED, *, endless: bool = False
) -> Waiting:
    ended = threading.Event()
    waiting = Waiting(job_id, since, ended.set, endless=endless)
    waiting.ended = ended
    follower.follow(waiting)
    return waiting


def state(waiting: Wait) -> str | None:
    return None if waiting.last is None else waiting.last.state


def test_what_was_told_before_anybody_waited_is_found(topic: FakeTopic, follower: Follower) -> None:
    topic.records = [Stored(SUBMITTED + 1, told("other", "dead"), told("j", "succeeded"))]
    assert state(wait(follower)) == "succeeded"


def test_what_is_told_later_ends_the_waiting(topic: FakeTopic, follower: Follower) -> None:
    waiting = begin(follower)
    topic.records.append(Stored(SUBMITTED + 1, told("j", "retrying", 1)))
    topic.records.append(Stored(SUBMITTED + 2))
    topic.records.append(Stored(SUBMITTED + 3, told("j", "dead", 2)))
    assert waiting.ended.wait(PATIENCE)
    assert state(waiting) == "dead"


def test_a_dead_job_that_was_replayed_has_succeeded(topic: FakeTopic, follower: Follower) -> None:
    topic.records = [Stored(SUBMITTED + n) for n in range(5)]
    topic.records[1:1] = [Stored(SUBMITTED, told("j", "dead", 1))]
    topic.records.append(Stored(SUBMITTED + 9, told("j", "succeeded", 2, 1)))
    assert state(wait(follower)) == "succeeded"


def test_who_comes_later_is_answered_from_what_is_kept(
    topic: FakeTopic, follower: Follower
) -> None:
    topic.records = [Stored(SUBMITTED + n, told(f"j{n}", "succeeded")) for n in range(50)]
    for number in range(50):
        assert state(wait(follower, f"j{number}", SUBMITTED + number)) == "succeeded"
    assert len(topic.starts) == 1


def test_what_is_no_longer_kept_is_read_again(
    topic: FakeTopic, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "KEPT_BYTES", 200)
    late = SUBMITTED + 1_000_000
    topic.records = [Stored(SUBMITTED + 1, told("j", "succeeded"))]
    topic.records += [Stored(late + n, told(f"j{n}", "succeeded")) for n in range(50)]
    assert state(wait(follower, "j49", late)) == "succeeded"
    assert state(wait(follower, "j", SUBMITTED)) == "succeeded"
    assert len(topic.starts) == 2


def test_many_callers_at_once_each_get_their_own_job(topic: FakeTopic, follower: Follower) -> None:
    waiting = [begin(follower, f"j{number}") for number in range(100)]
    for number in range(100):
        topic.records.append(Stored(SUBMITTED + 1, told(f"j{number}", "succeeded")))
    assert all(each.ended.wait(PATIENCE) for each in waiting)
    assert all(each.last is not None and each.last.job_id == each.job_id for each in waiting)


def test_a_double_ends_the_waiting_only_of_who_would_wait_for_ever(
    topic: FakeTopic, follower: Follower
) -> None:
    topic.records = [Stored(SUBMITTED + 1, told("j", "duplicate"))]
    patient = begin(follower)
    endless = wait(follower, endless=True)
    assert (endless.doubled, endless.last, patient.done) == (True, None, False)
    topic.records.append(Stored(SUBMITTED + 2, told("j", "succeeded")))
    assert patient.ended.wait(PATIENCE)
    assert state(patient) == "succeeded"


def test_what_retention_has_deleted_is_told_as_such(topic: FakeTopic, follower: Follower) -> None:
    topic.keeps_all = False
    topic.records = [Stored(SUBMITTED + 1, told("another", "succeeded"))]
    problem = wait(follower).problem
    assert isinstance(problem, ResultUnavailableError)
    assert "keeps nothing any more" in str(problem)


def test_kafka_that_gives_no_answer_is_asked_again(topic: FakeTopic, follower: Follower) -> None:
    topic.failures = [KafkaException(KafkaError(KafkaError._TIMED_OUT)) for _ in range(3)]
    topic.records = [Stored(SUBMITTED + 1, told("j", "succeeded"))]
    assert state(wait(follower)) == "succeeded"
    assert len(topic.starts) == 4


def test_a_topic_that_may_not_be_read_ends_the_waiting(
    topic: FakeTopic, follower: Follower
) -> None:
    topic.failures = [KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))]
    assert "shop.events" in str(wait(follower).problem)
    topic.records = [Stored(SUBMITTED + 1, told("j", "succeeded"))]
    assert state(wait(follower)) == "succeeded"


def test_closing_tells_whoever_waits(follower: Follower) -> None:
    waiting = begin(follower)
    follower.close()
    assert "producer was closed" in str(waiting.problem)
    assert "producer was closed" in str(wait(follower).problem)


def test_nothing_is_read_while_nobody_waits(
    topic: FakeTopic, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_REST_AFTER", 0.01)
    topic.records = [Stored(SUBMITTED + 1, told("j", "succeeded"))]
    for round_ in range(1, 4):
        assert state(wait(follower)) == "succeeded"
        deadline = time.monotonic() + PATIENCE
        while topic.open:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert len(topic.starts) == round_
