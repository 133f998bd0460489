"""What a retry policy leads to, as `headrace retry explain` shows it."""

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline import Retry
from headrace.pipeline.retry_plan import plan_of

SECOND = timedelta(seconds=1)


def test_each_further_attempt_has_its_shortest_and_longest_wait_and_the_sums_of_them() -> None:
    plan = plan_of(Retry(max_attempts=3, jitter=0.5))
    (second, third) = plan.steps
    assert (second.least, second.most) == (0.5 * SECOND, 1.5 * SECOND)
    assert (third.attempt, third.least, third.most) == (3, SECOND, 3 * SECOND)
    assert (third.earliest, third.latest) == (1.5 * SECOND, 4.5 * SECOND)
    assert plan.dead_after == (1.5 * SECOND, 4.5 * SECOND)
    assert (plan.too_late, plan.doubtful) == (None, None)


def test_a_policy_without_retries_has_no_steps() -> None:
    plan = plan_of(Retry(max_attempts=1))
    assert plan.steps == ()
    assert plan.dead_after == (timedelta(), timedelta())
    assert plan.too_late is None


def test_attempts_that_surely_come_too_late_are_left_out() -> None:
    plan = plan_of(Retry.fixed(10 * SECOND, 9, max_age=35 * SECOND))
    assert [step.attempt for step in plan.steps] == [2, 3, 4]
    assert (plan.too_late, plan.doubtful) == (5, None)
    assert plan.dead_after == (30 * SECOND, 30 * SECOND)


def test_attempts_that_jitter_may_make_too_late_are_doubtful() -> None:
    plan = plan_of(Retry.fixed(10 * SECOND, 4, jitter=0.2, max_age=25 * SECOND))
    assert [step.attempt for step in plan.steps] == [2, 3, 4]
    assert (plan.too_late, plan.doubtful) == (None, 4)
    assert plan.dead_after == (24 * SECOND, 25 * SECOND)


def test_the_outer_age_holds_for_an_exceptions_own_policy_that_names_none() -> None:
    own = Retry.fixed(10 * SECOND, 9)
    assert plan_of(own, 35 * SECOND).too_late == 5
    assert plan_of(Retry.fixed(10 * SECOND, 9, max_age=15 * SECOND), 35 * SECOND).too_late == 3


@given(seed=st.integers(), attempts=st.integers(2, 12), jitter=st.floats(0, 1))
def test_what_happens_is_within_what_was_planned(seed: int, attempts: int, jitter: float) -> None:
    policy, chance = Retry(max_attempts=attempts, jitter=jitter), random.Random(seed)
    total, rounding = timedelta(), timedelta(microseconds=attempts)
    for step in plan_of(policy).steps:
        wait = policy.wait(step.attempt - 1, chance)
        total += wait
        assert step.least - rounding <= wait <= step.most + rounding
        assert step.earliest - rounding <= total <= step.latest + rounding
