"""Headrace in the comparison."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from benchmarks.field import work
from benchmarks.field.calls import Call
from headrace.pipeline import Job, JobContext, Pipeline, Queue, Retry
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.producers import Producer

REFERENCE = "benchmarks.field.apps.headrace_app:bench"
_PARTITIONS = int(work.setting("PARTITIONS", "12"))
_TYPES, _QUEUES = int(work.setting("TYPES", "1")), int(work.setting("QUEUES", "1"))
_SHAPE = work.setting("SHAPE", "plain")
_LOWEST = "low" if _SHAPE == "urgent" else "normal"


def _queue(number: int) -> Queue:
    """Make the only queue of a run, or one of many: no lane that the run does not need."""
    name = f"work-{number}"
    if _SHAPE == "ordered":
        return Queue(name, partitions=_PARTITIONS, ordered=True)
    if _SHAPE == "urgent":
        return Queue(name, partitions=_PARTITIONS, priorities=("high", "low"))
    pool = "process" if _SHAPE == "process" else "default"
    return Queue(name, partitions=_PARTITIONS, priorities=("normal",), pool=pool)


bench = Pipeline(
    work.setting("NAME", "bench"), queues=[_queue(number) for number in range(_QUEUES)]
)


async def _waiting(kind: str, number: int, note: str) -> None:
    """Whatever the kind says, on the worker's event loop."""
    await work.perform_async(kind, number)


def _burning(kind: str, number: int, note: str) -> None:
    """The same, in a child process."""
    work.perform(kind, number)


_HANDLER: Any = _burning if _SHAPE == "process" else _waiting
jobs = [
    bench.job(f"job-{number}", queue=f"work-{number % _QUEUES}", priority=_LOWEST)(_HANDLER)
    for number in range(_TYPES)
]


async def _flaky(context: JobContext, kind: str, number: int, note: str) -> None:
    """Fail in a tenth of all attempts."""
    work.fail_or_not(number, context.attempt)


_RETRY = Retry(max_attempts=work.ATTEMPTS, base=timedelta(seconds=work.WAIT), factor=1, jitter=0)
flaky = bench.job("flaky", queue="work-0", priority=_LOWEST, retry=_RETRY)(_flaky)


def prepare() -> None:
    """Make the topics."""
    kafka = load(KafkaSettings)
    report = apply_plan(plan_topics(bench, kafka, load(TopicSettings)), kafka)
    if not report.ok:
        raise RuntimeError(report.summary)


def letters() -> int:
    """Count the dead letters."""
    found = json.loads(_headrace("dlq", "stats", REFERENCE, "--json"))
    return int(found["total"])


def replay() -> None:
    """Replay all dead letters."""
    _headrace("dlq", "replay", "begin", REFERENCE, "--json")


def _headrace(*words: str) -> str:
    command = [sys.executable, "-m", "headrace", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _job_of(call: Call) -> Job[None]:
    if call.kind == "flaky":
        return flaky.job(call.kind, call.number, call.note)
    found: Job[None] = jobs[call.number % _TYPES].job(call.kind, call.number, call.note)
    return found


class Client:
    """`producers.Producer`: all replicas acknowledge, idempotent, lz4."""

    def __init__(self, url: str, name: str) -> None:
        self._producer = Producer(bench)
        self._producer.prepare()

    def stream(self, given: Iterable[Call]) -> None:
        """Submit as fast as it can, then wait for the broker."""
        for call in given:
            self.send(call)
        self._producer.flush()

    def send(self, call: Call) -> None:
        """Submit; the client sends by itself."""
        self._producer.submit(_job_of(call), key=call.key, priority=call.priority)

    def single(self, call: Call) -> None:
        """Submit and confirm."""
        receipt = self._producer.submit(_job_of(call), key=call.key, priority=call.priority)
        receipt.confirm(30)

    def batch(self, given: Sequence[Call]) -> None:
        """Submit many, and confirm them all."""
        for receipt in self._producer.submit_many(_job_of(call) for call in given):
            receipt.confirm(30)

    def close(self) -> None:
        """Flush and stop."""
        self._producer.close()
