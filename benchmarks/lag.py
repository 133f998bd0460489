"""What a look at the lag of a large cluster costs: `python -m benchmarks.lag`.

It makes lanes with 10,000 partitions on an embedded broker of its own, with a job in each, and looks
at them from a fresh process: seconds, memory, and the requests that brokers got, by kind. Twice,
because a watcher's second look is cheaper than its first. Then as an exporter does, which is scraped.

    python -m benchmarks.lag --lanes 10 --partitions 100

    python -m benchmarks.lag --lanes 100 --partitions 100
    python -m benchmarks.lag --lanes 10 --partitions 100 --delayed 1000000      # the tiers, too
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from prometheus_client import generate_latest

from headrace.pipeline import Pipeline, Queue, broker, kafka
from headrace.pipeline.settings import ExporterSettings, KafkaSettings, TopicSettings, load
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.pipeline.topology import TIMED_TIERS
from headrace.processors.lag.exporter import LagExporter
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.report_json import as_json
from headrace.schemas import headers

_SENT = re.compile(r"Sent (\w+?)Request")
_HOUR_MS = 3_600_000


def pipeline(lanes: int, partitions: int) -> Pipeline:
    """A pipeline of so many lanes, each of so many partitions."""
    queues = [
        Queue(
            f"queue{number}",
            priorities=("normal",),
            partitions=partitions,
            dedup_window=timedelta(),  # or there would be as many partitions of notes
        )
        for number in range(lanes)
    ]
    made = Pipeline("bench", queues=queues)

    @made.job("noop", queue="queue0")
    def noop() -> None: ...

    return made


def fill(made: Pipeline, settings: KafkaSettings, partitions: int, delayed: int) -> None:
    """Make the topics, put a job into each partition, and some into the longest tier."""
    report = apply_plan(plan_topics(made, settings, load(TopicSettings)), settings)
    assert report.ok, report.refused
    raw = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 50})
    lanes = [lane.topic for lane in made.topology.lanes()]
    for lane in lanes:
        for partition in range(partitions):
            produce(raw, lane, lane, None, partition)
    tier, due = made.topology.tier(TIMED_TIERS[-1]), time.time_ns() // 1_000_000 + 30 * _HOUR_MS
    for number in range(delayed):
        produce(raw, tier, lanes[number % len(lanes)], due + number * 10)
    raw.flush()


def produce(raw: Producer, topic: str, lane: str, due: int | None, partition: int = -1) -> None:
    """Write a job, waiting while the local queue is full."""
    found: list[tuple[str, str | bytes | None]] = [
        (headers.ID, b"0190a7d4-0000-7000-8000-000000000000"),
        (headers.TYPE, b"noop"),
        (headers.LANE, lane.encode()),
    ]
    if due is not None:
        found.append((headers.DUE, b"%d" % due))
    while True:
        try:
            raw.produce(topic, b"x" * 100, b"key", partition, headers=found)
            return
        except BufferError:
            raw.poll(0.1)


def measure(made: Pipeline, settings: KafkaSettings, *, counts_all: bool) -> list[dict[str, Any]]:
    """Look twice; gives what each look cost."""
    found = []
    with closing(LagReader(made, settings, counts_all=counts_all)) as reader:
        for _ in range(2):
            began = time.perf_counter()
            text = json.dumps(as_json(reader.read()))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
            seconds = time.perf_counter() - began
            found.append({"seconds": seconds, "peak_mb": peak, "json_mb": len(text) / 1e6})
    return found


def scrape(made: Pipeline, settings: KafkaSettings) -> dict[str, Any]:
    """Look as an exporter does, and let a Prometheus ask it; gives what a scrape costs."""
    metrics = Metrics(role="exporter")
    exporter = LagExporter(made, settings, load(ExporterSettings), metrics)
    exporter.look()
    assert not exporter.is_stale, exporter.trouble
    seconds, text = [], b""
    for _ in range(5):
        began = time.perf_counter()
        text = generate_latest(metrics.registry)
        seconds.append(time.perf_counter() - began)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return {"seconds": max(seconds), "series": series, "mb": len(text) / 1e6}


def log_requests() -> None:
    """Have librdkafka tell of each request on standard error."""
    common = kafka._common  # noqa: SLF001 - where every client's settings come from

    def told(*args: Any) -> dict[str, Any]:
        config = common(*args) | {"debug": "protocol"}
        del config["logger"]
        return config

    kafka._common = told  # type: ignore[assignment]  # noqa: SLF001


def run_child(options: argparse.Namespace, bootstrap: str, *more: str) -> tuple[Any, str]:
    """Measure in a fresh process; gives its figures and what it wrote to standard error."""
    command = [sys.executable, "-m", "benchmarks.lag", "--child", bootstrap, *more]
    command += ["--lanes", str(options.lanes), "--partitions", str(options.partitions)]
    command += ["--delayed", str(options.delayed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout), done.stderr


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lanes", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=100, help="of each lane")
    parser.add_argument("--delayed", type=int, default=0, help="jobs in the longest delay tier")
    parser.add_argument("--child", metavar="BOOTSTRAP", help=argparse.SUPPRESS)
    parser.add_argument("--requests", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print a table."""
    options = parse()
    made = pipeline(options.lanes, options.partitions)
    if options.child:
        if options.requests:
            log_requests()
        settings = load(KafkaSettings, bootstrap_servers=options.child)
        looks = measure(made, settings, counts_all=options.delayed > 0)
        print(json.dumps([looks, {} if options.requests else scrape(made, settings)]))
        return
    with tempfile.TemporaryDirectory() as folder:
        wanted = broker.BrokerOptions(
            directory=Path(folder),
            heap_mb=1_536,
            quick_start=False,
            start_timeout=timedelta(minutes=10),
        )
        with broker.running(wanted) as address:
            began = time.perf_counter()
            settings = load(KafkaSettings, bootstrap_servers=address.bootstrap)
            fill(made, settings, options.partitions, options.delayed)
            print(f"made {options.lanes * options.partitions:,} partitions of lanes, "
                  f"{options.delayed:,} delayed jobs: {time.perf_counter() - began:.0f} s")  # fmt: skip
            report(options, address.bootstrap)


def report(options: argparse.Namespace, bootstrap: str) -> None:
    """Measure and print."""
    (looks, scraped), _ = run_child(options, bootstrap)
    for name, look in zip(("first look", "second look"), looks, strict=True):
        print(f"{name:<12}{look['seconds']:8.2f} s{look['peak_mb']:8.0f} MB peak"
              f"{look['json_mb']:8.1f} MB JSON")  # fmt: skip
    print(f"{'a scrape':<12}{scraped['seconds']:8.2f} s{scraped['series']:8,} series"
          f"{scraped['mb']:7.1f} MB text")  # fmt: skip
    _, log = run_child(options, bootstrap, "--requests")
    for kind, count in Counter(_SENT.findall(log)).most_common():
        print(f"{kind:<28}{count:8,} requests in two looks")


if __name__ == "__main__":
    main()
