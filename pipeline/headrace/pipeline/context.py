"""What a handler is told about the job that it runs, and what it may ask for."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

from headrace.pipeline.job import Job

LONGEST_TEXT: Final = 500
"""Characters of a progress text that are kept."""


class Progress(NamedTuple):
    """How far a running job says that it is.

    Attributes:
        fraction: The share that is done, from 0 to 1.
        text: What it is at, in at most 500 characters; None when it does not say.
    """

    fraction: float
    text: str | None = None


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


def _to_nobody(_: Progress) -> None:
    """Stands where nobody listens."""


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
    listener: Callable[[Progress], None] = field(default=_to_nobody, repr=False)
    """Takes what the job tells of its progress; must not block."""

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

    def progress(self, fraction: float, text: str | None = None) -> None:
        """Tell how far the job is, for whoever looks at it: `headrace jobs show ID --watch`.

        Costs next to nothing and may be called as often as you like: of what a job tells, the
        latest is published once a second, and the last before its outcome is. It never blocks and
        never fails the job, whatever Kafka does. What a job tells after its time is over is dropped.

        Args:
            fraction: The share that is done, from 0 to 1.
            text: What it is at, such as `page 12 of 40`; cut after 500 characters.

        Raises:
            ValueError: The fraction is not between 0 and 1.
            TypeError: The fraction is no number, or the text is no string.
        """
        self.listener(Progress(_share(fraction, self.type), _kept_text(text, self.type)))

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


def _share(fraction: Any, job_type: str) -> float:
    """Make sure that it is one; a wrong one is the handler's mistake."""
    try:
        share = None if isinstance(fraction, str | bytes) else float(fraction)
    except (TypeError, ValueError, OverflowError):
        share = None
    if share is None:
        raise TypeError(
            f"{job_type}: context.progress({fraction!r}) is no number: give the share that is done, "
            "such as done / total"
        )
    if not 0 <= share <= 1:  # so is nan
        raise ValueError(
            f"{job_type}: context.progress({fraction!r}) is not between 0 and 1: give the share that "
            "is done, such as done / total"
        )
    return share


def _kept_text(text: Any, job_type: str) -> str | None:
    """Cut it, and replace lone surrogates: UTF-8 cannot hold them."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(
            f"{job_type}: the text of context.progress is {type(text).__name__}, not str: give what "
            "the job is at, in words"
        )
    return text[:LONGEST_TEXT].encode(errors="replace").decode()
