"""Rows of the store, made from evidence: a transition, or a job's record on a topic.

Each row has an order key: bytes that compare as `Transition.order` does, and then by content. So
of any two rows of a job all readers and all databases agree which one is later, and

* a job's row is the one with the greatest order key;
* its timeline is the set of its event rows, by order key.

Both are the same for any order of the evidence, any repetition and any split into batches.
"""

import hashlib
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from headrace.pipeline.topology import Topology
from headrace.processors.job_view import JobSummary, summary_of
from headrace.processors.sightings import Sighting
from headrace.schemas.states import JobState
from headrace.schemas.transitions import NOWHERE, Transition

Evidence = Transition | Sighting
_ORDER: Final = struct.Struct(">IIBq")
"""Generation, step, rank of the state, time: unsigned and big-endian, so that bytes compare alike."""
_TIE: Final = 8
"""Bytes of the content's hash, which decides between two that are alike in all of these."""
RECORD, TRANSITION = "record", "transition"
"""What an event was told by."""


class JobRow(NamedTuple):
    """A job's current state, with where its record can be read. Times in epoch milliseconds."""

    job_id: str
    order_key: bytes
    job_type: str
    state: str
    lane: str
    queue: str
    priority: str
    tenant: str | None
    ordering_key: str | None
    attempt: int
    generation: int
    created: int
    updated: int
    due: int | None
    duration: int | None
    worker: str | None
    reason: str | None
    error_type: str | None
    error_message: str | None
    topic: str
    partition: int
    offset: int

    def summary(self) -> JobSummary:
        """The row as the views show it."""
        return JobSummary(
            self.job_id,
            self.job_type,
            self.state,
            self.lane,
            self.queue or None,
            self.priority or None,
            self.tenant,
            self.ordering_key,
            self.attempt,
            self.generation,
            self.created,
            self.updated,
            self.due,
            self.duration,
            self.worker,
            self.reason,
            self.error_type,
            self.error_message,
        )


class EventRow(NamedTuple):
    """One thing that happened to a job. Times in epoch milliseconds."""

    job_id: str
    order_key: bytes
    told_by: str
    state: str
    topic: str
    partition: int
    offset: int
    attempt: int
    step: int
    generation: int
    time: int
    started: int | None
    ended: int | None
    due: int | None
    worker: str | None
    reason: str | None
    error_type: str | None
    error_message: str | None


def rows_of(found: Evidence, topology: Topology) -> tuple[JobRow, EventRow | None]:
    """Tell a job's state, and an event, by one piece of evidence."""
    key = order_key(found)
    return _job_row(found, key, topology), _event_row(found, key)


def _job_row(found: Evidence, key: bytes, topology: Topology) -> JobRow:
    summary = summary_of(found, topology)
    return JobRow(
        summary.job_id,
        key,
        summary.job_type,
        summary.state,
        summary.lane,
        summary.queue or "",
        summary.priority or "",
        summary.tenant,
        summary.key,
        summary.attempt,
        summary.generation,
        summary.created,
        summary.updated,
        summary.due,
        summary.duration,
        summary.worker,
        summary.reason,
        summary.error_type,
        summary.error_message,
        *_place(found),
    )


def _event_row(found: Evidence, key: bytes) -> EventRow | None:
    """None when it is no event.

    That a record came to its lane is none: what made it come is told by others (the submission by
    the job's creation, a retry by its transition).
    """
    if isinstance(found, Transition):
        return _of_transition(found, key)
    return None if found.state is JobState.QUEUED else _of_sighting(found, key)


def order_key(found: Evidence) -> bytes:
    """Give the bytes by which rows of a job compare."""
    generation, step, rank, time = found.order
    tie = hashlib.blake2b(_content(found).encode(), digest_size=_TIE).digest()
    return _ORDER.pack(generation, step, rank, max(0, time)) + tie


def latest(rows: Iterable[JobRow]) -> list[JobRow]:
    """Keep the latest row of each job."""
    kept: dict[str, JobRow] = {}
    for row in rows:
        before = kept.get(row.job_id)
        if before is None or before.order_key < row.order_key:
            kept[row.job_id] = row
    return list(kept.values())


def distinct(rows: Iterable[EventRow]) -> list[EventRow]:
    """Keep one of each event."""
    return list({(row.job_id, row.order_key): row for row in rows}.values())


def _content(found: Evidence) -> str:
    """What tells two apart that have all of `order` in common: two workers ran the same attempt."""
    place = "/".join(map(str, _place(found)))
    if isinstance(found, Transition):
        return f"{place} {found.attempt} {found.worker} {found.started} {found.ended}"
    return f"{place} {found.job.attempt} {found.appended}"


def _place(found: Evidence) -> tuple[str, int, int]:
    if isinstance(found, Sighting):
        return (found.location.topic, found.location.partition, found.location.offset)
    return (found.lane, found.partition, found.offset)


def lies_somewhere(row: JobRow) -> bool:
    """Whether its record's place is known."""
    return row.offset != NOWHERE


def _of_transition(found: Transition, key: bytes) -> EventRow:
    return EventRow(
        found.job_id,
        key,
        TRANSITION,
        found.state,
        *_place(found),
        found.attempt,
        found.step,
        found.generation,
        found.time,
        found.started,
        found.ended,
        found.due,
        found.worker,
        found.reason,
        found.error_type,
        found.error_message,
    )


def _of_sighting(found: Sighting, key: bytes) -> EventRow:
    job = found.job
    return EventRow(
        job.job_id,
        key,
        RECORD,
        found.state.value,
        *_place(found),
        job.attempt,
        job.step,
        job.generation,
        found.appended,
        None,
        None,
        job.due,
        None,
        None,
        None,
        None,
    )
