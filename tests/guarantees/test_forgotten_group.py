"""A group that the broker has forgotten, with a member that knows nothing of it.

What can go wrong: a coordinator that was away for longer than the session keeps the offsets of a
group, but not the group; to the next heartbeat of a member that survived it answers
GROUP_ID_NOT_FOUND, which librdkafka calls fatal. A lane that goes on polling a dead client then
looks healthy and runs nothing, for ever.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.stage import RunningProcess, Stage, wait_until

pytestmark = pytest.mark.kafka
LONG = 60.0


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


def test_a_member_of_a_forgotten_group_joins_again_and_goes_on(stage: Stage) -> None:
    journal = stage.journal()
    with stage.process("worker", "--queue", "default", "--concurrency", "4") as worker:
        first = stage.submit("work", journal=journal.path, tag="before")
        stage.await_state(first, JobState.SUCCEEDED, patience=LONG)
        stage.drained("default.normal")
        forget(stage, "default.normal", worker)
        job_ids = [stage.submit("work", journal=journal.path, tag=str(n)) for n in range(20)]
        for job_id in job_ids:
            stage.await_state(job_id, JobState.SUCCEEDED, patience=LONG)
        worker.says("joining the group again")
        assert worker.terminate() == 0
    assert journal.count("start") == 21
    stage.drained("default.normal")


def forget(stage: Stage, lane: str, worker: RunningProcess) -> None:
    """Let the broker forget the group of a lane, all but its offsets, while the worker sleeps."""
    topic = stage.topic(lane)
    admin = AdminClient({"bootstrap.servers": stage.kafka.bootstrap_servers})
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        (found,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(topic)]).values()
        positions = found.result(LONG).topic_partitions
        wait_until("its session is over", lambda: deleted(admin, topic), LONG)
        restored = [TopicPartition(topic, each.partition, each.offset) for each in positions]
        (altered,) = admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(topic, restored)]
        ).values()
        altered.result(LONG)
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)


def deleted(admin: AdminClient, group: str) -> bool:
    try:
        admin.delete_consumer_groups([group])[group].result(LONG)
    except KafkaException:  # it still has members
        return False
    return True
