"""The same job twice on a lane.

What can go wrong: a job submitted twice with one `dedup_key` runs twice, or, worse, not at all; a
release that a dying scheduler wrote twice runs twice; a retry of the first submission is taken for
a double of itself and dropped; a restart forgets what was there just before; the job's state is
told by the record that was dropped.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import Message

from headrace.schemas import headers
from headrace.schemas.states import JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
LANES = ["default.normal"]


@pytest.fixture(autouse=True, scope="module")
def scheduling(stage: Stage) -> Iterator[None]:
    with stage.scheduler():
        yield


def states(stage: Stage, job_id: str) -> list[str]:
    return [each.state for each in stage.of(job_id)]


def test_a_second_submission_with_the_same_key_is_not_run(stage: Stage, journal: Journal) -> None:
    with stage.worker(LANES):
        first, second = (
            stage.submit("work", {"dedup_key": "order-1"}, journal=journal.path, tag="once")
            for _ in range(2)
        )
        assert first == second
        wait_until("both are settled", lambda: len(states(stage, first)) == 2)
        stage.drained()
    assert sorted(states(stage, first)) == ["duplicate", "succeeded"]
    assert stage.state(first) == "succeeded"
    assert journal.count("start", "once") == 1


def test_another_tenant_or_another_key_is_another_job(stage: Stage, journal: Journal) -> None:
    with stage.worker(LANES):
        ids = {
            stage.submit("work", options, journal=journal.path, tag="each")
            for options in (
                {"dedup_key": "o"},
                {"dedup_key": "p"},
                {"dedup_key": "o", "tenant": "acme"},
            )
        }
        for job_id in ids:
            stage.await_state(job_id, JobState.SUCCEEDED)
    assert len(ids) == 3


def test_a_retry_of_the_first_submission_is_no_double(stage: Stage, journal: Journal) -> None:
    with stage.worker(LANES):
        job_id, _ = (
            stage.submit("work", {"dedup_key": "flaky"}, journal=journal.path, tag="flaky", fail=2)
            for _ in range(2)
        )
        stage.await_state(job_id, JobState.SUCCEEDED)
        wait_until("the second was dropped", lambda: "duplicate" in states(stage, job_id))
        stage.drained()
    assert [event.attempt for event in journal.events("start", "flaky")] == [1, 2, 3]
    assert stage.state(job_id) == "succeeded"


def test_a_delayed_second_submission_is_not_run(stage: Stage, journal: Journal) -> None:
    with stage.worker(LANES):
        options = {"dedup_key": "later"}
        job_id = stage.submit("work", options, journal=journal.path, tag="later")
        later = options | {"delay": timedelta(seconds=0.3)}
        stage.submit("work", later, journal=journal.path, tag="later")
        wait_until("both are settled", lambda: len(states(stage, job_id)) == 2)
    assert stage.state(job_id) == "succeeded"
    assert journal.count("start", "later") == 1


def test_a_restarted_worker_remembers_what_was_before(stage: Stage, journal: Journal) -> None:
    with stage.worker(LANES):
        job_id = stage.submit("work", {"dedup_key": "r"}, journal=journal.path, tag="restart")
        stage.await_state(job_id, JobState.SUCCEEDED)
        stage.drained()
    stage.submit("work", {"dedup_key": "r"}, journal=journal.path, tag="restart")
    with stage.worker(LANES):
        wait_until("the second was dropped", lambda: "duplicate" in states(stage, job_id))
        stage.drained()
    assert journal.count("start", "restart") == 1
    assert stage.state(job_id) == "succeeded"


def test_a_retry_that_comes_after_a_restart_is_run_though_its_double_is_remembered(
    stage: Stage, journal: Journal
) -> None:
    """The first submission waits for its retry; what is read back holds the dropped one too."""
    with stage.worker(LANES):
        job_id, _ = (
            stage.submit("two-seconds", {"dedup_key": "w"}, journal=journal.path, tag="w")
            for _ in range(2)
        )
        wait_until("both are settled", lambda: len(states(stage, job_id)) == 2)
    with stage.worker(LANES):
        stage.await_state(job_id, JobState.SUCCEEDED)
    assert [event.attempt for event in journal.events("start", "w")] == [1, 2]


def test_a_release_written_twice_runs_once(stage: Stage, journal: Journal) -> None:
    """A scheduler died between its write to the lane and its commit; the next one writes again."""
    with stage.worker(LANES):
        job_id = stage.submit(
            "work", {"delay": timedelta(seconds=0.2)}, journal=journal.path, tag="release"
        )
        stage.await_state(job_id, JobState.SUCCEEDED)
        release = record_of(stage, job_id)
        again(stage, release)
        wait_until("the second was dropped", lambda: "duplicate" in states(stage, job_id))
    again(stage, release)
    with stage.worker(LANES):
        wait_until("the third too", lambda: states(stage, job_id).count("duplicate") == 2)
        stage.drained()
    assert journal.count("start", "release") == 1
    assert stage.state(job_id) == "succeeded"


def record_of(stage: Stage, job_id: str) -> Message:
    (found,) = [
        each
        for each in stage.records("default.normal")
        if (headers.ID, job_id.encode()) in (each.headers() or [])
    ]
    return found


def again(stage: Stage, record: Message) -> None:
    stage.send(
        "default.normal",
        record.value(),
        record.key(),
        record.headers() or [],
        partition=record.partition(),
    )
