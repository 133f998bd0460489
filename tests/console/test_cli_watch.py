"""`headrace jobs show --watch`: a job followed through its progress to its end."""

import json
import signal
from collections.abc import Iterator

import pytest

from tests.console.conftest import CommandLine, clean_environment
from tests.guarantees.conftest import new_stage
from tests.support import telling
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"), module=telling)
    with stage.worker(["default.normal"], worker_drain_budget="100ms"):
        yield stage
    stage.close()


@pytest.fixture
def headrace(stage: Stage) -> Iterator[CommandLine]:
    environment = clean_environment() | {
        "HEADRACE_BOOTSTRAP_SERVERS": stage.kafka.bootstrap_servers or "",
        "HEADRACE_PIPELINE": telling.reference(stage.pipeline.name),
    }
    line = CommandLine(stage.folder, environment)
    yield line
    line.end_all()


def running(stage: Stage) -> str:
    """A job that runs for as long as a test may take."""
    job = stage.submit("default.count", steps=600, pause=0.05)
    wait_until("it tells of itself", lambda: any(each.progress for each in stage.of(job)))
    return job


def followed(stage: Stage, headrace: CommandLine, *options: str) -> tuple[str, str]:
    """A job's id, and what was told of it: it ends when it is being watched, not before."""
    gate = stage.folder / f"gate-{len(list(stage.folder.glob('gate-*')))}"
    job = stage.submit("default.hold", gate=str(gate), steps=40)
    wait_until("it tells of itself", lambda: any(each.progress for each in stage.of(job)))
    watching = headrace.start("jobs", "show", "--watch", *options, job)
    watching.says("step 20 of 40")
    gate.touch()
    assert watching.ends() == 0
    return job, watching.text()


def test_a_job_is_followed_to_its_end_and_its_result_is_shown(
    stage: Stage, headrace: CommandLine
) -> None:
    job, told = followed(stage, headrace)
    assert "░" in told
    assert "step 40 of 40" in told
    assert told.index("succeeded, attempt 1") < told.index("result")
    assert told.rstrip().endswith("40")
    assert "result" in headrace.ok("jobs", "show", "--watch", job)


def test_json_has_the_life_so_far_and_then_a_line_for_each_transition(
    stage: Stage, headrace: CommandLine
) -> None:
    job, told = followed(stage, headrace, "--json")
    life, *rest = map(json.loads, told.splitlines())
    assert life["job_id"] == job
    assert [each["state"] for each in rest[-2:]] == ["running", "succeeded"]
    assert rest[-2]["progress"] == 1.0


def test_the_exit_code_tells_of_a_job_that_died(stage: Stage, headrace: CommandLine) -> None:
    job = stage.submit("default.refuse", why="never")
    wait_until("it is dead", lambda: stage.state(job) == "dead")
    assert headrace("jobs", "show", "--watch", job).returncode == 1


def test_a_long_life_has_one_line_for_the_progress_of_each_attempt(
    stage: Stage, headrace: CommandLine
) -> None:
    job = stage.submit("default.count", steps=25, pause=0.1)
    wait_until("it is over", lambda: stage.state(job) == "succeeded")
    assert sum(each.progress is not None for each in stage.of(job)) > 1
    assert headrace.ok("jobs", "show", job).count("step ") == 1


def test_ctrl_c_ends_the_watching_without_a_traceback(stage: Stage, headrace: CommandLine) -> None:
    job = running(stage)
    watching = headrace.start("jobs", "show", "--watch", job)
    watching.says("running, attempt 1")
    watching.signal(signal.SIGINT)
    assert watching.ends() == 130
    assert "Traceback" not in watching.text()
