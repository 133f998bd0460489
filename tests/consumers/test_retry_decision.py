"""The decision table: every outcome, at every attempt number."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.consumers.outcomes import (
    Attempted,
    Bury,
    ComeBack,
    Died,
    ErrorInfo,
    Failed,
    Finish,
    GiveBack,
    HoldHere,
    Interrupted,
    Outcome,
    Rejected,
    RetryAsked,
    Snoozed,
    Succeeded,
    TimedOut,
    Unavailable,
    Undecodable,
    UnknownToWorker,
    error_info,
)
from headrace.consumers.retry import UNKNOWN_WAIT, decide
from headrace.pipeline import Retry
from headrace.schemas.headers import JobHeaders, PastAttempt
from headrace.schemas.states import DeadReason, JobState

NOW = 1_700_000_000_000
ERROR = error_info(ConnectionError("refused"))
EVEN = Retry(max_attempts=3, jitter=0)
CHANCE = random.Random(7)
SECOND = timedelta(seconds=1)


def job(attempt: int = 1, history: tuple[PastAttempt, ...] = ()) -> JobHeaders:
    return JobHeaders("j1", "a.b", "", NOW - 5, "shop.default.high", attempt, history=history)


def decided(outcome: Outcome, attempt: int = 1, policy: Retry = EVEN) -> object:
    return decide(job(attempt), policy, Attempted(outcome, NOW - 10, NOW), CHANCE)


def after(milliseconds: int, *, counted: bool, error: ErrorInfo | None = ERROR) -> ComeBack:
    return ComeBack(NOW + milliseconds, counted=counted, error=error)


FIRST, LAST, BEYOND = 1, 3, 9


@pytest.mark.parametrize(
    ("outcome", "attempt", "decision"),
    [
        (Succeeded(b"r"), FIRST, Finish(JobState.SUCCEEDED, b"r")),
        (Succeeded(), LAST, Finish(JobState.SUCCEEDED)),
        (Failed(ERROR), FIRST, after(1_000, counted=True)),
        (Failed(ERROR), 2, after(2_000, counted=True)),
        (Failed(ERROR), LAST, Bury(DeadReason.EXHAUSTED, ERROR)),
        (Failed(ERROR), BEYOND, Bury(DeadReason.EXHAUSTED, ERROR)),
        (RetryAsked(90 * SECOND, ERROR), FIRST, after(90_000, counted=True)),
        (RetryAsked(SECOND, ERROR), LAST, Bury(DeadReason.EXHAUSTED, ERROR)),
        (Rejected(ERROR), FIRST, Bury(DeadReason.REJECTED, ERROR)),
        (Rejected(ERROR), LAST, Bury(DeadReason.REJECTED, ERROR)),
        (Snoozed(90 * SECOND), FIRST, after(90_000, counted=False, error=None)),
        (Snoozed(SECOND), LAST, after(1_000, counted=False, error=None)),
        (Snoozed(SECOND), BEYOND, after(1_000, counted=False, error=None)),
        (Undecodable(ERROR), FIRST, Bury(DeadReason.UNDECODABLE, ERROR)),
        (Undecodable(ERROR), LAST, Bury(DeadReason.UNDECODABLE, ERROR)),
        (UnknownToWorker(ERROR), FIRST, after(10_000, counted=False)),
        (UnknownToWorker(ERROR), LAST, after(10_000, counted=False)),
        (Unavailable(ERROR), FIRST, HoldHere(ERROR)),
        (Unavailable(ERROR), LAST, HoldHere(ERROR)),
        (Interrupted(), FIRST, GiveBack()),
        (Interrupted(), LAST, GiveBack()),
    ],
)
def test_what_becomes_of_a_job(outcome: Outcome, attempt: int, decision: object) -> None:
    assert decided(outcome, attempt) == decision


@pytest.mark.parametrize(
    ("outcome", "reason", "told"),
    [
        (TimedOut(2.5), DeadReason.TIMEOUT, "timeout of 2.5 s"),
        (Died("SIGSEGV"), DeadReason.CRASH_LOOP, "process died: SIGSEGV"),
    ],
)
def test_a_timeout_and_a_death_are_retried_and_name_the_reason_at_last(
    outcome: Outcome, reason: DeadReason, told: str
) -> None:
    first = decided(outcome, FIRST)
    assert isinstance(first, ComeBack)
    assert (first.due, first.counted) == (NOW + 1_000, True)
    last = decided(outcome, LAST)
    assert isinstance(last, Bury)
    assert last.reason is reason
    assert told in last.error.message


def test_one_attempt_means_no_retry() -> None:
    assert decided(Failed(ERROR), 1, Retry(max_attempts=1)) == Bury(DeadReason.EXHAUSTED, ERROR)


def test_an_exception_that_is_never_retried_dies_at_once() -> None:
    never = Retry(never=(ConnectionError,))
    assert decided(Failed(error_info(ConnectionResetError())), 1, never).__class__ is Bury


def test_an_exception_with_a_policy_of_its_own_follows_it() -> None:
    own = Retry(
        max_attempts=1, per_exception={ConnectionError: Retry(9, base=5 * SECOND, jitter=0)}
    )
    assert decided(Failed(ERROR), 1, own) == after(5_000, counted=True)


def test_a_timeout_counts_as_a_timeout_error_for_the_policy() -> None:
    assert decided(TimedOut(1), 1, Retry(never=(TimeoutError,))).__class__ is Bury
    assert decided(TimedOut(1), 1, Retry(only=(OSError,))).__class__ is ComeBack


# -- what an exception asks for, and how old a job may be ------------------------------------------


def test_what_an_exception_asks_for_holds_instead_of_the_back_off() -> None:
    assert decided(Failed(ERROR, 90 * SECOND)) == after(90_000, counted=True)
    assert decided(Failed(ERROR, timedelta())) == after(0, counted=True)


def test_an_exception_that_asks_for_a_wait_is_still_judged_by_the_policy() -> None:
    never = Retry(never=(ConnectionError,))
    assert decided(Failed(ERROR, SECOND), 1, never) == Bury(DeadReason.EXHAUSTED, ERROR)
    assert decided(Failed(ERROR, SECOND), LAST) == Bury(DeadReason.EXHAUSTED, ERROR)


def aged(outcome: Outcome, age: timedelta, policy: Retry, attempt: int = 1) -> object:
    old = job(attempt)._replace(created=NOW - age // timedelta(milliseconds=1))
    return decide(old, policy, Attempted(outcome, NOW - 10, NOW), CHANCE)


FIFTEEN = Retry.fixed(15 * SECOND, 9, max_age=60 * SECOND)


@pytest.mark.parametrize(
    "outcome", [Failed(ERROR), Failed(ERROR, 15 * SECOND), RetryAsked(15 * SECOND, ERROR)]
)
def test_a_retry_that_would_come_when_the_job_is_too_old_is_not_made(outcome: Outcome) -> None:
    assert aged(outcome, 45 * SECOND, FIFTEEN) == after(15_000, counted=True)
    too_old = aged(outcome, 45 * SECOND + timedelta(milliseconds=1), FIFTEEN)
    assert too_old == Bury(DeadReason.TOO_OLD, ERROR)


@pytest.mark.parametrize("outcome", [TimedOut(1), Died("SIGKILL")])
def test_a_timeout_or_a_death_of_a_job_that_is_too_old_is_not_retried_either(
    outcome: Outcome,
) -> None:
    buried = aged(outcome, 3_600 * SECOND, FIFTEEN)
    assert isinstance(buried, Bury)
    assert buried.reason is DeadReason.TOO_OLD


def test_the_last_attempt_of_an_old_job_is_exhausted_not_too_old() -> None:
    assert aged(Failed(ERROR), 3_600 * SECOND, FIFTEEN, 9) == Bury(DeadReason.EXHAUSTED, ERROR)


def test_age_shortens_no_wait_and_stops_nothing_else() -> None:
    assert aged(Snoozed(90 * SECOND), 3_600 * SECOND, FIFTEEN) == after(
        90_000, counted=False, error=None
    )
    assert aged(Succeeded(), 3_600 * SECOND, FIFTEEN) == Finish(JobState.SUCCEEDED)


def test_the_age_of_the_outer_policy_holds_where_an_exceptions_own_names_none() -> None:
    outer = Retry(
        max_age=60 * SECOND,
        per_exception={
            ConnectionError: Retry.fixed(SECOND, 9),
            LookupError: Retry.fixed(SECOND, 9, max_age=3_600 * SECOND),
        },
    )
    assert isinstance(aged(Failed(ERROR), 60 * SECOND, outer), Bury)
    assert isinstance(aged(Failed(error_info(KeyError())), 60 * SECOND, outer), ComeBack)


outcomes = st.sampled_from([Failed(ERROR), TimedOut(1.0), Died("SIGKILL")])
waits = st.timedeltas(timedelta(), timedelta(days=400))


@given(
    outcome=outcomes,
    attempt=st.integers(1, 200),
    base=waits,
    factor=st.floats(1, 100),
    ended=st.integers(0, 4_000_000_000_000),
)
def test_a_retry_is_never_due_earlier_than_the_failure_plus_the_wait(
    outcome: Outcome, attempt: int, base: timedelta, factor: float, ended: int
) -> None:
    policy = Retry(max_attempts=10_000, base=base, factor=factor, cap=timedelta(days=500), jitter=0)
    decision = decide(job(attempt), policy, Attempted(outcome, ended - 1, ended), CHANCE)
    assert isinstance(decision, ComeBack)
    exact = policy.wait(attempt, CHANCE)
    waited = timedelta(milliseconds=decision.due - ended)
    assert exact <= waited < exact + timedelta(milliseconds=1)


@given(wait=waits, make=st.sampled_from([Snoozed, lambda wait: RetryAsked(wait, ERROR)]))
def test_what_a_handler_asks_for_is_never_cut(
    wait: timedelta, make: Callable[[timedelta], Outcome]
) -> None:
    decision = decided(make(wait))
    assert isinstance(decision, ComeBack)
    assert timedelta(milliseconds=decision.due - NOW) >= wait


@given(seed=st.integers(), attempt=st.integers(1, 9))
def test_jitter_keeps_a_retry_within_its_share(seed: int, attempt: int) -> None:
    policy = Retry(max_attempts=10)
    outcome = Attempted(Failed(ERROR), NOW, NOW)
    decision = decide(job(attempt), policy, outcome, random.Random(seed))
    assert isinstance(decision, ComeBack)
    middle = min(2 ** (attempt - 1), 60) * 1_000
    assert 0.7 * middle <= decision.due - NOW <= 1.3 * middle + 1


@given(attempt=st.integers(1, 5_000), maximum=st.integers(1, 1_000))
def test_a_job_is_tried_as_often_as_its_policy_says_and_no_more(attempt: int, maximum: int) -> None:
    again = decided(Failed(ERROR), attempt, Retry(max_attempts=maximum))
    assert isinstance(again, ComeBack) == (attempt < maximum)


# -- what no worker knows --------------------------------------------------------------------------


def unknown(first_met: int | None, grace: timedelta, error_type: str = ERROR.type) -> object:
    history = () if first_met is None else (PastAttempt(1, first_met, error_type, "?"),)
    attempted = Attempted(UnknownToWorker(ERROR), NOW, NOW)
    return decide(job(history=history), EVEN, attempted, CHANCE, grace=grace)


def test_the_grace_counts_from_the_first_worker_that_did_not_know_the_job() -> None:
    wait = after(UNKNOWN_WAIT // timedelta(milliseconds=1), counted=False)
    buried = Bury(DeadReason.UNKNOWN_TYPE, ERROR)
    assert unknown(None, SECOND) == wait
    assert unknown(NOW - 999, SECOND) == wait
    assert unknown(NOW - 1_000, SECOND) == buried


def test_an_old_failure_of_another_kind_does_not_use_up_the_grace() -> None:
    assert isinstance(unknown(NOW - 86_400_000, SECOND, "ValueError"), ComeBack)


def test_without_a_grace_an_unknown_job_is_buried_at_once() -> None:
    assert isinstance(unknown(None, timedelta()), Bury)
