"""Workers in groups of the classic protocol, as brokers before 4.0 have them.

What can go wrong: under it the client rebalances in rounds, with a leader among the members, and only
generations tell a member that was put out. A partition given up too late, a commit of an older
generation, or one that nobody has any more would lose jobs or run them twice.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from headrace.pipeline.settings import KafkaSettings, load
from headrace.schemas.states import JobState
from tests.support import jobs
from tests.support.jobs import Journal
from tests.support.stage import RunningProcess, Stage, runs_too_many, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.long]
CLASSIC = {"HEADRACE_GROUP_PROTOCOL": "classic", "HEADRACE_SESSION_TIMEOUT": "6s"}
COMMAND = ("worker", "--queue", "default", "--priority", "normal", "--concurrency", "8")
COUNT = 900


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    settings = load(
        KafkaSettings, bootstrap_servers=kafka, group_protocol="classic", session_timeout="6s"
    )
    stage = Stage(jobs.make(f"t{uuid.uuid4().hex[:8]}", partitions=4), settings, tmp_path)
    stage.apply()
    yield stage
    stage.close()


def submit_all(stage: Stage, journal: Journal) -> list[str]:
    """Every tenth job fails once, so that hand-overs are always under way."""
    work = stage.pipeline.job_type("work")
    with stage.producer() as producer:
        receipts = [
            producer.submit(
                work.job(journal=journal.path, tag=str(n), fail=int(n % 10 == 0), seconds=0.1)
            )
            for n in range(COUNT)
        ]
    return [receipt.job_id for receipt in receipts]


def await_started(journal: Journal, process: RunningProcess, count: int) -> None:
    def started() -> bool:
        return sum(e.pid == process.process.pid for e in journal.events("start")) >= count

    wait_until(f"{process.process.pid} has started {count} jobs", started)


def await_states(stage: Stage, job_ids: list[str]) -> None:
    """Each has succeeded, told once or, after a death, twice."""
    wanted = set(job_ids)
    wait_until("every job has ended", lambda: wanted <= stage.final_states().keys(), 90)
    stage.drained()
    told = {job: set(states) for job, states in stage.final_states().items()}
    assert told == {each: {JobState.SUCCEEDED} for each in job_ids}


@pytest.fixture
def pair(stage: Stage) -> Iterator[tuple[RunningProcess, RunningProcess]]:
    """Two workers, each with two of the four partitions."""
    worker = partial(stage.process, *COMMAND, **CLASSIC)
    with stage.scheduler(), worker() as first:
        first.says("partitions assigned")
        with worker() as second:
            second.says("partitions assigned")
            yield first, second


def test_no_job_is_lost_or_runs_twice_when_members_join_and_leave(
    stage: Stage, pair: tuple[RunningProcess, RunningProcess]
) -> None:
    first, second = pair
    journal = stage.journal()
    job_ids = submit_all(stage, journal)
    for each in pair:
        await_started(journal, each, 20)
    with stage.process(*COMMAND, **CLASSIC) as third:
        third.says("partitions assigned")
        assert first.terminate() == 0
        await_states(stage, job_ids)
        assert third.terminate() == 0
    assert second.terminate() == 0
    assert runs_too_many(journal) == {}


def test_what_a_dead_and_a_sleeping_member_had_is_run_by_the_next_one(
    stage: Stage, pair: tuple[RunningProcess, RunningProcess]
) -> None:
    killed, sleeper = pair
    journal = stage.journal()
    job_ids = submit_all(stage, journal)
    for each in pair:
        await_started(journal, each, 20)
    os.kill(sleeper.process.pid, signal.SIGSTOP)
    killed.kill()
    with stage.process(*COMMAND, **CLASSIC):
        await_states(stage, job_ids)
        os.kill(sleeper.process.pid, signal.SIGCONT)
        sleeper.says("partitions lost")
        assert sleeper.terminate() == 0
        await_states(stage, job_ids)
