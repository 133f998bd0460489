"""Following one job as transitions tell of it."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Message

from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.tail import Tail
from headrace.processors.batches import BatchReader
from headrace.processors.sightings import as_bytes
from headrace.processors.snapshot import CLOCK_MARGIN
from headrace.schemas.transitions import Transition


class JobWatch(AbstractContextManager["JobWatch"]):
    """Gives what is told of a job from a moment on, each transition once. One thread owns it.

    Args:
        pipeline: The declaration; handlers are not needed.
        kafka: Where Kafka is.
        job_id: The job.
        since: Epoch milliseconds; what was told shortly before is given too.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The events topic does not exist or may not be read.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings, job_id: str, since: int) -> None:
        self._kafka = kafka
        self._topic = pipeline.topology.events
        self._job_id = job_id
        self._mark = job_id.encode()
        self._batches = BatchReader(kafka, pipeline.topology)
        self._seen: set[Transition] = set()
        self._new: list[Transition] = []
        self._tail = Tail(kafka, self._topic, self._take)
        try:
            self._tail.start(max(0, since - CLOCK_MARGIN))
        except KafkaException as error:
            self._tail.close()
            raise self._explained(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tail.close()

    def __enter__(self) -> Self:
        return self

    def news(self, seconds: float) -> list[Transition]:
        """Give what was told since the last call, in the order of the job's life.

        Args:
            seconds: How long to wait when nothing was.

        Raises:
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: Kafka refused.
        """
        try:
            self._tail.poll(seconds)
        except KafkaException as error:
            raise self._explained(error) from error
        found, self._new = self._new, []
        return sorted(found, key=lambda each: each.order)

    def _take(self, message: Message) -> None:
        if self._mark not in (as_bytes(message.value()) or b""):
            return
        for each in self._batches.read(message):
            if each.job_id == self._job_id and each not in self._seen:
                self._seen.add(each)
                self._new.append(each)

    def _explained(self, error: KafkaException) -> Exception:
        return explain(f"following {self._topic}", kafka_error(error), self._kafka)
