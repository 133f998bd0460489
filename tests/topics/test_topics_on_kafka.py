"""What plans do to a real Kafka.

A plan that is applied wrongly is found out late: a group without an offset replays its lane or
skips it, a topic of the wrong kind loses what waits in it. So each test looks at the cluster
itself, not at what we say of it.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.pipeline import Pipeline, Queue, TopicError
from headrace.pipeline.compacted import CompactedRecord, read_latest, write_all
from headrace.pipeline.errors import KafkaUnavailableError, RightsError
from headrace.pipeline.kafka import make_consumer
from headrace.pipeline.kafka_faults import explain
from headrace.pipeline.schema_topic import SchemaTopic, declared_schemas
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import (
    Action,
    ApplyReport,
    TopicPlan,
    apply_plan,
    check_topics,
    known_partitions,
    plan_topics,
    starting_offset_allowed,
    wanted,
    writing,
)
from headrace.pipeline.topics.calls import AdminCalls
from headrace.pipeline.topics.reading import ClusterReader
from headrace.pipeline.topics.writing import ClusterWriter
from tests.support.stage import wait_until

pytestmark = pytest.mark.kafka
SETTINGS = load(TopicSettings, topic_partitions=2, delay_partitions=2, events_partitions=2)

GUESSING: dict[str, Any] = {"auto.offset.reset": "earliest"}


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return load(KafkaSettings, bootstrap_servers=kafka)


@pytest.fixture
def admin(kafka: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka})


@pytest.fixture
def shop(unique_name: str, settings: KafkaSettings, admin: AdminClient) -> Iterator[Pipeline]:
    pipeline = declare(unique_name)
    yield pipeline
    there = AdminCalls(settings).descriptions(topic.name for topic in wanted(pipeline, SETTINGS))
    if there:
        for future in admin.delete_topics(list(there)).values():
            future.result()


def declare(name: str, partitions: int = 2) -> Pipeline:
    pipeline = Pipeline(name, queues=[Queue("mail", priorities=("high",), partitions=partitions)])

    @pipeline.job("mail.send")
    def send(to: str, subject: str) -> int:
        return len(subject)

    return pipeline


def plan(pipeline: Pipeline, settings: KafkaSettings, **how: Any) -> TopicPlan:
    return plan_topics(pipeline, settings, SETTINGS, **how)


def apply(pipeline: Pipeline, settings: KafkaSettings, **how: Any) -> ApplyReport:
    return apply_plan(plan(pipeline, settings, **how), settings)


def lane_of(pipeline: Pipeline) -> str:
    return next(pipeline.topology.lanes()).topic


def offsets_of(
    settings: KafkaSettings, group: str, topic: str | None = None
) -> dict[tuple[str, int], int]:
    """What a group has committed in five partitions of a topic; of the lane it is named after."""
    places = [(topic or group, partition) for partition in range(5)]
    return dict(ClusterReader(settings).committed({group: places})[group])


def produce(kafka: str, topic: str, partition: int, count: int = 3) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    producer.list_topics(topic, timeout=10)
    for number in range(count):
        producer.produce(topic, b"payload", str(number), partition=partition)
    assert producer.flush(20) == 0


def forget_offsets(admin: AdminClient, group: str) -> None:
    """What happens to a group that committed nothing for `offsets.retention.minutes`."""
    admin.delete_consumer_groups([group])[group].result()


# Applying


def test_after_apply_the_cluster_is_as_declared_and_a_second_plan_is_empty(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    report = apply(shop, settings)
    names = [topic.name for topic in wanted(shop, SETTINGS)]
    assert sorted(report.created) == sorted(names)
    assert report.ok
    again = plan(shop, settings)
    assert again.nothing_to_do
    assert not again.refused
    assert {step.action for step in again.steps} == {Action.KEEP}


def test_every_topic_that_apply_makes_stamps_the_time_of_append(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(shop, settings)
    topics = ClusterReader(settings).topics(topic.name for topic in wanted(shop, SETTINGS))
    stamped = {topic.config["message.timestamp.type"] for topic in topics.values()}
    assert stamped == {"LogAppendTime"}


def test_after_apply_every_group_has_an_offset_in_every_partition(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(shop, settings)
    for topic in wanted(shop, SETTINGS):
        if topic.group:
            committed = offsets_of(settings, topic.group, topic.name)
            for partition in range(topic.partitions):
                assert committed[topic.name, partition] == 0


def test_a_worker_that_refuses_to_guess_starts_after_apply(
    shop: Pipeline, settings: KafkaSettings, kafka: str
) -> None:
    apply(shop, settings)
    lane = lane_of(shop)
    produce(kafka, lane, 1)
    read: list[int | None] = []
    with closing(make_consumer(settings, lane)) as worker:
        worker.subscribe([lane])
        deadline = time.monotonic() + 30
        while len(read) < 3 and time.monotonic() < deadline:
            message = worker.poll(0.5)
            if message is not None and message.error() is None:
                read.append(message.offset())
    assert read == [0, 1, 2]


def await_nothing_to_do(pipeline: Pipeline, settings: KafkaSettings) -> None:
    """A broker tells of a setting when it has read of it, a moment after the change was taken."""
    wait_until("nothing is to be done", lambda: plan(pipeline, settings).nothing_to_do)


def test_apply_goes_on_where_an_earlier_one_was_cut_off(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    whole = plan(shop, settings)
    made = [
        step for step in whole.steps if step.wanted.name in {lane_of(shop), f"{shop.name}.events"}
    ]
    writer = ClusterWriter(settings)
    writer.create(_new(step.wanted.name, step.wanted.partitions) for step in made)
    writer.await_leaders({step.wanted.name: step.wanted.partitions for step in made})
    report = apply(shop, settings)
    assert report.ok
    assert set(report.changed) == {step.wanted.name for step in made}
    await_nothing_to_do(shop, settings)


def _new(name: str, partitions: int) -> Any:
    from headrace.pipeline.topics.api import NewTopic

    return NewTopic(name, partitions, -1)


def test_a_plan_that_another_one_overtook_does_no_harm(
    shop: Pipeline, settings: KafkaSettings, kafka: str
) -> None:
    first, second = plan(shop, settings), plan(shop, settings)
    apply_plan(first, settings)
    lane = lane_of(shop)
    produce(kafka, lane, 0)
    ClusterWriter(settings).commit({lane: {(lane, 0): 2}})
    report = apply_plan(second, settings)
    assert not report.created
    assert report.offsets == 0
    assert offsets_of(settings, lane)[lane, 0] == 2


def test_more_partitions_than_a_request_may_make_are_made_in_several(
    shop: Pipeline, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_PARTITIONS", 4)
    asked: list[int] = []
    create = writing.ClusterWriter._by_and_by

    def counted(self: ClusterWriter, requests: Any, send: Any) -> Any:
        sent = list(requests)
        asked.extend(len(request) for request in sent)
        return create(self, sent, send)

    monkeypatch.setattr(ClusterWriter, "_by_and_by", counted)
    assert apply(shop, settings).ok
    assert len(asked) > 3
    await_nothing_to_do(shop, settings)


@pytest.mark.parametrize(
    ("sizes", "requests"),
    [([], []), ([9_000], [1]), ([500, 500, 1], [2, 1]), ([1, 1_000, 1], [1, 1, 1])],
)
def test_a_request_makes_a_thousand_partitions_at_most_or_one_topic(
    sizes: list[int], requests: list[int]
) -> None:
    found = list(writing.in_requests(sizes, lambda size: size))
    assert [len(each) for each in found] == requests
    assert [size for each in found for size in each] == sizes


def test_a_setting_that_somebody_changed_is_found_and_repaired(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(shop, settings)
    lane = lane_of(shop)
    ClusterWriter(settings).configure(
        {lane: {"retention.ms": "1000", "message.timestamp.type": "CreateTime"}}
    )
    found = wait_until(
        "the brokers tell of the change",
        lambda: (seen := plan(shop, settings)).with_action(Action.CHANGE) and seen,
    )
    [step] = found.with_action(Action.CHANGE)
    assert {change.name for change in step.config} == {"retention.ms", "message.timestamp.type"}
    assert apply_plan(found, settings).changed == (lane,)
    await_nothing_to_do(shop, settings)


# Partitions


def test_fewer_partitions_are_refused_and_the_rest_is_still_applied(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(declare(shop.name, partitions=3), settings)
    ClusterWriter(settings).configure({f"{shop.name}.events": {"retention.ms": "1000"}})
    report = apply(shop, settings)
    assert not report.ok
    assert "has 3 partitions and 2 are declared" in report.refused[0]
    assert report.changed == (f"{shop.name}.events",)


def test_partitions_are_added_only_when_asked_for_and_then_recorded(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(shop, settings)
    lane, grown = lane_of(shop), declare(shop.name, partitions=5)
    assert known_partitions(settings, shop.topology, lane) == 2
    report = apply(grown, settings)
    assert "--grow-partitions" in report.refused[0]
    assert ClusterReader(settings).topics([lane])[lane].partitions == 2
    notes = grown.topology.dedup("mail")
    assert apply(grown, settings, grow=True).grown == (lane, notes)
    assert ClusterReader(settings).topics([notes])[notes].partitions == 5
    assert offsets_of(settings, lane) == {(lane, partition): 0 for partition in range(5)}
    assert known_partitions(settings, shop.topology, lane) == 5
    await_nothing_to_do(grown, settings)


def test_partitions_added_under_a_live_worker_are_its_own_to_begin_at_zero(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(shop, settings)
    lane, grown = lane_of(shop), declare(shop.name, partitions=4)
    with closing(make_consumer(settings, lane)) as worker:
        join(worker, lane)
        report = apply(grown, settings, grow=True)
        assert report.ok
        assert lane in report.grown
        assert report.offsets == 0
        known = known_partitions(settings, shop.topology, lane)
        assert [p for p in range(4) if starting_offset_allowed(p, known)] == [2, 3]
        await_nothing_to_do(grown, settings)
    assert apply(grown, settings).offsets == 2
    assert known_partitions(settings, shop.topology, lane) == 4


def test_a_lane_of_unknown_history_gets_its_count_recorded_before_it_grows(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(shop, settings)
    lane, control = lane_of(shop), shop.topology.control
    write_all(settings, [CompactedRecord(control, f"partitions/{lane}".encode(), None)])
    with closing(make_consumer(settings, lane)) as worker:
        join(worker, lane)
        assert apply(declare(shop.name, partitions=4), settings, grow=True).ok
    assert known_partitions(settings, shop.topology, lane) == 2


def join(worker: Any, topic: str) -> None:
    worker.subscribe([topic])
    deadline = time.monotonic() + 30
    while not worker.assignment():
        assert time.monotonic() < deadline, "the worker got no partition"
        worker.poll(0.1)


# Offsets that are lost


def test_records_without_an_offset_are_refused_by_name_until_the_operator_decides(
    shop: Pipeline, settings: KafkaSettings, admin: AdminClient, kafka: str
) -> None:
    apply(shop, settings)
    lane = lane_of(shop)
    produce(kafka, lane, 1, count=3)
    forget_offsets(admin, lane)
    report = apply(shop, settings)
    [problem] = report.refused
    assert f"{lane}: partition 1 holds records" in problem
    assert "--from earliest" in problem
    assert offsets_of(settings, lane) == {(lane, 0): 0}
    assert apply(shop, settings, start="latest").ok
    assert offsets_of(settings, lane) == {(lane, 0): 0, (lane, 1): 3}


def test_from_earliest_begins_with_the_first_record_that_is_kept(
    shop: Pipeline, settings: KafkaSettings, admin: AdminClient, kafka: str
) -> None:
    apply(shop, settings)
    lane = lane_of(shop)
    produce(kafka, lane, 0, count=5)
    _delete_records(admin, lane, 0, below=2)
    forget_offsets(admin, lane)
    assert apply(shop, settings, start="earliest").ok
    assert offsets_of(settings, lane)[lane, 0] == 2


def _delete_records(admin: AdminClient, topic: str, partition: int, below: int) -> None:

    for future in admin.delete_records([TopicPartition(topic, partition, below)]).values():
        future.result()


def test_the_lost_offset_of_a_live_worker_is_left_to_it(
    shop: Pipeline, settings: KafkaSettings, admin: AdminClient, kafka: str
) -> None:
    apply(shop, settings)
    lane = lane_of(shop)
    forget_offsets(admin, lane)
    produce(kafka, lane, 0)
    idle = plan(shop, settings, start="earliest")
    with closing(make_consumer(settings, lane, **GUESSING)) as worker:
        join(worker, lane)
        live = plan(shop, settings, start="earliest")
        overtaken = apply_plan(idle, settings)
    assert "live workers" in live.refused[0]
    assert "live workers" in overtaken.refused[0]
    assert overtaken.offsets == 0


# Who starts without topics, and what Kafka refuses


def test_whoever_starts_without_topics_is_told_which_and_how_to_make_them(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    with pytest.raises(TopicError, match="headrace topics apply") as raised:
        check_topics(shop, settings)
    assert lane_of(shop) in str(raised.value)
    assert f"{shop.name}.delay.soon" in str(raised.value)
    apply(shop, settings)
    check_topics(shop, settings)


def test_a_broker_that_is_not_there_is_an_error_with_its_address_within_the_time_limit() -> None:
    nowhere = load(KafkaSettings, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:1.*HEADRACE_BOOTSTRAP_SERVERS"):
        check_topics(declare("nowhere"), nowhere, timeout=timedelta(milliseconds=500))
    with pytest.raises(KafkaUnavailableError, match="reading nowhere"):
        read_latest(nowhere, ["nowhere.schemas"], timedelta(milliseconds=500))


def test_more_replicas_than_brokers_are_refused_with_the_setting_to_change(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    many = load(TopicSettings, topic_replication=100)
    with pytest.raises(TopicError, match="HEADRACE_TOPIC_REPLICATION"):
        apply_plan(plan_topics(shop, settings, many), settings)


def test_a_missing_right_names_the_user_the_thing_and_the_right() -> None:
    user = load(
        KafkaSettings,
        bootstrap_servers="kafka:9092",
        security_protocol="sasl_ssl",
        sasl_mechanism="PLAIN",
        sasl_username="shop-deploy",
        sasl_password="secret",
    )
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    error = explain("creating topic shop.mail.high", denied, user)
    assert isinstance(error, RightsError)
    assert "creating topic shop.mail.high" in str(error)
    assert "'shop-deploy'" in str(error)
    assert "CREATE" in str(error)
    assert "secret" not in str(error)


def test_what_kafka_refuses_for_one_topic_does_not_keep_the_others_from_being_made(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    writer = ClusterWriter(settings)
    with pytest.raises(TopicError, match="bad name"):
        writer.create([_new("bad name", 1), _new(lane_of(shop), 1)])
    writer.await_leaders({lane_of(shop): 1})


# Schemas


def test_apply_publishes_the_declared_schemas(shop: Pipeline, settings: KafkaSettings) -> None:
    report = apply(shop, settings)
    published = SchemaTopic(settings, shop.topology).read()
    assert set(published.values()) == set(declared_schemas(shop))
    assert set(report.schemas) == {"mail.send", "JobTransitions", "Heartbeat"}


def test_counts_on_the_control_topic_can_be_read_by_any_tool(
    shop: Pipeline, settings: KafkaSettings
) -> None:
    apply(shop, settings)
    control = shop.topology.control
    records = read_latest(settings, [control])[control]
    assert json.loads(records[f"partitions/{lane_of(shop)}".encode()]) == {"partitions": 2}
