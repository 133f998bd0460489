"""How a codec comes about: from a handler's signature, a model, one type, or a bare schema."""

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headrace.schemas import fingerprint, framing
from headrace.schemas.arguments import arguments_of
from headrace.schemas.avro_types import definitions, derive, foreign, records
from headrace.schemas.avro_types.node import AvroSchema, Refusal
from headrace.schemas.errors import ArgumentError, SchemaError, shown
from headrace.schemas.parsed import ParsedSchema, SchemaLookup, parse
from headrace.schemas.plain_record import writer_of
from headrace.schemas.record_codec import Rebuild, RecordCodec, ValueCodec

__all__ = [
    "ParsedSchema",
    "RecordCodec",
    "SchemaLookup",
    "ValueCodec",
    "parse",
    "record_codec_for_model",
    "record_codec_for_signature",
    "record_codec_from_schema",
    "value_codec",
]

_BY_NAME_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def record_codec_for_signature(
    name: str, function: Callable[..., Any], *, skip_first: bool
) -> RecordCodec:
    """The codec of a handler's parameters.

    Args:
        name: the job type's name.
        function: the handler; its annotations are resolved here, strings included.
        skip_first: leave out the first parameter, the job's context.

    Raises:
        SchemaError: a parameter's type cannot travel, or would not come back as it went in.
    """
    try:
        return _codec(name, _parameters(function, skip_first=skip_first), None)
    except Refusal as refusal:
        raise _schema_error(name, refusal) from refusal


def record_codec_for_model(name: str, model: type) -> RecordCodec:
    """The codec of a dataclass, pydantic model or named tuple that lists the arguments.

    Its `bind` takes the fields as the constructor does, or one instance; values and what
    `decode` gives are dicts by field name, after the model's own validators.

    Raises:
        SchemaError: not such a class, or a field's type cannot travel.
    """
    if not records.is_record(model):
        reason = f"{shown(model)} is not a dataclass, a pydantic model or a NamedTuple"
        raise SchemaError(name, None, reason, "declare the arguments as one of these")
    try:
        declared = records.declared_fields(model, model.__name__)
        rebuild = _rebuilding(name, model, [each.name for each in declared])
        return replace(_codec(name, declared, rebuild), model=model)
    except Refusal as refusal:
        raise _schema_error(name, refusal) from refusal


def value_codec(name: str, annotation: Any) -> ValueCodec:
    """The codec of one value, such as what a handler returns (None included).

    Raises:
        SchemaError: the type cannot travel; the parameter is then called ``value``.
    """
    try:
        return ValueCodec(_codec(name, [records.Declared("value", annotation)], None))
    except Refusal as refusal:
        raise _schema_error(name, refusal) from refusal


def record_codec_from_schema(schema_text: str, name: str | None = None) -> RecordCodec:
    """The codec of a bare Avro record, for a service that has no declaration of the job type.

    Nested records are dicts, enum members their symbols.

    Args:
        schema_text: the schema as it was published.
        name: the job type's name, for errors; by default the record's name.

    Raises:
        SchemaError: not an Avro record, or one that Python values do not determine.
    """
    own = parse(schema_text)
    schema: Any = json.loads(schema_text)
    subject = name or (schema.get("name") if isinstance(schema, dict) else None) or "schema"
    try:
        return _assembled(subject, schema, own, foreign.fields_of(schema), None)
    except Refusal as refusal:
        raise _schema_error(subject, refusal) from refusal


def _codec(name: str, declared: list[records.Declared], rebuild: Rebuild | None) -> RecordCodec:
    derivation = derive.Derivation(name)
    fields = records.fields_of(declared, "", derivation.node)
    root = derivation.names.root
    schema: AvroSchema = definitions.each_once(
        {"type": "record", "name": root, "fields": [field.schema for field in fields]}
    )
    own = parse(fingerprint.schema_text(schema))
    codec = _assembled(name, schema, own, fields, rebuild)
    if rebuild is not None:
        return codec
    return replace(codec, writer=cache(partial(writer_of, tuple(fields), codec.prefix)))


def _assembled(
    name: str,
    schema: AvroSchema,
    own: ParsedSchema,
    fields: list[records.Field],
    rebuild: Rebuild | None,
) -> RecordCodec:
    return RecordCodec(
        name=name,
        schema=schema,
        own=own,
        nodes={field.name: field.node for field in fields},
        arguments=arguments_of(name, fields),
        rebuild=rebuild,
        converted=tuple((field.name, field.node) for field in fields if not field.node.plain),
        prefix=framing.single_object_prefix(own.fingerprint),
    )


def _parameters(function: Callable[..., Any], *, skip_first: bool) -> list[records.Declared]:
    hints = records.resolved_hints(function, "")
    parameters = list(inspect.signature(function).parameters.values())
    return [_parameter(each, hints) for each in parameters[1 if skip_first else 0 :]]


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any]) -> records.Declared:
    if parameter.kind not in _BY_NAME_KINDS:
        remedy = "write each parameter out, to be given by name"
        raise Refusal(parameter.name, f"{parameter.kind.description} parameters", remedy)
    if parameter.name not in hints:
        raise Refusal(parameter.name, "no annotation", "annotate it with the type of its values")
    return records.Declared(parameter.name, hints[parameter.name], parameter.default)


def _rebuilding(name: str, model: type, fields: list[str]) -> Rebuild:
    adapter: TypeAdapter[Any] = TypeAdapter(model)

    def rebuild(values: dict[str, Any]) -> dict[str, Any]:
        try:
            built = adapter.validate_python(values, by_alias=False, by_name=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or None
            raise ArgumentError(name, place, f"{first['msg']}, got {shown(values)}") from None
        return {field: getattr(built, field) for field in fields}

    return rebuild


def _schema_error(name: str, refusal: Refusal) -> SchemaError:
    return SchemaError(name, refusal.path or None, refusal.reason, refusal.remedy)
