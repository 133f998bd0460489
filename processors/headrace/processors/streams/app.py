"""A Faust app on a pipeline's topics."""

from typing import Any

import faust

from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.settings import KafkaSettings, StatisticsSettings, TopicSettings, load
from headrace.processors.errors import StreamError
from headrace.processors.streams import compression
from headrace.processors.streams.connection import CommittedTransport, broker_urls, credentials
from headrace.processors.streams.values import ArgumentsCodec, TransitionCodec
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders

_BUFFERED = 64
"""Records that wait in front of an agent, for each topic: one of the events topic holds up to 500
transitions."""


class PipelineApp(faust.App):
    """A Faust app that knows a pipeline's topics. Made by `faust_app`.

    It opens no port, reads no record of an aborted transaction, and keeps its files under
    HEADRACE_STATS_DIR.

    Attributes:
        pipeline: The declaration.
        kafka: Where Kafka is.
        begin_back: Where it begins when it runs for the first time: so many milliseconds before
            now, or at the earliest record that is kept when None.
    """

    def __init__(self, pipeline: Pipeline, name: str, kafka: KafkaSettings, folder: str) -> None:
        self.pipeline = pipeline
        self.kafka = kafka
        self.begin_back: int | None = None
        compression.provide()
        session = kafka.session_timeout.total_seconds()
        super().__init__(
            f"{pipeline.name}.{name}",
            broker=broker_urls(kafka),
            broker_credentials=credentials(kafka),
            broker_client_id=kafka.client_id,
            broker_session_timeout=session,
            broker_heartbeat_interval=session / 10,
            broker_request_timeout=max(90.0, session),
            datadir=folder,
            store="memory://",
            web_enabled=False,
            autodiscover=False,
            stream_buffer_maxsize=_BUFFERED,
            stream_recovery_delay=0.0,
            # A table has as many partitions as what it is made of: the events topic.
            topic_partitions=load(TopicSettings).events_partitions,
            topic_disable_leader=True,
        )

    def _new_transport(self) -> Any:
        return CommittedTransport(self.conf.broker_consumer, self)

    def transitions_topic(self) -> Any:
        """Give the events topic: a stream of it gives `TransitionBatch` values.

        All transitions of a job come in one partition, in the order in which they were stored,
        with those of its lane.
        """
        codec = TransitionCodec(self.kafka, self.pipeline.topology)
        return self.topic(
            self.pipeline.topology.events, value_serializer=codec, key_serializer="raw"
        )

    def jobs_topic(self, queue: str, priority: str | None = None) -> Any:
        """Give a lane's topic: a stream of it gives `JobArguments`; `job_of` tells of whom.

        Faust handles some 5,000 records a second, and a lane has one for each job and retry.

        Args:
            queue: A declared queue.
            priority: The queue's default priority when not given.

        Raises:
            StreamError: The pipeline has no such lane.
        """
        lane = self._lane(queue, priority)
        codec = ArgumentsCodec(self.pipeline, known_schemas(self.pipeline, self.kafka))
        return self.topic(lane.topic, value_serializer=codec, key_serializer="raw")

    def _lane(self, queue: str, priority: str | None) -> Lane:
        declared = self.pipeline.queues.get(queue)
        wanted = priority or (declared.default_priority if declared is not None else "")
        for lane in self.pipeline.topology.lanes():
            if (lane.queue, lane.priority) == (queue, wanted):
                return lane
        lanes = ", ".join(
            f"{lane.queue}.{lane.priority}" for lane in self.pipeline.topology.lanes()
        )
        raise StreamError(
            f"pipeline {self.pipeline.name!r} has no lane {queue}.{wanted}: its lanes are {lanes}"
        )


def faust_app(
    pipeline: Pipeline,
    name: str = "streams",
    *,
    kafka: KafkaSettings | None = None,
    settings: StatisticsSettings | None = None,
) -> PipelineApp:
    """Make a Faust app for one's own stream processing.

    Args:
        pipeline: The declaration.
        name: What the app is called within the pipeline. Processes of one name share the
            partitions; another app needs another name.
        kafka: Where Kafka is; as the environment says when not given.
        settings: As the environment says when not given.

    Raises:
        SettingsError: A setting is wrong, or no broker is set and no embedded one runs here.
    """
    found = settings or load(StatisticsSettings)
    folder = found.stats_dir / f"{pipeline.name}.{name}"
    return PipelineApp(pipeline, name, kafka or load(KafkaSettings), str(folder))


def job_of(event: Any) -> JobHeaders:
    """Tell whose record an event of `jobs_topic` is.

    Raises:
        InvalidHeadersError: The record is no job.
    """
    message = event.message
    found = message.headers or []
    pairs = list(found.items()) if isinstance(found, dict) else list(found)
    timestamp = int((message.timestamp or 0) * 1000)
    return headers.decode(pairs, lane=message.topic, timestamp=timestamp)
