"""When schedules fire, on paper: no clock, no Kafka.

What can go wrong: a time that a change of the clocks skips is lost, one that comes twice fires
twice; a fire is found from one moment and not from another; an expression that never fires is
accepted.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline import DeclarationError
from headrace.pipeline.schedules import Schedule, fires
from headrace.pipeline.schedules.cron import Cron
from headrace.pipeline.schedules.schedule import NamedJob
from headrace.pipeline.schedules.timing import At, Every, Timing, make_timing

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Apia",  # a whole day was skipped, 30 December 2011
    "Asia/Kathmandu",  # never changes, and is 5:45 ahead
    "UTC",
)


NEAR_A_CHANGE = st.builds(
    lambda day, minutes: datetime.fromisoformat(day) + timedelta(minutes=minutes),
    st.sampled_from(
        [
            "2026-03-28",
            "2026-10-24",
            "2026-03-07",
            "2026-10-31",
            "2026-10-03",
            "2026-04-04",
            "2011-12-29",
            "2026-06-01",
        ]
    ),
    st.integers(0, 36 * 60),
)
QUICK = settings(deadline=None, max_examples=40)


def shown(expression: str, zone: str, after: str, count: int = 4) -> list[str]:
    """The next fires as the zone's clocks show them, with the offset."""
    place = ZoneInfo(zone)
    start = datetime.fromisoformat(after).replace(tzinfo=place)
    found = islice(Cron(expression, place).fires(start), count)
    return [each.astimezone(place).strftime("%m-%d %H:%M:%S%z")[:-2] for each in found]


