"""The inside of a child process of the process executor."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize
from typing import Any, Final, NoReturn, Protocol

from headrace.consumers.clock import now_ms
from headrace.consumers.lifespans import enter_lifespan
from headrace.consumers.outcomes import (
    Attempted,
    Failed,
    Outcome,
    TimedOut,
    Unavailable,
    error_info,
)
from headrace.consumers.progress_pipe import ChildProgress
from headrace.consumers.running import Call, Runner
from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.context import JobContext
from headrace.pipeline.job import Job
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.loading import load_pipeline
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import (
    ClaimSettings,
    KafkaSettings,
    LogSettings,
    TraceSettings,
    load,
)
from headrace.pipeline.telemetry import logs
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.tracing import Traces, export_spans, log_processors, traces_of
from headrace.producers import Producer, Receipt

_UNASKED: Final = 70
"""Exit code of a child that ends though its pool did not ask it to (EX_SOFTWARE)."""


@dataclass(frozen=True, slots=True)
class ChildSetup:
    """What a child needs to become one."""

    pipeline: str
    """`module:attribute`."""
    kafka: KafkaSettings
    max_result_bytes: int
    parent: int
    """The worker's pid: a child whose worker is gone ends itself."""
    claims: ClaimSettings = field(default_factory=lambda: load(ClaimSettings))
    progress: Connection | None = None
    """Where it tells of its job's progress."""
    tracing: TraceSettings = field(default_factory=lambda: load(TraceSettings))


class LazySubmitter:
    """Publishes child jobs through a producer that is made when first needed."""

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        claims: ClaimSettings,
        traces: Traces | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._claims = claims
        self._traces = traces
        self.metrics: Metrics | None = None
        self._producer: Producer | None = None
        self._lock = threading.Lock()

    def submit(self, job: Job[Any], **options: Any) -> Receipt[Any]:
        """Publish `job`, as `Producer.submit` does."""
        with self._lock:
            if self._producer is None:
                self._producer = Producer(
                    self._pipeline,
                    kafka=self._kafka,
                    metrics=self.metrics,
                    traces=self._traces,
                    claims=self._claims,
                )
        return self._producer.submit(job, **options)

    def flush(self) -> None:
        """Wait until the broker has everything; raises as `Producer.flush` does."""
        if self._producer is not None:
            self._producer.flush()

    def close(self) -> None:
        """Flush and stop."""
        if self._producer is not None:
            self._producer.close(timeout=5)


class _Child:
    """One process's runner, loop and lifespan."""

    def __init__(self, setup: ChildSetup) -> None:
        pipeline = load_pipeline(setup.pipeline)
        self._busy = False
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._end_spans = export_spans(setup.tracing, f"{pipeline.name}-worker")
        traces = traces_of(setup.tracing)
        self._submitter = LazySubmitter(pipeline, setup.kafka, setup.claims, traces)
        self.progress = ChildProgress(setup.progress)
        state = self._loop.run_until_complete(enter_lifespan(pipeline, self._stack))
        schemas = known_schemas(pipeline, setup.kafka)
        self._runner = Runner(
            pipeline,
            schemas,
            setup.max_result_bytes,
            ClaimStore(setup.claims, pipeline.name),
            state=state,
            submitter=self._submitter,
            traces=traces,
        )

    def run(self, call: Call) -> Attempted:
        started, deadline = now_ms(), time.monotonic() + call.timeout
        self._busy = True
        self.progress.begin(call)
        try:
            if self._runner.pipeline.job_types[call.job_type].is_async:
                outcome = self._await(call)
            else:
                outcome = Context().run(self._runner.run, call, self._watching(call))
            self._submitter.flush()
        except BaseException as error:
            outcome = Failed(error_info(error))
        self._busy = False
        if time.monotonic() >= deadline:
            # Its pool was about to kill it: it may have looked at `context.cancelled` and given up.
            outcome = TimedOut(call.timeout)
        return Attempted(outcome, started, now_ms(), self.progress.end())

    def _watching(self, call: Call) -> Callable[[JobContext], None]:
        def watch(context: JobContext) -> None:
            context.listener = partial(self.progress.tell, call)

        return watch

    def _await(self, call: Call) -> Outcome:
        attempt = self._runner.run_async(call, self._watching(call))
        task = self._loop.create_task(attempt, context=Context())
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            # A task that the handler made for itself ended the loop: this one goes no further.
            task.cancel()
            self._loop.run_until_complete(asyncio.wait([task]))
            raise

    def leave(self) -> None:
        """Leave the lifespan, unless this process is being killed in the middle of a job."""
        if self._busy:
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes while the last lines still run
        self._loop.run_until_complete(self._stack.aclose())
        self._submitter.close()
        self._end_spans()


