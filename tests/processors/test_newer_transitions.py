"""Transitions of a newer version on a real Kafka: readable as soon as their schema is published."""

import io
import json
import logging
import time

import fastavro
import pytest
from confluent_kafka import Producer as RawProducer

from headrace.pipeline.schema_topic import PublishedSchema, SchemaTopic
from headrace.processors.job_history import JobHistory
from headrace.schemas import transitions
from headrace.schemas.fingerprint import fingerprint, schema_text
from headrace.schemas.framing import single_object_prefix
from tests.processors.view_shop import kafka_settings, make_shop, make_topics

pytestmark = pytest.mark.kafka


def newer_batch(lane: str) -> tuple[PublishedSchema, bytes]:
    schema = json.loads(transitions.TEXT)
    schema["fields"].append({"name": "zone", "type": "string", "default": ""})
    now = time.time_ns() // 1_000_000
    row = {"job_id": "a-job", "job_type": "greet", "state": "succeeded", "partition": 0, "offset": 0,
           "attempt": 1, "step": 0, "generation": 0, "time": now, "created": now}  # fmt: skip
    buffer = io.BytesIO()
    batch = {"lane": lane, "worker": "w", "transitions": [row], "zone": "north"}
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), batch)
    mark = fingerprint(schema)
    published = PublishedSchema("JobTransitions", schema_text(schema), mark, ("transitions",))
    return published, single_object_prefix(mark) + buffer.getvalue()


def test_jobs_told_of_by_a_newer_worker_are_listed_once_its_schema_is_published(
    kafka: str, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    schema, batch = newer_batch(f"{shop.name}.default.normal")
    raw = RawProducer({"bootstrap.servers": kafka})
    raw.produce(shop.topology.events, batch)
    raw.flush(10)
    with caplog.at_level(logging.WARNING, "headrace.events"):
        assert JobHistory(shop, settings).newest() == ()
    assert schema.fingerprint.hex() in caplog.text
    SchemaTopic(settings, shop.topology).write([schema])
    assert [job.job_id for job in JobHistory(shop, settings).newest()] == ["a-job"]


def test_apply_publishes_the_schema_of_transitions(kafka: str, unique_name: str) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    published = SchemaTopic(settings, shop.topology).read()[transitions.FINGERPRINT]
    assert (published.name, published.parts) == ("JobTransitions", ("transitions",))
