"""The pipeline that executor tests run, in this process and in children.

Every handler is declared twice: as `sync.<name>`, a plain function, and as `async.<name>`, a
coroutine function.
"""

import asyncio
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from headrace.pipeline import JobContext, Pipeline, Reject, RetryLater, Snooze

RELEASE = threading.Event()
"""Ends what waits in this process, at the end of a test."""


@contextmanager
def lifespan() -> Iterator[dict[str, Any]]:
    state: dict[str, Any] = {"pid": os.getpid(), "runs": 0}
    yield state
    if "farewell" in state:
        Path(state["farewell"]).write_text(f"left after {state['runs']}")


samples = Pipeline("samples", lifespan=lifespan)
remembered: ContextVar[str] = ContextVar("remembered", default="nothing")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


class NoUtf8(Exception): ...


class OwnBase(BaseException):
    pass


def both(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a handler that does not wait, for either kind."""

    @wraps(function)
    async def on_the_loop(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    samples.job(f"sync.{function.__name__}")(function)
    samples.job(f"async.{function.__name__}")(on_the_loop)
    return function


@both
def double(number: int) -> int:
    return 2 * number


@both
def remember(word: str) -> str:
    before = remembered.get()
    remembered.set(word)
    return before


@both
def nothing() -> None:
    return None


@both
def untold() -> str | None:
    return None


@both
def fail(how: str) -> None:
    errors: dict[str, BaseException] = {
        "ValueError": ValueError("no such thing"),
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "GeneratorExit": GeneratorExit(),
        "StopIteration": StopIteration(),
        "OwnBase": OwnBase("mine"),
        "Unprintable": Unprintable(),
        "NoUtf8": NoUtf8("no such file: \udcff.py"),
        "TimeoutError": TimeoutError("a service did not answer"),
    }
    raise errors[how]


@both
def signal_with(what: str) -> None:
    signals: dict[str, Exception] = {
        "RetryLater": RetryLater(timedelta(seconds=7), "busy"),
        "Reject": Reject("never"),
        "Snooze": Snooze(timedelta(seconds=9)),
    }
    raise signals[what]


@both
def wrong_result() -> int:
    return "no number"  # type: ignore[return-value]


@both
def large_result(size: int) -> bytes:
    return bytes(size)


@both
def describe(context: JobContext, word: str) -> dict[str, str]:
    return {
        "id": context.id,
        "type": context.type,
        "attempt": str(context.attempt),
        "lane": f"{context.queue}.{context.priority}",
        "tenant": str(context.tenant),
        "key": context.key,
        "word": word,
    }


@both
def count_runs(context: JobContext) -> dict[str, int]:
    context.state["runs"] += 1
    return {"pid": os.getpid(), "opened_by": context.state["pid"], "runs": context.state["runs"]}


@both
def say_farewell(context: JobContext, path: str) -> None:
    context.state["farewell"] = path


@both
def tell_progress(context: JobContext, steps: int, seconds: float = 0.0) -> None:
    for step in range(1, steps + 1):
        context.progress(step / steps, f"step {step} of {steps} ☕")
    time.sleep(seconds)


@both
def tell_wrong_progress(context: JobContext) -> None:
    context.progress(1.5)


@both
def whose_modules() -> str:
    return str(Path(__file__).resolve())


@both
def die(how: str) -> None:
    match how:
        case "exit":
            os._exit(9)
        case "exit well":
            os._exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)


@samples.job("sync.kill_server")
def kill_server(path: str, how: str) -> str:
    """Kill the process that forked this one, then go on."""
    server = os.getppid()
    os.kill(server, signal.SIGKILL)
    while os.getppid() == server:
        time.sleep(0.01)
    Path(path).write_text(str(os.getpid()))
    if how == "wait":
        time.sleep(60)
    elif how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@samples.job("sync.close_everything")
def close_everything(how: str) -> None:
    """Become deaf and dumb, as daemons do."""
    os.closerange(3, 256)
    if how == "wait":
        time.sleep(60)
    os._exit(4)


@samples.job("sync.wait")
def wait(context: JobContext, seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if RELEASE.wait(0.01):
            return "released"
    return "late"


@samples.job("async.wait")
async def wait_on_the_loop(context: JobContext, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "late"


@samples.job("async.swallow_once")
async def swallow_once() -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "as if nothing had happened"
    return "late"


@samples.job("async.swallow_always")
async def swallow_always() -> None:
    while not RELEASE.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue


@samples.job("async.clean_up")
async def clean_up(path: str) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.2)  # several looks at the deadlines
        Path(path).write_text("cleaned up")  # noqa: ASYNC240 - a few bytes


@samples.job("async.block")
async def block() -> None:
    RELEASE.wait(60)


@samples.job("async.broken_task")
async def broken_task() -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    await asyncio.create_task(interrupt())


@samples.job("async.cancels_itself")
async def cancels_itself() -> None:
    raise asyncio.CancelledError("of its own")


@samples.job("sync.forgot_to_await")
def forgot_to_await() -> None:
    async def work() -> None: ...

    return work()  # type: ignore[return-value]


_met: list[asyncio.Event] = []


@samples.job("async.meet")
async def meet(parties: int) -> None:
    """Wait until so many of these jobs run at the same time."""
    mine = asyncio.Event()
    _met.append(mine)
    if len(_met) == parties:
        for each in _met:
            each.set()
        _met.clear()
    await mine.wait()
