"""Reading a handler's signature: does it take the context, what are its arguments, its result."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from headrace.pipeline.context import JobContext
from headrace.pipeline.errors import DeclarationError
from headrace.schemas.codec import (
    RecordCodec,
    ValueCodec,
    record_codec_for_signature,
    value_codec,
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler's signature says."""

    arguments: RecordCodec
    result: ValueCodec | None
    takes_context: bool


def read_signature(name: str, function: Callable[..., Any]) -> Signature:
    """Derive the argument and result schemas of a handler.

    Raises:
        DeclarationError: It is no function, or a generator, or asks for the context at the wrong
            place.
        SchemaError: A parameter's type cannot travel; names the parameter.
    """
    _refuse_what_cannot_run(name, function)
    hints = _hints(name, function)
    parameters = list(inspect.signature(function).parameters)
    takes_context = bool(parameters) and hints.get(parameters[0]) is JobContext
    for parameter in parameters[1:]:
        if hints.get(parameter) is JobContext:
            raise DeclarationError(
                f"job type {name!r}: the context must be the first parameter of "
                f"{function.__qualname__}, not `{parameter}`"
            )
    return Signature(
        arguments=record_codec_for_signature(name, function, skip_first=takes_context),
        result=value_codec(name, hints["return"]) if "return" in hints else None,
        takes_context=takes_context,
    )


def _refuse_what_cannot_run(name: str, function: Callable[..., Any]) -> None:
    if not inspect.isroutine(function):
        raise DeclarationError(
            f"job type {name!r}: a handler is a function, got {type(function).__name__}"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DeclarationError(
            f"job type {name!r}: {function.__qualname__} is a generator; a handler returns one "
            "result: return a list, or submit a job for each item"
        )


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"job type {name!r}: an annotation of {function.__qualname__} cannot be resolved: "
            f"{error}; import it at module level, not under TYPE_CHECKING"
        ) from error
