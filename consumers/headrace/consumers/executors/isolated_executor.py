"""Isolated jobs: each in a fresh child process, whose death is nobody else's doing."""

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from headrace.consumers import child
from headrace.consumers.clock import now_ms
from headrace.consumers.executors.contract import Report, call_of
from headrace.consumers.outcomes import (
    Attempted,
    Died,
    ErrorInfo,
    Interrupted,
    Outcome,
    TimedOut,
    Unavailable,
)
from headrace.consumers.records import JobRecord
from headrace.consumers.supervisor import how_it_ended
from headrace.pipeline.errors import LoadError

_TO_START = 60.0
"""Seconds for a child to import the pipeline and enter its lifespan; not part of the timeout."""
_TO_END = 10.0
"""Seconds for a child whose job has ended to leave its lifespan."""


class IsolatedExecutor:
    """Runs each attempt in a process of its own, forked from a small server without threads.

    However the process ends before it has told the outcome, with exit code 0 even, the job's
    attempt has failed by that.

    Args:
        setup: Says what a child needs; asked when the first one is started.
        report: Takes results.
    """

    def __init__(self, setup: Callable[[], child.ChildSetup], report: Report) -> None:
        self._setup = setup
        self._report = report
        self._stopping = threading.Event()
        self._processes: set[Any] = set()

    def start(self, record: JobRecord) -> None:
        """Run an attempt; a thread of its own waits for the process."""
        if not self._stopping.is_set():
            threading.Thread(
                target=self._attempt, args=(record,), name="headrace-isolated", daemon=True
            ).start()

    def check(self) -> None:
        """Nothing: each thread watches its own process."""

    def stop(self, *, at_once: bool) -> None:
        """Kill what runs."""
        self._stopping.set()
        for process in list(self._processes):
            process.kill()

    def _attempt(self, record: JobRecord) -> None:
        began = now_ms()
        try:
            attempted = self._run(record, began)
        except (OSError, LoadError) as error:
            outcome = _unavailable(f"it could not be started: {error}")
            attempted = Attempted(outcome, began, now_ms())
        self._report(record, attempted)

    def _run(self, record: JobRecord, began: int) -> Attempted:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["headrace.consumers.child"])
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=child.run_isolated,
            args=(self._setup(), call_of(record), theirs),
            name="headrace-isolated",
            daemon=True,
        )
        process.start()
        self._processes.add(process)
        theirs.close()
        try:
            return self._follow(process, ours, record, began)
        finally:
            self._processes.discard(process)
            ours.close()
            _end(process)

    def _follow(self, process: Any, ours: Connection, record: JobRecord, began: int) -> Attempted:
        started = _receive(process, ours, _TO_START)
        if started is None:
            return Attempted(self._unstarted(process), began, now_ms())
        if isinstance(started, Attempted):  # it could not even import the pipeline
            return started
        answer: Attempted | None = _receive(process, ours, record.timeout)
        if answer is None:
            return Attempted(self._unanswered(process, record.timeout), started, now_ms())
        return answer

    def _unanswered(self, process: Any, timeout: float) -> Outcome:
        if self._stopping.is_set():
            return Interrupted()
        if process.is_alive():
            return TimedOut(timeout)
        return Died(how_it_ended(process.exitcode))

    def _unstarted(self, process: Any) -> Outcome:
        if self._stopping.is_set():
            return Interrupted()
        ended = process.exitcode
        how = f"not within {_TO_START:g} s" if ended is None else how_it_ended(ended)
        return _unavailable(f"its process did not begin: {how}")


def _receive(process: Any, ours: Connection, seconds: float) -> Any:
    """Wait for the child's word; None when it ended, or the time did, without one."""
    if ours in wait([ours, process.sentinel], seconds) or ours.poll():
        try:
            return ours.recv()
        except (EOFError, OSError):
            process.join(_TO_END)  # it has closed its end: it is ending
    return None


def _end(process: Any) -> None:
    process.join(_TO_END)
    if process.is_alive():
        process.kill()
        process.join()


def _unavailable(why: str) -> Unavailable:
    return Unavailable(ErrorInfo((), "IsolationFailed", f"an isolated job waits: {why}"))
