"""A supervisor of small shell programs: restarts, signals, and how it ends."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.consumers.child_process import Child
from headrace.consumers.supervisor import Program, Supervisor, SupervisorOptions, how_it_ended

QUICK = SupervisorOptions(
    first_pause=timedelta(milliseconds=10),
    longest_pause=timedelta(milliseconds=40),
    grace=timedelta(seconds=20),
)
UNTIL_TERM = 'trap "exit 0" TERM; echo up >> log; while :; do sleep 0.02; done'


class Supervised:
    """A supervisor on a thread, with programs that work in one folder."""

    def __init__(self, folder: Path, options: SupervisorOptions, scripts: tuple[str, ...]) -> None:
        self.folder = folder
        programs = [
            Program(f"child {i}", ("/bin/sh", "-c", f"cd {folder}; {script}"))
            for i, script in enumerate(scripts)
        ]
        self.supervisor = Supervisor(programs, options)
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.code = self.supervisor.run()

    def lines(self) -> int:
        log = self.folder / "log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def reaches(self, lines: int) -> None:
        wait_for(lambda: self.lines() >= lines)

    def ends(self) -> int | None:
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()
        return self.code


Supervise = Callable[..., Supervised]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    made: list[Supervised] = []

    def start(*scripts: str, options: SupervisorOptions = QUICK) -> Supervised:
        made.append(Supervised(tmp_path, options, scripts))
        return made[-1]

    yield start
    for each in made:
        each.supervisor.kill()
        each.ends()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_children_run_until_the_stop_and_end_well(supervise: Supervise) -> None:
    both = supervise(UNTIL_TERM, UNTIL_TERM)
    both.reaches(2)
    assert len(both.supervisor.pids()) == 2
    both.supervisor.stop()
    assert both.ends() == 0
    assert both.supervisor.pids() == {}


@pytest.mark.parametrize("end", ["exit 1", "exit 0", "exit 75", "kill -9 $$"])
def test_a_child_that_ends_is_started_again_however_it_ended(
    supervise: Supervise, end: str
) -> None:
    one = supervise(f"echo up >> log; test $(wc -l < log) -gt 3 || {end}; {UNTIL_TERM}")
    one.reaches(5)
    one.supervisor.stop()
    assert one.ends() == 0


def test_pauses_between_deaths_double_and_a_request_to_start_afresh_has_none(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[timedelta] = []

    def pause(child: Child, duration: timedelta) -> bool:
        pauses.append(duration)
        return len(pauses) == 5

    monkeypatch.setattr(Child, "pause", pause)
    one = supervise("echo up >> log; test $(wc -l < log) -eq 3 && exit 75; exit 1")
    one.ends()
    in_ms = [pause / timedelta(milliseconds=1) for pause in pauses]
    assert in_ms == [10, 20, 0, 40, 40]


def test_a_child_that_cannot_run_stops_everything(supervise: Supervise) -> None:
    two = supervise(UNTIL_TERM, "while ! test -s log; do sleep 0.01; done; exit 78")
    assert two.ends() == 1
    assert two.lines() == 1


def test_a_child_that_ignores_the_stop_is_killed_when_the_grace_is_over(
    supervise: Supervise,
) -> None:
    short = SupervisorOptions(grace=timedelta(milliseconds=100))
    deaf = supervise('trap "" TERM; echo up >> log; while :; do sleep 0.02; done', options=short)
    deaf.reaches(1)
    deaf.supervisor.stop()
    assert deaf.ends() == 1


def test_a_stop_at_once_tells_the_children_again(supervise: Supervise) -> None:
    stubborn = supervise(
        'trap "echo asked >> log" TERM; echo up >> log; '
        "until test $(wc -l < log) -gt 2; do sleep 0.02; done; exit 0"
    )
    stubborn.reaches(1)
    stubborn.supervisor.stop()
    stubborn.reaches(2)
    stubborn.supervisor.stop(at_once=True)
    assert stubborn.ends() == 0


def test_a_stop_during_a_pause_ends_without_another_start(supervise: Supervise) -> None:
    slow = SupervisorOptions(first_pause=timedelta(hours=1))
    one = supervise("echo up >> log; exit 1", options=slow)
    one.reaches(1)
    wait_for(lambda: not one.supervisor.pids())
    one.supervisor.stop()
    one.ends()
    assert one.lines() == 1


@pytest.mark.parametrize(
    ("code", "told"), [(3, "exit code 3"), (-9, "SIGKILL"), (-99, "signal 99")]
)
def test_an_end_is_told_as_people_know_it(code: int, told: str) -> None:
    assert how_it_ended(code) == told


def child(folder: Path, name: str, script: str) -> Program:
    return Program(name, ("/bin/sh", "-c", f"cd {folder}; {script}"))


def test_a_child_that_is_added_lives_as_the_others_do(supervise: Supervise, tmp_path: Path) -> None:
    running = supervise(UNTIL_TERM)
    running.reaches(1)
    assert running.supervisor.add(child(tmp_path, "added", UNTIL_TERM))
    running.reaches(2)
    os.kill(running.supervisor.pids()["added"], signal.SIGKILL)
    running.reaches(3)
    running.supervisor.stop()
    assert running.ends() == 0


def test_a_child_that_retires_ends_alone_and_is_not_started_again(supervise: Supervise) -> None:
    running = supervise(UNTIL_TERM, UNTIL_TERM)
    running.reaches(2)
    running.supervisor.retire("child 1")
    wait_for(lambda: set(running.supervisor.pids()) == {"child 0"})
    assert running.thread.is_alive()
    running.supervisor.stop()
    assert running.ends() == 0
    assert running.lines() == 2


def test_a_name_can_be_used_again_when_its_child_has_retired(
    supervise: Supervise, tmp_path: Path
) -> None:
    running = supervise(UNTIL_TERM, UNTIL_TERM)
    running.reaches(2)
    running.supervisor.retire("child 1")
    wait_for(lambda: set(running.supervisor.pids()) == {"child 0"})
    assert running.supervisor.add(child(tmp_path, "child 1", UNTIL_TERM))
    running.reaches(3)
    assert set(running.supervisor.pids()) == {"child 0", "child 1"}
    running.supervisor.stop()
    assert running.ends() == 0


def test_one_that_does_not_retire_within_the_grace_is_killed_and_counts_as_a_bad_end(
    supervise: Supervise,
) -> None:
    patience = replace(QUICK, grace=timedelta(milliseconds=50))
    deaf = 'trap "" TERM; echo up >> log; while :; do sleep 0.02; done'
    running = supervise(UNTIL_TERM, deaf, options=patience)
    running.reaches(2)
    running.supervisor.retire("child 1")
    wait_for(lambda: set(running.supervisor.pids()) == {"child 0"})
    running.supervisor.stop()
    assert running.ends() == 1


def test_one_that_waits_to_be_started_again_retires_too(supervise: Supervise) -> None:
    slow = replace(QUICK, first_pause=timedelta(hours=1), longest_pause=timedelta(hours=1))
    running = supervise(UNTIL_TERM, "echo up >> log; exit 1", options=slow)
    running.reaches(2)
    wait_for(lambda: set(running.supervisor.pids()) == {"child 0"})
    running.supervisor.retire("child 1")
    running.supervisor.stop()
    assert running.ends() == 0


def test_nothing_is_added_after_a_stop(supervise: Supervise, tmp_path: Path) -> None:
    running = supervise(UNTIL_TERM)
    running.reaches(1)
    running.supervisor.stop()
    assert not running.supervisor.add(child(tmp_path, "late", UNTIL_TERM))
    assert running.ends() == 0
