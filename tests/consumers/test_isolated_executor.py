"""A process for each attempt: however it ends, its job is told, at once, and no other is hurt.

The common promises of executors stand in `test_executor_contract`.
"""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from headrace.consumers.child import ChildSetup
from headrace.consumers.executors import IsolatedExecutor
from headrace.consumers.executors import isolated_executor as subject
from headrace.consumers.outcomes import (
    Attempted,
    Died,
    Interrupted,
    Succeeded,
    TimedOut,
    Unavailable,
)
from headrace.consumers.records import JobRecord
from tests.consumers.executor_bench import LONG, Bench, child_setup, make, record_of, unheard
from tests.support.stage import wait_until


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = make("isolated")
    yield bench
    bench.end()


def attempt_with(setup: Callable[[], ChildSetup]) -> Attempted:
    """Run one attempt in a child of this setup."""
    reports: queue.Queue[tuple[JobRecord, Attempted]] = queue.Queue()
    executor = IsolatedExecutor(setup, lambda *report: reports.put(report), unheard)
    executor.start(record_of("sync.double", LONG, {"number": 1}))
    attempted = reports.get(timeout=LONG)[1]
    executor.stop(at_once=True)
    return attempted


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("exit", "exit code 9"),
        ("exit well", "exit code 0"),
        ("kill", "SIGKILL"),
        ("segfault", "SIGSEGV"),
    ],
)
def test_a_death_is_told_however_the_process_died(bench: Bench, way: str, told: str) -> None:
    assert bench.outcome("die", how=way) == Died(told)


def test_each_attempt_has_a_process_of_its_own(bench: Bench) -> None:
    seen = [bench.result("count_runs") for _ in range(3)]
    assert len({each["pid"] for each in seen}) == 3
    assert [each["runs"] for each in seen] == [1, 1, 1]


def test_a_child_leaves_its_lifespan_before_its_process_ends(bench: Bench, tmp_path: Path) -> None:
    farewell = tmp_path / "farewell"
    bench.start("say_farewell", path=str(farewell))
    assert isinstance(bench.report().outcome, Succeeded)
    assert farewell.read_text() == "left after 0"


def test_a_job_over_its_time_is_killed_then_and_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets no time to leave its lifespan: that is for children whose job has ended."""
    monkeypatch.setattr(subject, "_TO_END", LONG * 10)
    assert bench.outcome("wait", timeout=0.2, seconds=LONG) == TimedOut(0.2)


@pytest.mark.parametrize("how", ["return", "die", "wait"])
def test_a_job_that_kills_the_server_of_its_process_is_followed_to_its_own_end(
    bench: Bench, tmp_path: Path, how: str
) -> None:
    where = tmp_path / "pid"
    timeout = 1.0 if how == "wait" else LONG
    outcome = bench.outcome("kill_server", timeout=timeout, path=str(where), how=how)
    expected = {"return": Succeeded, "die": Died, "wait": TimedOut}[how]
    assert isinstance(outcome, expected)
    pid = int(where.read_text())
    wait_until("its process is gone", lambda: not psutil.pid_exists(pid))
    assert bench.result("double", number=2) == 4  # a new server is there


def test_a_job_that_closes_what_it_would_tell_by_is_judged_by_its_end(bench: Bench) -> None:
    assert bench.outcome("close_everything", how="die") == Died("exit code 4")
    assert bench.outcome("close_everything", timeout=0.5, how="wait") == TimedOut(0.5)


def test_a_pipeline_that_cannot_be_loaded_is_not_the_jobs_fault() -> None:
    outcome = attempt_with(lambda: child_setup("tests.no_such_module:shop")).outcome
    assert isinstance(outcome, Unavailable)
    assert "no_such_module" in outcome.error.message


def test_a_child_that_dies_before_its_job_begins_charges_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique_name: str
) -> None:
    (tmp_path / f"{unique_name}.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    outcome = attempt_with(lambda: child_setup(f"{unique_name}:shop")).outcome
    assert isinstance(outcome, Unavailable)
    assert "did not begin: exit code 3" in outcome.error.message


def test_a_job_is_reported_even_if_its_process_cannot_be_made() -> None:
    def setup() -> ChildSetup:
        raise EOFError("the server is gone")

    outcome = attempt_with(setup).outcome
    assert isinstance(outcome, Unavailable)
    assert "the server is gone" in outcome.error.message


def test_a_stop_that_comes_while_a_process_is_made_finds_it() -> None:
    for _ in range(3):
        own = make("isolated")
        own.start("wait", seconds=LONG)
        own.executor.stop(at_once=True)
        assert own.report().outcome == Interrupted()
        own.end()
