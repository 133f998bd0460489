"""What must be true before the first job of a type goes to a lane: topics there, schema published.

Done once per lane and per job type, and remembered.
"""

import threading
from collections.abc import Mapping, Sequence
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
from headrace.schemas.codec import RecordCodec, record_codec_from_schema

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
            if lane.topic not in self._limits:
                self._check([lane])
            if job.codec.fingerprint not in self._published:
                self._publish(job.job_type, job.codec)
            return self._limits[lane.topic]

    def ensure_all(self) -> None:
        """Do for every lane and every declared type what `ensure` does for one. Raises as it does."""
        with self._lock:
            self._check(list(self._pipeline.topology.lanes()))
            for declared in self._pipeline.job_types.values():
                if declared.arguments.fingerprint not in self._published:
                    self._publish(declared.name, declared.arguments)

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

    def _publish(self, job_type: str, codec: RecordCodec) -> None:
        """Publish a type's schema, and in the same go those of all declared ones."""
        wanted = {codec.fingerprint: (job_type, codec)}
        for each in self._pipeline.job_types.values():
            wanted.setdefault(each.arguments.fingerprint, (each.name, each.arguments))
        self._schemas.publish(
            PublishedSchema(name, each.schema_text, mark)
            for mark, (name, each) in wanted.items()
            if mark not in self._published
        )
        self._published.update(wanted)

    def _check(self, lanes: Sequence[Lane]) -> None:
        """See that the lanes are there, and learn how large their records may be."""
        topology = self._pipeline.topology
        needed = {*map(topology.tier, TIERS)}
        for lane in lanes:
            needed |= {lane.topic, topology.dead_letters(lane.queue)}
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
        for topic, most in max_message_bytes(admin, [lane.topic for lane in lanes]).items():
            self._limits[topic] = most - HEADER_RESERVE


def max_message_bytes(admin: Any, topics: Sequence[str]) -> dict[str, int]:
    """Ask the broker for the largest record that each topic takes; its default without the right."""
    from headrace.pipeline.topics.api import ConfigResource, ResourceType  # noqa: PLC0415 - rarely

    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    answers = admin.describe_configs(resources, request_timeout=10)
    found: dict[str, int] = {}
    for topic, resource in zip(topics, resources, strict=True):
        try:
            found[topic] = int(answers[resource].result()["max.message.bytes"].value)
        except KafkaException:
            found[topic] = 1_048_588
    return found
