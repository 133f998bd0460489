"""Child processes: a death costs the job that ran, and no other; the pool outlives all of them."""

import os
import queue
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headrace.consumers.executors import ProcessExecutor
from headrace.consumers.outcomes import (
    Attempted,
    Died,
    Interrupted,
    Succeeded,
    TimedOut,
    Unavailable,
)
from tests.consumers import executor_samples
from tests.consumers.executor_bench import LONG, Bench, child_setup, make, unheard


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = make("process", slots=2)
    yield bench
    bench.end()


@pytest.mark.parametrize(
    ("way", "told"), [("exit", "exit code 9"), ("kill", "SIGKILL"), ("segfault", "SIGSEGV")]
)
def test_a_death_costs_its_job_alone_and_is_told(bench: Bench, way: str, told: str) -> None:
    bench.start("wait", timeout=1.5, seconds=LONG)
    bench.start("die", how=way)
    assert bench.report().outcome == Died(told)
    assert bench.result("double", number=2) == 4
    assert bench.report().outcome == TimedOut(1.5)


def test_a_job_over_its_time_loses_its_process(bench: Bench) -> None:
    before = bench.result("count_runs")["pid"]
    single = [bench.outcome("wait", timeout=0.2, seconds=LONG) for _ in range(3)]
    assert single == [TimedOut(0.2)] * 3
    assert bench.result("double", number=2) == 4
    assert before != os.getpid()


def test_time_counts_from_the_start_of_the_attempt_not_from_its_queueing(bench: Bench) -> None:
    for _ in range(2):
        bench.start("wait", timeout=1.0, seconds=LONG)
    bench.start("wait", timeout=1.0, seconds=LONG)  # waits for a child until the others are over
    attempts = [bench.report() for _ in range(3)]
    assert [each.outcome for each in attempts] == [TimedOut(1.0)] * 3
    assert attempts[-1].ended - attempts[0].ended >= 900
    assert all(1_000 <= each.ended - each.started < 5_000 for each in attempts)


def test_a_pool_whose_idle_child_was_killed_is_replaced_and_its_jobs_wait_in_place(
    bench: Bench,
) -> None:
    child = bench.result("count_runs")["pid"]
    os.kill(child, signal.SIGKILL)
    outcomes: list[object] = []
    while Succeeded not in map(type, outcomes):
        outcomes.append(bench.outcome("double", number=1))
        assert len(outcomes) < 50
    assert all(isinstance(each, Succeeded | Unavailable) for each in outcomes)
    assert bench.result("double", number=2) == 4


def test_the_child_imports_the_pipeline_by_the_parents_path(bench: Bench) -> None:
    assert bench.result("whose_modules") == str(Path(executor_samples.__file__).resolve())


def test_a_child_finds_a_pipeline_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique_name: str
) -> None:
    source = Path(executor_samples.__file__).read_text()
    (tmp_path / f"{unique_name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    reports: queue.Queue[Attempted] = queue.Queue()
    setup = child_setup(f"{unique_name}:samples")
    executor = ProcessExecutor(setup, lambda _, attempted: reports.put(attempted), unheard, 1)
    bench = Bench("sync", executor, queue.Queue())
    bench.start("double", number=1)
    assert isinstance(reports.get(timeout=LONG).outcome, Succeeded)
    executor.stop(at_once=False)


def test_a_pipeline_that_cannot_be_imported_makes_jobs_wait_and_says_why() -> None:
    reports: queue.Queue[Attempted] = queue.Queue()
    setup = child_setup("no_such_module:shop")
    executor = ProcessExecutor(setup, lambda _, attempted: reports.put(attempted), unheard, 1)
    Bench("sync", executor, queue.Queue()).start("nothing")
    outcome = reports.get(timeout=LONG).outcome
    executor.stop(at_once=False)
    assert isinstance(outcome, Unavailable)
    assert "no module 'no_such_module'" in outcome.error.message


def test_the_lifespan_of_a_child_is_left_at_stop(bench: Bench, tmp_path: Path) -> None:
    place = tmp_path / "farewell"
    bench.outcome("say_farewell", path=str(place))
    bench.executor.stop(at_once=False)
    assert place.read_text().startswith("left after")


def test_stop_leaves_no_process_behind(bench: Bench) -> None:
    children = {bench.result("count_runs")["pid"] for _ in range(6)}
    bench.start("wait", seconds=LONG)
    bench.executor.stop(at_once=False)
    assert bench.report().outcome == Interrupted()
    assert not [pid for pid in children if psutil.pid_exists(pid)]


def test_a_stopped_executor_that_never_ran_anything_started_no_process() -> None:
    bench = make("process")
    bench.executor.stop(at_once=False)
    assert bench.reports.empty()
    bench.end()