class _Process:
    """What this process is: not yet a child, or the child of one worker."""

    def __init__(self) -> None:
        self.setup: ChildSetup | None = None
        self.busy_pid = 0
        """This process while it runs a job; one that the job forks is none of the pool's."""
        self._child: _Child | None = None

    def enter(self) -> _Child:
        """Import the pipeline and enter its lifespan; tried again at the next job if it fails."""
        if self._child is None:
            assert self.setup is not None
            self._child = _Child(self.setup)
            Finalize(None, self._child.leave, exitpriority=10)
        return self._child

    def flush_progress(self) -> None:
        """Tell what the job told last, if that was kept back."""
        if self._child is not None:
            self._child.progress.flush()


_process = _Process()
"""The pool calls plain functions only, so what they share stands here."""


def start(setup: ChildSetup) -> None:
    """Become a child: leave the worker's process group, import the pipeline, enter its lifespan.

    A signal to the worker's group must reach the worker alone, which then decides what becomes
    of its children. Never raises: a pool whose children do not start is broken as a whole, so
    the first job tells what is wrong.
    """
    os.setpgrp()
    os._exit = _telling_exit(os._exit)
    _configure_logs(setup.tracing)
    threading.Thread(target=_follow, args=(setup.parent,), daemon=True).start()
    _process.setup = setup
    with contextlib.suppress(Exception):
        _process.enter()


def _configure_logs(tracing: TraceSettings) -> None:
    """Log in the worker's form, to standard error: the log file is the worker's to rotate."""
    settings = load(LogSettings)
    to_console = {"log_console_enabled": True, "log_file_enabled": False}
    logs.configure(
        settings.model_copy(update=to_console),
        role="job",
        more=log_processors(tracing),
        process=os.getpid(),
    )


def run(call: Call) -> Attempted:
    """Run one attempt in this child."""
    _process.busy_pid = os.getpid()
    try:
        return _run(call)
    finally:
        _process.busy_pid = 0


def _run(call: Call) -> Attempted:
    started = now_ms()
    try:
        child = _process.enter()
    except BaseException as error:
        return Attempted(Unavailable(error_info(error)), started, now_ms())
    return child.run(call)


class _Exit(Protocol):
    """`os._exit`."""

    def __call__(self, status: int) -> NoReturn: ...


def _telling_exit(exit_now: _Exit) -> _Exit:
    """Make an end in the middle of a job look like one.

    A pool takes exit code 0 for a child that was told to go, so a job that calls `os._exit(0)`
    would be waited for until its time is over.
    """

    def exit_telling(status: int) -> NoReturn:
        exit_now(_UNASKED if status == 0 and os.getpid() == _process.busy_pid else status)

    return exit_telling


def run_isolated(setup: ChildSetup, call: Call, answers: Connection) -> None:
    """Live for one attempt: say when it starts, then how it went."""
    start(setup)
    try:
        child = _process.enter()
    except BaseException as error:
        now = now_ms()
        answers.send(Attempted(Unavailable(error_info(error)), now, now))
        return
    answers.send(now_ms())
    answers.send(child.run(call))


def _follow(parent: int) -> None:
    """End this process when its worker has died: its result could reach nobody."""
    while True:
        time.sleep(0.5)
        _process.flush_progress()
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(_UNASKED)
