"""Every header of a job record: its name, its meaning, its encoding.

A job record is a CloudEvent in the Kafka binary binding (CloudEvents 1.0, Kafka Protocol Binding
§3.2): attributes are `ce_*` headers, the value is the arguments alone. What delivery needs beyond
that stands in `headrace-*` headers. Names are closed: whatever else a record carries is passed
through untouched.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from headrace.schemas.errors import InvalidHeadersError

SPEC_VERSION: Final = "ce_specversion"
ID: Final = "ce_id"
TYPE: Final = "ce_type"
SOURCE: Final = "ce_source"
TIME: Final = "ce_time"
TENANT: Final = "ce_tenant"
EXPIRY: Final = "ce_expirytime"
CONTENT_TYPE: Final = "content-type"
TRACEPARENT: Final = "traceparent"
"""The span that wrote this record last (W3C Trace Context). Passed through with what is not Headrace's
own; `trace_context` reads and writes these four."""
TRACESTATE: Final = "tracestate"
ORIGIN_TRACEPARENT: Final = "ce_traceparent"
"""The span that submitted the job, for the job's life (CloudEvents, Distributed Tracing extension)."""
ORIGIN_TRACESTATE: Final = "ce_tracestate"

ATTEMPT: Final = "headrace-attempt"
"""The number of the attempt that running this record will be: 1 on submission."""
STEP: Final = "headrace-step"
"""One more than the record it was written from: 0 on submission."""
GENERATION: Final = "headrace-generation"
"""How often the job was replayed from a dead-letter topic."""
DUE: Final = "headrace-due"
"""Not to be started before, in milliseconds since the Unix epoch."""
LANE: Final = "headrace-lane"
"""The topic of the lane that the job belongs to."""
DEDUP: Final = "headrace-dedup"
"""Present when the id was derived from a `dedup_key`, which is its value. Submissions of one id are told
apart by their `ce_time`, so a foreign producer must give each its own."""
SUPERSEDES: Final = "headrace-supersedes"
"""The newest job of a type with this key replaces the older ones that have not started."""
SCHEDULE: Final = "headrace-schedule"
"""The name of the schedule whose fire submitted the job. For tools: the engine passes it on."""
HOPPED: Final = "headrace-hopped"
"""Delay tiers: when a scheduler put the record there by its own clock, in milliseconds since the Unix
epoch. The last header of such a record."""
FIRST: Final = "headrace-first"
"""Present when this submission was found to be the first of its `dedup_key`: it is no duplicate,
however often and however late it comes back. Passed through with what is not Headrace's own."""
CLAIM: Final = "headrace-claim"
"""Where the arguments are stored that are too large for a record (see `claims`); its value is then their
framing alone. Passed through with what is not Headrace's own."""
HISTORY: Final = "headrace-history"
"""JSON: what became of earlier attempts, newest last, cut to a bound."""

REASON: Final = "headrace-reason"
"""Dead letters: one of `DeadReason`."""
DIED: Final = "headrace-died"
"""Dead letters: when, in milliseconds since the Unix epoch."""
ERROR_TYPE: Final = "headrace-error-type"
ERROR_MESSAGE: Final = "headrace-error-message"
TRACEBACK: Final = "headrace-traceback"
ORIGIN: Final = "headrace-origin"
"""Dead letters: `topic/partition/offset` of the record that died."""
WORKER: Final = "headrace-worker"
"""Dead letters: the worker that gave the job up."""
APPENDED: Final = "headrace-appended"
"""Imported dead letters: when Kafka stored the original, in milliseconds since the Unix epoch."""

REPLAY: Final = "headrace-replay"
"""The name of the replay that sent the job to its lane again. Only tools read it."""
EDITED_FROM: Final = "headrace-edited-from"
"""The id of the dead job whose arguments were edited to make this one. Only tools read it."""

