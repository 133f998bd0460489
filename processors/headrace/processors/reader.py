"""Reading parts of topics: forwards in bulk, or backwards from the end in growing windows."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.snapshot import LogSpan

Progress = Callable[[int, int], None]
"""Told how many offsets are read, and how many there are to read."""
_BATCH: Final = 5_000
_POLL_SECONDS: Final = 0.2
_PATIENCE: Final = 15.0
"""Seconds of silence after which Kafka counts as unavailable."""
_GROWTH: Final = 3


class TopicReader(AbstractContextManager["TopicReader"]):
    """Reads committed records; belongs to no group and commits nothing. One thread owns it.

    Args:
        kafka: Where Kafka is.
        progress: Told how far it is, some times a second.
        extra: Further librdkafka settings.
    """

    def __init__(
        self, kafka: KafkaSettings, progress: Progress | None = None, **extra: object
    ) -> None:
        self._kafka = kafka
        self._progress = progress
        self._consumer: Consumer = make_reader(kafka, **extra)
        self._knows_leaders = False
        self.read_offsets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def read(self, spans: Iterable[LogSpan], *, first_only: bool = False) -> Iterator[Message]:
        """Give every committed record of the spans, in order within each partition.

        Args:
            spans: What to read. Offsets that hold no record (transaction markers, aborted
                records, what retention deleted meanwhile) are passed over.
            first_only: Whether one record of each span is enough.

        Raises:
            KafkaUnavailableError: Nothing came for 15 s.
            TopicError: Kafka refused.
        """
        wanted = [span for span in spans if span.start < span.end]
        if not wanted:
            return
        doing = f"reading {', '.join(sorted({span.topic for span in wanted}))}"
        try:
            self._assign(wanted)
            yield from self._read(wanted, doing, first_only=first_only)
        except KafkaException as error:
            raise explain(doing, kafka_error(error), self._kafka) from error

    def _assign(self, spans: Iterable[LogSpan]) -> None:
        if not self._knows_leaders:
            # To assign a partition whose broker is not known yet costs half a second.
            self._consumer.list_topics(timeout=_PATIENCE)
            self._knows_leaders = True
        self._consumer.assign(
            [TopicPartition(span.topic, span.partition, span.start) for span in spans]
        )

    def _read(self, spans: list[LogSpan], doing: str, *, first_only: bool) -> Iterator[Message]:
        waiting = {span.place: span.end for span in spans}
        offsets = {span.place: span.start for span in spans}
        total = sum(span.end - span.start for span in spans)
        last_sign = time.monotonic()
        while waiting:
            messages = self._some()
            if not messages and time.monotonic() - last_sign > _PATIENCE:
                raise KafkaUnavailableError(
                    f"{doing}: nothing came for {_PATIENCE:g} s; check that Kafka is well, then "
                    "try again"
                )
            for message in messages:
                self._check(message)
                if _wanted(message, waiting, offsets, first_only=first_only):
                    yield message
            if messages:  # after them: whoever takes them may take his time
                last_sign = time.monotonic()
            done = total - sum(end - offsets[place] for place, end in waiting.items())
            if self._progress is not None:
                self._progress(done, total)
        self.read_offsets += total

    def rest(self) -> None:
        """Fetch nothing until the next reading: what is assigned is read ahead without end."""
        self._consumer.unassign()

    def _check(self, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
            raise explain(f"reading topic {message.topic()}", error, self._kafka, right="READ")

    def _some(self) -> list[Message]:
        first = self._consumer.poll(_POLL_SECONDS)
        return [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]


def _wanted(
    message: Message, waiting: dict[Place, int], offsets: dict[Place, int], *, first_only: bool
) -> bool:
    """Tell whether a record belongs to its span, and note when the span ends with it."""
    place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
    error = message.error()
    if error is not None:  # the end of the partition
        waiting.pop(place, None)
        return False
    end = waiting.get(place)
    if end is None:
        return False
    offsets[place] = min(offset, end)
    if first_only or offset >= end - 1:
        del waiting[place]
    return offset < end


class TailReader:
    """Reads partitions backwards, in windows that grow, until somebody has seen enough.

    Args:
        reader: Reads.
        spans: What there is.
        window: Offsets of each partition in the first round.
    """

    def __init__(
        self, reader: TopicReader, spans: Iterable[LogSpan], window: Callable[[str], int]
    ) -> None:
        self._reader = reader
        self._left = {span.place: span for span in spans if span.start < span.end}
        self._first: dict[Place, int] = {}
        self._window = window
        self._factor = 1

    @property
    def exhausted(self) -> bool:
        """Whether everything has been read."""
        return not self._left

    @property
    def horizon(self) -> int:
        """Since when everything has been read: an append time in epoch ms, 0 for all of it."""
        return max((self._first.get(place, _NEVER) for place in self._left), default=0)

    def more(self) -> Iterator[Message]:
        """Give the records of the next window: older than all given so far, partition by partition."""
        windows = [self._next(span) for span in self._left.values()]
        self._factor *= _GROWTH
        for message in self._reader.read(windows):
            place = (message.topic() or "", message.partition() or 0)
            appended = message.timestamp()[1]
            self._first[place] = min(appended, self._first.get(place, appended))
            yield message
        self._left = self._without(windows)

    def _next(self, span: LogSpan) -> LogSpan:
        return span.from_offset(span.end - self._window(span.topic) * self._factor)

    def _without(self, windows: Iterable[LogSpan]) -> dict[Place, LogSpan]:
        shorter = (replace(self._left[window.place], end=window.start) for window in windows)
        return {span.place: span for span in shorter if span.start < span.end}


_NEVER: Final = 2**63
