"""Plain functions: threads. A thread cannot be killed, so a job over its time costs its thread."""

import threading
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue

from headrace.consumers.clock import now_ms
from headrace.consumers.executors.contract import Calls, Report, Tell, call_of
from headrace.consumers.outcomes import Attempted, Cancelled, Interrupted, Outcome, TimedOut
from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.running import Runner
from headrace.pipeline.context import JobContext


@dataclass(slots=True, eq=False)
class _Running:
    record: JobRecord
    started: int
    deadline: float
    context: JobContext | None = None


class ThreadExecutor:
    """Runs plain functions in threads, made when first needed, up to the number of slots.

    A job over its time is reported as timed out, whatever it returns, and while its thread still
    runs: the thread is written off, its later result is ignored, and another thread takes its
    place. `on_lost` is told how many are written off and still stuck.
    """

    def __init__(
        self,
        runner: Runner,
        report: Report,
        tell: Tell,
        threads: int,
        on_lost: Callable[[int], None],
        calls: Calls = call_of,
    ) -> None:
        self._runner = runner
        self._report = report
        self._tell = tell
        self._limit = threads
        self._on_lost = on_lost
        self._calls = calls
        self._inbox: SimpleQueue[JobRecord | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._alive = 0
        self._wanted = 0
        """Jobs that wait or run. There are as many threads, or `_limit`: never does a job wait
        for a thread that may have just taken another one."""
        self._running: dict[int, _Running] = {}
        self._mine: set[tuple[Assignment, int]] = set()
        """The places of what waits or runs."""
        self._cancelled: set[tuple[Assignment, int]] = set()
        """Those of them that are to end."""
        self._lost: set[int] = set()
        self._stopping = False

    @property
    def lost(self) -> int:
        """Threads that are still stuck in jobs whose time is over."""
        return len(self._lost)

    def start(self, record: JobRecord) -> None:
        """Queue an attempt for the next free thread."""
        if self._stopping:
            return
        with self._lock:
            self._wanted += 1
            self._mine.add(record.place)
            needed = self._needs_a_thread()
        self._inbox.put(record)
        if needed:
            self._add_thread()

    def cancel(self, record: JobRecord) -> None:
        """Tell the handler through its context; one that has not begun is not run at all."""
        with self._lock:
            if record.place not in self._mine:
                return
            self._cancelled.add(record.place)
        for running in list(self._running.values()):
            if running.record is record and running.context is not None:
                running.context.stopping = True

    def check(self) -> None:
        """Write off the threads whose jobs are over their time."""
        now = time.monotonic()
        for thread, running in list(self._running.items()):
            if now >= running.deadline:
                self._write_off(thread, running)

    def stop(self, *, at_once: bool) -> None:
        """End idle threads. A running one ends with its job, or with the process."""
        self._stopping = True
        for running in list(self._running.values()):
            if running.context is not None:
                running.context.stopping = True
        self._give_back()
        with self._lock:
            alive = self._alive
        for _ in range(alive):
            self._inbox.put(None)

    def _give_back(self) -> None:
        """Jobs that no thread has taken are not run any more."""
        while True:
            try:
                record = self._inbox.get_nowait()
            except Empty:
                return
            if record is not None:
                self._interrupt(record)

    def _interrupt(self, record: JobRecord) -> None:
        with self._lock:
            self._forget(record)
        now = now_ms()
        self._report(record, Attempted(Interrupted(), now, now))

    def _needs_a_thread(self) -> bool:
        """Tell whether to add one, and count it. Under the lock."""
        needed = self._alive < min(self._wanted, self._limit)
        self._alive += needed
        return needed

    def _add_thread(self) -> None:
        threading.Thread(target=self._main, name="headrace-job", daemon=True).start()

    def _main(self) -> None:
        me = threading.get_ident()
        while (record := self._inbox.get()) is not None:
            if self._stopping:
                self._interrupt(record)
            elif not self._attempt(me, record):
                break
        if me in self._lost:
            with self._lock:
                self._lost.discard(me)
            self._on_lost(self.lost)

    def _attempt(self, me: int, record: JobRecord) -> bool:
        """Run one attempt; tells whether this thread may go on."""
        started = now_ms()
        running = _Running(record, started, time.monotonic() + record.timeout)

        def watch(context: JobContext) -> None:
            running.context = context
            context.listener = partial(self._tell, record)
            if self._cancelled and record.place in self._cancelled:
                context.stopping = True

        self._running[me] = running
        outcome = self._outcome(record, watch)
        if time.monotonic() >= running.deadline:
            # It may have returned because `context.cancelled` told it to give up.
            outcome = TimedOut(record.timeout)
        with self._lock:
            mine = self._running.get(me) is running
            if mine:
                del self._running[me]
                self._wanted -= 1
                self._forget(record)
        if mine:
            self._report(record, Attempted(outcome, started, now_ms()))
        return mine

    def _outcome(self, record: JobRecord, watch: Callable[[JobContext], None]) -> Outcome:
        if self._cancelled and record.place in self._cancelled:
            return Cancelled()
        # In a context of its own: what a handler leaves in its thread's is not the next one's.
        return Context().run(self._runner.run, self._calls(record), watch)

    def _forget(self, record: JobRecord) -> None:
        """Under the lock."""
        self._mine.discard(record.place)
        self._cancelled.discard(record.place)

    def _write_off(self, thread: int, running: _Running) -> None:
        with self._lock:
            if self._running.get(thread) is not running:
                return
            del self._running[thread]
            self._lost.add(thread)
            self._forget(running.record)
            self._wanted -= 1
            self._alive -= 1
            needed = not self._stopping and self._needs_a_thread()
        if running.context is not None:
            running.context.stopping = True
        if needed:
            self._add_thread()
        record = running.record
        self._report(record, Attempted(TimedOut(record.timeout), running.started, now_ms()))
        self._on_lost(self.lost)
