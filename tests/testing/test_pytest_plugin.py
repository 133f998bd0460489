"""The fixtures, on a real Kafka: used here as a user's own test would, and in a user's project."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.pipeline import JobContext, Pipeline, Queue, Reject, Retry
from headrace.pipeline.settings import KafkaSettings, load
from headrace.schemas.states import JobState
from headrace.testing import Ended
from headrace.testing.pytest_plugin import RunPipeline, headrace_run

__all__ = ["headrace_run"]
pytestmark = pytest.mark.kafka


@pytest.fixture(scope="session")
def headrace_kafka(kafka: str) -> KafkaSettings:
    """A project that has a broker of its own overrides this fixture."""
    return load(KafkaSettings, bootstrap_servers=kafka)


def declared(name: str) -> Pipeline:
    shop = Pipeline(name, queues=[Queue("default", ("normal",))])

    @shop.job("number.double")
    async def double(number: int) -> int:
        return 2 * number

    @shop.job("second.time", retry=Retry(base=timedelta(milliseconds=50), jitter=0))
    def second_time(context: JobContext) -> str:
        if context.attempt == 1:
            raise ConnectionError("not yet")
        return "now"

    @shop.job("never")
    def never() -> None:
        raise Reject("wrong address")

    return shop


def test_a_pipeline_runs_until_the_test_ends(headrace_run: RunPipeline, unique_name: str) -> None:
    shop = declared(unique_name)
    program = headrace_run(shop)
    submit = program.producer.submit
    receipts = [submit(name, given) for name, given in [("number.double", {"number": 21})]]
    receipts += [submit("second.time"), submit("never")]
    ends = [program.wait(receipt) for receipt in receipts]
    assert ends[0] == Ended(JobState.SUCCEEDED, 1, 42)
    assert ends[1] == Ended(JobState.SUCCEEDED, 2, "now")
    assert ends[2] == Ended(JobState.DEAD, 1, None, "rejected", "Reject: wrong address")


def test_waiting_for_a_job_that_does_not_end_times_out(
    headrace_run: RunPipeline, unique_name: str
) -> None:
    program = headrace_run(declared(unique_name))
    receipt = program.producer.submit("number.double", {"number": 1}, delay=timedelta(hours=1))
    with pytest.raises(TimeoutError, match=receipt.job_id):
        program.wait(receipt, timeout=0.1)


USERS_TEST = """
from headrace.pipeline import Pipeline

shop = Pipeline("usershop")

@shop.job("number.double")
def double(number: int) -> int:
    return 2 * number

def test_doubling(headrace_run):
    program = headrace_run(shop)
    assert program.wait(program.producer.submit(double.job(21))).result == 42

def test_submitting(headrace_recorder):
    producer = headrace_recorder(shop)
    producer.submit(double.job(1))
    producer.assert_submitted(double, number=1)
"""


def test_a_users_project_runs_on_a_broker_of_its_own(tmp_path: Path, kafka: str) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["headrace.testing.pytest_plugin"]\n')
    (tmp_path / "test_shop.py").write_text(USERS_TEST)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
