"""Delays at scale: `python -m benchmarks.delays`, or `--jobs 20000` for a first look.

Three runs on an embedded broker of their own, each with so many jobs:

    steady   due evenly, 1,000 a second, with one scheduler. After a third of them it is replaced as
             a rolling update does, the new one first; after two thirds it is stopped, and then
             another is started
    shared   due evenly, with two schedulers; halfway one is killed (SIGKILL)
    burst    all due within one second

Jobs are submitted before the first one is due. What the schedulers wrote is read from the lane
afterwards: the broker's own time stamps say how late each job was, and the lane owner's memory of
what was there says which doubled ones it would have dropped. The figures go to
`build/bench-delays.json` too. A million jobs in each take 40 minutes and some 4 GB of disk.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import delays_lane, delays_pipeline
from headrace import producers
from headrace.pipeline import Pipeline, broker
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.pipeline.topology import TIERS

RATE = 1_000
"""Jobs due in a second, when they are due evenly."""
LOADED = 8_000
"""Jobs that surely can be submitted in a second, also on a busy machine."""
AROUND = 15_000
"""Milliseconds from the beginning of a replacement in which the jobs due count as disturbed by it."""
NOTE = "x" * 100
Figures = dict[str, float]


class Schedulers:
    """`headrace scheduler`, as often as wanted, each a process whose memory is watched."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._reference = f"benchmarks.delays_pipeline:{pipeline.name}"
        self._folder = folder
        self._started = 0
        self._running: list[psutil.Popen] = []
        self._watched: dict[int, tuple[int, int]] = {}
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def start(self) -> psutil.Popen:
        """Start one, and wait until it has joined."""
        self._started += 1
        log = self._folder / f"scheduler-{self._started}.log"
        command = [sys.executable, "-m", "headrace", "scheduler", self._reference]
        environment = os.environ | {
            "HEADRACE_HTTP_ENABLED": "false",
            # An installed package has its bytecode; it is not to be made anew by each process.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self._folder / "bytecode"),
        }
        with log.open("wb") as file:
            process = psutil.Popen(command, env=environment, stderr=file, stdout=file)
        wait("a scheduler has joined", lambda: "partitions assigned" in log.read_text(), 60)
        self._watched[process.pid] = (_memory(process), 0)
        self._running.append(process)
        return process

    def end(self, process: psutil.Popen, number: signal.Signals) -> None:
        """Send a signal, and wait for the end."""
        self._running.remove(process)
        process.send_signal(number)
        process.wait(60)

    def close(self) -> None:
        """Stop all."""
        self._stopping.set()
        for process in list(self._running):
            self.end(process, signal.SIGTERM)

    @property
    def growth_mb(self) -> float:
        """Resident memory that the one which grew most has needed, beyond that when it joined."""
        return max((most - first for first, most in self._watched.values()), default=0) / 2**20

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            for process in list(self._running):
                first, most = self._watched[process.pid]
                self._watched[process.pid] = (first, max(most, _memory(process)))


def _memory(process: psutil.Popen) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def wait(what: str, holds: Callable[[], Any], seconds: float) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s it is not true that {what}")
        time.sleep(0.05)


def submit(pipeline: Pipeline, dues: list[int]) -> Figures:
    """Submit a job for each due time (epoch milliseconds), in a random order."""
    due = pipeline.job_type("due")
    random.Random(5).shuffle(dues)
    begin = time.perf_counter()
    with producers.Producer(pipeline) as producer:
        for number, at in enumerate(dues):
            producer.submit(due.job(number, NOTE), at=datetime.fromtimestamp(at / 1000, UTC))
    seconds = time.perf_counter() - begin
    if time.time() * 1000 > min(dues):
        raise TimeoutError(f"{len(dues)} jobs took {seconds:.0f} s to submit: the first was due")
    return {"submitted_per_s": len(dues) / seconds}


def spread(jobs: int, seconds: float) -> list[int]:
    """Due times, evenly over so many seconds, the first one when all are submitted."""
    begin = int((time.time() + 10 + jobs / LOADED) * 1000)
    return [begin + int(number * seconds * 1000 / jobs) for number in range(jobs)]


def hops(kafka: KafkaSettings, pipeline: Pipeline) -> int:
    """Count the records of all tiers: submissions, hops, and two in a thousand for transactions."""
    return sum(delays_lane.count(kafka, pipeline.topology.tier(tier)) for tier in TIERS)


def drained(kafka: KafkaSettings, pipeline: Pipeline, jobs: int, last_due: int) -> None:
    """Wait until the lane has as many records as there are jobs, and a second more."""
    (lane,) = pipeline.topology.lanes()
    patience = max(0.0, last_due / 1000 - time.time()) + 120 + jobs / 2_000
    wait("all are released", lambda: delays_lane.count(kafka, lane.topic) >= jobs, patience)
    time.sleep(1)


