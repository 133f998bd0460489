"""Listing jobs, the newest first, without reading more than that takes."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from confluent_kafka import Message

from headrace.pipeline.topics import Role
from headrace.pipeline.topology import Topology
from headrace.processors.batches import BatchReader
from headrace.processors.job_view import JobSummary, summary_of
from headrace.processors.reader import TailReader, TopicReader
from headrace.processors.sightings import Sighting, sight
from headrace.processors.snapshot import ALL_ROLES, Cluster, Snapshot
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

_FIRST_WINDOW: Final = {Role.EVENTS: 20, Role.LANE: 200, Role.TIER: 200, Role.DEAD_LETTERS: 100}
"""Offsets of each partition that the first round reads: one of events holds up to 500."""
MOST_KEPT: Final = 500_000
"""Jobs of which the last state is held, after which looking back is given up: some 500 MB."""
_TOLD_BY_EVENTS: Final = frozenset(
    {
        JobState.RUNNING,
        JobState.SUCCEEDED,
        JobState.CANCELLED,
        JobState.EXPIRED,
        JobState.DUPLICATE,
    }
)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; None does not ask. `since`: came into their state then (epoch ms)."""

    state: JobState | None = None
    job_type: str | None = None
    queue: str | None = None
    tenant: str | None = None
    since: int | None = None

    @property
    def roles(self) -> Collection[Role]:
        """The topics that can tell of such jobs."""
        return (Role.EVENTS,) if self.state in _TOLD_BY_EVENTS else ALL_ROLES

    def may_take(self, job_type: str, tenant: str | None, queue: str | None) -> bool:
        """Whether a job is one of these, by what never changes in its life."""
        return (
            self.job_type in (None, job_type)
            and self.tenant in (None, tenant)
            and self.queue in (None, queue)
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """Jobs, those first that came into their state last.

    Attributes:
        jobs: The jobs.
        back_to: When the looking back was given up (epoch ms): there may be more jobs that came
            into their state earlier. None when these are all, or as many as asked for.
    """

    jobs: tuple[JobSummary, ...]
    back_to: int | None = None


class _Known(NamedTuple):
    """The last thing known of a job, and when Kafka stored it."""

    order: tuple[int, int, int, int]
    appended: int
    found: Transition | Sighting


class JobLister:
    """Reads the topics backwards and merges what it meets, until enough jobs are certain.

    A job is certain when it came into its state in the part of time that has been read in every
    partition: nothing newer can then turn up, of it or of others. An old transition that was published a second time,
    long after the ones that followed it, can show a job in the older state; `JobHistory.find`
    reads all and is not misled.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        topology: Topology,
        wanted: JobFilter,
        reader: TopicReader,
        batches: BatchReader,
    ) -> None:
        self._snapshot = snapshot
        self._topology = topology
        self._wanted = wanted
        self._reader = reader
        self._batches = batches
        self._queues = {lane.topic: lane.queue for lane in topology.lanes()}
        self._jobs: dict[str, _Known] = {}

    def run(self, cluster: Cluster, limit: int) -> Listing:
        """List at most `limit` jobs."""
        spans = self._snapshot.unfinished(self._wanted.roles)
        if self._wanted.since is not None:
            spans = cluster.since([s for s in spans if s.start < s.end], self._wanted.since)
        tail = TailReader(self._reader, spans, self._window)
        while True:
            before = tail.horizon
            for message in tail.more():
                self._take(message)
                if len(self._jobs) > MOST_KEPT:
                    return Listing(_newest(self._certain(before), limit), before)
            found = self._certain(tail.horizon)
            if tail.exhausted or len(found) >= limit:
                return Listing(_newest(found, limit))

    def _window(self, topic: str) -> int:
        return _FIRST_WINDOW[self._snapshot.roles[topic]]

    def _take(self, message: Message) -> None:
        topic, appended = message.topic() or "", message.timestamp()[1]
        role = self._snapshot.roles[topic]
        if role is Role.EVENTS:
            for each in self._batches.read(message):
                if self._may_take(each.job_type, each.tenant, each.lane):
                    self._merge(each.job_id, _Known(each.order, appended, each))
        elif not self._snapshot.is_done(topic, message.partition() or 0, message.offset() or 0):
            sighting = sight(message, role)
            job = sighting.job
            if self._may_take(job.job_type, job.tenant, job.lane):
                self._merge(job.job_id, _Known(sighting.order, appended, sighting))

    def _may_take(self, job_type: str, tenant: str | None, lane: str) -> bool:
        return self._wanted.may_take(job_type, tenant, self._queues.get(lane))

    def _merge(self, job_id: str, known: _Known) -> None:
        before = self._jobs.get(job_id)
        if before is None or before.order < known.order:
            self._jobs[job_id] = known

    def _certain(self, horizon: int) -> list[JobSummary]:
        found = []
        for known in self._jobs.values():
            if known.appended < horizon:
                continue
            summary = summary_of(known.found, self._topology)
            # What is unread was appended before the horizon, and so changed before it, too.
            if summary.updated >= horizon and self._wanted.state in (None, summary.state):
                found.append(summary)
        return found


def _newest(found: list[JobSummary], limit: int) -> tuple[JobSummary, ...]:
    return tuple(sorted(found, key=lambda job: job.updated, reverse=True)[:limit])
