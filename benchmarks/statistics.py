# ruff: noqa: A005  (run as a module: it shadows nothing)
"""How many jobs a second the statistics keep up with: python -m benchmarks.statistics [jobs].

Starts one statistics process, holds it while the events topic is filled with batches as workers write
them, and measures how long it takes to count them all once it goes on. Prints jobs a second beside
what must be reached, for batches of 500, 50 and 10 jobs; writes build/bench-statistics.json.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from headrace.pipeline import Pipeline, broker
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.processors import read_statistics
from headrace.schemas.transitions import Transition, encode_batch

SIZES = (500, 50, 10)
WARM = 100
"""Jobs that are counted before the clock starts."""
TYPES = 10
WANTED = 10_000
"""Jobs a second that it must keep up with, in batches as busy workers write them."""
OUT = Path("build/bench-statistics.json")


def pipeline_of(size: int) -> Pipeline:
    return Pipeline(f"stats{size}")


def __getattr__(name: str) -> Pipeline:
    if name.startswith("stats"):
        return pipeline_of(int(name.removeprefix("stats")))
    raise AttributeError(name)


def transition(lane: str, offset: int) -> Transition:
    now = time.time_ns() // 1_000_000
    state = "retrying" if offset % 20 == 0 else "succeeded"
    return Transition(
        f"0192f0c1-7b1a-7c3e-9f00-{offset:012d}",
        f"type-{offset % TYPES}",
        state,
        lane,
        offset % 12,
        offset // 12,
        1,
        0,
        0,
        now,
        now - 40 - offset % 900,
        "worker-1",
        now - 30 - offset % 20,
        now,
        error_type="ValueError" if state == "retrying" else None,
    )


def fill(kafka: KafkaSettings, pipeline: Pipeline, first: int, jobs: int, size: int) -> None:
    lanes = [lane.topic for lane in pipeline.topology.lanes()]
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 5})
    for number, begin in enumerate(range(first, first + jobs, size)):
        lane = lanes[number % len(lanes)]
        batch = [transition(lane, offset) for offset in range(begin, begin + size)]
        producer.produce(pipeline.topology.events, encode_batch(batch), lane.encode())
        producer.poll(0)
    assert producer.flush(60) == 0


def counted(kafka: KafkaSettings, pipeline: Pipeline) -> int:
    window = read_statistics(kafka, pipeline).total().windows.get("1h")
    return 0 if window is None else window.figures.ended


@contextlib.contextmanager
def statistics(kafka: KafkaSettings, pipeline: Pipeline, folder: str) -> Iterator[int]:
    command = [sys.executable, "-m", "headrace", "processors", "statistics"]
    process = subprocess.Popen(
        [*command, f"benchmarks.statistics:{pipeline.name}"],
        env=os.environ
        | {
            "HEADRACE_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "HEADRACE_STATS_DIR": folder,
            "HEADRACE_STATS_INTERVAL": "200ms",
        },
    )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(kafka: KafkaSettings, pipeline: Pipeline, jobs: int) -> None:
    deadline = time.monotonic() + 300
    while counted(kafka, pipeline) < jobs:
        assert time.monotonic() < deadline, f"{counted(kafka, pipeline)} of {jobs} are counted"
        time.sleep(0.05)


def measure(kafka: KafkaSettings, size: int, jobs: int, folder: str) -> dict[str, Any]:
    pipeline = pipeline_of(size)
    settings = load(TopicSettings, topic_partitions=1, delay_partitions=1)
    report = apply_plan(plan_topics(pipeline, kafka, settings), kafka)
    assert report.ok, report.summary
    fill(kafka, pipeline, 0, WARM, min(size, WARM))
    with statistics(kafka, pipeline, f"{folder}/{size}") as pid:
        wait_for(kafka, pipeline, WARM)
        os.kill(
            pid, signal.SIGSTOP
        )  # what it counted while the topic is filled would not be measured
        try:
            fill(kafka, pipeline, WARM * 12, jobs, size)
        finally:
            os.kill(pid, signal.SIGCONT)
        started, before = time.monotonic(), cpu_seconds(pid)
        wait_for(kafka, pipeline, WARM + jobs)
        seconds, cpu = time.monotonic() - started, cpu_seconds(pid) - before
    return {
        "batch": size,
        "jobs": jobs,
        "seconds": round(seconds, 2),
        "jobs_per_second": round(jobs / seconds),
        "wanted": WANTED if size == max(SIZES) else None,
        "cpu_us_per_job": round(cpu / jobs * 1e6, 1),
    }


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        options = broker.BrokerOptions(directory=Path(folder) / "kafka")
        with broker.running(options, owned=True) as address:
            kafka = load(KafkaSettings, bootstrap_servers=address.bootstrap)
            found = [
                measure(kafka, size, jobs // (1 if size > 10 else 4), folder) for size in SIZES
            ]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2))
    for row in found:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
