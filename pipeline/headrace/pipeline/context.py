"""What a handler is told about the job that it runs, and what it may ask for."""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from headrace.pipeline.job import Job


class Submission(Protocol):
    """What submitting gives back: see `headrace.producers.Receipt`."""

    @property
    def job_id(self) -> str:
        """The id of the submitted job."""
        ...

    def confirm(self, timeout: float | None = None) -> object:
        """Wait until the broker has the job."""
        ...

    def __await__(self) -> Generator[Any, None, object]:
        """Await the same."""
        ...


class Submitter(Protocol):
    """Who publishes the child jobs of a running job."""

    def submit(self, job: Job[Any], **options: Any) -> Submission:
        """Publish `job`; the options are those of `Producer.submit`."""
        ...


class NoSubmitter:
    """Stands where nothing can be published."""

    def submit(self, job: Job[Any], **options: Any) -> Submission:
        """Refuse.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"job {job.job_type} cannot be submitted from here: this context belongs to no worker; "
            "use headrace.testing, or a Producer of your own"
        )


@dataclass(slots=True)
class JobContext:
    """One attempt of one job, as its handler sees it. The optional first parameter of a handler.

    Attributes:
        id: The job's id: the same in every attempt, also after a replay. Use it as the
            idempotency key of what the handler does.
        type: The job type's name.
        attempt: 1 for the first counted attempt.
        queue: The queue's name.
        priority: The lane's priority.
        tenant: As submitted.
        key: The ordering key if one was given, else the job's id.
        created: When the job was submitted.
        deadline: When this attempt runs out of time.
        headers: Headers of the record that are not Headrace's own, `traceparent` for example.
        state: What the pipeline's lifespan yielded in this process.
    """

    id: str
    type: str
    attempt: int
    queue: str
    priority: str
    tenant: str | None
    key: str
    created: datetime
    deadline: datetime
    headers: Mapping[str, bytes | None] = field(default_factory=dict)
    state: Any = None
    submitter: Submitter = field(default_factory=NoSubmitter, repr=False)
    stopping: bool = field(default=False, repr=False)
    over_at: float | None = field(default=None, repr=False)
    """The deadline by the monotonic clock: a step of the wall clock must cancel nothing."""
    submitted: list[Submission] = field(default_factory=list, repr=False)

    @property
    def log(self) -> Any:
        """A structlog logger that already carries job, type and attempt."""
        import structlog  # noqa: PLC0415 - it loads rich, which a publishing service does not need

        return structlog.get_logger("headrace.job").bind(
            job=self.id, type=self.type, attempt=self.attempt
        )

    @property
    def cancelled(self) -> bool:
        """Whether the handler should give up: its time is over or its worker must stop.

        A thread cannot be interrupted, so a long plain function should look here now and then.
        """
        if self.stopping:
            return True
        if self.over_at is not None:
            return time.monotonic() >= self.over_at
        return datetime.now(UTC) >= self.deadline

    def submit(self, job: Job[Any], **options: Any) -> Submission:
        """Publish a child job; the options are those of `Producer.submit`.

        An attempt that returns has succeeded only when the broker has all its children: so none
        is lost if the worker dies. A child is sent even when the attempt fails later: give it a
        `dedup_key` made from `self.id` when it must not be doubled by a retry.
        """
        if self.tenant is not None:
            options.setdefault("tenant", self.tenant)
        submission = self.submitter.submit(job, **options)
        self.submitted.append(submission)
        return submission
