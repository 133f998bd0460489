"""A job that is not sent yet, and the policy that its type gives it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from headrace.pipeline.circuits import CircuitPolicy
from headrace.pipeline.retry import Retry
from headrace.schemas.codec import RecordCodec

_R_co = TypeVar("_R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How jobs of a type are run. None means: as the worker's settings say.

    Attributes:
        queue: The queue's name.
        priority: The lane that its jobs go to when a submission names none.
        retry: The retry policy.
        timeout: How long one attempt may take.
        unknown_type_grace: How long a job waits for a worker that knows its type or schema.
        circuit: When its jobs are left alone for a while; never when None.
    """

    queue: str
    priority: str
    retry: Retry | None = None
    timeout: timedelta | None = None
    unknown_type_grace: timedelta = timedelta(hours=1)
    circuit: CircuitPolicy | None = None


@dataclass(frozen=True, slots=True)
class Job(Generic[_R_co]):
    """One unit of work that is not sent yet. Made by `JobType.job`, never by hand."""

    job_type: str
    policy: JobPolicy
    codec: RecordCodec
    arguments: dict[str, Any]
