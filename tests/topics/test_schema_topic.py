"""Schemas on their compacted topic: what a reader of a record has to go by."""

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.compacted import TIMEOUT, CompactedRecord, read_latest, write_all
from headrace.pipeline.known_schemas import KnownSchemas, known_schemas
from headrace.pipeline.schema_topic import (
    PublishedSchema,
    SchemaTopic,
    declared_schemas,
    latest_arguments,
)
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.pipeline.topics.api import NewTopic
from headrace.pipeline.topics.reading import ClusterReader
from headrace.pipeline.topics.writing import ClusterWriter
from headrace.schemas.errors import FingerprintCollisionError, UnknownSchemaError
from headrace.schemas.parsed import parse

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return load(KafkaSettings, bootstrap_servers=kafka)


@pytest.fixture
def pipeline(unique_name: str) -> Pipeline:
    pipeline = Pipeline(unique_name, queues=[Queue("mail", priorities=("high",), partitions=1)])

    @pipeline.job("mail.send")
    def send(to: str, subject: str) -> None: ...

    return pipeline


@pytest.fixture
def topic(pipeline: Pipeline, settings: KafkaSettings) -> Iterator[SchemaTopic]:
    writer = ClusterWriter(settings)
    name = pipeline.topology.schemas
    writer.create([NewTopic(name, 1, 1, config={"cleanup.policy": "compact"})])
    writer.await_leaders({name: 1})
    yield SchemaTopic(settings, pipeline.topology)
    for future in writer.admin.delete_topics([name]).values():
        future.result()


def schema(name: str, *fields: str, logical: str | None = None) -> PublishedSchema:
    kind: Any = {"type": "long", "logicalType": logical} if logical else "long"
    declared = {
        "type": "record",
        "name": name.replace(".", "_"),
        "fields": [{"name": field, "type": kind} for field in fields],
    }
    text = json.dumps(declared)
    return PublishedSchema(name, text, parse(text).fingerprint)


def end_of(settings: KafkaSettings, topic: str) -> int:
    return ClusterReader(settings).spans([(topic, 0)])[topic, 0].end


def test_what_is_published_can_be_read_and_is_not_published_twice(
    topic: SchemaTopic, settings: KafkaSettings
) -> None:
    wanted = [schema("mail.send", "to"), schema("mail.count", "n")]
    assert topic.publish(wanted) == tuple(wanted)
    assert dict(topic.read()) == {each.fingerprint: each for each in wanted}
    assert topic.publish(wanted) == ()
    assert end_of(settings, topic.topic) == 2


def test_a_record_on_the_topic_is_json_under_the_fingerprint_in_hex(
    topic: SchemaTopic, settings: KafkaSettings
) -> None:
    published = schema("mail.send", "to")
    topic.publish([published])
    [(key, value)] = read_latest(settings, [topic.topic])[topic.topic].items()
    assert key.decode() == published.fingerprint.hex()
    document = json.loads(value)
    assert document["name"] == "mail.send"
    assert document["parts"] == ["arguments"]
    assert document["schema"] == published.text


def test_a_fingerprint_that_stands_for_another_text_is_refused_and_nothing_is_written(
    topic: SchemaTopic, settings: KafkaSettings
) -> None:
    topic.publish([schema("mail.send", "at")])
    changed = schema("mail.send", "at", logical="timestamp-micros")
    assert changed.fingerprint == schema("mail.send", "at").fingerprint
    with pytest.raises(FingerprintCollisionError, match=r"mail\.send.*already published"):
        topic.publish([schema("mail.other", "n"), changed])
    assert end_of(settings, topic.topic) == 1


def test_a_plan_refuses_a_schema_whose_fingerprint_is_taken(
    pipeline: Pipeline, topic: SchemaTopic, settings: KafkaSettings
) -> None:
    [arguments, *_] = declared_schemas(pipeline)
    with_default = json.loads(arguments.text)
    with_default["fields"][0]["default"] = "nobody"
    topic.write([PublishedSchema("mail.send", json.dumps(with_default), arguments.fingerprint)])
    plan = plan_topics(pipeline, settings, load(TopicSettings, topic_partitions=1))
    assert any("already published with another text" in problem for problem in plan.refused)
    assert arguments not in plan.schemas


def test_after_a_rollback_the_old_schema_is_in_force_again(topic: SchemaTopic) -> None:
    old, new = schema("mail.send", "to"), schema("mail.send", "to", "cc")
    topic.publish([old])
    topic.publish([new])
    assert latest_arguments(topic.read(), "mail.send") == new
    assert topic.publish([old]) == (old,)
    assert latest_arguments(topic.read(), "mail.send") == old
    assert topic.publish([old]) == ()


def test_arguments_and_result_that_look_alike_are_one_schema_with_two_parts() -> None:
    twins = Pipeline("twins")

    @twins.job("same")
    def same(value: int) -> int:
        return value

    only = declared_schemas(twins)[0]
    assert only.parts == ("arguments", "result")


