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
from typing import Final, NamedTuple, TypeVar

from headrace.pipeline.topology import Topology
from headrace.processors.job_events import RECORD, TRANSITION, is_event
from headrace.processors.job_view import summary_of
from headrace.processors.sightings import Sighting
from headrace.processors.store.row_types import EventRow, JobRow, ResultRow
from headrace.schemas import headers
from headrace.schemas.transitions import NOWHERE, Transition

Evidence = Transition | Sighting
_ORDER: Final = struct.Struct(">IIBq")
"""Generation, step, rank of the state, time: unsigned and big-endian, so that bytes compare alike."""
_TIE: Final = 8
"""Bytes of the content's hash, which decides between two that are alike in all of these."""
LONGEST: Final = 500
"""Characters of a job's id and type: an index of PostgreSQL takes some 2,700 bytes."""


Keyed = TypeVar("Keyed", EventRow, ResultRow)


class Rows(NamedTuple):
    """What one piece of evidence comes to; None for what it does not tell."""

    job: JobRow
    event: EventRow | None
    result: ResultRow | None


def rows_of(found: Evidence, topology: Topology) -> Rows:
    """Tell a job's state, an event and a result by one piece of evidence."""
    key = order_key(found)
    return Rows(_job_row(found, key, topology), _event_row(found, key), _result_row(found, key))


def unfit(found: Evidence) -> str | None:
    """Say why no row can be made; None when one can."""
    job = found if isinstance(found, Transition) else found.job
    for name, text in (("id", job.job_id), ("type", job.job_type)):
        if len(text) > LONGEST:
            return f"the {name} of a job has more than {LONGEST} characters"
    return None


def _result_row(found: Evidence, key: bytes) -> ResultRow | None:
    if isinstance(found, Sighting) or (found.result is None and found.result_claim is None):
        return None
    return ResultRow(found.job_id, key, found.result, found.result_claim)


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
    if isinstance(found, Transition):
        return _of_transition(found, key)
    return _of_sighting(found, key) if is_event(found) else None


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


def distinct(rows: Iterable[Keyed]) -> list[Keyed]:
    """Keep one of each event, or of each result."""
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
        found.progress,
        found.progress_text,
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
        found.text(headers.REASON),
        None,
        None,
        None,
        None,
    )
