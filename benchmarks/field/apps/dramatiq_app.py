"""Dramatiq on Redis."""

# pyright: reportMissingImports=false

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import PlainClient

_WAIT_MS = int(work.WAIT * 1000)
broker = RedisBroker(url=work.setting("URL", "redis://"))
if not any(isinstance(each, CurrentMessage) for each in broker.middleware):
    broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="job", max_retries=0)
def job(kind: str, number: int, note: str) -> None:
    """Whatever the kind says."""
    work.perform(kind, number)


@dramatiq.actor(
    actor_name="flaky",
    max_retries=work.ATTEMPTS - 1,
    min_backoff=_WAIT_MS,
    max_backoff=_WAIT_MS,
)
def flaky(kind: str, number: int, note: str) -> None:
    """Fail in a tenth of all attempts."""
    message = CurrentMessage.get_current_message()
    assert message is not None
    work.fail_or_not(number, message.options.get("retries", 0) + 1)


def letters() -> int:
    """Count the dead letters."""
    return int(broker.client.zcard("dramatiq:default.XQ"))


class Client(PlainClient):
    """`send`: Redis answers each one."""

    def __init__(self, url: str, name: str) -> None:
        """Nothing: the broker is the module's."""

    def single(self, call: Call) -> None:
        """Submit one."""
        actor: Any = flaky if call.kind == "flaky" else job
        actor.send(call.kind, call.number, call.note)
