"""Running a handler: arguments in, context made, middleware around it, an outcome out.

The same code runs on the worker's event loop, in its threads, and in child processes.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from headrace.consumers.outcomes import (
    ErrorInfo,
    Failed,
    Outcome,
    Rejected,
    RetryAsked,
    Snoozed,
    Succeeded,
    Unavailable,
    Undecodable,
    UnknownToWorker,
    error_info,
)
from headrace.pipeline.claims import ClaimStore, claim_in
from headrace.pipeline.context import JobContext, NoSubmitter, Submitter
from headrace.pipeline.errors import ClaimsUnavailableError
from headrace.pipeline.job_types import JobType
from headrace.pipeline.pipeline import Middleware, Pipeline
from headrace.pipeline.signals import Reject, RetryLater, Snooze
from headrace.pipeline.tracing import NO_TRACES, Traces
from headrace.schemas.claims import ClaimLostError
from headrace.schemas.codec import SchemaLookup
from headrace.schemas.errors import (
    ArgumentError,
    RegistryUnavailableError,
    UndecodableError,
    UnknownSchemaError,
)
from headrace.schemas.headers import CLAIM
from headrace.schemas.trace_context import TraceContext


@dataclass(slots=True)
class Call:
    """One attempt to run, with nothing in it that cannot be pickled.

    Not frozen for the reason of `JobRecord`.
    """

    job_type: str
    job_id: str
    payload: bytes
    attempt: int
    queue: str
    priority: str
    tenant: str | None
    key: bytes
    created: int
    timeout: float
    extra: tuple[tuple[str, bytes | None], ...] = ()
    begin_before: float = float("inf")
    """Monotonic seconds, by the machine's one clock, after which the job may be another worker's."""
    trace: TraceContext | None = None
    """The span of this attempt, if it has one."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as plain values: a dataclass goes field by field, by name."""
        return Call, _VALUES(self)


_VALUES = attrgetter(*(each.name for each in fields(Call)))


