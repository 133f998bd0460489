"""What the steps of an execution pass on: the rules of a lane, and what became of a record."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.retry_budgets import RetryBudgets
from headrace.pipeline.job_types import JobType
from headrace.pipeline.queues import Lane
from headrace.pipeline.retry import Retry
from headrace.pipeline.topology import Topology
from headrace.pipeline.tracing import Sending
from headrace.schemas.transitions import Transition


@dataclass(frozen=True, slots=True)
class Rules:
    """What the jobs of one lane are judged by, the same for the life of a worker."""

    lane: Lane
    topology: Topology
    job_types: Mapping[str, JobType[..., ..., Any, Any]]
    worker: str
    retry: Retry = field(default_factory=Retry)
    timeout: timedelta = timedelta(minutes=5)
    grace: timedelta = timedelta(hours=1)
    chance: random.Random = field(default_factory=random.Random)
    ordered: bool = False
    """Whether retries wait in place, so that each key keeps its order."""
    budgets: RetryBudgets = field(default_factory=RetryBudgets)
    """Which job types are retried too often now; as `chance`, this one changes."""


class HandOver(NamedTuple):
    """A record for a delay tier or a dead-letter topic, to be written with the source's offset."""

    kind: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    span: Sending | None = None
    """Told when it has changed hands."""


@dataclass(slots=True)
class Settled:
    """What became of one record of the lane, ready to be recorded.

    Not frozen for the reason of `JobRecord`.
    """

    assignment: Assignment
    offset: int
    transition: Transition | None
    handover: HandOver | None = None
    seconds: float = 0.0
    """How long the attempt took; 0 when there was none."""
    ready: int = 0
    """When the job was due on its lane, in epoch milliseconds; 0 when it was not run."""
    announcement: bool = False
    """Whether this only tells of a job that still runs, and finishes nothing."""


class StayHere(NamedTuple):
    """A job of an ordered queue that comes back without leaving its lane.

    Attributes:
        record: The job as it is tried next: its attempt, step, due time and history.
        due: When, in epoch milliseconds.
        told: What to tell of it; it finishes nothing.
    """

    record: JobRecord
    due: int
    told: Settled
