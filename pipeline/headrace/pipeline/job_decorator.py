"""The decorator that turns a handler function into a job type, typed by the function's signature."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from headrace.pipeline.context import JobContext
from headrace.pipeline.job_types import JobType

_P = ParamSpec("_P")
_R = TypeVar("_R")


class JobDecorator:
    """Turns a handler function into a job type. Made by `Pipeline.job`."""

    def __init__(
        self, declare: Callable[[Callable[..., Any]], JobType[..., ..., Any, Any]]
    ) -> None:
        self._declare = declare

    @overload
    def __call__(
        self, function: Callable[Concatenate[JobContext, _P], Coroutine[Any, Any, _R]], /
    ) -> JobType[Concatenate[JobContext, _P], _P, Coroutine[Any, Any, _R], _R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[JobContext, _P], _R], /
    ) -> JobType[Concatenate[JobContext, _P], _P, _R, _R]: ...
    @overload
    def __call__(
        self, function: Callable[_P, Coroutine[Any, Any, _R]], /
    ) -> JobType[_P, _P, Coroutine[Any, Any, _R], _R]: ...
    @overload
    def __call__(self, function: Callable[_P, _R], /) -> JobType[_P, _P, _R, _R]: ...
    def __call__(self, function: Callable[..., Any], /) -> JobType[..., ..., Any, Any]:
        """Declare the function as the handler of the job type."""
        return self._declare(function)
