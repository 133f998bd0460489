"""Running one job inline, as somebody would who tests a handler."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from headrace.pipeline import (
    DeclarationError,
    JobContext,
    Pipeline,
    Reject,
    RetryLater,
    Snooze,
    UnknownJobTypeError,
)
from headrace.schemas.errors import ArgumentError
from headrace.testing import RecordingProducer, run_inline, run_inline_async

shop = Pipeline("shop")


@dataclass(frozen=True)
class Size:
    width: int
    height: int


@shop.job("image.measure")
def measure(name: str, scale: float = 1.0) -> Size:
    return Size(int(len(name) * scale), 1)


@shop.job("mail.send", timeout=timedelta(seconds=5))
async def send(context: JobContext, to: str) -> str:
    if context.attempt == 1:
        context.submit(measure.job(to), priority="low")
    return f"{context.tenant} {context.key} {context.attempt} {to}"


@shop.job("raise.signal")
def signal(what: str) -> None:
    signals: dict[str, Exception] = {
        "Reject": Reject("no"),
        "RetryLater": RetryLater(timedelta(1)),
        "Snooze": Snooze(timedelta(1)),
        "ValueError": ValueError("no such order"),
    }
    raise signals[what]


@shop.job("wrong.result")
def wrong_result() -> int:
    return "none"  # type: ignore[return-value]


undone = shop.declare("not.here", Size)


def test_the_result_of_a_plain_handler_is_given_back() -> None:
    assert run_inline(shop, measure.job("abc", scale=2)) == Size(6, 1)


def test_the_result_of_a_coroutine_handler_is_given_back() -> None:
    sent = run_inline(shop, send.job("x"), attempt=2, tenant="acme", key="k")
    assert sent == "acme k 2 x"


async def inside_a_coroutine() -> str:
    with pytest.raises(RuntimeError, match="await run_inline_async"):
        run_inline(shop, send.job("x"))
    return await run_inline_async(shop, send.job("x"), attempt=2)


def test_a_test_that_is_a_coroutine_awaits_it() -> None:
    import asyncio

    assert asyncio.run(inside_a_coroutine()).endswith(" 2 x")


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("Reject", Reject),
        ("RetryLater", RetryLater),
        ("Snooze", Snooze),
        ("ValueError", ValueError),
    ],
)
def test_what_the_handler_raises_is_raised(what: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run_inline(shop, signal.job(what))


def test_a_result_that_is_not_what_the_annotation_says_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"wrong\.result"):
        run_inline(shop, wrong_result.job())


def test_child_jobs_go_to_the_given_producer() -> None:
    producer = RecordingProducer(shop)
    run_inline(shop, send.job("abc"), tenant="acme", submitter=producer)
    child = producer.assert_submitted(measure, name="abc")
    assert (child.options.priority, child.options.tenant) == ("low", "acme")


def test_a_job_of_another_pipeline_is_refused() -> None:
    with pytest.raises(UnknownJobTypeError, match=r"'other' declares no job type 'image\.measure'"):
        run_inline(Pipeline("other"), measure.job("a"))


def test_a_type_without_its_handler_is_refused_with_the_remedy() -> None:
    with pytest.raises(DeclarationError, match="import the module that attaches it"):
        run_inline(shop, undone.job(width=1, height=2))


# -- middleware and lifespan -----------------------------------------------------------------------

said: list[str] = []


def plain(call_next: Callable[[], Any], context: JobContext) -> Any:
    said.append(f"before {context.type}")
    try:
        return call_next()
    finally:
        said.append("after")


async def awaiting(call_next: Callable[[], Any], context: JobContext) -> Any:
    said.append("awaiting")
    return await call_next()


@contextmanager
def lifespan() -> Iterator[str]:
    said.append("entered")
    yield "the database"
    said.append("left")


@asynccontextmanager
async def async_lifespan() -> AsyncIterator[str]:
    said.append("entered asynchronously")
    yield "the pool"


def dressed(own_lifespan: Any) -> Pipeline:
    said.clear()
    pipeline = Pipeline("dressed", middleware=[plain, awaiting], lifespan=own_lifespan)

    @pipeline.job("sync")
    def sync(context: JobContext) -> str:
        return str(context.state)

    @pipeline.job("async")
    async def coroutine(context: JobContext) -> str:
        return str(context.state)

    return pipeline


def test_plain_middleware_and_the_lifespan_are_around_a_plain_handler() -> None:
    pipeline = dressed(lifespan)
    assert run_inline(pipeline, pipeline.job_type("sync").job()) == "the database"
    assert said == ["entered", "before sync", "after", "left"]


def test_asynchronous_middleware_is_around_a_coroutine_handler() -> None:
    pipeline = dressed(async_lifespan)
    assert run_inline(pipeline, pipeline.job_type("async").job()) == "the pool"
    assert said == ["entered asynchronously", "awaiting"]


def test_a_given_state_takes_the_place_of_the_lifespan() -> None:
    pipeline = dressed(lifespan)
    assert run_inline(pipeline, pipeline.job_type("sync").job(), state="a fake") == "a fake"
    assert "entered" not in said