CLOUDEVENTS_VERSION: Final = "1.0"
AVRO: Final = "application/avro"
MAX_HISTORY: Final = 10
"""Attempts kept in `HISTORY`."""
MAX_MESSAGE: Final = 500
"""Characters kept of an error's message in headers and transitions."""
MAX_TRACEBACK: Final = 8_000
"""Characters kept of a traceback in a dead letter: its end, where the cause stands."""

DEAD_LETTER: Final = frozenset(
    {REASON, DIED, ERROR_TYPE, ERROR_MESSAGE, TRACEBACK, ORIGIN, WORKER, APPENDED}
)
"""What a dead letter has and a job record has not."""
_OWN: Final = frozenset(
    {
        SPEC_VERSION, ID, TYPE, SOURCE, TIME, TENANT, EXPIRY, CONTENT_TYPE, ATTEMPT, STEP,
        GENERATION, DUE, LANE, DEDUP, SUPERSEDES, HOPPED, HISTORY, REASON, DIED, ERROR_TYPE,
        ERROR_MESSAGE, TRACEBACK, ORIGIN, WORKER, APPENDED,
    }
)  # fmt: skip

_FEWEST: Final = 9
"""How many headers a new job without options has: its id and its time, and `for_submission`'s."""
_MOST: Final = _FEWEST + 2
"""As many, and those of one that is delayed."""
_MAX_COUNT: Final = 2**31 - 1
"""Attempts, steps and generations are Avro ints in transitions."""
MAX_TIME: Final = 253_402_300_799_999
"""The last millisecond that RFC 3339 can write, in the year 9999."""
MIN_TIME: Final = -62_135_596_800_000
"""The first one, in the year 1."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SOURCE_PREFIX: Final = "/headrace/"


def source(pipeline: str) -> str:
    """Give the CloudEvents source of a pipeline's jobs."""
    return f"{_SOURCE_PREFIX}{pipeline}"


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """What became of one earlier attempt. Times in milliseconds since the Unix epoch."""

    attempt: int
    at: int
    error_type: str
    error_message: str

    def as_json(self) -> dict[str, object]:
        """Give the compact form that `HISTORY` holds."""
        return {
            "attempt": self.attempt,
            "at": self.at,
            "error": self.error_type,
            "message": self.error_message[:MAX_MESSAGE],
        }


class JobHeaders(NamedTuple):
    """What a record says of its job beside the arguments. Times in epoch milliseconds.

    A named tuple, because one is made for every record read and a frozen dataclass takes three
    times as long.
    """

    job_id: str
    job_type: str
    source: str
    created: int
    lane: str
    attempt: int = 1
    step: int = 0
    generation: int = 0
    tenant: str | None = None
    expires: int | None = None
    due: int | None = None
    dedup_key: str | None = None
    history: tuple[PastAttempt, ...] = ()
    content_type: str = AVRO
    extra: tuple[tuple[str, bytes | None], ...] = ()
    supersedes: str | None = None

    def next_step(
        self, *, due: int | None, attempt: int | None = None, past: PastAttempt | None = None
    ) -> "JobHeaders":
        """Give the headers of the record that is written from this one."""
        history = (*self.history, past)[-MAX_HISTORY:] if past else self.history
        attempt = self.attempt if attempt is None else attempt
        return self._replace(step=self.step + 1, due=due, attempt=attempt, history=history)

    def encode(self) -> list[tuple[str, bytes | None]]:
        """Give the header list of the record."""
        encoded: list[tuple[str, bytes | None]] = [
            (SPEC_VERSION, b"1.0"),
            (ID, self.job_id.encode()),
            (TYPE, self.job_type.encode()),
            (SOURCE, self.source.encode()),
            (TIME, format_time(self.created).encode()),
            (CONTENT_TYPE, self.content_type.encode()),
            (LANE, self.lane.encode()),
            (ATTEMPT, b"%d" % self.attempt),
            (STEP, b"%d" % self.step),
        ]
        if self.generation:
            encoded.append((GENERATION, b"%d" % self.generation))
        if self.tenant is not None:
            encoded.append((TENANT, self.tenant.encode()))
        if self.expires is not None:
            encoded.append((EXPIRY, format_time(self.expires).encode()))
        if self.due is not None:
            encoded.append((DUE, b"%d" % self.due))
        if self.dedup_key is not None:
            encoded.append((DEDUP, self.dedup_key.encode()))
        if self.supersedes is not None:
            encoded.append((SUPERSEDES, self.supersedes.encode()))
        if self.history:
            text = json.dumps([past.as_json() for past in self.history], ensure_ascii=False)
            encoded.append((HISTORY, text.encode()))
        encoded.extend(self.extra)
        return encoded


