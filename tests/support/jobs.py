"""Pipelines for tests of the whole path, made by name: `tests.support.jobs:t3f9a2c81`.

A module-level `__getattr__` makes them, so that a worker process and its children, which import
the pipeline by reference, get the one that the test has topics for. Handlers write what happened
into a journal, a file with one line for each event, since they may run in any process.
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from headrace.pipeline import JobContext, Pipeline, Queue, Reject, Retry, RetryLater, Snooze
from headrace.pipeline.queues import DEDUP_WINDOW

AGAIN_AT_ONCE = Retry(max_attempts=3, base=timedelta(milliseconds=100), factor=1, jitter=0)
TWO_SECONDS = Retry(max_attempts=3, base=timedelta(seconds=2), factor=1, jitter=0)
ENVIRONMENT = "HEADRACE_SUPPORT"
"""What pipelines know beyond their names: `withhold=a,b` leaves job types out."""


@dataclass(frozen=True)
class Event:
    """One line of a journal."""

    what: str
    tag: str
    attempt: int
    at: int
    """Epoch nanoseconds by the handler's own clock."""
    pid: int


@dataclass(frozen=True)
class Journal:
    """What handlers say happened, across processes."""

    path: str

    def note(self, what: str, tag: str, attempt: int = 0) -> None:
        line = f"{what}\t{tag}\t{attempt}\t{time.time_ns()}\t{os.getpid()}\n"
        with open(self.path, "a", encoding="utf-8") as file:  # noqa: PTH123 - one short append
            file.write(line)

    @property
    def gate(self) -> Path:
        """The file that jobs of the gate wait for."""
        return Path(f"{self.path}.open")

    def events(self, what: str | None = None, tag: str | None = None) -> list[Event]:
        path = Path(self.path)
        text = path.read_text("utf-8") if path.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # another process may be writing
        found = [_event(line) for line in lines]
        return [e for e in found if what in (None, e.what) and tag in (None, e.tag)]

    def count(self, what: str | None = None, tag: str | None = None) -> int:
        return len(self.events(what, tag))


def _event(line: str) -> Event:
    what, tag, attempt, at, pid = line.split("\t")
    return Event(what, tag, int(attempt), int(at), int(pid))


def make(
    name: str,
    *,
    withhold: tuple[str, ...] = (),
    partitions: int = 2,
    dedup_window: timedelta = DEDUP_WINDOW,
) -> Pipeline:
    """Make a pipeline with every job type but those withheld."""
    pipeline = Pipeline(
        name,
        queues=[
            Queue(
                "default",
                priorities=("high", "normal"),
                partitions=partitions,
                dedup_window=dedup_window,
            ),
            Queue("procs", ("normal",), pool="process", partitions=1, dedup_window=timedelta()),
        ],
    )
    for each in (_ordinary, _gates, _signals, _timeouts, _processes, _late):
        each(pipeline, set(withhold))
    return pipeline


def _ordinary(pipeline: Pipeline, withhold: set[str]) -> None:
    @pipeline.job("work", retry=AGAIN_AT_ONCE)
    async def work(
        context: JobContext, journal: str, tag: str, fail: int = 0, seconds: float = 0.0
    ) -> str:
        """Fail in the first attempts, then succeed."""
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        await asyncio.sleep(seconds)
        if context.attempt <= fail:
            notes.note("fail", tag, context.attempt)
            raise ValueError(f"{tag} fails in attempt {context.attempt}")
        notes.note("done", tag, context.attempt)
        return f"{tag} done"

    @pipeline.job("plain", retry=AGAIN_AT_ONCE)
    def plain(context: JobContext, journal: str, tag: str, seconds: float = 0.0) -> None:
        Journal(journal).note("start", tag, context.attempt)
        time.sleep(seconds)
        Journal(journal).note("done", tag, context.attempt)

    @pipeline.job("two-seconds", retry=TWO_SECONDS)
    async def two_seconds(context: JobContext, journal: str, tag: str) -> None:
        Journal(journal).note("start", tag, context.attempt)
        if context.attempt == 1:
            Journal(journal).note("fail", tag, context.attempt)
            raise ConnectionError("not yet")

    @pipeline.job("blob")
    async def blob(journal: str, data: bytes) -> int:
        Journal(journal).note("done", str(len(data)))
        return len(data)

    @pipeline.job("echo")
    async def echo(context: JobContext, journal: str, text: str, of: dict[str, str]) -> str:
        said = f"{text}|{sorted(of.items())}|{context.tenant}|{context.key}"
        Journal(journal).note("done", said)
        return text

    @pipeline.job("nothing")
    async def nothing() -> None:
        """Take no arguments: an Avro record without fields, so an empty body."""


