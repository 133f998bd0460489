"""Jobs that take longer than somebody is ready to wait.

What can go wrong: a long job costs its worker the partition, since the consumer is not polled; one
that outlives the drain budget is lost with the partition that is given up, or its late result is
taken though another worker has run it meanwhile; a job over its time is never told.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headrace.consumers import worker as worker_module
from headrace.pipeline.kafka import make_consumer
from headrace.schemas.states import DeadReason, JobState
from tests.guarantees.conftest import new_stage
from tests.support.stage import Stage, runs_too_many, wait_until

pytestmark = pytest.mark.kafka
NORMAL, PROCS = "default.normal", "procs.normal"
POLL_INTERVAL = 2.0
"""Seconds; five minutes are the client's default."""
BUDGET = "300ms"


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def impatient_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that takes a member for dead when it has not polled for two seconds."""
    settings: dict[str, Any] = {"max.poll.interval.ms": round(POLL_INTERVAL * 1000)}
    monkeypatch.setattr(worker_module, "make_consumer", partial(make_consumer, **settings))


@pytest.mark.usefixtures("impatient_broker")
def test_a_job_longer_than_the_poll_interval_keeps_its_partition_and_runs_once(
    stage: Stage,
) -> None:
    """Beside jobs of each kind lie more records than fit into memory, so that polling pauses."""
    journal = stage.journal()
    gate = stage.pipeline.job_type("gate")
    with (
        stage.worker([NORMAL, PROCS], concurrency=3) as first,
        stage.worker([NORMAL], concurrency=3) as second,
    ):
        wait_until("each has its share", lambda: _shared(first, second))
        stage.submit("gate.process", journal=journal.path, tag="process")
        for key in "abcd":
            stage.submit("gate.plain", {"key": key}, journal=journal.path, tag=f"thread {key}")
        with stage.producer() as producer:
            producer.submit_many(
                gate.job(journal=journal.path, tag=str(number)) for number in range(4_000)
            )
        wait_until("all slots are taken", lambda: journal.count("start") == 7)
        since = time.monotonic()
        wait_until("it is over", lambda: time.monotonic() > since + 1.75 * POLL_INTERVAL)
        figures = [lane.figures for w in (first, second) for lane in w.lanes.values()]
        assert [(each.lost_partitions, each.revoked > 1) for each in figures] == [(0, False)] * 3
        journal.gate.touch()
        wait_until("all ran", lambda: journal.count("done") == 4_005)
        stage.drained(NORMAL)
        stage.drained(PROCS)
    assert runs_too_many(journal) == {}


def _shared(*workers: worker_module.Worker) -> bool:
    lanes = [lane for worker in workers for lane in worker.lanes.values()]
    return all(lane.partitions.owned for lane in lanes)


@pytest.mark.parametrize(
    ("name", "lane"), [("gate", NORMAL), ("gate.plain", NORMAL), ("gate.process", PROCS)]
)
def test_at_a_stop_a_job_longer_than_the_drain_budget_is_given_back(
    stage: Stage, name: str, lane: str
) -> None:
    journal = stage.journal()
    with stage.worker([lane], worker_drain_budget=BUDGET) as first:
        job_id = stage.submit(name, journal=journal.path, tag="long")
        wait_until("it runs", lambda: journal.count("start") == 1)
    assert first.failure is None
    with stage.worker([lane]):
        wait_until("it runs again", lambda: journal.count("start") == 2)
        journal.gate.touch()
        stage.await_state(job_id, JobState.SUCCEEDED)
        stage.drained(lane)
    assert {event.attempt for event in journal.events("start")} == {1}
    assert stage.final_states() == {job_id: [JobState.SUCCEEDED]}


@pytest.mark.parametrize("fail", [0, 1])
def test_at_a_rebalance_the_late_result_of_a_job_given_back_is_fenced(
    stage: Stage, fail: int
) -> None:
    """Both partitions hold such jobs; one of them goes to the second worker."""
    journal = stage.journal()
    lanes = [NORMAL]
    with stage.scheduler(), stage.worker(lanes, worker_drain_budget=BUDGET) as first:
        (one,) = first.lanes.values()
        ids = {
            stage.submit("gate", {"key": key}, journal=journal.path, tag=key, fail=fail)
            for key in "abcdefgh"
        }
        wait_until("all run", lambda: journal.count("start") == 8)
        parts = Counter(partition for partition, _ in one.buffer.started)
        assert len(parts) == 2
        with stage.worker(lanes, worker_drain_budget=BUDGET) as second:
            (other,) = second.lanes.values()
            wait_until("they share", lambda: one.partitions.owned and other.partitions.owned)
            ((_, given),) = other.partitions.owned
            wait_until("its jobs run again", lambda: journal.count("start") == 8 + parts[given])
            journal.gate.touch()
            for each in ids:
                stage.await_state(each, JobState.SUCCEEDED)
            stage.drained()
            assert one.figures.fenced == parts[given]
            assert other.figures.fenced == 0
    again = runs_too_many(journal)
    assert sorted(again) == [(tag, 1) for tag, _ in sorted(again)]
    assert sum(again.values()) == 2 * parts[given]
    assert stage.final_states() == {each: [JobState.SUCCEEDED] for each in ids}
    ran_up = {each: [t.attempt for t in stage.of(each)] for each in ids}
    assert all(attempts == sorted(attempts) for attempts in ran_up.values()), ran_up
    assert {attempts[-1] for attempts in ran_up.values()} == {1 + fail}


def test_a_job_over_its_time_is_told_and_its_process_is_killed(stage: Stage) -> None:
    journal = stage.journal()
    names = ("tells.cancelled", "tells.cancelled.plain", "tells.cancelled.process")
    with stage.scheduler(), stage.worker([NORMAL, PROCS]):
        for job_id in [stage.submit(name, journal=journal.path) for name in names]:
            dead = stage.await_state(job_id, JobState.DEAD)
            assert (dead.reason, dead.attempt) == (DeadReason.TIMEOUT, 2)
        wait_until("the threads are told", lambda: journal.count("cancelled", "thread") == 2)
        assert journal.count("cancelled", "async") == 2
        assert journal.count("start", "process") == 2
        for event in journal.events("start", "process"):
            wait_until("its process is gone", partial(_gone, event.pid))
    assert journal.count("survived") == 0


@pytest.mark.parametrize("name", ["gives.up", "gives.up.process"])
def test_a_job_that_gives_up_because_its_time_is_over_has_not_succeeded(
    stage: Stage, name: str
) -> None:
    with stage.scheduler(), stage.worker([NORMAL, PROCS]):
        ids = [stage.submit(name) for _ in range(3)]
        dead = [stage.await_state(each, JobState.DEAD, JobState.SUCCEEDED) for each in ids]
    assert {(each.reason, each.attempt) for each in dead} == {(DeadReason.TIMEOUT, 2)}


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
