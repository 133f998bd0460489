"""Reading a handler's signature: does it take the context, what are its arguments, its result."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from headrace.pipeline.context import JobContext
from headrace.pipeline.errors import DeclarationError
from headrace.schemas.codec import (
    RecordCodec,
    ValueCodec,
    record_codec_for_signature,
    value_codec,
)

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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
    parameters = list(inspect.signature(function).parameters.values())
    contexts = [each for each in parameters if hints.get(each.name) is JobContext]
    for parameter in contexts:
        if parameter is not parameters[0] or parameter.kind not in _BY_POSITION:
            raise DeclarationError(
                f"job type {name!r}: the context must be the first parameter of "
                f"{function.__qualname__}, given by position, not `{parameter}`"
            )
    _refuse_doubtful_contexts(name, hints)
    takes_context = bool(contexts)
    return Signature(
        arguments=record_codec_for_signature(name, function, skip_first=takes_context),
        result=value_codec(name, hints["return"]) if "return" in hints else None,
        takes_context=takes_context,
    )


def _refuse_doubtful_contexts(name: str, hints: dict[str, Any]) -> None:
    for parameter, hint in hints.items():
        if JobContext in get_args(hint):
            raise DeclarationError(
                f"job type {name!r}: annotate `{parameter}` as JobContext alone, not {hint}: the "
                "worker always gives it"
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
    except Exception as error:
        raise DeclarationError(
            f"job type {name!r}: an annotation of {function.__qualname__} is no type: {error}; "
            "annotate each parameter with the type of its values"
        ) from error
