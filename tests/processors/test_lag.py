"""Lag must be the truth: as many jobs as wait, as old as they are, and never a made-up zero."""

import time
from contextlib import closing
from datetime import timedelta

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka import Producer as RawProducer
from confluent_kafka.admin import AdminClient

from headrace.consumers import commit_metadata
from headrace.consumers.commit_metadata import CommitMetadata
from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.topology import TIERS, Topology
from headrace.processors.lag import measuring, verdicts
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.report import LagReport, TopicLag
from headrace.processors.lag.report_json import as_json
from headrace.processors.lag.verdicts import Verdict
from headrace.producers import Producer
from tests.processors.test_job_history import eventually
from tests.processors.view_shop import (
    kafka_settings,
    make_shop,
    make_topics,
    scheduling,
    working,
)

pytestmark = pytest.mark.kafka


def of(report: LagReport, topic: str) -> TopicLag:
    (found,) = (each for each in (*report.lanes, *report.tiers) if each.topic == topic)
    return found


@pytest.fixture
def shop(kafka: str, unique_name: str) -> Pipeline:
    shop = make_shop(unique_name)
    make_topics(shop, kafka_settings(kafka))
    return shop


def submit(shop: Pipeline, kafka: str, count: int, delay: timedelta | None = None) -> None:
    with Producer(shop, kafka=kafka_settings(kafka)) as producer:
        for number in range(count):
            producer.submit("greet", {"name": str(number)}, delay=delay)


def commit(kafka: str, topic: str, partition: int, offset: int, metadata: str = "") -> None:
    place = TopicPartition(topic, partition, offset, metadata)
    admin = AdminClient({"bootstrap.servers": kafka})
    request = ConsumerGroupTopicPartitions(topic, [place])
    admin.alter_consumer_group_offsets([request])[topic].result(10)


def test_a_lane_with_k_jobs_has_a_lag_of_k_and_of_0_after_a_worker_drained_it(
    kafka: str, shop: Pipeline
) -> None:
    reader = LagReader(shop, kafka_settings(kafka))
    submit(shop, kafka, 7)
    lane = f"{shop.name}.default.normal"
    waiting = of(reader.read(), lane)
    assert (waiting.messages, waiting.ready, waiting.exact) == (7, 7, True)
    assert waiting.group is not None
    assert (waiting.group.members, waiting.group.state) == (0, "empty")
    assert waiting.finding.verdict is Verdict.STOPPED
    assert sum(part.messages for part in waiting.partitions) == 7
    with working(shop, kafka_settings(kafka)):
        drained = eventually(
            lambda: of(reader.read(), lane),
            lambda found: found.messages == 0 and found.finding.verdict is Verdict.OK,
        )
        assert drained.group is not None
        assert (drained.group.members, drained.group.idle, drained.since) == (1, 0, None)
        assert drained.group.owned == {(lane, 0), (lane, 1)}
        assert drained.finding.verdict is Verdict.OK


def test_the_oldest_age_counts_from_when_the_oldest_job_was_made(
    kafka: str, shop: Pipeline
) -> None:
    before = time.time_ns() // 1_000_000
    submit(shop, kafka, 1)
    made = time.time_ns() // 1_000_000
    submit(shop, kafka, 5)
    reader, lane = LagReader(shop, kafka_settings(kafka)), f"{shop.name}.default.normal"
    first, second = reader.read(), reader.read()
    since = of(first, lane).since
    assert since is not None
    assert before <= since <= made
    assert of(second, lane).since == since
    ages = [report.age(of(report, lane).since) for report in (first, second)]
    assert [(report.at - since) / 1000 for report in (first, second)] == ages


def test_finished_jobs_above_the_commit_point_are_not_lag(kafka: str, shop: Pipeline) -> None:
    lane = f"{shop.name}.idle.normal"
    raw = RawProducer({"bootstrap.servers": kafka})
    for number in range(10):
        raw.produce(lane, b"x", partition=0, headers=[("ce_id", b"j%d" % number)])
    raw.flush(10)
    metadata = commit_metadata.encode(CommitMetadata(finished=(range(3, 6), range(8, 9))), 2)
    commit(kafka, lane, 0, 2, metadata)
    (first, second) = of(LagReader(shop, kafka_settings(kafka)).read(), lane).partitions
    assert (first.commit_point, first.end, first.finished, first.messages) == (2, 10, 4, 4)
    assert (second.messages, second.since) == (0, None)


def test_a_delay_tier_counts_jobs_and_not_the_markers_of_transactions(
    kafka: str, shop: Pipeline
) -> None:
    tier = f"{shop.name}.delay.30m"
    submit(shop, kafka, 2, delay=timedelta(hours=1))
    writer = RawProducer({"bootstrap.servers": kafka, "transactional.id": shop.name})
    writer.init_transactions(10)
    for end in (writer.commit_transaction, writer.abort_transaction):
        writer.begin_transaction()
        due = time.time_ns() // 1_000_000 - 90_000
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", b"late"),
            ("ce_type", b"greet"),
            ("headrace-lane", f"{shop.name}.default.normal".encode()),
            ("headrace-due", b"%d" % due),
        ]
        writer.produce(tier, b"x", headers=headers)
        writer.flush(10)
        end(10)
    report = LagReader(shop, kafka_settings(kafka)).read()
    found = of(report, tier)
    assert (found.messages, found.exact) == (3, True)
    assert found.partitions[0].end == 6
    overdue = report.overdue(found)
    assert overdue is not None
    assert overdue >= 90


