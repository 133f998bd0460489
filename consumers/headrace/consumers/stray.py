"""Reading records of delay tiers, and what becomes of those that no lane could take back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from headrace.consumers import dead_letters
from headrace.consumers.clock import now_ms
from headrace.consumers.outcomes import ErrorInfo
from headrace.consumers.records import Assignment, header_list
from headrace.consumers.settled import HandOver, Settled
from headrace.consumers.waiting import DelayedRecord
from headrace.pipeline.topology import Tier, Topology
from headrace.schemas import headers, waiting_headers
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.headers import JobHeaders
from headrace.schemas.ids import foreign_job_id
from headrace.schemas.states import DeadReason, JobState
from headrace.schemas.transitions import NOWHERE, Transition

_LONGEST_TIME: Final = 15
"""Digits of a time in epoch milliseconds."""


@dataclass(frozen=True, slots=True)
class Stray:
    """A record of a tier that cannot go back to any lane: no job, or of an unknown lane.

    Attributes:
        message: The record.
        assignment: The ownership under which it was read.
        reason: Why no lane can take it.
        job: What its headers say, if they can be read.
    """

    message: Message
    assignment: Assignment
    reason: str
    job: JobHeaders | None = None

    def settled(self, topology: Topology, scheduler: str) -> Settled:
        """Hand it to the dead letters, bytes, key and headers untouched, and tell of it.

        To those of the first declared queue, since its own cannot be told.
        """
        message, place, now = self.message, self.assignment, now_ms()
        where = dead_letters.Place(place.topic, place.partition, message.offset() or 0, scheduler)
        error = _error("StrayRecord", self.reason)
        added = dead_letters.headers_of(DeadReason.UNDECODABLE, error, where, now)
        handover = HandOver(
            "dead",
            topology.dead_letters(topology.queues[0].name),
            message.key(),
            message.value(),
            [*header_list(message), *added],
        )
        job = self.job or _no_job(where, message.timestamp()[1])
        told = _told(job, message.key(), DeadReason.UNDECODABLE, error, where, now)
        return Settled(place, where.offset, told, handover)


def too_large(record: DelayedRecord, topology: Topology, scheduler: str) -> Settled:
    """Bury a job that its lane does not take: it would wait for ever, and its partition with it.

    A retry adds headers; a producer of another make leaves no room for them.
    """
    job, place, now = record.job.next_step(due=None), record.assignment, now_ms()
    size = len(record.payload or b"") + len(record.key or b"")
    error = _error(
        "RecordTooLarge",
        f"{job.lane} does not take this job back: its record, of {size:,} bytes and its headers, "
        "is larger than the topic's max.message.bytes; raise that and replay the job",
    )
    where = dead_letters.Place(place.topic, place.partition, record.offset, scheduler)
    added = dead_letters.headers_of(DeadReason.REJECTED, error, where, now)
    lane = topology.lane_of_topic(job.lane)
    handover = HandOver(
        "dead",
        topology.dead_letters(lane.queue if lane else topology.queues[0].name),
        record.key,
        record.payload,
        [*job.encode(), *added],
    )
    on_no_lane = dead_letters.Place(job.lane, NOWHERE, NOWHERE, scheduler)
    told = _told(job, record.key, DeadReason.REJECTED, error, on_no_lane, now)
    return Settled(place, record.offset, told, handover)


def read_delayed(
    message: Message, assignment: Assignment, tier: Tier, lanes: set[str], now: int
) -> DelayedRecord | Stray:
    """Read a record of a tier: which job, which lane, due when, and when it leaves the tier.

    Args:
        message: The record.
        assignment: The ownership under which it was read.
        tier: Where it lies.
        lanes: The topics that it may be released to.
        now: Epoch milliseconds.
    """
    timestamp, found = message.timestamp()[1], header_list(message)
    try:
        job_id, created, due, alike = waiting_headers.read(found, timestamp)
    except InvalidHeadersError as error:
        return Stray(message, assignment, str(error))
    if alike.job.lane not in lanes:
        reason = (
            f"its header {headers.LANE} is {alike.job.lane!r}, which is no lane of this pipeline "
            f"({', '.join(sorted(lanes))})"
        )
        job = headers.decode(found, lane="", timestamp=timestamp)
        return Stray(message, assignment, reason, job)
    if due is None:
        due = timestamp
    moves = due
    if not tier.is_soon:
        moves = min(due, max(timestamp, min(_hopped(found), now)) + tier.wait_ms)
    key, value, offset = message.key(), message.value(), message.offset() or 0
    if key == job_id:
        key = job_id  # one object for both
    return DelayedRecord(job_id, created, alike, tier, key, value, assignment, offset, due, moves)


def _hopped(found: Sequence[tuple[str, bytes | None]]) -> int:
    """Tell when a scheduler put the record there; 0 when somebody else did.

    Its own clock counts too: the broker's may be so far behind that the wait seems to be over at
    once, and the record would go round without a pause.
    """
    name, value = found[-1] if found else ("", None)
    if name != headers.HOPPED or not value or not value.isdigit() or len(value) > _LONGEST_TIME:
        return 0
    return int(value)


def _no_job(where: dead_letters.Place, appended: int) -> JobHeaders:
    """What a record without readable headers is known by: views derive the same from its letter."""
    job_id = foreign_job_id(where.topic, where.partition, where.offset)
    return JobHeaders(job_id, "", "", appended, where.topic, step=1)


def _error(name: str, text: str) -> ErrorInfo:
    """Cut what a foreign record says to a bound, and to what UTF-8 can hold."""
    return ErrorInfo((), name, text[: headers.MAX_MESSAGE].encode(errors="replace").decode())


def dropped(record: DelayedRecord, state: JobState, why: str | None, scheduler: str) -> Settled:
    """Finish a job that is not to be waited for any more: nothing of it goes anywhere."""
    job = record.job
    told = Transition(
        job_id=job.job_id,
        job_type=job.job_type,
        state=state.value,
        lane=job.lane,
        partition=NOWHERE,
        offset=NOWHERE,
        attempt=job.attempt,
        step=job.step,
        generation=job.generation,
        time=now_ms(),
        created=job.created,
        worker=scheduler,
        tenant=job.tenant,
        key=_key_text(record.key, job),
        reason=why,
    )
    return Settled(record.assignment, record.offset, told)


def _key_text(key: bytes | None, job: JobHeaders) -> str | None:
    return key.decode(errors="replace") if key and key != job.job_id.encode() else None


def _told(
    job: JobHeaders,
    key: bytes | None,
    reason: DeadReason,
    error: ErrorInfo,
    at: dead_letters.Place,
    now: int,
) -> Transition:
    """Tell that a job is dead. Its step is that of the dead letter, so that both merge."""
    return Transition(
        job_id=job.job_id,
        job_type=job.job_type,
        state=JobState.DEAD.value,
        lane=at.topic,
        partition=at.partition,
        offset=at.offset,
        attempt=job.attempt,
        step=job.step,
        generation=job.generation,
        time=now,
        created=job.created,
        worker=at.worker,
        tenant=job.tenant,
        key=_key_text(key, job),
        reason=reason.value,
        error_type=error.type,
        error_message=error.message,
    )
