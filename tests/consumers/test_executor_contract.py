"""What every executor promises: one behavioural suite, run by all of them."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from headrace.consumers.executors import IsolatedExecutor, ProcessExecutor
from headrace.consumers.outcomes import (
    Cancelled,
    Failed,
    Interrupted,
    Rejected,
    RetryAsked,
    Snoozed,
    Succeeded,
    TimedOut,
    Undecodable,
)
from headrace.pipeline import Progress
from tests.consumers.executor_bench import LONG, MAX_RESULT, Bench, make

KINDS = {
    "async": ("async", "async"),
    "uvloop": ("uvloop", "async"),
    "thread": ("thread", "sync"),
    "process": ("process", "sync"),
    "process-with-coroutines": ("process", "async"),
    "isolated": ("isolated", "sync"),
}


@pytest.fixture(scope="module", params=list(KINDS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One executor for all tests of the module: each test leaves it usable for the next."""
    where, kind = KINDS[request.param]
    bench = make(where, kind=kind)
    yield bench
    bench.end()


@pytest.fixture
def own_bench(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One of the same kind that the test may stop."""
    where, kind = KINDS[request.node.callspec.params["bench"]]
    own = make(where, kind=kind)
    yield own
    own.end()


def test_a_returned_value_is_the_result(bench: Bench) -> None:
    assert bench.result("double", number=21) == 42


def test_what_a_handler_leaves_in_context_variables_is_not_the_next_one_s(bench: Bench) -> None:
    assert [bench.result("remember", word=word) for word in ("a", "b", "c")] == ["nothing"] * 3


def test_none_is_a_success_without_a_result(bench: Bench) -> None:
    assert bench.outcome("nothing") == Succeeded()
    assert bench.outcome("untold") == Succeeded()


def test_an_attempt_has_its_times(bench: Bench) -> None:
    bench.start("nothing")
    attempted = bench.report()
    assert 1_700_000_000_000 < attempted.started <= attempted.ended


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("ValueError", "no such thing"),
        ("SystemExit", "3"),
        ("KeyboardInterrupt", ""),
        ("GeneratorExit", ""),
        ("OwnBase", "mine"),
        ("TimeoutError", "a service did not answer"),
        ("NoUtf8", "no such file: ?.py"),
        ("Unprintable", "<its text raised SystemExit>"),
    ],
)
def test_whatever_a_handler_raises_is_that_jobs_failure_alone(
    bench: Bench, how: str, message: str
) -> None:
    outcome = bench.outcome("fail", how=how)
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == (how, message)
    assert "in fail" in outcome.error.traceback
    assert bench.result("double", number=1) == 2


def test_an_error_names_its_classes_so_that_policies_find_them(bench: Bench) -> None:
    outcome = bench.outcome("fail", how="TimeoutError")
    assert isinstance(outcome, Failed)
    assert outcome.error.classes[:2] == ("builtins.TimeoutError", "builtins.OSError")


def test_what_a_handler_says_by_raising_is_understood(bench: Bench) -> None:
    asked = bench.outcome("signal_with", what="RetryLater")
    assert isinstance(asked, RetryAsked)
    assert (asked.delay.total_seconds(), asked.error.message) == (7, "busy")
    rejected = bench.outcome("signal_with", what="Reject")
    assert isinstance(rejected, Rejected)
    assert rejected.error.message == "never"
    snoozed = bench.outcome("signal_with", what="Snooze")
    assert isinstance(snoozed, Snoozed)
    assert snoozed.delay.total_seconds() == 9


def test_a_result_of_another_type_than_declared_fails_the_job(bench: Bench) -> None:
    outcome = bench.outcome("wrong_result")
    assert isinstance(outcome, Failed)
    assert "no number" in outcome.error.message


def test_a_result_over_the_bound_fails_the_job_and_names_the_setting(bench: Bench) -> None:
    outcome = bench.outcome("large_result", size=MAX_RESULT + 1)
    assert isinstance(outcome, Failed)
    assert "HEADRACE_WORKER_MAX_RESULT_BYTES" in outcome.error.message
    assert bench.result("large_result", size=10) == bytes(10)


def test_the_context_says_what_the_record_says(bench: Bench) -> None:
    assert bench.result("describe", word="hello") == {
        "id": f"job-{bench.kind}.describe",
        "type": f"{bench.kind}.describe",
        "attempt": "1",
        "lane": "default.normal",
        "tenant": "acme",
        "key": "key-1",
        "word": "hello",
    }


def test_bytes_that_are_no_arguments_are_undecodable(bench: Bench) -> None:
    good = bench.start("double", number=1)
    bench.report()
    for payload in (b"", b"text", good.payload[:10] + b"\xff" * 12):
        bench.executor.start(replace(good, payload=payload))
        assert isinstance(bench.report().outcome, Undecodable)


def test_the_lifespan_is_entered_once_in_each_process(bench: Bench) -> None:
    seen = [bench.result("count_runs") for _ in range(4)]
    assert all(each["pid"] == each["opened_by"] for each in seen)
    by_process: dict[int, list[int]] = {}
    for each in seen:
        by_process.setdefault(each["pid"], []).append(each["runs"])
    assert all(runs == sorted(set(runs)) for runs in by_process.values())
    in_children = isinstance(bench.executor, ProcessExecutor | IsolatedExecutor)
    assert (os.getpid() in by_process) != in_children


def test_a_job_over_its_time_is_timed_out_and_its_slot_works_again(bench: Bench) -> None:
    bench.start("wait", timeout=0.3, seconds=30.0)
    attempted = bench.report()
    assert attempted.outcome == TimedOut(0.3)
    assert attempted.ended - attempted.started >= 300
    assert bench.result("double", number=4) == 8
    assert bench.reports.empty()


def test_a_cancelled_attempt_ends_soon_is_reported_once_and_its_slot_works_again(
    bench: Bench,
) -> None:
    for delay in (0.0, 0.3):
        record = bench.start("wait", seconds=1.5)
        threading.Event().wait(delay)  # at its very start, and in the middle of it
        bench.executor.cancel(record)
        bench.executor.cancel(record)
        outcome = bench.report().outcome
        # A thread can only be told: this one does not listen.
        assert outcome == Cancelled() or "Thread" in type(bench.executor).__name__
        assert bench.result("double", number=4) == 8
    assert bench.reports.empty()


def test_cancelling_what_has_ended_or_never_began_changes_nothing(bench: Bench) -> None:
    ended = bench.start("nothing")
    assert bench.report().outcome == Succeeded()
    bench.executor.cancel(ended)
    assert bench.result("double", number=2) == 4
    bench.executor.start(ended)
    assert bench.report().outcome == Succeeded()


def test_jobs_run_side_by_side(bench: Bench) -> None:
    bench.start("wait", timeout=5.0, seconds=30.0)
    assert bench.result("double", number=3) == 6
    assert bench.report().outcome == TimedOut(5.0)


def test_every_started_job_is_reported_exactly_once(bench: Bench) -> None:
    started = {id(bench.start("double", number=number)) for number in range(40)}
    assert {id(bench.reports.get(timeout=60)[0]) for _ in range(40)} == started
    assert bench.reports.empty()


def test_a_stopped_executor_starts_nothing_and_does_not_raise(own_bench: Bench) -> None:
    assert own_bench.result("double", number=1) == 2
    own_bench.executor.stop(at_once=False)
    own_bench.start("nothing")
    own_bench.executor.check()
    assert own_bench.reports.empty()


def test_stop_interrupts_what_runs_where_that_is_possible(own_bench: Bench) -> None:
    assert own_bench.result("double", number=1) == 2
    own_bench.start("wait", seconds=1.0)
    own_bench.executor.stop(at_once=False)
    outcome = own_bench.report().outcome
    # A thread cannot be interrupted: it comes to its own end.
    if "Thread" in type(own_bench.executor).__name__:
        assert isinstance(outcome, Succeeded | Interrupted)
    else:
        assert outcome == Interrupted()
    assert own_bench.reports.empty()


def test_stopping_twice_is_harmless(own_bench: Bench) -> None:
    own_bench.executor.stop(at_once=True)
    own_bench.executor.stop(at_once=False)


def test_what_a_job_tells_of_its_progress_is_passed_on_and_its_last_word_before_its_end(
    bench: Bench,
) -> None:
    bench.told.clear()
    record = bench.start("tell_progress", steps=4_000)
    assert bench.report().outcome == Succeeded()
    assert all(teller is record for teller, _ in bench.told)
    assert bench.told[-1][1] == Progress(1.0, "step 4000 of 4000 ☕")


def test_what_a_long_job_has_told_is_known_while_it_runs(bench: Bench) -> None:
    bench.told.clear()
    bench.start("tell_progress", steps=3, seconds=1.5)
    deadline = time.monotonic() + LONG
    while not any(progress.fraction == 1 for _, progress in bench.told):
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    assert bench.reports.empty()
    assert bench.report().outcome == Succeeded()


def test_a_progress_that_is_no_share_fails_the_attempt_and_says_what_is_wrong(bench: Bench) -> None:
    outcome = bench.outcome("tell_wrong_progress")
    assert isinstance(outcome, Failed)
    assert "progress(1.5) is not between 0 and 1" in outcome.error.message