_AFTER_TIME: Final = JobHeaders._fields.index("lane")
_OF_DUE: Final = JobHeaders._fields.index("due")


def for_submission(pipeline: str, job_type: str, lane: str) -> tuple[tuple[str, bytes | None], ...]:
    """Give the headers that all new jobs of a type on a lane share: made once, not per job."""
    return (
        (SPEC_VERSION, b"1.0"),
        (TYPE, job_type.encode()),
        (SOURCE, source(pipeline).encode()),
        (CONTENT_TYPE, AVRO.encode()),
        (LANE, lane.encode()),
        (ATTEMPT, b"1"),
        (STEP, b"0"),
    )


def decode(
    headers: Iterable[tuple[str, bytes | None]] | None, *, lane: str, timestamp: int
) -> JobHeaders:
    """Read the headers of a job record.

    Args:
        headers: As Kafka gives them; of a repeated name the last value counts.
        lane: The topic it lies on: used when a foreign producer wrote no `headrace-lane`.
        timestamp: The record's own, in epoch milliseconds: used when `ce_time` is missing.

    Raises:
        InvalidHeadersError: `ce_id` or `ce_type` is missing, or a value cannot be read.
    """
    given = list(headers) if headers else []
    try:
        job = _read_as_submitted(given)
        if job is not None:
            return job
        found: dict[str, bytes | None] = dict(given)
        job_id = found.get(ID)
        job_type = found.get(TYPE)
        if not job_id or not job_type:
            missing = ID if not job_id else TYPE
            raise InvalidHeadersError(
                f"the record has no header {missing}: publish it as a CloudEvent in the Kafka "
                f"binary binding (found headers: {', '.join(sorted(found)) or 'none'})"
            )
        return _read(found, job_id.decode(), _shared(job_type), lane, timestamp)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidHeadersError(f"a header of the record cannot be read: {error}") from error


def as_submitted(
    given: Sequence[tuple[str, bytes | None]],
) -> tuple[bytes, bytes, int | None, JobHeaders] | None:
    """Read as little as can be of what our `Producer` and scheduler write; most records are that.

    Returns:
        Id and time as they came, when it is due, and the one object that stands for what thousands
        of records say alike, whose own id, time and due mean nothing. None for every other record.

    Raises:
        ValueError: A value cannot be read.
    """
    if not (_FEWEST <= len(given) <= _MOST and given[0][0] == ID and given[1][0] == TIME):
        return None
    job_id, created, alike = given[0][1], given[1][1], _alike(tuple(given[2:_FEWEST]))
    if alike is None or not job_id or not created:
        return None
    due: int | None = None
    for name, value in given[_FEWEST:]:
        if name == DUE:
            due = _number(value, MAX_TIME) if value else None
        elif name != HOPPED:
            return None
    return job_id, created, due, alike


def _read_as_submitted(given: Sequence[tuple[str, bytes | None]]) -> JobHeaders | None:
    found = as_submitted(given)
    if found is None:
        return None
    job_id, created, due, alike = found
    shared: tuple[Any, ...] = alike
    between, after = shared[_AFTER_TIME:_OF_DUE], shared[_OF_DUE + 1 :]
    mine = (job_id.decode(), alike.job_type, alike.source, parse_time(created.decode()))
    return JobHeaders._make((*mine, *between, due, *after))


