"""What must be true before the first job of a type goes to a lane: topics there, schema published.

Done once per lane and per job type, and remembered.
"""

import threading
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.errors import TopicError, UnknownJobTypeError
from headrace.pipeline.job import Job, JobPolicy
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.schema_topic import PublishedSchema, SchemaTopic, latest_arguments
from headrace.pipeline.settings import KafkaSettings, ProducerSettings
from headrace.pipeline.topology import TIERS
from headrace.producers.errors import SubmitError
from headrace.schemas.codec import record_codec_from_schema

HEADER_RESERVE = 16_384
"""Bytes of a lane's record limit that submissions leave free, because retries add headers."""


class Preparation:
    """Checks topics and publishes schemas, each once."""

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, settings: ProducerSettings
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._timeout = to_milliseconds(settings.producer_delivery_timeout) / 1000
        self._schemas = SchemaTopic(kafka, pipeline.topology)
        self._limits: dict[str, int] = {}
        self._published: set[bytes] = set()
        self._lock = threading.Lock()

    def ensure(self, lane: Lane, job: Job[Any]) -> int:
        """Make sure that the lane exists and that readers can find the job's schema.

        Returns:
            Bytes that a record of the lane may have.

        Raises:
            TopicError: The lane, or a topic that its jobs may need, does not exist.
            SubmitError: Kafka does not answer within the delivery time-out.
            FingerprintCollisionError: Another schema with this fingerprint is published.
        """
        limit = self._limits.get(lane.topic)
        if limit is not None and job.codec.fingerprint in self._published:
            return limit
        with self._lock:
            limit = self._limits.get(lane.topic)
            if limit is None:
                limit = self._limits[lane.topic] = self._check(lane)
            if job.codec.fingerprint not in self._published:
                self._schemas.publish(
                    [PublishedSchema(job.job_type, job.codec.schema_text, job.codec.fingerprint)]
                )
                self._published.add(job.codec.fingerprint)
        return limit

    def published_job(self, name: str, arguments: Mapping[str, Any]) -> Job[Any]:
        """Make a job of a type that only the schema topic knows.

        It goes to the first queue that the pipeline declares.

        Raises:
            UnknownJobTypeError: Nobody has published a schema of that name.
            ArgumentError: An argument does not fit the schema.
        """
        found = latest_arguments(self._schemas.read(), name)
        if found is None:
            declared = ", ".join(sorted(self._pipeline.job_types)) or "none"
            raise UnknownJobTypeError(
                f"pipeline {self._pipeline.name!r} declares no job type {name!r} and none is "
                f"published on {self._pipeline.topology.schemas} (declared: {declared}); "
                "nothing was sent"
            )
        codec = record_codec_from_schema(found.text)
        queue = next(iter(self._pipeline.queues.values()))
        policy = JobPolicy(queue.name, queue.default_priority)
        return Job(name, policy, codec, codec.bind(**arguments))

    def _check(self, lane: Lane) -> int:
        topology = self._pipeline.topology
        needed = {lane.topic, topology.dead_letters(lane.queue), *map(topology.tier, TIERS)}
        admin = make_admin(self._kafka)
        try:
            existing = admin.list_topics(timeout=self._timeout).topics
        except KafkaException as error:
            raise SubmitError(
                f"Kafka at {self._kafka.bootstrap_servers or 'the embedded broker'} did not answer "
                f"within {self._timeout:g} s: {error}; nothing was sent"
            ) from error
        missing = sorted(needed - set(existing))
        if missing:
            raise TopicError(
                f"topics are missing: {', '.join(missing)}; make them with "
                "`headrace topics apply module:pipeline`; nothing was sent"
            )
        return max_message_bytes(admin, lane.topic) - HEADER_RESERVE


def max_message_bytes(admin: Any, topic: str) -> int:
    """Ask the broker for the largest record that a topic takes; its default without the right."""
    from headrace.pipeline.topics.api import ConfigResource, ResourceType  # noqa: PLC0415 - rarely

    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        config = admin.describe_configs([resource], request_timeout=10)[resource].result()
        return int(config["max.message.bytes"].value)
    except KafkaException:
        return 1_048_588
