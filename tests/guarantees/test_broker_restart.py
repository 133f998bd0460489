"""A broker that dies under work and comes back.

What can go wrong: a worker or scheduler ends, or hangs, when its broker goes away; transactions and
commits whose end nobody knows lose jobs, or finish them twice with another outcome; a producer
gives up on what it could still deliver.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.pipeline import broker
from headrace.pipeline.broker import BrokerState
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.stage import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def own_broker(kafka: str, tmp_path: Path) -> Iterator[broker.BrokerAddress]:
    """An embedded broker that nobody else uses; `kafka` has seen to it that there can be one."""
    options = broker.BrokerOptions(directory=tmp_path / "broker")
    with broker.running(options, owned=True) as address:
        yield address


def test_work_goes_on_when_a_killed_broker_is_back(
    own_broker: broker.BrokerAddress, tmp_path: Path
) -> None:
    stage = new_stage(own_broker.bootstrap, tmp_path)
    journal = stage.journal()
    work = stage.pipeline.job_type("work")
    with (
        stage.worker(["default.normal"], worker_drain_budget="3s") as worker,
        stage.scheduler() as scheduler,
    ):
        with stage.producer() as producer:
            receipts = [
                producer.submit(
                    work.job(
                        journal=journal.path,
                        tag=str(number),
                        seconds=0.02,
                        fail=9 if number % 20 == 0 else int(number % 5 == 0),
                    )
                )
                for number in range(400)
            ]
            wait_until("it is in the middle", lambda: journal.count("start") >= 150)
            os.kill(own_broker.pid, signal.SIGKILL)
            folder = own_broker.directory
            wait_until("it is dead", lambda: broker.status(folder).state is BrokerState.CRASHED)
            receipts += [
                producer.submit(work.job(journal=journal.path, tag=f"meanwhile-{number}"))
                for number in range(50)
            ]
            again = broker.start(broker.BrokerOptions(directory=folder))
            assert again.bootstrap == own_broker.bootstrap
            producer.flush(30)
        wanted = {receipt.job_id for receipt in receipts}
        wait_until("every job is done", lambda: wanted <= stage.final_states().keys(), 60)
        stage.drained()
        wait_until("the tiers are committed", lambda: stage.waiting_in_tiers() == 0)
        assert worker.failure is scheduler.failure is None
        found = stage.final_states()
        for number, receipt in enumerate(receipts[:400]):
            expected = JobState.DEAD if number % 20 == 0 else JobState.SUCCEEDED
            assert set(found[receipt.job_id]) - {"duplicate"} == {expected}
        assert len(stage.dead()) == 20
        stage.submit("work", journal=journal.path, tag="last", seconds=0.5)
        wait_until("it runs", lambda: journal.count("start", "last") == 1)
        os.kill(again.pid, signal.SIGKILL)
        # Both are told to stop now, and must end without a broker.
    stage.close()
