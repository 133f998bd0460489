"""Avro lets a named type be spelled out once; after that it goes by its name."""

from typing import Any

_NAMED = ("record", "enum", "fixed")


def each_once(schema: Any) -> Any:
    """The schema with every later spelling of a named type replaced by its name.

    The order is that of the JSON text, so the first spelling is the one a parser meets first.
    """
    return _rewritten(schema, set())


def _rewritten(schema: Any, spelled: set[str]) -> Any:
    if isinstance(schema, list):
        return [_rewritten(branch, spelled) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if schema["type"] in _NAMED:
        if schema["name"] in spelled:
            return schema["name"]
        spelled.add(schema["name"])
    return {key: _part(key, value, spelled) for key, value in schema.items()}


def _part(key: str, value: Any, spelled: set[str]) -> Any:
    if key in ("items", "values"):
        return _rewritten(value, spelled)
    if key == "fields":
        return [field | {"type": _rewritten(field["type"], spelled)} for field in value]
    return value
