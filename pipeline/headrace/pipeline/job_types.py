"""Job types: what can be run."""

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints, overload

from headrace.pipeline.context import JobContext
from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.job import Job, JobPolicy
from headrace.pipeline.signature import read_signature
from headrace.schemas.codec import RecordCodec, ValueCodec

_Call = ParamSpec("_Call")
"""How the function itself is called: with the context, if it takes one."""
_Params = ParamSpec("_Params")
"""What a job of the type is made from: the signature less the context."""
_Ret_co = TypeVar("_Ret_co", covariant=True)
"""What calling the function gives: a coroutine for `async def`."""
_R_co = TypeVar("_R_co", covariant=True)
"""What a job of the type results in."""
_Given = TypeVar("_Given")
"""What an attached handler gives when it is called."""


class JobType(Generic[_Call, _Params, _Ret_co, _R_co]):
    """A named handler function with its policy. Calling it runs the function itself."""

    def __init__(
        self,
        pipeline: str,
        name: str,
        policy: JobPolicy,
        arguments: RecordCodec,
        function: Callable[_Call, _Ret_co] | None = None,
        *,
        result: ValueCodec | None = None,
        takes_context: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.name = name
        self.policy = policy
        self.arguments = arguments
        self.result = result
        self.function = function
        self.takes_context = takes_context
        self.is_async = inspect.iscoroutinefunction(function)
        """Whether the handler is a coroutine function."""
        if function is not None:
            self._dress_as(function)

    def _dress_as(self, function: Callable[..., Any]) -> None:
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__wrapped__ = function

    def __call__(self, *args: _Call.args, **kwargs: _Call.kwargs) -> _Ret_co:
        """Run the function itself, here and now, without Kafka.

        Raises:
            DeclarationError: The type was declared without a handler.
        """
        if self.function is None:
            raise DeclarationError(
                f"job type {self.name!r} was declared without a handler: it can be submitted, "
                "not called; attach one with its `.handler` decorator"
            )
        return self.function(*args, **kwargs)

    def job(self, /, *args: _Params.args, **kwargs: _Params.kwargs) -> Job[_R_co]:
        """Make an unsent job from the arguments, which are checked here.

        Raises:
            ArgumentError: An argument is missing, unknown, or not what the signature says.
        """
        codec = self.arguments
        content: dict[str, Any] | bytes | None = codec.written(args, kwargs)
        if content is None:
            content = codec.bind(*args, **kwargs)
        return Job(self.name, self.policy, codec, content)

    @overload
    def handler(
        self, function: Callable[Concatenate[JobContext, _Params], _Given], /
    ) -> Callable[Concatenate[JobContext, _Params], _Given]: ...
    @overload
    def handler(self, function: Callable[_Params, _Given], /) -> Callable[_Params, _Given]: ...
    def handler(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Attach the handler of a type that was declared without one. Used as a decorator.

        The handler takes what was declared, after the context if it wants that.

        Raises:
            DeclarationError: There is a handler already, or its signature does not fit.
        """
        if self.function is not None:
            raise DeclarationError(f"job type {self.name!r} already has a handler")
        signature = read_signature(self.name, function)
        if signature.arguments.schema_text != self.arguments.schema_text:
            raise DeclarationError(
                f"the handler {function.__qualname__} of job type {self.name!r} does not take what "
                f"was declared; declared: {self.arguments.schema_text}; "
                f"it takes: {signature.arguments.schema_text}"
            )
        self.function = function
        self.arguments = signature.arguments
        self.result = signature.result
        self.takes_context = signature.takes_context
        self.is_async = inspect.iscoroutinefunction(function)
        return function

    @cached_property
    def returns_nothing(self) -> bool:
        """Whether the handler's result is annotated as None."""
        function: Any = self.function
        return function is not None and get_type_hints(function).get("return") is type(None)

    def __reduce__(self) -> str:
        """Pickle as the qualified name of the decorated function, as functions do."""
        if "__qualname__" not in vars(self):
            raise TypeError(
                f"job type {self.name!r} was declared without a handler, so it has no name to be "
                "pickled by: send its name, and look it up with `pipeline.job_type(name)`"
            )
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<job type {self.name} on {self.pipeline}.{self.policy.queue}>"
