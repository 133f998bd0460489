"""What the rest of a worker knows of an executor."""

from collections.abc import Callable
from typing import Protocol

from headrace.consumers.outcomes import Attempted
from headrace.consumers.records import JobRecord
from headrace.consumers.running import Call
from headrace.pipeline.context import Progress

Report = Callable[[JobRecord, Attempted], None]
"""Takes the result of a started job, exactly once, from any thread; must not block."""
Tell = Callable[[JobRecord, Progress], None]
"""Takes what a running job tells of itself, from any thread, also when it has been reported by now;
must not block."""
Calls = Callable[[JobRecord], Call]
"""Says what is to be run, when an attempt begins."""


class Executor(Protocol):
    """Runs attempts. Every started record is reported exactly once, whatever happens to it.

    The one exception is `stop` with its time over: what still runs then is not reported, so it
    is not committed, and is read again by whoever owns the partition next.
    """

    def start(self, record: JobRecord) -> None:
        """Start an attempt; called from any thread, must not block, raise, or report itself.

        After `stop` it does nothing: the record is read again by the partition's next owner.
        """
        ...

    def cancel(self, record: JobRecord) -> None:
        """End an attempt that was started and not reported: as `Cancelled`, if nothing else comes.

        Called from any thread; must not block. A coroutine is cancelled, a process is killed, a
        thread is only told, through `context.cancelled`. Whatever this executor does not run is
        ignored, and so is being told twice. An attempt that returns all the same has succeeded.
        """
        ...

    def check(self) -> None:
        """Look after timeouts that nobody else watches; called several times a second."""
        ...

    def stop(self, *, at_once: bool) -> None:
        """End. Running attempts are cancelled where that is possible; `at_once` waits for none."""
        ...


def call_of(record: JobRecord) -> Call:
    """Say what is to be run, without the parts of a record that only its worker needs."""
    job = record.headers
    return Call(
        job.job_type,
        job.job_id,
        record.payload,
        job.attempt,
        record.lane.queue,
        record.lane.priority,
        job.tenant,
        record.key or b"",
        job.created,
        record.timeout,
        job.extra,
        record.assignment.trust.until,
    )
