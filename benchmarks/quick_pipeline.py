"""The pipeline that `benchmarks.quick` measures."""

import os
import time
from datetime import timedelta

from headrace.pipeline import JobContext, Pipeline, Queue, Retry

bench = Pipeline("bench", queues=[Queue("default", partitions=12)])
RETRY_WAIT = timedelta(seconds=2)


def note(line: str) -> None:
    """Append a line to the file that the benchmark reads afterwards."""
    path = os.environ.get("BENCH_LOG")
    if path:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - on a measured path
            file.write(line + "\n")


@bench.job("noop")
async def noop(order: str, amount: int, note: str) -> None:
    """Nothing, to measure what running a job costs."""


@bench.job("noop.plain")
def noop_plain(order: str, amount: int, note: str) -> None:
    """Nothing, in a thread."""


@bench.job("ping", priority="high")
async def ping(intended_ns: int) -> None:
    """Say how long after its intended submission the handler began, in milliseconds."""
    note(f"ping {(time.time_ns() - intended_ns) / 1e6:.3f}")


@bench.job(
    "flaky", priority="high", retry=Retry(max_attempts=2, base=RETRY_WAIT, jitter=0, factor=1)
)
async def flaky(context: JobContext) -> None:
    """Fail once, and say when; then say when it began again."""
    note(f"flaky {context.attempt} {context.id} {time.time_ns()}")
    if context.attempt == 1:
        raise RuntimeError("on purpose")
