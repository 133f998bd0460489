"""The user's declaration: a name, its queues, its job types. Everything else is derived from it."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from headrace.pipeline.circuits import CircuitPolicy
from headrace.pipeline.context import JobContext
from headrace.pipeline.errors import DeclarationError, UnknownJobTypeError
from headrace.pipeline.job import Job, JobPolicy
from headrace.pipeline.job_decorator import JobDecorator
from headrace.pipeline.job_types import JobType
from headrace.pipeline.queues import Queue, check_name
from headrace.pipeline.retry import MAX_DELAY, Retry
from headrace.pipeline.schedules.policies import Misfire, Overlap
from headrace.pipeline.schedules.schedule import Schedule
from headrace.pipeline.schedules.submits import check_submits
from headrace.pipeline.schedules.timing import make_timing
from headrace.pipeline.signature import read_signature
from headrace.pipeline.topology import Topology
from headrace.schemas.codec import record_codec_for_model

_P = ParamSpec("_P")
_M = TypeVar("_M")

CallNext = Callable[[], Any]
Middleware = Callable[[CallNext, JobContext], Any]
"""Runs around every attempt. `async def` ones run around coroutine functions and await
`call_next()`; plain ones run around plain functions and call it."""
Lifespan = Callable[[], AbstractAsyncContextManager[Any] | AbstractContextManager[Any]]
"""Entered once in each process that runs handlers; what it yields is `context.state`."""

DEFAULT_GRACE = timedelta(hours=1)


class Pipeline:
    """A named set of queues and job types.

    Args:
        name: Lower-case words joined by hyphens; every topic's name begins with it.
        queues: The queues; one named `default` when none are given.
        middleware: Runs around every attempt, the first outermost.
        lifespan: Opens what handlers need once per process, such as a database pool.

    Raises:
        DeclarationError: A name cannot be used or is used twice.
    """

    def __init__(
        self,
        name: str,
        *,
        queues: Iterable[Queue] = (),
        middleware: Iterable[Middleware] = (),
        lifespan: Lifespan | None = None,
    ) -> None:
        self.name = check_name("pipeline", name)
        declared = tuple(queues) or (Queue("default"),)
        self.queues: Mapping[str, Queue] = MappingProxyType({q.name: q for q in declared})
        if len(self.queues) < len(declared):
            raise DeclarationError(
                f"pipeline {name!r} names a queue twice: {', '.join(q.name for q in declared)}"
            )
        self.middleware = tuple(middleware)
        for each in (*self.middleware, *([lifespan] if lifespan is not None else ())):
            if not callable(each):
                raise DeclarationError(
                    f"pipeline {name!r}: {each!r} cannot be called: middleware and lifespan are "
                    "functions (the lifespan without its parentheses)"
                )
        self.lifespan = lifespan
        self.topology = Topology(name, declared)
        self._job_types: dict[str, JobType[..., ..., Any, Any]] = {}
        self._schedules: dict[str, Schedule] = {}

    @property
    def job_types(self) -> Mapping[str, JobType[..., ..., Any, Any]]:
        """The declared job types by name."""
        return MappingProxyType(self._job_types)

    @property
    def schedules(self) -> Mapping[str, Schedule]:
        """The declared schedules by name."""
        return MappingProxyType(self._schedules)

    def job(
        self,
        name: str,
        *,
        queue: str | None = None,
        priority: str | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        unknown_type_grace: timedelta = DEFAULT_GRACE,
        circuit: CircuitPolicy | None = None,
    ) -> JobDecorator:
        """Declare a job type; used as a decorator of its handler.

        Args:
            name: Such as `email.send`: what stands in every record as its type.
            queue: The first declared queue when not given.
            priority: The queue's default priority when not given.
            retry: Its retry policy; as the worker's settings say when not given.
            timeout: How long one attempt may take; as the worker's settings say when not given.
            unknown_type_grace: How long a job waits for a worker that knows its type.
            circuit: When its jobs are left alone for a while because too many fail; never when not
                given. Not in an ordered queue.

        Raises:
            DeclarationError: The name is taken, the queue or priority is not declared, the
                timeout is not positive, or what is decorated cannot be a handler.
            SchemaError: A parameter's type, or the result's, cannot travel; names it.
        """
        policy = self._policy(name, queue, priority, retry, timeout, unknown_type_grace, circuit)

        def declare(function: Callable[..., Any]) -> JobType[..., ..., Any, Any]:
            signature = read_signature(name, function)
            return self._add(
                JobType(
                    self.name,
                    name,
                    policy,
                    signature.arguments,
                    function,
                    result=signature.result,
                    takes_context=signature.takes_context,
                )
            )

        return JobDecorator(declare)

    def declare(
        self,
        name: str,
        arguments: Callable[_P, _M],
        *,
        queue: str | None = None,
        priority: str | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        unknown_type_grace: timedelta = DEFAULT_GRACE,
        circuit: CircuitPolicy | None = None,
    ) -> JobType[..., _P, Any, Any]:
        """Declare a job type without its handler, so that a service need not import it.

        Args:
            name: As for `job`, and so are the keyword arguments.
            arguments: A dataclass or pydantic model; its fields are the handler's parameters.

        Raises:
            DeclarationError: As for `job`.
            SchemaError: A field's type cannot travel; names the field.
        """
        policy = self._policy(name, queue, priority, retry, timeout, unknown_type_grace, circuit)
        if not inspect.isclass(arguments):
            raise DeclarationError(
                f"job type {name!r}: declare takes a dataclass or a pydantic model, "
                f"got {arguments!r}"
            )
        job_type: JobType[..., _P, Any, Any] = JobType(
            self.name, name, policy, record_codec_for_model(name, arguments)
        )
        self._add(job_type)
        return job_type

    def schedule(
        self,
        name: str,
        job: Job[Any],
        *,
        cron: str | None = None,
        every: timedelta | None = None,
        at: datetime | None = None,
        timezone: str | None = None,
        misfire: Misfire | None = None,
        overlap: Overlap | str = Overlap.ALLOW,
        jitter: timedelta = timedelta(),
        priority: str | None = None,
        key: str | None = None,
        tenant: str | None = None,
        expires: timedelta | None = None,
    ) -> Schedule:
        """Declare a schedule: the scheduler submits the job whenever it fires.

        Args:
            name: Letters, digits, dots, hyphens and underscores. Another name is another schedule.
            job: What each fire submits: `report.job(...)`.
            cron: 5 fields, or 6 with seconds first, or `@daily` and the like.
            every: An interval of a second or more; fires at its multiples since 1970 in UTC.
            at: Once, at this moment; must have a time zone.
            timezone: Whose clocks the cron expression speaks of, as `Europe/Berlin`; UTC when not
                given.
            misfire: What is done about fires that were missed; `Misfire.run_once()` when not given.
            overlap: What is done when the job of the fire before is not final.
            jitter: Each fire waits up to this, always as long for the same fire.
            priority: One of the queue's; the job type's when not given.
            key: The job's ordering key; its id when not given.
            tenant: On whose behalf.
            expires: After this time from the fire the job is dropped, not started.

        Raises:
            DeclarationError: The name is taken, the job is of another pipeline, not exactly one
                of `cron`, `every` and `at` is given, or a value cannot be used.
        """
        try:
            made = Schedule(
                name,
                make_timing(cron, every, at, timezone),
                job,
                misfire or Misfire(),
                overlap,
                jitter,
                priority,
                key,
                tenant,
                expires,
            )
            check_submits(made, job, self._job_types, self.queues)
            if name in self._schedules:
                raise DeclarationError("the name is taken; each schedule has its own")
        except DeclarationError as error:
            raise DeclarationError(f"schedule {name!r}: {error}") from None
        self._schedules[name] = made
        return made

    def job_type(self, name: str) -> JobType[..., ..., Any, Any]:
        """Find a job type by name.

        Raises:
            UnknownJobTypeError: The pipeline does not declare it; names what it does declare.
        """
        try:
            return self._job_types[name]
        except KeyError:
            known = ", ".join(sorted(self._job_types)) or "none"
            raise UnknownJobTypeError(
                f"pipeline {self.name!r} declares no job type {name!r} (declared: {known})"
            ) from None

    def _add(self, job_type: JobType[..., ..., Any, Any]) -> JobType[..., ..., Any, Any]:
        self._refuse_taken(job_type.name)
        self._job_types[job_type.name] = job_type
        return job_type

    def _refuse_taken(self, name: str) -> None:
        if name in self._job_types:
            raise DeclarationError(f"pipeline {self.name!r} already declares job type {name!r}")

    def _policy(
        self,
        name: str,
        queue: str | None,
        priority: str | None,
        retry: Retry | None,
        timeout: timedelta | None,
        grace: timedelta,
        circuit: CircuitPolicy | None,
    ) -> JobPolicy:
        if not name or name != name.strip() or any(c.isspace() or ord(c) < 32 for c in name):
            raise DeclarationError(f"job type {name!r}: a name has no spaces and is not empty")
        self._refuse_taken(name)
        chosen = queue if queue is not None else next(iter(self.queues))
        if chosen not in self.queues:
            raise DeclarationError(
                f"job type {name!r}: queue {chosen!r} is not declared by pipeline {self.name!r} "
                f"(declared: {', '.join(self.queues)})"
            )
        declared = self.queues[chosen]
        lane = priority if priority is not None else declared.default_priority
        if lane not in declared.priorities:
            raise DeclarationError(
                f"job type {name!r}: queue {chosen!r} has no priority {lane!r} "
                f"(it has: {', '.join(declared.priorities)})"
            )
        if timeout is not None and not timedelta() < timeout <= MAX_DELAY:
            raise DeclarationError(
                f"job type {name!r}: timeout={timeout} must be above zero, and a hundred years at "
                "most"
            )
        if grace < timedelta():
            raise DeclarationError(
                f"job type {name!r}: unknown_type_grace={grace} is negative; zero buries at once"
            )
        if circuit is not None and declared.ordered:
            raise DeclarationError(
                f"job type {name!r}: queue {chosen!r} is ordered, where jobs wait in place: a circuit "
                "cannot send them away; use another queue, or leave the circuit out"
            )
        return JobPolicy(chosen, lane, retry, timeout, grace, circuit)
