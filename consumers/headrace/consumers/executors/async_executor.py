"""Coroutine functions: one event loop on one thread, a task for each running job."""

import asyncio
import threading
from collections import deque
from contextlib import AsyncExitStack
from typing import Any

from headrace.consumers.clock import now_ms
from headrace.consumers.executors.contract import Report, call_of
from headrace.consumers.lifespans import enter_lifespan
from headrace.consumers.outcomes import (
    Attempted,
    Failed,
    Interrupted,
    Outcome,
    TimedOut,
    error_info,
)
from headrace.consumers.records import JobRecord
from headrace.consumers.running import Runner
from headrace.pipeline.context import JobContext


class AsyncExecutor:
    """Runs coroutine functions concurrently; a job over its time is cancelled.

    The loop also holds the pipeline's lifespan, so that what it opened can be awaited by handlers.
    """

    def __init__(self, runner: Runner, report: Report) -> None:
        self._runner = runner
        self._report = report
        self._inbox: deque[JobRecord] = deque()
        self._scheduled = False
        self._tasks: dict[asyncio.Task[None], JobContext | None] = {}
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="headrace-loop", daemon=True)

    def open(self) -> Any:
        """Start the loop and enter the lifespan; gives what it yielded.

        Raises:
            BaseException: Whatever the lifespan raised.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self._runner.state

    def start(self, record: JobRecord) -> None:
        """Start an attempt as a task on the loop."""
        self._inbox.append(record)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._take_in)

    def check(self) -> None:
        """Nothing to do: the loop's own timers watch the timeouts."""

    def stop(self, *, at_once: bool) -> None:
        """Cancel what runs, leave the lifespan, end the loop."""
        if not self._thread.is_alive() or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout=0 if at_once else 10)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._ready.set()
            self._loop.close()

    async def _live(self) -> None:
        self._stopping = asyncio.Event()
        async with AsyncExitStack() as stack:
            try:
                self._runner.state = await enter_lifespan(self._runner.pipeline, stack)
            except BaseException as error:
                self._failure = error
                return
            self._ready.set()
            await self._stopping.wait()
            await self._cancel_all()

    async def _cancel_all(self) -> None:
        for task, context in self._tasks.items():
            if context is not None:
                context.stopping = True
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=5)

    def _take_in(self) -> None:
        self._scheduled = False
        while self._inbox:
            record = self._inbox.popleft()
            task = self._loop.create_task(self._attempt(record))
            self._tasks[task] = None
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task, None)

    async def _attempt(self, record: JobRecord) -> None:
        task = asyncio.current_task()
        assert task is not None
        over_time = False

        def cancel() -> None:
            nonlocal over_time
            over_time = True
            task.cancel()

        def watch(context: JobContext) -> None:
            self._tasks[task] = context

        started = now_ms()
        timer = self._loop.call_later(record.timeout, cancel)
        outcome: Outcome
        try:
            outcome = await self._runner.run_async(call_of(record), watch)
            if over_time:
                outcome = TimedOut(record.timeout)
        except asyncio.CancelledError as error:
            outcome = self._cancelled(record, error, over_time=over_time)
        finally:
            timer.cancel()
        self._report(record, Attempted(outcome, started, now_ms()))

    def _cancelled(self, record: JobRecord, error: BaseException, *, over_time: bool) -> Outcome:
        if over_time:
            return TimedOut(record.timeout)
        if self._stopping is not None and self._stopping.is_set():
            return Interrupted()
        return Failed(error_info(error))
