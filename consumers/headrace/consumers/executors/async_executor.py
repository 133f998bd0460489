"""Coroutine functions: one event loop on one thread, a task for each running job."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import structlog

from headrace.consumers.clock import now_ms
from headrace.consumers.executors.contract import Calls, Report, Tell, call_of
from headrace.consumers.lifespans import enter_lifespan
from headrace.consumers.outcomes import (
    Attempted,
    Cancelled,
    Failed,
    Interrupted,
    Outcome,
    TimedOut,
    error_info,
)
from headrace.consumers.records import JobRecord
from headrace.consumers.running import Runner
from headrace.pipeline.context import JobContext, Progress

_LOG = structlog.get_logger("headrace.executors")
CANCEL_GRACE = 5.0
"""Seconds that a cancelled job may take to clean up before it is reported without waiting for it.
One that swallows its cancellation, or blocks the loop, would else keep its slot for ever."""
STUCK_AFTER = 30.0
"""Seconds without a sign of life after which a loop that a job blocks is given up."""
_STOP_GRACE = 5.0
"""Seconds that a stop waits for cancelled jobs; with the lifespan's end it must fit into `join`."""


_SWEEP = 0.05
"""Seconds between looks at the deadlines: a timer for each job costs more than the job's task."""


@dataclass(slots=True, eq=False)
class _Running:
    """One attempt on the loop."""

    record: JobRecord
    started: int
    deadline: float
    tell: Tell
    context: JobContext | None = None
    over_time: bool = False
    begun: bool = False
    """Whether the task has taken its first step: before that, cancelling it would leave no word."""
    cancelled: bool = False
    task: "asyncio.Task[None] | None" = None

    def watch(self, context: JobContext) -> None:
        """Note the context, to tell its handler when to give up, and listen to it."""
        self.context = context
        context.listener = self.listen

    def listen(self, progress: Progress) -> None:
        """Pass on what the handler tells."""
        self.tell(self.record, progress)

    @property
    def told(self) -> bool:
        """Whether the task was cancelled already: a second time would cut off its cleaning up."""
        return self.over_time or self.cancelled

    @property
    def forced(self) -> Outcome:
        """What to report of an attempt that does not end when it is cancelled."""
        return Cancelled() if self.cancelled else TimedOut(self.record.timeout)


