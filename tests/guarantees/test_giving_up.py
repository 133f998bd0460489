"""Partitions are given up as soon as their running jobs have ended and are recorded.

What can go wrong: something that only a poll could bring about is waited for while there is none,
until the drain budget is spent; and all partitions of the worker stand still meanwhile. So the
budget is longer here than any test's patience.
"""

from contextlib import ExitStack
from functools import partial

import pytest

from headrace.consumers.lane import LaneThread
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
LANES = ["default.normal"]
FOR_EVER = "1h"


def _share(one: LaneThread, other: LaneThread) -> bool:
    return bool(one.partitions.owned and other.partitions.owned)


def test_partitions_whose_jobs_fail_change_hands_without_waiting(stage: Stage) -> None:
    journal = stage.journal()
    work = stage.pipeline.job_type("work")
    with stage.producer() as producer:
        producer.submit_many(
            work.job(journal=journal.path, tag=str(number), fail=9, seconds=0.02)
            for number in range(3_000)
        )
    with ExitStack() as stack:
        first = stack.enter_context(stage.worker(LANES, worker_drain_budget=FOR_EVER))
        (lane,) = first.lanes.values()
        wait_until("it works", lambda: journal.count("start") >= 20)
        others: list[LaneThread] = []
        for _ in range(3):
            with stage.worker(LANES, worker_drain_budget=FOR_EVER) as second:
                others.extend(second.lanes.values())
                wait_until("they share", partial(_share, lane, others[-1]))
            wait_until("it has them all again", lambda: len(lane.partitions.owned) == 2)
        assert [each.figures.commit_failures for each in (lane, *others)] == [0, 0, 0, 0]
