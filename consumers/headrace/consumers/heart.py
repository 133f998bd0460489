"""The heart of a process: says every few seconds that it lives, and what it does.

Nobody waits for it. Its producer is its own, so that a topic that refuses disturbs no other
writer: what cannot be sent is dropped, and told of now and then.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.consumers.seldom import Seldom
from headrace.pipeline.durations import to_milliseconds
from headrace.schemas.heartbeats import Heartbeat, encode_heartbeat

_LOG = structlog.get_logger("headrace.heart")
_LOOK: Final = 1.0
"""Seconds between looks at what the process owns: a change is told at once."""
_LAST_WORD: Final = 1.0
"""Seconds that the last heartbeat may take, so that a stop without Kafka is not held up."""
_QUIET: Final = 60.0
"""Seconds between two warnings that heartbeats are refused."""


class Heart:
    """Sends the heartbeats of one process, from a thread of its own.

    Args:
        make_producer: Makes the producer that nobody else uses; called from the thread.
        topic: The workers topic.
        look: Says what the process does now.
        changes: A number that differs when what it owns has changed; looked at every second.
        interval: Between two heartbeats of a process of which nothing changes.
    """

    def __init__(
        self,
        make_producer: Callable[[], Producer],
        topic: str,
        look: Callable[[], Heartbeat],
        changes: Callable[[], int],
        interval: timedelta,
    ) -> None:
        self._make_producer = make_producer
        self._topic = topic
        self._look = look
        self._changes = changes
        self._interval = interval
        self.sent = 0
        """Heartbeats that Kafka took."""
        self.refusals = 0
        """Those that it did not take."""
        self._stop = threading.Event()
        self._warnings = Seldom(_LOG, _QUIET)
        self._thread = threading.Thread(target=self._main, name="headrace-heart", daemon=True)

    def start(self) -> None:
        """Begin; the first heartbeat is sent at once."""
        self._thread.start()

    def stop(self) -> None:
        """Say that the process has ended, if Kafka takes it within a second."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * _LAST_WORD)

    def _main(self) -> None:
        try:
            producer = self._make_producer()
        except Exception as error:
            self._refused(str(error))
            return
        while not self._stop.is_set():
            seen = self._changes()  # before it is told of: what changes meanwhile is told next
            self._beat(producer, stopped=False)
            self._rest(seen)
        self._beat(producer, stopped=True)
        producer.flush(_LAST_WORD)

    def _rest(self, seen: int) -> None:
        until = time.monotonic() + self._interval.total_seconds()
        while (left := until - time.monotonic()) > 0:
            if self._stop.wait(min(_LOOK, left)) or self._changes() != seen:
                return

    def _beat(self, producer: Producer, *, stopped: bool) -> None:
        try:
            producer.poll(0)  # first: what was answered makes room for this one
            beat = self._look()._replace(interval=to_milliseconds(self._interval), stopped=stopped)
            producer.produce(
                self._topic, encode_heartbeat(beat), beat.name, on_delivery=self._answered
            )
        except BufferError:
            self.refusals += 1  # Kafka is away; those before it say so in time
        except KafkaException as error:
            self._refused(str(error))
        except Exception as error:
            # Whatever it is, jobs go on: this process looks dead to others, and is not.
            self._refused(f"{type(error).__name__}: {error}")

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.sent += 1
        else:
            self._refused(error.str())

    def _refused(self, why: str) -> None:
        self.refusals += 1
        self._warnings.warn(
            "no heartbeats: others take this process for dead, its jobs run all the same; check "
            "that it may write to the topic",
            topic=self._topic,
            reason=why,
        )
