"""Where it is decided what becomes of a job after an attempt: done, again, or dead."""

import random
from datetime import timedelta

from headrace.consumers.outcomes import (
    Attempted,
    Bury,
    Cancelled,
    ComeBack,
    Decision,
    Died,
    ErrorInfo,
    Failed,
    Finish,
    GiveBack,
    HoldHere,
    Interrupted,
    Rejected,
    RetryAsked,
    Snoozed,
    Succeeded,
    TimedOut,
    Unavailable,
    Undecodable,
    UnknownToWorker,
)
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.retry import Retry
from headrace.schemas.headers import JobHeaders
from headrace.schemas.states import DeadReason, JobState

PROCESS_DIED = "ProcessDied"
"""The error type of an attempt whose child process died."""
WORKER_DIED = "WorkerDied"
"""The error type of an attempt with which a worker died, more than once."""
UNKNOWN_WAIT = timedelta(seconds=10)
"""How long a job of an unknown type waits before another worker may look at it."""
_DONE = Finish(JobState.SUCCEEDED)
"""Most jobs end so, and return nothing: one for all of them."""


def decide(  # noqa: PLR0911, PLR0912 - one return for each outcome of the closed set
    job: JobHeaders,
    policy: Retry,
    attempted: Attempted,
    chance: random.Random,
    *,
    grace: timedelta = timedelta(hours=1),
) -> Decision:
    """Decide what becomes of a job after an attempt.

    Args:
        job: What its record says.
        policy: The retry policy of its type.
        attempted: What came out, and when. Waits count from the attempt's end.
        chance: The source of jitter.
        grace: How long a job of unknown type is sent round, from the first worker that did not
            know it; zero buries it at once.
    """
    outcome = attempted.outcome
    match outcome:
        case Succeeded(result, claim):
            if result is None and claim is None:
                return _DONE
            return Finish(JobState.SUCCEEDED, result, claim=claim)
        case Failed(error, asked):
            return _again_or_dead(job, policy, error, attempted.ended, chance, asked=asked)
        case RetryAsked(delay, error):
            if job.attempt >= policy.max_attempts:
                return Bury(DeadReason.EXHAUSTED, error)
            return _unless_too_old(job, policy.max_age, error, attempted.ended, delay)
        case Rejected(error):
            return Bury(DeadReason.REJECTED, error)
        case Snoozed(delay):
            return ComeBack(attempted.ended + to_milliseconds(delay), counted=False)
        case TimedOut(seconds):
            error, at_last = _timeout(seconds), DeadReason.TIMEOUT
            return _again_or_dead(job, policy, error, attempted.ended, chance, at_last=at_last)
        case Died():
            error, at_last = _death(outcome), DeadReason.CRASH_LOOP
            return _again_or_dead(job, policy, error, attempted.ended, chance, at_last=at_last)
        case Undecodable(error):
            return Bury(DeadReason.UNDECODABLE, error)
        case UnknownToWorker(error):
            return _wait_for_a_worker_that_knows(job, error, attempted.ended, grace)
        case Unavailable(error):
            return HoldHere(error)
        case Interrupted():
            return GiveBack()
        case Cancelled(why):
            return Finish(JobState.CANCELLED, why=why)


def _again_or_dead(
    job: JobHeaders,
    policy: Retry,
    error: ErrorInfo,
    failed_at: int,
    chance: random.Random,
    *,
    at_last: DeadReason = DeadReason.EXHAUSTED,
    asked: timedelta | None = None,
) -> Decision:
    chosen = policy.policy_for(error.classes)
    if not chosen.retries(error.classes) or job.attempt >= chosen.max_attempts:
        return Bury(at_last, error)
    wait = chosen.wait(job.attempt, chance) if asked is None else asked
    return _unless_too_old(job, chosen.max_age or policy.max_age, error, failed_at, wait)


def _unless_too_old(
    job: JobHeaders, max_age: timedelta | None, error: ErrorInfo, failed_at: int, wait: timedelta
) -> Decision:
    """Let a job come back, unless that would be too late to be of use."""
    due = failed_at + to_milliseconds(wait)
    if max_age is not None and due > job.created + to_milliseconds(max_age):
        return Bury(DeadReason.TOO_OLD, error)
    return ComeBack(due, counted=True, error=error)


def _timeout(seconds: float) -> ErrorInfo:
    message = f"the attempt took longer than its timeout of {seconds:g} s"
    return ErrorInfo(("builtins.TimeoutError", "builtins.OSError"), "TimedOut", message)


def _death(died: Died) -> ErrorInfo:
    error_type = WORKER_DIED if died.with_worker else PROCESS_DIED
    return ErrorInfo((), error_type, f"process died: {died.how}")


def _wait_for_a_worker_that_knows(
    job: JobHeaders, error: ErrorInfo, now: int, grace: timedelta
) -> Decision:
    """Count the grace from the first time that nobody knew it: the job may be old by then.

    That time stands in its history, where the first round leaves an entry.
    """
    last = job.history[-1] if job.history else None
    since = last.at if last is not None and last.error_type == error.type else now
    if now - since >= to_milliseconds(grace):
        return Bury(DeadReason.UNKNOWN_TYPE, error)
    return ComeBack(now + to_milliseconds(UNKNOWN_WAIT), counted=False, error=error)
