"""Queues with `pool="process"`: child processes, which can be killed, and may die, one by one."""

import multiprocessing
import signal
from concurrent.futures import CancelledError
from typing import Any

from headrace.consumers import child
from headrace.consumers.clock import now_ms
from headrace.consumers.executors.contract import Report, call_of
from headrace.consumers.outcomes import Attempted, Died, Failed, Interrupted, TimedOut, error_info
from headrace.consumers.records import JobRecord


class ProcessExecutor:
    """Runs attempts in child processes (pebble): a job over its time, or a crash, costs its child.

    Children are forked from a small server without threads, and import the pipeline themselves:
    nothing of the user's is pickled.
    """

    def __init__(self, setup: child.ChildSetup, report: Report, processes: int) -> None:
        from pebble import ProcessPool  # noqa: PLC0415 - only workers with such a queue pay for it

        self._report = report
        self._stopping = False
        self._pool = ProcessPool(
            max_workers=processes,
            initializer=child.start,
            initargs=(setup,),
            context=_context(),
        )

    def start(self, record: JobRecord) -> None:
        """Schedule an attempt in a child."""
        queued = now_ms()
        future = self._pool.schedule(child.run, args=(call_of(record),), timeout=record.timeout)
        future.add_done_callback(lambda done: self._done(record, queued, done))

    def check(self) -> None:
        """Nothing to do: the pool watches the timeouts."""

    def stop(self, *, at_once: bool) -> None:
        """Kill what still runs and end the children."""
        self._stopping = True
        self._pool.stop()
        self._pool.join(timeout=1 if at_once else 10)

    def _done(self, record: JobRecord, queued: int, future: Any) -> None:
        self._report(record, self._attempted(record, queued, future))

    def _attempted(self, record: JobRecord, queued: int, future: Any) -> Attempted:
        from pebble import ProcessExpired  # noqa: PLC0415 - as above

        try:
            answer: Attempted = future.result()
            return answer
        except TimeoutError:
            return Attempted(TimedOut(record.timeout), queued, now_ms())
        except ProcessExpired as error:
            outcome = Interrupted() if self._stopping else Died(_how(error.exitcode))
            return Attempted(outcome, queued, now_ms())
        except CancelledError:
            return Attempted(Interrupted(), queued, now_ms())
        except Exception as error:
            return Attempted(Failed(error_info(error)), queued, now_ms())


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        try:
            return signal.Signals(-exit_code).name
        except ValueError:
            return f"signal {-exit_code}"
    return f"exit code {exit_code}"


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["headrace.consumers.child"])
    return context
