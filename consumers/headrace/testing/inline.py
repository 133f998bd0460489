"""Running one job here and now, without Kafka, and with everything else that a worker does."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

from headrace.consumers.lifespans import enter_lifespan
from headrace.consumers.running import Runner
from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.context import JobContext, Progress, Submitter
from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.job import Job
from headrace.pipeline.job_types import JobType
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import ClaimSettings
from headrace.schemas.errors import UnknownSchemaError
from headrace.schemas.ids import new_job_id
from headrace.schemas.parsed import ParsedSchema
from headrace.testing.recording import RecordingProducer

_R = TypeVar("_R")
_ENTER: Final = object()
"""No state was given: the pipeline's lifespan is entered for it."""
_TIMEOUT: Final = timedelta(minutes=5)


class _NoSchemas:
    """Whoever encodes here also decodes: no schema is ever looked up."""

    def by_fingerprint(self, mark: bytes, /) -> ParsedSchema:
        raise UnknownSchemaError(f"fingerprint {mark.hex()}", "make the job with its own job type")

    def by_registry_id(self, registry_id: int, /) -> ParsedSchema:
        raise UnknownSchemaError(f"registry id {registry_id}", "make the job with its own job type")


def run_inline(
    pipeline: Pipeline,
    job: Job[_R],
    *,
    attempt: int = 1,
    tenant: str | None = None,
    key: str | None = None,
    state: Any = _ENTER,
    submitter: RecordingProducer | Submitter | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> _R:
    """Run a job's handler as a worker would, in this thread, and give its result.

    The arguments travel through Avro and back, the middleware runs around the handler, the result
    is checked against its annotation and travels too. Nothing is retried, nothing times out, and
    what the handler raises is raised here, `Reject`, `RetryLater` and `Snooze` included.

    Args:
        pipeline: The declaration, with the handler.
        job: As made by `JobType.job`.
        attempt: What `context.attempt` says.
        tenant: What `context.tenant` says.
        key: What `context.key` says; the job's id when not given.
        state: What `context.state` is. When not given, the pipeline's lifespan is entered for this
            one job, and left after it.
        submitter: Takes the child jobs that the handler submits, such as a `RecordingProducer`;
            when not given, they are checked and forgotten.
        on_progress: Takes what the handler tells with `context.progress`, all of it, such as the
            `append` of a list.

    Raises:
        UnknownJobTypeError: The pipeline does not declare the job's type.
        DeclarationError: The type has no handler.
        ArgumentError: An argument would not come back as it went in, or the result is not what
            the handler's annotation says.
        RuntimeError: Called from a coroutine: await `run_inline_async` there.
        BaseException: Whatever the handler or the middleware raised.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(
            f"run_inline of {job.job_type} was called on a running event loop: write "
            "`await run_inline_async(...)` there"
        )
    return asyncio.run(
        run_inline_async(
            pipeline,
            job,
            attempt=attempt,
            tenant=tenant,
            key=key,
            state=state,
            submitter=submitter,
            on_progress=on_progress,
        )
    )


async def run_inline_async(
    pipeline: Pipeline,
    job: Job[_R],
    *,
    attempt: int = 1,
    tenant: str | None = None,
    key: str | None = None,
    state: Any = _ENTER,
    submitter: RecordingProducer | Submitter | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> _R:
    """Do what `run_inline` does, for tests that are coroutines; a plain handler blocks the loop."""
    job_type = _runnable(pipeline, job)
    context = _context(job, attempt, tenant, key)
    context.submitter = cast("Submitter", submitter or RecordingProducer(pipeline))
    if on_progress is not None:
        context.listener = on_progress
    async with AsyncExitStack() as stack:
        entered = await enter_lifespan(pipeline, stack) if state is _ENTER else state
        context.state = entered
        no_claims = ClaimStore(ClaimSettings(claims_url=None), pipeline.name)
        call = Runner(pipeline, _NoSchemas(), 0, no_claims).invocation(
            job_type, context, _travelled(job)
        )
        value = await call() if job_type.is_async else call()
    return cast("_R", _result(job_type, value))


def _runnable(pipeline: Pipeline, job: Job[Any]) -> JobType[..., ..., Any, Any]:
    job_type = pipeline.job_type(job.job_type)
    if job_type.function is None:
        raise DeclarationError(
            f"job type {job.job_type!r} has no handler: import the module that attaches it"
        )
    return job_type


def _travelled(job: Job[Any]) -> dict[str, Any]:
    return job.codec.decode(job.codec.encode(dict(job.arguments)), _NoSchemas())


def _context(job: Job[Any], attempt: int, tenant: str | None, key: str | None) -> JobContext:
    job_id, now = new_job_id(), datetime.now(UTC)
    return JobContext(
        id=job_id,
        type=job.job_type,
        attempt=attempt,
        queue=job.policy.queue,
        priority=job.policy.priority,
        tenant=tenant,
        key=job_id if key is None else key,
        created=now,
        deadline=now + (job.policy.timeout or _TIMEOUT),
    )


def _result(job_type: JobType[..., ..., Any, Any], value: Any) -> Any:
    if job_type.result is None:
        return value
    return job_type.result.decode(job_type.result.encode(value), _NoSchemas())
