"""Arguments and results that are too large for Kafka: stored beside it, and used as if they were not.

What can go wrong: the job runs before its arguments are stored, or without them; a retry or a
replay loses the way to them; a store that is away for a while costs jobs; one that has lost them
blocks a partition; a record leads a worker to other files.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.pipeline.settings import ClaimSettings, load
from headrace.processors.job_history import JobHistory
from headrace.processors.repair.letter_filter import LetterFilter
from headrace.processors.repair.replay_definition import ReplayOptions
from headrace.processors.repair.replays import Replays
from headrace.producers import (
    JobFailedError,
    PayloadTooLargeError,
    Producer,
    ResultUnavailableError,
)
from headrace.schemas.claims import Claim
from headrace.schemas.headers import CLAIM
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support import telling
from tests.support.stage import PATIENCE, Stage, wait_until

pytestmark = pytest.mark.kafka
LANES = ("default.normal", "procs.normal")
LARGE = "tea " * 600_000
"""More than a record of Kafka may hold."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("claims") / "store"


@pytest.fixture(scope="module")
def stage(kafka: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), module=telling)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HEADRACE_CLAIMS_URL", str(folder))
        with stage.worker(LANES), stage.scheduler():
            yield stage
    stage.close()


@pytest.fixture(scope="module")
def producer(stage: Stage) -> Iterator[Producer]:
    with stage.producer() as producer:
        yield producer


def stored(folder: Path) -> list[Path]:
    return sorted((each for each in folder.rglob("*") if each.is_file()), key=lambda p: p.name)


@pytest.mark.parametrize("queue", ["default", "procs"])
def test_large_arguments_are_run_with_and_a_retry_finds_them_too(
    producer: Producer, queue: str
) -> None:
    receipt = producer.submit(f"{queue}.measure", {"text": LARGE, "fail": 1})
    assert receipt.result(PATIENCE) == len(LARGE)


@pytest.mark.parametrize("queue", ["default", "procs"])
def test_a_large_result_comes_back_and_its_transition_stays_small(
    stage: Stage, producer: Producer, queue: str
) -> None:
    receipt = producer.submit(f"{queue}.repeat", {"times": 600_000})
    assert receipt.result(PATIENCE) == LARGE
    told = stage.await_state(receipt.job_id, JobState.SUCCEEDED)
    assert told.result is None
    assert Claim.read(told.result_claim or "").length > len(LARGE)


def test_the_record_is_small_and_the_views_show_what_it_stands_for(
    stage: Stage, producer: Producer
) -> None:
    receipt = producer.submit("default.measure", {"text": LARGE})
    assert receipt.result(PATIENCE) == len(LARGE)
    view = JobHistory(stage.pipeline, stage.kafka).find(receipt.job_id)
    assert view is not None
    assert view.arguments is not None
    assert view.arguments.value["text"] == LARGE
    assert (view.arguments.stored or "").startswith(f"{stage.pipeline.name}/")
    [record] = [m for m in stage.records("default.normal") if receipt.job_id in str(m.headers())]
    assert len(record.value() or b"") == 10


def test_a_claim_that_is_gone_is_a_dead_letter_that_says_so_and_runs_once_it_is_back(
    stage: Stage, producer: Producer, folder: Path
) -> None:
    before = set(stored(folder))
    receipt = producer.submit("default.measure", {"text": LARGE}, delay=telling.SOON)
    [claimed] = set(stored(folder)) - before
    aside = claimed.rename(claimed.with_name("aside"))
    with pytest.raises(JobFailedError, match=r"undecodable.*nothing lies at.*submit it again"):
        receipt.result(PATIENCE)
    [letter] = [m for m in stage.dead() if receipt.job_id in str(m.headers())]
    assert CLAIM in dict(letter.headers() or ())
    replays = Replays(stage.pipeline, stage.kafka)
    options = ReplayOptions(wanted=LetterFilter(ids=(receipt.job_id,)))
    assert [each.cause for each in replays.dry_run(options).refused] == ["claim-lost"]
    aside.rename(claimed)
    definition = replays.define(options, name=receipt.job_id, by="ada")
    assert definition is not None
    assert replays.begin(definition, threading.Event()).progress.replayed == 1
    wait_until("it succeeds", lambda: stage.state(receipt.job_id) == "succeeded")
    assert receipt.result(PATIENCE) == len(LARGE)


def test_a_store_that_is_away_makes_its_jobs_wait_and_costs_none(
    stage: Stage, producer: Producer, folder: Path
) -> None:
    receipt = producer.submit("default.measure", {"text": LARGE}, delay=telling.SOON)
    receipt.confirm(PATIENCE)
    aside = folder.rename(folder.with_name("aside"))
    small = producer.submit("default.measure", {"text": "tea"}, delay=2 * telling.SOON)
    assert small.result(PATIENCE) == 3  # the others go on
    aside.rename(folder)
    assert receipt.result(PATIENCE) == len(LARGE)


def test_a_record_cannot_lead_a_worker_out_of_the_store(
    stage: Stage, producer: Producer, folder: Path
) -> None:
    secret = folder.parent / "secret"
    secret.write_bytes(b"secret")
    claim = str(Claim.of("../secret", b"secret")).encode()
    headers = [("ce_id", b"evil"), ("ce_type", b"default.measure"), (CLAIM, claim)]
    stage.send("default.normal", b"", headers=headers)
    wait_until("it is dead", lambda: stage.state("evil") == "dead")
    assert "is no claim" in (stage.of("evil")[-1].error_message or "")


def test_a_lost_result_is_told_as_such(producer: Producer, folder: Path) -> None:
    before = set(stored(folder))
    receipt = producer.submit("default.repeat", {"times": 600_000})
    assert receipt.result(PATIENCE) == LARGE
    for each in set(stored(folder)) - before:
        each.write_bytes(b"altered")
    with pytest.raises(ResultUnavailableError, match="was altered"):
        receipt.result(PATIENCE)


def test_without_a_store_what_is_too_large_is_refused_with_the_setting_that_helps(
    stage: Stage,
) -> None:
    nowhere = ClaimSettings(claims_url=None)
    with (
        Producer(stage.pipeline, kafka=stage.kafka, claims=nowhere) as producer,
        pytest.raises(PayloadTooLargeError, match="HEADRACE_CLAIMS_URL"),
    ):
        producer.submit("default.measure", {"text": LARGE})
    assert load(ClaimSettings).claims_url is not None
