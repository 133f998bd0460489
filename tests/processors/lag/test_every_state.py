"""Jobs in every state, counted by `LagReader` and by plain clients: both must say the same.

What can go wrong: a job counts twice or not at all because it hopped, was finished above the commit
point, or died; a marker of a transaction counts as a job; a new process counts otherwise than one
that has watched all along; a job that is due and was not moved is forgotten.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from confluent_kafka import Producer as RawProducer

from headrace.pipeline import Pipeline, Queue, Reject, Retry, RetryLater
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.report import LagReport, Running
from headrace.processors.lag.verdicts import Verdict
from headrace.producers import Producer
from headrace.schemas import headers
from tests.processors.lag.recount import recount
from tests.processors.test_job_history import eventually
from tests.processors.view_shop import kafka_settings, make_topics, scheduling, working

pytestmark = pytest.mark.kafka


@dataclass
class Shop:
    """A pipeline whose jobs end in every way, one of which runs until it is released."""

    pipeline: Pipeline
    started: threading.Event
    release: threading.Event

    def topic(self, suffix: str) -> str:
        return f"{self.pipeline.name}.{suffix}"


@pytest.fixture
def shop(kafka: str, unique_name: str) -> Iterator[Shop]:
    queues = [
        Queue("default", priorities=("normal",), partitions=1, dedup_window=timedelta(hours=1)),
        Queue("idle", priorities=("high", "low"), partitions=2),
    ]
    made = Shop(Pipeline(unique_name, queues=queues), threading.Event(), threading.Event())

    @made.pipeline.job("greet")
    def greet(name: str) -> str:
        return name

    @made.pipeline.job("block")
    def block() -> None:
        made.started.set()
        made.release.wait(300)

    @made.pipeline.job("later", retry=Retry(max_attempts=5))
    def later(minutes: int) -> None:
        raise RetryLater(timedelta(minutes=minutes))

    @made.pipeline.job("reject")
    def reject() -> None:
        raise Reject("never")

    @made.pipeline.job("idle", queue="idle", priority="low")
    def idle(number: int) -> None: ...

    make_topics(made.pipeline, kafka_settings(kafka))
    yield made
    made.release.set()


def submit_before_the_processes_stop(shop: Shop, producer: Producer) -> None:
    """A running job in front, and behind it what succeeds, waits to be retried, dies, is dropped."""
    producer.submit("block", {})
    for number in range(3):
        producer.submit("greet", {"name": str(number)})
    for minutes in (3, 40):
        producer.submit("later", {"minutes": minutes})
    producer.submit("reject", {})
    for _ in range(2):
        producer.submit("greet", {"name": "twin"}, dedup_key="twin")
    producer.submit("greet", {"name": "old"}, expires=timedelta(milliseconds=1))
    producer.submit("idle", {"number": 1}, delay=timedelta(milliseconds=200))


def put_into_soon(shop: Shop, kafka: str) -> None:
    """A job that lies in `soon` for an hour: what is finished behind it is above the commit point."""
    raw = RawProducer({"bootstrap.servers": kafka})
    due = time.time_ns() // 1_000_000 + 3_600_000
    found: list[tuple[str, str | bytes | None]] = [
        (headers.ID, b"by hand"),
        (headers.TYPE, b"idle"),
        (headers.LANE, shop.topic("idle.low").encode()),
        (headers.DUE, b"%d" % due),
    ]
    raw.produce(shop.topic("delay.soon"), b"", b"key", 0, headers=found)
    assert raw.flush(10) == 0


def submit_after(producer: Producer) -> None:
    """What nobody moves or runs."""
    for hours in (1, 1, 30):
        producer.submit("idle", {"number": 2}, delay=timedelta(hours=hours), priority="high")
    for number in range(4):
        producer.submit("idle", {"number": number})
    producer.submit("idle", {"number": 3}, delay=timedelta(milliseconds=1))


def settled(shop: Shop, reader: LagReader) -> None:
    """Wait until all but what must wait is finished, committed and moved."""
    default, low = shop.topic("default.normal"), shop.topic("idle.low")

    def waits(report: LagReport) -> dict[str, int]:
        return {topic.topic: topic.messages for topic in report.topics if topic.messages}

    expected = {default: 1, low: 1, shop.topic("delay.soon"): 1, shop.topic("delay.2m"): 1}
    expected |= {shop.topic("delay.30m"): 1, shop.topic("default.dlq"): 1}
    eventually(lambda: waits(reader.read()), lambda found: found == expected, 60)


def agree(report: LagReport, shop: Shop, kafka: str) -> None:
    counted = recount(shop.pipeline, kafka)
    lanes = {lane.topic: lane for lane in report.lanes}
    assert {topic: lane.messages for topic, lane in lanes.items()} == {
        topic: counted.unfinished[topic] for topic in lanes
    }
    assert {tier.topic: tier.messages for tier in report.tiers} == {
        tier.topic: counted.unfinished[tier.topic] for tier in report.tiers
    }
    assert {dead.topic: dead.messages for dead in report.dead_letters} == dict(counted.dead)
    assert {topic: dict(lane.due.slots) for topic, lane in lanes.items() if lane.due} == {
        topic: dict(slots) for topic, slots in counted.due.items()
    }
    assert all(topic.exact for topic in report.topics)
    for topic, lane in lanes.items():
        raw = sum(part.end - (part.commit_point or 0) for part in lane.partitions)
        assert raw == counted.raw[topic]


def test_every_state_is_counted_as_plain_clients_count_it(kafka: str, shop: Shop) -> None:
    """The first reader watches all along, the second begins at the end: both see the same."""
    settings = kafka_settings(kafka)
    default, low = shop.topic("default.normal"), shop.topic("idle.low")
    running = {(default, 0): Running(1, time.time_ns() // 1_000_000)}
    watching = LagReader(shop.pipeline, settings, running=lambda: running, counts_all=True)
    with Producer(shop.pipeline, kafka=settings) as producer:
        with working(shop.pipeline, settings), scheduling(shop.pipeline, settings):
            put_into_soon(shop, kafka)
            submit_before_the_processes_stop(shop, producer)
            assert shop.started.wait(60)
            settled(shop, watching)
            live = watching.read()
            agree(live, shop, kafka)
            (lane,) = (each for each in live.lanes if each.topic == default)
            assert (lane.messages, lane.ready) == (1, 0)
            assert lane.partitions[0].finished >= 8
            assert lane.finding.verdict is Verdict.OK
            shop.release.set()
        submit_after(producer)
    reports = [watching.read(), LagReader(shop.pipeline, settings).read()]
    for report in reports:
        agree(report, shop, kafka)
    lanes = {lane.topic: lane for lane in reports[1].lanes}
    # Five lie on the lane, one is due and still in the tiers.
    due = lanes[low].due
    assert due is not None
    overdue = due.within(reports[1].at, 1)
    assert (lanes[low].messages, overdue) == (5, 1)
    assert lanes[shop.topic("idle.high")].ready == 0
    watching.close()


def test_jobs_of_reset_offsets_are_counted_again(kafka: str, shop: Shop) -> None:
    """An operator rewinds the scheduler's group while a reader watches."""
    settings, soon = kafka_settings(kafka), shop.topic("delay.soon")
    reader = LagReader(shop.pipeline, settings)
    with Producer(shop.pipeline, kafka=settings) as producer:
        for number in range(3):
            producer.submit("idle", {"number": number}, delay=timedelta(milliseconds=100))
    with scheduling(shop.pipeline, settings):
        eventually(lambda: tier(reader.read(), soon), lambda found: found == (0, Verdict.OK))
    rewind(kafka, shop.pipeline.topology.scheduler_group, soon)
    assert tier(reader.read(), soon) == (3, Verdict.REWOUND)


def tier(report: LagReport, topic: str) -> tuple[int, Verdict]:
    (found,) = (each for each in report.tiers if each.topic == topic)
    return found.messages, found.finding.verdict


def rewind(kafka: str, group: str, topic: str) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": kafka})
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    admin.alter_consumer_group_offsets([request])[group].result(10)
