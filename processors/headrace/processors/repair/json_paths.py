"""Changing one value inside a JSON document by its path: `to.address`, `items.0.price`."""

from collections.abc import Callable
from typing import Any

from headrace.processors.errors import EditError


def with_value(document: Any, path: str, value: Any) -> Any:
    """Give the document with a value at a path; the last part of it may be new in its object.

    Raises:
        EditError: The path leads nowhere: says how far it goes and what is there.
    """

    def put(parent: Any, part: str, at: str) -> Any:
        if isinstance(parent, dict):
            return {**parent, part: value}
        index = _index(parent, part, at)
        return [*parent[:index], value, *parent[index + 1 :]]

    return _changed(document, _parts(path), put, "")


def without_value(document: Any, path: str) -> Any:
    """Give the document without what stands at a path.

    Raises:
        EditError: The path leads nowhere.
    """

    def drop(parent: Any, part: str, at: str) -> Any:
        if isinstance(parent, dict):
            _member(parent, part, at)
            return {name: value for name, value in parent.items() if name != part}
        index = _index(parent, part, at)
        return [*parent[:index], *parent[index + 1 :]]

    return _changed(document, _parts(path), drop, "")


def _parts(path: str) -> list[str]:
    parts = path.split(".")
    if not all(parts):
        raise EditError(f"{path!r} is no path: write names and positions with dots, items.0.price")
    return parts


def _changed(
    node: Any, parts: list[str], change: Callable[[Any, str, str], Any], walked: str
) -> Any:
    part, rest = parts[0], parts[1:]
    if not rest:
        return change(node, part, walked)
    below = f"{walked}.{part}" if walked else part
    if isinstance(node, dict):
        return {**node, part: _changed(_member(node, part, walked), rest, change, below)}
    index = _index(node, part, walked)
    return [*node[:index], _changed(node[index], rest, change, below), *node[index + 1 :]]


def _member(node: dict[str, Any], part: str, walked: str) -> Any:
    if part not in node:
        there = ", ".join(node) or "nothing"
        raise EditError(f"{_place(walked)} has no {part!r}; there is: {there}")
    return node[part]


def _index(node: Any, part: str, walked: str) -> int:
    if not isinstance(node, list):
        kind = "null" if node is None else type(node).__name__
        raise EditError(f"{_place(walked)} is a {kind}: there is no {part!r} in it")
    if not part.isdigit() or int(part) >= len(node):
        raise EditError(f"{_place(walked)} is a list of {len(node)}: there is no {part!r} in it")
    return int(part)


def _place(walked: str) -> str:
    return walked or "the arguments object"