@dataclass(slots=True)
class Runner:
    """Runs attempts in this process.

    Attributes:
        pipeline: Where handlers and middleware are found.
        schemas: Where writers' schemas are found.
        max_result_bytes: A larger return value is stored as a claim, or fails the job.
        claims: Where arguments and results are stored that are too large for Kafka.
        state: What the lifespan yielded.
        submitter: Publishes child jobs.
        traces: Puts handlers into the spans of their attempts.
    """

    pipeline: Pipeline
    schemas: SchemaLookup
    max_result_bytes: int
    claims: ClaimStore
    state: Any = None
    submitter: Submitter = field(default_factory=NoSubmitter)
    traces: Traces = NO_TRACES
    bound: int = field(init=False)
    """Bytes of a result that go into a transition."""

    def __post_init__(self) -> None:
        most = self.max_result_bytes
        self.bound = min(most, self.claims.above) if self.claims.given else most

    def run(self, call: Call, watch: Callable[[JobContext], None] | None = None) -> Outcome:
        """Run a plain function. Never raises: whatever the handler raises is an outcome."""
        if time.monotonic() >= call.begin_before:
            return _unowned()
        try:
            job_type = self.pipeline.job_types[call.job_type]
            prepared = self._arguments(job_type, call)
            if not isinstance(prepared, dict):
                return prepared
            context = self._context(job_type, call, watch)
            invoke = self.invocation(job_type, context, prepared)
            if call.trace is not None:
                invoke = self.traces.inside(call.trace, call.job_type, invoke)
            value = invoke()
            for child in context.submitted if context is not None else ():
                child.confirm()
            outcome = self._success(job_type, value)
            return outcome if isinstance(outcome, Succeeded) else self._stored(outcome)
        except BaseException as error:
            return self._failure(call, error)

    async def run_async(
        self, call: Call, watch: Callable[[JobContext], None] | None = None
    ) -> Outcome:
        """Await a coroutine function. Raises only `asyncio.CancelledError`."""
        if time.monotonic() >= call.begin_before:
            return _unowned()
        try:
            job_type = self.pipeline.job_types[call.job_type]
            if call.extra and _is_claimed(call):  # fetching must not hold up the loop
                prepared = await asyncio.to_thread(self._arguments, job_type, call)
            else:
                prepared = self._arguments(job_type, call)
            if not isinstance(prepared, dict):
                return prepared
            context = self._context(job_type, call, watch)
            invoke = self.invocation(job_type, context, prepared)
            if call.trace is not None:
                invoke = self.traces.inside_async(call.trace, call.job_type, invoke)
            value = await invoke()
            for child in context.submitted if context is not None else ():
                await child
            outcome = self._success(job_type, value)
            if isinstance(outcome, Succeeded):
                return outcome
            return await asyncio.to_thread(self._stored, outcome)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return self._failure(call, error)

    def _arguments(
        self, job_type: JobType[..., ..., Any, Any], call: Call
    ) -> dict[str, Any] | Outcome:
        try:
            payload = self._fetched(call) if call.extra else call.payload
            return job_type.arguments.decode(payload, self.schemas)
        except UnknownSchemaError as error:
            return UnknownToWorker(error_info(error))
        except (RegistryUnavailableError, ClaimsUnavailableError) as error:
            return Unavailable(error_info(error))
        except (UndecodableError, ArgumentError, ClaimLostError) as error:
            return Undecodable(error_info(error))

    def _fetched(self, call: Call) -> bytes:
        claim = claim_in(call.extra)
        return call.payload if claim is None else self.claims.get(claim)

    def _context(
        self,
        job_type: JobType[..., ..., Any, Any],
        call: Call,
        watch: Callable[[JobContext], None] | None,
    ) -> JobContext | None:
        """Make the context, if anybody wants it."""
        if not (job_type.takes_context or self.pipeline.middleware):
            return None
        context = JobContext(
            id=call.job_id,
            type=call.job_type,
            attempt=call.attempt,
            queue=call.queue,
            priority=call.priority,
            tenant=call.tenant,
            key=call.key.decode(errors="replace"),
            created=datetime.fromtimestamp(call.created / 1000, UTC),
            deadline=datetime.fromtimestamp(time.time() + call.timeout, UTC),
            headers=dict(call.extra),
            state=self.state,
            submitter=self.submitter,
            over_at=time.monotonic() + call.timeout,
        )
        if watch is not None:
            watch(context)
        return context

    def invocation(
        self,
        job_type: JobType[..., ..., Any, Any],
        context: JobContext | None,
        arguments: dict[str, Any],
    ) -> Callable[[], Any]:
        """Give the call of the handler with its middleware around it; the first is outermost."""
        function = job_type.function
        assert function is not None
        call = (
            partial(function, context, **arguments)
            if job_type.takes_context
            else partial(function, **arguments)
        )
        for middleware in reversed(self.pipeline.middleware):
            if is_async_middleware(middleware) == job_type.is_async:
                assert context is not None
                call = partial(middleware, call, context)
        return call

    def _stored(self, result: bytes) -> Outcome:
        """Store a result that is too large; the attempt fails if that is impossible."""
        return Succeeded(claim=str(self.claims.put("result", result)))

    def _success(self, job_type: JobType[..., ..., Any, Any], value: Any) -> Succeeded | bytes:
        """Encode what the handler returned; gives the bytes alone when they are to be stored."""
        if value is None and job_type.returns_nothing:
            return _NOTHING
        _refuse_what_was_not_awaited(job_type.name, value)
        if job_type.result is None:
            return Succeeded()
        result = job_type.result.encode(value)
        if len(result) > self.bound:
            if self.claims.given:
                return result
            raise ValueError(
                f"the return value of {job_type.name} is {len(result):,} bytes; at most "
                f"{self.bound:,} are kept (HEADRACE_WORKER_MAX_RESULT_BYTES): set "
                "HEADRACE_CLAIMS_URL to where larger ones are stored, or return a reference"
            )
        return Succeeded(result if value is not None else None)

    def _failure(self, call: Call, error: BaseException) -> Outcome:
        match error:
            case RetryLater():
                return RetryAsked(error.delay, error_info(error))
            case Reject():
                return Rejected(_plain(error))
            case Snooze():
                return Snoozed(error.delay)
            case _:
                return Failed(error_info(error), self._asked_wait(call, error))

    def _asked_wait(self, call: Call, error: BaseException) -> timedelta | None:
        """Ask here, where the exception is: from a child process only its names travel."""
        job_type = self.pipeline.job_types.get(call.job_type)
        policy = job_type.policy.retry if job_type is not None else None
        return policy.asked_wait(error) if policy is not None else None


_NOTHING = Succeeded()


def _is_claimed(call: Call) -> bool:
    return any(name == CLAIM for name, _ in call.extra)


def _unowned() -> Outcome:
    """The process slept, or was cut off, between taking the job and beginning with it."""
    message = (
        "it is not known whether this worker still owns it; tried again when the broker says so"
    )
    return Unavailable(ErrorInfo((), "OwnershipUnknown", message))


def _refuse_what_was_not_awaited(name: str, value: Any) -> None:
    """A plain function around a coroutine function has started nothing at all."""
    if isinstance(value, Coroutine):
        value.close()
        raise TypeError(
            f"the handler of {name} returned a coroutine that nobody awaits: it, or a decorator "
            "around it, must be `async def`"
        )


def is_async_middleware(middleware: Middleware) -> bool:
    """Whether a middleware runs around coroutine functions."""
    import inspect  # noqa: PLC0415

    call = getattr(middleware, "__call__", middleware)  # noqa: B004
    return inspect.iscoroutinefunction(middleware) or inspect.iscoroutinefunction(call)


def _plain(error: Reject) -> ErrorInfo:
    """A rejection is a decision: its reason says all, and a cause is told if there is one."""
    info = error_info(error)
    cause = error.__cause__
    if cause is None:
        return ErrorInfo(info.classes, info.type, info.message)
    return ErrorInfo(info.classes, type(cause).__name__, info.message, info.traceback)
