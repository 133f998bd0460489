"""How large the workers of each priority are, and how long they may take to stop."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from headrace.pipeline.job_types import JobType
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Pool, Queue
from headrace.pipeline.settings import WorkerSettings

STOP_RESERVE: Final = timedelta(seconds=30)
"""Beyond the drain budget, as a supervisor of workers allows too: a stopping worker gives back what
runs, makes its last commit, leaves its groups and ends its child processes. Killed before that, its
jobs run again."""
SCHEDULER_GRACE: Final = timedelta(seconds=30)
"""The scheduler runs nobody's code: a commit and leaving its group, however slow Kafka is."""


@dataclass(frozen=True, slots=True)
class WorkerSize:
    """Of the workers that serve one priority.

    Attributes:
        concurrency: Jobs that one process runs at a time.
        replicas: Processes.
    """

    concurrency: int
    replicas: int


_NORMAL: Final = WorkerSize(concurrency=30, replicas=2)
SIZES: Final[Mapping[str, WorkerSize]] = MappingProxyType(
    {
        "critical": WorkerSize(concurrency=50, replicas=3),
        "high": WorkerSize(concurrency=50, replicas=3),
        "normal": _NORMAL,
        "low": WorkerSize(concurrency=10, replicas=1),
    }
)


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a declaration does not say about its workers.

    Attributes:
        sizes: By priority; others are as `normal`.
        longest_drain: No worker waits longer than this for its running jobs when it stops,
            whatever they are allowed to take.
    """

    sizes: Mapping[str, WorkerSize] = field(default_factory=lambda: SIZES)
    longest_drain: timedelta = timedelta(minutes=10)

    def of(self, priority: str) -> WorkerSize:
        """Give the size of the workers of a priority."""
        return self.sizes.get(priority, self.sizes.get("normal", _NORMAL))

    def drain_budget(self, pipeline: Pipeline, priorities: Iterable[str]) -> timedelta:
        """Say how long a worker of these priorities waits for its jobs when it stops.

        As long as the longest of them may take, in whole seconds, so that a new version interrupts
        none; at most `longest_drain`.
        """
        longest = max(_timeouts(pipeline, frozenset(priorities)), default=default_timeout())
        return whole_seconds(min(longest, self.longest_drain))


class Work(StrEnum):
    """What the jobs of a queue mostly do, as far as its declaration tells."""

    PROCESSOR = "processor"
    """They run in child processes: more at a time than processors only slow each other down."""
    WAITING = "waiting"
    """Coroutine functions, which wait for the network."""
    BLOCKING = "blocking"
    """Plain functions, such as ones that ask a database: each holds a thread and a connection."""
    MIXED = "mixed"

    @classmethod
    def of(cls, queue: Queue, job_types: Iterable[JobType[..., ..., Any, Any]]) -> "Work":
        """Tell it from the queue's pool and its handlers."""
        if queue.pool is Pool.PROCESS:
            return cls.PROCESSOR
        kinds = {job_type.is_async for job_type in job_types}
        if len(kinds) > 1:
            return cls.MIXED
        return cls.WAITING if True in kinds else cls.BLOCKING

    @property
    def concurrency(self) -> int:
        """Jobs that one process runs at a time."""
        return _CONCURRENCY[self]


_CONCURRENCY: Final[Mapping[Work, int]] = MappingProxyType(
    {Work.PROCESSOR: 4, Work.WAITING: 100, Work.BLOCKING: 10, Work.MIXED: 30}
)


def priorities_of(pipeline: Pipeline) -> tuple[str, ...]:
    """Every priority of a pipeline's queues, the heaviest share first."""
    weights = {lane.priority: lane.weight for lane in pipeline.topology.lanes()}
    return tuple(sorted(weights, key=lambda priority: -weights[priority]))


def default_timeout() -> timedelta:
    """The timeout of a job type that declares none, where no setting says otherwise."""
    timeout = WorkerSettings.model_fields["job_timeout"].default
    assert isinstance(timeout, timedelta)
    return timeout


def _timeouts(pipeline: Pipeline, priorities: frozenset[str]) -> Iterator[timedelta]:
    """A submission may choose any priority of its queue, so the queue decides who may run a job."""
    for job_type in pipeline.job_types.values():
        if priorities.intersection(pipeline.queues[job_type.policy.queue].priorities):
            yield job_type.policy.timeout or default_timeout()


def whole_seconds(duration: timedelta) -> timedelta:
    """Round a duration up to whole seconds, as supervisors count."""
    return timedelta(seconds=-(-duration // timedelta(seconds=1)))
