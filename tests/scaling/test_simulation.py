"""Replaying loads: what comes, waits and is done; strategies compared; files and shapes."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.deploy.errors import LoadFileError
from headrace.deploy.scaling.floors import Floor
from headrace.deploy.scaling.lane_world import LaneWorld, Pods
from headrace.deploy.scaling.load import LaneLoad, Point, joined, read_load
from headrace.deploy.scaling.plan import Plan
from headrace.deploy.scaling.shapes import Shape, shaped
from headrace.deploy.scaling.simulation import Course, World, quantile, simulate
from headrace.deploy.scaling.strategies import STRATEGIES

PLAN = Plan(STRATEGIES["default"], 20.0, timedelta(seconds=30), 1, 12, 12)
MINUTE = timedelta(minutes=1)


def load(*points: tuple[float, float]) -> LaneLoad:
    return LaneLoad("default.normal", tuple(Point(*each) for each in points))


def course(strategy: str = "default", shape: Shape = Shape.BURST, **changes: Any) -> Course:
    plan = replace(PLAN, strategy=STRATEGIES[strategy], **changes)
    return simulate(plan, shaped(shape, "default.normal", 120))


def test_a_pod_does_what_it_can_and_the_rest_waits() -> None:
    world = LaneWorld(4, jobs_per_second=10)
    for second in range(10):
        world.come(second, 25)
        world.work(second, 2, 1)
    assert (world.backlog, world.waits.total()) == (50, 200)
    assert world.oldest(9) == pytest.approx(2, abs=1)
    assert sum(world.lags) == 50
    assert max(world.lags) - min(world.lags) <= 1


def test_pods_beyond_the_partitions_do_nothing_and_uneven_ones_make_some_partitions_wait() -> None:
    many, three, four = (LaneWorld(4, jobs_per_second=10) for _ in range(3))
    for world, pods in ((many, 40), (three, 3), (four, 4)):
        world.come(0, 4000)
        for second in range(50):
            world.work(second, pods, 1)
    assert many.waits == four.waits
    # The pod with two partitions gives each half of what the others get
    assert sorted(three.lags) == [500, 500, 750, 750]


def test_an_idle_pod_cannot_work_ahead() -> None:
    world = LaneWorld(1, jobs_per_second=1)
    for second in range(100):
        world.work(second, 1, 1)
    world.come(100, 10)
    world.work(100, 1, 1)
    assert world.backlog == 9


def test_new_pods_work_after_their_start_and_starting_ones_are_ended_first() -> None:
    pods = Pods(2, start=20)
    pods.scale(100, 5)
    assert (len(pods), pods.ready(119), pods.ready(120)) == (5, 2, 5)
    pods.scale(130, 6)
    pods.scale(131, 5)
    assert pods.ready(131) == 5


RATES = st.lists(st.floats(0, 300), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(RATES, st.sampled_from(sorted(STRATEGIES)), st.integers(0, 3))
def test_no_job_is_lost_and_none_made_up_and_pods_stay_within_bounds(
    rates: list[float], strategy: str, least: int
) -> None:
    plan = replace(PLAN, strategy=STRATEGIES[strategy], least=least)
    given_load = load(*((60.0 * n, rate) for n, rate in enumerate(rates)), (60.0 * len(rates), 0))
    found = simulate(plan, given_load, World(tail=5 * MINUTE))
    # The last one has come, or has not: fractions of a job are added up as floats are
    assert abs(found.jobs - sum(rates) * 60) < 1 + 1e-6
    assert all(least <= sight.replicas <= plan.most for sight in found.sights)
    assert found.longest_wait >= found.p99_wait >= 0
    assert found.left <= found.largest_backlog <= found.jobs


def test_the_same_load_gives_the_same_course() -> None:
    assert course() == course()


def test_aggressive_waits_less_than_default_and_conservative_more_on_a_burst() -> None:
    waits = [course(name).p99_wait for name in ("aggressive", "default", "conservative")]
    assert waits == sorted(waits)
    assert len(set(waits)) == 3


def test_a_forecast_adds_pods_before_the_wait_of_a_growing_backlog_is_over() -> None:
    assert course("predictive").longest_wait < course("default").longest_wait


def test_a_lane_that_may_sleep_does_and_costs_less() -> None:
    awake, asleep = course(), course(least=0)
    assert asleep.sights[-1].replicas == 0
    assert awake.sights[-1].replicas == 1
    assert asleep.pod_hours < awake.pod_hours


def test_a_floor_holds_from_its_start_to_its_end() -> None:
    nine_to_ten = Floor("0 9 * * *", "0 10 * * *", 6)
    found = simulate(
        replace(PLAN, floors=(nine_to_ten,)),
        load((8.5 * 3600, 0), (9.9 * 3600, 0)),
        World(tail=timedelta()),
    )
    before = {sight.replicas for sight in found.sights if sight.at < 1700}
    within = {sight.replicas for sight in found.sights if sight.at > 2200}
    assert (before, within) == ({1}, {6})


def test_pod_hours_are_counted_from_the_decision_on() -> None:
    found = simulate(
        replace(PLAN, least=3, most=3), load((0, 1), (3600, 0)), World(tail=timedelta())
    )
    assert found.pod_hours == pytest.approx(3)
    assert found.moves == 0


def test_jobs_that_are_left_count_with_what_they_have_waited() -> None:
    plan = replace(PLAN, least=1, most=1, jobs_per_second=0.001)
    found = simulate(plan, load((0, 10), (60, 0)), World(tail=10 * MINUTE))
    assert found.left == found.jobs == 600
    assert found.longest_wait == pytest.approx(660)


@pytest.mark.parametrize(("share", "wait"), [(0.5, 1.0), (0.99, 1.0), (1.0, 7.0)])
def test_a_quantile_is_the_wait_of_that_job(share: float, wait: float) -> None:
    assert quantile(Counter({1.0: 99, 7.0: 1}), share) == wait


def test_every_shape_reaches_its_peak_and_ends() -> None:
    for shape in Shape:
        found = shaped(shape, "default.low", 80)
        assert max(point.arrivals for point in found.points) == pytest.approx(80)
        assert found.seconds > 0


CSV = "time,lane,arrivals,lag\n0,a.high,5,1\n0,b.low,1,0\n30,a.high,0,2\n60,b.low,0,0\n"
LINES = (
    '{"time": 0, "lane": "a.high", "arrivals": 5}\n{"time": 0, "lane": "b.low", "arrivals": 1}\n\n'
    '{"time": 30, "lane": "a.high", "arrivals": 0}\n{"time": 60, "lane": "b.low", "arrivals": 0}\n'
)


@pytest.mark.parametrize("text", [CSV, LINES])
def test_a_load_is_read_from_csv_and_from_json_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "load").write_text(text)
    found = read_load(tmp_path / "load")
    assert {each.lane: each.seconds for each in found} == {"a.high": 30, "b.low": 60}
    assert sum(found[0].steps(1.0)) == 150
    assert [each.lane for each in joined(found, "b.low")] == ["b.low"]
    with pytest.raises(
        LoadFileError, match=r"no lane 'c\.low' in this load: it has a\.high, b\.low"
    ):
        joined(found, "c.low")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "fewer than two lines"),
        ("time,lane,arrivals\n0,a.high,5\n", r"lane a\.high of .* has fewer than two lines"),
        ("time,lane\n0,a.high\n", r"load:2: `arrivals` is missing"),
        ("time,lane,arrivals\n0,a.high,many\n", "load:2: time and arrivals are numbers"),
        ("time,lane,arrivals\n0,a.high,-1\n", "load:2: arrivals = -1: 0 or more"),
        ("time,lane,arrivals\n5,a.high,1\n5,a.high,1\n", "load:3: the times of lane a.high"),
        ('{"time": 0,\n', "load:1: is no JSON"),
        ('{"time": 0}\n', "load:1: `lane` is missing"),
    ],
)
def test_a_file_that_is_no_load_is_refused_with_its_line(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "load").write_text(text)
    with pytest.raises(LoadFileError, match=told):
        read_load(tmp_path / "load")


def test_a_file_that_is_not_there_is_answered_with_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(LoadFileError, match="headrace scale record"):
        read_load(tmp_path / "none.csv")
