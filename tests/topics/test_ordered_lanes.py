"""Partitions of an ordered queue's lane, on a real Kafka.

With one partition more, most keys belong to another one. A job that still waits in the old
partition and the next one of its key in the new would run at once, whoever asked for the growth.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.kafka import make_consumer
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import Action, TopicPlan, apply_plan, plan_topics, wanted
from headrace.pipeline.topics.calls import AdminCalls
from headrace.pipeline.topics.compare import compare
from headrace.pipeline.topics.reading import ClusterReader
from headrace.pipeline.topics.state import ClusterState, Span, TopicState
from headrace.pipeline.topics.writing import ClusterWriter

SETTINGS = load(TopicSettings, topic_partitions=2, delay_partitions=1, events_partitions=1)


def declare(name: str, partitions: int, *, ordered: bool = True) -> Pipeline:
    queue = Queue("payments", ("normal",), partitions=partitions, ordered=ordered)
    return Pipeline(name, queues=[queue])


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return load(KafkaSettings, bootstrap_servers=kafka)


@pytest.fixture
def lane(unique_name: str, settings: KafkaSettings, kafka: str) -> Iterator[str]:
    """An ordered lane of two partitions, three jobs in each, of which two and three are done."""
    shop = declare(unique_name, 2)
    apply_plan(plan_topics(shop, settings, SETTINGS), settings)
    lane = next(shop.topology.lanes()).topic
    produce(kafka, lane, {0: 3, 1: 3})
    ClusterWriter(settings).commit({lane: {(lane, 0): 2, (lane, 1): 3}})
    yield lane
    names = [topic.name for topic in wanted(shop, SETTINGS)]
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.delete_topics(list(AdminCalls(settings).descriptions(names))).values():
        future.result()


def produce(kafka: str, topic: str, counts: dict[int, int]) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for partition, count in counts.items():
        for number in range(count):
            producer.produce(topic, b"payload", str(number), partition=partition)
    assert producer.flush(20) == 0


def growth(name: str, settings: KafkaSettings, *, ordered: bool = True) -> TopicPlan:
    return plan_topics(declare(name, 5, ordered=ordered), settings, SETTINGS, grow=True)


def partitions(settings: KafkaSettings, lane: str) -> int:
    return ClusterReader(settings).topics([lane])[lane].partitions


@pytest.mark.kafka
def test_a_lane_in_which_a_job_waits_is_refused_with_its_lag_and_what_to_do(
    lane: str, unique_name: str, settings: KafkaSettings
) -> None:
    report = apply_plan(growth(unique_name, settings), settings)
    [refused] = report.refused
    assert refused.startswith(f"{lane} is the lane of an ordered queue and has a lag of 1:")
    assert "5 partitions instead of 2" in refused
    assert "stop what submits to it" in refused
    assert partitions(settings, lane) == 2


@pytest.mark.kafka
def test_a_drained_lane_grows_and_its_new_partitions_begin_at_zero(
    lane: str, unique_name: str, settings: KafkaSettings
) -> None:
    ClusterWriter(settings).commit({lane: {(lane, 0): 3}})
    report = apply_plan(growth(unique_name, settings), settings)
    assert report.ok
    assert report.grown == (lane, notes_beside(lane))
    offsets = ClusterReader(settings).committed({lane: [(lane, p) for p in range(5)]})[lane]
    assert [offsets[lane, p] for p in range(5)] == [3, 3, 0, 0, 0]


@pytest.mark.kafka
def test_a_job_that_comes_between_plan_and_apply_keeps_the_lane_as_it_is(
    lane: str, unique_name: str, settings: KafkaSettings, kafka: str
) -> None:
    ClusterWriter(settings).commit({lane: {(lane, 0): 3}})
    plan = growth(unique_name, settings)
    assert plan.with_action(Action.GROW)
    produce(kafka, lane, {1: 2})
    report = apply_plan(plan, settings)
    [refused] = report.refused
    assert "has a lag of 2" in refused
    assert lane not in report.grown
    assert (report.offsets, partitions(settings, lane)) == (0, 2)
    ClusterWriter(settings).commit({lane: {(lane, 1): 5}})
    assert apply_plan(growth(unique_name, settings), settings).grown == (lane,)


@pytest.mark.kafka
def test_the_commits_of_a_live_worker_count(
    lane: str, unique_name: str, settings: KafkaSettings
) -> None:
    with closing(make_consumer(settings, lane)) as worker:
        join(worker, lane)
        assert "lag of 1" in growth(unique_name, settings).refused[0]
        worker.commit(offsets=[TopicPartition(lane, 0, 3)], asynchronous=False)
        assert not growth(unique_name, settings).refused


def notes_beside(lane: str) -> str:
    """The topic of dedup notes, which grows with its lane."""
    return f"{lane.rpartition('.')[0]}.dedup"


def join(worker: Consumer, topic: str) -> None:
    worker.subscribe([topic])
    for _ in range(300):
        worker.poll(0.1)
        if worker.assignment():
            return
    pytest.fail("the worker got no partition")


@pytest.mark.kafka
def test_a_lane_without_order_grows_whatever_waits_in_it(
    lane: str, unique_name: str, settings: KafkaSettings
) -> None:
    report = apply_plan(growth(unique_name, settings, ordered=False), settings)
    assert report.grown == (lane, notes_beside(lane))


# Pure: what counts as drained

LANE = "shop.payments.normal"


def planned(spans: dict[int, Span], committed: dict[int, int], **how: Any) -> TopicPlan:
    five = declare("shop", 5)
    [lane] = [topic for topic in wanted(five, SETTINGS) if topic.name == LANE]
    state = ClusterState(
        topics={LANE: TopicState(2, 1, dict(lane.config_for(1)))},
        committed={LANE: {(LANE, p): offset for p, offset in committed.items()}},
        spans={(LANE, p): span for p, span in spans.items()},
        known_partitions={LANE: 2},
    )
    return compare(five.topology, [lane], (), state, **how)


def test_what_retention_deleted_does_not_wait_any_more() -> None:
    drained = planned({0: Span(9, 9), 1: Span(5, 8)}, {0: 4, 1: 8}, grow=True)
    assert drained.with_action(Action.GROW)
    waiting = planned({0: Span(9, 12), 1: Span(5, 8)}, {0: 4, 1: 6}, grow=True)
    assert "has a lag of 5" in waiting.refused[0]


def test_a_partition_without_an_offset_is_drained_only_when_it_is_empty() -> None:
    assert planned({0: Span(3, 3), 1: Span(0, 8)}, {1: 8}, grow=True).with_action(Action.GROW)
    holding = planned({0: Span(0, 3), 1: Span(0, 8)}, {1: 8}, grow=True)
    assert any("has a lag of 3" in refused for refused in holding.refused)


def test_without_the_wish_to_grow_the_plan_says_only_that() -> None:
    [refused] = planned({0: Span(0, 3), 1: Span(0, 8)}, {0: 0, 1: 8}).refused
    assert "--grow-partitions" in refused
    assert "lag" not in refused


def test_only_the_lanes_of_ordered_queues_are_guarded() -> None:
    shop = Pipeline("shop", queues=[Queue("default"), Queue("payments", ordered=True)])
    guarded = [topic.name for topic in wanted(shop, SETTINGS) if topic.ordered]
    assert guarded == [LANE]
