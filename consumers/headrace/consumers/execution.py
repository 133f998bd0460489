"""The life of a job in a worker, as a sentence.

A message is *received* (is it a job that this worker knows?), *admitted* (is it due, not expired,
not a double?), run by an executor, and *settled*: `headrace.consumers.retry.decide` says what
becomes of it, and the result is one `Settled` value: a transition to publish, and a record to hand
over if the job goes elsewhere. The lane then publishes, hands over, and commits.

    received ─→ admitted ─→ (slots, executor) ─→ attempted ─→ decided ─→ settled
        │            │                                            │
        └────────────┴── settled without being run ───────────────┘
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from confluent_kafka import Message

from headrace.consumers import dead_letters
from headrace.consumers.outcomes import (
    Attempted,
    Bury,
    ComeBack,
    Decision,
    ErrorInfo,
    Finish,
    GiveBack,
    HoldHere,
    UnknownToWorker,
    error_info,
)
from headrace.consumers.recent import RecentJobs
from headrace.consumers.records import Assignment, JobRecord, RawRecord, header_list
from headrace.consumers.retry import decide
from headrace.pipeline.job_types import JobType
from headrace.pipeline.queues import Lane
from headrace.pipeline.retry import Retry
from headrace.pipeline.topology import Topology, tier_for
from headrace.schemas import headers
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.headers import JobHeaders, PastAttempt
from headrace.schemas.ids import foreign_job_id
from headrace.schemas.states import DeadReason, JobState
from headrace.schemas.transitions import Transition

NEARLY_DUE = 5_000
"""Milliseconds before its due time from which a job waits on its lane: more than the clocks of two
machines should differ."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the jobs of one lane are judged by, the same for the life of a worker."""

    lane: Lane
    topology: Topology
    job_types: Mapping[str, JobType[..., ..., Any, Any]]
    worker: str
    retry: Retry = field(default_factory=Retry)
    timeout: timedelta = timedelta(minutes=5)
    grace: timedelta = timedelta(hours=1)
    chance: random.Random = field(default_factory=random.Random)


class HandOver(NamedTuple):
    """A record for a delay tier or a dead-letter topic, to be written with the source's offset."""

    kind: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Settled(NamedTuple):
    """What became of one record of the lane, ready to be recorded."""

    assignment: Assignment
    offset: int
    transition: Transition | None
    handover: HandOver | None = None
    seconds: float = 0.0
    """How long the attempt took; 0 when there was none."""
    ready: int = 0
    """When the job was due on its lane, in epoch milliseconds; 0 when it was not run."""
    announcement: bool = False
    """Whether this only tells of a job that still runs, and finishes nothing."""


def remember(message: Message, rules: Rules, recent: RecentJobs, now: int) -> None:
    """Take note of a record that was settled before: if it comes again, it is a double."""
    try:
        _, timestamp = message.timestamp()
        job = headers.decode(header_list(message), lane=rules.lane.topic, timestamp=timestamp)
    except InvalidHeadersError:
        return
    recent.note(message.partition() or 0, message.offset() or 0, job, now)


def receive(
    message: Message, assignment: Assignment, rules: Rules, recent: RecentJobs, now: int
) -> JobRecord | Settled:
    """Turn a message into a job to run, or settle it at once."""
    raw = _raw(message, assignment, rules.lane)
    try:
        job = headers.decode(raw.headers, lane=rules.lane.topic, timestamp=raw.timestamp)
    except InvalidHeadersError as error:
        return _bury_unread(raw, error_info(error), rules, now)
    if raw.payload is None:
        return _bury_empty(raw, job, rules, now)
    job_type = rules.job_types.get(job.job_type)
    if job_type is None or job_type.function is None:
        return _unknown(raw, job, rules, now)
    policy = job_type.policy
    record = JobRecord(
        job,
        raw.key,
        raw.payload,
        rules.lane,
        raw.partition,
        raw.offset,
        assignment,
        job_type,
        (policy.timeout or rules.timeout).total_seconds(),
    )
    return admit(record, rules, recent, now)


