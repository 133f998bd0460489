"""Types made of items: lists, tuples, sets, dictionaries."""

import types
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

from headrace.schemas import hazards
from headrace.schemas.avro_types import names, scalars
from headrace.schemas.avro_types.node import Build, Mismatch, Node, Refusal
from headrace.schemas.errors import shown


def list_like(kind: type, annotation: Any, path: str, build: Build) -> Node:
    """``list[T]``, ``set[T]`` or ``frozenset[T]`` as an Avro array."""
    (item,) = _arguments(annotation, 1, path, f"{kind.__name__}[str]")
    node = _item(item, path, build)
    return array(kind, node)


def tuple_like(annotation: Any, path: str, build: Build, names_: names.Names) -> Node:
    """``tuple[T, ...]`` as an Avro array, ``tuple[A, B]`` as a record with one field a place."""
    arguments = get_args(annotation)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        node = _item(arguments[0], path, build)
        return array(tuple, node)
    if not arguments:
        raise Refusal(
            path, "a tuple without item types", "write tuple[int, ...] or tuple[int, str]"
        )
    nodes = [build(item, f"{path}[{place}]") for place, item in enumerate(arguments)]
    return _places(names_.of_tuple(path), nodes)


def map_of(annotation: Any, path: str, build: Build) -> Node:
    """``dict[str, T]`` as an Avro map."""
    key, value = _arguments(annotation, 2, path, "dict[str, int]")
    keys = build(key, f"{path} key")
    if (keys.schema, keys.plain) != ("string", True):
        raise Refusal(
            path,
            f"an Avro map has keys of type str, not {names.spoken(key)}",
            "use dict[str, ...], or a list of a dataclass with key and value",
        )
    return string_map(build(value, f"{path}[]"))


def _arguments(annotation: Any, count: int, path: str, example: str) -> tuple[Any, ...]:
    arguments = get_args(annotation)
    if len(arguments) != count:
        raise Refusal(
            path, f"{names.spoken(annotation)} does not say of what", f"write {example}, say"
        )
    return arguments


def _item(item: Any, path: str, build: Build) -> Node:
    node = build(item, f"{path}[]")
    if hazards.takes_no_bytes(node.schema):
        raise Refusal(
            path,
            f"items of type {names.spoken(item)} take no bytes, so nine bytes could announce 2^62 "
            "of them",
            "send their number as int",
        )
    return node


def array(kind: type, item: Node) -> Node:
    """An Avro array whose items come back in a container of class `kind`."""
    parts: Any = (item.annotation, ...) if kind is tuple else item.annotation
    return Node(
        {"type": "array", "items": item.schema},
        types.GenericAlias(kind, parts),
        (kind,),
        list,
        "array",
        partial(_encode_items, kind, item),
        partial(_decode_items, kind, item),
        plain=item.plain and kind is list,
    )


def string_map(item: Node) -> Node:
    """An Avro map, whose keys are always text."""
    return Node(
        {"type": "map", "values": item.schema},
        types.GenericAlias(dict, (str, item.annotation)),
        (dict,),
        dict,
        "map",
        partial(_encode_map, scalars.SCALARS[str], item),
        partial(_decode_map, item),
        plain=item.plain,
    )


def _encode_items(kind: type, item: Node, value: Any) -> list[Any]:
    found: object = type(value)
    if found is not kind:
        raise Mismatch(f"expected {kind.__name__}, got {shown(value)}")
    encode = item.encode
    natives = [encode(each) for each in value]
    if kind is set or kind is frozenset:
        natives.sort(key=repr)  # equal sets give equal bytes, and equal schema texts as defaults
    return natives


def _decode_items(kind: Callable[[Any], Any], item: Node, native: Any) -> Any:
    if type(native) is not list:
        raise Mismatch(f"expected an array, found {shown(native)}")
    decode = item.decode
    items = [decode(each) for each in native]
    return items if kind is list else kind(items)


def _encode_map(key: Node, item: Node, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Mismatch(f"expected dict, got {shown(value)}")
    return {key.encode(name): item.encode(each) for name, each in value.items()}


def _decode_map(item: Node, native: Any) -> dict[str, Any]:
    if type(native) is not dict:
        raise Mismatch(f"expected a map, found {shown(native)}")
    return {name: item.decode(each) for name, each in native.items()}


def _places(name: str, nodes: list[Node]) -> Node:
    fields = [{"name": f"item{place}", "type": node.schema} for place, node in enumerate(nodes)]
    annotation = types.GenericAlias(tuple, tuple(node.annotation for node in nodes))
    return Node(
        {"type": "record", "name": name, "fields": fields},
        annotation,
        (tuple,),
        dict,
        name,
        partial(_encode_places, nodes),
        partial(_decode_places, nodes),
    )


def _encode_places(nodes: list[Node], value: Any) -> dict[str, Any]:
    if type(value) is not tuple or len(value) != len(nodes):
        raise Mismatch(f"expected a tuple of {len(nodes)} items, got {shown(value)}")
    pairs = enumerate(zip(nodes, value, strict=True))
    return {f"item{place}": node.encode(each) for place, (node, each) in pairs}


def _decode_places(nodes: list[Node], native: Any) -> tuple[Any, ...]:
    try:
        return tuple(node.decode(native[f"item{place}"]) for place, node in enumerate(nodes))
    except (KeyError, TypeError) as error:
        raise Mismatch(f"expected a tuple of {len(nodes)} items, found {shown(native)}") from error
