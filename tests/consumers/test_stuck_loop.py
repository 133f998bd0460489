"""An event loop that runs nothing any more is told of: jobs would wait for it for ever, unseen."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from headrace.consumers.executors import AsyncExecutor
from headrace.pipeline import Pipeline
from tests.consumers.executor_bench import LONG, record_of, runner, unheard

careless = Pipeline("samples")
RELEASE = threading.Event()


@careless.job("blocks")
async def blocks() -> None:
    RELEASE.wait(LONG)


@careless.job("cancels-all")
async def cancels_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


@pytest.fixture
def stuck() -> threading.Event:
    return threading.Event()


@pytest.fixture
def executor(stuck: threading.Event) -> Iterator[AsyncExecutor]:
    RELEASE.clear()
    executor = AsyncExecutor(
        runner(careless), unheard, unheard, cancel_grace=0.1, stuck_after=0.3, on_stuck=stuck.set
    )
    executor.open()
    yield executor
    RELEASE.set()
    executor.stop(at_once=False)


def watch(executor: AsyncExecutor, until: threading.Event) -> bool:
    """Look after the executor as a worker does, until something happens."""
    for _ in range(int(LONG / 0.02)):
        executor.check()
        if until.wait(0.02):
            return True
    return False


@pytest.mark.parametrize("how", ["blocks", "cancels-all"])
def test_a_loop_that_runs_nothing_any_more_is_told_of(
    executor: AsyncExecutor, stuck: threading.Event, how: str
) -> None:
    executor.check()
    assert not stuck.is_set()

    executor.start(record_of(how, 0.1, {}, careless))

    assert watch(executor, stuck)


def test_a_loop_that_was_asked_to_end_is_not_stuck(
    executor: AsyncExecutor, stuck: threading.Event
) -> None:
    executor.stop(at_once=False)
    executor.check()
    assert not stuck.is_set()
