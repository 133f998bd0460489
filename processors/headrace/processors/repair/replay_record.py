"""The record that a replay writes to a lane: the letter's own bytes and key, one generation on."""

from enum import StrEnum
from typing import NamedTuple

from headrace.pipeline.partitioner import partition_of
from headrace.pipeline.queues import Lane
from headrace.processors.sightings import Location, Sighting
from headrace.schemas import headers
from headrace.schemas.headers import JobHeaders


class Attempts(StrEnum):
    """What number a replayed job's next attempt has."""

    FRESH = "fresh"
    """1: all the attempts of its retry policy again."""
    CONTINUE = "continue"
    """One more than the last: what its retry policy has left, and at least one."""


class Outgoing(NamedTuple):
    """One letter on its way back.

    Attributes:
        origin: Where the letter lies.
        job: What the record on the lane says.
        lane: The lane's topic.
        key: As it lies in the letter.
        payload: The same.
    """

    origin: Location
    job: JobHeaders
    lane: str
    key: bytes | None
    payload: bytes | None

    def partition(self, partitions: int) -> int:
        """Choose the partition; for the same letter always the same one.

        By the key as every producer does. A letter of a foreign producer may have none; then by
        the job's id, since doubles are only recognised within a partition.
        """
        return partition_of(self.key or self.job.job_id.encode(), partitions)


def outgoing(
    letter: Sighting, lane: Lane, replay: str, attempts: Attempts, *, ignore_expiry: bool = False
) -> Outgoing:
    """Make the record of a letter that goes back to a lane.

    History and headers of others are kept; generation and step are one more than the letter's. So
    a record that a crash wrote twice has the same id, generation and step, by which the lane's
    owner recognises the second one.
    """
    job = letter.job
    following = job.next_step(
        due=None, attempt=1 if attempts is Attempts.FRESH else job.attempt + 1
    )
    others = tuple(each for each in job.extra if each[0] != headers.REPLAY)
    following = following._replace(
        generation=job.generation + 1,
        lane=lane.topic,
        expires=None if ignore_expiry else job.expires,
        extra=(*others, (headers.REPLAY, replay.encode())),
    )
    return Outgoing(letter.location, following, lane.topic, letter.key, letter.payload)
