"""A broker that is away for longer than everybody's patience, or dies while jobs change hands.

What can go wrong: a client gives up for good after a session, a transaction or a delivery timed out;
a process has to be restarted by hand; jobs are lost, run again without bound, or end twice; nobody
is told meanwhile.
"""

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headrace.producers import Receipt
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.own_broker import OwnBroker, ask, metric, own_broker
from tests.support.stage import RunningProcess, Stage, runs_too_many, wait_until

pytestmark = pytest.mark.kafka
LANE = "default.normal"
SLOTS = 8
COMMAND = ("worker", "--queue", "default", "--priority", "normal", "--concurrency", str(SLOTS))
AWAY = 20.0
"""Seconds: longer than a member's session (6), a delivery (9) and a transaction (10) may take."""
COMMITTED_EVERY = 0.1
"""Seconds of finished jobs that a lost commit runs again."""


@pytest.fixture(scope="module")
def broker(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    with own_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def stage(broker: OwnBroker, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(broker.bootstrap, tmp_path)
    yield stage
    stage.close()


def submit_all(
    stage: Stage, journal: Journal, count: int, *, each_fails: int, seconds: float
) -> dict[str, Receipt[Any]]:
    """Give the receipts by tag. Every `each_fails`-th job never succeeds."""
    work = stage.pipeline.job_type("work")
    with stage.producer() as producer:
        return {
            str(n): producer.submit(
                work.job(
                    journal=journal.path,
                    tag=str(n),
                    fail=9 if n % each_fails == 0 else int(n % 5 == 1),
                    seconds=seconds,
                )
            )
            for n in range(count)
        }


def await_all(stage: Stage, receipts: dict[str, Receipt[Any]], each_fails: int) -> None:
    """Each has one outcome, the right one, and one dead letter or none."""
    wanted = {receipt.job_id for receipt in receipts.values()}
    wait_until("every job has ended", lambda: wanted <= stage.final_states().keys(), 120)
    stage.drained(LANE)
    wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
    found = stage.final_states()
    dead = {r.job_id for tag, r in receipts.items() if int(tag) % each_fails == 0}
    for job_id in wanted:
        expected = JobState.DEAD if job_id in dead else JobState.SUCCEEDED
        assert set(found[job_id]) - {"duplicate"} == {expected}
    letters = Counter((letter.key() or b"").decode() for letter in stage.dead())
    assert letters == dict.fromkeys(dead, 1)


def is_ready(*processes: RunningProcess) -> bool:
    return all(ask(each, "/health/ready")[0] == 200 for each in processes)


def is_not_ready(process: RunningProcess) -> bool:
    return ask(process, "/health/ready")[0] == 503


def says_that_kafka_is_away(process: RunningProcess) -> bool:
    return "Kafka does not answer" in ask(process, "/health/ready")[1]


def counts_no_broker(process: RunningProcess) -> bool:
    return metric(process, "headrace_broker_up") == 0


def has_started(journal: Journal, count: int) -> bool:
    return journal.count("start") >= count


def test_work_resumes_by_itself_when_the_broker_was_away_for_long(
    stage: Stage, broker: OwnBroker
) -> None:
    journal = stage.journal()
    with stage.process(*COMMAND) as worker, stage.process("scheduler") as scheduler:
        wait_until("both are ready", lambda: is_ready(worker, scheduler))
        receipts = submit_all(stage, journal, 500, each_fails=20, seconds=0.05)
        wait_until("it is in the middle", lambda: journal.count("start") >= 150)
        broker.kill()
        since = time.monotonic()
        for each in (worker, scheduler):
            # Something else may be amiss first: a hand-over that was under way.
            wait_until("it says why", partial(says_that_kafka_is_away, each))
            assert is_not_ready(each)
            wait_until("it counts so", partial(counts_no_broker, each))
            assert ask(each, "/health/live")[0] == 200
        wait_until("it was away for long", lambda: time.monotonic() > since + AWAY)
        broker.start()
        await_all(stage, receipts, 20)
        wait_until("both are ready again", lambda: is_ready(worker, scheduler))
        assert metric(worker, "headrace_broker_up") == 1
        assert (worker.terminate(), scheduler.terminate()) == (0, 0)
    again = sum(runs_too_many(journal).values()) - len(runs_too_many(journal))
    assert again <= 2 * SLOTS + SLOTS * COMMITTED_EVERY / 0.05


@pytest.mark.timeout(300)
def test_a_broker_killed_during_hand_overs_doubles_and_loses_none(
    stage: Stage, broker: OwnBroker
) -> None:
    """Three of four attempts end in a transaction, so that the kills meet some under way."""
    journal = stage.journal()
    with stage.process(*COMMAND) as worker, stage.process("scheduler") as scheduler:
        wait_until("both are ready", lambda: is_ready(worker, scheduler))
        receipts = submit_all(stage, journal, 400, each_fails=2, seconds=0.02)
        for started in (100, 500):
            wait_until("it goes on", partial(has_started, journal, started))
            broker.kill()
            broker.start()
        await_all(stage, receipts, 2)
        assert (worker.terminate(), scheduler.terminate()) == (0, 0)
    again = sum(runs_too_many(journal).values()) - len(runs_too_many(journal))
    assert again <= 2 * (2 * SLOTS + SLOTS * COMMITTED_EVERY / 0.02)


def test_processes_that_are_told_to_stop_end_without_a_broker(
    stage: Stage, broker: OwnBroker
) -> None:
    journal = stage.journal()
    budget = {"HEADRACE_WORKER_DRAIN_BUDGET": "2s"}
    with stage.process(*COMMAND, **budget) as worker, stage.process("scheduler") as scheduler:
        wait_until("both are ready", lambda: is_ready(worker, scheduler))
        submit_all(stage, journal, 600, each_fails=3, seconds=0.02)
        wait_until("they are in the middle", lambda: journal.count("start") > 200)
        broker.kill()
        try:
            assert worker.terminate() == 0
            assert scheduler.terminate() == 0
        finally:
            broker.start()
