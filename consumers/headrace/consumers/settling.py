"""Putting decisions into records: the transition of each, and what is handed over.

What is decided stands in `execution` and `retry`; here is only how it is written down.
"""

from dataclasses import replace

from headrace.consumers import dead_letters
from headrace.consumers.outcomes import (
    Attempted,
    Bury,
    ComeBack,
    Decision,
    ErrorInfo,
    Finish,
    UnknownToWorker,
)
from headrace.consumers.records import JobRecord, RawRecord
from headrace.consumers.retry import decide
from headrace.consumers.settled import HandOver, Rules, Settled, StayHere
from headrace.pipeline.topology import tier_for
from headrace.schemas.headers import JobHeaders, PastAttempt
from headrace.schemas.ids import foreign_job_id
from headrace.schemas.states import DeadReason, JobState
from headrace.schemas.transitions import Transition


def settled(
    record: JobRecord,
    decision: Decision,
    rules: Rules,
    now: int,
    attempted: Attempted | None = None,
) -> Settled:
    """Put a decision into effect: the transition to publish, and the record to hand over."""
    handover = None
    match decision:
        case Finish(state, result, why, claim):
            transition = transition_of(
                record.headers, record, state, rules, now, attempted=attempted, result=result
            )
            if why is not None:
                transition = transition._replace(reason=why)
            if claim is not None:
                transition = transition._replace(result_claim=claim)
        case ComeBack():
            transition, handover = _come_back(record, decision, rules, now)
        case Bury(reason, error):
            transition, handover = _bury(record, reason, error, rules, now)
        case _:
            raise AssertionError(f"{decision} settles nothing")
    return _measured(record, transition, handover, attempted)


def stay_here(
    record: JobRecord, decision: ComeBack, rules: Rules, attempted: Attempted
) -> StayHere:
    """Let a job of an ordered queue come back without leaving its lane."""
    now = attempted.ended
    transition, following = _coming_back(record, decision, rules, now)
    told = replace(
        _measured(record, transition, None, attempted),
        transition=transition._replace(started=attempted.started, ended=attempted.ended),
        announcement=True,
    )
    return StayHere(replace(record, headers=following), decision.due, told)


def _measured(
    record: JobRecord,
    transition: Transition,
    handover: HandOver | None,
    attempted: Attempted | None,
) -> Settled:
    if attempted is None:
        return Settled(record.assignment, record.offset, transition, handover)
    if handover is not None:
        transition = transition._replace(started=attempted.started, ended=attempted.ended)
    seconds = max(0, attempted.ended - attempted.started) / 1000
    ready = record.headers.due or record.headers.created
    return Settled(record.assignment, record.offset, transition, handover, seconds, ready)


def drop_double(record: JobRecord, rules: Rules, now: int) -> Settled:
    """Finish a record without running it. The job lives on in its first record.

    So the transition claims the lowest place in the order of the job's states.
    """
    transition = transition_of(record.headers, record, JobState.DUPLICATE, rules, now)
    return Settled(record.assignment, record.offset, transition._replace(step=0))


def bury_unread(raw: RawRecord, error: ErrorInfo, rules: Rules, now: int) -> Settled:
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
    transition = transition_of(job, raw, JobState.DEAD, rules, now, error)
    transition = transition._replace(reason=DeadReason.UNDECODABLE.value, step=1)
    return Settled(raw.assignment, raw.offset, transition, handover)


def bury_empty(raw: RawRecord, job: JobHeaders, rules: Rules, now: int) -> Settled:
    """A job without any bytes: not even arguments without fields are written so."""
    message = "the record has no value: write the arguments as Avro, framed, even if there are none"
    error = ErrorInfo((), "NoValue", message)
    transition, handover = _bury(raw, DeadReason.UNDECODABLE, error, rules, now, job)
    return Settled(raw.assignment, raw.offset, transition, handover)


def send_round_or_bury(raw: RawRecord, job: JobHeaders, rules: Rules, now: int) -> Settled:
    """A job of a type that this worker does not know: another may, for as long as the grace."""
    attempted = unknown_here(job, rules, now)
    decision = decide(job, rules.retry, attempted, rules.chance, grace=rules.grace)
    if isinstance(decision, Bury):
        transition, handover = _bury(raw, decision.reason, decision.error, rules, now, job)
    else:
        assert isinstance(decision, ComeBack)
        transition, handover = _send_round(raw, job, decision, rules, now)
    return Settled(raw.assignment, raw.offset, transition, handover)


def unknown_here(job: JobHeaders, rules: Rules, now: int) -> Attempted:
    """Say that this worker has no handler for a job."""
    known = ", ".join(sorted(rules.job_types)) or "none"
    error = ErrorInfo(
        (),
        "UnknownJobType",
        f"no handler for job type {job.job_type!r} in this worker (it knows: {known}); "
        "deploy a worker that has it, or correct the producer",
    )
    return Attempted(UnknownToWorker(error), now, now)


def _come_back(
    record: JobRecord, decision: ComeBack, rules: Rules, now: int
) -> tuple[Transition, HandOver]:
    transition, following = _coming_back(record, decision, rules, now)
    tier = tier_for(max(0, decision.due - now))
    handover = HandOver(
        "retry" if decision.counted else "wait",
        rules.topology.tier(tier),
        record.key,
        record.payload,
        following.encode(),
    )
    return transition, handover


def _coming_back(
    record: JobRecord, decision: ComeBack, rules: Rules, now: int
) -> tuple[Transition, JobHeaders]:
    job = record.headers
    past = _past_of(job, decision, now)
    attempt = job.attempt + 1 if decision.counted else job.attempt
    following = job.next_step(due=decision.due, attempt=attempt, past=past)
    transition = transition_of(job, record, decision.state, rules, now, decision.error)
    return transition._replace(due=decision.due, step=following.step), following


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
    transition = transition_of(job, record, JobState.DEAD, rules, now, error)
    return transition._replace(reason=reason.value, step=died.step), handover


def _send_round(
    raw: RawRecord, job: JobHeaders, decision: ComeBack, rules: Rules, now: int
) -> tuple[Transition, HandOver]:
    following = job.next_step(due=decision.due, past=_past_of(job, decision, now))
    tier = tier_for(decision.due - now)
    handover = HandOver("wait", rules.topology.tier(tier), raw.key, raw.payload, following.encode())
    transition = transition_of(job, raw, JobState.RETRYING, rules, now, decision.error)
    return transition._replace(due=decision.due, step=following.step), handover


def transition_of(
    job: JobHeaders,
    record: JobRecord | RawRecord,
    state: JobState,
    rules: Rules,
    now: int,
    error: ErrorInfo | None = None,
    *,
    attempted: Attempted | None = None,
    result: bytes | None = None,
) -> Transition:
    """Give the transition of a record to a state, as this worker sees it now."""
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
        attempted.started if attempted else None,
        attempted.ended if attempted else None,
        None,
        job.tenant,
        _key_of(record, job),
        None,
        error.type if error else None,
        error.message if error else None,
        result,
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
