"""Orders about jobs that nobody has in hand, and what cancelling does to a key's order.

What can go wrong: an order given while nobody works is forgotten; a key waits for ever behind a job
that was cancelled, or what waited behind it overtakes.
"""

from datetime import timedelta

import pytest

from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support import ordered
from tests.support.orders import await_cancelled, cancel
from tests.support.stage import wait_until

pytestmark = pytest.mark.kafka


def test_orders_given_while_nobody_works_are_honoured_by_whoever_starts(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"))
    journal = stage.journal()
    queued = [stage.submit("work", journal=journal.path, tag=f"q{n}") for n in range(10)]
    tiers = [timedelta(seconds=2), timedelta(minutes=10)]
    delayed = [
        stage.submit("work", {"delay": delay}, journal=journal.path, tag="d") for delay in tiers
    ]
    cancel(stage, *queued[1:], *delayed)
    with stage.worker(), stage.scheduler():
        await_cancelled(stage, *queued[1:], *delayed)
        stage.await_state(queued[0], JobState.SUCCEEDED)
    with stage.worker():
        late = stage.submit("work", journal=journal.path, tag="late")
        stage.await_state(late, JobState.SUCCEEDED)
    assert {e.tag for e in journal.events("start")} == {"q0", "late"}
    assert all(len(states) == 1 for states in stage.final_states().values())
    stage.close()


def test_a_killed_worker_leaves_its_cancelled_job_to_be_dropped_by_the_next(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"))
    journal = stage.journal()
    with stage.process("worker", "--queue", "default", "--concurrency", "4") as worker:
        job_id = stage.submit("gate", journal=journal.path, tag="a")
        wait_until("it runs", lambda: journal.count("start"))
        worker.kill()
    cancel(stage, job_id)
    with stage.worker():
        await_cancelled(stage, job_id)
        stage.drained()
    assert journal.count("start") == 1
    stage.close()


@pytest.mark.parametrize("which", ["parked head", "running head", "in line"])
def test_in_an_ordered_queue_the_key_goes_on(
    kafka: str, tmp_path_factory: pytest.TempPathFactory, which: str
) -> None:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), module=ordered)
    journal = stage.journal()
    key = {"key": "k"}
    with stage.worker(("ledger.normal",)):
        fail = 3 if which == "parked head" else 0
        first = stage.submit(
            "patient", key, journal=journal.path, tag="k:0", fail=fail, gate=not fail
        )
        others = [
            stage.submit("entry", key, journal=journal.path, tag=f"k:{n}") for n in range(1, 4)
        ]
        if fail:
            stage.await_state(first, JobState.RETRYING)
        else:
            wait_until("it runs", lambda: journal.count("start", "k:0"))
        target = others[1] if which == "in line" else first
        cancel(stage, target)
        told = stage.await_state(target, JobState.CANCELLED)
        assert told == stage.of(target)[-1]
        journal.gate.touch()
        for job_id in {first, *others} - {target}:
            stage.await_state(job_id, JobState.SUCCEEDED)
        stage.drained("ledger.normal")
    ran = ["k:0", "k:1", "k:3"] if which == "in line" else ["k:1", "k:2", "k:3"]
    assert [e.tag for e in journal.events("done")] == ran
    stage.close()
