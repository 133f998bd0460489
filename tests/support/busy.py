"""A pipeline whose jobs are told to come back later: `tests.support.busy:t3f9a2c81`."""

from datetime import timedelta
from functools import cache

from headrace.pipeline import JobContext, Pipeline, Queue, Retry, RetryBudget, http_retry_after
from tests.support.jobs import Journal

NEVER_BY_ITSELF = timedelta(hours=1)
"""A back-off that no test waits for: who comes back sooner was asked to."""
BUDGET = RetryBudget(ratio=0.1, per=timedelta(seconds=1), minimum=2)


class BusyError(Exception):
    """As HTTP clients raise it: with a response that has headers."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"503, ask again in {seconds} s")
        self.response = Response(seconds)


class Response:
    """No attribute of it survives the way out of a child process."""

    def __init__(self, seconds: int) -> None:
        self.headers = {"Retry-After": str(seconds)}


def make(name: str) -> Pipeline:
    """Three ways to run, and a policy for each test."""
    pipeline = Pipeline(
        name,
        queues=[
            Queue("default", priorities=("normal",), partitions=2),
            Queue("procs", priorities=("normal",), pool="process", partitions=1),
        ],
    )
    asks = Retry.fixed(NEVER_BY_ITSELF, retry_after=http_retry_after)

    def serve(context: JobContext, journal: str, tag: str) -> None:
        Journal(journal).note("start", tag, context.attempt)
        if context.attempt == 1:
            raise BusyError(1)

    @pipeline.job("busy.async", retry=asks)
    async def busy_async(context: JobContext, journal: str, tag: str) -> None:
        serve(context, journal, tag)

    @pipeline.job("busy.thread", retry=asks)
    def busy_thread(context: JobContext, journal: str, tag: str) -> None:
        serve(context, journal, tag)

    @pipeline.job("busy.process", queue="procs", retry=asks)
    def busy_process(context: JobContext, journal: str, tag: str) -> None:
        serve(context, journal, tag)

    @pipeline.job(
        "ages", retry=Retry.fixed(timedelta(seconds=0.4), 99, max_age=timedelta(seconds=1))
    )
    async def ages(context: JobContext, journal: str, tag: str) -> None:
        Journal(journal).note("start", tag, context.attempt)
        raise BusyError(0)

    @pipeline.job("storm", retry=Retry.fixed(timedelta(milliseconds=50), 2, budget=BUDGET))
    async def storm(context: JobContext, journal: str, tag: str) -> None:
        Journal(journal).note("start", tag, context.attempt)
        if context.attempt == 1:
            raise BusyError(0)

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
    return f"tests.support.busy:{name}"
