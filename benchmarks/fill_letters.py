"""Dead letters by the ten thousand, as workers write them: for benchmarks of repair."""

import time
import uuid
from collections.abc import Iterator

from confluent_kafka import Producer

from benchmarks.quick_pipeline import bench
from headrace.consumers import dead_letters
from headrace.consumers.outcomes import ErrorInfo
from headrace.consumers.records import to_client
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders, PastAttempt
from headrace.schemas.states import DeadReason

TRACE = "".join(
    f'  File "/srv/shop/orders.py", line {line}, in step_{line}\n    step(order, amount)\n'
    for line in range(12)
)
ERRORS = ("TimeoutError", "ValueError", "KeyError")
DLQ = bench.topology.dead_letters("default")
LANE = "bench.default.normal"


def fill(bootstrap: str, count: int, job_type: str = "noop") -> float:
    """Write dead letters to the queue `default`; gives the seconds that it took."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    began = time.perf_counter()
    for key, value, listed in _records(count, job_type):
        producer.produce(DLQ, value, key, headers=to_client(listed))
        producer.poll(0)
    assert producer.flush(60) == 0
    return time.perf_counter() - began


def _records(
    count: int, job_type: str
) -> Iterator[tuple[bytes, bytes, list[tuple[str, bytes | None]]]]:
    codec = bench.job_types[job_type].arguments
    now = time.time_ns() // 1_000_000
    for number in range(count):
        job_id, error = str(uuid.uuid4()), ERRORS[number % len(ERRORS)]
        message = f"order {number} was refused"
        job = JobHeaders(
            job_id,
            job_type,
            headers.source(bench.name),
            now - 60_000,
            LANE,
            attempt=3,
            step=4,
            tenant=f"tenant-{number % 50}",
            history=tuple(PastAttempt(n, now - 9_000 * n, error, message) for n in (3, 2, 1)),
        )
        place = dead_letters.Place(LANE, number % 12, number, "worker-1")
        died = dead_letters.headers_of(
            DeadReason.EXHAUSTED, ErrorInfo((), error, message, TRACE), place, now
        )
        value = codec.encode(codec.bind(order=f"order-{number}", amount=number, note="x" * 160))
        yield job_id.encode(), value, [*job.encode(), *died]
