"""Celery on Redis."""

# pyright: reportMissingImports=false

from typing import Any

from celery import Celery

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import PlainClient

QUEUE = work.setting("NAME", "bench")
app = Celery("bench", broker=work.setting("URL", "redis://"))
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"queue_order_strategy": "priority"},
    worker_enable_remote_control=False,
)


@app.task(name="job")
def job(kind: str, number: int, note: str) -> None:
    """Whatever the kind says."""
    work.perform(kind, number)


@app.task(name="flaky", bind=True, max_retries=work.ATTEMPTS - 1)
def flaky(self: Any, kind: str, number: int, note: str) -> None:
    """Fail in a tenth of all attempts."""
    try:
        work.fail_or_not(number, self.request.retries + 1)
    except work.OnPurposeError as error:
        raise self.retry(exc=error, countdown=work.WAIT) from error


class Client(PlainClient):
    """`apply_async`: Redis answers each one."""

    def __init__(self, url: str, name: str) -> None:
        self._producer = app.amqp.producer_pool.acquire(block=True)

    def single(self, call: Call) -> None:
        """Submit one."""
        task: Any = flaky if call.kind == "flaky" else job
        queue = f"{QUEUE}-{call.priority}" if call.priority else QUEUE
        given = (call.kind, call.number, call.note)
        task.apply_async(given, queue=queue, producer=self._producer)
