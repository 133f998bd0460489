"""A topic that refuses what is to be handed over.

What can go wrong: a job whose dead letter or retry cannot be written is dropped, or committed; one
refused record holds up everything; nobody is told; and when the fault is over, a restart is needed.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.pipeline import Job
from headrace.producers import Producer
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.own_broker import OwnBroker, ask, metric, own_broker
from tests.support.stage import RunningProcess, Stage, wait_until

pytestmark = pytest.mark.kafka
LANE = "default.normal"
COMMAND = ("worker", "--queue", "default", "--priority", "normal", "--concurrency", "8")


@dataclass(frozen=True)
class Fault:
    """A topic that refuses records, and how the job that meets it ends when that is over."""

    topic: str
    begin: Callable[[OwnBroker, str], None]
    end: Callable[[OwnBroker, str, Stage], None]
    ends: JobState


def forbid(broker: OwnBroker, topic: str) -> None:
    broker.forbid_writing(topic)


def allow(broker: OwnBroker, topic: str, _: Stage) -> None:
    broker.allow_everything(topic)


def shrink(broker: OwnBroker, topic: str) -> None:
    broker.limit_records(topic, 100)


def widen(broker: OwnBroker, topic: str, stage: Stage) -> None:
    broker.limit_records(topic, 1_572_864)


def remove(broker: OwnBroker, topic: str) -> None:
    broker.delete(topic)


def remake(_: OwnBroker, __: str, stage: Stage) -> None:
    stage.apply()


DEAD, RETRIED = "default.dlq", "delay.soon"
FAULTS = {
    "dead letters unauthorised, retries too small": (
        Fault(DEAD, forbid, allow, JobState.DEAD),
        Fault(RETRIED, shrink, widen, JobState.SUCCEEDED),
    ),
    "dead letters too small, retries unauthorised": (
        Fault(DEAD, shrink, widen, JobState.DEAD),
        Fault(RETRIED, forbid, allow, JobState.SUCCEEDED),
    ),
    "retries without their topic": (Fault(RETRIED, remove, remake, JobState.SUCCEEDED),),
}


@pytest.fixture(scope="module")
def broker(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    with own_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def stage(broker: OwnBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = new_stage(broker.bootstrap, tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def worker(stage: Stage) -> Iterator[RunningProcess]:
    """A process, because health and metrics are its own."""
    with stage.process(*COMMAND, HEADRACE_WORKER_DRAIN_BUDGET="3s") as worker:
        wait_until("it is ready", lambda: ask(worker, "/health/ready")[0] == 200)
        yield worker
        assert worker.terminate() == 0


def committed(stage: Stage, partition: int) -> int:
    topic = stage.topic(LANE)
    looker = stage.reader.looker(topic)
    (found,) = looker.committed([TopicPartition(topic, partition)], timeout=10)
    return int(found.offset)


@dataclass(frozen=True)
class Submitted:
    """A job and its record's place."""

    job_id: str
    partition: int
    offset: int


def submit(producer: Producer, job: Job[Any], key: str) -> Submitted:
    receipt = producer.submit(job, key=key)
    place = receipt.confirm(30)
    return Submitted(receipt.job_id, place.partition, place.offset)


def a_job(stage: Stage, journal: Journal, tag: str, ends: JobState) -> Job[Any]:
    """One that ends as a dead letter at once, or succeeds the second time."""
    if ends is JobState.DEAD:
        return stage.pipeline.job_type("bad-result").job()
    return stage.pipeline.job_type("work").job(journal=journal.path, tag=tag, fail=1)


def says_why(worker: RunningProcess, stage: Stage, faults: Sequence[Fault]) -> bool:
    """Whether the worker is not ready because of one of the topics."""
    code, text = ask(worker, "/health/ready")
    details = [check["detail"] for check in json.loads(text)["checks"] if not check["ok"]]
    topics = [stage.topic(fault.topic) for fault in faults]
    return code == 503 and any(topic in detail for topic in topics for detail in details)


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_refused_waits_is_told_of_and_goes_on_when_the_fault_ends(
    stage: Stage, journal: Journal, broker: OwnBroker, worker: RunningProcess, name: str
) -> None:
    """The jobs that meet the faults have one key, so one partition; others are on both."""
    work, faults = stage.pipeline.job_type("work"), FAULTS[name]
    failed = partial(metric, worker, "headrace_handovers_total", result="failed")
    before = failed()
    with stage.producer() as producer:
        submit(producer, work.job(journal=journal.path, tag="before"), "a")
        for fault in faults:
            fault.begin(broker, stage.topic(fault.topic))
        doomed = [
            submit(producer, a_job(stage, journal, "doomed", each.ends), "a") for each in faults
        ]
        wait_until("health says why", lambda: says_why(worker, stage, faults))
        wait_until("the metric counts it", lambda: failed() > before)
        others = [
            submit(producer, work.job(journal=journal.path, tag=f"other {n}"), f"key {n}")
            for n in range(20)
        ]
    assert {each.partition for each in others} == {0, 1}
    for each in others:
        stage.await_state(each.job_id, JobState.SUCCEEDED)
    held, free = doomed[0].partition, 1 - doomed[0].partition
    last = max(each.offset for each in others if each.partition == free)
    wait_until("the other is committed", lambda: committed(stage, free) > last)
    assert committed(stage, held) <= doomed[0].offset
    assert {stage.state(each.job_id) for each in doomed} == {""}
    for fault in faults:
        fault.end(broker, stage.topic(fault.topic), stage)
    with stage.scheduler():
        finals = [
            stage.await_state(each.job_id, JobState.SUCCEEDED, JobState.DEAD) for each in doomed
        ]
        stage.drained(LANE)
    assert [each.state for each in finals] == [fault.ends for fault in faults]
    assert [each.attempt for each in journal.events("start", "doomed")] == [1, 2]
    wait_until("it is well again", lambda: ask(worker, "/health/ready")[0] == 200)
    assert worker.process.poll() is None
