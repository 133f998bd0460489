"""When a hand-over cannot be made.

What can go wrong: a dead letter that cannot be written is dropped, or its offset is committed, so
that the job is gone; or everything stands still for the sake of one; or nobody can see it.
"""

import pytest
from confluent_kafka.admin import AdminClient

from headrace.schemas.states import JobState
from tests.support.jobs import Journal
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
LANES = ["default.normal"]


def test_without_its_dead_letter_topic_a_job_waits_and_others_go_on(
    stage: Stage, journal: Journal, kafka: str
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    with stage.scheduler(), stage.worker(LANES) as worker:
        before = stage.submit("work", journal=journal.path, tag="before", fail=9)
        stage.await_state(before, JobState.DEAD)
        topic = stage.topic("default.dlq")
        admin.delete_topics([topic])[topic].result(10)
        (lane,) = worker.lanes.values()
        doomed = [stage.submit("bad-result") for _ in range(5)]
        wait_until("it says why", lambda: "dlq" in lane.figures.blocked)
        others = [
            stage.submit("work", journal=journal.path, tag=f"other-{n}", fail=n % 2)
            for n in range(20)
        ]
        for each in others:
            stage.await_state(each, JobState.SUCCEEDED)
        assert "dlq" in lane.figures.blocked
        assert {stage.state(each) for each in doomed} == {""}
        assert stage.lag("default.normal") > 0
        stage.apply()
        for each in doomed:
            stage.await_state(each, JobState.DEAD)
        stage.drained()
        wait_until("it is well again", lambda: not lane.figures.blocked)
        assert len(stage.dead()) == len(doomed)


def test_a_worker_that_stops_while_blocked_loses_nothing(
    stage: Stage, journal: Journal, kafka: str
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    topic = stage.topic("default.dlq")
    admin.delete_topics([topic])[topic].result(10)
    with stage.worker(LANES, worker_drain_budget="1s") as worker:
        (lane,) = worker.lanes.values()
        doomed = stage.submit("bad-result")
        done = stage.submit("work", journal=journal.path, tag="done")
        wait_until("it says why", lambda: "dlq" in lane.figures.blocked)
        stage.await_state(done, JobState.SUCCEEDED)
    assert worker.failure is None
    stage.apply()
    with stage.worker(LANES):
        stage.await_state(doomed, JobState.DEAD)
        stage.drained()
    assert journal.count("start", "done") == 1
