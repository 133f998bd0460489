"""What a HorizontalPodAutoscaler decides: ratio, tolerance, windows, policies, bounds."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.deploy.scaling.horizontal import Decision, Horizontal, Metric
from headrace.deploy.scaling.rules import Policy, Rules, Select, percent, pods
from headrace.deploy.scaling.strategies import STRATEGIES


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


FREE = Rules(timedelta(), (percent(10_000, seconds(15)), pods(1000, seconds(15))), tolerance=0.0)
FREE_DOWN = Rules(timedelta(), (percent(100, seconds(15)),))


def lag(value: float | None, target: float = 10) -> list[Metric]:
    return [Metric("lag", value, target)]


def made(up: Rules = FREE, down: Rules = FREE_DOWN, least: int = 1, most: int = 100) -> Horizontal:
    return Horizontal(up, down, least, most)


def decided(current: int, value: float, **rules: Any) -> Decision:
    return made(**rules).decide(0, current, lag(value))


@pytest.mark.parametrize(
    ("current", "value", "replicas"),
    [(1, 11, 2), (1, 10, 1), (5, 100, 10), (10, 1, 1), (3, 2000, 100), (4, 0, 1), (0, 500, 0)],
)
def test_pods_are_the_metric_over_the_target_rounded_up_within_the_bounds(
    current: int, value: float, replicas: int
) -> None:
    assert decided(current, value).replicas == replicas


def test_without_a_tolerance_of_its_own_63_pods_of_64_are_enough() -> None:
    cluster = Rules(timedelta(), FREE.policies)
    assert decided(63, 640, up=cluster).replicas == 63
    assert decided(63, 640).replicas == 64
    # 59 of 64 miss by 8 %, 58 by more than 10
    assert decided(59, 640, up=cluster).replicas == 59
    assert decided(58, 640, up=cluster).replicas == 64


def test_going_down_has_the_clusters_tolerance_of_its_own() -> None:
    assert decided(10, 90).replicas == 10
    assert decided(10, 89).replicas == 9


@pytest.mark.parametrize(("current", "replicas"), [(150, 100), (2, 5)])
def test_pods_outside_the_bounds_are_brought_inside_whatever_is_wanted(
    current: int, replicas: int
) -> None:
    assert decided(current, 50_000 if current > 100 else 0, least=5).replicas == replicas


def test_several_metrics_make_the_highest_not_the_sum() -> None:
    metrics = [Metric("lag", 30, 10), Metric("floor", 4, 1)]
    assert made().decide(0, 1, metrics).replicas == 4


def test_a_metric_that_cannot_be_had_never_takes_pods_away_but_the_others_may_add_some() -> None:
    autoscaler = made()
    assert autoscaler.decide(0, 5, lag(None)).replicas == 5
    broken = Metric("floor", None, 1)
    assert autoscaler.decide(15, 5, [*lag(10), broken]).replicas == 5
    assert autoscaler.decide(30, 5, [*lag(80), broken]).replicas == 8


@pytest.mark.parametrize(
    ("policies", "select", "reached"),
    [
        ((pods(4, seconds(60)),), Select.MAX, 14),
        ((percent(100, seconds(60)),), Select.MAX, 20),
        ((percent(100, seconds(60)), pods(4, seconds(60))), Select.MAX, 20),
        ((percent(100, seconds(60)), pods(4, seconds(60))), Select.MIN, 14),
        ((pods(4, seconds(60)),), Select.DISABLED, 10),
    ],
)
def test_policies_bound_the_way_up(
    policies: tuple[Policy, ...], select: Select, reached: int
) -> None:
    assert decided(10, 1000, up=Rules(timedelta(), policies, select)).replicas == reached


def test_percents_are_rounded_up_in_the_controllers_own_floating_point() -> None:
    tenth = Rules(timedelta(), (percent(10, seconds(60)),))
    assert decided(100, 9999, up=tenth, most=1000).replicas == 111
    assert decided(3, 9999, up=tenth, most=1000).replicas == 4


@pytest.mark.parametrize(
    ("policies", "select", "reached"),
    [
        ((pods(4, seconds(60)),), Select.MAX, 6),
        ((percent(30, seconds(60)),), Select.MAX, 7),
        ((percent(30, seconds(60)), pods(4, seconds(60))), Select.MAX, 6),
        ((percent(30, seconds(60)), pods(4, seconds(60))), Select.MIN, 7),
        ((pods(4, seconds(60)),), Select.DISABLED, 10),
    ],
)
def test_policies_bound_the_way_down(
    policies: tuple[Policy, ...], select: Select, reached: int
) -> None:
    assert decided(10, 1, down=Rules(timedelta(), policies, select)).replicas == reached


def run(autoscaler: Horizontal, values: list[float], current: int, every: int = 15) -> list[int]:
    found = []
    for number, value in enumerate(values):
        current = autoscaler.decide(number * every, current, lag(value)).replicas
        found.append(current)
    return found


def test_a_policy_counts_what_was_added_within_its_period() -> None:
    rules = Rules(timedelta(), (pods(4, seconds(60)),))
    assert run(made(rules), [1000.0] * 6, 2) == [6, 6, 6, 6, 10, 10]


def test_what_was_removed_within_a_period_may_be_added_again() -> None:
    down = Rules(timedelta(), (pods(3, seconds(60)),))
    up = Rules(timedelta(), (pods(1, seconds(60)),))
    assert run(made(up, down), [1, 1000, 1000], 10) == [7, 11, 11]


def test_up_goes_what_was_wanted_at_least_throughout_the_window() -> None:
    rules = Rules(seconds(60), FREE.policies)
    # The first recommendation is what there is; a dip begins the window anew
    assert run(made(rules), [80, 80, 80, 80, 80, 80], 2) == [2, 2, 2, 2, 8, 8]
    assert run(made(rules), [80, 80, 40, 80, 80, 80, 80], 2) == [2, 2, 2, 2, 4, 4, 8]


def test_down_goes_what_was_wanted_at_most_throughout_the_window() -> None:
    rules = Rules(seconds(60), FREE_DOWN.policies)
    assert run(made(down=rules), [10, 10, 10, 10, 10], 5) == [5, 5, 5, 5, 1]
    assert run(made(down=rules), [50, 10, 30, 10, 10, 10, 10], 5) == [5, 5, 5, 5, 3, 3, 1]


def test_the_default_strategy_waits_a_minute_and_then_doubles() -> None:
    default = STRATEGIES["default"]
    autoscaler = Horizontal(default.up, default.down, 1, 60)
    assert run(autoscaler, [600.0] * 9, 2) == [2, 2, 2, 2, 6, 6, 6, 6, 12]


RULES = st.builds(
    Rules,
    st.integers(0, 120).map(seconds),
    st.lists(
        st.builds(lambda make, n, s: make(n, seconds(s)), st.sampled_from([pods, percent]),
                  st.integers(1, 200), st.integers(1, 120)),
        min_size=1, max_size=3,
    ).map(tuple),
    st.sampled_from(Select),
    st.none() | st.floats(0, 0.5),
)  # fmt: skip
VALUES = st.lists(st.floats(0, 2000), min_size=1, max_size=25)


@given(RULES, RULES, VALUES, st.integers(1, 5), st.integers(5, 40), st.integers(1, 40))
def test_whatever_happens_it_stays_within_its_bounds(
    up: Rules, down: Rules, values: list[float], least: int, most: int, begin: int
) -> None:
    found = run(Horizontal(up, down, least, most), values, begin)
    assert all(least <= each <= most for each in found)


@given(RULES, RULES, VALUES, st.integers(1, 40))
def test_it_never_moves_away_from_what_is_wanted(
    up: Rules, down: Rules, values: list[float], begin: int
) -> None:
    autoscaler, current = Horizontal(up, down, 1, 40), begin
    for number, value in enumerate(values):
        decision = autoscaler.decide(number * 15, current, lag(value))
        wanted = decision.wanted
        assert wanted is not None
        low, high = sorted((min(max(wanted, 1), 40), current))
        assert low <= decision.replicas <= high
        current = decision.replicas


@given(RULES, VALUES, st.integers(1, 40))
def test_within_one_period_no_more_is_added_than_the_policies_let(
    up: Rules, values: list[float], begin: int
) -> None:
    up = Rules(up.window, (pods(3, seconds(60)),), up.select, up.tolerance)
    never = Rules(timedelta(), (pods(1, seconds(60)),), Select.DISABLED)
    found = [begin, *run(Horizontal(up, never, 1, 1000), values, begin)]
    # Four decisions, 15 s apart, lie within one minute
    assert all(later - now <= 3 for now, later in zip(found, found[4:], strict=False))


@given(st.floats(0, 2000), st.floats(0, 2000), st.integers(1, 40))
def test_a_higher_metric_never_gives_fewer_pods(one: float, other: float, current: int) -> None:
    low, high = sorted((one, other))
    assert decided(current, low).replicas <= decided(current, high).replicas
