"""Removing orders from the control topic whose time is over: it would grow for ever."""

import time
from typing import Final

from confluent_kafka import KafkaException, Producer

from headrace.consumers.orders import Orders

_INTERVAL: Final = 10.0
"""Seconds between sweeps."""
_MOST: Final = 1_000
"""Orders removed in one sweep."""


class Sweeping:
    """Done by the scheduler that owns the first partition of `soon`, so by one at a time.

    What was removed is known as past until the removal is read back: so one that did not get
    through is tried again, and nobody needs to wait for answers.

    Args:
        orders: What the process knows, made with `keep_past`.
        producer: The way to the topic.
        topic: The control topic.
    """

    def __init__(self, orders: Orders, producer: Producer, topic: str) -> None:
        self._orders = orders
        self._producer = producer
        self._topic = topic
        self._next = 0.0

    def step(self) -> None:
        """Remove some, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        for key in self._orders.past(_MOST):
            try:
                self._producer.produce(self._topic, None, key)
            except (BufferError, KafkaException):
                return
