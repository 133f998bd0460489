"""Each verdict is given when it is true, and not when it only looks so."""

from dataclasses import replace

import pytest

from headrace.pipeline.topics import Role
from headrace.processors.lag.groups import Group
from headrace.processors.lag.observing import Progress
from headrace.processors.lag.verdicts import Facts, Finding, Verdict, judge, worst

NOW = 1_000_000
STABLE, EMPTY = Group("g", "stable", 2), Group("g", "empty")
IDLE = Facts(
    role=Role.LANE,
    at=NOW,
    owned=True,
    commit=10,
    start=0,
    end=10,
    messages=0,
    lost=0,
    ready_since=None,
    next_due=None,
    retention_used=0.0,
    running_since=None,
    progress=Progress(),
)
BUSY = replace(IDLE, end=15, messages=5, ready_since=NOW - 1_000)
STILL = replace(BUSY, progress=Progress(still_since=NOW - 61_000))
TIER = replace(BUSY, role=Role.TIER, next_due=NOW + 5_000)


@pytest.mark.parametrize(
    ("facts", "group"),
    [
        (IDLE, STABLE),
        (IDLE, EMPTY),
        (IDLE, Group("g", "dead")),
        (BUSY, STABLE),
        (replace(STILL, progress=Progress(still_since=NOW - 59_000)), STABLE),
        (replace(BUSY, progress=Progress(grew=True)), STABLE),
        (replace(STILL, running_since=NOW - 3_600_000), STABLE),
        (TIER, STABLE),
        (replace(TIER, progress=Progress(still_since=0)), STABLE),
        (replace(TIER, next_due=NOW - 9_000), STABLE),
    ],
    ids=[
        "drained",
        "scaled to zero",
        "never used",
        "working",
        "nothing finished for a moment",
        "a burst that has just come",
        "a long job that workers tell of",
        "waiting for its time",
        "nothing due for long",
        "moved within seconds",
    ],
)
def test_what_is_well_is_ok(facts: Facts, group: Group) -> None:
    assert judge(facts, group).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("facts", "group", "verdict", "why"),
    [
        (replace(BUSY, commit=None, messages=0), EMPTY, Verdict.LOST, "no offset here"),
        (replace(BUSY, commit=99), STABLE, Verdict.LOST, "beyond the end 15"),
        (replace(BUSY, lost=1_200), STABLE, Verdict.LOST, "deleted 1,200 offsets"),
        (replace(BUSY, progress=Progress(rewound=NOW - 5_000)), STABLE, Verdict.REWOUND, "5 s ago"),
        (BUSY, EMPTY, Verdict.STOPPED, "no worker"),
        (STILL, STABLE, Verdict.STALLED, "nothing was finished for 61 s"),
        (replace(STILL, owned=False), STABLE, Verdict.STALLED, "no worker owns the partition"),
        (replace(BUSY, ready_since=NOW - 61_000, progress=Progress(grew=True)), STABLE,
         Verdict.WARNING, "more jobs come"),
        (replace(BUSY, retention_used=0.8), STABLE, Verdict.WARNING, "80% of the retention"),
        (BUSY, Group("g", "reconciling", 2), Verdict.WARNING, "reconciling"),
        (TIER, EMPTY, Verdict.STOPPED, "no scheduler"),
        (replace(TIER, next_due=NOW - 30_000), STABLE, Verdict.STALLED, "not been moved for 30 s"),
    ],
)  # fmt: skip
def test_what_is_not_well_is_told_with_its_reason(
    facts: Facts, group: Group, verdict: Verdict, why: str
) -> None:
    found = judge(facts, group)
    assert found.verdict is verdict
    assert why in found.why


def test_a_long_job_is_told_of_though_all_is_well() -> None:
    found = judge(replace(STILL, running_since=NOW - 600_000), STABLE)
    assert found == Finding(Verdict.OK, "a job has been running for 600 s")


def test_the_worst_of_several_is_the_first_of_the_highest_rank() -> None:
    stalled = Finding(Verdict.STALLED, "a")
    assert worst([Finding(), stalled, Finding(Verdict.STALLED, "b"), Finding()]) is stalled
    assert worst([]).verdict is Verdict.OK
    assert [verdict.rank for verdict in Verdict] == sorted(verdict.rank for verdict in Verdict)
