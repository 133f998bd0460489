"""What KEDA's kafka trigger counts: its rules, and what was seen on a real one (docs/scaling.md)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.deploy.scaling.kafka_trigger import (
    KafkaTrigger,
    PartitionOffsets,
    Reset,
    next_divisor,
)


def part(end: int, committed: int | None, start: int = 0) -> PartitionOffsets:
    return PartitionOffsets(0, start, end, committed)


def asked(trigger: KafkaTrigger, *lags: int) -> int:
    """Pods that the autoscaler, which rounds up, makes of it."""
    return -(-trigger.tell(lags).metric // trigger.threshold)


PLAIN = KafkaTrigger(10, even=False)
LATEST = KafkaTrigger(10, even=False, reset=Reset.LATEST)


@pytest.mark.parametrize(
    ("trigger", "offsets", "counted"),
    [
        (PLAIN, part(100, 40), 60),
        (PLAIN, part(100, 100), 0),
        # Without a commit: earliest counts what is kept, latest 1, empty or full
        (PLAIN, part(1000, None, start=800), 200),
        (LATEST, part(1000, None), 1),
        (LATEST, part(0, None), 1),
        (KafkaTrigger(10, invalid_is_zero=True), part(1000, None), 0),
        (KafkaTrigger(10, reset=Reset.LATEST, invalid_is_zero=True), part(1000, None), 0),
        # A commit below the log's start counts the deleted records: 1,000 told, 200 there
        (PLAIN, part(1000, 0, start=800), 1000),
        # A commit beyond the end counts below zero
        (PLAIN, part(100, 150), -50),
    ],
)
def test_the_lag_of_a_partition(
    trigger: KafkaTrigger, offsets: PartitionOffsets, counted: int
) -> None:
    assert trigger.lag_of(offsets) == counted


def test_a_commit_beyond_the_end_is_taken_from_the_other_partitions() -> None:
    assert PLAIN.read([part(70, 0), part(0, 50)]).lag == 20


@pytest.mark.parametrize(
    ("trigger", "lags", "pods"),
    [
        (PLAIN, (5, 0, 0), 1),
        (PLAIN, (11, 0, 0), 2),
        (PLAIN, (1000, 0, 0), 3),
        # The bound counts in whole pods, and the autoscaler rounds up: 6 pods for 5 partitions
        (KafkaTrigger(5, even=False), (26, 0, 0, 0, 0), 6),
        (KafkaTrigger(5, even=False), (29, 0, 0, 0, 0), 6),
        (KafkaTrigger(5, even=False), (30, 0, 0, 0, 0), 5),
        # One hot partition of eight: 8 by default and even, 1 with only what lags
        (PLAIN, (1000, 0, 0, 0, 0, 0, 0, 0), 8),
        (KafkaTrigger(10), (1000, 0, 0, 0, 0, 0, 0, 0), 8),
        (KafkaTrigger(10, even=False, only_lagging=True), (1000, 0, 0, 0, 0, 0, 0, 0), 1),
        (KafkaTrigger(10, even=False, idle_allowed=True), (1000, 0), 100),
        # Even distribution: divisors of 12 alone, and 1 without any lag
        (KafkaTrigger(10), (45, *[0] * 11), 6),
        (KafkaTrigger(10), (65, *[0] * 11), 12),
        (KafkaTrigger(10), tuple([0] * 12), 1),
    ],
)
def test_pods_that_lags_ask_for(trigger: KafkaTrigger, lags: tuple[int, ...], pods: int) -> None:
    assert asked(trigger, *lags) == pods


def test_it_is_active_above_the_activation_and_even_distribution_changes_nothing_of_that() -> None:
    trigger = KafkaTrigger(10, activation=5)
    assert not trigger.tell([5]).active
    assert trigger.tell([6]).active
    assert not KafkaTrigger(10).tell([0, 0]).active


LAGS = st.lists(st.integers(0, 5000), min_size=1, max_size=60)
THRESHOLDS = st.integers(1, 800)


@given(LAGS, THRESHOLDS)
def test_with_even_distribution_pods_are_a_divisor_and_never_more_than_partitions(
    lags: list[int], threshold: int
) -> None:
    pods = asked(KafkaTrigger(threshold), *lags)
    assert 1 <= pods <= len(lags)
    assert len(lags) % pods == 0


@given(LAGS, THRESHOLDS, st.booleans(), st.booleans())
def test_without_it_pods_are_one_more_than_the_bound_at_most(
    lags: list[int], threshold: int, only: bool, idle: bool
) -> None:
    trigger = KafkaTrigger(threshold, even=False, only_lagging=only, idle_allowed=idle)
    reading = trigger.tell(lags)
    if reading.bound is not None:
        assert asked(trigger, *lags) <= reading.bound + 1


@given(LAGS, THRESHOLDS, st.booleans(), st.integers(0, 500), st.data())
def test_more_lag_never_asks_for_fewer_pods_up_to_where_the_bound_takes_over(
    lags: list[int], threshold: int, even: bool, more: int, data: st.DataObject
) -> None:
    trigger = KafkaTrigger(threshold, even=even)
    grown = list(lags)
    grown[data.draw(st.integers(0, len(lags) - 1))] += more
    before, after = asked(trigger, *lags), asked(trigger, *grown)
    assert after >= min(before, len(lags))


@given(st.integers(1, 100), st.integers(0, 100_000), THRESHOLDS)
def test_the_divisor_has_room_for_the_lag_or_is_the_last(
    partitions: int, lag: int, threshold: int
) -> None:
    found = next_divisor(lag, partitions, threshold)
    assert partitions % found == 0
    assert found * threshold >= lag or found == partitions
