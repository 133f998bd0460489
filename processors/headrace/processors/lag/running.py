"""What workers tell in their heartbeats that they run, for a verdict that knows of long jobs."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaException

from headrace.pipeline.errors import TopicError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.lag.report import Running
from headrace.processors.workers import WorkerReader, WorkerView

_LOG: Final = logging.getLogger("headrace.lag")


class RunningReader:
    """Reads what runs, again and again. One thread owns it.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._reader: WorkerReader | None = None

    def read(self) -> Mapping[Place, Running]:
        """Give what runs of each partition of a lane; nothing where nobody may read heartbeats.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
        """
        if self._reader is None:
            self._reader = WorkerReader(self._pipeline, self._kafka)
        try:
            return running_in(self._reader.read())
        except TopicError as error:
            _LOG.debug("what workers run is not known: %s", error)
            self.close()
            return {}

    def close(self) -> None:
        """Let go of Kafka."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(KafkaException):
                reader.close()


def running_in(view: WorkerView) -> Mapping[Place, Running]:
    """Take what runs out of a view."""
    found: dict[Place, Running] = {}
    for lane in view.lanes:
        for partition in range(view.partitions[lane]):
            since = view.oldest_start(lane, partition)
            if since is not None:
                found[lane, partition] = Running(view.running(lane, partition), since)
    return found