def test_what_an_open_transaction_hides_is_told_and_counts_as_no_job(
    kafka: str, shop: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nobody ends hides the jobs behind it from the scheduler: the tier looks empty."""
    tier = f"{shop.name}.delay.30m"
    writer = RawProducer({"bootstrap.servers": kafka, "transactional.id": shop.name})
    writer.init_transactions(10)
    writer.begin_transaction()
    writer.produce(tier, b"x")
    assert writer.flush(10) == 0
    submit(shop, kafka, 2, delay=timedelta(hours=1))
    with closing(LagReader(shop, kafka_settings(kafka))) as reader:
        young = of(reader.read(), tier)
        monkeypatch.setattr(verdicts, "HELD_AFTER", 0)
        old = of(reader.read(), tier)
        writer.abort_transaction(10)
        eventually(lambda: hidden(of(reader.read(), tier)), lambda left: left == 0)
        assert of(reader.read(), tier).messages == 2
    assert [(hidden(each), each.messages) for each in (young, old)] == [(3, 0), (3, 0)]
    assert young.finding.verdict is Verdict.OK
    assert old.finding.verdict is Verdict.STALLED
    assert "began at offset 0 " in old.finding.why
    assert "abort --start-offset 0" in old.finding.why


def hidden(found: TopicLag) -> int:
    return sum(part.held.records for part in found.partitions if part.held)


def test_a_tier_whose_first_job_is_not_due_is_not_overdue(kafka: str, shop: Pipeline) -> None:
    submit(shop, kafka, 1, delay=timedelta(hours=1))
    report = LagReader(shop, kafka_settings(kafka)).read()
    found = of(report, f"{shop.name}.delay.30m")
    assert report.overdue(found) is None
    assert found.next_due is not None
    assert found.next_due > report.at


def test_a_tier_too_long_to_be_counted_has_an_upper_bound(
    kafka: str, shop: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(shop, kafka, 3, delay=timedelta(hours=1))
    monkeypatch.setattr(measuring, "MOST_WAITING", 2)
    found = of(LagReader(shop, kafka_settings(kafka)).read(), f"{shop.name}.delay.30m")
    assert (found.messages, found.exact) == (3, False)
    assert found.since is not None


def test_the_scheduler_brings_a_tier_back_to_0(kafka: str, shop: Pipeline) -> None:
    submit(shop, kafka, 3, delay=timedelta(milliseconds=500))
    reader, soon = LagReader(shop, kafka_settings(kafka)), f"{shop.name}.delay.soon"
    assert of(reader.read(), soon).messages == 3
    with scheduling(shop, kafka_settings(kafka)):
        eventually(lambda: of(reader.read(), soon).messages, lambda left: left == 0)
    assert of(reader.read(), f"{shop.name}.default.normal").messages == 3


def test_a_lane_without_offsets_says_so_and_shows_no_number(kafka: str, unique_name: str) -> None:
    shop = Pipeline(unique_name, queues=[Queue("default", priorities=("normal",), partitions=1)])
    lane = f"{unique_name}.default.normal"
    make_bare_topic(kafka, lane)
    report = LagReader(shop, kafka_settings(kafka)).read()
    assert of(report, lane).without_offset == (0,)
    assert of(report, lane).partitions[0].commit_point is None
    soon = of(report, f"{unique_name}.delay.soon")
    assert soon.partitions == ()
    (row,) = (row for row in as_rows(report, "lanes") if row["topic"] == lane)
    assert row["without_offset"] == [0]
    assert [row["exists"] for row in as_rows(report, "tiers")] == [False] * len(TIERS)


def test_a_cluster_that_cannot_be_reached_is_an_error_and_no_zeros(unique_name: str) -> None:
    reader = LagReader(make_shop(unique_name), kafka_settings("127.0.0.1:1"))
    reader._cluster.seconds = 1.0
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:1"):
        reader.read()


def as_rows(report: LagReport, name: str) -> list[dict[str, object]]:
    rows = as_json(report)[name]
    assert isinstance(rows, list)
    return rows


def make_bare_topic(kafka: str, name: str) -> None:
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(10)
    reader = Consumer({"bootstrap.servers": kafka, "group.id": "nobody"})
    eventually(
        lambda: reader.list_topics(name, timeout=5).topics[name].error, lambda error: error is None
    )
    reader.close()


def test_every_topic_of_the_pipeline_is_in_the_report(kafka: str, shop: Pipeline) -> None:
    report = LagReader(shop, kafka_settings(kafka)).read()
    topology: Topology = shop.topology
    assert [lane.topic for lane in report.lanes] == [lane.topic for lane in topology.lanes()]
    assert [each.topic for each in report.dead_letters] == [
        topology.dead_letters(queue) for queue in shop.queues
    ]
    assert len(report.tiers) == len(TIERS)
