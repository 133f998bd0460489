"""Reading records of delay tiers, and what becomes of those that no lane could take back."""

from dataclasses import dataclass

from confluent_kafka import Message

from headrace.consumers import dead_letters
from headrace.consumers.clock import now_ms
from headrace.consumers.outcomes import ErrorInfo
from headrace.consumers.records import Assignment, header_list
from headrace.consumers.settled import HandOver, Settled
from headrace.consumers.waiting import DelayedRecord
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.topology import Tier, Topology
from headrace.schemas import headers
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.states import DeadReason


@dataclass(frozen=True, slots=True)
class Stray:
    """A record of a tier that cannot go back to any lane: no job, or of an unknown lane."""

    message: Message
    assignment: Assignment
    reason: str

    def settled(self, topology: Topology, scheduler: str) -> Settled:
        """Hand it to the dead letters, bytes, key and headers untouched.

        To those of the first declared queue, since its own cannot be told.
        """
        message, place = self.message, self.assignment
        timestamp = message.timestamp()[1]
        where = dead_letters.Place(place.topic, place.partition, message.offset() or 0, scheduler)
        error = ErrorInfo((), "StrayRecord", self.reason)
        added = dead_letters.headers_of(DeadReason.UNDECODABLE, error, where, timestamp)
        handover = HandOver(
            "dead",
            topology.dead_letters(topology.queues[0].name),
            message.key(),
            message.value(),
            [*header_list(message), *added],
        )
        return Settled(place, message.offset() or 0, None, handover)


def too_large(record: DelayedRecord, topology: Topology, scheduler: str) -> Settled:
    """Bury a job that its lane does not take: it would wait for ever, and its partition with it.

    A retry adds headers; a producer of another make leaves no room for them.
    """
    job, place = record.job.next_step(due=None), record.assignment
    size = len(record.payload or b"") + len(record.key or b"")
    error = ErrorInfo(
        (),
        "RecordTooLarge",
        f"{job.lane} does not take this job back: its record, of {size:,} bytes and its headers, "
        "is larger than the topic's max.message.bytes; raise that and replay the job",
    )
    where = dead_letters.Place(place.topic, place.partition, record.offset, scheduler)
    lane = topology.lane_of_topic(job.lane)
    handover = HandOver(
        "dead",
        topology.dead_letters(lane.queue if lane else topology.queues[0].name),
        record.key,
        record.payload,
        [*job.encode(), *dead_letters.headers_of(DeadReason.REJECTED, error, where, now_ms())],
    )
    return Settled(place, record.offset, None, handover)


def read_delayed(
    message: Message, assignment: Assignment, tier: Tier, lanes: set[str]
) -> DelayedRecord | Stray:
    """Read a record of a tier: which job, which lane, due when, and when it leaves the tier."""
    timestamp = message.timestamp()[1]
    try:
        job = headers.decode(header_list(message), lane="", timestamp=timestamp)
    except InvalidHeadersError as error:
        return Stray(message, assignment, str(error))
    if job.lane not in lanes:
        return Stray(
            message,
            assignment,
            f"its header {headers.LANE} is {job.lane!r}, which is no lane of this pipeline "
            f"({', '.join(sorted(lanes))})",
        )
    due = job.due if job.due is not None else timestamp
    moves = due if tier.is_soon else min(due, timestamp + to_milliseconds(tier.wait))
    return DelayedRecord(
        job, message.key(), message.value(), assignment, message.offset() or 0, due, moves
    )
