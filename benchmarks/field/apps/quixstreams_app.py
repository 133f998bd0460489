"""Quix Streams on Kafka. As a program it is the worker."""

# pyright: reportMissingImports=false

import json
from collections.abc import Iterable, Sequence
from typing import Any

from quixstreams import Application

from benchmarks.field import work
from benchmarks.field.calls import Call

_TOPIC = work.setting("NAME", "bench")


def _application() -> Any:
    return Application(
        broker_address=work.setting("URL"),
        consumer_group=_TOPIC,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="ERROR",
        producer_extra_config={"enable.idempotence": True, "linger.ms": 1},
    )


def _job(body: dict[str, Any]) -> None:
    work.perform(body["kind"], body["number"])


class Client:
    """`get_producer`: a confluent-kafka producer of its own."""

    def __init__(self, url: str, name: str) -> None:
        self._producer = _application().get_producer()

    def send(self, call: Call) -> None:
        """Produce."""
        body = {"kind": call.kind, "number": call.number, "note": call.note}
        key = str(call.number).encode()
        self._producer.produce(topic=_TOPIC, key=key, value=json.dumps(body).encode())

    def stream(self, given: Iterable[Call]) -> None:
        """Produce all, then flush."""
        for call in given:
            self.send(call)
        self._producer.flush()

    def single(self, call: Call) -> None:
        """Produce one, and flush."""
        self.send(call)
        self._producer.flush()

    def batch(self, given: Sequence[Call]) -> None:
        """Produce some, and flush."""
        self.stream(given)

    def close(self) -> None:
        """Flush."""
        self._producer.flush()


def main() -> None:
    """Be the worker."""
    application = _application()
    frame = application.dataframe(application.topic(_TOPIC, value_deserializer="json"))
    frame.update(_job)
    application.run()


if __name__ == "__main__":
    main()
