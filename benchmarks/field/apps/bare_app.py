"""The physical limit: a bare confluent-kafka loop, with JSON and no guarantees beyond Kafka's own.

As a program it is the worker: consume, run, commit. CPU-bound jobs go to a plain process pool.
"""

import json
import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from confluent_kafka import Consumer, Producer

from benchmarks.field import work
from benchmarks.field.calls import Call
from headrace.schemas import headers
from headrace.schemas.ids import new_job_id

_HEADERS: list[tuple[str, str | bytes | None]] = [
    (headers.ID, new_job_id()),
    (headers.TIME, headers.format_time(0)),
    *headers.for_submission("bench", "job-0", "bench.work-0.normal"),
]
"""Names and sizes as in a job of Headrace; made once."""
_TAKE = 1_000


class Client:
    """One idempotent producer; the headers of a job of Headrace."""

    def __init__(self, url: str, name: str) -> None:
        self._topic = name
        self._producer = Producer(
            {
                "bootstrap.servers": url,
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 1,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def send(self, call: Call) -> None:
        """Produce."""
        value = json.dumps([call.kind, call.number, call.note]).encode()
        key = (call.key or str(call.number)).encode()
        self._producer.produce(self._topic, value, key, headers=_HEADERS)
        self._producer.poll(0)

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


class Worker:
    """Consume, run, commit, until SIGTERM."""

    def __init__(self, url: str, name: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": url,
                "group.id": name,
                "group.protocol": "consumer",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
            }
        )
        self._consumer.subscribe([name])
        self._pool: ProcessPoolExecutor | None = None
        self._stopped = False
        self._reads_headers = work.setting("HEADERS") == "read"

    def stop(self) -> None:
        """End after the records in hand."""
        self._stopped = True

    def run(self) -> None:
        """Loop."""
        while not self._stopped:
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            messages = [first, *self._consumer.consume(_TAKE - 1, 0)]
            if self._reads_headers:
                for each in messages:
                    each.headers()
            self._perform([json.loads(each.value() or b"") for each in messages])
            self._consumer.commit(asynchronous=True)
        self._consumer.close()
        if self._pool is not None:
            self._pool.shutdown()

    def _perform(self, jobs: list[list[Any]]) -> None:
        waiting: list[Future[None]] = []
        for kind, number, _ in jobs:
            if kind.startswith("spin"):
                waiting.append(self._heavy().submit(work.perform, kind, number))
            else:
                work.perform(kind, number)
        for each in waiting:
            each.result()

    def _heavy(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(2)
        return self._pool


def main() -> None:
    """Be the worker."""
    worker = Worker(work.setting("URL"), work.setting("NAME"))
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
