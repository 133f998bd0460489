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

    def takes(self, job: JobSummary) -> bool:
        """Whether a job is one of these."""
        return (
            self.state in (None, job.state)
            and self.job_type in (None, job.job_type)
            and self.queue in (None, job.queue)
            and self.tenant in (None, job.tenant)
        )


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
        self, snapshot: Snapshot, topology: Topology, wanted: JobFilter, reader: TopicReader
    ) -> None:
        self._snapshot = snapshot
        self._topology = topology
        self._wanted = wanted
        self._reader = reader
        self._batches = BatchReader()
        self._jobs: dict[str, _Known] = {}

    def run(self, cluster: Cluster, limit: int) -> list[JobSummary]:
        """Give at most `limit` jobs, those first that came into their state last."""
        spans = self._snapshot.unfinished(self._wanted.roles)
        if self._wanted.since is not None:
            spans = cluster.since([s for s in spans if s.start < s.end], self._wanted.since)
        tail = TailReader(self._reader, spans, self._window)
        while True:
            for message in tail.more():
                self._take(message)
            found = self._certain(tail.horizon)
            if tail.exhausted or len(found) >= limit:
                return sorted(found, key=lambda job: job.updated, reverse=True)[:limit]

    def _window(self, topic: str) -> int:
        return _FIRST_WINDOW[self._snapshot.roles[topic]]

    def _take(self, message: Message) -> None:
        topic, appended = message.topic() or "", message.timestamp()[1]
        role = self._snapshot.roles[topic]
        if role is Role.EVENTS:
            for each in self._batches.read(message):
                self._merge(each.job_id, _Known(each.order, appended, each))
        elif not self._snapshot.is_done(topic, message.partition() or 0, message.offset() or 0):
            sighting = sight(message, role)
            self._merge(sighting.job.job_id, _Known(sighting.order, appended, sighting))

    def _merge(self, job_id: str, known: _Known) -> None:
        before = self._jobs.get(job_id)
        if before is None or before.order < known.order:
            self._jobs[job_id] = known

    def _certain(self, horizon: int) -> list[JobSummary]:
        found = []
        for known in self._jobs.values():
            summary = summary_of(known.found, self._topology)
            # What is unread was appended before the horizon, and so changed before it, too.
            if min(known.appended, summary.updated) >= horizon and self._wanted.takes(summary):
                found.append(summary)
        return found
