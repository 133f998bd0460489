"""Pipelines with schedules, made by name, as `tests.support.jobs` makes others.

Processes get the one with a schedule for every second. The journal lies where its name says, since
a declaration cannot know a test's folder.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path

from headrace.pipeline import JobContext, Misfire, Pipeline, Queue
from tests.support.jobs import Journal

SECOND = timedelta(seconds=1)


def journal_of(name: str) -> Journal:
    """Where the jobs of a pipeline say what happened."""
    return Journal(str(Path(tempfile.gettempdir()) / f"headrace-{name}.tsv"))


def every_second(pipeline: Pipeline) -> None:
    """Nothing that was missed is dropped."""
    work = pipeline.job_type("tick").job(tag="every-second")
    pipeline.schedule("every-second", work, every=SECOND, misfire=Misfire.catch_up(1_000))


def make(name: str, schedules: Callable[[Pipeline], object] = every_second) -> Pipeline:
    """A lane, a job that is done at once, one that waits for the journal's gate, and schedules."""
    pipeline = Pipeline(name, queues=[Queue("default", priorities=("normal",), partitions=2)])
    journal = journal_of(name)

    @pipeline.job("tick")
    async def tick(context: JobContext, tag: str) -> None:
        journal.note("start", context.id, context.attempt)

    @pipeline.job("slow")
    def slow(context: JobContext, tag: str) -> None:
        journal.note("start", context.id, context.attempt)
        while not (journal.gate.exists() or context.cancelled):
            time.sleep(0.02)
        if context.cancelled:
            raise InterruptedError("told to stop")

    schedules(pipeline)
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
    return f"tests.support.scheduled:{name}"
