"""Huey on Redis."""

# pyright: reportMissingImports=false

from typing import Any

from huey import PriorityRedisHuey, RedisHuey

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import PlainClient

_STORES = PriorityRedisHuey if work.setting("POOL").endswith("priority") else RedisHuey
huey = _STORES(work.setting("NAME", "bench"), url=work.setting("URL", "redis://"), results=False)


@huey.task(name="job")
def job(kind: str, number: int, note: str) -> None:
    """Whatever the kind says."""
    work.perform(kind, number)


@huey.task(name="flaky", retries=work.ATTEMPTS - 1, retry_delay=int(work.WAIT), context=True)
def flaky(kind: str, number: int, note: str, task: Any = None) -> None:
    """Fail in a tenth of all attempts."""
    work.fail_or_not(number, work.ATTEMPTS - task.retries)


class Client(PlainClient):
    """A call of the task: Redis answers each one."""

    def __init__(self, url: str, name: str) -> None:
        """Nothing: the connection is the module's."""

    def single(self, call: Call) -> None:
        """Submit one."""
        task: Any = flaky if call.kind == "flaky" else job
        task(call.kind, call.number, call.note)
