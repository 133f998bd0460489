"""arq on Redis."""

# pyright: reportMissingImports=false

from typing import Any, ClassVar

from arq import Retry, create_pool
from arq.connections import RedisSettings

from benchmarks.field import work
from benchmarks.field.calls import Call
from benchmarks.field.client import LoopClient

_REDIS = RedisSettings.from_dsn(work.setting("URL", "redis://127.0.0.1"))
_QUEUE = work.setting("NAME", "bench")


async def job(context: dict[str, Any], kind: str, number: int, note: str) -> None:
    """Whatever the kind says."""
    await work.perform_async(kind, number)


async def flaky(context: dict[str, Any], kind: str, number: int, note: str) -> None:
    """Fail in a tenth of all attempts."""
    try:
        work.fail_or_not(number, context["job_try"])
    except work.OnPurposeError:
        if context["job_try"] < work.ATTEMPTS:
            raise Retry(defer=work.WAIT) from None
        raise


class WorkerSettings:
    """Of `arq benchmarks.field.apps.arq_app.WorkerSettings`."""

    functions: ClassVar = [job, flaky]
    redis_settings = _REDIS
    queue_name = _QUEUE
    max_jobs = int(work.setting("IN_FLIGHT", "10"))
    keep_result = 0
    max_tries = work.ATTEMPTS
    poll_delay = 0.01


class Client(LoopClient):
    """`enqueue_job`: Redis answers each one; many side by side."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self._pool = self.run(create_pool(_REDIS, default_queue_name=_QUEUE))

    async def submit(self, call: Call) -> None:
        """Submit one."""
        function = "flaky" if call.kind == "flaky" else "job"
        await self._pool.enqueue_job(function, call.kind, call.number, call.note)

    def close(self) -> None:
        """Let go of the connections."""
        self.run(self._pool.aclose())
