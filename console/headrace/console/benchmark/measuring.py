"""Submit, drain, latency: measured on a Kafka that others may use too, and left as it was found."""

import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from headrace.console.benchmark import workload
from headrace.console.benchmark.workload import NOTE, Workload
from headrace.consumers.worker import Worker, WorkerOptions
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.producers import Producer
from headrace.schemas.errors import HeadraceError

_JOIN: Final = 60.0
_STALL: Final = 30.0
"""Seconds without any job after which the run is given up."""
_WARM: Final = 0.05
_REMOVAL: Final = 30.0
_NEVER_THERE: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND)
_LEAST_PINGS: Final = 20
_CONFIRM: Final = 30.0


class BenchmarkError(HeadraceError):
    """A measurement could not be made."""


@dataclass(frozen=True)
class Wish:
    """What to measure.

    Attributes:
        jobs: That are submitted, then drained.
        confirmed: That are submitted one by one, each confirmed before the next.
        rate: Jobs a second, for latency.
        seconds: For latency.
        concurrency: Of the worker.
    """

    jobs: int = 20_000
    confirmed: int = 500
    rate: float = 100.0
    seconds: float = 10.0
    concurrency: int = 100


@dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
        submit_per_s: Pipelined, until the brokers had the last one.
        submit_cpu_us: CPU time of this process for each of them.
        confirmed_per_s: One by one.
        drain_per_s: By one worker process, from the end of the warm-up to the last job's start.
        drain_cpu_us: CPU time of this process for each of them.
        p50_ms: From the intended moment of submission until the handler began.
        p99_ms: Of the same.
        max_ms: Of the same.
        lost: Jobs that Kafka confirmed and that did not run.
        doubled: Executions beyond one for each job.
    """

    submit_per_s: float
    submit_cpu_us: float
    confirmed_per_s: float
    drain_per_s: float
    drain_cpu_us: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    lost: int
    doubled: int

    def as_json(self) -> dict[str, float]:
        """Give it as JSON."""
        return asdict(self)


def measure(kafka: KafkaSettings, wish: Wish, progress: Callable[[str], None]) -> Found:
    """Measure on topics of its own, which are deleted afterwards, whatever happens.

    Raises:
        BenchmarkError: A topic was refused, or jobs stopped running.
        KafkaUnavailableError: Kafka does not answer.
    """
    jobs = workload.make(f"bench-{uuid.uuid4().hex[:8]}")
    plan = plan_topics(jobs.pipeline, kafka, load(TopicSettings))
    try:
        report = apply_plan(plan, kafka)
        if not report.ok:
            raise BenchmarkError(f"the benchmark's topics were not made: {report.summary}")
        return _measured(jobs, kafka, wish, progress)
    finally:
        progress(f"removing topics and groups {jobs.pipeline.name}.*")
        _remove(kafka, jobs, [step.wanted.name for step in plan.steps])


def _remove(kafka: KafkaSettings, jobs: Workload, topics: list[str]) -> None:
    """Delete by name what may have been made: a list of what there is lags behind on busy brokers."""
    admin = make_admin(kafka)
    topology = jobs.pipeline.topology
    groups = [topology.scheduler_group, *(lane.topic for lane in topology.lanes())]
    of_groups = admin.delete_consumer_groups(groups, request_timeout=_REMOVAL)
    answers: dict[str, Future[Any]] = {f"group {name}": each for name, each in of_groups.items()}
    answers |= {f"topic {name}": each for name, each in admin.delete_topics(topics).items()}
    left = {name: error for name, each in answers.items() if (error := _refused(each))}
    if left:
        reasons = "; ".join(f"{name}: {error}" for name, error in left.items())
        raise BenchmarkError(f"of this benchmark some is left, delete it by hand: {reasons}")


def _refused(answer: Future[Any]) -> str | None:
    """Why something was not deleted; None when it was, or was never there."""
    try:
        answer.result(_REMOVAL)
    except KafkaException as error:
        refusal = error.args[0]
        return None if refusal.code() in _NEVER_THERE else str(refusal.str())
    return None


def _measured(
    jobs: Workload, kafka: KafkaSettings, wish: Wish, progress: Callable[[str], None]
) -> Found:
    with Producer(jobs.pipeline, kafka=kafka) as producer:
        progress(f"submitting {wish.jobs:,} jobs, then {wish.confirmed:,} one by one")
        submitted = _submit(producer, jobs, wish)
        total = wish.jobs + wish.confirmed
        with _working(jobs, kafka, wish):
            progress("draining them with one worker process")
            drained = _drain(jobs, total)
            progress(f"{wish.rate:g} jobs/s for {wish.seconds:g} s")
            waits = _ping(producer, jobs, wish)
    cuts = statistics.quantiles(waits, n=100, method="inclusive")
    return Found(
        *submitted,
        *drained,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        max_ms=max(waits) * 1000,
        lost=len(set(range(total)) - set(jobs.ran)),
        doubled=len(jobs.ran) - len(set(jobs.ran)),
    )


def _submit(producer: Producer, jobs: Workload, wish: Wish) -> tuple[float, float, float]:
    producer.submit(jobs.noop.job(0, NOTE)).confirm(_CONFIRM)
    begin, cpu = time.perf_counter(), time.process_time()
    for number in range(1, wish.jobs):
        producer.submit(jobs.noop.job(number, NOTE))
    producer.flush()
    seconds, spent = time.perf_counter() - begin, time.process_time() - cpu
    begin = time.perf_counter()
    for number in range(wish.jobs, wish.jobs + wish.confirmed):
        producer.submit(jobs.noop.job(number, NOTE)).confirm(_CONFIRM)
    alone = time.perf_counter() - begin
    pipelined = wish.jobs - 1
    return pipelined / seconds, spent / pipelined * 1e6, wish.confirmed / alone


@contextmanager
def _working(jobs: Workload, kafka: KafkaSettings, wish: Wish) -> Iterator[Worker]:
    lanes = list(jobs.pipeline.topology.lanes())
    options = WorkerOptions(kafka=kafka)
    worker = Worker(jobs.pipeline, lanes, concurrency=wish.concurrency, options=options)
    thread = threading.Thread(target=worker.run, name="headrace-bench-worker")
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join()
    if worker.failure is not None:
        raise worker.failure


def _drain(jobs: Workload, total: int) -> tuple[float, float]:
    warm = max(1, int(total * _WARM))
    _await("its first jobs run", lambda: len(jobs.ran) >= warm, lambda: len(jobs.ran))
    first, begin, cpu = len(jobs.ran), time.perf_counter(), time.process_time()
    _await("all jobs run", lambda: len(jobs.ran) >= total, lambda: len(jobs.ran))
    seconds, spent = time.perf_counter() - begin, time.process_time() - cpu
    measured = max(1, total - first)
    return measured / seconds, spent / measured * 1e6


def _ping(producer: Producer, jobs: Workload, wish: Wish) -> list[float]:
    """Submit at a rate. A late submission is not skipped: it counts from when it was due."""
    count = max(_LEAST_PINGS, int(wish.rate * wish.seconds))
    start = time.time_ns() + 50_000_000
    for number in range(count):
        intended = start + int(number * 1e9 / wish.rate)
        time.sleep(max(0.0, (intended - time.time_ns()) / 1e9))
        producer.submit(jobs.ping.job(number, intended, NOTE))
    _await("all pings run", lambda: len(jobs.waits) >= count, lambda: len(jobs.waits))
    return list(jobs.waits.values())


def _await(what: str, holds: Callable[[], bool], count: Callable[[], int]) -> None:
    moved, before = time.monotonic(), count()
    while not holds():
        if count() != before:
            moved, before = time.monotonic(), count()
        if time.monotonic() - moved > (_STALL if before else _JOIN):
            raise BenchmarkError(
                f"it did not come true that {what}: {before:,} ran, then none for a while; "
                "look whether the brokers answer (`headrace lag`), then try again"
            )
        time.sleep(0.002)
