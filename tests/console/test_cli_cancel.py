"""`headrace jobs cancel`, and what `jobs show` says of an order, against a real broker."""

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.console.output import UsageError
from headrace.schemas.states import JobState
from tests.guarantees.conftest import new_stage
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka
MODULE = "jobs_to_cancel"


@pytest.fixture
def stage(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    module = types.ModuleType(MODULE)
    module.__dict__["shop"] = stage.pipeline
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setenv("HEADRACE_PIPELINE", f"{MODULE}:shop")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", kafka)
    yield stage
    stage.close()


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["jobs", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def as_json(*words: str, code: int = 0) -> Any:
    lines = run(*words, "--json", code=code).splitlines()
    return json.loads(lines[-1])  # what the worker of this process logs stands before it


def outcomes(told: Any) -> dict[str, tuple[str, str | None]]:
    return {each["job_id"]: (each["outcome"], each["state"]) for each in told["jobs"]}


def test_it_says_what_became_of_each_job(stage: Stage) -> None:
    journal = stage.journal()
    with stage.worker(concurrency=2):
        done = stage.submit("work", journal=journal.path, tag="done")
        stage.await_state(done, JobState.SUCCEEDED)
        running = stage.submit("gate", journal=journal.path, tag="running")
        wait_until("it runs", lambda: journal.count("start", "running"))
        told = as_json("cancel", done, running, "nobody", "--wait", "30s", code=1)
    assert outcomes(told) == {
        done: ("finished", "succeeded"),
        running: ("cancelled", "cancelled"),
        "nobody": ("not-found", None),
    }
    queued = stage.submit("work", journal=journal.path, tag="queued")
    table = run("cancel", queued, "--wait", "0s", "--by", "anna", "--reason", "too late")
    assert "ordered" in table
    assert "dropped when a worker reads it" in table
    assert "cancelled by anna: too late" in run("show", queued)
    assert as_json("show", queued)["cancel_order"]["by"] == "anna"
    with stage.worker():
        stage.await_state(queued, JobState.CANCELLED)
    assert as_json("show", queued)["cancel_order"] is None
    assert outcomes(as_json("cancel", queued)) == {queued: ("cancelled", "cancelled")}


def test_a_filter_chooses_unfinished_jobs_and_asks_before_it_cancels_them(stage: Stage) -> None:
    journal = stage.journal()
    acme: dict[str, Any] = {"tenant": "acme"}
    mine = {stage.submit("work", acme, journal=journal.path, tag="a") for _ in range(3)}
    stage.submit("plain", acme, journal=journal.path, tag="other type")
    stage.submit("work", journal=journal.path, tag="other tenant")
    by = ("cancel", "--type", "work", "--tenant", "acme", "--state", "queued")
    would = as_json(*by, "--dry-run")["would_cancel"]
    assert {each["job_id"] for each in would} == mine
    with pytest.raises(UsageError, match=r"3 jobs match \(3 queued\): say --yes"):
        run(*by)
    assert as_json(*by, "--older-than", "1h", code=1) == {"would_cancel": []}
    told = as_json(*by, "--yes", "--wait", "0s")
    assert outcomes(told) == dict.fromkeys(mine, ("ordered", "queued"))
    with stage.worker():
        for job_id in mine:
            stage.await_state(job_id, JobState.CANCELLED)
        stage.drained()
    assert {event.tag for event in journal.events("start")} == {"other type", "other tenant"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "job ids, or a filter"),
        (("some-id", "--type", "work"), "not both"),
        (("--state", "dead"), "have ended"),
        (("--queue", "none"), "no queue 'none'"),
        (("some-id", "--dry-run"), "goes with a filter"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(stage: Stage, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run("cancel", *words)
