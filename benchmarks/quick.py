"""Headrace beside a bare confluent-kafka loop, in two minutes: `python -m benchmarks.quick`.

Same broker, same records, same run. Prints a table and writes `build/bench-quick.json`. Figures
from a machine that does other things meanwhile wobble by a third; the ratios hold better.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic

from benchmarks.quick_pipeline import RETRY_WAIT, bench, flaky, noop, noop_plain, ping
from headrace import producers
from headrace.pipeline import broker
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics

JOBS = 100_000
RATE, SECONDS = 100, 15
FLAKY = 40
PAYLOAD = "x" * 160
LANE = "bench.default.normal"
BARE = "bare"
"""A topic like the lane, that no worker reads."""
Figures = dict[str, float]


@contextmanager
def kafka() -> Iterator[str]:
    """A broker of its own, with the JVM's full compiler."""
    with tempfile.TemporaryDirectory() as directory:
        options = broker.BrokerOptions(directory=Path(directory), quick_start=False, heap_mb=1024)
        with broker.running(options) as address:
            yield address.bootstrap


@contextmanager
def worker(log: Path, *arguments: str) -> Iterator[psutil.Process]:
    """`headrace worker` as a user starts it, ready when it says so."""
    command = [sys.executable, "-m", "headrace", *arguments]
    environment = os.environ | {"BENCH_LOG": str(log), "HEADRACE_LOG_LEVEL": "error"}
    process = subprocess.Popen(command, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def submit(job_type: Any) -> Figures:
    """Preload the lane: pipelined, each job encoded and with all its headers."""
    with producers.Producer(bench) as producer:
        producer.submit(job_type.job("warm-up", 1, PAYLOAD)).confirm(30)
        begin, cpu = time.perf_counter(), time.process_time()
        for number in range(JOBS - 1):
            producer.submit(job_type.job(f"order-{number}", number, PAYLOAD))
        producer.flush()
        seconds, spent = time.perf_counter() - begin, time.process_time() - cpu
    return {"submit_per_s": JOBS / seconds, "submit_cpu_us": spent / JOBS * 1e6}


def drain() -> dict[str, float]:
    """One worker process drains what was preloaded, transitions on."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quick_drain", str(JOBS)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def bare(bootstrap: str) -> Figures:
    """The physical limit: consume the same records and commit, then produce such records again.

    They are not kept: a hundred thousand lists of headers are much for the garbage collector.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bare",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(LANE, number, 0) for number in range(12)])
    some: list[tuple[bytes | None, bytes | None, Any]] = []
    taken = 0
    first = consumer.poll(30)
    begin = time.perf_counter()
    assert first is not None
    messages = [first]
    while messages:
        read = [(each.value(), each.key(), each.headers()) for each in messages]
        taken += len(read)
        some = max(some, read, key=len)
        consumer.commit(asynchronous=True)
        messages = consumer.consume(1000, 1.0) if taken < JOBS else []
    drained = (taken - 1) / (time.perf_counter() - begin)
    consumer.close()
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 1,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    begin = time.perf_counter()
    for value, key, headers in islice(cycle(some), taken):
        producer.produce(BARE, value, key, headers=headers)
        producer.poll(0)
    producer.flush()
    return {
        "bare_drain_per_s": drained,
        "bare_submit_per_s": taken / (time.perf_counter() - begin),
    }


def await_lines(log: Path, wanted: Callable[[list[str]], bool], seconds: float) -> list[str]:
    """Wait until the worker has noted what is wanted."""
    deadline = time.monotonic() + seconds
    while True:
        lines = log.read_text().splitlines() if log.exists() else []
        if wanted(lines) or time.monotonic() > deadline:
            return lines
        time.sleep(0.05)


def latency(log: Path) -> Figures:
    """Submit → handler at a steady rate, counted from the intended moment of each submission."""
    with producers.Producer(bench) as producer:
        producer.submit(ping.job(time.time_ns())).confirm(30)
        await_lines(log, lambda lines: len(lines) >= 1, 30)
        for _ in range(RATE):
            producer.submit(ping.job(time.time_ns()))
            time.sleep(1 / RATE)
        warm = len(await_lines(log, lambda lines: len(lines) >= RATE + 1, 30))
        start = time.time_ns() + 100_000_000
        for number in range(RATE * SECONDS):
            intended = start + number * 1_000_000_000 // RATE
            time.sleep(max(0.0, (intended - time.time_ns()) / 1e9))
            producer.submit(ping.job(intended))
    lines = await_lines(log, lambda found: len(found) >= warm + RATE * SECONDS, 30)
    waits = sorted(float(line.split()[1]) for line in lines[warm:])
    assert len(waits) == RATE * SECONDS, f"{len(waits)} of {RATE * SECONDS} pings came"
    cuts = statistics.quantiles(waits, n=100)
    return {"latency_p50_ms": cuts[49], "latency_p99_ms": cuts[98], "latency_max_ms": waits[-1]}


def retries(log: Path) -> Figures:
    """How much later than two seconds after its failure a retry without jitter begins."""
    with producers.Producer(bench) as producer:
        for _ in range(FLAKY):
            producer.submit(flaky.job())
            time.sleep(0.02)

    def second(lines: list[str]) -> list[str]:
        return [line for line in lines if line.startswith("flaky 2")]

    lines = await_lines(log, lambda found: len(second(found)) >= FLAKY, 30)
    failed = {line.split()[2]: int(line.split()[3]) for line in lines if "flaky 1" in line}
    late = sorted(
        (int(line.split()[3]) - failed[line.split()[2]]) / 1e6 - RETRY_WAIT.total_seconds() * 1000
        for line in second(lines)
    )
    assert len(late) == FLAKY, f"{len(late)} of {FLAKY} retries came"
    return {
        "retry_late_min_ms": late[0],
        "retry_late_p50_ms": statistics.median(late),
        "retry_late_max_ms": late[-1],
    }


def idle(process: psutil.Process) -> Figures:
    """What a worker of three lanes costs while nothing happens."""
    process.cpu_percent()
    time.sleep(10)
    return {
        "idle_cpu_percent": process.cpu_percent(),
        "idle_rss_mb": process.memory_info().rss / 2**20,
    }


def measure(bootstrap: str, folder: Path) -> Figures:
    """Everything, one after the other."""
    os.environ["HEADRACE_BOOTSTRAP_SERVERS"] = bootstrap
    kafka_settings = load(KafkaSettings)
    apply_plan(plan_topics(bench, kafka_settings, load(TopicSettings)), kafka_settings)
    admin = make_admin(kafka_settings)
    admin.create_topics([NewTopic(BARE, 12, 1)])[BARE].result()
    figures: Figures = submit(noop)
    drained = drain()
    figures |= {"drain_per_s": drained["per_s"], "drain_cpu_us": drained["cpu_us_per_job"]}
    figures["drain_peak_rss_mb"] = drained["peak_rss_mb"]
    figures |= bare(bootstrap)
    submit(noop_plain)
    plain = drain()
    figures |= {"drain_threads_per_s": plain["per_s"]}
    log = folder / "notes"
    reference = "benchmarks.quick_pipeline:bench"
    with (
        worker(folder / "scheduler", "scheduler", reference),
        worker(log, "worker", reference) as process,
    ):
        figures |= latency(log)
        figures |= retries(log)
        figures |= idle(process)
    return figures


def main() -> None:
    """Measure, print, write."""
    with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
        figures = measure(bootstrap, Path(folder))
    figures["submit_to_bare"] = figures["submit_per_s"] / figures["bare_submit_per_s"]
    figures["drain_to_bare"] = figures["drain_per_s"] / figures["bare_drain_per_s"]
    for name in sorted(figures):
        print(f"{name:<22}{figures[name]:>14,.2f}")
    target = Path("build/bench-quick.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
