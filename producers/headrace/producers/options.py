"""The options of one submission, checked, and what follows from them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.job import JobPolicy
from headrace.pipeline.queues import Lane, Queue
from headrace.pipeline.retry import MAX_DELAY
from headrace.producers.errors import SubmitError
from headrace.schemas import headers


@dataclass(frozen=True, slots=True)
class Fired:
    """The fire of a schedule that a job comes from. Times in epoch milliseconds.

    Everything in the job's record follows from it, so whoever fires writes the same bytes, to the
    lane itself: its owner then knows the second record of a fire from the first.
    """

    schedule: str
    at: int
    due: int


class SubmitOptions(NamedTuple):
    """What a submission says beside the job itself. See `Producer.submit`.

    A tuple, because one is made for each job: a frozen dataclass sets field by field.
    """

    priority: str | None = None
    delay: timedelta | None = None
    at: datetime | None = None
    key: str | None = None
    tenant: str | None = None
    dedup_key: str | None = None
    expires: timedelta | datetime | None = None
    supersedes: str | None = None
    debounce: timedelta | None = None
    fired: Fired | None = None

    def created(self, now: int) -> int:
        """When the job came to be, in epoch milliseconds: now, or at its schedule's fire."""
        return now if self.fired is None else self.fired.at

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            SubmitError: `debounce` without a key or with another wait, an empty key, or one of
                each kind: `dedup_key` keeps the first job, `supersedes` the last.
        """
        if self.supersedes == "":
            raise SubmitError("supersedes='' would replace every such job: give a key")
        if self.supersedes is not None and self.dedup_key is not None:
            raise SubmitError(
                f"dedup_key={self.dedup_key!r} keeps the first job of a key, "
                f"supersedes={self.supersedes!r} the last one: give one of them; nothing was sent"
            )
        if self.debounce is None:
            return
        if self.supersedes is None:
            raise SubmitError(
                f"debounce={self.debounce} needs supersedes=…, the key whose jobs replace each "
                "other; nothing was sent"
            )
        if self.delay is not None or self.at is not None:
            raise SubmitError(f"debounce={self.debounce} is a delay itself: leave delay and at out")

    def due(self, now: int) -> int | None:
        """When the job may start, in epoch milliseconds; None for at once.

        Raises:
            SubmitError: Both or neither of a kind, a negative or an endless wait, a naive time.
        """
        if self.fired is not None:
            return self.fired.due
        if self.delay is not None and self.at is not None:
            raise SubmitError(f"give delay={self.delay} or at={self.at}, not both")
        if self.debounce is not None:
            return _later(now, self.debounce, "debounce")
        if self.delay is not None:
            return _later(now, self.delay, "delay") if self.delay else None
        if self.at is not None:
            due = _moment(self.at, "at")
            if due - now > to_milliseconds(MAX_DELAY):
                raise SubmitError(f"at={self.at} is more than a hundred years away")
            return due if due > now else None
        return None

    def expiry(self, now: int) -> int | None:
        """After which the job is not started any more, in epoch milliseconds.

        Raises:
            SubmitError: It has passed already, or is a naive time.
        """
        if self.expires is None:
            return None
        if isinstance(self.expires, timedelta):
            return _later(now, self.expires, "expires")
        moment = _moment(self.expires, "expires")
        if moment <= now:
            raise SubmitError(f"expires={self.expires} has passed already: nothing was sent")
        return moment

    def record_key(self, job_id: str) -> bytes:
        """The record's key: the ordering key if given, else the job's id; never empty.

        Raises:
            SubmitError: The key is empty.
        """
        return job_id.encode() if self.key is None else key_of(self.key)

    def headers(self, created: int, due: int | None) -> list[tuple[str, bytes | None]]:
        """What the record says of them.

        Args:
            created: When the job came to be, in epoch milliseconds.
            due: When it may start.

        Raises:
            SubmitError: It expires before it came to be, or at a naive time.
            UnicodeEncodeError: An option holds a lone surrogate.
        """
        made: list[tuple[str, bytes | None]] = []
        if due is not None:
            made.append((headers.DUE, b"%d" % due))
        if self.tenant is not None:
            made.append((headers.TENANT, self.tenant.encode()))
        if self.dedup_key is not None:
            made.append((headers.DEDUP, self.dedup_key.encode()))
        if self.supersedes is not None:
            made.append((headers.SUPERSEDES, self.supersedes.encode()))
        if self.fired is not None:
            made.append((headers.SCHEDULE, self.fired.schedule.encode()))
        expiry = self.expiry(created)
        if expiry is not None:
            made.append((headers.EXPIRY, headers.format_time(expiry).encode()))
        return made


def key_of(key: str) -> bytes:
    """Give the record's key of a job whose ordering key this is.

    Raises:
        SubmitError: It is empty.
        UnicodeEncodeError: It holds a lone surrogate.
    """
    if not key:
        raise SubmitError("key='' would put every such job on one partition: leave it out")
    return key.encode()


def lane_for(pipeline: str, queue: Queue, policy: JobPolicy, priority: str | None) -> Lane:
    """Choose the lane of a submission.

    Raises:
        SubmitError: The queue has no such priority.
    """
    chosen = priority if priority is not None else policy.priority
    if chosen not in queue.priorities:
        raise SubmitError(
            f"queue {queue.name!r} has no priority {chosen!r} (it has: "
            f"{', '.join(queue.priorities)}); nothing was sent"
        )
    return _lane(pipeline, queue.name, chosen)


@lru_cache(maxsize=1_024)
def _lane(pipeline: str, queue: str, priority: str) -> Lane:
    """One for all its jobs: it knows its topic then."""
    return Lane(pipeline, queue, priority)


def _later(now: int, wait: timedelta, name: str) -> int:
    if wait < timedelta() or (name != "delay" and not wait):
        raise SubmitError(f"{name}={wait} is not in the future: nothing was sent")
    if wait > MAX_DELAY:
        raise SubmitError(f"{name}={wait} is more than a hundred years: nothing was sent")
    return now + to_milliseconds(wait)


def _moment(moment: datetime, name: str) -> int:
    if moment.tzinfo is None:
        raise SubmitError(
            f"{name}={moment} has no time zone: use datetime.now(UTC), or .astimezone()"
        )
    # Rounded up: a job may start later than asked for, never earlier.
    return to_milliseconds(moment - datetime(1970, 1, 1, tzinfo=UTC))
