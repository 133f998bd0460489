"""The event loop: cancelling, what resists it, and what must not take the loop down."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.consumers.executors import AsyncExecutor
from headrace.consumers.outcomes import Attempted, Failed, Interrupted, Succeeded, TimedOut
from headrace.consumers.records import JobRecord
from headrace.pipeline import DeclarationError, Pipeline
from tests.consumers import executor_samples
from tests.consumers.executor_bench import LONG, SCHEMAS, Bench, make, runner, unheard
from tests.support.stage import wait_until


@pytest.fixture(params=["async", "uvloop"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = make(request.param)
    yield bench
    bench.end()


def test_a_handler_that_swallows_its_cancellation_is_timed_out_all_the_same(bench: Bench) -> None:
    assert bench.outcome("swallow_once", timeout=0.1) == TimedOut(0.1)


def test_a_handler_that_never_ends_is_reported_without_waiting_for_it(bench: Bench) -> None:
    assert bench.outcome("swallow_always", timeout=0.1) == TimedOut(0.1)
    assert bench.result("double", number=2) == 4
    executor_samples.RELEASE.set()
    assert bench.result("double", number=3) == 6
    assert bench.reports.empty()


def test_a_handler_that_blocks_the_loop_is_reported_while_it_blocks(bench: Bench) -> None:
    assert bench.outcome("block", timeout=0.1) == TimedOut(0.1)
    executor_samples.RELEASE.set()
    assert bench.result("double", number=2) == 4
    assert bench.reports.empty()


def test_a_cancelled_handler_may_clean_up(bench: Bench, tmp_path: Path) -> None:
    patient = AsyncExecutor(runner(), lambda *report: bench.reports.put(report), unheard)
    patient.open()
    bench.executor.stop(at_once=False)
    bench.executor = patient
    outcome = bench.outcome("clean_up", timeout=0.1, path=str(tmp_path / "said"))
    assert outcome == TimedOut(0.1)
    assert (tmp_path / "said").read_text() == "cleaned up"


def test_an_interrupt_in_a_task_of_the_handlers_own_leaves_the_loop_alive(bench: Bench) -> None:
    bench.start("wait", seconds=LONG)
    outcome = bench.outcome("broken_task")
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "KeyboardInterrupt"
    assert bench.result("double", number=2) == 4
    bench.executor.stop(at_once=False)
    assert bench.report().outcome == Interrupted()


def test_a_handler_that_cancels_itself_has_failed(bench: Bench) -> None:
    outcome = bench.outcome("cancels_itself")
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "CancelledError"


def test_hundreds_of_jobs_wait_side_by_side(bench: Bench) -> None:
    for _ in range(300):
        bench.start("meet", parties=300)  # none goes on before all have come
    outcomes = [bench.report().outcome for _ in range(300)]
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


def test_a_job_does_not_begin_in_the_context_of_the_one_whose_end_made_room(bench: Bench) -> None:
    def start_the_next(record: JobRecord, ended: Attempted) -> None:
        bench.reports.put((record, ended))
        if bench.reports.qsize() == 1:
            bench.start("remember", word="b")  # on the loop, as free slots are filled

    following = AsyncExecutor(runner(), start_the_next, unheard)
    following.open()
    bench.executor.stop(at_once=False)
    bench.executor = following
    bench.start("remember", word="a")
    wait_until("both have ended", lambda: bench.reports.qsize() == 2)
    found = [bench.report().outcome for _ in range(2)]
    assert found[0] == found[1]
    assert isinstance(found[1], Succeeded)
    codec = executor_samples.samples.job_types["async.remember"].result
    assert codec is not None
    assert found[1].result is not None
    assert codec.decode(found[1].result, SCHEMAS) == "nothing"


def test_stop_interrupts_every_running_job(bench: Bench) -> None:
    for _ in range(5):
        bench.start("wait", seconds=LONG)
    bench.result("double", number=1)
    bench.executor.stop(at_once=False)
    assert [bench.report().outcome for _ in range(5)] == [Interrupted()] * 5


# -- the lifespan ----------------------------------------------------------------------------------


def opened(lifespan: Callable[[], Any]) -> AsyncExecutor:
    executor = AsyncExecutor(runner(Pipeline("own", lifespan=lifespan)), unheard, unheard)
    try:
        executor.open()
    finally:
        executor.stop(at_once=False)
    return executor


def test_an_asynchronous_lifespan_is_entered_on_the_loop_and_left_at_stop() -> None:
    said: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        said.append("entered")
        yield "state"
        said.append("left")

    executor = opened(lifespan)
    assert said == ["entered", "left"]
    assert executor._runner.state == "state"


@pytest.mark.parametrize("error", [ValueError("no database"), SystemExit(2)])
def test_a_lifespan_that_fails_is_the_workers_error(error: BaseException) -> None:
    def lifespan() -> Any:
        raise error

    with pytest.raises(type(error)):
        opened(lifespan)


def test_a_lifespan_that_gives_no_context_manager_is_refused_with_the_remedy() -> None:
    def lifespan() -> Iterator[int]:
        yield 1

    with pytest.raises(DeclarationError, match=r"pipeline 'own'.*contextlib\.contextmanager"):
        opened(lifespan)


def test_a_lifespan_that_fails_at_its_end_is_logged_not_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise ValueError("closed badly")

    opened(lifespan)
    assert "closed badly" in capsys.readouterr().out
