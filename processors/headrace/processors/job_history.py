"""What became of jobs, read straight from Kafka.

Two kinds of evidence are merged by one order (`Transition.order`): the transitions on the events
topic, and the jobs' own records on lanes, delay tiers and dead-letter topics. A record on a lane
that no transition speaks of is a queued job; workers tell of a running job only when it has been
running for a while, so a job shown as queued may just have been started.
"""

from dataclasses import dataclass, replace
from typing import Final

from headrace.pipeline.errors import TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.pipeline.topology import Topology
from headrace.processors.batches import BatchReader
from headrace.processors.job_events import events_of
from headrace.processors.job_list import JobFilter, JobLister, Listing
from headrace.processors.job_search import Evidence, JobSearch
from headrace.processors.job_view import JobSummary, JobView, summary_of
from headrace.processors.payloads import Payload, PayloadReader
from headrace.processors.reader import Progress, TopicReader
from headrace.processors.repair.letter_states import LetterMark, read_marks
from headrace.processors.sightings import Location, Sighting
from headrace.processors.snapshot import Cluster, Snapshot
from headrace.schemas import headers
from headrace.schemas.states import JobState
from headrace.schemas.transitions import NOWHERE, Transition

UNKNOWN: Final = "unknown"
"""The state of a job that has been dealt with, but of which no transition is kept."""
_EVERYTHING: Final = JobFilter()


@dataclass(frozen=True, slots=True)
class Searched:
    """Where a job was looked for.

    Attributes:
        topics: All topics that were looked at, at least in part.
        offsets: How many offsets were read.
        oldest: When the oldest record that the events topic keeps was stored, in epoch ms; None
            when it is empty.
    """

    topics: tuple[str, ...]
    offsets: int
    oldest: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to: the job, if anything tells of it, and what was searched."""

    view: JobView | None
    searched: Searched


class JobHistory:
    """The lives of a pipeline's jobs, as far as Kafka still has them.

    Every method raises KafkaUnavailableError when Kafka gives no answer in time, and TopicError
    when it refuses or the events topic does not exist.

    Args:
        pipeline: The declaration; handlers are not needed.
        kafka: Where Kafka is.
        progress: Told how far a reading is.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, progress: Progress | None = None
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._progress = progress
        self._cluster = Cluster(kafka)
        self._batches = BatchReader(kafka, pipeline.topology)

    def find(self, job_id: str) -> JobView | None:
        """Find one job; None when nothing that is kept tells of it."""
        return self.search(job_id).view

    def search(self, job_id: str) -> Found:
        """As `find`, with what was searched.

        Everything since the job was made is read, when its id tells when that was (UUIDv7);
        otherwise everything that is kept.
        """
        snapshot = self._snapshot()
        with TopicReader(self._kafka, self._progress) as reader:
            evidence = JobSearch(job_id, snapshot, self._cluster, reader, self._batches).run()
            view = self._view(evidence)
            oldest = _oldest(reader, snapshot) if view is None else None
            return Found(view, Searched(tuple(snapshot.roles), reader.read_offsets, oldest))

    def newest(self, wanted: JobFilter = _EVERYTHING, limit: int = 20) -> tuple[JobSummary, ...]:
        """As `listing`, the jobs alone."""
        return self.listing(wanted, limit).jobs

    def listing(self, wanted: JobFilter = _EVERYTHING, limit: int = 20) -> Listing:
        """List jobs, those first that came into their state last.

        Reads backwards and stops as soon as `limit` such jobs are certain, or after 500,000
        jobs that type, queue and tenant let through.
        """
        snapshot = self._snapshot()
        with TopicReader(self._kafka, self._progress) as reader:
            topology = self._pipeline.topology
            lister = JobLister(snapshot, topology, wanted, reader, self._batches)
            return lister.run(self._cluster, limit)

    def _snapshot(self) -> Snapshot:
        snapshot = self._cluster.snapshot(self._pipeline)
        require(snapshot, self._pipeline.topology.events)
        return snapshot

    def _view(self, evidence: Evidence) -> JobView | None:
        last, record = evidence.last, evidence.record
        if last is None:
            return None
        summary = summary_of(last, self._pipeline.topology)
        if not evidence.transitions and not evidence.waiting:
            summary = replace(summary, state=UNKNOWN)
        payloads = PayloadReader(self._pipeline, self._kafka)
        return JobView(
            summary,
            evidence.transitions,
            record.location if record is not None else _place(last),
            evidence.waiting,
            arguments_of(payloads, summary, record),
            result_of(payloads, last),
            record.text(headers.EDITED_FROM) if record is not None else None,
            mark_of(self._kafka, self._pipeline.topology, record),
            record.trace_id if record is not None else None,
            events_of(*evidence.transitions, *(() if record is None else (record,))),
        )


def require(snapshot: Snapshot, topic: str) -> None:
    """Refuse to go on without a topic.

    Raises:
        TopicError: It does not exist.
    """
    if topic in snapshot.missing():
        raise TopicError(
            f"there is no topic {topic}: make the pipeline's topics with `headrace topics apply`"
        )


def mark_of(kafka: KafkaSettings, topology: Topology, record: Sighting | None) -> LetterMark | None:
    """Read what was done about a dead letter; nothing is known where the topic is missing."""
    if record is None or record.state is not JobState.DEAD:
        return None
    try:
        marks = read_marks(kafka, topology)
    except TopicError:
        return None
    return marks.get(str(record.location))


def _place(last: Transition | Sighting) -> Location | None:
    if isinstance(last, Sighting):
        return last.location
    if last.offset == NOWHERE:
        return None
    return Location(last.lane, last.partition, last.offset)


def arguments_of(
    payloads: PayloadReader, summary: JobSummary, record: Sighting | None
) -> Payload | None:
    """Decode what a job was submitted with; None when its record is gone."""
    if record is None:
        return None
    return payloads.arguments(summary.job_type, record.payload, record.raw.items())


def result_of(payloads: PayloadReader, last: Transition | Sighting) -> Payload | None:
    """Decode what a handler returned; None when it did not, or returned nothing to keep."""
    if isinstance(last, Sighting) or last.state != JobState.SUCCEEDED:
        return None
    if last.result is None and last.result_claim is None:
        return None
    return payloads.result(last.job_type, last.result, last.result_claim)


def _oldest(reader: TopicReader, snapshot: Snapshot) -> int | None:
    spans = snapshot.of([Role.EVENTS])
    firsts = reader.read(spans, first_only=True)
    return min((message.timestamp()[1] for message in firsts), default=None)
