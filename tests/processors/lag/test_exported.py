"""Metrics say what the report says; there are never more series than were promised."""

import json
from math import inf

import pytest

from headrace.pipeline.telemetry.lag_metrics import VERDICT, Alias, LagMetric
from headrace.pipeline.topics import Role
from headrace.processors.lag import exported
from headrace.processors.lag.groups import Group
from headrace.processors.lag.observing import Observer, Progress
from headrace.processors.lag.published import published_in, records
from headrace.processors.lag.report import LagReport, Running
from headrace.processors.lag.report_json import as_json
from headrace.processors.lag.verdicts import Verdict
from headrace.processors.snapshot import CommitPoint
from tests.processors.lag.build import AT, TIER_COUNT, Said, pipeline_of

LANE = "shop.q0.normal"


def series(values: exported.Values) -> int:
    return sum(map(len, values.values()))


def test_every_figure_of_a_lane_is_exported() -> None:
    said = Said(pipeline_of(1))
    for due in (AT - 5_000, AT + 9_000, AT + 200_000):
        said.wait("soon", "q0.normal", due)
    found = exported.figures(said.report(running={(LANE, 0): Running(1, AT - 1_000)}))
    assert found[LagMetric.LAG_JOBS][LANE,] == 4
    assert found[LagMetric.READY_JOBS][LANE,] == 4 - 1 + 1
    assert found[LagMetric.OVERDUE_JOBS][LANE,] == 1
    assert found[LagMetric.OLDEST_AGE][LANE,] == 30
    within = {labels[1]: jobs for labels, jobs in found[LagMetric.DUE_JOBS].items()}
    assert within == {"10s": 2, "1m": 2} | dict.fromkeys(
        ("5m", "30m", "2h", "8h", "24h", "+Inf"), 3
    )
    assert found[LagMetric.TIER_LATE]["soon",] == 5
    assert (found[LagMetric.MEMBERS][LANE,], found[LagMetric.IDLE_MEMBERS][LANE,]) == (2, 1)


def test_rates_and_the_time_to_close_follow_from_two_looks() -> None:
    said, observer = Said(pipeline_of(1)), Observer()
    said.report(observer)
    said.at += 10_000
    said.commits[LANE, 0] = CommitPoint(7)
    found = exported.figures(said.report(observer))
    assert found[LagMetric.RATE_OUT][LANE,] == pytest.approx(0.1)
    assert found[LagMetric.CLOSES_IN][LANE,] == pytest.approx(30)
    said.at += 70_000
    assert exported.figures(said.report(observer))[LagMetric.CLOSES_IN][LANE,] == inf


def test_what_is_not_known_has_no_series() -> None:
    said = Said(pipeline_of(1))
    report = said.report(due={}, waiting=None, heads={})
    found = exported.figures(report)
    for spec in (LagMetric.DUE_JOBS, LagMetric.OVERDUE_JOBS, LagMetric.RATE_IN):
        assert not found.get(spec)
    assert not found.get(LagMetric.OLDEST_AGE)
    del said.commits[LANE, 0]
    lost = exported.figures(said.report())
    for spec in (LagMetric.READY_JOBS, LagMetric.OLDEST_AGE):
        assert not lost.get(spec)
    assert (LANE,) not in lost[LagMetric.LAG_JOBS]
    assert lost[LagMetric.VERDICTS][LANE, "lost offset"] == 1


def test_one_verdict_of_each_topic_is_1() -> None:
    said = Said(pipeline_of(2), partitions=3)
    said.groups[LANE] = Group(LANE, "empty")
    found = exported.figures(said.report())
    ones = [labels for labels, value in found[LagMetric.VERDICTS].items() if value]
    assert (LANE, "stopped") in ones
    assert len(ones) == len({topic for topic, _ in ones}) == 2 + TIER_COUNT + 2
    assert found[LagMetric.PARTITIONS][LANE, "stopped"] == 3
    assert tuple(verdict.value for verdict in Verdict) == VERDICT.values