def await_share(dues: list[int], share: float) -> int:
    """Sleep until so many of them are due; gives the time in epoch milliseconds."""
    moment = min(dues) + (max(dues) - min(dues)) * share
    time.sleep(max(0.0, moment / 1000 - time.time()))
    return int(time.time() * 1000)


def steady(
    kafka: KafkaSettings, pipeline: Pipeline, schedulers: Schedulers, jobs: int, rate: float = RATE
) -> Figures:
    """One scheduler, replaced in two ways on the way."""
    first = schedulers.start()
    dues = spread(jobs, jobs / rate)
    figures = submit(pipeline, dues)
    replaced = await_share(dues, 1 / 3)
    second = schedulers.start()
    schedulers.end(first, signal.SIGTERM)
    stopped = await_share(dues, 2 / 3)
    schedulers.end(second, signal.SIGTERM)
    schedulers.start()
    drained(kafka, pipeline, jobs, max(dues))
    found = delays_lane.read(kafka, _lane(pipeline))
    disturbed = [(begin - 1_000, begin + AROUND) for begin in (replaced, stopped)]
    calm = [
        late
        for due, late in found.lateness
        if not any(begin <= due < end for begin, end in disturbed)
    ]
    figures |= found.figures(jobs) | delays_lane.percentiles(calm)
    figures["replaced_late_max_ms"] = found.latest_between(*disturbed[0])
    figures["restarted_late_max_ms"] = found.latest_between(*disturbed[1])
    figures["hops_for_each_job"] = hops(kafka, pipeline) / jobs - 1
    return figures | {"memory_growth_mb": schedulers.growth_mb}


def shared(
    kafka: KafkaSettings, pipeline: Pipeline, schedulers: Schedulers, jobs: int, rate: float = RATE
) -> Figures:
    """Two schedulers; one is killed halfway, and its part stands still for its session."""
    schedulers.start()
    killed = schedulers.start()
    dues = spread(jobs, jobs / rate)
    figures = submit(pipeline, dues)
    await_share(dues, 1 / 2)
    schedulers.end(killed, signal.SIGKILL)
    drained(kafka, pipeline, jobs, max(dues))
    figures |= delays_lane.read(kafka, _lane(pipeline)).figures(jobs)
    return figures | {"memory_growth_mb": schedulers.growth_mb}


def burst(
    kafka: KafkaSettings, pipeline: Pipeline, schedulers: Schedulers, jobs: int, rate: float = RATE
) -> Figures:
    """All due within a second: late by what throughput allows, and no memory beyond the bound."""
    schedulers.start()
    dues = spread(jobs, 1.0)
    figures = submit(pipeline, dues)
    drained(kafka, pipeline, jobs, max(dues))
    found = delays_lane.read(kafka, _lane(pipeline))
    figures |= found.figures(jobs)
    figures["released_per_s"] = jobs / (figures["late_max_ms"] / 1000 + 1)
    return figures | {"memory_growth_mb": schedulers.growth_mb}


RUNS = {"steady": steady, "shared": shared, "burst": burst}


def _lane(pipeline: Pipeline) -> str:
    (lane,) = pipeline.topology.lanes()
    return lane.topic


@contextmanager
def kafka_of_its_own() -> Iterator[KafkaSettings]:
    """A broker with the JVM's full compiler."""
    with tempfile.TemporaryDirectory() as directory:
        options = broker.BrokerOptions(directory=Path(directory), quick_start=False, heap_mb=1024)
        with broker.running(options) as address:
            os.environ["HEADRACE_BOOTSTRAP_SERVERS"] = address.bootstrap
            yield load(KafkaSettings)


def measure(name: str, jobs: int, rate: float = RATE) -> Figures:
    """Do one run, on fresh topics; so many jobs a second are due where they are due evenly."""
    pipeline: Pipeline = getattr(delays_pipeline, name)
    with kafka_of_its_own() as kafka, tempfile.TemporaryDirectory() as folder:
        report = apply_plan(plan_topics(pipeline, kafka, load(TopicSettings)), kafka)
        if not report.ok:
            raise RuntimeError(report.summary)
        schedulers = Schedulers(pipeline, Path(folder))
        try:
            return RUNS[name](kafka, pipeline, schedulers, jobs, rate)
        finally:
            schedulers.close()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="of each run")
    parser.add_argument("--only", choices=sorted(RUNS), action="append", help="some runs alone")
    chosen = parser.parse_args()
    target = Path("build/bench-delays.json")
    target.parent.mkdir(exist_ok=True)
    figures: dict[str, Figures] = {}
    for name in chosen.only or RUNS:
        figures[name] = measure(name, chosen.jobs)
        print(f"\n{name}")
        for what, value in figures[name].items():
            print(f"  {what:<22}{value:>14,.1f}")
        target.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nwritten to {target}")


if __name__ == "__main__":
    main()
