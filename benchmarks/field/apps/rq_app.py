"""RQ on Redis."""

# pyright: reportMissingImports=false

import itertools
from collections.abc import Iterable, Sequence

from redis import Redis
from rq import Queue, Retry, get_current_job
from rq.registry import FailedJobRegistry

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import BATCH, PlainClient

_FLAKY = "benchmarks.field.apps.rq_app.flaky"
_JOB = "benchmarks.field.apps.rq_app.job"


def job(kind: str, number: int, note: str) -> None:
    """Whatever the kind says."""
    work.perform(kind, number)


def flaky(kind: str, number: int, note: str) -> None:
    """Fail in a tenth of all attempts."""
    current = get_current_job()
    assert current is not None
    left = current.retries_left
    work.fail_or_not(number, work.ATTEMPTS - (work.ATTEMPTS - 1 if left is None else left))


def _queue(priority: str | None = None) -> Queue:
    name = work.setting("NAME", "bench")
    connection = Redis.from_url(work.setting("URL", "redis://"))
    return Queue(f"{name}-{priority}" if priority else name, connection=connection)


def letters() -> int:
    """Count the failed jobs."""
    return len(FailedJobRegistry(queue=_queue()))


def replay() -> None:
    """Queue all failed jobs again."""
    registry = FailedJobRegistry(queue=_queue())
    for job_id in registry.get_job_ids():
        registry.requeue(job_id)


class Client(PlainClient):
    """`enqueue`, or `enqueue_many` in a pipeline of Redis."""

    def __init__(self, url: str, name: str) -> None:
        self._queues = {priority: _queue(priority) for priority in (None, "high", "low")}

    def single(self, call: Call) -> None:
        """Submit one."""
        queue = self._queues[call.priority]
        given = (call.kind, call.number, call.note)
        if call.kind == "flaky":
            retry = Retry(max=work.ATTEMPTS - 1, interval=int(work.WAIT))
            queue.enqueue(_FLAKY, args=given, retry=retry, result_ttl=0)
        else:
            queue.enqueue(_JOB, args=given, result_ttl=0)

    def stream(self, given: Iterable[Call]) -> None:
        """Submit in batches, unless they are to be retried."""
        while some := list(itertools.islice(given, BATCH)):
            self.batch(some)

    def batch(self, given: Sequence[Call]) -> None:
        """Submit some in one pipeline."""
        if given[0].kind == "flaky":
            for call in given:
                self.single(call)
            return
        prepared = [
            Queue.prepare_data(_JOB, args=(each.kind, each.number, each.note), result_ttl=0)
            for each in given
        ]
        self._queues[given[0].priority].enqueue_many(prepared)
