"""Thousands of delayed jobs, while schedulers stop, start and die.

What can go wrong: what a scheduler held is forgotten with it; a job is released before its time by
the one that takes over; what was released just before a death, and not yet committed, is released
again and run again; a clean stop commits less than it released, so that its jobs come twice.
"""

import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Message, TopicPartition

from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.pipeline.topology import TIERS
from headrace.schemas.states import JobState
from tests.support import jobs
from tests.support.stage import Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
LANE = "default.normal"


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    """With delay tiers of several partitions, so that two schedulers share each of them."""
    name = f"t{uuid.uuid4().hex[:8]}"
    stage = Stage(jobs.make(name), load(KafkaSettings, bootstrap_servers=kafka), tmp_path)
    topics = load(TopicSettings, delay_partitions=4, events_partitions=1)
    assert apply_plan(plan_topics(stage.pipeline, stage.kafka, topics), stage.kafka).ok
    yield stage
    stage.close()


def submit(stage: Stage, count: int, begin: float, seconds: float) -> set[str]:
    """Jobs that are due evenly over so many seconds, submitted in a random order."""
    work = stage.pipeline.job_type("blob")
    dues = [begin + number * seconds / count for number in range(count)]
    random.Random(7).shuffle(dues)
    journal = stage.journal().path
    with stage.producer() as producer:
        ids = {
            producer.submit(work.job(journal, b"x"), at=datetime.fromtimestamp(due, UTC)).job_id
            for due in dues
        }
    assert time.time() < begin, "the machine is too slow to submit them in time"
    return ids


def released(stage: Stage) -> int:
    """How many records the lane has, by its offsets."""
    looker = stage.reader.looker("nobody")
    topic = stage.topic(LANE)
    count = len(looker.list_topics(topic, timeout=10).topics[topic].partitions)
    places = [TopicPartition(topic, number) for number in range(count)]
    return sum(looker.get_watermark_offsets(place, timeout=10)[1] for place in places)


def early(records: list[Message]) -> list[Message]:
    """Those that the broker appended before they were due, by the same clock."""
    return [
        each
        for each in records
        if each.timestamp()[1] < int(headers_of(each)["headrace-due"] or b"0")
    ]


def times(records: list[Message]) -> Counter[str]:
    """How often each job lies there."""
    return Counter((headers_of(each)["ce_id"] or b"").decode() for each in records)


def test_a_scheduler_that_is_stopped_and_started_again_releases_each_job_once_and_none_early(
    stage: Stage,
) -> None:
    begin = time.time() + 7
    with ExitStack() as life:
        first = life.enter_context(stage.scheduler())
        ids = submit(stage, 8_000, begin, 4)
        wait_until("half is released", lambda: sum(first.figures.released.values()) >= 4_000)
        life.close()
    with stage.scheduler():
        wait_until("all are released", lambda: released(stage) >= len(ids))
        wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
    records = stage.records(LANE)
    assert early(records) == []
    assert times(records) == Counter(ids)


def test_of_two_schedulers_one_is_killed_and_every_job_runs_once_and_none_early(
    stage: Stage,
) -> None:
    begin = time.time() + 9
    with stage.process("scheduler") as killed, stage.scheduler() as other:
        killed.says("partitions assigned")
        wait_until(
            "they share every tier",
            lambda: (
                sorted(Counter(topic for topic, _ in [*other.partitions.owned]).items())
                == sorted((stage.pipeline.topology.tier(tier), 2) for tier in TIERS)
            ),
        )
        ids = submit(stage, 4_000, begin, 1)
        own = other.figures.released
        wait_until("both release", lambda: released(stage) - sum(own.values()) > 300)
        killed.kill()
        wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
        with stage.worker([LANE]):
            wait_until("all have ended", lambda: ids <= stage.final_states().keys())
            stage.drained()
    records = stage.records(LANE)
    assert early(records) == []
    ends = Counter(state for states in stage.final_states().values() for state in states)
    doubles = len(records) - len(ids)
    assert ends == Counter({JobState.SUCCEEDED: len(ids), JobState.DUPLICATE: doubles})