def schedule(timing: Timing, name: str = "report", **more: object) -> Schedule:
    return Schedule(name, timing, NamedJob("report", {}), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_of_day_that_is_skipped_fires_at_the_change(expression: str) -> None:
    found = shown(expression, "Europe/Berlin", "2026-03-28T12:00")
    assert found == ["03-29 03:00:00+02", "03-30 02:30:00+02", "03-31 02:30:00+02", "04-01 02:30:00+02"]  # fmt: skip


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_of_day_that_comes_twice_fires_the_first_time(expression: str) -> None:
    found = shown(expression, "Europe/Berlin", "2026-10-24T12:00", 2)
    assert found == ["10-25 02:30:00+02", "10-26 02:30:00+01"]


def test_times_that_are_skipped_together_fire_once_together() -> None:
    found = shown("0,20,40 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00")
    assert found == ["03-29 03:00:00+02", "03-29 03:20:00+02", "03-29 03:40:00+02", "03-30 02:00:00+02"]  # fmt: skip


def test_what_fires_by_the_clock_pauses_in_an_hour_that_is_skipped() -> None:
    found = shown("*/30 * * * *", "America/New_York", "2026-03-08T01:15", 3)
    assert found == ["03-08 01:30:00-05", "03-08 03:00:00-04", "03-08 03:30:00-04"]


def test_what_fires_by_the_clock_fires_again_in_an_hour_that_is_repeated() -> None:
    found = shown("*/30 * * * *", "America/New_York", "2026-11-01T00:45", 5)
    assert found == [
        "11-01 01:00:00-04",
        "11-01 01:30:00-04",
        "11-01 01:00:00-05",
        "11-01 01:30:00-05",
        "11-01 02:00:00-05",
    ]


def test_a_change_of_half_an_hour_is_no_exception() -> None:
    assert shown("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 2) == [
        "10-04 02:30:00+11",
        "10-05 02:15:00+11",
    ]
    assert shown("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", 2) == [
        "04-05 01:45:00+11",
        "04-06 01:45:00+10",
    ]


def test_a_day_that_a_country_left_out_fires_when_the_next_one_begins() -> None:
    found = shown("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00", 2)
    assert found == ["12-31 00:00:00+14", "12-30 12:00:00+14"]


def test_a_leap_day_fires_in_leap_years_alone() -> None:
    place = ZoneInfo("UTC")
    found = islice(Cron("0 0 29 2 *", place).fires(datetime(2026, 1, 1, tzinfo=UTC)), 2)
    assert [each.year for each in found] == [2028, 2032]


def test_six_fields_begin_with_the_second() -> None:
    found = shown("*/20 59 23 31 12 *", "Asia/Kathmandu", "2026-06-01T00:00")
    assert found == ["12-31 23:59:00+05", "12-31 23:59:20+05", "12-31 23:59:40+05", "12-31 23:59:00+05"]  # fmt: skip


@pytest.mark.parametrize(
    ("alias", "fields"),
    [("@daily", "0 0 * * *"), ("@hourly", "0 * * * *"), ("@Weekly", "0 0 * * 0")],
)
def test_aliases_stand_for_expressions(alias: str, fields: str) -> None:
    place = ZoneInfo("UTC")
    assert Cron(alias, place).fields == fields
    assert Cron(alias, place).words == Cron(fields, place).words


@QUICK
@given(
    zone=st.sampled_from(ZONES),
    expression=st.sampled_from(
        ["*/17 * * * *", "5 */3 * * *", "*/30 1-3 * * *", "30 1,2 * * *", "0,45 0-3 * * *"]
    ),
    start=NEAR_A_CHANGE,
)
def test_fires_are_as_a_reader_of_the_clock_would_find_them(
    zone: str, expression: str, start: datetime
) -> None:
    """Against going through every minute: what fires by the clock fires at matching times, what
    names times of day fires once for each.
    """
    place = ZoneInfo(zone)
    after = start.replace(tzinfo=UTC, second=0, microsecond=0)
    until = after + timedelta(days=1)
    cron = Cron(expression, place)
    found = list(fires(schedule(cron), after, until))
    assert all(sooner < later for sooner, later in pairwise(found))
    minutes = [after + timedelta(minutes=n) for n in range(1, 24 * 60 + 1)]
    wall = [each.astimezone(place).replace(tzinfo=None) for each in minutes]
    if cron.names_times_of_day:
        # Each time of day since the last look, at the first minute whose clock has reached it.
        expected, reached = [], after.astimezone(place).replace(tzinfo=None, fold=0)
        for minute, clock in zip(minutes, wall, strict=True):
            if clock > reached and _matches_between(expression, reached, clock):
                expected.append(minute)
            reached = max(reached, clock)
    else:
        pairs = zip(minutes, wall, strict=True)
        expected = [minute for minute, clock in pairs if _matches(expression, clock)]
    assert found == expected


def _matches(expression: str, clock: datetime) -> bool:
    return next(CronSim(expression, clock - timedelta(seconds=1))) == clock.replace(fold=0)


def _matches_between(expression: str, after: datetime, until: datetime) -> bool:
    return next(CronSim(expression, after)) <= until


@QUICK
@given(
    timing=st.sampled_from(
        [
            *(Cron("*/20 * * * *", ZoneInfo(zone)) for zone in ZONES),
            *(Cron("30 1-3 * * *", ZoneInfo(zone)) for zone in ZONES),
            Every(timedelta(minutes=7)),
        ]
    ),
    start=NEAR_A_CHANGE,
    share=st.floats(0, 1),
)
def test_the_same_fires_are_found_from_wherever_one_looks(
    timing: Timing, start: datetime, share: float
) -> None:
    after = start.replace(tzinfo=UTC)
    until = after + timedelta(days=1)
    middle = after + share * (until - after)
    halves = [*fires(schedule(timing), after, middle), *fires(schedule(timing), middle, until)]
    assert halves == list(fires(schedule(timing), after, until))


def test_an_interval_knows_no_clocks() -> None:
    start = datetime(2026, 3, 29, tzinfo=ZoneInfo("Europe/Berlin"))
    found = list(islice(Every(timedelta(hours=7)).fires(start), 5))
    assert {later - sooner for sooner, later in pairwise(found)} == {timedelta(hours=7)}


def test_a_moment_fires_once() -> None:
    moment = datetime(2026, 5, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert list(At(moment).fires(moment - timedelta(days=1))) == [moment]
    assert list(At(moment).fires(moment)) == []


def test_jitter_is_the_same_for_the_same_fire_and_within_its_bound() -> None:
    jittery = schedule(Every(timedelta(minutes=1)), jitter=timedelta(seconds=30))
    again = schedule(Every(timedelta(minutes=1)), jitter=timedelta(seconds=30))
    other = schedule(Every(timedelta(minutes=1)), "other", jitter=timedelta(seconds=30))
    times = [60_000 * n for n in range(1, 200)]
    waits = [jittery.due(fire) - fire for fire in times]
    assert waits == [again.due(fire) - fire for fire in times]
    assert waits != [other.due(fire) - fire for fire in times]
    assert min(waits) >= 0
    assert 25_000 < max(waits) <= 30_000
    assert max(waits) - min(waits) > 20_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cron": "0 0 30 2 *"}, "never fires"),
        ({"cron": "0 0 31 4,6 *"}, "never fires"),
        ({"cron": "61 * * * *"}, "bad minute"),
        ({"cron": "* * *"}, "has 3 fields"),
        ({"cron": "@reboot"}, "@daily"),
        ({"cron": "@daily", "timezone": "Europe/Berlni"}, "did you mean Europe/Berlin"),
        ({"cron": "@daily", "timezone": "+01:00"}, "IANA name"),
        ({"every": timedelta(milliseconds=999)}, "between a second"),
        ({"every": timedelta()}, "between a second"),
        ({"at": datetime(2026, 1, 1)}, "tzinfo=UTC"),  # noqa: DTZ001
        ({"cron": "@daily", "every": timedelta(hours=1)}, "exactly one"),
        ({}, "exactly one"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write_instead(
    given: dict[str, object], said: str
) -> None:
    times: dict[str, object] = {"cron": None, "every": None, "at": None, "timezone": None}
    with pytest.raises(DeclarationError, match=said):
        make_timing(**(times | given))  # type: ignore[arg-type]
