"""A worker and a scheduler whose clock is set back, or forward, by an hour, and later put right.

What can go wrong: jobs are lost, or stay where they are when the clock is right again; a job goes
round between lane and tiers without a pause, because two looks at the clock differ; one that runs
meanwhile is taken for one that is over its time.

What a wrong clock does cost: while it is an hour slow, what was submitted with a delay before waits
for that hour; while it is fast, a delay is cut short. Nothing here can know better.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.producers import Producer
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.stage import Stage, runs_too_many, wait_until

pytestmark = pytest.mark.kafka
LANE = "default.normal"
HOUR = 3_600
EACH = 10


@dataclass
class Clock:
    """This process's wall clock, some seconds wrong. Kafka's own is right."""

    wrong_by: int = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, nanoseconds, seconds = Clock(), time.time_ns, time.time
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + clock.wrong_by * 1_000_000_000)
    monkeypatch.setattr(time, "time", lambda: seconds() + clock.wrong_by)
    return clock


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


def submit(
    producer: Producer, stage: Stage, journal: Journal, kind: str, delay: float = 0.0
) -> set[str]:
    """A few jobs of one kind, each of which fails once."""
    work = stage.pipeline.job_type("work")
    return {
        producer.submit(
            work.job(
                journal=journal.path, tag=f"{kind} {n}", fail=1, seconds=0.5 * (kind == "long")
            ),
            delay=timedelta(seconds=delay) if delay else None,
        ).job_id
        for n in range(EACH)
    }


def started(journal: Journal, kind: str) -> int:
    return sum(event.tag.startswith(kind) for event in journal.events("start"))


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_when_the_clock_jumps_nothing_is_lost_or_stuck_or_goes_round(
    stage: Stage, clock: Clock, step: int
) -> None:
    journal = stage.journal()
    with (
        stage.scheduler() as scheduler,
        stage.worker([LANE], concurrency=2 * EACH) as worker,
        stage.producer() as producer,
    ):
        (lane,) = worker.lanes.values()
        delayed = submit(producer, stage, journal, "delayed", delay=2.0)
        others = submit(producer, stage, journal, "long")
        wait_until("the long ones run", lambda: started(journal, "long") == EACH)
        wait_until("the delayed are held", lambda: scheduler.figures.held >= EACH)
        clock.wrong_by = step
        others |= submit(producer, stage, journal, "meanwhile")
        wait_until("the others have ended", lambda: others <= stage.final_states().keys())
        if step < 0:
            assert started(journal, "delayed") == 0
        clock.wrong_by = 0
        everything = others | delayed
        wait_until("all have ended", lambda: everything <= stage.final_states().keys())
        stage.drained(LANE)
        wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
        moves = sum(lane.figures.handovers.values()) + sum(scheduler.figures.hopped.values())
    assert moves <= 2 * len(everything)
    assert runs_too_many(journal) == {}
    assert stage.final_states() == {each: [JobState.SUCCEEDED] for each in everything}
