"""Checks the arguments of one call, or of one record that was read, against what is declared."""

import copy
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as PydanticField
from pydantic_core import ArgsKwargs, SchemaValidator

from headrace.schemas.avro_types.records import Field
from headrace.schemas.errors import ArgumentError, shown

NESTED = "headrace_nested"
"""The type of a pydantic error whose message is complete: it comes from a nested check."""

_PARAMETER = inspect.Parameter
_IMMUTABLE = (type(None), bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The declared parameters of one job type, and pydantic's check of values for them.

    The check is strict: nothing is coerced but int to float, so that what was given is what
    comes back. It fills in defaults, each call its own copy.
    """

    subject: str
    names: tuple[str, ...]
    validator: SchemaValidator

    def of_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The values of a Python call, by parameter name.

        Raises:
            ArgumentError: missing, unknown, given twice, or not of the declared type.
        """
        return self.checked(self._named(args, kwargs) if args else kwargs)

    def checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with defaults filled in.

        Raises:
            ArgumentError: missing, unknown, or not of the declared type.
        """
        try:
            checked: dict[str, Any] = self.validator.validate_python(ArgsKwargs((), values))
        except ValidationError as error:
            raise self._explained(error) from None
        return checked

    def of_json(self, text: str | bytes) -> dict[str, Any]:
        """The values in a JSON object: dates, UUIDs, decimals and enum values as strings.

        Raises:
            ArgumentError: not a JSON object, or as for `checked`.
        """
        try:
            checked: dict[str, Any] = self.validator.validate_json(
                text, by_alias=False, by_name=True
            )
        except ValidationError as error:
            raise self._explained(error) from None
        return checked

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if len(args) > len(self.names):
            reason = f"takes {len(self.names)} arguments ({self._list()}), got {len(args)}"
            raise ArgumentError(self.subject, None, reason)
        values = dict(zip(self.names, args, strict=False))
        if not kwargs:
            return values
        for name in values.keys() & kwargs.keys():
            raise ArgumentError(self.subject, name, "given twice, by position and by name")
        return values | kwargs

    def _explained(self, error: ValidationError) -> ArgumentError:
        problems = error.errors(include_url=False, include_context=False)
        # A misspelt argument is missing too: what was written tells more than what was not.
        unknown = (each for each in problems if each["type"] == "unexpected_keyword_argument")
        first = next(unknown, problems[0])
        field = ".".join(str(part) for part in first["loc"]) or None
        if first["type"] == "missing_keyword_only_argument":
            return ArgumentError(self.subject, field, "is missing")
        if first["type"] == "unexpected_keyword_argument":
            return ArgumentError(self.subject, field, f"is unknown; there are: {self._list()}")
        if first["type"] == NESTED:
            return ArgumentError(self.subject, field, str(first["msg"]))
        return ArgumentError(self.subject, field, f"{first['msg']}, got {shown(first['input'])}")

    def _list(self) -> str:
        return ", ".join(self.names) or "none"


def arguments_of(subject: str, fields: Iterable[Field]) -> Arguments:
    """The check for these parameters, built once per job type."""
    chosen = tuple(fields)
    names = tuple(field.name for field in chosen)
    return Arguments(subject, names, _validator(chosen))


def _validator(fields: tuple[Field, ...]) -> SchemaValidator:
    """What pydantic's `validate_call` builds, for a function that gives back its arguments."""

    def collect(**values: Any) -> dict[str, Any]:
        return values

    parameters = [_parameter(field) for field in fields]
    collect.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    collect.__annotations__ = {each.name: each.annotation for each in parameters}
    function: Any = collect
    adapter: TypeAdapter[Any] = TypeAdapter(function, config=ConfigDict(strict=True))
    validator = adapter.validator
    assert isinstance(validator, SchemaValidator)
    return validator


def _parameter(field: Field) -> inspect.Parameter:
    declared, annotation = field.declared, field.node.annotation
    factory = declared.factory
    if not declared.required and factory is None:
        if isinstance(declared.default, _IMMUTABLE):
            return _keyword(field.name, annotation, declared.default)
        factory = _copier(declared.default)
    if factory is None:
        return _keyword(field.name, annotation)
    return _keyword(field.name, Annotated[annotation, PydanticField(default_factory=factory)])


def _keyword(name: str, annotation: Any, default: Any = _PARAMETER.empty) -> inspect.Parameter:
    return _PARAMETER(name, _PARAMETER.KEYWORD_ONLY, annotation=annotation, default=default)


def _copier(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return lambda: value.model_copy(deep=True)
    return lambda: copy.deepcopy(value)
