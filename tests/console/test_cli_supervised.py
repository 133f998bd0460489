"""Several processes under one command: `--processes N`, `headrace up`, and the embedded broker."""

import json
import os
import signal
from pathlib import Path

import pytest

from headrace.console.commands import up
from tests.console.conftest import SHOP, CommandLine, eventually
from tests.console.test_cli_worker import call, lines


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_worker_process_is_started_again(shop: CommandLine, tmp_path: Path) -> None:
    command = shop.start("worker", "--processes", "2", "--concurrency", "1")
    command.says("worker started", times=2)
    first = command.children("worker")
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    command.says("ended=SIGKILL")
    command.says("worker started", times=3)
    mark = tmp_path / "mark"
    shop.ok("submit", "mark", call(mark))
    eventually("the job ran", lambda: len(lines(mark)) == 1)
    command.signal()
    assert command.ends() == 0
    assert not any(lives(pid) for pid in command.children("worker"))


def test_processes_that_cannot_run_are_not_started_for_ever(on_kafka: CommandLine) -> None:
    done = on_kafka("worker", "--processes", "2")
    assert done.returncode == 1
    assert "headrace topics apply" in done.stderr
    assert done.stderr.count("child started") == 2


def test_children_end_when_their_supervisor_was_killed(headrace: CommandLine) -> None:
    nowhere = {"HEADRACE_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    command = headrace.start("worker", SHOP, "--processes", "2", env=nowhere)
    command.says("health and metrics at", times=2)
    command.signal(signal.SIGKILL)
    command.ends()
    children = command.children("worker")
    assert len(children) == 2
    eventually("the children are gone", lambda: not any(lives(pid) for pid in children))


def stored(headrace: CommandLine, env: dict[str, str]) -> list[str]:
    found = json.loads(headrace("processors", "status", "--json", env=env).stdout)
    return [total["state"] for total in found["totals"]]


def succeeded(headrace: CommandLine, env: dict[str, str]) -> int:
    done = headrace("stats", "--json", env=env)
    windows = json.loads(done.stdout)["total"]["windows"] if done.returncode == 0 else {}
    return int(windows["1h"]["counts"]["succeeded"]) if windows else 0


def test_up_brings_everything_and_takes_it_down_again(
    headrace: CommandLine, tmp_path: Path
) -> None:
    where = ("--directory", str(tmp_path / "broker"))
    command = headrace.start("up", SHOP, *where)
    command.says("worker started")
    status = json.loads(headrace.ok("kafka", "status", "--json", *where))
    assert status["state"] == "running"
    assert "was running already" in headrace.ok("kafka", "start", *where)
    env = {"HEADRACE_BOOTSTRAP_SERVERS": status["bootstrap"], "HEADRACE_PIPELINE": SHOP}
    mark = tmp_path / "mark"
    headrace.ok("submit", "mark", call(mark), "--delay", "200ms", env=env)
    eventually("the delayed job ran", lambda: len(lines(mark)) == 1)
    env |= {"HEADRACE_STORE_URL": f"sqlite:///{tmp_path}/broker/store.db"}
    eventually("the store knows", lambda: stored(headrace, env) == ["succeeded"])
    eventually("it is counted", lambda: succeeded(headrace, env) == 1)
    command.signal(signal.SIGINT)
    assert command.ends() == 0
    assert headrace("kafka", "status", *where).returncode == 3
    assert headrace.ok("kafka", "stop", *where).startswith("no kafka runs")


def test_what_up_starts_can_be_left_out_and_all_of_it_ends_with_it(shop: CommandLine) -> None:
    command = shop.start("up", "--no-projector")
    command.says("worker started")
    command.says("counting")
    assert "headrace stats --watch" in command.text()
    assert not command.children("projector")
    children = [pid for name in ("worker", "statistics") for pid in command.children(name)]
    assert len(children) == 2
    command.signal(signal.SIGKILL)
    command.ends()
    eventually("they are gone", lambda: not any(lives(pid) for pid in children))


def test_up_says_what_it_leaves_out_where_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up._derived(projector=True, statistics=False) == ["processors projector"]
    monkeypatch.setattr(up, "_is_installed", lambda module: module != "faust")
    assert up._derived(projector=True, statistics=True) == ["processors projector"]
    assert "`headrace processors statistics` left out: install headrace[processors]" in " ".join(
        capsys.readouterr().err.split()
    )
