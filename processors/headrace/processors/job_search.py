"""Looking for one job: its transitions first, then its record where that must lie."""

import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from headrace.pipeline.topics import Role
from headrace.processors.batches import BatchReader
from headrace.processors.reader import TopicReader
from headrace.processors.sightings import Location, Sighting, as_bytes, job_id_of, sight
from headrace.processors.snapshot import CLOCK_MARGIN, Cluster, LogSpan, Snapshot
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

_WAITING_ROLES: Final = (Role.LANE, Role.TIER)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that Kafka has of one job.

    Attributes:
        transitions: Each kept transition once, in the order of the job's life.
        record: Its last record, from where it lies or lay last; None when that is gone.
        waiting: Whether the record is where the job is now: unfinished, or a dead letter.
    """

    transitions: tuple[Transition, ...]
    record: Sighting | None
    waiting: bool

    @property
    def last(self) -> Transition | Sighting | None:
        """What tells the current state; None when nothing is known."""
        known: list[Transition | Sighting] = [*self.transitions[-1:]]
        if self.record is not None:
            known.append(self.record)
        return max(known, key=lambda each: each.order, default=None)


class JobSearch:
    """Looks for one job in a snapshot of the pipeline's topics."""

    def __init__(
        self,
        job_id: str,
        snapshot: Snapshot,
        cluster: Cluster,
        reader: TopicReader,
        batches: BatchReader,
    ) -> None:
        self._job_id = job_id
        self._mark = job_id.encode()
        self._snapshot = snapshot
        self._cluster = cluster
        self._reader = reader
        self._batches = batches

    def run(self) -> Evidence:
        """Search. A record that no transition tells of is looked for in all that is kept."""
        made = created_in(self._job_id)
        since = None if made is None else made - CLOCK_MARGIN
        transitions = tuple(sorted(self._transitions(since), key=lambda each: each.order))
        last = transitions[-1] if transitions else None
        if last is not None and _is_over(last):
            return Evidence(transitions, self._record_of(last), waiting=False)
        record = self._waiting_record(last, since)
        if record is not None and (last is None or _is_newer(record, last)):
            return Evidence(transitions, record, waiting=True)
        if last is not None:
            return Evidence(transitions, self._record_of(last), waiting=False)
        return Evidence((), self._newest(self._snapshot.of([Role.LANE]), since), waiting=False)

    def _transitions(self, since: int | None) -> set[Transition]:
        spans = self._since(self._snapshot.of([Role.EVENTS]), since)
        found: set[Transition] = set()
        for message in self._reader.read(spans):
            # Decoding costs 10 µs a transition, to look for the id in the bytes next to nothing.
            if self._mark in (as_bytes(message.value()) or b""):
                batch = self._batches.read(message)
                found.update(each for each in batch if each.job_id == self._job_id)
        return found

    def _waiting_record(self, last: Transition | None, since: int | None) -> Sighting | None:
        """Find the newest record on lanes, tiers and dead letters that is not finished there."""
        roles = (*_WAITING_ROLES, Role.DEAD_LETTERS)
        spans = self._snapshot.unfinished(roles)
        if last is not None:
            since = last.time - CLOCK_MARGIN if last.state != JobState.RUNNING else since
            spans = [span for span in spans if self._may_lie(span, last)]
        return self._newest(spans, since, unfinished=True)

    def _may_lie(self, span: LogSpan, last: Transition) -> bool:
        role = self._snapshot.roles[span.topic]
        if role is Role.LANE:
            return span.topic == last.lane
        return role is Role.TIER or last.state == JobState.DEAD

    def _newest(
        self, spans: Iterable[LogSpan], since: int | None, *, unfinished: bool = False
    ) -> Sighting | None:
        found = [
            each
            for each in self._sightings(self._since(spans, since))
            if not (unfinished and self._is_done(each.location))
        ]
        return max(found, key=lambda each: each.order, default=None)

    def _sightings(self, spans: Collection[LogSpan]) -> Iterator[Sighting]:
        for message in self._reader.read(spans):
            role = self._snapshot.roles[message.topic() or ""]
            if self._may_be_it(message, role):
                sighting = sight(message, role)
                if sighting.job.job_id == self._job_id:
                    yield sighting

    def _may_be_it(self, message: Message, role: Role) -> bool:
        """Leave out what has another id; a record without one must be looked at closely."""
        found = job_id_of(message)
        # A dead letter whose headers cannot be read goes by an id of its own.
        return not found or found == self._job_id or role is Role.DEAD_LETTERS

    def _record_of(self, last: Transition) -> Sighting | None:
        span = self._snapshot.spans.get((last.lane, last.partition))
        if span is None or not span.start <= last.offset < span.end:
            return None
        one = LogSpan(last.lane, last.partition, last.offset, last.offset + 1)
        return next(self._sightings([one]), None)

    def _since(self, spans: Iterable[LogSpan], since: int | None) -> list[LogSpan]:
        filled = [span for span in spans if span.start < span.end]
        return filled if since is None else self._cluster.since(filled, since)

    def _is_done(self, at: Location) -> bool:
        return self._snapshot.is_done(at.topic, at.partition, at.offset)


def created_in(job_id: str) -> int | None:
    """Read when a job was made from its id: epoch ms in a UUIDv7, None in any other id."""
    try:
        parsed = uuid.UUID(job_id)
    except ValueError:
        return None
    return parsed.int >> 80 if parsed.version == 7 else None


def _is_over(last: Transition) -> bool:
    return JobState(last.state).is_final and last.state != JobState.DEAD


def _is_newer(record: Sighting, last: Transition) -> bool:
    """Whether a record was written with the last transition, or after it."""
    return record.order[:2] >= (last.generation, last.step) and not (
        last.state == JobState.RUNNING and record.order[:2] == (last.generation, last.step)
    )
