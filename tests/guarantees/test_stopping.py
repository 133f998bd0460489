"""Workers that are told to stop at the worst moment.

What can go wrong: a stop in the middle of a rebalance gives a partition away without its commit, or
waits for a poll that does not come; what both the leaving and the joining worker hold runs twice, or
in none of them.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.stage import Stage, runs_too_many, wait_until

pytestmark = pytest.mark.kafka
LANES = ["default.normal"]
COMMAND = ("worker", "--queue", "default", "--priority", "normal", "--concurrency", "8")
COUNT, ROUNDS = 1_200, 4


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path, partitions=4)
    yield stage
    stage.close()


def submit_all(
    stage: Stage, journal: Journal, count: int, seconds: float, *, first: int = 0
) -> list[str]:
    """Every tenth job fails once, so that hand-overs are always under way."""
    work = stage.pipeline.job_type("work")
    with stage.producer() as producer:
        receipts = [
            producer.submit(
                work.job(journal=journal.path, tag=str(n), fail=int(n % 10 == 0), seconds=seconds)
            )
            for n in range(first, first + count)
        ]
    return [receipt.job_id for receipt in receipts]


def await_all(stage: Stage, job_ids: list[str]) -> None:
    wanted = set(job_ids)
    wait_until("every job has ended", lambda: wanted <= stage.final_states().keys(), 90)
    stage.drained()
    assert stage.final_states() == {each: [JobState.SUCCEEDED] for each in job_ids}


def _at_least(journal: Journal, started: int) -> bool:
    return journal.count("start") >= started


def test_workers_that_stop_while_another_joins_lose_nothing_and_run_nothing_twice(
    stage: Stage,
) -> None:
    """Two work; again and again one is told to stop right when a third comes."""
    journal = stage.journal()
    job_ids = submit_all(stage, journal, COUNT, 0.02)
    with stage.scheduler(), ExitStack() as last:
        working = [ExitStack(), ExitStack()]
        for each in working:
            each.enter_context(stage.worker(LANES))
        for number in range(ROUNDS):
            started = (number + 1) * COUNT // (ROUNDS + 2)
            wait_until("it goes on", partial(_at_least, journal, started))
            working.append(ExitStack())
            working[-1].enter_context(stage.worker(LANES, ready=False))
            working.pop(0).close()
        for each in working:
            last.push(each)
        await_all(stage, job_ids)
    assert runs_too_many(journal) == {}


def test_a_sigterm_during_a_rebalance_ends_well(stage: Stage) -> None:
    """Processes, because signals are theirs. The third is joining while the first is told."""
    journal = stage.journal()
    job_ids = submit_all(stage, journal, 1_000, 0.06)
    with (
        stage.scheduler(),
        stage.process(*COMMAND) as first,
        stage.process(*COMMAND) as second,
    ):
        wait_until("they work", lambda: len({e.pid for e in journal.events("start")}) == 2)
        with stage.process(*COMMAND) as third:
            third.says("worker started")
            assert first.terminate() == 0

            def all_three_have_worked() -> bool:
                """However late the third is: there is always something left for it."""
                job_ids.extend(submit_all(stage, journal, 40, 0.06, first=len(job_ids)))
                return len({event.pid for event in journal.events("start")}) == 3

            wait_until("the third works", all_three_have_worked, 90)
            await_all(stage, job_ids)
            assert third.terminate() == 0
        assert second.terminate() == 0
    assert runs_too_many(journal) == {}