@lru_cache(maxsize=256)
def _alike(rest: tuple[tuple[str, bytes | None], ...]) -> JobHeaders | None:
    """Read the headers that thousands of records share; None unless they are complete."""
    found = dict(rest)
    job_type, lane = found.get(TYPE), found.get(LANE)
    if not job_type or not lane or not found.keys().isdisjoint((ID, TIME, DUE)):
        return None
    return _read(found, "", job_type.decode(), lane.decode(), 0)


def _read(
    found: Mapping[str, bytes | None], job_id: str, job_type: str, lane: str, timestamp: int
) -> JobHeaders:
    get = found.get
    time, expiry, due = get(TIME), get(EXPIRY), get(DUE)
    source_, origin, content_type = get(SOURCE), get(LANE), get(CONTENT_TYPE)
    tenant, dedup, supersedes = get(TENANT), get(DEDUP), get(SUPERSEDES)
    return JobHeaders(
        job_id,
        job_type,
        _shared(source_) if source_ else "",
        parse_time(time.decode()) if time else timestamp,
        _shared(origin) if origin else lane,
        _count(get(ATTEMPT)) or 1,
        _count(get(STEP)),
        _count(get(GENERATION)),
        None if tenant is None else tenant.decode(),
        parse_time(expiry.decode()) if expiry else None,
        _number(due, MAX_TIME) if due else None,
        None if dedup is None else dedup.decode(),
        _read_history(get(HISTORY)),
        _shared(content_type) if content_type else AVRO,
        ()
        if found.keys() <= _OWN
        else tuple(each for each in found.items() if each[0] not in _OWN),
        None if supersedes is None else supersedes.decode(),
    )


@lru_cache(maxsize=256)
def _shared(value: bytes) -> str:
    """Decode what thousands of records say alike: those that wait in memory share one text."""
    return value.decode()


@lru_cache(maxsize=256)
def _count(text: bytes | None) -> int:
    """Read one of the small numbers that all records have."""
    return _number(text, _MAX_COUNT)


def _number(text: bytes | None, most: int) -> int:
    """Read a number that a foreign producer may have written; 0 when there is none."""
    if not text:
        return 0
    number = int(text)
    if not 0 <= number <= most:
        raise ValueError(f"{number} is not between 0 and {most}")
    return number


def _read_history(text: bytes | None) -> tuple[PastAttempt, ...]:
    if not text:
        return ()
    return tuple(
        PastAttempt(
            int(past["attempt"]), int(past["at"]), _text(past["error"]), _text(past["message"])
        )
        for past in json.loads(text)[-MAX_HISTORY:]
    )


def _text(value: object) -> str:
    """Give what a foreign history holds as text that is bounded and can be written again."""
    return str(value)[:MAX_MESSAGE].encode(errors="replace").decode()


@lru_cache(maxsize=64)
def time_of(created: int) -> tuple[str, bytes | None]:
    """Give the header that says when a job came to be, from epoch milliseconds.

    Remembered, because jobs are submitted by the dozen within one millisecond.
    """
    return TIME, format_time(created).encode()


@lru_cache(maxsize=64)
def format_time(milliseconds: int) -> str:
    """Write epoch milliseconds as RFC 3339 in UTC, as CloudEvents wants its times."""
    seconds, left = divmod(milliseconds, 1000)
    return f"{_format_second(seconds)}.{left:03d}Z"


@lru_cache(maxsize=1024)
def _format_second(seconds: int) -> str:
    """Remembered, too: they are moved by the hundred within one second."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")[:-6]


@lru_cache(maxsize=64)
def parse_time(text: str) -> int:
    """Read RFC 3339 into epoch milliseconds.

    Raises:
        ValueError: The text is not RFC 3339 or has no offset from UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset from UTC; write it as …Z or …+01:00")
    return max(MIN_TIME, min(round(moment.timestamp() * 1000), MAX_TIME))
