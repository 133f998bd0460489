"""Middleware runs around every attempt: in order, for its kind of handler, free to step in."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headrace.pipeline import JobContext, Pipeline
from headrace.pipeline.pipeline import Middleware
from headrace.schemas.errors import ArgumentError
from headrace.testing import run_inline

said: list[str] = []


def named(name: str) -> Middleware:
    def middleware(call_next: Callable[[], Any], context: JobContext) -> Any:
        said.append(f"{name} in")
        try:
            return call_next()
        finally:
            said.append(f"{name} out")

    return middleware


def named_async(name: str) -> Middleware:
    async def middleware(call_next: Callable[[], Any], context: JobContext) -> Any:
        said.append(f"{name} in")
        try:
            return await call_next()
        finally:
            said.append(f"{name} out")

    return middleware


class Counting:
    """Middleware that is an object with an asynchronous `__call__`."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, call_next: Callable[[], Any], context: JobContext) -> Any:
        self.calls += 1
        return await call_next()


def answering(value: object) -> Middleware:
    def middleware(call_next: Callable[[], Any], context: JobContext) -> Any:
        return value

    return middleware


def run(middleware: list[Middleware], kind: str, number: int = 4) -> Any:
    """Run a handler that halves a number."""
    said.clear()
    pipeline = Pipeline("shop", middleware=middleware)

    @pipeline.job("sync")
    def sync(number: int) -> int:
        said.append("handler")
        return 8 // number

    @pipeline.job("async")
    async def coroutine(number: int) -> int:
        said.append("handler")
        await asyncio.sleep(0)
        return 8 // number

    return run_inline(pipeline, pipeline.job_type(kind).job(number=number))


@pytest.mark.parametrize(("kind", "make"), [("sync", named), ("async", named_async)])
def test_the_first_middleware_is_the_outermost(
    kind: str, make: Callable[[str], Middleware]
) -> None:
    assert run([make("first"), make("second")], kind) == 2
    assert said == ["first in", "second in", "handler", "second out", "first out"]


@pytest.mark.parametrize(("kind", "make"), [("sync", named), ("async", named_async)])
def test_middleware_sees_what_the_handler_raises(
    kind: str, make: Callable[[str], Middleware]
) -> None:
    with pytest.raises(ZeroDivisionError):
        run([make("only")], kind, number=0)
    assert said == ["only in", "handler", "only out"]


def test_each_kind_of_middleware_is_around_its_own_kind_of_handler() -> None:
    both = [named("plain"), named_async("awaiting")]
    run(both, "sync")
    assert said == ["plain in", "handler", "plain out"]
    run(both, "async")
    assert said == ["awaiting in", "handler", "awaiting out"]


def test_an_object_with_an_asynchronous_call_is_asynchronous_middleware() -> None:
    counting = Counting()
    assert run([counting], "async") == 2
    assert run([counting], "sync") == 2
    assert counting.calls == 1


def test_middleware_may_answer_in_place_of_the_handler() -> None:
    assert run([answering(99)], "sync") == 99
    assert said == []


def test_what_middleware_gives_back_must_be_what_the_handler_promises() -> None:
    with pytest.raises(ArgumentError):
        run([answering("a text")], "sync")
