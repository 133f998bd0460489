"""`headrace scale explain`: the rules in words, and where the count would go."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.deploy.scaling.explaining import Explanation, Moment, Truth, explain
from headrace.deploy.scaling.floors import Floor
from headrace.deploy.scaling.kafka_trigger import PartitionOffsets
from headrace.deploy.scaling.lane_scaler import Trouble, settle, told_by_lags
from headrace.deploy.scaling.plan import Plan
from headrace.deploy.scaling.strategies import STRATEGIES

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def plan(strategy: str = "default", **given: Any) -> Plan:
    chosen: dict[str, Any] = {
        "jobs_per_second": 20.0,
        "wait": timedelta(seconds=30),
        "least": 1,
        "most": 12,
        "partitions": 12,
    }
    return Plan(STRATEGIES[strategy], **{**chosen, **given})


def offsets(lags: Sequence[int]) -> list[PartitionOffsets]:
    return [PartitionOffsets(number, 0, 500 + lag, 500) for number, lag in enumerate(lags)]


def lagging(count: int, replicas: int = 1, **given: Any) -> Explanation:
    moment = Moment(NOON, replicas, offsets([count, *[0] * 11]), Truth(count, 0, 0, 0))
    return explain(plan(**given), moment)


def says(found: Explanation, name: str) -> str:
    [step] = [each for each in found.steps if each.name == name]
    return step.says


def test_every_number_on_the_way_from_lag_to_pods_is_told() -> None:
    found = lagging(4213, replicas=2)
    assert "KEDA counts 4,213 records" in says(found, "lag")
    assert "one pod is for 600 jobs: 20 a second * 30s" in says(found, "threshold")
    assert "4,213 / 600 asks for 8 pods" in says(found, "trigger")
    assert "raised to 12 pods" in says(found, "trigger")
    assert "7,200 / 600, rounded up, wants 12 pods" in says(found, "autoscaler")
    assert "100 % in 1m or 4 pods in 1m, whichever is more" in says(found, "policies")
    assert "at every look of the last 1m" in says(found, "windows")
    assert "2 pods (currentReplicasIfHigher, 1)" in says(found, "fallback")
    assert found.wanted == 12


def test_the_course_waits_for_the_window_and_keeps_to_the_policies() -> None:
    assert lagging(4213, replicas=2).moves == ((0, 2), (60, 6), (120, 12))
    assert [pods for _, pods in lagging(4213, strategy="aggressive").moves] == [1, 5, 10, 12]
    assert [pods for _, pods in lagging(1100, strategy="conservative").moves] == [1]


def test_a_lane_that_sleeps_is_woken_first_and_scaled_then() -> None:
    found = lagging(1300, replicas=0, least=0)
    assert "the first pod at its next look, within 10s" in says(found, "activation")
    assert [pods for _, pods in found.moves] == [0, 1, 3]
    assert lagging(0, replicas=0, least=0).wanted == 0


def test_an_empty_lane_goes_down_a_pod_at_a_time_and_to_sleep_after_the_cooldown() -> None:
    found = lagging(0, replicas=2, least=0)
    assert "goes when nothing was to do for 5m" in says(found, "cooldown")
    assert found.settled == 0
    # KEDA does not wait for the autoscaler: from however many there are
    assert found.moves[-1][0] == pytest.approx(300, abs=11)


def test_the_truth_stands_beside_the_lag() -> None:
    moment = Moment(NOON, 1, offsets([100] * 12), Truth(900, 300, running=50, overdue=7, lost=2))
    told = says(explain(plan(), moment), "ready backlog")
    assert "857 jobs are due and not started" in told
    assert "300 of the 1,200 are finished above a commit point" in told
    assert "2 were deleted by retention" in told
    unsure = explain(plan(), Moment(NOON, 1, offsets([100]), Truth(100, 0)))
    assert "100 jobs at most" in says(unsure, "ready backlog")


def test_partitions_without_a_commit_are_named() -> None:
    found = explain(plan(), Moment(NOON, 1, [PartitionOffsets(3, 10, 20, None)]))
    assert "no offset is committed for partition 3" in says(found, "lag")


def test_while_no_broker_can_be_reached_nothing_changes_and_there_is_no_fallback() -> None:
    found = explain(plan(least=0, most=5), Moment(NOON, 0, None))
    assert found.wanted is None
    assert "never comes to its fallback" in says(found, "lag")
    assert "nothing is woken" in says(found, "activation")
    assert found.moves == ((0, 0),)
    assert explain(plan(), Moment(NOON, 4, None)).moves == ((0, 4),)


def test_without_a_broker_a_floor_holds_nothing_either() -> None:
    always = Floor("0 0 * * *", "59 23 * * *", 4)
    found = explain(plan(least=0, floors=(always,)), Moment(NOON, 0, None))
    assert found.moves == ((0, 0),)
    assert not [each for each in found.steps if each.name == "floors"]


def test_a_scaler_that_has_no_answer_of_kafka_makes_the_fallback() -> None:
    found = explain(plan(least=0, most=5, external=True), Moment(NOON, 0, None))
    assert "the fallback of 1 pod stands in" in says(found, "lag")
    # The fourth failed poll, ten seconds apart, is the first that counts
    assert found.moves == ((0, 0), (30, 1))


def test_a_kafka_that_refuses_to_tell_the_lag_makes_the_fallback() -> None:
    given = plan(least=0, most=5)
    refused = told_by_lags(given, Trouble.REFUSED, NOON)
    assert settle(given, 0, refused) == [(0, 0), (30, 1)]
    assert settle(given, 4, refused) == [(0, 4)]


def test_a_floor_holds_whatever_the_lag_and_says_whether_it_is_on() -> None:
    floor = Floor("0 7 * * *", "0 19 * * *", 4)
    found = lagging(0, floors=(floor,))
    assert "from `0 7 * * *` to `0 19 * * *` Etc/UTC (on now)" in says(found, "floors")
    assert found.settled == 4


def test_a_forecast_is_scaled_by_what_is_ready_and_says_that_more_is_not_known() -> None:
    moment = Moment(NOON, 1, offsets([5000, *[0] * 11]), Truth(5000, 0, running=4000, overdue=0))
    found = explain(plan("predictive"), moment)
    assert "1,000 jobs now" in says(found, "trigger")
    assert found.wanted == 2


def test_within_the_tolerance_it_says_so() -> None:
    found = lagging(600 * 6 - 1, replicas=6, strategy="conservative", wait=timedelta(seconds=15))
    assert "within the tolerance (+0%, -10%), so nothing changes" in says(found, "autoscaler")


@pytest.mark.parametrize("name", ["default", "aggressive", "conservative"])
@pytest.mark.parametrize("lag", [0, 1, 599, 3000, 100_000])
def test_the_course_ends_at_what_is_wanted(name: str, lag: int) -> None:
    given = plan(name, least=0)
    told = told_by_lags(given, [lag, *[0] * 11], NOON)
    found = explain(given, Moment(NOON, 3, offsets([lag, *[0] * 11])))
    assert settle(given, 3, told)[-1][1] == found.wanted
