"""Calls that wait for a broker, made beside the thread that wants them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Begin(Protocol):
    """Begins a call."""

    def __call__(self, name: str, call: Callable[[], _T], /) -> "Future[_T]":
        """Begin it; its end is told by the future."""
        ...


def aside(name: str, call: Callable[[], _T]) -> "Future[_T]":
    """Make a call on a thread of its own, which does not keep the process alive.

    Args:
        name: Of the thread.
        call: What it raises is raised by the future's `result`.
    """
    future: Future[_T] = Future()
    threading.Thread(target=_complete, args=(future, call), name=name, daemon=True).start()
    return future


def at_once(name: str, call: Callable[[], _T]) -> "Future[_T]":
    """Make a call here and now."""
    future: Future[_T] = Future()
    _complete(future, call)
    return future


def _complete(future: "Future[_T]", call: Callable[[], _T]) -> None:
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
