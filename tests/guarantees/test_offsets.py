"""Groups without an offset.

What can go wrong: a group's offset has expired, or its topic was made anew, and a worker guesses:
from the beginning, which runs a week of jobs again, or from the end, which never runs them.
"""

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.pipeline.errors import LostOffsetError
from headrace.schemas.states import JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
LANES = ["default.normal"]


def forget_offsets(stage: Stage, kafka: str) -> None:
    group = stage.topic("default.normal")
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_consumer_groups([group])[group].result(10)


@pytest.fixture(autouse=True)
def without_offsets(stage: Stage, journal: Journal, kafka: str) -> list[str]:
    ids = [stage.submit("work", journal=journal.path, tag=f"lost-{n}") for n in range(3)]
    forget_offsets(stage, kafka)
    return ids


def test_a_worker_refuses_to_guess_and_says_what_to_do(stage: Stage, journal: Journal) -> None:
    with stage.worker(LANES, ready=False) as worker:
        wait_until("it ends", worker.ended.is_set)
    assert isinstance(worker.failure, LostOffsetError)
    assert "--from earliest" in str(worker.failure)
    assert "--from latest" in str(worker.failure)
    assert journal.count() == 0


def test_from_earliest_runs_what_is_there(
    stage: Stage, journal: Journal, without_offsets: list[str]
) -> None:
    with stage.worker(LANES, start="earliest"):
        for job_id in without_offsets:
            stage.await_state(job_id, JobState.SUCCEEDED)
        stage.drained()
    with stage.worker(LANES):  # it has offsets again
        pass


def test_from_latest_runs_what_comes(
    stage: Stage, journal: Journal, without_offsets: list[str]
) -> None:
    with stage.worker(LANES, start="latest"):
        job_id = stage.submit("work", journal=journal.path, tag="new")
        stage.await_state(job_id, JobState.SUCCEEDED)
        stage.drained()
    assert {event.tag for event in journal.events()} == {"new"}


def test_an_offset_beyond_the_end_is_refused_too(stage: Stage, kafka: str) -> None:
    group = stage.topic("default.normal")
    with stage.worker(LANES, start="earliest"):
        stage.drained()
    consumer = stage.reader.looker(group)
    consumer.commit(offsets=[TopicPartition(group, 0, 1_000_000)], asynchronous=False)
    with stage.worker(LANES, ready=False) as worker:
        wait_until("it ends", worker.ended.is_set)
    assert isinstance(worker.failure, LostOffsetError)
    assert "beyond its end" in str(worker.failure)
