"""A pipeline whose jobs kill what runs them: `tests.support.killers:t3f9a2c81`."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import time
from datetime import timedelta
from functools import cache

from headrace.pipeline import JobContext, Pipeline, Queue, Retry
from tests.support.jobs import Journal

THRICE = Retry(max_attempts=3, base=timedelta(milliseconds=100), factor=1, jitter=0)


def make(name: str, partitions: int = 1) -> Pipeline:
    """Two lanes of the default pool; the other jobs say when they start and end."""
    pipeline = Pipeline(
        name,
        queues=[
            Queue("default", priorities=("high", "normal"), partitions=partitions),
            Queue("procs", priorities=("normal",), pool="process", partitions=1),
        ],
    )

    @pipeline.job("kill", retry=THRICE)
    def kill(context: JobContext, journal: str, tag: str, how: str) -> None:
        Journal(journal).note("start", tag, context.attempt)
        die(how)

    @pipeline.job("kill.async", retry=THRICE)
    async def kill_async(context: JobContext, journal: str, tag: str, how: str) -> None:
        Journal(journal).note("start", tag, context.attempt)
        die(how)

    @pipeline.job("innocent", retry=THRICE)
    async def innocent(context: JobContext, journal: str, tag: str, seconds: float = 0.0) -> None:
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        await asyncio.sleep(seconds)
        notes.note("done", tag, context.attempt)

    @pipeline.job("patient", retry=THRICE)
    def patient(context: JobContext, journal: str, tag: str) -> None:
        """Run until the journal's gate is open."""
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        while not notes.gate.exists():
            time.sleep(0.02)
        notes.note("done", tag, context.attempt)

    return pipeline


def die(how: str) -> None:
    """End this process in one of the ways in which processes end."""
    match how:
        case "SIGKILL":  # as the kernel does when memory runs out
            os.kill(os.getpid(), signal.SIGKILL)
        case "SIGSEGV":
            ctypes.string_at(0)
        case "exit code 7":
            os._exit(7)
        case "exit code 0":
            os._exit(0)
        case "group":
            os.killpg(0, signal.SIGKILL)
        case "parent":  # with the worker, as when a container is ended
            parent = multiprocessing.parent_process()
            os.kill(os.getpid() if parent is None else parent.pid or 0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            raise AssertionError(how)
    time.sleep(60)


def __getattr__(name: str) -> Pipeline:
    if name.startswith("t") and name.isalnum():
        return _made(name)
    raise AttributeError(name)


@cache
def _made(name: str) -> Pipeline:
    return make(name)


def reference(name: str) -> str:
    """How a process of its own names the pipeline."""
    return f"tests.support.killers:{name}"