def _gates(pipeline: Pipeline, withhold: set[str]) -> None:
    """Jobs that run until the journal's gate is there: how many run at once is seen exactly."""

    @pipeline.job("gate", retry=AGAIN_AT_ONCE)
    async def gate(
        context: JobContext, journal: str, tag: str, data: bytes = b"", fail: int = 0
    ) -> None:
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        while not notes.gate.exists():  # noqa: ASYNC110 - another process may open it
            await asyncio.sleep(0.02)
        if context.attempt <= fail:
            raise ValueError(f"{tag} fails in attempt {context.attempt}")
        notes.note("done", tag, context.attempt)

    @pipeline.job("gate.plain", retry=AGAIN_AT_ONCE)
    def gate_plain(context: JobContext, journal: str, tag: str) -> None:
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        while not notes.gate.exists():
            time.sleep(0.02)
        notes.note("done", tag, context.attempt)

    @pipeline.job("heeds", retry=AGAIN_AT_ONCE)
    def heeds(context: JobContext, journal: str, tag: str, raises: bool) -> None:
        """Give up when told to, in one way or the other."""
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        while not context.cancelled:
            time.sleep(0.02)
        notes.note("gave up", tag, context.attempt)
        if raises:
            raise InterruptedError("told to")

    @pipeline.job("gate.process", queue="procs", retry=AGAIN_AT_ONCE)
    def gate_process(context: JobContext, journal: str, tag: str) -> None:
        gate_plain(context, journal, tag)


def _signals(pipeline: Pipeline, withhold: set[str]) -> None:
    raised: dict[str, Any] = {
        "later": lambda: RetryLater(timedelta(milliseconds=300), "come back"),
        "reject": lambda: Reject("never again"),
        "snooze": lambda: Snooze(timedelta(milliseconds=300)),
        "exit": lambda: SystemExit(3),
        "interrupt": KeyboardInterrupt,
        "cancel": asyncio.CancelledError,
    }

    def speak(context: JobContext, journal: str, what: str) -> None:
        notes = Journal(journal)
        first = notes.count("start", what) == 0
        notes.note("start", what, context.attempt)
        if first or what == "reject":
            made = raised[what]
            raise made()

    @pipeline.job("speak", retry=AGAIN_AT_ONCE)
    async def speak_async(context: JobContext, journal: str, what: str) -> None:
        speak(context, journal, what)

    @pipeline.job("speak.plain", retry=AGAIN_AT_ONCE)
    def speak_plain(context: JobContext, journal: str, what: str) -> None:
        speak(context, journal, what)

    @pipeline.job("bad-result", retry=Retry(max_attempts=1))
    async def bad_result() -> int:
        return object()  # type: ignore[return-value]


def _timeouts(pipeline: Pipeline, withhold: set[str]) -> None:
    once, short = Retry(max_attempts=1), timedelta(seconds=0.5)

    @pipeline.job("stuck", retry=once, timeout=short)
    async def stuck(journal: str) -> None:
        Journal(journal).note("start", "stuck")
        await asyncio.sleep(60)

    @pipeline.job("stuck.plain", retry=once, timeout=short)
    def stuck_plain(journal: str, seconds: float) -> None:
        Journal(journal).note("start", "stuck.plain")
        time.sleep(seconds)

    @pipeline.job("stuck.process", queue="procs", retry=once, timeout=short)
    def stuck_process(journal: str) -> None:
        Journal(journal).note("start", "stuck.process")
        time.sleep(60)

    twice = Retry(max_attempts=2, base=timedelta(milliseconds=100), factor=1, jitter=0)

    @pipeline.job("tells.cancelled", retry=twice, timeout=short)
    async def tells(context: JobContext, journal: str) -> None:
        Journal(journal).note("start", "async", context.attempt)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            Journal(journal).note("cancelled", "async", context.attempt)
            raise

    @pipeline.job("tells.cancelled.plain", retry=twice, timeout=short)
    def tells_plain(context: JobContext, journal: str) -> None:
        Journal(journal).note("start", "thread", context.attempt)
        while not context.cancelled:
            time.sleep(0.01)
        Journal(journal).note("cancelled", "thread", context.attempt)

    @pipeline.job("tells.cancelled.process", queue="procs", retry=twice, timeout=short)
    def tells_process(context: JobContext, journal: str) -> None:
        Journal(journal).note("start", "process", context.attempt)
        time.sleep(60)
        Journal(journal).note("survived", "process", context.attempt)

    @pipeline.job("gives.up", retry=twice, timeout=short)
    def gives_up(context: JobContext) -> None:
        while not context.cancelled:
            time.sleep(0.001)

    @pipeline.job("gives.up.process", queue="procs", retry=twice, timeout=short)
    def gives_up_process(context: JobContext) -> None:
        gives_up(context)


def _processes(pipeline: Pipeline, withhold: set[str]) -> None:
    @pipeline.job("child", queue="procs", retry=Retry(max_attempts=1))
    def child(context: JobContext, journal: str, how: str) -> str:
        Journal(journal).note("start", how, context.attempt)
        match how:
            case "os-exit":
                os._exit(7)
            case "os-exit-0":
                os._exit(0)
            case "fork":
                _fork_a_process_that_ends_well()
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                raise SystemExit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "reject":
                raise Reject("never again")
            case "raise":
                raise ValueError("from a child")
        return how


def _fork_a_process_that_ends_well() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise ValueError(f"its exit status became {status}")


def _late(pipeline: Pipeline, withhold: set[str]) -> None:
    """Job types that a worker of an older release does not know."""
    if "novel" not in withhold:

        @pipeline.job("novel", unknown_type_grace=timedelta(seconds=1))
        async def novel(context: JobContext, journal: str, tag: str) -> None:
            Journal(journal).note("done", tag, context.attempt)


def __getattr__(name: str) -> Pipeline:
    if name.startswith("t") and name.isalnum():
        return _made(name)
    raise AttributeError(name)


@cache
def _made(name: str) -> Pipeline:
    return make(name)


def reference(name: str) -> str:
    """How a process of its own names the pipeline."""
    return f"tests.support.jobs:{name}"