def admit(record: JobRecord, rules: Rules, recent: RecentJobs, now: int) -> JobRecord | Settled:
    """Let a job run, or settle it: not due, expired, or seen before.

    One that is due within `NEARLY_DUE` is let through, and must be held until then: a clock that
    is behind the scheduler's would send it to the tiers, and it would be back at once, again and
    again.
    """
    job = record.headers
    if job.due is not None and job.due > now + NEARLY_DUE:
        return _settled(
            record, ComeBack(job.due, counted=False, state=JobState.DELAYED), rules, now
        )
    if job.expires is not None and job.expires <= now:
        return _settled(record, Finish(JobState.EXPIRED), rules, now)
    if recent.is_double(record.partition, record.offset, job):
        return _drop_double(record, rules, now)
    return record


def _drop_double(record: JobRecord, rules: Rules, now: int) -> Settled:
    """Finish a record without running it. The job lives on in its first record.

    So the transition claims the lowest place in the order of the job's states.
    """
    transition = _transition(record.headers, record, JobState.DUPLICATE, rules, now)
    return Settled(record.assignment, record.offset, transition._replace(step=0))


def settle(record: JobRecord, attempted: Attempted, rules: Rules) -> Settled | HoldHere | GiveBack:
    """Decide what becomes of a job after its attempt."""
    policy = record.job_type.policy
    decision = decide(
        record.headers,
        policy.retry or rules.retry,
        attempted,
        rules.chance,
        grace=policy.unknown_type_grace,
    )
    if isinstance(decision, HoldHere | GiveBack):
        return decision
    return _settled(record, decision, rules, attempted.ended, attempted)


def announce(record: JobRecord, rules: Rules, started: int) -> Settled:
    """Tell of a job that runs for a while; this finishes nothing."""
    transition = _transition(record.headers, record, JobState.RUNNING, rules, started)
    return Settled(
        record.assignment,
        record.offset,
        transition._replace(started=started),
        announcement=True,
    )


def _settled(
    record: JobRecord,
    decision: Decision,
    rules: Rules,
    now: int,
    attempted: Attempted | None = None,
) -> Settled:
    match decision:
        case Finish(state, result):
            transition, handover = _transition(record.headers, record, state, rules, now), None
            if result is not None:
                transition = transition._replace(result=result)
        case ComeBack():
            transition, handover = _come_back(record, decision, rules, now)
        case Bury(reason, error):
            transition, handover = _bury(record, reason, error, rules, now)
        case _:
            raise AssertionError(f"{decision} settles nothing")
    seconds, ready = 0.0, 0
    if attempted is not None:
        transition = transition._replace(started=attempted.started, ended=attempted.ended)
        seconds = max(0, attempted.ended - attempted.started) / 1000
        ready = record.headers.due or record.headers.created
    return Settled(record.assignment, record.offset, transition, handover, seconds, ready)


def _come_back(
    record: JobRecord, decision: ComeBack, rules: Rules, now: int
) -> tuple[Transition, HandOver]:
    job = record.headers
    error = decision.error
    past = _past_of(job, decision, now)
    attempt = job.attempt + 1 if decision.counted else job.attempt
    following = job.next_step(due=decision.due, attempt=attempt, past=past)
    tier = tier_for(timedelta(milliseconds=max(0, decision.due - now)))
    handover = HandOver(
        "retry" if decision.counted else "wait",
        rules.topology.tier(tier),
        record.key,
        record.payload,
        following.encode(),
    )
    transition = _transition(job, record, decision.state, rules, now, error)
    return transition._replace(due=decision.due, step=following.step), handover


def _bury(
    record: JobRecord | RawRecord,
    reason: DeadReason,
    error: ErrorInfo,
    rules: Rules,
    now: int,
    job: JobHeaders | None = None,
) -> tuple[Transition, HandOver]:
    job = record.headers if isinstance(record, JobRecord) else job
    assert job is not None
    died = job.next_step(due=None, past=_past(job, error, now))
    place = dead_letters.Place(record.lane.topic, record.partition, record.offset, rules.worker)
    handover = HandOver(
        "dead",
        rules.topology.dead_letters(record.lane.queue),
        record.key,
        record.payload,
        [*died.encode(), *dead_letters.headers_of(reason, error, place, now)],
    )
    transition = _transition(job, record, JobState.DEAD, rules, now, error)
    return transition._replace(reason=reason.value, step=died.step), handover


