"""One function for each record of plain fields: it checks the values and writes them, in one pass.

What pydantic and fastavro do with a few texts and numbers is little beside what it takes to ask them. So
what is trivially right, values of exactly the declared classes, is written here. For everything else the
function gives None: pydantic and fastavro then say what is wrong with it, or make of it what it may be.

The function is made from source, as those of dataclasses are: its parameters are the record's fields, so
that Python itself tells what was given by position, by name, and not at all.
"""

from collections.abc import Callable, Iterable, Mapping
from struct import Struct
from types import FunctionType
from typing import Any, Final

from headrace.schemas.avro_types.node import AvroSchema, Node
from headrace.schemas.avro_types.records import Field
from headrace.schemas.avro_types.scalars import GREATEST_LONG, LEAST_LONG, SCALARS
from headrace.schemas.plain_avro import data, long, text

Write = Callable[..., bytes | None]

_OWN: Final = "__"
"""What all other names in the function begin with, and no field of a plain record does."""
_TOLD: Final[Mapping[str, tuple[str, str]]] = {
    "null": ("{0} is None", "__nothing"),
    "boolean": ("{0} is True or {0} is False", "__true if {0} else __false"),
    "long": ("__type({0}) is __int and __least <= {0} <= __greatest", "__long({0})"),
    "double": ("__type({0}) is __float", "__double({0})"),
    "string": ("__type({0}) is __str", "__text({0})"),
    "bytes": ("__type({0}) is __bytes", "__data({0})"),
}
"""By Avro type: when a field's value is written here, and how."""
_KNOWN: Final[Mapping[str, Any]] = {
    "__type": type,
    "__int": int,
    "__float": float,
    "__str": str,
    "__bytes": bytes,
    "__nothing": b"",
    "__true": b"\x01",
    "__false": b"\x00",
    "__least": LEAST_LONG,
    "__greatest": GREATEST_LONG,
    "__long": long,
    "__double": Struct("<d").pack,
    "__text": text,
    "__data": data,
    "__join": b"".join,
}
_SCALARS: Final = frozenset(map(id, SCALARS.values()))
_NOT_GIVEN: Final = object()
"""Of no class that is written here."""


def writer_of(fields: Iterable[Field], prefix: bytes) -> Write | None:
    """Make the function for a record, or give None if not all its fields are plain.

    It takes the fields' values as a call of the handler does, and gives the record's bytes after the
    prefix, or None.

    Raises:
        TypeError: As of any Python function: too many values, an unknown one, one given twice. From
            the function.
        UnicodeEncodeError: A text holds a lone surrogate. From the function.
    """
    chosen = tuple(fields)
    if not all(map(_is_plain, chosen)):
        return None
    names = [field.name for field in chosen]
    lines = [f"def write({', '.join(names)}):"]
    for field in chosen:
        lines += _field(field.name, field.schema["type"])
    lines.append(f"    return __join((__prefix, {', '.join(names)}))")
    made: dict[str, Any] = {**_KNOWN, "__prefix": prefix}
    exec("\n".join(lines), made)  # noqa: S102 - of names that Avro allows, and what stands above
    write: FunctionType = made["write"]
    write.__defaults__ = tuple(map(_default, chosen))
    return write


def _is_plain(field: Field) -> bool:
    """Whether there is nothing about the field but a class, or several to choose from."""
    members: tuple[Node, ...] = field.node.members or (field.node,)
    simple = all(each.plain and id(each) in _SCALARS for each in members)
    return simple and not field.name.startswith(_OWN)


def _field(name: str, schema: AvroSchema) -> list[str]:
    """Give the lines that replace a value by its bytes."""
    if not isinstance(schema, list):
        fits, written = _TOLD[str(schema)]
        return [*_if("if", name, fits, written), "    else: return None"]
    lines = []
    for index, member in enumerate(schema):
        fits, written = _TOLD[member]
        lines += _if("elif" if index else "if", name, fits, f"{long(index)!r} + ({written})")
    return [*lines, "    else: return None"]


def _if(word: str, name: str, fits: str, written: str) -> list[str]:
    return [f"    {word} {fits.format(name)}:", f"        {name} = {written.format(name)}"]


def _default(field: Field) -> Any:
    """Give what is written when nothing is given; a factory is left to pydantic."""
    return (
        _NOT_GIVEN if field.declared.required or field.declared.factory else field.declared.default
    )
