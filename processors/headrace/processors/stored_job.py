"""One job's whole life from the query store; its record is read from Kafka, at the place that is kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.pipeline.errors import KafkaUnavailableError, TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.job_events import TRANSITION
from headrace.processors.job_history import arguments_of, mark_of, result_of
from headrace.processors.job_view import JobView
from headrace.processors.payloads import Payload, PayloadReader
from headrace.processors.reader import TopicReader
from headrace.processors.sightings import Location, Sighting, sight
from headrace.processors.snapshot import Cluster, LogSpan, Snapshot
from headrace.processors.store.reading import Life, StoreReader
from headrace.processors.store.row_types import EventRow, JobRow, ResultRow
from headrace.schemas import headers
from headrace.schemas.states import JobState
from headrace.schemas.transitions import NOWHERE, Transition

_ROLES: Final = (Role.LANE, Role.TIER, Role.DEAD_LETTERS)
_LIES: Final[Mapping[str, Role]] = {
    JobState.QUEUED: Role.LANE,
    JobState.DELAYED: Role.TIER,
    JobState.RETRYING: Role.TIER,
    JobState.DEAD: Role.DEAD_LETTERS,
}
"""In which states a job's record lies somewhere, and on what kind of topic."""
_STATES: Final = frozenset(JobState)


@dataclass(frozen=True, slots=True)
class _Found:
    """A job's last record that Kafka still has.

    Attributes:
        waits: Whether nobody has finished it there.
        problem: Why Kafka could not be asked.
    """

    record: Sighting | None = None
    waits: bool = False
    problem: str | None = None


class StoredJobs:
    """The lives of a pipeline's jobs as the store has them.

    Args:
        pipeline: The declaration; handlers are not needed.
        kafka: Where arguments are read.
        reader: Reads the store.
    """

    def __init__(self, pipeline: Pipeline, kafka: KafkaSettings, reader: StoreReader) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._reader = reader

    def find(self, job_id: str) -> JobView | None:
        """Find one job; None when the store does not know it.

        Where Kafka gives no answer, the arguments say so, and the rest is told all the same.

        Raises:
            StoreError: The store cannot be read.
        """
        life = self._reader.life(job_id)
        return None if life is None else self._view(life)

    def _view(self, life: Life) -> JobView:
        found, summary = self._record(life), life.job.summary()
        record = found.record
        transitions = transitions_of(life)
        payloads = PayloadReader(self._pipeline, self._kafka)
        role = _LIES.get(summary.state)
        lies_there = found.waits and role is self._role(record)
        return JobView(
            summary,
            transitions,
            record.location if record is not None else _place(life.job),
            lies_there,
            Payload(0, problem=found.problem, dump="")
            if found.problem is not None
            else arguments_of(payloads, summary, record),
            result_of(payloads, transitions[-1]) if transitions else None,
            record.text(headers.EDITED_FROM) if record is not None else None,
            mark_of(self._kafka, self._pipeline.topology, record) if lies_there else None,
            record.trace_id if record is not None else None,
            tuple(event.event() for event in life.events),
        )

    def _role(self, record: Sighting | None) -> Role | None:
        if record is None:
            return None
        return {JobState.QUEUED: Role.LANE, JobState.DEAD: Role.DEAD_LETTERS}.get(
            record.state, Role.TIER
        )

    def _record(self, life: Life) -> _Found:
        try:
            snapshot = Cluster(self._kafka).snapshot(self._pipeline, _ROLES)
            with TopicReader(self._kafka) as reader:
                for place in _places(life):
                    record = _read(reader, snapshot, place, life.job.job_id)
                    if record is not None:
                        done = snapshot.is_done(place.topic, place.partition, place.offset)
                        return _Found(record, waits=not done)
        except (KafkaUnavailableError, TopicError) as error:
            return _Found(problem=str(error))
        return _Found()


def transitions_of(life: Life) -> tuple[Transition, ...]:
    """Give the transitions of a life in their order, the last one with the job's result.

    Those to states of a newer version cannot be put in order, and are left out.
    """
    told = [
        _transition(event, life.job)
        for event in life.events
        if event.told_by == TRANSITION and event.state in _STATES
    ]
    told.sort(key=lambda each: each.order)
    if told and life.result is not None:
        told[-1] = _with_result(told[-1], life.result)
    return tuple(told)


def _with_result(last: Transition, result: ResultRow) -> Transition:
    return last._replace(result=result.result, result_claim=result.claim)


def _transition(event: EventRow, job: JobRow) -> Transition:
    return Transition(
        job_id=job.job_id,
        job_type=job.job_type,
        state=event.state,
        lane=event.topic,
        partition=event.partition,
        offset=event.offset,
        attempt=event.attempt,
        step=event.step,
        generation=event.generation,
        time=event.time,
        created=job.created,
        worker=event.worker or "",
        started=event.started,
        ended=event.ended,
        due=event.due,
        tenant=job.tenant,
        key=job.ordering_key,
        reason=event.reason,
        error_type=event.error_type,
        error_message=event.error_message,
        progress=event.progress,
        progress_text=event.progress_text,
    )


def _places(life: Life) -> Iterator[Location]:
    """Give the places of a job's records, the one first that was written last."""
    rows: list[EventRow | JobRow] = [*reversed(life.events), life.job]
    known = [(row.generation, _step(row), _place(row)) for row in rows]
    seen: set[Location] = set()
    for _, _, place in sorted(known, key=lambda each: each[:2], reverse=True):
        if place is not None and place not in seen:
            seen.add(place)
            yield place


def _step(row: EventRow | JobRow) -> int:
    """Of two rows of one step the record is later than the transition that made it."""
    if isinstance(row, JobRow):
        return -1
    return 2 * row.step + (row.told_by != TRANSITION)


def _place(row: EventRow | JobRow) -> Location | None:
    if row.offset == NOWHERE:
        return None
    return Location(row.topic, row.partition, row.offset)


def _read(reader: TopicReader, snapshot: Snapshot, place: Location, job_id: str) -> Sighting | None:
    """Read one record; None when Kafka has it no more, or another one lies there."""
    span = snapshot.spans.get((place.topic, place.partition))
    if span is None or not span.start <= place.offset < span.end:
        return None
    one = LogSpan(place.topic, place.partition, place.offset, place.offset + 1)
    for message in reader.read([one]):
        found = sight(message, snapshot.roles[place.topic])
        if found.job.job_id == job_id:
            return found
    return None
