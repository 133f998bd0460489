"""What the broker believes about a directory before anything is started.

What can go wrong: a process id that meanwhile belongs to somebody else, a state file that a
full disk cut, data of a newer Kafka, a directory that cannot be written.
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.pipeline import broker
from headrace.pipeline.broker import errors, process, startup, state


def state_of(process_id: process.ProcessId) -> state.State:
    return state.State(
        phase=state.Phase.RUNNING,
        port=19999,
        controller_port=19998,
        version="4.3.1",
        cluster_id="c",
        java="/usr/bin/java",
        pid=process_id.pid,
        process_started=process_id.started,
        started_at=1.0,
        bootstrap="127.0.0.1:19999",
    )


def test_a_directory_without_a_broker_is_stopped_and_stays_untouched(tmp_path: Path) -> None:
    seen = broker.status(tmp_path / "none")
    assert (seen.state, seen.bootstrap, seen.pid) == (broker.BrokerState.STOPPED, None, None)
    assert broker.stop(tmp_path / "none") is False
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_got_the_brokers_number_later_is_not_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        earlier = process.ProcessId(stranger.pid, "tick 1")
        state.write(tmp_path / "kafka.json", state_of(earlier))

        assert broker.status(tmp_path).state is broker.BrokerState.CRASHED
        assert broker.stop(tmp_path) is False
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_process_that_ignores_the_polite_signal_is_killed_and_told_of(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); "
    command = [sys.executable, "-c", stubborn + "time.sleep(600)"]
    began = process.spawn(command, tmp_path, tmp_path / "output")
    while (tmp_path / "output").read_text("utf-8") == "":
        assert began.alive()
    state.write(tmp_path / "kafka.json", state_of(began))
    lines: list[str] = []

    assert broker.stop(tmp_path, timedelta(milliseconds=50), lines.append) is True
    assert not began.alive()
    assert any("was killed" in line for line in lines)


def test_a_dead_process_awaiting_its_burial_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process.started_of(child.pid) is None


HEADLESS = """
import ctypes, sys, threading
threading.Thread(target=lambda: sys.stdin.read(1)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc shows it")
def test_a_process_that_lost_only_its_main_thread_is_alive_for_it_holds_its_ports() -> None:
    with subprocess.Popen([sys.executable, "-c", HEADLESS], stdin=subprocess.PIPE) as child:
        stat = Path(f"/proc/{child.pid}/stat")
        while stat.read_text("utf-8").rpartition(")")[2].split()[0] != "Z":
            assert child.poll() is None
        assert process.started_of(child.pid) is not None
        child.kill()


def test_both_ways_to_tell_when_a_process_began_agree_on_who_lives() -> None:
    assert process._started_by_ps(os.getpid()) == process._started_by_ps(os.getpid()) is not None
    assert process._started_by_ps(2**22 - 3) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"pid": 1}', "\x00\x00"],
    ids=["empty", "cut", "list", "keys", "nul"],
)
def test_a_state_file_that_cannot_be_understood_is_an_error_naming_it(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "kafka.json"
    path.write_text(content, "utf-8")
    for ask in (broker.status, broker.stop):
        with pytest.raises(errors.StateFileError, match=r"kafka\.json .*delete the file"):
            ask(tmp_path)
    with pytest.raises(errors.StateFileError, match="the data beside it stays"):
        broker.start(broker.BrokerOptions(directory=tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [("pid", "12"), ("pid", True), ("port", None), ("phase", "resting"), ("started_at", "now")],
)
def test_a_state_file_with_a_wrong_value_is_an_error_naming_the_value(
    tmp_path: Path, key: str, value: Any
) -> None:
    path = tmp_path / "kafka.json"
    state.write(path, state_of(process.ProcessId(1, "tick 1")))
    document = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**document, key: value}), "utf-8")
    with pytest.raises(errors.StateFileError, match=f"has {value!r} as {key}"):
        broker.status(tmp_path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = state_of(process.ProcessId(4711, "tick 99"))
    state.write(tmp_path / "kafka.json", written)
    assert state.read(tmp_path / "kafka.json") == written
    assert [path.name for path in tmp_path.iterdir()] == ["kafka.json"]


@pytest.mark.parametrize(("wrote", "said"), [("4.10.0", "written by Kafka 4.10.0"), ("x", "'x'")])
def test_data_of_a_newer_kafka_is_refused_before_anything_starts(
    tmp_path: Path, wrote: str, said: str
) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "version").write_text(wrote, "utf-8")
    with pytest.raises(errors.DataVersionError, match=said):
        broker.start(broker.BrokerOptions(directory=tmp_path))


def test_a_directory_that_cannot_be_made_is_an_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(errors.DirectoryError, match=r"file.*choose another directory"):
        broker.start(broker.BrokerOptions(directory=tmp_path / "file" / "below"))


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    ids = {startup.new_cluster_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert not any(each.startswith("-") for each in ids)
    assert {len(each) for each in ids} == {22}


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_nearly_full_disk_is_refused_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 0, 199 * 1024 * 1024))
    with pytest.raises(errors.DiskFullError, match=r"only 199 MiB .*at least 200 MiB"):
        broker.start(broker.BrokerOptions(directory=tmp_path))
