"""A producer that sends nothing and remembers everything."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar, cast

from confluent_kafka import Message

from headrace.pipeline.job import Job
from headrace.pipeline.job_types import JobType
from headrace.pipeline.pipeline import Pipeline
from headrace.producers import Receipt, SubmitError
from headrace.producers.options import SubmitOptions, lane_for
from headrace.producers.receipt import Answers
from headrace.schemas.ids import dedup_job_id, new_job_id

_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Submission:
    """One submitted job.

    Attributes:
        job_type: The job type's name.
        arguments: Every argument by name, defaults included.
        options: What was said beside the job: `delay`, `key`, `tenant` …; None where nothing was.
        job_id: As the receipt has it.
        lane: The lane's topic.
    """

    job_type: str
    arguments: Mapping[str, Any]
    options: SubmitOptions
    job_id: str
    lane: str


class RecordingProducer:
    """Takes the place of a `Producer` in tests: checks every job as it does, and sends nothing.

    Its receipts are confirmed at once. It may also be the `submitter` of `run_inline`.

    Args:
        pipeline: The declaration; job types are found by name only there.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.submitted: list[Submission] = []
        self._answers = Answers(None)

    def submit(
        self,
        job: Job[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        priority: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        dedup_key: str | None = None,
        expires: timedelta | datetime | None = None,
        supersedes: str | None = None,
        debounce: timedelta | None = None,
    ) -> Receipt[Any]:
        """Record one job; arguments, options and errors are those of `Producer.submit`.

        Raises:
            ArgumentError: An argument is missing, unknown or of a wrong type.
            UnknownJobTypeError: The pipeline does not declare the type.
            SubmitError: An option is wrong.
        """
        options = SubmitOptions(
            priority, delay, at, key, tenant, dedup_key, expires, supersedes, debounce
        )
        return self._record(self._named(job, arguments), options)

    def submit_many(
        self,
        jobs: Iterable[Job[_R]],
        *,
        priority: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        expires: timedelta | datetime | None = None,
    ) -> list[Receipt[_R]]:
        """Record many jobs with the same options; raises as `submit` does."""
        options = SubmitOptions(priority, delay, at, key, tenant, None, expires)
        return [self._record(job, options) for job in jobs]

    def of(
        self, job_type: JobType[..., ..., Any, Any] | str, /, **arguments: Any
    ) -> list[Submission]:
        """Give the submissions of one type, in order, whose arguments include these."""
        name = job_type if isinstance(job_type, str) else job_type.name
        return [
            each
            for each in self.submitted
            if each.job_type == name and _includes(each.arguments, arguments)
        ]

    def assert_submitted(
        self, job_type: JobType[..., ..., Any, Any] | str, /, **arguments: Any
    ) -> Submission:
        """Make sure that exactly one job of the type was submitted with these arguments.

        Args:
            job_type: The job type, or its name.
            arguments: Some of its arguments; those not named may be anything.

        Returns:
            The submission, so that its options can be looked at.

        Raises:
            AssertionError: There is none, or more than one; tells what was submitted instead.
        """
        found = self.of(job_type, **arguments)
        if len(found) == 1:
            return found[0]
        raise AssertionError(
            f"expected one submission of {_told(job_type, arguments)}, found {len(found)}; "
            f"submitted: {self._list()}"
        )

    def assert_not_submitted(
        self, job_type: JobType[..., ..., Any, Any] | str, /, **arguments: Any
    ) -> None:
        """Make sure that no job of the type was submitted with these arguments.

        Raises:
            AssertionError: There is one.
        """
        found = self.of(job_type, **arguments)
        if found:
            raise AssertionError(
                f"expected no submission of {_told(job_type, arguments)}, found {len(found)}; "
                f"submitted: {self._list()}"
            )

    def clear(self) -> None:
        """Forget what was submitted."""
        self.submitted.clear()

    def flush(self, timeout: float | None = None) -> None:
        """Return at once: nothing is ever on its way."""

    def close(self, timeout: float | None = None) -> None:
        """Return at once; what was submitted can still be looked at."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _named(self, job: Job[Any] | str, arguments: Mapping[str, Any] | None) -> Job[Any]:
        if isinstance(job, str):
            return self.pipeline.job_type(job).job(**(arguments or {}))
        if arguments is not None:
            raise SubmitError(
                f"job {job.job_type} has its arguments already; give a name to use a mapping"
            )
        return job

    def _record(self, job: Job[Any], options: SubmitOptions) -> Receipt[Any]:
        options.check()
        now = time.time_ns() // 1_000_000
        queue = self.pipeline.queues[job.policy.queue]
        lane = lane_for(self.pipeline.name, queue, job.policy, options.priority)
        options.due(now)
        options.expiry(now)
        job_id = self._job_id(job, options)
        options.record_key(job_id)
        job.codec.encode(dict(job.arguments))
        arguments = MappingProxyType(dict(job.arguments))
        self.submitted.append(Submission(job.job_type, arguments, options, job_id, lane.topic))
        receipt: Receipt[Any] = Receipt(job_id, job.job_type, lane.topic, now, self._answers)
        receipt.delivered(None, cast("Message", _Stored(len(self.submitted) - 1)))
        return receipt

    def _job_id(self, job: Job[Any], options: SubmitOptions) -> str:
        if options.dedup_key is None:
            return new_job_id()
        if not options.dedup_key:
            raise SubmitError("dedup_key='' would make all such jobs one job: leave it out")
        return dedup_job_id(self.pipeline.name, job.job_type, options.tenant, options.dedup_key)

    def _list(self) -> str:
        return ", ".join(_told(each.job_type, each.arguments) for each in self.submitted) or "none"


@dataclass(frozen=True, slots=True)
class _Stored:
    """As much of a delivered message as a receipt reads."""

    number: int

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.number


def _includes(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in given and given[name] == value for name, value in wanted.items())


def _told(job_type: JobType[..., ..., Any, Any] | str, arguments: Mapping[str, Any]) -> str:
    name = job_type if isinstance(job_type, str) else job_type.name
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
