"""What a job returned, in the service that submitted it: from threads, coroutines and children.

What can go wrong: a result comes back as something else than was annotated; a failure is waited for
for ever; a caller who asks late, or twice, gets nothing.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from headrace.producers import JobFailedError, Producer, ResultTimeoutError, ResultUnavailableError
from tests.guarantees.conftest import new_stage
from tests.support import telling
from tests.support.stage import PATIENCE, Stage

pytestmark = pytest.mark.kafka
LANES = ("default.normal", "procs.normal")


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), module=telling)
    with stage.worker(LANES):
        yield stage
    stage.close()


@pytest.fixture(scope="module")
def producer(stage: Stage) -> Iterator[Producer]:
    with stage.producer() as producer:
        yield producer


@pytest.mark.parametrize("queue", ["default", "procs"])
def test_a_result_comes_back_as_its_annotation_says(producer: Producer, queue: str) -> None:
    assert producer.submit(f"{queue}.report").result(PATIENCE) == telling.REPORT


def test_results_may_be_asked_for_late_in_any_order_and_again(producer: Producer) -> None:
    receipts = [producer.submit("default.measure", {"text": "x" * n}) for n in range(20)]
    assert [each.result(PATIENCE) for each in reversed(receipts)] == list(range(19, -1, -1))
    assert receipts[3].result(PATIENCE) == 3


def test_results_can_be_awaited_side_by_side(stage: Stage) -> None:
    async def ask(producer: Producer) -> None:
        receipts = [producer.submit("default.measure", {"text": "x" * n}) for n in range(5)]
        found = await asyncio.gather(*(each.result_async(PATIENCE) for each in receipts))
        assert found == list(range(5))

    with stage.producer() as producer:
        asyncio.run(ask(producer))


def test_a_retried_job_is_waited_for_until_it_succeeds(stage: Stage, producer: Producer) -> None:
    with stage.scheduler():
        receipt = producer.submit("default.measure", {"text": "four", "fail": 1})
        assert receipt.result(PATIENCE) == 4


def test_a_dead_job_raises_with_what_it_died_of(producer: Producer) -> None:
    receipt = producer.submit("default.refuse", {"why": "not in stock"})
    with pytest.raises(JobFailedError, match=r"is dead: rejected.*not in stock") as caught:
        receipt.result(PATIENCE)
    assert (caught.value.state, caught.value.reason) == ("dead", "rejected")
    assert (caught.value.job_id, caught.value.attempt) == (receipt.job_id, 1)


def test_an_expired_job_raises(stage: Stage, producer: Producer) -> None:
    receipt = producer.submit(
        "default.report", delay=timedelta(milliseconds=100), expires=timedelta(milliseconds=1)
    )
    with stage.scheduler(), pytest.raises(JobFailedError, match="is expired"):
        receipt.result(PATIENCE)


def test_a_job_that_takes_longer_than_the_caller_waits_can_be_asked_again(
    producer: Producer,
) -> None:
    receipt = producer.submit("default.report", delay=timedelta(hours=1))
    for _ in range(2):
        with pytest.raises(ResultTimeoutError, match=f"jobs show {receipt.job_id}"):
            receipt.result(0.1)
    with pytest.raises(TimeoutError):
        asyncio.run(receipt.result_async(0.1))


def test_after_the_producer_was_closed_there_is_no_result_to_be_had(stage: Stage) -> None:
    with stage.producer() as producer:
        receipt = producer.submit("default.report")
    with pytest.raises(ResultUnavailableError, match="producer was closed"):
        receipt.result(PATIENCE)
