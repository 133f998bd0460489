"""Following the control topic: one thread in each process that runs or moves jobs."""

import threading
import time
from contextlib import closing
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.consumers.circuits import Circuits
from headrace.consumers.clock import now_ms
from headrace.consumers.orders import Orders
from headrace.consumers.seldom import Seldom
from headrace.pipeline.circuits import job_type_of, read_circuit
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.orders import read_name, read_order
from headrace.pipeline.settings import KafkaSettings

_LOG = structlog.get_logger("headrace.orders")
PATIENCE: Final = 10.0
"""Seconds that a process waits for the orders before it starts work without knowing them: an order
that is honoured late does less harm than all work that stands still."""
_BATCH: Final = 1_000
_POLL: Final = 0.25
_ANSWER: Final = 5.0
"""Seconds for the broker to say where the topic begins and ends."""
_PAUSE: Final = 1.0
"""Seconds before a topic that could not be read is tried again."""
_PRUNE: Final = 10.0
"""Seconds between looks for orders that are past their time."""


class OrdersReader:
    """Reads the control topic from its beginning, and goes on for as long as the process lives.

    Args:
        kafka: Where Kafka is.
        topic: The control topic.
        keep_past: See `Orders`.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, *, keep_past: bool = False) -> None:
        self.orders = Orders(keep_past=keep_past)
        self.circuits = Circuits()
        self.trouble = ""
        """Why the topic cannot be read; empty when it can."""
        self._kafka = kafka
        self._topic = topic
        self._caught_up = threading.Event()
        self._stop = threading.Event()
        self._prune_at = 0.0
        self._troubles = Seldom(_LOG)
        self._thread = threading.Thread(target=self._main, name="headrace-orders", daemon=True)

    @property
    def caught_up(self) -> bool:
        """Whether every order that lay on the topic at the start is known."""
        return self._caught_up.is_set()

    @property
    def is_well(self) -> bool:
        """Whether new orders are seen, and all older ones are known."""
        return self.caught_up and not self.trouble

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def end(self) -> None:
        """Read no more. The thread ends soon; `stop` waits for it."""
        self._stop.set()

    def stop(self) -> None:
        """End within a second, if it has begun."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(_PAUSE)

    def await_caught_up(self, stopping: threading.Event, patience: float = PATIENCE) -> None:
        """Wait until all orders are known, for a while; without them it is said loudly."""
        deadline = time.monotonic() + patience
        while not self._caught_up.wait(0.01) and not stopping.is_set():
            if time.monotonic() > deadline:
                _LOG.error(
                    "the orders to cancel and supersede jobs are not known and work begins without "
                    "them: such jobs may run; orders count from when they can be read",
                    topic=self._topic,
                    waited_seconds=patience,
                    reason=self.trouble or "its end was not reached",
                )
                return

    def _main(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(make_reader(self._kafka, **_QUIET)) as consumer:
                    self._follow(consumer)
            except KafkaException as error:
                why = explain(f"reading {self._topic}", kafka_error(error), self._kafka)
                self._note_trouble(str(why))
            except SettingsError as error:  # the embedded broker is down at the moment
                self._note_trouble(str(error))
            except Exception as error:
                _LOG.exception("reading orders failed in a way that nobody thought of")
                self._note_trouble(repr(error))
            self._stop.wait(_PAUSE)

    def _note_trouble(self, reason: str) -> None:
        if self._stop.is_set():
            return
        self.trouble = reason
        self._troubles.warn(
            "the control topic cannot be read: new orders to cancel or supersede jobs are not "
            "seen until it can",
            topic=self._topic,
            reason=reason,
        )

    def _follow(self, consumer: Consumer) -> None:
        behind = self._assign(consumer)
        while not self._stop.is_set():
            if not behind:
                self._caught_up.set()
            first = consumer.poll(_POLL)
            for message in () if first is None else (first, *consumer.consume(_BATCH, 0)):
                self._take(message, behind)
            if time.monotonic() >= self._prune_at:
                self._prune_at = time.monotonic() + _PRUNE
                self.orders.prune(now_ms())

    def _assign(self, consumer: Consumer) -> dict[int, int]:
        """Begin at the beginning; gives the end of each partition that holds anything."""
        found = consumer.list_topics(self._topic, timeout=_ANSWER).topics[self._topic]
        if found.error is not None:
            raise KafkaException(found.error)
        positions, behind = [], {}
        for partition in found.partitions:
            place = TopicPartition(self._topic, partition)
            span = consumer.get_watermark_offsets(place, timeout=_ANSWER)
            if span is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            positions.append(TopicPartition(self._topic, partition, span[0]))
            if span[0] < span[1]:
                behind[partition] = span[1]
        consumer.assign(positions)
        self.trouble = ""
        return behind

    def _take(self, message: Message, behind: dict[int, int]) -> None:
        error, partition = message.error(), message.partition() or 0
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                raise KafkaException(error)
            behind.pop(partition, None)
            return
        name = read_name(_bytes(message.key()))
        job_type = job_type_of(_bytes(message.key()))
        if job_type is not None:
            value = _bytes(message.value())
            self.circuits.take(job_type, None if value is None else read_circuit(job_type, value))
        elif name is not None:
            self._apply(name, _bytes(message.value()))
        if (message.offset() or 0) + 1 >= behind.get(partition, 0):
            behind.pop(partition, None)

    def _apply(self, name: tuple[str, ...], value: bytes | None) -> None:
        if value is None:
            self.orders.withdraw(name, now_ms())
            return
        order = read_order(name, value)
        if order is not None:
            self.orders.take(order, now_ms())


_QUIET: Final[dict[str, Any]] = {
    # The broker answers at once when there is something: this is for when there is nothing.
    "fetch.wait.max.ms": 500,
    "queued.max.messages.kbytes": 4_096,
}


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
