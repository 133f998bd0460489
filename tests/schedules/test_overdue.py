"""What is done about fires that are late or were missed, on a fake clock.

What can go wrong: a fire that is a little late is dropped; a policy fires more than it says, or
goes through a year of missed seconds to find the last ones; jitter lets a fire out before it is due.
"""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline import DeclarationError, Misfire
from headrace.pipeline.schedules.overdue import MOST_COUNTED, Overdue, latest, overdue
from headrace.pipeline.schedules.schedule import NamedJob, Schedule
from headrace.pipeline.schedules.timing import At, Every, from_epoch, make_timing

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = 20_000 * DAY + 12 * HOUR


def every_minute(misfire: Misfire | None = None, **more: object) -> Schedule:
    job = NamedJob("report", {})
    timing = Every(timedelta(minutes=1))
    return Schedule("report", timing, job, misfire or Misfire(), **more)  # type: ignore[arg-type]


def test_nothing_is_due_before_its_time() -> None:
    assert overdue(every_minute(), NOON, NOON + MINUTE - 1, NOON + MINUTE - 1) is None


def test_a_fire_is_due_at_its_time() -> None:
    now = NOON + MINUTE
    assert overdue(every_minute(), NOON, now, now) == Overdue((now,), now)


@pytest.mark.parametrize("misfire", [Misfire.skip(), Misfire.run_once(), Misfire.catch_up(1)])
def test_what_is_late_within_the_grace_fires_whatever_the_policy(misfire: Misfire) -> None:
    now = NOON + 2 * MINUTE
    found = overdue(every_minute(misfire), NOON, now, now)
    assert found == Overdue((NOON + MINUTE, now), now)


def test_skip_drops_what_was_missed_and_all_that_is_due_by_then() -> None:
    now = NOON + 10 * MINUTE + 5
    assert overdue(every_minute(Misfire.skip()), NOON, now, now) == Overdue((), now, 10)


def test_run_once_fires_the_last_one_for_all() -> None:
    now = NOON + 10 * MINUTE + 5
    found = overdue(every_minute(Misfire.run_once()), NOON, now, now)
    assert found == Overdue((NOON + 10 * MINUTE,), now, 9)


def test_catch_up_fires_the_last_ones_in_order() -> None:
    now = NOON + 10 * MINUTE + 5
    found = overdue(every_minute(Misfire.catch_up(3)), NOON, now, now)
    wanted = tuple(NOON + n * MINUTE for n in (8, 9, 10))
    assert found == Overdue(wanted, now, 7)


def test_catching_up_goes_on_where_it_was_when_it_is_more_than_one_look() -> None:
    schedule = every_minute(Misfire.catch_up(1_200))
    fired: list[int] = []
    now, after, missed = NOON + 3_000 * MINUTE, NOON, 0
    while (found := overdue(schedule, after, now, now)) is not None:
        fired += found.fires
        missed += found.missed
        after = found.through
    assert fired == [NOON + n * MINUTE for n in range(1_801, 3_001)]
    assert missed == 1_800


def test_a_year_of_missed_seconds_is_not_gone_through() -> None:
    timing = make_timing("* * * * * *", None, None, "Europe/Berlin")
    schedule = Schedule("often", timing, NamedJob("report", {}), Misfire.catch_up(2))
    now = NOON + 365 * DAY
    assert overdue(schedule, NOON, now, now) == Overdue((now - 1000, now), now, MOST_COUNTED)


def test_a_pause_or_a_stop_of_the_span_ends_what_is_due() -> None:
    now = NOON + 3 * MINUTE
    schedule = every_minute(Misfire.catch_up(9))
    assert overdue(schedule, NOON, NOON + MINUTE, now) == Overdue((NOON + MINUTE,), NOON + MINUTE)


def test_a_moment_that_was_missed_is_fired_once() -> None:
    moment = from_epoch(NOON + MINUTE)
    schedule = Schedule("once", At(moment), NamedJob("report", {}))
    now = NOON + DAY
    assert overdue(schedule, NOON, now, now) == Overdue((NOON + MINUTE,), now)
    assert overdue(schedule, now, now + DAY, now + DAY) is None


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(st.integers(1, 150_000), min_size=5, max_size=40),
    jitter=st.integers(0, 59),
)
def test_every_fire_is_fired_once_in_order_and_never_early_whenever_one_looks(
    steps: list[int], jitter: int
) -> None:
    schedule = every_minute(
        Misfire.catch_up(9_999, grace=timedelta(minutes=1)), jitter=timedelta(seconds=jitter)
    )
    fired: list[int] = []
    now, after = NOON, NOON
    for step in steps:
        now += step
        found = overdue(schedule, after, now, now)
        if found is not None:
            assert found.missed == 0
            assert all(schedule.due(fire) <= now for fire in found.fires)
            fired += found.fires
            after = found.through
    assert all(sooner < later for sooner, later in pairwise(fired))
    assert fired == [NOON + n * MINUTE for n in range(1, len(fired) + 1)]
    late = now - jitter * 1000 - MINUTE
    assert not fired or fired[-1] >= late - MINUTE


@given(most=st.integers(1, 50), span=st.integers(0, 3 * DAY))
def test_the_last_fires_are_those_that_a_walk_through_all_would_end_with(
    most: int, span: int
) -> None:
    schedule = every_minute()
    walked = [NOON + n * MINUTE for n in range(1, span // MINUTE + 1)]
    assert latest(schedule, NOON, NOON + span, most) == tuple(walked[-most:])


@pytest.mark.parametrize("most", [0, 10_001])
def test_catching_up_has_a_bound(most: int) -> None:
    with pytest.raises(DeclarationError, match="backfill"):
        Misfire.catch_up(most)


def test_a_grace_of_nothing_would_miss_every_fire() -> None:
    with pytest.raises(DeclarationError, match="a little late"):
        Misfire.skip(grace=timedelta())
