"""What the workers of a proof run: jobs that do as their plan says and log what they did.

Pipelines are made by name (`headrace.console.proof.workload:proof-1a2b3c4d`), so that worker
processes and their children, which import them by reference, get the one that a run has topics for.
Handlers use nothing of the engine but what every handler gets: the checker must be able to believe
their log when it believes nothing else.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

from headrace.console.proof.plans import Plan
from headrace.console.proof.records import ExecutionEvent, What
from headrace.console.proof.run_folder import ExecutionLog
from headrace.pipeline import JobContext, Pipeline, Queue, Retry, Snooze

PREFIX: Final = "proof-"
FOLDER_VARIABLE: Final = "_HEADRACE_PROOF_FOLDER"
"""The run folder, for handlers. No setting of Headrace's, hence the underscore."""
WORKER_VARIABLE: Final = "_HEADRACE_PROOF_WORKER"
"""Pid of the worker process, for handlers in its children too."""
MAX_ATTEMPTS: Final = 4
ORDERED: Final = "ordered"
_PARTITIONS: Final = 4
"""One for each worker, also while a fourth one joins."""
_RETRY: Final = Retry(max_attempts=MAX_ATTEMPTS, base=timedelta(milliseconds=250))
_TIMEOUT: Final = timedelta(seconds=60)


class PlannedError(Exception):
    """The plan says that this attempt fails."""


def knows_order() -> bool:
    """Whether this release can declare a queue as ordered."""
    return "ordered" in {each.name for each in fields(Queue)}


def make(name: str) -> Pipeline:
    """Make the pipeline of one run."""
    queues = [
        Queue("default", priorities=("high", "normal"), partitions=_PARTITIONS),
        Queue("slow", priorities=("normal",), pool="process", partitions=2),
    ]
    if knows_order():
        how = {"priorities": ("normal",), "partitions": _PARTITIONS, ORDERED: True}
        queues.append(Queue(ORDERED, **how))  # type: ignore[arg-type]
    pipeline = Pipeline(name, queues=queues)
    _declare(pipeline)
    return pipeline


def _declare(pipeline: Pipeline) -> None:
    lanes = pipeline.name

    @pipeline.job("work", retry=_RETRY, timeout=_TIMEOUT)
    async def work(context: JobContext, plan: str, seq: int, due: int, pad: bytes) -> str:
        """Run on the event loop."""
        return await _awaited(_Execution(context, lanes, seq, due), plan)

    @pipeline.job("plain", retry=_RETRY, timeout=_TIMEOUT)
    def plain(context: JobContext, plan: str, seq: int, due: int, pad: bytes) -> str:
        """Run on a thread."""
        return _blocking(_Execution(context, lanes, seq, due), plan)

    @pipeline.job("child", queue="slow", retry=_RETRY, timeout=_TIMEOUT)
    def child(context: JobContext, plan: str, seq: int, due: int, pad: bytes) -> str:
        """Run in a child process."""
        return _blocking(_Execution(context, lanes, seq, due), plan)

    if ORDERED in pipeline.queues:

        @pipeline.job("in-turn", queue=ORDERED, retry=_RETRY, timeout=_TIMEOUT)
        async def in_turn(context: JobContext, plan: str, seq: int, due: int, pad: bytes) -> str:
            """Run on the event loop, in its turn."""
            return await _awaited(_Execution(context, lanes, seq, due), plan)


@dataclass(frozen=True, slots=True)
class _Execution:
    """One execution, as its log knows it."""

    context: JobContext
    pipeline: str
    """Its name, with which the names of lanes begin."""
    seq: int
    due: int

    def note(self, what: What) -> None:
        context = self.context
        lane = f"{self.pipeline}.{context.queue}.{context.priority}"
        key = context.key if self.seq >= 0 else ""
        _log().write(
            ExecutionEvent(
                time.time_ns(), what, context.id, context.attempt, os.getpid(), lane, key,
                self.seq, self.due, time.monotonic_ns(), int(os.environ[WORKER_VARIABLE]),
            )
        )  # fmt: skip

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Log the begin, and the end, whatever it is."""
        self.note(What.START)
        try:
            yield
        except Snooze:
            self.note(What.SNOOZE)
            raise
        except BaseException:
            self.note(What.RAISE)
            raise
        self.note(What.DONE)


async def _awaited(execution: _Execution, text: str) -> str:
    with execution.noted():
        plan = Plan.from_text(text)
        await asyncio.sleep(plan.seconds)
        return _end(plan, execution.context.attempt)


def _blocking(execution: _Execution, text: str) -> str:
    with execution.noted():
        plan = Plan.from_text(text)
        time.sleep(plan.seconds)
        return _end(plan, execution.context.attempt)


def _end(plan: Plan, attempt: int) -> str:
    left = plan.snooze_until - time.time_ns() // 1_000_000
    if left > 0:
        raise Snooze(timedelta(milliseconds=left))
    if attempt <= plan.failures:
        raise PlannedError(f"attempt {attempt} of {plan.failures} that fail")
    return "r" * plan.result


@cache
def _log() -> ExecutionLog:
    return ExecutionLog(Path(os.environ[FOLDER_VARIABLE]))


def __getattr__(name: str) -> Pipeline:
    if name.startswith(PREFIX):
        return _made(name)
    raise AttributeError(name)


@cache
def _made(name: str) -> Pipeline:
    return make(name)


def reference(name: str) -> str:
    """How a process names the pipeline of a run."""
    return f"{__name__}:{name}"
