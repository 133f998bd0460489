"""Isolated jobs: each in a fresh child process, whose death is nobody else's doing."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any, Final

import structlog

from headrace.consumers import child
from headrace.consumers.clock import now_ms
from headrace.consumers.executors.contract import Calls, Report, Tell, call_of
from headrace.consumers.outcomes import (
    Attempted,
    Cancelled,
    Died,
    ErrorInfo,
    Interrupted,
    Outcome,
    TimedOut,
    Unavailable,
)
from headrace.consumers.progress_pipe import ProgressPipe
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.running import Call
from headrace.consumers.supervisor import how_it_ended

_LOG = structlog.get_logger("headrace.isolated")
_TO_START: Final = 60.0
"""Seconds for a child to import the pipeline and enter its lifespan; not part of the timeout."""
_TO_END: Final = 10.0
"""Seconds for a child whose job has ended to leave its lifespan."""
_TO_DIE: Final = 1.0
"""Seconds, at least, between a child's last word and its end."""
_UNTOLD: Final = 255
"""What multiprocessing says of a process whose end its server did not live to see."""


class IsolatedExecutor:
    """Runs each attempt in a process of its own, forked from a small server without threads.

    However the process ends before it has told the outcome, with exit code 0 even, the job's
    attempt has failed by that.

    Args:
        setup: Says what a child needs; asked when the first one is started.
        report: Takes results.
        tell: Takes what jobs tell of their progress.
        calls: Says what is to be run.
    """

    def __init__(
        self,
        setup: Callable[[], child.ChildSetup],
        report: Report,
        tell: Tell,
        calls: Calls = call_of,
    ) -> None:
        self._setup = setup
        self._report = report
        self._tell = tell
        self._calls = calls
        self._pipe: ProgressPipe | None = None
        self._stopping = threading.Event()
        self._rooms: dict[_Room, JobRecord] = {}
        self._lock = threading.Lock()
        self._mine: set[tuple[Assignment, int]] = set()
        """The places of what was started and not reported."""
        self._cancelled: set[tuple[Assignment, int]] = set()
        """Those of them that are to end."""

    def start(self, record: JobRecord) -> None:
        """Run an attempt; a thread of its own waits for the process."""
        if not self._stopping.is_set():
            with self._lock:
                self._pipe = self._pipe or ProgressPipe()
                self._mine.add(record.place)
            threading.Thread(
                target=self._attempt, args=(record,), name="headrace-isolated", daemon=True
            ).start()

    def cancel(self, record: JobRecord) -> None:
        """Kill its process, now or as soon as there is one."""
        with self._lock:
            if record.place not in self._mine:
                return
            self._cancelled.add(record.place)
        for room, running in list(self._rooms.items()):
            if running is record:
                room.kill()

    def check(self) -> None:
        """Pass on progress. Each thread watches its own process."""
        if self._pipe is None or self._stopping.is_set():
            return
        for (job_id, attempt), progress in self._pipe.read():
            for record in list(self._rooms.values()):
                if (record.headers.job_id, record.headers.attempt) == (job_id, attempt):
                    self._tell(record, progress)

    def stop(self, *, at_once: bool) -> None:
        """Kill what runs."""
        self._stopping.set()
        for room in list(self._rooms):
            room.kill()

    def _attempt(self, record: JobRecord) -> None:
        began = now_ms()
        try:
            attempted = self._run(record, began)
        except Exception as error:
            # Nothing that the job did: it runs in the child. But untold, it would hold its place.
            _LOG.exception("an isolated job could not be followed", job=record.headers.job_id)
            outcome = _unavailable(f"its process could not be started: {error!r}")
            attempted = Attempted(outcome, began, now_ms())
        if attempted.progress is not None:
            self._tell(record, attempted.progress)
        with self._lock:
            self._mine.discard(record.place)
            self._cancelled.discard(record.place)
        self._report(record, attempted)

    def _run(self, record: JobRecord, began: int) -> Attempted:
        assert self._pipe is not None
        setup = replace(self._setup(), progress=self._pipe.writer)
        room = _Room(setup, self._calls(record))
        self._rooms[room] = record
        try:
            if self._is_over(record):  # `stop` or `cancel` may have looked before it was there
                room.kill()
            return self._follow(room, record, began)
        finally:
            self._rooms.pop(room, None)
            room.close()

    def _follow(self, room: "_Room", record: JobRecord, began: int) -> Attempted:
        started = room.word(_TO_START)
        if started is None:
            how = room.ended() or f"not within {_TO_START:g} s"
            outcome = _unavailable(f"its process did not begin: {how}")
            return self._unless_over(record, outcome, began)
        if isinstance(started, Attempted):  # it could not even import the pipeline
            return started
        answer: Attempted | None = room.word(record.timeout)
        if answer is not None:
            return answer
        how = room.ended()
        ended = Died(how) if how else TimedOut(record.timeout)
        return self._unless_over(record, ended, started)

    def _is_over(self, record: JobRecord) -> bool:
        return self._stopping.is_set() or record.place in self._cancelled

    def _unless_over(self, record: JobRecord, outcome: Outcome, started: int) -> Attempted:
        if record.place in self._cancelled:
            outcome = Cancelled()
        elif self._stopping.is_set():
            outcome = Interrupted()
        return Attempted(outcome, started, now_ms())


class _Room:
    """One child process and the pipe on which it tells how it went."""

    def __init__(self, setup: child.ChildSetup, call: Call) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["headrace.consumers.child"])
        self._pipe, theirs = context.Pipe(duplex=False)
        try:
            self._process: Any = context.Process(
                target=child.run_isolated,
                args=(setup, replace(call, begin_before=float("inf")), theirs),
                name="headrace-isolated",
                daemon=True,
            )
            self._process.start()
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()
        self._told = False

    def word(self, seconds: float) -> Any:
        """Wait for the child's word; None when it ended, or the time did, without one."""
        deadline = time.monotonic() + seconds
        self._told = False
        ready = wait([self._pipe, self._process.sentinel], seconds)
        if self._pipe not in ready and self._process.exitcode == _UNTOLD:
            # Its server is gone; that says nothing of the child, whose pipe tells when it ends.
            wait([self._pipe], max(0.0, deadline - time.monotonic()))
        try:
            if self._pipe.poll():
                word = self._pipe.recv()
                self._told = True
                return word
        except (EOFError, OSError):
            # It has closed its end: as a rule it is ending; else it has the time that is left.
            self._process.join(max(_TO_DIE, deadline - time.monotonic()))
        return None

    def ended(self) -> str:
        """Say how the process ended; empty if it lives."""
        return "" if self._lives() else how_it_ended(self._process.exitcode)

    def kill(self) -> None:
        """End the process now; from any thread."""
        self._process.kill()

    def close(self) -> None:
        """See that the process ends: soon if it told how its job went, else now."""
        if self._told:
            self._process.join(_TO_END)
            if self._process.exitcode == _UNTOLD:
                wait([self._pipe], _TO_END)
        if self._lives():
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        self._pipe.close()

    def _lives(self) -> bool:
        """Tell by the open pipe where the server that would know is gone."""
        code = self._process.exitcode
        if code != _UNTOLD:
            return code is None
        try:
            return not self._pipe.poll() or bool(self._pipe.recv_bytes())
        except (EOFError, OSError):
            return False


def _unavailable(why: str) -> Unavailable:
    return Unavailable(ErrorInfo((), "IsolationFailed", f"an isolated job waits: {why}"))
