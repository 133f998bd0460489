"""Orders on the control topic: jobs that are not to be run, though their records lie in Kafka.

    cancel/<job id>              this one
    supersede/<job type>/<key>   all of this type and key that are older than the named one

Values are JSON; an order without a value is withdrawn. Times are epoch milliseconds. An order is
kept until its `until`, by when every job it speaks of has been read; then the scheduler removes it.
"""

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, unquote

from headrace.pipeline.compacted import CompactedRecord, read_latest
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.schemas.headers import MAX_MESSAGE, JobHeaders

_LOG = logging.getLogger("headrace.orders")
MOST: Final = 100_000
"""Orders of each kind that a process keeps in memory: some 40 MB. The oldest beyond it are
forgotten there."""
CANCEL: Final = "cancel"
SUPERSEDE: Final = "supersede"
Name = tuple[str, ...]
"""What an order is about: its key on the topic, taken apart; the kind comes first."""
KEPT: Final = timedelta(days=7)
"""How long an order stays after it was given, or after the job is due: far longer than any job lies
unread while somebody works. A job in the delay tiers is read once a day at least."""


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Do not run this job, or stop it.

    Attributes:
        job: Its id.
        at: When it was ordered.
        by: Who ordered it.
        reason: Why, in words for people; may be empty.
        until: When the order may be forgotten.
    """

    job: str
    at: int
    by: str
    reason: str
    until: int

    @property
    def name(self) -> Name:
        """What it is about."""
        return (CANCEL, self.job)

    @property
    def why(self) -> str:
        """What the job's transition says."""
        text = f"cancelled by {self.by}" if self.by else "cancelled"
        return (f"{text}: {self.reason}" if self.reason else text)[:MAX_MESSAGE]

    def covers(self, job: JobHeaders) -> bool:
        """Whether it speaks of this record of the job.

        With a `dedup_key`, a submission after the order has the same id and is a new wish.
        """
        return job.job_id == self.job and (job.dedup_key is None or job.created <= self.at)

    def as_json(self) -> dict[str, object]:
        """What stands on the topic."""
        return {"at": self.at, "by": self.by, "reason": self.reason, "until": self.until}


@dataclass(frozen=True, slots=True)
class SupersedeOrder:
    """Do not start jobs of this type and key that are older than this one.

    Attributes:
        job_type: The type.
        key: What the jobs were submitted with as `supersedes`.
        job: The id of the newest one.
        created: When that was submitted.
        at: When the order was given.
        until: When the order may be forgotten.
    """

    job_type: str
    key: str
    job: str
    created: int
    at: int
    until: int

    @property
    def name(self) -> Name:
        """What it is about."""
        return (SUPERSEDE, self.job_type, self.key)

    @property
    def why(self) -> str:
        """What the transition of an older job says."""
        return f"superseded by {self.job}"

    @property
    def age(self) -> tuple[int, str]:
        """What orders jobs of one key; of one millisecond, the ids decide."""
        return (self.created, self.job)

    def covers(self, job: JobHeaders) -> bool:
        """Whether the job is an older one that has not started.

        A second attempt, or a replay, has started before.
        """
        return (
            job.attempt == 1
            and job.generation == 0
            and job.job_id != self.job
            and (job.created, job.job_id) < self.age
        )

    def as_json(self) -> dict[str, object]:
        """What stands on the topic."""
        return {"job": self.job, "created": self.created, "at": self.at, "until": self.until}


Order = CancelOrder | SupersedeOrder


def key_of(name: Name) -> bytes:
    """Write a name as the key of a record; a slash in a job type is escaped, one in a key is not."""
    if name[0] == CANCEL:
        return f"{CANCEL}/{name[1]}".encode()
    return f"{SUPERSEDE}/{quote(name[1], safe=' ')}/{name[2]}".encode()


def read_name(key: bytes | None) -> Name | None:
    """Read a key; None when the record is no order: the topic holds other things too."""
    kind, _, rest = (key or b"").decode(errors="replace").partition("/")
    if kind == CANCEL and rest:
        return (CANCEL, rest)
    job_type, slash, of_type = rest.partition("/")
    if kind == SUPERSEDE and job_type and slash:
        return (SUPERSEDE, unquote(job_type), of_type)
    return None


def read_order(name: Name, value: bytes) -> Order | None:
    """Read an order; one that cannot be read is logged, and nothing is dropped because of it."""
    try:
        found = json.loads(value)
        if not isinstance(found, dict):
            raise TypeError("it is no JSON object")
        if name[0] == CANCEL:
            texts = (_text(found, "by"), _text(found, "reason"))
            return CancelOrder(name[1], int(found["at"]), *texts, int(found["until"]))
        times = (int(found[each]) for each in ("created", "at", "until"))
        return SupersedeOrder(name[1], name[2], str(found["job"]), *times)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        _LOG.warning(
            "the control topic holds an order that cannot be read and is ignored: %s: %r (%s)",
            key_of(name).decode(errors="replace"),
            value[:200],
            error,
        )
        return None


def _text(found: dict[str, Any], name: str) -> str:
    """Give what a foreign order says as text that is bounded and can be written again."""
    return str(found.get(name) or "")[:MAX_MESSAGE].encode(errors="replace").decode()


def record_of(topology: Topology, order: Order) -> CompactedRecord:
    """Make the record of an order."""
    value = json.dumps(order.as_json(), ensure_ascii=False).encode(errors="replace")
    return CompactedRecord(topology.control, key_of(order.name), value)


def kept_until(at: int, due: int | None) -> int:
    """Say when an order may be forgotten that is given at a time, about jobs due at another."""
    return max(at, due or 0) + to_milliseconds(KEPT)


def cancel_records(
    topology: Topology,
    job_ids: Iterable[str],
    *,
    by: str,
    reason: str = "",
    at: int | None = None,
    until: int | None = None,
) -> list[CompactedRecord]:
    """Make the records that cancel jobs.

    Args:
        topology: Whose jobs.
        job_ids: Their ids.
        by: Who orders it.
        reason: Why.
        at: When, in epoch milliseconds; now when not given.
        until: When the orders may be forgotten; `KEPT` after `at` when not given.
    """
    given = time.time_ns() // 1_000_000 if at is None else at
    end = kept_until(given, None) if until is None else until
    orders = (CancelOrder(job, given, by, reason[:MAX_MESSAGE], end) for job in job_ids)
    return [record_of(topology, order) for order in orders]


def withdrawing_records(topology: Topology, job_ids: Iterable[str]) -> list[CompactedRecord]:
    """Make the records that take orders to cancel back."""
    return [CompactedRecord(topology.control, key_of((CANCEL, job)), None) for job in job_ids]


def supersede_record(
    topology: Topology, job_type: str, key: str, job: str, created: int, at: int, due: int | None
) -> CompactedRecord:
    """Make the record by which a job replaces the older ones of its type and key."""
    order = SupersedeOrder(job_type, key, job, created, at, kept_until(at, due))
    return record_of(topology, order)


def cancel_order(kafka: KafkaSettings, topology: Topology, job_id: str) -> CancelOrder | None:
    """Read the order to cancel a job, if there is one.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The control topic does not exist or may not be read.
    """
    name = (CANCEL, job_id)
    value = read_latest(kafka, [topology.control])[topology.control].get(key_of(name))
    order = None if value is None else read_order(name, value)
    return order if isinstance(order, CancelOrder) else None
