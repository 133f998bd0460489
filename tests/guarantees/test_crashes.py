"""Processes that die, stop and join in the middle of work.

What can go wrong: a job is lost with the process that had it; one that was finished is finished
again, with another outcome; a clean stop runs jobs twice; a rebalance does either; a worker too
many counts as broken. Under KIP-848 a killed member's partitions wait for its session to end: six
seconds on the embedded broker, which is most of what these tests take.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.schemas import headers
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.stage import PATIENCE, Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka
WORKER = ("worker", "--queue", "default", "--priority", "normal", "--concurrency", "8")


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    """A stage for each test: each kills something."""
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


def submit_all(stage: Stage, journal: Journal, count: int, seconds: float = 0.01) -> list[str]:
    """Every tenth job fails once, every twentieth always, every fifteenth is delayed."""
    work = stage.pipeline.job_type("work")
    with stage.producer() as producer:
        receipts = [
            producer.submit(
                work.job(
                    journal=journal.path,
                    tag=str(number),
                    fail=9 if number % 20 == 0 else int(number % 10 == 5),
                    seconds=seconds,
                ),
                delay=timedelta(milliseconds=number % 7 * 100) if number % 15 == 1 else None,
            )
            for number in range(count)
        ]
    return [receipt.job_id for receipt in receipts]


def await_all(stage: Stage, job_ids: list[str]) -> None:
    """Wait until every job has one final state, and see that it is the right one."""
    wanted = set(job_ids)

    def missing() -> int:
        return len(wanted - stage.final_states().keys())

    wait_until("every job has a final state", lambda: not missing(), 2 * PATIENCE)
    stage.drained()
    wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
    found = stage.final_states()
    for number, job_id in enumerate(job_ids):
        expected = JobState.DEAD if number % 20 == 0 else JobState.SUCCEEDED
        assert set(found[job_id]) - {"duplicate"} == {expected}, (number, found[job_id])
    dead = [letter for letter in stage.dead() if letter.key()]
    assert Counter(letter.key() for letter in dead) == {
        job_id.encode(): 1 for number, job_id in enumerate(job_ids) if number % 20 == 0
    }


def runs_too_many(journal: Journal) -> int:
    """Attempts that were started more than once."""
    starts = Counter((event.tag, event.attempt) for event in journal.events("start"))
    return sum(count - 1 for count in starts.values())


def test_a_killed_worker_loses_nothing(stage: Stage) -> None:
    journal = stage.journal()
    with stage.scheduler(), stage.process(*WORKER) as first:
        job_ids = submit_all(stage, journal, 2_000)
        wait_until("it is in the middle", lambda: journal.count("start") >= 700)
        first.kill()
        done = {(event.tag, event.attempt) for event in journal.events("start")}
        with stage.process(*WORKER) as second:
            await_all(stage, job_ids)
            assert second.terminate() == 0
    again = runs_too_many(journal)
    # In flight, and what the last tenth of a second had finished: 8 slots of 10 ms make 80.
    assert again <= 8 + 300, f"{again} of {len(done)} ran again"


def test_a_worker_that_is_told_to_stop_runs_nothing_twice(stage: Stage) -> None:
    journal = stage.journal()
    with stage.scheduler(), stage.process(*WORKER) as first:
        job_ids = submit_all(stage, journal, 600)
        wait_until("it is in the middle", lambda: journal.count("start") >= 200)
        assert first.terminate() == 0
        assert len({event.tag for event in journal.events("start")}) < 600
        with stage.process(*WORKER) as second:
            await_all(stage, job_ids)
            assert second.terminate() == 0
    assert runs_too_many(journal) == 0


def test_workers_join_and_leave_while_jobs_run(stage: Stage) -> None:
    journal = stage.journal()
    lanes = ["default.normal"]
    with stage.scheduler(), ExitStack() as stack:
        first = stack.enter_context(stage.worker(lanes))
        job_ids = submit_all(stage, journal, 800)
        wait_until("one works", lambda: journal.count("start") >= 50)
        (lane,) = first.lanes.values()
        with stage.worker(lanes) as second:
            (other,) = second.lanes.values()
            wait_until("they share", lambda: lane.partitions.owned and other.partitions.owned)
            with stage.worker(lanes) as third:
                wait_until("the third is ready", third.assigned)
            wait_until("two work", lambda: journal.count("start") >= 300)
        await_all(stage, job_ids)
        assert first.failure is second.failure is third.failure is None
    assert runs_too_many(journal) == 0


def test_a_worker_too_many_idles_and_is_ready(stage: Stage) -> None:
    lanes = ["procs.normal"]
    with stage.worker(lanes) as first, stage.worker(lanes) as second:
        wait_until("both are ready", lambda: first.assigned() and second.assigned())
        owned = [len(lane.partitions.owned) for w in (first, second) for lane in w.lanes.values()]
        assert sorted(owned) == [0, 1]
        job_id = stage.submit("child", journal=stage.journal().path, how="fine")
        stage.await_state(job_id, JobState.SUCCEEDED)


def test_a_killed_scheduler_loses_nothing_and_starts_nothing_early(stage: Stage) -> None:
    journal = stage.journal()
    work = stage.pipeline.job_type("work")
    with stage.worker(["default.normal"]), stage.process("scheduler") as first:
        first.says("partitions assigned")
        with stage.producer() as producer:
            receipts = {
                str(number): producer.submit(
                    work.job(journal=journal.path, tag=str(number)),
                    delay=timedelta(milliseconds=500 + 8 * number),
                )
                for number in range(500)
            }
        wait_until("it is in the middle", lambda: journal.count("start") >= 100)
        first.kill()
        with stage.process("scheduler") as second:
            wait_until("all ran", lambda: journal.count("done") >= 500)
            wait_until("all are told", lambda: len(stage.final_states()) == 500)
            wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
            stage.drained()
            assert second.terminate() == 0
    assert journal.count("start") == 500
    due = due_times(stage)
    for event in journal.events("start"):
        assert event.at >= due[receipts[event.tag].job_id] * 1_000_000


def due_times(stage: Stage) -> dict[str, int]:
    found = [headers_of(each) for each in stage.records("delay.soon")]
    return {(f[headers.ID] or b"").decode(): int(f[headers.DUE] or 0) for f in found}
