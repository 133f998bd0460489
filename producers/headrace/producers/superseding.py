"""Jobs that replace older ones of their key: first the job is stored, then the order about the others.

Never the other way round: an order whose job does not come to exist would drop the older job for
nothing. A receipt is confirmed when Kafka has both.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.pipeline.compacted import CompactedRecord
from headrace.producers.errors import DeliveryError
from headrace.producers.receipt import Receipt

_REMEMBERED: Final = 10_000
"""Keys whose last submission is remembered."""


class Superseding:
    """The orders of one producer. Thread-safe.

    Args:
        client: Shared with the jobs.
    """

    def __init__(self, client: Producer) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._waiting: list[tuple[Receipt[Any], CompactedRecord, Message]] = []
        """Orders that the full local queue did not take."""

    def created(self, job_type: str, key: str, now: int) -> int:
        """Give the time of a submission: later than that of the one before with the same key.

        Which of two jobs is the newer one is told by these times; a millisecond holds many jobs.
        """
        with self._lock:
            created = max(now, self._last.pop((job_type, key), 0) + 1)
            self._last[job_type, key] = created
            if len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
            return created

    def then(self, receipt: Receipt[Any], order: CompactedRecord) -> Callable[[Any, Message], None]:
        """Give what takes the broker's answer about the job: it sends the order."""

        def stored(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                receipt.delivered(error, message)
            else:
                self._send(receipt, order, message)

        return stored

    def retry(self) -> bool:
        """Send what the local queue did not take; tells whether there was anything."""
        if not self._waiting:
            return False
        with self._lock:
            taken, self._waiting = self._waiting, []
        for each in taken:
            self._send(*each)
        return True

    def _send(self, receipt: Receipt[Any], order: CompactedRecord, job: Message) -> None:
        def answered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                receipt.delivered(None, job)
            else:
                receipt.fail(_failure(receipt, order, error))

        try:
            self._client.produce(order.topic, order.value, order.key, on_delivery=answered)
        except BufferError:
            with self._lock:
                self._waiting.append((receipt, order, job))
        except KafkaException as error:
            receipt.fail(_failure(receipt, order, error.args[0]))


def _failure(receipt: Receipt[Any], order: CompactedRecord, error: KafkaError) -> DeliveryError:
    return DeliveryError(
        f"job {receipt.job_id} is stored on {receipt.topic} and will run, but {order.topic} did not "
        f"take the order to drop the older ones of its key: {error.str()} ({error.name()}); they "
        "run too, unless a newer job is submitted with this key; check the topic and the rights "
        "on it",
        (receipt.job_id,),
        1,
    )
