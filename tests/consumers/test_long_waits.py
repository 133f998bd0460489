"""Long waits, hop by hop, on clocks of the test's own.

The scheduler's own parts move the records; the broker is a list for each tier with a clock that
stamps what is appended. What can go wrong: a record is released before its time, by the clock of
whoever releases it; it goes round between tiers without a pause; it is never released.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.consumers import hops
from headrace.consumers.records import Assignment
from headrace.consumers.stray import read_delayed
from headrace.consumers.tiers_in_hand import TiersInHand
from headrace.consumers.waiting import DelayedRecord
from headrace.pipeline import Pipeline
from headrace.pipeline.topology import ARRIVAL, TIERS, tier_for
from headrace.producers.options import SubmitOptions
from headrace.schemas.headers import JobHeaders

BEGIN = 1_700_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LANE = "shop.default.normal"
TOPOLOGY = Pipeline("shop").topology
TOPICS = {TOPOLOGY.tier(tier): tier for tier in TIERS}


@dataclass
class Message:
    """As much of a consumed message as the scheduler looks at."""

    appended: int
    record_headers: list[tuple[str, bytes | None]]

    def headers(self) -> list[tuple[str, bytes | None]]:
        return self.record_headers

    def timestamp(self) -> tuple[int, int]:
        return 2, self.appended

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"arguments"

    def offset(self) -> int:
        return 0


@dataclass
class World:
    """One job that waits, and the clocks of those who move it.

    Attributes:
        true: What time it is, in epoch milliseconds.
        broker: How far the broker's clock is ahead.
        scheduler: How far the scheduler's is ahead, which may change with every look.
        visited: The tiers that the record was in.
        released: The scheduler's time at its release, and the true time.
    """

    true: int = BEGIN
    broker: int = 0
    scheduler: Callable[[], int] = lambda: 0
    visited: list[str] = field(default_factory=list)
    released: tuple[int, int] | None = None

    def submit(self, due: int) -> None:
        """By a producer whose clock is right."""
        job = JobHeaders("j1", "work", "/headrace/shop", self.true, LANE, due=due)
        tier = tier_for(max(0, due - self.true))
        self._append(TOPOLOGY.tier(tier), job.encode())

    def run(self, looks: Callable[[int], int] = lambda until: until, most: int = 1_000) -> None:
        """Let the scheduler look again and again until the record is released.

        `looks` says when it looks next, given when it means to.
        """
        for _ in range(most):
            now = self.true + self.scheduler()
            if self._in_hand.take_due(now, 1):
                self.released = (now, self.true)
                return
            for record in self._in_hand.take_waited(now, 1):
                self._hop(record, now)
            upcoming = self._in_hand.next_move()
            assert upcoming is not None
            self.true = max(self.true, looks(upcoming - self.scheduler()))
        raise AssertionError(f"after {most} looks it is not released: {self.visited[-9:]}")

    def _hop(self, record: DelayedRecord, now: int) -> None:
        moved = hops.hop(record, hops.next_tier(record, now), TOPOLOGY, now).handover
        assert moved is not None
        self._append(moved.topic, moved.headers)

    def _append(self, topic: str, headers: list[tuple[str, bytes | None]]) -> None:
        self.visited.append(TOPICS[topic].name)
        message: Any = Message(self.true + self.broker, headers)
        self._in_hand = TiersInHand(TOPOLOGY.tier(TIERS[0]), 1_000_000)
        now = self.true + self.scheduler()
        record = read_delayed(message, Assignment(topic, 0, 1), TOPICS[topic], {LANE}, now)
        assert isinstance(record, DelayedRecord)
        self._in_hand.take_in(record)


def waited(delay: int, **world: Any) -> World:
    world_ = World(**world)
    world_.submit(BEGIN + delay)
    world_.run()
    return world_


def test_ninety_days_are_waited_in_ninety_hops_or_so_and_end_on_the_millisecond() -> None:
    world = waited(90 * DAY)
    assert world.released == (BEGIN + 90 * DAY,) * 2
    assert world.visited[:89] == ["24h"] * 89
    assert world.visited[89:] == [
        *["8h"] * 2,
        *["2h"] * 3,
        *["30m"] * 3,
        *["10m"] * 2,
        "5m",
        *["2m"] * 2,
        "30s",
        "20s",
        "soon",
    ]


@pytest.mark.parametrize("delay", [*(each.wait for each in TIERS), timedelta(seconds=61)])
def test_the_last_tier_is_soon_well_before_the_time_also_for_delays_of_a_tiers_length(
    delay: timedelta,
) -> None:
    world = World()
    world.submit(BEGIN + delay // timedelta(milliseconds=1))
    reached: list[int] = []

    def look(until: int) -> int:
        if world.visited[-1] == "soon" and not reached:
            reached.append(world.true)
        return until

    world.run(look)
    arrival = ARRIVAL // timedelta(milliseconds=1)
    due = BEGIN + delay // timedelta(milliseconds=1)
    assert world.released == (due, due)
    assert not reached or reached[0] <= max(BEGIN, due - arrival)


@given(remaining=st.integers(10_001, 90 * DAY))
def test_a_tier_is_left_a_third_of_its_wait_before_the_time(remaining: int) -> None:
    left = remaining - tier_for(remaining).wait // timedelta(milliseconds=1)
    assert left >= (remaining - left) / 3


@given(delay=st.integers(0, 400 * DAY))
def test_any_delay_ends_on_the_millisecond_in_few_hops(delay: int) -> None:
    world = waited(delay)
    assert world.released == (BEGIN + delay,) * 2
    assert len(world.visited) <= delay // DAY + 25
    assert world.visited[-1] == "soon"


@given(delay=st.integers(0, 10 * DAY), broker=st.integers(-HOUR, HOUR))
def test_a_broker_whose_clock_differs_makes_nothing_early_or_late(delay: int, broker: int) -> None:
    world = waited(delay, broker=broker)
    assert world.released == (BEGIN + delay,) * 2
    assert len(world.visited) <= 40, "it went round without a pause"


@given(delay=st.integers(0, 3 * DAY), skew=st.integers(-HOUR, HOUR))
def test_a_schedulers_wrong_clock_is_the_only_error_there_is(delay: int, skew: int) -> None:
    world = waited(delay, scheduler=lambda: skew)
    assert world.released is not None
    own, true = world.released
    assert own >= BEGIN + delay
    assert true == max(BEGIN, BEGIN + delay - skew)
    assert len(world.visited) <= 40, "it went round without a pause"


@given(
    delay=st.integers(0, 3 * DAY),
    skews=st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=5),
)
def test_several_schedulers_of_different_clocks_release_by_their_own_and_none_too_soon(
    delay: int, skews: list[int]
) -> None:
    world = World()
    world.scheduler = lambda: skews[len(world.visited) % len(skews)]
    world.submit(BEGIN + delay)
    world.run()
    assert world.released is not None
    own, true = world.released
    assert own >= BEGIN + delay
    assert abs(true - (BEGIN + delay)) <= 5_000 or delay < 5_000
    assert len(world.visited) <= 40


@given(
    delay=st.integers(0, DAY),
    steps=st.lists(st.integers(-2 * HOUR, 2 * HOUR), min_size=1, max_size=30),
    pauses=st.lists(st.integers(0, HOUR), min_size=1, max_size=30),
)
@settings(max_examples=200)
def test_a_wall_clock_that_steps_back_and_forth_releases_nothing_before_it_says_so(
    delay: int, steps: list[int], pauses: list[int]
) -> None:
    world = World()
    looks = iter(range(1_000_000))
    stepping: list[int] = list(steps)
    pausing = list(pauses)
    world.scheduler = lambda: stepping[0] if stepping else 0

    def look(until: int) -> int:
        next(looks)
        if stepping:
            stepping.pop()
            return world.true + (pausing.pop() if pausing else MINUTE)
        return until

    world.submit(BEGIN + delay)
    world.run(look, most=2_000)
    assert world.released is not None
    own, _ = world.released
    assert own >= BEGIN + delay


# -- daylight saving -------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def due_of(at: datetime) -> int | None:
    return SubmitOptions(at=at).due(BEGIN)


def moments(values: Iterable[tuple[datetime, datetime]]) -> list[tuple[int | None, int]]:
    return [(due_of(local), int(utc.timestamp() * 1000)) for local, utc in values]


def test_a_local_time_is_the_moment_that_its_zone_says_on_both_edges_of_summer_time() -> None:
    def utc(day: int, month: int, hour: int) -> datetime:
        return datetime(2024, month, day, hour, 30, tzinfo=UTC)

    pairs = [
        (datetime(2024, 3, 31, 1, 30, tzinfo=BERLIN), utc(31, 3, 0)),
        # 02:30 does not exist on that day: it is an hour after 01:30, when clocks show 03:30
        (datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN), utc(31, 3, 1)),
        (datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN), utc(31, 3, 1)),
        # 02:30 comes twice on that day: fold tells which
        (datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), utc(27, 10, 0)),
        (datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), utc(27, 10, 1)),
    ]
    for due, moment in moments(pairs):
        assert due == moment


def test_a_delay_is_as_long_over_a_change_of_the_clocks_as_on_any_other_day() -> None:
    eve = int(datetime(2024, 3, 30, 12, 0, tzinfo=BERLIN).timestamp() * 1000)
    assert SubmitOptions(delay=timedelta(days=1)).due(eve) == eve + DAY
    world = World(true=eve)
    world.submit(eve + DAY)
    world.run()
    assert world.released == (eve + DAY, eve + DAY)
