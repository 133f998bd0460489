"""The life of a job in a worker, as a sentence.

A message is *received* (is it a job that this worker knows?), *admitted* (is it due, not expired,
not a double?), run by an executor, and *settled*: `headrace.consumers.retry.decide` says what
becomes of it, and the result is one `Settled` value: a transition to publish, and a record to hand
over if the job goes elsewhere. The lane then publishes, hands over, and commits. In an ordered
queue nothing goes elsewhere but to the dead letters: a job that comes back *stays*, and its key
waits for it.

    received ─→ admitted ─→ (slots, executor) ─→ attempted ─→ decided ─→ settled
        │            │                                            │
        └────────────┴── settled without being run ───────────────┘
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from confluent_kafka import Message

from headrace.consumers import settling
from headrace.consumers.outcomes import Attempted, ComeBack, Finish, GiveBack, HoldHere, error_info
from headrace.consumers.recent import RecentJobs
from headrace.consumers.records import HOLDING, Assignment, JobRecord, RawRecord, header_list
from headrace.consumers.retry import decide
from headrace.consumers.settled import Rules, Settled, StayHere
from headrace.pipeline.context import Progress
from headrace.pipeline.job_types import JobType
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.schemas import headers
from headrace.schemas.errors import InvalidHeadersError
from headrace.schemas.states import JobState

NEARLY_DUE = 5_000
"""Milliseconds before its due time from which a job waits on its lane: more than the clocks of two
machines should differ."""


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
    _, timestamp = message.timestamp()
    try:
        job = headers.decode(header_list(message), lane=rules.lane.topic, timestamp=timestamp)
    except InvalidHeadersError as error:
        raw = _raw(message, assignment, rules.lane)
        return settling.bury_unread(raw, error_info(error), rules, now)
    payload = message.value()
    if payload is None:
        return settling.bury_empty(_raw(message, assignment, rules.lane), job, rules, now)
    job_type = rules.job_types.get(job.job_type)
    if job_type is None or job_type.function is None:
        if not rules.ordered:
            raw = _raw(message, assignment, rules.lane)
            return settling.send_round_or_bury(raw, job, rules, now)
        job_type = job_type or nobodys()  # its key waits for a worker that knows it
    policy = job_type.policy
    key = message.key()
    record = JobRecord(
        job,
        key,
        payload,
        rules.lane,
        message.partition() or 0,
        message.offset() or 0,
        assignment,
        job_type,
        (policy.timeout or rules.timeout).total_seconds(),
        len(payload) + len(key or b"") + HOLDING,
    )
    return admit(record, rules, recent, now)


def admit(record: JobRecord, rules: Rules, recent: RecentJobs, now: int) -> JobRecord | Settled:
    """Let a job run, or settle it: not due, expired, or seen before.

    One that is due within `NEARLY_DUE` is let through, and must be held until then: a clock that
    is behind the scheduler's would send it to the tiers, and it would be back at once, again and
    again. In an ordered queue every one is held, whenever it is due: its key waits for it.
    """
    job = record.headers
    if job.due is not None and job.due > now + NEARLY_DUE and not rules.ordered:
        return settling.settled(
            record, ComeBack(job.due, counted=False, state=JobState.DELAYED), rules, now
        )
    if job.expires is not None and job.expires <= now:
        return settling.settled(record, Finish(JobState.EXPIRED), rules, now)
    if recent.is_double(record.partition, record.offset, job):
        return settling.drop_double(record, rules, now)
    return record


def settle(
    record: JobRecord, attempted: Attempted, rules: Rules
) -> Settled | StayHere | HoldHere | GiveBack:
    """Decide what becomes of a job after its attempt."""
    policy = record.job_type.policy
    decision = decide(
        record.headers,
        policy.retry or rules.retry,
        attempted,
        rules.chance,
        grace=policy.unknown_type_grace,
    )
    if policy.retry is not None and policy.retry.budget is not None:
        name, budget = record.job_type.name, policy.retry.budget
        decision = rules.budgets.judge(name, budget, decision, attempted.ended)
    if isinstance(decision, HoldHere | GiveBack):
        return decision
    if isinstance(decision, ComeBack) and rules.ordered:
        return settling.stay_here(record, decision, rules, attempted)
    return settling.settled(record, decision, rules, attempted.ended, attempted)


def announce(record: JobRecord, rules: Rules, started: int) -> Settled:
    """Tell of a job that runs for a while; this finishes nothing."""
    transition = settling.transition_of(record.headers, record, JobState.RUNNING, rules, started)
    told = transition._replace(started=started)
    return Settled(record.assignment, record.offset, told, announcement=True)


def announce_progress(
    record: JobRecord, rules: Rules, started: int, progress: Progress, now: int
) -> Settled:
    """Tell how far a job says that it is; this finishes nothing."""
    transition = settling.transition_of(record.headers, record, JobState.RUNNING, rules, now)
    told = transition._replace(
        started=started, progress=progress.fraction, progress_text=progress.text
    )
    return Settled(record.assignment, record.offset, told, announcement=True)


def _raw(message: Message, assignment: Assignment, lane: Lane) -> RawRecord:
    """Take a record as it lies there; only what cannot be run needs that."""
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


@cache
def nobodys() -> JobType[..., ..., Any, Any]:
    """Give what stands for a job type that this worker does not know; it has no handler."""
    return Pipeline("nobody").declare("nobody", _NoArguments)


@dataclass(frozen=True, slots=True)
class _NoArguments:
    """The arguments of a job type that is not known are not read."""
