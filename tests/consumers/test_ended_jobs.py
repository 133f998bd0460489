"""Following the ends of a few jobs on a real Kafka.

What can go wrong: a schedule that waits for its last job waits for ever, because the end was told
before it was listened for, or retention has deleted it.
"""

import time
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from headrace.consumers.schedules.ended import FORGOTTEN, EndedJobs
from headrace.pipeline.kafka import make_admin
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, encode_batch
from tests.guarantees.conftest import new_stage
from tests.support.stage import Stage

pytestmark = pytest.mark.kafka


def tell(stage: Stage, job_id: str, state: JobState, step: int = 0) -> None:
    now = time.time_ns() // 1_000_000
    lane = stage.topic("default.normal")
    made = Transition(job_id, "work", state, lane, 0, 0, 1, step, 0, now, now, "w")
    stage.send("events", encode_batch([made]))


def test_the_end_of_a_job_is_found_whenever_it_was_told(kafka: str, tmp_path: Path) -> None:
    stage = new_stage(kafka, tmp_path)
    begun = time.time_ns() // 1_000_000
    tell(stage, "before", JobState.SUCCEEDED)
    ended = EndedJobs(stage.kafka, stage.pipeline.topology)
    try:
        ended.follow({"before": begun, "retried": begun})
        assert ended.state("before") == "succeeded"
        tell(stage, "retried", JobState.RETRYING)
        stage.send("events", b"retried: what no batch looks like")
        assert ended.state("retried") is None
        ended.also("later", begun)
        tell(stage, "later", JobState.SUCCEEDED)
        tell(stage, "later", JobState.DUPLICATE, step=9)
        tell(stage, "retried", JobState.DEAD, step=1)
        assert (ended.state("retried"), ended.state("later")) == ("dead", "succeeded")
        ended.follow({})
        ended.follow({"later": begun})
        assert ended.state("later") == "succeeded"
    finally:
        ended.close()
        stage.close()


def test_a_job_of_which_nothing_is_kept_any_more_is_not_waited_for(
    kafka: str, tmp_path: Path
) -> None:
    stage = new_stage(kafka, tmp_path)
    ended = EndedJobs(stage.kafka, stage.pipeline.topology)
    try:
        tell(stage, "another", JobState.SUCCEEDED)
        ended.follow({"old": 1})
        assert ended.state("old") is None
        ended.follow({})
        place = TopicPartition(stage.topic("events"), 0, 1)
        admin = make_admin(stage.kafka)  # kept: its answers come only while it lives
        admin.delete_records([place])[place].result(30)
        ended.follow({"old": 1})
        assert ended.state("old") == FORGOTTEN
    finally:
        ended.close()
        stage.close()
