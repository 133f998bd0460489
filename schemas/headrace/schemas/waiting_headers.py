"""The headers of a record that waits and moves: of each only what is its own, as it came.

Hundreds of thousands of records move through the delay tiers in a minute, and a hundred thousand wait in
a scheduler's memory. What they say alike is read once and kept once; id and time stay the bytes
that they were, and are written again so.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from headrace.schemas import headers
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.headers import DUE, ID, TIME, JobHeaders, format_time, parse_time

_OF_JOB, _OF_PAST, _OF_OTHER = 450, 400, 150
"""Bytes of memory, roughly: of a job's headers, of a past attempt, of a header that is not ours."""


class Alike:
    """What records say alike: all but id, time and due.

    Attributes:
        job: What it says; its id, time and due are of no one.
        own: Bytes of memory, roughly, that they cost each record: 0 if many share them.
        following: The headers of a record that is written from such a one: a step further.
    """

    __slots__ = ("_following", "job", "own")

    def __init__(self, job: JobHeaders, own: int = 0) -> None:
        self.job = job
        self.own = own
        self._following: tuple[tuple[str, bytes | None], ...] | None = None

    @property
    def following(self) -> tuple[tuple[str, bytes | None], ...]:
        """Made when first needed: what is alike for one record alone may never be."""
        if self._following is None:
            written = self.job.next_step(due=None).encode()
            self._following = tuple(each for each in written if each[0] not in {ID, TIME})
        return self._following


class WaitingHeaders(NamedTuple):
    """What one record says.

    Attributes:
        job_id: The job's id.
        created: When it was submitted, in RFC 3339.
        due: When it may run, in epoch milliseconds; None when it does not say.
        alike: What others say too.
    """

    job_id: bytes
    created: bytes
    due: int | None
    alike: Alike


def read(found: Sequence[tuple[str, bytes | None]], timestamp: int) -> WaitingHeaders:
    """Read the headers of a record of a delay tier.

    Args:
        found: As Kafka gives them; of a repeated name the last value counts.
        timestamp: The record's own, in epoch milliseconds: used when it has no time.

    Raises:
        InvalidHeadersError: They are not those of a job, or a value cannot be read.
    """
    try:
        usual = headers.as_submitted(found)
        if usual is not None:
            job_id, created, due, alike = usual
            _check(job_id, created)
            return WaitingHeaders(job_id, created, due, _one_for_all(alike))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidHeadersError(f"a header of the record cannot be read: {error}") from error
    return of_job(headers.decode(found, lane="", timestamp=timestamp))


def of_job(job: JobHeaders) -> WaitingHeaders:
    """Give what a job's headers say."""
    created = format_time(job.created).encode()
    return WaitingHeaders(job.job_id.encode(), created, job.due, Alike(job, _own_bytes(job)))


def _own_bytes(job: JobHeaders) -> int:
    """Say roughly what headers cost that a record has for itself."""
    history = sum(_OF_PAST + len(past.error_message) for past in job.history)
    return _OF_JOB + history + sum(_OF_OTHER + len(value or b"") for _, value in job.extra)


def job_of(job_id: bytes, created: bytes, due: int, alike: Alike) -> JobHeaders:
    """Give all that a record says of its job."""
    time = parse_time(created.decode())
    return alike.job._replace(job_id=job_id.decode(), created=time, due=due)


def following(
    job_id: bytes, created: bytes, due: int, alike: Alike
) -> list[tuple[str, bytes | None]]:
    """Give the headers of the record that is written from this one: a step further, due as before."""
    return [(ID, job_id), (TIME, created), *alike.following, (DUE, b"%d" % due)]


def _check(job_id: bytes, created: bytes) -> None:
    """See that both can be read: whoever gets the record needs them."""
    job_id.decode()
    parse_time(created.decode())


@lru_cache(maxsize=256)
def _one_for_all(alike: JobHeaders) -> Alike:
    return Alike(alike)
