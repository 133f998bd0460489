"""Procrastinate on PostgreSQL."""

# pyright: reportMissingImports=false

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from procrastinate import App, PsycopgConnector, RetryStrategy

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import BATCH, LoopClient

app = App(connector=PsycopgConnector(conninfo=work.setting("URL"), min_size=2, max_size=20))


@app.task(name="job")
async def job(kind: str, number: int, note: str) -> None:
    """Whatever the kind says."""
    await work.perform_async(kind, number)


@app.task(
    name="flaky",
    pass_context=True,
    retry=RetryStrategy(max_attempts=work.ATTEMPTS - 1, wait=int(work.WAIT)),
)
async def flaky(context: Any, kind: str, number: int, note: str) -> None:
    """Fail in a tenth of all attempts."""
    work.fail_or_not(number, context.job.attempts + 1)


def prepare() -> None:
    """Make the tables."""

    async def apply() -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    asyncio.run(apply())


def letters() -> int:
    """Count the failed jobs."""

    async def count() -> int:
        async with app.open_async():
            return len(list(await app.job_manager.list_jobs_async(status="failed")))

    return asyncio.run(count())


def _given(call: Call) -> dict[str, Any]:
    return {"kind": call.kind, "number": call.number, "note": call.note}


class Client(LoopClient):
    """`defer`: committed by PostgreSQL, each by itself or many in one statement."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self.run(app.open_async())

    def _task(self, call: Call) -> Any:
        task: Any = flaky if call.kind == "flaky" else job
        urgent = {"high": 10, "low": 0}.get(call.priority or "low", 0)
        return task.configure(priority=urgent)

    async def submit(self, call: Call) -> None:
        """Submit one."""
        await self._task(call).defer_async(**_given(call))

    def stream(self, given: Iterable[Call]) -> None:
        """Submit in batches: that is the fastest it offers."""
        left = iter(given)
        while some := list(itertools.islice(left, BATCH)):
            self.batch(some)

    def batch(self, given: Sequence[Call]) -> None:
        """Submit some in one statement."""
        task = self._task(given[0])
        self.run(task.batch_defer_async(*(_given(call) for call in given)))

    def close(self) -> None:
        """Let go of the connections."""
        self.run(app.close_async())
