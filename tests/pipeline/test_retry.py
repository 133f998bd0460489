"""Retry policies: how long a failing job waits, and which failures are worth another attempt."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline import DeclarationError, Retry, RetryBudget
from headrace.pipeline.retry import MAX_DELAY, qualified_names

SECOND = timedelta(seconds=1)
CHANCE = random.Random(4)


def names(error: BaseException) -> tuple[str, ...]:
    return qualified_names(error)


policies = st.builds(
    Retry,
    max_attempts=st.integers(1, 50),
    base=st.timedeltas(timedelta(), timedelta(days=2)),
    factor=st.floats(1, 1e6),
    cap=st.timedeltas(timedelta(), timedelta(days=30)),
    jitter=st.floats(0, 1),
)


def test_waits_double_from_the_base_up_to_the_cap() -> None:
    policy = Retry(jitter=0)
    waits = [policy.wait(attempt, CHANCE) / SECOND for attempt in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_base_and_factor_shape_the_waits() -> None:
    policy = Retry(base=timedelta(milliseconds=100), factor=3, jitter=0)
    assert [policy.wait(n, CHANCE) / SECOND for n in (1, 2, 3)] == [0.1, 0.3, 0.9]


def test_a_factor_of_one_waits_evenly() -> None:
    policy = Retry(base=timedelta(seconds=7), factor=1, jitter=0)
    assert {policy.wait(attempt, CHANCE) for attempt in range(1, 20)} == {timedelta(seconds=7)}


@given(policy=policies, attempt=st.integers(1, 10_000), seed=st.integers())
def test_a_wait_is_never_negative_and_never_over_the_cap_and_its_jitter(
    policy: Retry, attempt: int, seed: int
) -> None:
    wait = policy.wait(attempt, random.Random(seed))
    without = Retry(base=policy.base, factor=policy.factor, cap=policy.cap, jitter=0)
    middle = without.wait(attempt, CHANCE)
    rounding = timedelta(microseconds=1)
    assert timedelta() <= wait
    assert (
        middle * (1 - policy.jitter) - rounding <= wait <= middle * (1 + policy.jitter) + rounding
    )
    assert middle <= policy.cap


@given(policy=policies, attempt=st.integers(1, 1_000))
def test_without_jitter_a_later_attempt_never_waits_less(policy: Retry, attempt: int) -> None:
    even = Retry(base=policy.base, factor=policy.factor, cap=policy.cap, jitter=0)
    assert even.wait(attempt, CHANCE) <= even.wait(attempt + 1, CHANCE)


def test_jitter_spreads_the_waits_over_its_whole_range() -> None:
    policy, chance = Retry(jitter=0.3), random.Random(1)
    waits = [policy.wait(1, chance) / SECOND for _ in range(2_000)]
    assert 0.70 <= min(waits) < 0.72
    assert 1.28 < max(waits) <= 1.30


def test_every_failure_is_retried_by_default() -> None:
    assert all(Retry().retries(names(error)) for error in (ValueError(), KeyboardInterrupt()))


def test_only_keeps_retries_to_some_exceptions_and_their_subclasses() -> None:
    policy = Retry(only=(ConnectionError,))
    assert policy.retries(names(ConnectionResetError()))
    assert not policy.retries(names(ValueError()))


def test_never_keeps_some_exceptions_and_their_subclasses_from_being_retried() -> None:
    policy = Retry(never=(LookupError,))
    assert not policy.retries(names(KeyError()))
    assert policy.retries(names(ValueError()))


def test_never_wins_over_only() -> None:
    policy = Retry(only=(OSError,), never=(FileNotFoundError,))
    assert not policy.retries(names(FileNotFoundError()))
    assert policy.retries(names(PermissionError()))


def test_an_exception_may_have_a_policy_of_its_own_and_the_most_derived_class_decides() -> None:
    refused, broken = Retry(max_attempts=9), Retry(max_attempts=2)
    policy = Retry(per_exception={ConnectionError: broken, ConnectionRefusedError: refused})
    assert policy.policy_for(names(ConnectionRefusedError())) is refused
    assert policy.policy_for(names(ConnectionResetError())) is broken
    assert policy.policy_for(names(ValueError())) is policy


def test_never_of_a_subclass_outdoes_a_policy_for_its_base_class() -> None:
    policy = Retry(never=(KeyError,), per_exception={LookupError: Retry(max_attempts=9)})
    assert not policy.policy_for(names(KeyError())).retries(names(KeyError()))
    assert policy.policy_for(names(IndexError())).retries(names(IndexError()))


def test_a_policy_for_a_subclass_outdoes_never_of_its_base_class() -> None:
    policy = Retry(never=(LookupError,), per_exception={KeyError: Retry(max_attempts=9)})
    assert policy.policy_for(names(KeyError())).retries(names(KeyError()))


def test_exceptions_of_one_name_in_two_modules_are_told_apart() -> None:
    class TimeoutError(Exception):
        pass

    assert not Retry(never=(TimeoutError,)).retries(names(TimeoutError()))
    assert Retry(never=(TimeoutError,)).retries(("builtins.TimeoutError",))


def test_a_fixed_policy_always_waits_the_same() -> None:
    policy = Retry.fixed(7 * SECOND, 4)
    assert policy.max_attempts == 4
    assert {policy.wait(attempt, CHANCE) for attempt in range(1, 20)} == {7 * SECOND}


def test_listed_waits_come_one_after_the_other_and_their_number_decides_the_attempts() -> None:
    policy = Retry.delays(SECOND, 60 * SECOND, 3_600 * SECOND)
    assert policy.max_attempts == 4
    assert [policy.wait(n, CHANCE) / SECOND for n in (1, 2, 3)] == [1, 60, 3_600]


def test_with_more_attempts_than_listed_waits_the_last_wait_is_repeated() -> None:
    policy = Retry.delays(SECOND, 5 * SECOND, max_attempts=5)
    assert policy.max_attempts == 5
    assert [policy.wait(n, CHANCE) / SECOND for n in (1, 2, 3, 4)] == [1, 5, 5, 5]


def test_fixed_and_listed_waits_have_jitter_only_if_it_is_given() -> None:
    policy = Retry.delays(100 * SECOND, jitter=0.5, never=(KeyError,))
    waits = {policy.wait(1, CHANCE) for _ in range(50)}
    assert len(waits) > 40
    assert all(50 * SECOND <= wait <= 150 * SECOND for wait in waits)
    assert policy.never == (KeyError,)


def test_a_list_of_no_waits_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"Retry\.delays\(\) names no wait"):
        Retry.delays()


def test_a_budget_for_one_exception_alone_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"per_exception=\{KeyError.*to the outer Retry"):
        Retry(per_exception={KeyError: Retry(budget=RetryBudget())})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ratio": 0}, "ratio=0"),
        ({"ratio": 1.1}, r"ratio=1\.1"),
        ({"per": timedelta(milliseconds=999)}, "per="),
        ({"per": timedelta(days=2)}, "per="),
        ({"minimum": 0}, "minimum=0"),
    ],
)
def test_a_budget_out_of_range_is_refused_by_name(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(DeclarationError, match=rf"RetryBudget\({field}.*must be"):
        RetryBudget(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"base": timedelta(seconds=-1)}, "base="),
        ({"factor": 0.5}, "factor=0.5"),
        ({"factor": float("nan")}, "factor=nan"),
        ({"cap": MAX_DELAY + SECOND}, "cap="),
        ({"cap": -SECOND}, "cap="),
        ({"jitter": 1.1}, "jitter=1.1"),
        ({"jitter": -0.1}, "jitter=-0.1"),
        ({"waits": (SECOND, -SECOND)}, "waits="),
        ({"max_age": timedelta()}, "max_age="),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(DeclarationError, match=rf"Retry\({field}.*must be"):
        Retry(**wrong)  # type: ignore[arg-type]