class AsyncExecutor:
    """Runs coroutine functions concurrently; a job over its time is cancelled.

    The loop also holds the pipeline's lifespan, so that what it opened can be awaited by handlers.

    Args:
        runner: Runs handlers; is given what the lifespan yields.
        report: Takes results.
        tell: Takes what jobs tell of their progress.
        cancel_grace: Seconds that a job may live on after being cancelled.
        stuck_after: Seconds that a job over its time and grace may hold up the loop.
        calls: Says what is to be run.
        loop: The event loop to run on; asyncio's own unless given.
        on_stuck: Told, again and again, that the loop runs nothing any more: it has ended by
            itself, or a job holds it up for good. Only a new process helps.
    """

    def __init__(
        self,
        runner: Runner,
        report: Report,
        tell: Tell,
        *,
        cancel_grace: float = CANCEL_GRACE,
        stuck_after: float = STUCK_AFTER,
        calls: Calls = call_of,
        loop: asyncio.AbstractEventLoop | None = None,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self._runner = runner
        self._report = report
        self._tell = tell
        self._grace = cancel_grace
        self._stuck_after = stuck_after
        self._calls = calls
        self._on_stuck = on_stuck
        self._beat = time.monotonic()
        self._overdue = 0.0
        """The beat that a job was found to hold up; another one shows that the loop lives."""
        self._told_to_stop = False
        self._inbox: deque[JobRecord] = deque()
        self._scheduled = False
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._loop = loop or asyncio.new_event_loop()
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
        if self._scheduled:
            return
        self._scheduled = True
        # Waking a loop that is awake costs two system calls, so its own thread does not.
        on_loop = threading.get_ident() == self._thread.ident
        wake = self._loop.call_soon if on_loop else self._loop.call_soon_threadsafe
        with contextlib.suppress(RuntimeError):  # the loop has been closed by `stop`
            wake(self._take_in)

    def cancel(self, record: JobRecord) -> None:
        """Cancel the attempt's task; it has the same grace as one that is over its time."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed by `stop`
            self._loop.call_soon_threadsafe(self._cancel, record)

    def check(self) -> None:
        """Report jobs that live on long after their time; the loop itself cancels the others."""
        late = time.monotonic() - self._grace
        for task, running in list(self._running.items()):
            if running.deadline < late and self._claim(task):
                _LOG.error(
                    "a job is to end and does not when it is cancelled: it swallows its "
                    "cancellation, or blocks the event loop and every job on it",
                    job=running.record.headers.job_id,
                    type=running.record.headers.job_type,
                )
                self._report(running.record, Attempted(running.forced, running.started, now_ms()))
                self._overdue = self._beat if self._beat < late else 0.0
        held_up = self._overdue == self._beat and time.monotonic() - self._beat > self._stuck_after
        if held_up or self._has_ended():
            self._on_stuck()

    def _has_ended(self) -> bool:
        """Whether the loop is gone though nobody asked: a handler has cancelled every task."""
        return self._ready.is_set() and not (self._told_to_stop or self._thread.is_alive())

    def stop(self, *, at_once: bool) -> None:
        """Cancel what runs, leave the lifespan, end the loop."""
        self._told_to_stop = True
        if not self._thread.is_alive() or self._stopping is None:
            return
        with contextlib.suppress(RuntimeError):  # it has ended by itself: its lifespan failed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout=0 if at_once else 10)

    # -- on the loop's thread --------------------------------------------------------------------

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        life = self._loop.create_task(self._live())
        try:
            while not life.done():
                self._run_until_done(life)
        finally:
            self._ready.set()
            self._loop.close()
            self._give_back()

    def _run_until_done(self, life: "asyncio.Task[None]") -> None:
        try:
            self._loop.run_until_complete(life)
        except BaseException as error:
            # A task that a handler made for itself may raise KeyboardInterrupt or SystemExit,
            # which asyncio lets through: the other jobs go on.
            what = "the lifespan failed at its end" if life.done() else "a task ended the loop"
            _LOG.error(what, error=repr(error), exc_info=error)

    async def _live(self) -> None:
        self._stopping = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            try:
                self._runner.state = await enter_lifespan(self._runner.pipeline, stack)
            except BaseException as error:
                self._failure = error
                return
            self._ready.set()
            sweeper = asyncio.create_task(self._sweep())
            await self._stopping.wait()
            sweeper.cancel()
            await self._cancel_all()

    async def _sweep(self) -> None:
        """Cancel the attempts whose time is over, for as long as the loop lives."""
        while True:
            await asyncio.sleep(_SWEEP)
            self._beat = now = time.monotonic()
            for task, running in list(self._running.items()):
                if now >= running.deadline and not running.told:
                    running.over_time = True
                    task.cancel()

    async def _cancel_all(self) -> None:
        for task, running in list(self._running.items()):
            if running.context is not None:
                running.context.stopping = True
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=_STOP_GRACE)

    def _take_in(self) -> None:
        self._scheduled = False
        if self._stopping is None or self._stopping.is_set():
            return
        now, started = time.monotonic(), now_ms()
        while self._inbox:
            record = self._inbox.popleft()
            running = _Running(record, started, now + record.timeout, self._tell)
            # A context of its own: this one is that of the job whose end made room.
            running.task = self._loop.create_task(self._attempt(running), context=Context())
            self._running[running.task] = running

    def _cancel(self, record: JobRecord) -> None:
        self._take_in()  # it may have been started just before
        for task, running in list(self._running.items()):
            if running.record is record and not running.told:
                running.cancelled = True
                running.deadline = min(running.deadline, time.monotonic())
                if running.context is not None:
                    running.context.stopping = True
                if running.begun:
                    task.cancel()

    async def _attempt(self, running: _Running) -> None:
        outcome: Outcome
        running.begun = True
        try:
            if running.cancelled:
                raise asyncio.CancelledError
            outcome = await self._runner.run_async(self._calls(running.record), running.watch)
        except asyncio.CancelledError as error:
            outcome = self._cancelled(error, running)
        if running.over_time:
            outcome = TimedOut(running.record.timeout)
        assert running.task is not None
        if self._claim(running.task):
            self._report(running.record, Attempted(outcome, running.started, now_ms()))

    def _claim(self, task: "asyncio.Task[None]") -> bool:
        """Take the right to report an attempt: `check` and the attempt itself may both want to."""
        return self._running.pop(task, None) is not None

    def _cancelled(self, error: BaseException, running: _Running) -> Outcome:
        if running.cancelled:
            return Cancelled()
        if self._stopping is not None and self._stopping.is_set():
            return Interrupted()
        return Failed(error_info(error))

    def _give_back(self) -> None:
        """The loop has ended: what it did not take in, and what did not end, is interrupted."""
        now = now_ms()
        while self._inbox:
            self._report(self._inbox.popleft(), Attempted(Interrupted(), now, now))
        for task, running in list(self._running.items()):
            if self._claim(task):
                self._report(running.record, Attempted(Interrupted(), running.started, now))