def test_records_that_are_no_schemas_are_left_out_with_a_warning(
    topic: SchemaTopic, settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    good = schema("mail.send", "to")
    wrong_key = CompactedRecord(topic.topic, b"00" * 8, good.value)
    write_all(
        settings,
        [
            CompactedRecord(topic.topic, b"not hex", b"not json"),
            CompactedRecord(topic.topic, b"11" * 8, b"[]"),
            wrong_key,
            CompactedRecord(topic.topic, good.key, good.value),
        ],
    )
    assert list(topic.read().values()) == [good]
    assert len([r for r in caplog.records if "no schema" in r.getMessage()]) == 3


def test_removed_and_unkeyed_records_are_not_among_the_latest(
    topic: SchemaTopic, settings: KafkaSettings
) -> None:
    name = topic.topic
    write_all(
        settings,
        [
            CompactedRecord(name, b"a", b"1"),
            CompactedRecord(name, b"b", b"1"),
            CompactedRecord(name, b"a", b"2"),
            CompactedRecord(name, b"b", None),
        ],
    )
    assert read_latest(settings, [name]) == {name: {b"a": b"2"}}


def test_a_topic_with_only_an_aborted_transaction_is_read_to_its_end(
    topic: SchemaTopic, settings: KafkaSettings, unique_name: str
) -> None:
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap_servers, "transactional.id": unique_name}
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic.topic, b"never", b"key")
    producer.flush()
    producer.abort_transaction()
    assert topic.read() == {}


# Looking schemas up


class CountingTopic(SchemaTopic):
    reads = 0

    def read(self, timeout: timedelta = TIMEOUT) -> Mapping[bytes, PublishedSchema]:
        self.reads += 1
        return super().read(timeout)


@pytest.fixture
def counting(pipeline: Pipeline, topic: SchemaTopic, settings: KafkaSettings) -> CountingTopic:
    return CountingTopic(settings, pipeline.topology)


def test_a_declared_schema_is_known_without_a_look_at_the_topic(counting: CountingTopic) -> None:
    own = schema("mail.send", "to")
    known = KnownSchemas([own], counting)
    assert known.by_fingerprint(own.fingerprint).text == own.text
    assert counting.reads == 0


def test_a_schema_published_by_somebody_else_is_found_on_the_topic(
    topic: SchemaTopic, counting: CountingTopic
) -> None:
    foreign, another = schema("mail.new", "to"), schema("mail.newer", "to")
    topic.publish([foreign, another])
    known = KnownSchemas([], counting)
    assert known.by_fingerprint(foreign.fingerprint).text == foreign.text
    assert known.by_fingerprint(another.fingerprint).text == another.text
    assert counting.reads == 1


def test_the_topic_is_read_once_in_five_seconds_however_many_unknown_schemas_come(
    topic: SchemaTopic, counting: CountingTopic
) -> None:
    now = [100.0]
    late = schema("mail.late", "to")
    known = KnownSchemas([], counting, clock=lambda: now[0])
    for mark in (late.fingerprint, b"8 bytes!"):
        with pytest.raises(UnknownSchemaError, match="headrace topics apply"):
            known.by_fingerprint(mark)
    topic.publish([late])
    now[0] += 4.9
    with pytest.raises(UnknownSchemaError, match=late.fingerprint.hex()):
        known.by_fingerprint(late.fingerprint)
    assert counting.reads == 1
    now[0] += 0.2
    assert known.by_fingerprint(late.fingerprint).text == late.text


def test_threads_that_meet_an_unknown_schema_at_once_share_one_read(
    topic: SchemaTopic, counting: CountingTopic
) -> None:
    foreign = schema("mail.new", "to")
    topic.publish([foreign])
    known = KnownSchemas([], counting)
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(known.by_fingerprint(foreign.fingerprint).text)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [foreign.text] * 4
    assert counting.reads == 1


def test_a_topic_that_cannot_be_read_leaves_the_schema_unknown_and_says_why(
    pipeline: Pipeline, settings: KafkaSettings
) -> None:
    known = known_schemas(pipeline, settings)  # the topic was never made
    with pytest.raises(UnknownSchemaError, match=r"cannot be read.*headrace topics apply"):
        known.by_fingerprint(b"8 bytes!")


def test_a_registry_id_without_a_registry_names_the_variable(
    pipeline: Pipeline, settings: KafkaSettings
) -> None:
    with pytest.raises(UnknownSchemaError, match="HEADRACE_SCHEMA_REGISTRY_URL"):
        known_schemas(pipeline, settings).by_registry_id(7)


def test_a_record_of_another_version_of_the_service_is_decoded_after_apply(
    pipeline: Pipeline, settings: KafkaSettings
) -> None:
    newer = Pipeline(pipeline.name, queues=pipeline.queues.values())

    @newer.job("mail.send")
    def send(to: str, subject: str, urgent: bool = False) -> None: ...

    small = load(TopicSettings, topic_partitions=1, delay_partitions=1, events_partitions=1)
    apply_plan(plan_topics(newer, settings, small), settings)
    job = send.job("a@example.com", "Hi", urgent=True)
    payload = send.arguments.encode(job.arguments)
    older = pipeline.job_type("mail.send").arguments
    assert older.decode(payload, known_schemas(pipeline, settings)) == {
        "to": "a@example.com",
        "subject": "Hi",
    }
