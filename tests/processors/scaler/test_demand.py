"""How many jobs a lane asks for at a moment: from figures alone."""

from datetime import timedelta

import pytest

from headrace.processors.lag.due_counts import LaneDue
from headrace.processors.scaler.demand import Demand
from headrace.processors.scaler.trigger import Trigger
from headrace.processors.statistics.forecast import Sample
from tests.processors.lag.build import AT

TRIGGER = Trigger("shop.default.normal", 10, timedelta(seconds=30))
FORECASTING = Trigger("shop.default.normal", 10, timedelta(seconds=30), forecast=True)
DUE = LaneDue(((AT // 1000 + 10, 2), (AT // 1000 + 40, 3)))


def growing(per_second: float) -> tuple[Sample, ...]:
    """A backlog that grew up to 100 jobs over a minute."""
    looks = range(-60, 1, 5)
    return tuple(Sample(AT + at * 1000, round(100 + at * per_second)) for at in looks)


def test_what_falls_due_while_a_pod_starts_counts_as_ready() -> None:
    demand = Demand(7, 9, DUE)
    assert demand.jobs(TRIGGER, AT) == 7 + 2
    assert demand.jobs(TRIGGER, AT + 10_000) == 7 + 5


def test_a_lane_needs_a_pod_while_anything_runs_waits_or_is_about_to_fall_due() -> None:
    assert Demand(0, 1, LaneDue()).is_active(TRIGGER, AT)
    assert Demand(0, 0, DUE).is_active(TRIGGER, AT)
    assert not Demand(0, 0, DUE).is_active(TRIGGER, AT - 21_000)
    assert not Demand(0, 0, LaneDue()).is_active(TRIGGER, AT)


@pytest.mark.parametrize(
    ("per_second", "jobs"), [(1.0, 160), (0.4, 124), (0.3, 100), (-1.0, 100), (0.0, 100)]
)
def test_a_forecast_counts_only_where_the_backlog_grows_by_more_than_the_noise(
    per_second: float, jobs: float
) -> None:
    demand = Demand(100, 100, LaneDue(), growing(per_second))
    assert demand.jobs(FORECASTING, AT) == pytest.approx(jobs, abs=1)
    assert demand.jobs(TRIGGER, AT) == 100


def test_too_few_looks_forecast_nothing() -> None:
    demand = Demand(100, 100, LaneDue(), growing(5.0)[-3:])
    assert demand.jobs(FORECASTING, AT) == 100


def test_more_jobs_than_all_pods_can_take_ask_for_no_more() -> None:
    capped = Trigger("shop.default.normal", 10, timedelta(seconds=30), most=40)
    assert Demand(1_000, 1_000, LaneDue()).jobs(capped, AT) == 40