def _bury_unread(raw: RawRecord, error: ErrorInfo, rules: Rules, now: int) -> Settled:
    """A record that is no job: its bytes, key and headers go to the dead letters untouched."""
    job = JobHeaders(
        job_id=foreign_job_id(raw.lane.topic, raw.partition, raw.offset),
        job_type="",
        source="",
        created=raw.timestamp,
        lane=raw.lane.topic,
    )
    place = dead_letters.Place(raw.lane.topic, raw.partition, raw.offset, rules.worker)
    added = dead_letters.headers_of(DeadReason.UNDECODABLE, error, place, now)
    handover = HandOver(
        "dead",
        rules.topology.dead_letters(raw.lane.queue),
        raw.key,
        raw.payload,
        [*raw.headers, *added],
    )
    transition = _transition(job, raw, JobState.DEAD, rules, now, error)
    transition = transition._replace(reason=DeadReason.UNDECODABLE.value, step=1)
    return Settled(raw.assignment, raw.offset, transition, handover)


def _bury_empty(raw: RawRecord, job: JobHeaders, rules: Rules, now: int) -> Settled:
    """A job without any bytes: not even arguments without fields are written so."""
    message = "the record has no value: write the arguments as Avro, framed, even if there are none"
    error = ErrorInfo((), "NoValue", message)
    transition, handover = _bury(raw, DeadReason.UNDECODABLE, error, rules, now, job)
    return Settled(raw.assignment, raw.offset, transition, handover)


def _unknown(raw: RawRecord, job: JobHeaders, rules: Rules, now: int) -> Settled:
    known = ", ".join(sorted(rules.job_types)) or "none"
    error = ErrorInfo(
        (),
        "UnknownJobType",
        f"no handler for job type {job.job_type!r} in this worker (it knows: {known}); "
        "deploy a worker that has it, or correct the producer",
    )
    attempted = Attempted(UnknownToWorker(error), now, now)
    decision = decide(job, rules.retry, attempted, rules.chance, grace=rules.grace)
    if isinstance(decision, Bury):
        transition, handover = _bury(raw, decision.reason, error, rules, now, job)
    else:
        assert isinstance(decision, ComeBack)
        transition, handover = _send_round(raw, job, decision, rules, now)
    return Settled(raw.assignment, raw.offset, transition, handover)


def _send_round(
    raw: RawRecord, job: JobHeaders, decision: ComeBack, rules: Rules, now: int
) -> tuple[Transition, HandOver]:
    following = job.next_step(due=decision.due, past=_past_of(job, decision, now))
    tier = tier_for(timedelta(milliseconds=decision.due - now))
    handover = HandOver("wait", rules.topology.tier(tier), raw.key, raw.payload, following.encode())
    transition = _transition(job, raw, JobState.RETRYING, rules, now, decision.error)
    return transition._replace(due=decision.due, step=following.step), handover


def _transition(
    job: JobHeaders,
    record: JobRecord | RawRecord,
    state: JobState,
    rules: Rules,
    now: int,
    error: ErrorInfo | None = None,
) -> Transition:
    return Transition(
        job.job_id,
        job.job_type,
        state.value,
        record.lane.topic,
        record.partition,
        record.offset,
        job.attempt,
        job.step,
        job.generation,
        now,
        job.created,
        rules.worker,
        tenant=job.tenant,
        key=_key_of(record, job),
        error_type=error.type if error else None,
        error_message=error.message if error else None,
    )


def _key_of(record: JobRecord | RawRecord, job: JobHeaders) -> str | None:
    """Give the ordering key; None when it is only the job's id again."""
    key = record.key
    if not key or key == job.job_id.encode():
        return None
    return key.decode(errors="replace")


def _past_of(job: JobHeaders, decision: ComeBack, now: int) -> PastAttempt | None:
    """Give the entry in the job's history: one for each failed attempt, one for a whole wait."""
    error = decision.error
    if error is None:
        return None
    waited = bool(job.history) and job.history[-1].error_type == error.type
    return None if waited and not decision.counted else _past(job, error, now)


def _past(job: JobHeaders, error: ErrorInfo, now: int) -> PastAttempt:
    return PastAttempt(job.attempt, now, error.type, error.message)


def _raw(message: Message, assignment: Assignment, lane: Lane) -> RawRecord:
    _, timestamp = message.timestamp()
    return RawRecord(
        message.key(),
        message.value(),
        tuple(header_list(message)),
        lane,
        message.partition() or 0,
        message.offset() or 0,
        timestamp,
        assignment,
    )
