"""`headrace dlq replay` as people and scripts use it: real processes, their output and exit codes.

What can go wrong: a script takes an empty replay for a done one; Ctrl-C loses the way to go on; a
killed replay runs jobs twice or leaves some out; a status tells success too early.
"""

import json
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headrace.console.main import app
from headrace.schemas import headers
from headrace.schemas.states import JobState
from tests.support.buried import bury
from tests.support.stage import ROOT, Stage, headers_of, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage.build(f"t{uuid.uuid4().hex[:8]}", kafka, tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


class Shell:
    """Commands about the letters of one test, which have a tenant of their own."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        self.tenant = f"tenant-{uuid.uuid4().hex[:8]}"
        self.journal = stage.journal()
        monkeypatch.setenv("HEADRACE_PIPELINE", stage.module.reference(stage.pipeline.name))
        monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", stage.kafka.bootstrap_servers)

    def bury(self, count: int = 1, **how: Any) -> list[str]:
        arguments = {"journal": self.journal.path} | how.pop("arguments", {})
        return bury(self.stage, count, tenant=self.tenant, arguments=arguments, **how)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["dlq", "replay", *words], catch_exceptions=False)

    def replay(self, *words: str) -> Result:
        return self.run("--tenant", self.tenant, *words)

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "headrace", "dlq", "replay", "--tenant", self.tenant]
        return subprocess.Popen(
            [*command, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def on_lane(self) -> Counter[str]:
        found = [headers_of(message) for message in self.stage.records("default.normal")]
        mine = [each for each in found if each.get(headers.TENANT) == self.tenant.encode()]
        return Counter((each[headers.ID] or b"").decode() for each in mine)

    def status(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = self.run("status", self.tenant, "--json", *words)
        return done.exit_code, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def shell(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(stage, monkeypatch)


def test_conditions_that_nothing_meets_say_so_and_end_with_1(shell: Shell) -> None:
    for words in ((), ("--dry-run",)):
        done = shell.replay(*words)
        assert done.exit_code == 1
        assert "no dead letter matches" in done.stderr
    done = shell.replay("--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["matched"] == 0
    assert json.loads(shell.replay("--dry-run", "--json").stdout)["matched"] == 0


def test_a_dry_run_says_what_would_run_what_not_and_why_and_for_how_long(shell: Shell) -> None:
    shell.bury(20)
    (gone,) = shell.bury(job_type="gone")
    done = shell.replay("--dry-run", "--rate", "10/s")
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    assert "21 letters match; 20 would run" in told
    assert f"type-gone 1 1 gone {gone} pipeline" in told
    assert "at 10/s the replay takes 2s" in told
    found = json.loads(shell.replay("--dry-run", "--rate", "10/s", "--json").stdout)
    assert (found["would_run"], found["would_be_refused"], found["writing_seconds"]) == (20, 1, 2)
    assert not shell.on_lane()


def test_a_replay_tells_what_it_did_and_is_listed_and_followed_to_its_end(shell: Shell) -> None:
    ids = shell.bury(3)
    shell.bury(generation=9)
    (failing,) = shell.bury(arguments={"fail": 9}, attempt=3)
    done = shell.replay("--name", shell.tenant, "--attempts", "continue", "--why", "fixed")
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    assert f"replay {shell.tenant} has finished" in told
    assert "replayed 4 refused: too-many-replays 1" in told
    assert shell.status()[0] == 3, "nothing has run yet"
    with shell.stage.worker(["default.normal"]):
        code, status = shell.status("--follow", "--every", "0.2")
    assert (code, status["over"]) == (1, True)
    assert status["states"] == {"succeeded": 3, "dead": 1}
    assert (status["errors"], status["dead_job_ids"]) == ({"ValueError": 1}, [failing])
    (listed,) = [
        each
        for each in json.loads(shell.run("list", "--json").stdout)["replays"]
        if each["name"] == shell.tenant
    ]
    assert (listed["reason"], listed["replayed"], listed["phase"]) == ("fixed", 4, "finished")
    assert "ValueError" in shell.run("status", shell.tenant).stdout
    assert shell.on_lane() == Counter([*ids, failing])


def test_a_replay_whose_jobs_all_succeeded_ends_with_0(shell: Shell) -> None:
    ids = shell.bury(2)
    shell.replay("--name", shell.tenant)
    with shell.stage.worker(["default.normal"]):
        for job_id in ids:
            shell.stage.await_state(job_id, JobState.SUCCEEDED)
    assert shell.status()[0] == 0


def test_when_everything_is_refused_the_command_fails(shell: Shell) -> None:
    shell.bury(2, job_type="gone")
    assert shell.replay("--dry-run").exit_code == 1
    assert shell.replay().exit_code == 1


def test_ctrl_c_leaves_a_replay_that_goes_on_and_says_how(shell: Shell) -> None:
    ids = shell.bury(80)
    process = shell.begin("--rate", "20/s", "--name", shell.tenant)
    wait_until("some are written", lambda: len(shell.on_lane()) >= 10)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "was interrupted" in out
    assert f"headrace dlq replay --resume {shell.tenant}" in errors
    assert 10 <= len(shell.on_lane()) < 80
    resume(shell, len(ids))
    assert shell.on_lane() == Counter(ids)


def test_a_killed_replay_goes_on_and_every_job_runs_once(shell: Shell) -> None:
    ids = shell.bury(120)
    process = shell.begin("--rate", "40/s", "--name", shell.tenant)
    wait_until("some are written", lambda: len(shell.on_lane()) >= 20)
    process.kill()
    process.communicate()
    assert 20 <= len(shell.on_lane()) < 120
    resume(shell, len(ids))
    assert shell.on_lane() == Counter(ids)
    with shell.stage.worker(["default.normal"]):
        code, status = shell.status("--follow", "--every", "0.2")
    assert (code, status["states"]) == (0, {"succeeded": 120})
    assert Counter(event.tag for event in shell.journal.events("start")) == Counter(ids)


def resume(shell: Shell, count: int) -> None:
    done = shell.run("--resume", shell.tenant, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["replayed"] == count


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--resume", "nobody"), "has no replay 'nobody'"),
        (("--to-queue", "nowhere"), "declares no queue 'nowhere' to replay to"),
        (("--queue", "nowhere"), "declares no queue 'nowhere'"),
        (("--to-priority", "vip"), "no priority 'vip' to replay to"),
        (("--attempts", "many"), "fresh and continue"),
        (("--rate", "fast"), "is no rate"),
        (("--resume", "x", "--limit", "3"), "leave conditions and other options out"),
        (("status", "nobody"), "has no replay 'nobody'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(shell: Shell, words: tuple[str, ...], told: str) -> None:
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["dlq", "replay", *words])
    assert done.exit_code in (1, 2)
    assert told in " ".join(f"{done.stderr} {done.exception}".split())