def crowded(lanes: int, partitions: int) -> LagReport:
    said, observer = Said(pipeline_of(lanes), partitions), Observer()
    for lane in range(lanes):
        for number in range(50):
            said.wait("24h", f"q{lane}.normal", AT + number * 100_000_000)
    said.report(observer)
    said.at += 60_000
    for place, commit in said.commits.items():
        said.commits[place] = CommitPoint(commit.offset + 1)
    return said.report(observer)


@pytest.mark.parametrize("partitions", [1, 40])
def test_the_series_are_bounded_whatever_the_partitions_and_jobs(partitions: int) -> None:
    found = exported.figures(crowded(5, partitions))
    assert series(found) <= exported.series_at_most(5, TIER_COUNT, 5)


def test_aliases_tell_of_each_partition_up_to_a_bound_and_of_topics_beyond() -> None:
    report, parts = crowded(5, 40), 5 * 40 + TIER_COUNT
    whole = exported.aliases(report, parts)
    assert len(whole[Alias.LAG]) == len(whole[Alias.END]) == parts
    # Of the tier that holds jobs nobody has said how old its first record is.
    assert len(whole[Alias.GROUP_SECONDS]) == parts - 1
    assert whole[Alias.LAG][LANE, LANE, "0"] == 4
    assert whole[Alias.LAG_SUM][LANE, LANE] == 160
    assert whole[Alias.MAX_SECONDS][LANE,] == 90
    bounded = exported.aliases(report, parts - 1)
    assert series(bounded) == (5 + TIER_COUNT) + 2 * 6
    assert bounded[Alias.LAG_SUM] == whole[Alias.LAG_SUM]


def test_what_was_published_is_read_back_until_it_is_old() -> None:
    report, interval = crowded(2, 2), 15_000
    told = {each.key: each.value or b"" for each in records("shop.stats", report, interval)}
    found = published_in({**told, b"lag/bad": b"{", b"cell/0": b"1"}, report.at + 45_000)
    for topic in report.topics:
        for part in topic.partitions:
            assert found.progress[topic.topic, part.partition] == part.progress
    assert found.due == {lane.topic: lane.due for lane in report.lanes}
    assert not published_in(told, report.at + 45_001).progress


def test_one_look_knows_what_an_exporter_has_told() -> None:
    said = Said(pipeline_of(1))
    told = Progress(2.0, 1.0, moved=AT - 90_000, still_since=AT - 90_000, grew=True)
    (lane,) = said.report(published={(LANE, 0): told}).lanes
    assert (lane.rate_in, lane.rate_out, lane.last_commit) == (2.0, 1.0, AT - 90_000)
    assert lane.finding.verdict is Verdict.STALLED


def test_the_json_has_the_same_keys_for_everything_of_a_kind() -> None:
    said = Said(pipeline_of(2), partitions=2)
    said.wait("soon", "q1.normal", AT - 5_000)
    del said.commits[LANE, 1]
    told = json.loads(json.dumps(as_json(said.report())))
    assert told["verdict"] == "lost offset"
    for kind in ("lanes", "tiers", "dead_letters"):
        assert len({tuple(sorted(topic)) for topic in told[kind]}) == 1
    parts = [part for lane in told["lanes"] for part in lane["partitions"]]
    assert len({tuple(sorted(part)) for part in parts}) == 1
    assert told["lanes"][1]["overdue"] == 1


def test_a_topic_that_does_not_exist_is_stopped_and_shows_no_number() -> None:
    said = Said(pipeline_of(1))
    del said.spans[LANE, 0], said.commits[LANE, 0]
    report = said.report()
    assert report.lanes[0].finding.verdict is Verdict.STOPPED
    assert "headrace topics apply" in report.lanes[0].finding.why
    assert (LANE,) not in exported.figures(report).get(LagMetric.LAG_JOBS, {})
    assert report.lanes[0].role is Role.LANE
