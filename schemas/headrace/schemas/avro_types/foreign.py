"""From a bare Avro schema to fields, for services that have the schema and not the types.

Records are dicts and enum members their symbols; logical types are the same Python types as
elsewhere. Of the logical types that Headrace itself never writes, timestamp-millis and
time-millis are known; any other is carried as its base type.
"""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time
from functools import partial
from typing import Annotated, Any, Literal

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import expand_schema
from pydantic import Field as PydanticField
from pydantic import PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from headrace.schemas.arguments import NESTED, Arguments, arguments_of
from headrace.schemas.avro_types import choices, containers, defaults, scalars
from headrace.schemas.avro_types.node import AvroSchema, Mismatch, Node, Refusal
from headrace.schemas.avro_types.records import MISSING, Declared, Field, Shape
from headrace.schemas.errors import ArgumentError, shown

_REMEDY = "submit it from a service that has the job type's declaration"
_BY_TEXT = {json.dumps(node.schema): node for node in scalars.SCALARS.values()}
_INT = Annotated[int, PydanticField(ge=-(2**31), le=2**31 - 1)]


def fields_of(schema: AvroSchema) -> list[Field]:
    """The fields of a record schema.

    Raises:
        Refusal: not a record, or a union whose members Python values do not tell apart.
    """
    expanded: Any = expand_schema(schema)
    if not isinstance(expanded, dict) or expanded["type"] != "record":
        raise Refusal("", "the schema is not a record", "a job's arguments are one record")
    try:
        return [_field(field, "") for field in expanded["fields"]]
    except Refusal as refusal:
        raise Refusal(refusal.path, refusal.reason, _REMEDY) from refusal


def _field(field: dict[str, Any], prefix: str) -> Field:
    path = prefix + field["name"]
    node = _node(field["type"], path)
    default = _default(field["type"], field["default"], node) if "default" in field else MISSING
    return Field(Declared(field["name"], node.annotation, default), node)


def _default(schema: Any, raw: Any, node: Node) -> Any:
    """A default as Python has it: written and read once, since logical types are read as such."""
    parsed, out = parse_schema(schema), io.BytesIO()
    schemaless_writer(out, parsed, defaults.native_of_json(schema, raw))
    out.seek(0)
    return node.decode(schemaless_reader(out, parsed, None, return_named_type=True))


def _node(schema: Any, path: str) -> Node:
    if isinstance(schema, list):
        return choices.union_of([_node(branch, path) for branch in schema], path)
    if isinstance(schema, dict):
        return _of_parts(schema, path)
    return _of_base(schema, path)


def _of_parts(schema: dict[str, Any], path: str) -> Node:
    kind = schema["type"]
    if kind == "record":
        return _record(schema, path)
    if kind == "array":
        return containers.array(list, _node(schema["items"], f"{path}[]"))
    if kind == "map":
        return containers.string_map(_node(schema["values"], f"{path}[]"))
    if kind == "enum":
        return _enum(schema)
    logical = _logical(schema) if "logicalType" in schema else None
    return logical or (_fixed(schema) if kind == "fixed" else _node(kind, path))


def _of_base(name: str, path: str) -> Node:
    if name == "int":
        return replace(scalars.SCALARS[int], schema="int", annotation=_INT, branch="int")
    if name == "float":
        return replace(scalars.SCALARS[float], schema="float", branch="float")
    node = _BY_TEXT.get(json.dumps(name))
    if node is None:
        raise Refusal(path, f"the type {name} is not known here", "publish a plain Avro schema")
    return node


def _logical(schema: dict[str, Any]) -> Node | None:
    kind, logical = schema["type"], schema["logicalType"]
    if kind == "bytes" and logical == "decimal":
        return scalars.fixed_point(schema["precision"], schema.get("scale", 0))
    if (kind, logical) == ("long", "timestamp-millis"):
        return _whole_millis(scalars.SCALARS[datetime])
    if (kind, logical) == ("int", "time-millis"):
        return replace(_whole_millis(scalars.SCALARS[time]), branch="int")
    return _BY_TEXT.get(json.dumps({"type": kind, "logicalType": logical}))


def _whole_millis(node: Node) -> Node:
    def encode(value: Any) -> int:
        millis, rest = divmod(node.encode(value), 1000)
        if rest:
            raise Mismatch(f"{shown(value)} is finer than the milliseconds that the schema holds")
        return int(millis)

    return replace(node, encode=encode)


def _enum(schema: dict[str, Any]) -> Node:
    symbols = tuple(schema["symbols"])

    def check(value: Any) -> Any:
        if value not in symbols:
            raise Mismatch(f"expected one of {', '.join(symbols)}, got {shown(value)}")
        return value

    return Node(schema, Literal[symbols], (str,), str, schema["name"], check, check)


def _fixed(schema: dict[str, Any]) -> Node:
    size = schema["size"]

    def check(value: Any) -> Any:
        if type(value) is not bytes or len(value) != size:
            raise Mismatch(f"expected {size} bytes, got {shown(value)}")
        return value

    annotation = Annotated[bytes, PydanticField(min_length=size, max_length=size)]
    return Node(schema, annotation, (bytes,), bytes, schema["name"], check, check)


def _record(schema: dict[str, Any], path: str) -> Node:
    fields = tuple(_field(field, f"{path}.") for field in schema["fields"])
    arguments = arguments_of(path, fields)
    annotation = Annotated[Any, PlainValidator(partial(_checked, arguments))]
    shape = Shape(dict, fields, _reader(arguments), dict.__getitem__)
    return Node(schema, annotation, (dict,), dict, schema["name"], shape.encode, shape.decode)


def _checked(arguments: Arguments, value: Any, info: ValidationInfo) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PydanticCustomError(NESTED, "expected a dict")
    try:
        if info.mode == "json":
            return arguments.of_json(json.dumps(value))
        return arguments.checked(value)
    except ArgumentError as error:
        raise PydanticCustomError(NESTED, "{reason}", {"reason": _nested(error)}) from None


def _reader(arguments: Arguments) -> Callable[[dict[str, Any]], Any]:
    def build(parts: dict[str, Any]) -> Any:
        try:
            return arguments.checked(parts)
        except ArgumentError as error:
            raise Mismatch(error.reason, (error.field,) if error.field else ()) from None

    return build


def _nested(error: ArgumentError) -> str:
    return f"`{error.field}` {error.reason}" if error.field else error.reason
