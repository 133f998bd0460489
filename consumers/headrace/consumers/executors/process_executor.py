"""Queues with `pool="process"`: child processes, which can be killed, and may die, one by one."""

import multiprocessing
import threading
from collections import deque
from concurrent.futures import CancelledError, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from headrace.consumers import child
from headrace.consumers.clock import now_ms
from headrace.consumers.executors.contract import Calls, Report, Tell, call_of
from headrace.consumers.outcomes import (
    Attempted,
    Cancelled,
    Died,
    ErrorInfo,
    Failed,
    Interrupted,
    Outcome,
    TimedOut,
    Unavailable,
    error_info,
)
from headrace.consumers.progress_pipe import ProgressPipe
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.supervisor import how_it_ended

_LOG = structlog.get_logger("headrace.executors")
_STOP_BUDGET = 10.0
"""Seconds that a stop waits for children to leave their lifespan; each has 3 before it is killed."""


class ProcessExecutor:
    """Runs attempts in child processes (pebble): a job over its time, or a crash, costs its child.

    Children are forked from a small server without threads, and import the pipeline themselves:
    nothing of the user's is pickled. A pool that breaks as a whole (an idle child was killed) is
    replaced; its jobs wait in place and run in the next one.
    """

    def __init__(
        self,
        setup: child.ChildSetup,
        report: Report,
        tell: Tell,
        processes: int,
        calls: Calls = call_of,
    ) -> None:
        self._pipe = ProgressPipe()
        self._setup = replace(setup, progress=self._pipe.writer)
        self._report = report
        self._tell = tell
        self._processes = processes
        self._calls = calls
        self._stopping = False
        self._running: dict[Any, tuple[JobRecord, int]] = {}
        """By future: what was handed to the pool, and when."""
        self._cancelled: set[tuple[Assignment, int]] = set()
        """The places of those of them whose children are to be killed."""
        self._refused: deque[JobRecord] = deque()
        """What a broken pool did not take."""
        self._pool = self._new_pool()

    def start(self, record: JobRecord) -> None:
        """Schedule an attempt in a child."""
        if self._stopping:
            return
        handed = now_ms()
        try:
            call = self._calls(record)
            future = self._pool.schedule(child.run, args=(call,), timeout=record.timeout)
        except RuntimeError:
            self._refused.append(record)
            return
        self._running[future] = (record, handed)
        future.add_done_callback(partial(self._done, record))

    def cancel(self, record: JobRecord) -> None:
        """Let the pool kill the child that runs it, or is about to."""
        if any(running is record for running, _ in list(self._running.values())):
            self._cancelled.add(record.place)
            self._end_cancelled()

    def check(self) -> None:
        """Replace a broken pool, and pass on progress. The pool itself watches the timeouts."""
        if self._stopping:
            return
        self._pass_on_progress()
        if not self._pool.active and (self._running or self._refused):
            self._replace_pool()
        self._hold_refused()
        if self._cancelled:
            self._end_cancelled()

    def stop(self, *, at_once: bool) -> None:
        """Kill what still runs and end the children."""
        self._stopping = True
        ending = _end(self._pool)
        ending.join(timeout=1 if at_once else _STOP_BUDGET)
        now = now_ms()
        for future in list(self._running):
            self._settle(future, Interrupted(), now)

    def _pass_on_progress(self) -> None:
        for (job_id, attempt), progress in self._pipe.read():
            for record, _ in list(self._running.values()):
                if (record.headers.job_id, record.headers.attempt) == (job_id, attempt):
                    self._tell(record, progress)

    def _end_cancelled(self) -> None:
        """Cancel what has begun; report what the pool has killed since it was cancelled.

        The pool tells of a cancelled job at once, and kills its child a moment later: until then
        it may still do harm, so its end is awaited. Nor does the pool kill what has not begun.
        """
        for future, (record, _) in list(self._running.items()):
            if record.place not in self._cancelled:
                continue
            if future.running():
                future.cancel()
            elif future.cancelled() and wait([future], timeout=0).done:
                self._settle(future, Cancelled(), now_ms())

    def _new_pool(self) -> Any:
        from pebble import ProcessPool  # noqa: PLC0415 - only workers with such a queue pay for it

        return ProcessPool(
            max_workers=self._processes,
            initializer=child.start,
            initargs=(self._setup,),
            context=_context(),
        )

    def _replace_pool(self) -> None:
        """Start anew. What was on the way waits in place: whether it ran is not known."""
        _LOG.error("the child processes broke down and are started anew", jobs=len(self._running))
        orphans = list(self._running)
        broken, self._pool = self._pool, self._new_pool()
        _end(broken)
        now = now_ms()
        outcome = Unavailable(_broken("the pool broke down"))
        for future in orphans:
            self._settle(future, outcome, now)

    def _hold_refused(self) -> None:
        """What a broken pool did not take waits in place, and is tried again."""
        while self._refused:
            now = now_ms()
            outcome = Unavailable(_broken("the pool did not take it"))
            self._report(self._refused.popleft(), Attempted(outcome, now, now))

    def _done(self, record: JobRecord, future: Any) -> None:
        now = now_ms()
        try:
            answer: Attempted = future.result()
        except BaseException as error:
            if isinstance(error, CancelledError) and record.place in self._cancelled:
                return  # its child still lives
            self._settle(future, self._outcome(record, error), now)
        else:
            if answer.progress is not None:
                self._tell(record, answer.progress)
            self._settle(future, answer.outcome, answer.ended, answer.started)

    def _settle(self, future: Any, outcome: Outcome, ended: int, started: int = 0) -> None:
        """Report a job once, whoever comes first: its end, a broken pool, a stop."""
        record, handed = self._running.pop(future, (None, 0))
        if record is None:
            return
        self._cancelled.discard(record.place)
        if isinstance(outcome, TimedOut):
            # The pool counts from the moment when a child took the job, and does not tell it.
            handed = max(handed, ended - round(outcome.seconds * 1000))
        self._report(record, Attempted(outcome, started or handed, ended))

    def _outcome(self, record: JobRecord, error: BaseException) -> Outcome:
        from pebble import ProcessExpired  # noqa: PLC0415 - as above

        if self._stopping:
            return Interrupted()
        match error:
            case TimeoutError():
                return TimedOut(record.timeout)
            case ProcessExpired():
                return Died(how_it_ended(error.exitcode))
            case BrokenProcessPool() | CancelledError():
                return Unavailable(_broken(str(error)))
            case _:
                return Failed(error_info(error))


def _end(pool: Any) -> threading.Thread:
    """Kill a pool's children, on a thread of its own because its `join` ignores the limit."""
    pool.stop()
    ending = threading.Thread(target=pool.join, name="headrace-pool-end", daemon=True)
    ending.start()
    return ending


def _broken(why: str) -> ErrorInfo:
    message = f"the child processes broke down before this job ended ({why}); they start anew"
    return ErrorInfo((), "ProcessPoolBroken", message)


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["headrace.consumers.child"])
    return context
