"""A pipeline whose jobs fail until a gate is open: `tests.support.circuits:t3f9a2c81`."""

from datetime import timedelta
from functools import cache

from headrace.pipeline import CircuitPolicy, JobContext, Pipeline, Queue, Reject
from tests.support.jobs import Journal

POLICY = CircuitPolicy(min_jobs=5, open_for=timedelta(seconds=10), trial_jobs=2)


def make(name: str) -> Pipeline:
    pipeline = Pipeline(name, queues=[Queue("default", priorities=("normal",), partitions=1)])

    @pipeline.job("call", circuit=POLICY)
    async def call(context: JobContext, journal: str, tag: str) -> None:
        notes = Journal(journal)
        notes.note("start", tag, context.attempt)
        if not notes.gate.exists():
            raise Reject("nobody answers")

    @pipeline.job("other")
    async def other(context: JobContext, journal: str, tag: str) -> None:
        Journal(journal).note("start", tag, context.attempt)

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
    return f"tests.support.circuits:{name}"
