"""A pipeline with an ordered queue: `tests.support.ordered:t3f9a2c81`."""

import asyncio
import time
from datetime import timedelta
from functools import cache

from headrace.pipeline import JobContext, Pipeline, Queue, Retry
from tests.support.jobs import Journal

SOON = Retry(max_attempts=3, base=timedelta(milliseconds=200), factor=1, jitter=0)


def make(name: str, partitions: int = 2, *, older: bool = False) -> Pipeline:
    """An older release does not know the job type `gated`."""
    pipeline = Pipeline(name, queues=[Queue("ledger", ordered=True, partitions=partitions)])

    @pipeline.job("entry", retry=SOON)
    async def entry(
        context: JobContext, journal: str, tag: str, fail: int = 0, seconds: float = 0.0
    ) -> None:
        """Fail in the first attempts, then succeed; `tag` is `key:number`."""
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        await asyncio.sleep(seconds)
        if context.attempt <= fail:
            raise ValueError(f"{tag} fails in attempt {context.attempt}")
        notes.note("done", tag, context.attempt)

    @pipeline.job("patient", retry=Retry(max_attempts=3, base=timedelta(hours=1), jitter=0))
    async def patient(context: JobContext, journal: str, tag: str, fail: int, gate: bool) -> None:
        """Fail in the first attempts and wait for an hour; or run until the gate is open."""
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        if context.attempt <= fail:
            raise ValueError(f"{tag} fails in attempt {context.attempt}")
        while gate and not notes.gate.exists():  # noqa: ASYNC110 - another process may open it
            await asyncio.sleep(0.02)
        notes.note("done", tag, context.attempt)

    if older:
        return pipeline

    @pipeline.job("gated", retry=SOON)
    def gated(context: JobContext, journal: str, tag: str) -> None:
        """Fail until the journal's gate is open."""
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        deadline = time.monotonic() + 30
        while not notes.gate.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        notes.note("done", tag, context.attempt)

    return pipeline


def __getattr__(name: str) -> Pipeline:
    if name.startswith("t") and name.isalnum():
        return _made(name)
    raise AttributeError(name)


@cache
def _made(name: str) -> Pipeline:
    return make(name)


def reference(name: str) -> str:
    """How a process of its own names the pipeline."""
    return f"tests.support.ordered:{name}"
