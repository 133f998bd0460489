"""Default values, as Avro writes them into a schema (specification 1.12, "Complex Types")."""

import inspect
import math
from typing import Any

from headrace.schemas.avro_types.node import Mismatch, Node, Refusal

_MISSING = inspect.Parameter.empty


class _Inexpressible(Exception):  # noqa: N818 - the field simply has no default in Avro
    """JSON, or Avro's rule for unions, has no way to say this default."""


def require_fitting(node: Node, default: Any, path: str) -> None:
    """Refuse a default that is not of the parameter's type.

    Raises:
        Refusal: such as ``width: int = None``.
    """
    if default is _MISSING:
        return
    try:
        node.encode(default)
    except Mismatch as mismatch:
        raise Refusal(
            path,
            f"the default does not fit: {mismatch.reason}",
            "correct the default, or widen the type (`| None`)",
        ) from mismatch


def field_schema(name: str, node: Node, default: Any) -> dict[str, Any]:
    """One field of a record. Without an Avro default where there is none, or none can be said.

    A default that cannot be said (NaN) is filled in on reading all the same, from Python.
    """
    if default is _MISSING:
        return {"name": name, "type": node.schema}
    native = node.encode(default)
    try:
        schema = _branch_first(node.schema, native)
        return {"name": name, "type": schema, "default": _as_json(schema, native)}
    except _Inexpressible:
        return {"name": name, "type": node.schema}


def _branch_first(schema: Any, native: Any) -> Any:
    """A union with the default's branch first: its default belongs to the first branch."""
    if not isinstance(schema, list):
        return schema
    index = _branch_of(schema, native)
    return [schema[index], *schema[:index], *schema[index + 1 :]]


def _branch_of(union: list[Any], native: Any) -> int:
    name = native[0] if isinstance(native, tuple) else _plain_branch(native)
    return next(index for index, branch in enumerate(union) if name == _branch_name(branch))


def _branch_name(branch: Any) -> Any:
    return branch if isinstance(branch, str) else branch.get("name", branch["type"])


def _plain_branch(native: Any) -> str:
    names = {type(None): "null", bool: "boolean", int: "long", float: "double", str: "string"}
    return names.get(type(native), "bytes")


def _as_json(schema: Any, native: Any) -> Any:
    if isinstance(schema, list):
        if _branch_of(schema, native) != 0:
            raise _Inexpressible
        inner = native[1] if isinstance(native, tuple) else native
        return _as_json(schema[0], inner)
    if isinstance(native, bytes):
        return native.decode("latin-1")
    if isinstance(native, float) and not math.isfinite(native):
        raise _Inexpressible
    return _parts_as_json(schema, native) if isinstance(schema, dict) else native


def _parts_as_json(schema: dict[str, Any], native: Any) -> Any:
    kind = schema["type"]
    if kind == "array":
        return [_as_json(schema["items"], item) for item in native]
    if kind == "map":
        return {name: _as_json(schema["values"], item) for name, item in native.items()}
    if kind == "record":
        return {f["name"]: _as_json(f["type"], native[f["name"]]) for f in schema["fields"]}
    return native


def native_of_json(schema: Any, raw: Any) -> Any:
    """What the Avro writer takes for a default that stands in a schema. Names are spelled out."""
    if isinstance(schema, list):
        return None if raw is None else (_branch_name(schema[0]), native_of_json(schema[0], raw))
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind in ("bytes", "fixed"):
        return raw.encode("latin-1")
    if kind == "array":
        return [native_of_json(schema["items"], item) for item in raw]
    if kind == "map":
        return {name: native_of_json(schema["values"], item) for name, item in raw.items()}
    if kind == "record":
        return {f["name"]: native_of_json(f["type"], raw[f["name"]]) for f in schema["fields"]}
    return raw
