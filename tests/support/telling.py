"""Pipelines whose jobs tell of themselves: progress, results, and arguments of any size.

Made by name, as those of `tests.support.jobs` are: `tests.support.telling:t3f9a2c81`.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from headrace.pipeline import JobContext, Pipeline, Queue, Reject, Retry

ONCE_MORE = Retry(max_attempts=2, base=timedelta(milliseconds=100), factor=1, jitter=0)


@dataclass(frozen=True)
class Report:
    """A result with types of its own."""

    pages: int
    at: datetime
    words: dict[str, int]


SOON = timedelta(milliseconds=300)
REPORT = Report(3, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), {"tea": 2})


def make(name: str) -> Pipeline:
    """Make the pipeline."""
    pipeline = Pipeline(
        name,
        queues=[
            Queue("default", ("normal",), partitions=1, dedup_window=timedelta()),
            Queue("procs", ("normal",), pool="process", partitions=1, dedup_window=timedelta()),
        ],
    )
    for queue in ("default", "procs"):
        _declare(pipeline, queue)
    return pipeline


def _declare(pipeline: Pipeline, queue: str) -> None:
    @pipeline.job(f"{queue}.count", queue=queue)
    def count(context: JobContext, steps: int, pause: float) -> int:
        for step in range(1, steps + 1):
            context.progress(step / steps, f"step {step} of {steps}")
            time.sleep(pause)
        return steps

    @pipeline.job(f"{queue}.hold", queue=queue)
    def hold(context: JobContext, gate: str, steps: int) -> int:
        """Half of its steps, and the rest when there is a file at the gate."""
        context.progress(0.5, f"step {steps // 2} of {steps}")
        while not Path(gate).exists():
            time.sleep(0.02)
        context.progress(1.0, f"step {steps} of {steps}")
        return steps

    @pipeline.job(f"{queue}.report", queue=queue)
    def report() -> Report:
        return REPORT

    @pipeline.job(f"{queue}.measure", queue=queue, retry=ONCE_MORE)
    def measure(context: JobContext, text: str, fail: int = 0) -> int:
        if context.attempt <= fail:
            raise ValueError(f"attempt {context.attempt} is to fail")
        return len(text)

    @pipeline.job(f"{queue}.repeat", queue=queue)
    async def repeat(times: int) -> str:
        return "tea " * times

    @pipeline.job(f"{queue}.refuse", queue=queue)
    def refuse(why: str) -> int:
        raise Reject(why)


@cache
def __getattr__(name: str) -> Pipeline:
    if name.startswith("__"):
        raise AttributeError(name)
    return make(name)


def reference(name: str) -> str:
    """How a process of its own names the pipeline."""
    return f"tests.support.telling:{name}"
