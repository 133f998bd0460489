"""A broker whose disk is full.

What can go wrong: what the broker had confirmed is gone when it has room again; a producer reports
as confirmed what was never written; worker and scheduler take a broker that ends in the middle of a
write for a reason to end too, or count a job as done whose outcome was not stored.

A full disk is played by a limit for the size of files that the broker's process writes: the system
refuses the write, as it does on a full disk, and Kafka gives its log directory up and ends.
"""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.producers import DeliveryError, Producer, Receipt
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.jobs import Journal
from tests.support.own_broker import OwnBroker, own_broker
from tests.support.stage import Stage, runs_too_many, wait_until

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process"),
]
LANE = "default.normal"
SLOTS = 8


@pytest.fixture
def broker(kafka: str, tmp_path: Path) -> Iterator[OwnBroker]:
    with own_broker(tmp_path / "broker") as broker:
        yield broker


def fill_disk(broker: OwnBroker) -> None:
    """From now on each write of the broker to a file of its own fails."""
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (1, 1))


def confirmed(receipts: list[Receipt[Any]]) -> set[str]:
    """The ids of those that the broker has; the others were refused."""
    found: set[str] = set()
    for receipt in receipts:
        try:
            receipt.confirm(60)
        except DeliveryError:
            continue
        found.add(receipt.job_id)
    return found


def submit(producer: Producer, stage: Stage, journal: Journal, tag: str) -> Receipt[Any]:
    """A job that fails once, one of five."""
    work = stage.pipeline.job_type("work")
    fails = int(tag.endswith(("0", "5")))
    return producer.submit(work.job(journal=journal.path, tag=tag, fail=fails, seconds=0.03))


def test_what_was_confirmed_before_the_disk_was_full_runs_when_there_is_room(
    broker: OwnBroker, tmp_path: Path
) -> None:
    stage = new_stage(broker.bootstrap, tmp_path)
    journal = stage.journal()
    with (
        stage.worker([LANE], concurrency=SLOTS) as worker,
        stage.scheduler() as scheduler,
        stage.producer(producer_delivery_timeout="5s") as producer,
    ):
        receipts = [submit(producer, stage, journal, f"before {n}") for n in range(300)]
        wait_until("it is in the middle", lambda: journal.count("start") >= 100)
        fill_disk(broker)
        late = [submit(producer, stage, journal, f"late {n}") for n in range(50)]
        broker.await_death()
        wanted = confirmed(receipts) | confirmed(late)
        broker.start()
        wait_until(
            "all that was confirmed has ended", lambda: wanted <= stage.final_states().keys()
        )
        stage.drained(LANE)
        assert worker.failure is scheduler.failure is None
        found = stage.final_states()
        told = {state for each in wanted for state in found[each]}
        assert told - {JobState.DUPLICATE} == {JobState.SUCCEEDED}
    again = sum(runs_too_many(journal).values()) - len(runs_too_many(journal))
    assert again <= 3 * SLOTS + 20
    stage.close()
