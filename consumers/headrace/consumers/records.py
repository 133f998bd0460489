"""A job as a worker has it: one frozen record, from the poll to the recorded outcome."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from confluent_kafka import Message

from headrace.pipeline.job_types import JobType
from headrace.pipeline.queues import Lane
from headrace.schemas.headers import JobHeaders


@dataclass(slots=True, eq=False)
class Trust:
    """Until when a lane is known to own its partitions: written by its thread, read by executors."""

    until: float = float("inf")
    """Monotonic seconds."""


@dataclass(slots=True, eq=False)
class Assignment:
    """One ownership of one partition: from being assigned to being revoked or lost.

    A result whose assignment is closed is fenced: it belongs to nobody's ledger any more.
    """

    topic: str
    partition: int
    epoch: int
    closed: bool = False
    offered: int = 0
    """Jobs that were given to the slots; counted by the lane's thread."""
    started: int = 0
    """Those of them that were started; counted by the slots."""
    trust: Trust = field(default_factory=Trust)


HOLDING: Final = 1_000
"""Bytes of memory that a job costs beside its payload and key, roughly."""


@dataclass(slots=True)
class JobRecord:
    """One record of a lane that is a job: what it says and where it lies.

    Nobody changes it. It is not declared frozen, since one is made for every job: that takes three
    times as long, and a named tuple, which is not slow to make, takes twice as long to read.
    """

    headers: JobHeaders
    key: bytes | None
    payload: bytes
    lane: Lane
    partition: int
    offset: int
    assignment: Assignment
    job_type: JobType[..., ..., Any, Any]
    timeout: float
    """Seconds that one attempt may take."""
    size: int = HOLDING
    """Bytes of memory that holding it costs, roughly."""

    @property
    def place(self) -> tuple[Assignment, int]:
        """What tells this record from every other one that this process ever had."""
        return (self.assignment, self.offset)


class RawRecord(NamedTuple):
    """A record as it lies on the lane, for what cannot be read as a job."""

    key: bytes | None
    payload: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    lane: Lane
    partition: int
    offset: int
    timestamp: int
    assignment: Assignment


def header_list(message: Message) -> list[tuple[str, bytes | None]]:
    """Give a message's headers as what they are when they come from a broker."""
    return cast("list[tuple[str, bytes | None]]", message.headers() or [])


def to_client(headers: list[tuple[str, bytes | None]]) -> list[tuple[str, str | bytes | None]]:
    """Give headers as the type that the client's `produce` is annotated with."""
    return cast("list[tuple[str, str | bytes | None]]", headers)
