"""What KEDA itself decides: waking, cooling down, standing in for a metric that cannot be had."""

from datetime import timedelta

import pytest

from headrace.deploy.scaling.operator import Failures, Operator
from headrace.deploy.scaling.strategy import Fallback, FallbackBehaviour

COOLDOWN = timedelta(seconds=300)


def test_it_wakes_a_sleeping_lane_and_leaves_a_working_one_to_the_autoscaler() -> None:
    operator = Operator(0, COOLDOWN)
    assert operator.poll(0, 0, active=False) == 0
    assert operator.poll(10, 0, active=True) == 1
    assert operator.poll(20, 7, active=True) == 7


def test_the_last_pod_goes_when_the_cooldown_has_passed_since_there_was_something_to_do() -> None:
    operator = Operator(0, COOLDOWN)
    operator.poll(0, 1, active=True)
    assert operator.poll(300, 1, active=False) == 1
    assert operator.cools_for(100) == 200
    assert operator.poll(301, 1, active=False) == 0
    operator.poll(310, 0, active=True)
    assert operator.poll(320, 1, active=False) == 1


def test_pods_that_were_made_by_somebody_else_go_at_once() -> None:
    assert Operator(0, COOLDOWN).poll(0, 3, active=False) == 0


def test_a_lane_that_keeps_pods_never_sleeps_and_is_brought_up_to_them() -> None:
    operator = Operator(2, COOLDOWN)
    assert operator.poll(0, 0, active=False) == 2
    assert operator.poll(10, 5, active=False) == 5
    assert operator.poll(20, 0, active=True) == 2


def test_an_error_is_not_an_empty_lane() -> None:
    operator = Operator(0, COOLDOWN)
    operator.poll(0, 4, active=True)
    assert operator.poll(10_000, 4, active=False, failed=True) == 4


@pytest.mark.parametrize(
    ("behaviour", "few", "many"),
    [
        (FallbackBehaviour.STATIC, 3, 3),
        (FallbackBehaviour.CURRENT, 1, 8),
        (FallbackBehaviour.CURRENT_IF_HIGHER, 3, 8),
        (FallbackBehaviour.CURRENT_IF_LOWER, 1, 3),
    ],
)
def test_pods_stand_in_for_the_metric_after_more_failures_than_allowed(
    behaviour: FallbackBehaviour, few: int, many: int
) -> None:
    failures = Failures(Fallback(3, 3, behaviour))
    assert [failures.pods(failed=True, current=1) for _ in range(3)] == [None] * 3
    assert failures.pods(failed=True, current=1) == few
    assert failures.pods(failed=True, current=8) == many
    assert failures.pods(failed=False, current=8) is None
    assert failures.pods(failed=True, current=8) is None
