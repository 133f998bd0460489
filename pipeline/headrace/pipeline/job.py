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


@dataclass(slots=True, eq=False)
class Job(Generic[_R_co]):
    """One unit of work that is not sent yet. Made by `JobType.job`, never by hand.

    Not frozen, because one is made for every submission, and a frozen dataclass sets field by field.

    Attributes:
        content: Its arguments by name, or what was written of them when they were checked.
    """

    job_type: str
    policy: JobPolicy
    codec: RecordCodec
    content: dict[str, Any] | bytes

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument by name, defaults included. What is changed in them is sent."""
        if isinstance(self.content, bytes):
            self.content = self.codec.read(self.content)
        return self.content

    def encoded(self) -> bytes:
        """Give the payload.

        Raises:
            ArgumentError: A value that Avro cannot hold, or that would not come back equal.
        """
        content = self.content
        return content if isinstance(content, bytes) else self.codec.encode(content)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same work."""
        if not isinstance(other, Job):
            return NotImplemented
        same = (self.job_type, self.policy, self.codec) == (
            other.job_type,
            other.policy,
            other.codec,
        )
        return same and self.arguments == other.arguments

    __hash__ = None  # type: ignore[assignment]  # as its arguments have none
