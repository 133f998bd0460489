"""The record that a replay writes to a lane: the letter's own bytes and key, one generation on."""

from enum import StrEnum
from typing import Final, NamedTuple

from headrace.pipeline.partitioner import partition_of
from headrace.pipeline.queues import Lane
from headrace.processors.sightings import Location, Sighting
from headrace.schemas import headers

_BY_KEY: Final = -1


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
        job_id: Its job.
        generation: That the job has on the lane.
        lane: The lane's topic.
        key: As it lies in the letter.
        payload: The same.
        headers: Of the record on the lane.
    """

    origin: Location
    job_id: str
    generation: int
    lane: str
    key: bytes | None
    payload: bytes | None
    headers: list[tuple[str, bytes | None]]

    def partition(self, partitions: int) -> int:
        """Choose the partition; for the same letter always the same one.

        The producer's partitioner does, by the key. A letter of a foreign producer may have none;
        then it is the job's id that decides, since doubles are only recognised within a partition.
        """
        return _BY_KEY if self.key else partition_of(self.job_id.encode(), partitions)


def outgoing(
    letter: Sighting, lane: Lane, replay: str, attempts: Attempts, *, ignore_expiry: bool = False
) -> Outgoing:
    """Make the record of a letter that goes back to a lane.

    Generation and step are one more than the letter's, so that a record which a crash wrote twice
    has the same id, generation and step, by which the lane's owner recognises the second one.
    History and the headers of others are kept as they are; those that only dead letters have go.
    """
    job, generation = letter.job, letter.job.generation + 1
    attempt = 1 if attempts is Attempts.FRESH else job.attempt + 1
    left_out = _WITHOUT_EXPIRY if ignore_expiry else _LEFT_OUT
    kept = [each for each in letter.raw.items() if each[0] not in left_out]
    kept += [
        (headers.LANE, lane.topic.encode()),
        (headers.ATTEMPT, b"%d" % attempt),
        (headers.STEP, b"%d" % (job.step + 1)),
        (headers.GENERATION, b"%d" % generation),
        (headers.REPLAY, replay.encode()),
    ]
    return Outgoing(
        letter.location, job.job_id, generation, lane.topic, letter.key, letter.payload, kept
    )


_LEFT_OUT: Final = headers.DEAD_LETTER | {
    headers.LANE, headers.ATTEMPT, headers.STEP, headers.GENERATION, headers.DUE, headers.REPLAY,
}  # fmt: skip
_WITHOUT_EXPIRY: Final = _LEFT_OUT | {headers.EXPIRY}
