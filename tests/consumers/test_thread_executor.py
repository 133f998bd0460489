"""Threads: what cannot be stopped is written off, and a result that comes late is ignored."""

import time
from collections.abc import Iterator

import pytest

from headrace.consumers.outcomes import Failed, Interrupted, Succeeded, TimedOut
from tests.consumers import executor_samples
from tests.consumers.executor_bench import LONG, Bench, make


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = make("thread", slots=2)
    yield bench
    bench.end()


def wait_until_lost(bench: Bench, count: int) -> None:
    deadline = time.monotonic() + LONG
    while bench.executor.lost != count:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        executor_samples.RELEASE.wait(0.01)


def test_a_thread_over_its_time_is_written_off_and_another_takes_its_place(bench: Bench) -> None:
    for _ in range(2):  # as many as there are slots
        bench.start("wait", timeout=0.1, seconds=LONG)
    assert [bench.report().outcome for _ in range(2)] == [TimedOut(0.1)] * 2
    assert bench.result("double", number=2) == 4
    wait_until_lost(bench, 2)
    assert max(bench.lost) == 2


def test_a_late_result_is_ignored_and_its_thread_is_no_longer_lost(bench: Bench) -> None:
    assert bench.outcome("wait", timeout=0.1, seconds=LONG) == TimedOut(0.1)
    wait_until_lost(bench, 1)
    executor_samples.RELEASE.set()
    wait_until_lost(bench, 0)
    assert bench.lost[-1] == 0
    assert bench.reports.empty()
    assert bench.result("double", number=2) == 4


def test_a_written_off_handler_is_told_by_its_context(bench: Bench) -> None:
    record = bench.start("wait", timeout=0.1, seconds=LONG)
    running = bench.executor._running  # type: ignore[attr-defined]
    contexts = [each.context for each in running.values()]
    assert bench.report().outcome == TimedOut(record.timeout)
    assert all(context is None or context.cancelled for context in contexts)


def test_as_many_jobs_run_at_once_as_there_are_slots_whatever_came_before(bench: Bench) -> None:
    for _ in range(50):
        assert bench.outcome("nothing") == Succeeded()
        bench.start("wait", seconds=LONG)
        bench.start("nothing")  # must not wait behind the other one
        assert bench.report().outcome == Succeeded()
        executor_samples.RELEASE.set()
        assert isinstance(bench.report().outcome, Succeeded)
        executor_samples.RELEASE.clear()


def test_no_more_jobs_run_at_once_than_there_are_slots(bench: Bench) -> None:
    records = [bench.start("wait", seconds=LONG) for _ in range(5)]
    running = bench.executor._running  # type: ignore[attr-defined]
    assert len(running) <= 2
    executor_samples.RELEASE.set()
    reported = [bench.reports.get(timeout=LONG)[0] for _ in records]
    assert {id(each) for each in reported} == {id(each) for each in records}
    assert bench.executor._alive == 2  # type: ignore[attr-defined]


def test_stop_gives_back_what_no_thread_has_taken(bench: Bench) -> None:
    for _ in range(3):
        bench.start("wait", seconds=LONG)
    bench.executor.stop(at_once=False)
    assert bench.report().outcome == Interrupted()
    executor_samples.RELEASE.set()
    assert isinstance(bench.report().outcome, Succeeded)
    assert isinstance(bench.report().outcome, Succeeded)


def test_a_plain_function_that_returns_a_coroutine_is_a_failure_not_a_success(
    bench: Bench,
) -> None:
    outcome = bench.outcome("forgot_to_await")
    assert isinstance(outcome, Failed)
    assert "returned a coroutine that nobody awaits" in outcome.error.message
