"""What a `dedup_key` costs a worker: `python -m benchmarks.dedup`.

One worker process drains jobs without and with a `dedup_key`, in turns, and then as many second
submissions, which are dropped. The later turns begin by reading the notes of the earlier ones; how
long that takes is measured by itself at the end.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from datetime import timedelta

from benchmarks.quick import PAYLOAD, kafka
from benchmarks.quick_pipeline import bench, noop
from headrace import producers
from headrace.consumers.dedup import NoteReader, Span
from headrace.consumers.records import Assignment
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics

JOBS = 30_000
TURNS = 3
KINDS = ("without a key", "first submissions", "second submissions")


def submit(turn: int | None) -> None:
    """Preload the lane; with keys of this turn, if one is given."""
    with producers.Producer(bench) as producer:
        for number in range(JOBS):
            job = noop.job(f"order-{number}", number, PAYLOAD)
            producer.submit(job, dedup_key=None if turn is None else f"{turn}-{number}")


def drain(turn: int | None) -> dict[str, float]:
    """Submit jobs, and drain them with a worker process of their own."""
    submit(turn)
    command = [sys.executable, "-m", "benchmarks.quick_drain", str(JOBS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def read_notes(kafka_settings: KafkaSettings) -> tuple[int, float]:
    """Read all notes as a new owner does; gives how many there are, and the seconds."""
    span = Span.of(timedelta(hours=24))
    topic = bench.topology.dedup("default")
    reader = NoteReader(lambda: make_reader(kafka_settings), topic, "normal", span, 1_000_000)
    begin, read, notes = time.perf_counter(), 0, 0
    for partition in range(12):
        reader.ask(Assignment("bench.default.normal", partition, 1))
    while read < 12:
        for answer in reader.answers():
            read, notes = read + 1, notes + len(answer.notes or ())
        time.sleep(0.001)
    return notes, time.perf_counter() - begin


def main() -> None:
    """Print a table."""
    with kafka() as bootstrap:
        os.environ["HEADRACE_BOOTSTRAP_SERVERS"] = bootstrap
        settings = load(KafkaSettings, bootstrap_servers=bootstrap)
        apply_plan(plan_topics(bench, settings, load(TopicSettings)), settings)
        found: dict[str, list[dict[str, float]]] = {}
        for turn in range(TURNS):
            for kind in KINDS:
                found.setdefault(kind, []).append(drain(turn if kind in KINDS[1:] else None))
        for kind, turns in found.items():
            rate, cpu, memory = (
                statistics.median(each[name] for each in turns)
                for name in ("per_s", "cpu_us_per_job", "peak_rss_mb")
            )
            print(f"{kind:<20}{rate:10,.0f} jobs/s {cpu:8.1f} µs CPU a job {memory:8.0f} MB")
        notes, seconds = read_notes(settings)
        print(f"reading {notes:,} notes of 12 partitions: {seconds:.2f} s")


if __name__ == "__main__":
    main()
