"""Starting single attempts on an executor and waiting for what it reports."""

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headrace.consumers.child import ChildSetup
from headrace.consumers.executors import (
    AsyncExecutor,
    Executor,
    IsolatedExecutor,
    ProcessExecutor,
    ThreadExecutor,
)
from headrace.consumers.executors.contract import Tell
from headrace.consumers.executors.event_loops import new_event_loop
from headrace.consumers.outcomes import Attempted, Outcome, Succeeded
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.running import Runner
from headrace.pipeline import Lane, Pipeline, Progress
from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.settings import ClaimSettings, EventLoop, KafkaSettings
from headrace.schemas.headers import JobHeaders
from tests.consumers import executor_samples
from tests.consumers.executor_samples import samples

LANE = Lane("samples", "default", "normal")
SCHEMAS = known_schemas(samples, KafkaSettings(bootstrap_servers="127.0.0.1:1"))
MAX_RESULT = 1_000
NO_CLAIMS = ClaimStore(ClaimSettings(claims_url=None), "samples")
LONG = 60.0
"""Seconds that a test waits at most for what must happen, and that attempts may take."""


def unheard(*_: Any) -> None:
    """Takes what nobody asks for."""


def runner(pipeline: Pipeline = samples) -> Runner:
    return Runner(pipeline, SCHEMAS, MAX_RESULT, NO_CLAIMS)


def record_of(
    name: str, timeout: float, arguments: dict[str, Any], pipeline: Pipeline = samples
) -> JobRecord:
    job_type = pipeline.job_types[name]
    payload = job_type.arguments.encode(job_type.arguments.bind(**arguments))
    created = 1_700_000_000_000
    job = JobHeaders(f"job-{name}", name, "", created, LANE.topic, tenant="acme")
    assignment = Assignment(LANE.topic, 0, 1)
    return JobRecord(job, b"key-1", payload, LANE, 0, 0, assignment, job_type, timeout)


@dataclass
class Bench:
    """An executor and what it has reported."""

    kind: str
    """`async` or `sync`: which handlers it runs."""
    executor: Executor
    reports: "queue.Queue[tuple[JobRecord, Attempted]]"
    lost: list[int] = field(default_factory=list)
    told: list[tuple[JobRecord, Progress]] = field(default_factory=list)
    """What running jobs have told of themselves."""
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str, timeout: float = LONG, **arguments: Any) -> JobRecord:
        record = record_of(f"{self.kind}.{name}", timeout, arguments)
        self.executor.start(record)
        return record

    def report(self) -> Attempted:
        return self.reports.get(timeout=LONG)[1]

    def outcome(self, name: str, timeout: float = LONG, **arguments: Any) -> Outcome:
        """Run one attempt to its end."""
        self.start(name, timeout, **arguments)
        return self.report().outcome

    def result(self, name: str, **arguments: Any) -> Any:
        """What a successful attempt returned."""
        outcome = self.outcome(name, **arguments)
        assert isinstance(outcome, Succeeded), outcome
        codec = samples.job_types[f"{self.kind}.{name}"].result
        assert codec is not None
        return None if outcome.result is None else codec.decode(outcome.result, SCHEMAS)

    def watch(self) -> None:
        """Look after the executor as a worker does."""
        while not self._ended.wait(0.02):
            self.executor.check()

    def end(self) -> None:
        self._ended.set()
        executor_samples.RELEASE.set()
        self.executor.stop(at_once=False)


def child_setup(reference: str = "tests.consumers.executor_samples:samples") -> ChildSetup:
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    return ChildSetup(reference, kafka, MAX_RESULT, os.getpid())


def make(where: str, *, slots: int = 2, kind: str | None = None) -> Bench:
    """An executor of one kind; `kind` says which handlers a process executor runs."""
    executor_samples.RELEASE.clear()
    reports: queue.Queue[tuple[JobRecord, Attempted]] = queue.Queue()
    lost: list[int] = []

    told: list[tuple[JobRecord, Progress]] = []

    def report(record: JobRecord, attempted: Attempted) -> None:
        reports.put((record, attempted))

    def tell(record: JobRecord, progress: Progress) -> None:
        told.append((record, progress))

    makers: dict[str, Callable[[], Executor]] = {
        "async": lambda: AsyncExecutor(runner(), report, tell, cancel_grace=0.2),
        "uvloop": lambda: AsyncExecutor(
            runner(), report, tell, cancel_grace=0.2, loop=new_event_loop(EventLoop.UVLOOP)
        ),
        "thread": lambda: opened_thread_executor(report, tell, slots, lost),
        "process": lambda: ProcessExecutor(child_setup(), report, tell, slots),
        "isolated": lambda: IsolatedExecutor(child_setup, report, tell),
    }
    executor = makers[where]()
    if isinstance(executor, AsyncExecutor):
        executor.open()
    on_loop = isinstance(executor, AsyncExecutor)
    bench = Bench(kind or ("async" if on_loop else "sync"), executor, reports, lost, told)
    threading.Thread(target=bench.watch, name="bench-watch", daemon=True).start()
    return bench


def opened_thread_executor(
    report: Callable[[JobRecord, Attempted], None], tell: Tell, slots: int, lost: list[int]
) -> ThreadExecutor:
    """Threads get the lifespan's state from whoever entered it: here, this function."""
    running = runner()
    running.state = {"pid": os.getpid(), "runs": 0}
    return ThreadExecutor(running, report, tell, slots, lost.append)
