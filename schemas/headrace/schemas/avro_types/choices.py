"""Types that are one of several: enums, literals, unions."""

import enum
import types
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any, Literal, Union, get_args

from headrace.schemas.avro_types import names
from headrace.schemas.avro_types.node import AvroSchema, Build, Mismatch, Node, Refusal
from headrace.schemas.errors import shown

_NONE = type(None)
_UNION: Any = Union  # built from values, which type checkers cannot follow
_WRAP = "put each in a dataclass of its own, or use one optional parameter for each"
_TOLD_APART = {(bool, int), (datetime, date)}
_SIMPLE = (_NONE, bool, int, float, str, bytes)


def enum_of(kind: type[enum.Enum], path: str, known: names.Names) -> Node:
    """An enum by the names of its members (their values may be anything)."""
    if issubclass(kind, enum.Flag):
        raise Refusal(path, f"{kind.__name__} is a Flag: its members combine", "use set[an Enum]")
    symbols = [member.name for member in kind]
    if not symbols:
        raise Refusal(path, f"{kind.__name__} has no members", "give it one")
    for symbol in symbols:
        names.require_avro_name(symbol, path, f"{kind.__name__} member")
    name = known.claim(kind.__name__, kind, path)
    schema = {"type": "enum", "name": name, "symbols": symbols}
    encode, decode = partial(_encode_member, kind), partial(_decode_member, kind)
    return Node(schema, kind, (kind,), str, name, encode, decode)


def _encode_member(kind: type[enum.Enum], value: Any) -> str:
    if type(value) is not kind:
        raise Mismatch(f"expected a member of {kind.__name__}, got {shown(value)}")
    return value.name


def _decode_member(kind: type[enum.Enum], native: Any) -> enum.Enum:
    try:
        return kind[native]
    except (KeyError, TypeError) as error:
        raise Mismatch(f"{kind.__name__} has no member {shown(native)}") from error


def literal_of(annotation: Any, path: str, build: Build) -> Node:
    """A literal of str, int and None: the Avro type of its values, a union if they differ."""
    values = get_args(annotation)
    kinds = list(dict.fromkeys(type(value) for value in values))
    if not set(kinds) <= {str, int, _NONE}:
        raise Refusal(path, f"{annotation} has values other than str, int and None", "use an Enum")
    members = [
        _literal_of_kind(build(kind, path), tuple(value for value in values if type(value) is kind))
        for kind in kinds
    ]
    return members[0] if len(members) == 1 else union_of(members, path)


def _literal_of_kind(base: Node, values: tuple[Any, ...]) -> Node:
    if base.native is _NONE:
        return base
    encode, decode = partial(_check_literal, base, values), partial(_decode_literal, base, values)
    return replace(base, annotation=Literal[values], encode=encode, decode=decode, plain=False)


def _check_literal(base: Node, values: tuple[Any, ...], value: Any) -> Any:
    native = base.encode(value)
    if value not in values:
        raise Mismatch(f"expected one of {values}, got {shown(value)}")
    return native


def _decode_literal(base: Node, values: tuple[Any, ...], native: Any) -> Any:
    value = base.decode(native)
    if value not in values:
        raise Mismatch(f"expected one of {values}, found {shown(value)}")
    return value


def is_union(origin: Any) -> bool:
    """Whether `typing.get_origin` has found a union, in either spelling."""
    return origin is Union or origin is types.UnionType


def is_literal(origin: Any) -> bool:
    """Whether `typing.get_origin` has found a literal."""
    return origin is Literal


def union_of(members: list[Node], path: str) -> Node:
    """One of several types, None among them or not. A union among them gives its members."""
    parts = (part for member in members for part in member.members or (member,))
    members = list({id(part): part for part in parts}.values())  # None may come twice
    _refuse_twins(members, path)
    choice = _Choice(tuple(members))
    schema: AvroSchema = [member.schema for member in members]
    annotation = _UNION[tuple(member.annotation for member in members)]
    plain = len(members) == 2 and all(m.plain and m.native in _SIMPLE for m in members)
    plain = plain and _NONE in {member.native for member in members}
    python = tuple(kind for member in members for kind in member.python)
    encode = choice.encode_plainly if plain else choice.encode
    node = Node(schema, annotation, python, object, "union", encode, choice.decode, plain=plain)
    return replace(node, members=choice.members)


def _refuse_twins(members: list[Node], path: str) -> None:
    branches: dict[str, Node] = {}
    for member in members:
        if member.branch == "union":
            raise Refusal(path, "an annotated union inside a union", "annotate the whole union")
        twin = branches.setdefault(member.branch, member)
        if twin is not member:
            raise Refusal(path, f"{_pair(twin, member)} are both {member.branch} in Avro", _WRAP)
    for one in members:
        for other in members:
            if one is not other and _overlap(one, other):
                raise Refusal(path, f"a value may be both {_pair(one, other)}", _WRAP)


def _overlap(one: Node, other: Node) -> bool:
    """Whether pydantic may take a value of `one` for a value of `other` (bool and int it tells)."""
    return any(
        issubclass(kind, base) and (kind, base) not in _TOLD_APART
        for kind in one.python
        for base in other.python
    )


def _pair(one: Node, other: Node) -> str:
    return f"{names.spoken(one.python[0])} and {names.spoken(other.python[0])}"


@dataclass(frozen=True)
class _Choice:
    members: tuple[Node, ...]

    def encode_plainly(self, value: Any) -> Any:
        """For None and one simple type: the writer finds the branch by itself."""
        return self._member(value).encode(value)

    def encode(self, value: Any) -> Any:
        """The branch is named, so that the writer has nothing to guess."""
        member = self._member(value)
        return None if value is None else (member.branch, member.encode(value))

    def decode(self, native: Any) -> Any:
        if type(native) is tuple:
            branch, inner = native
            return self._named(branch, type(inner)).decode(inner)
        return self._found(type(native), native).decode(native)

    def _member(self, value: Any) -> Node:
        for member in self.members:
            if type(value) in member.python:
                return member
        kinds = ", ".join(names.spoken(kind) for member in self.members for kind in member.python)
        raise Mismatch(f"expected one of {kinds}, got {shown(value)}")

    def _named(self, branch: str, native: type) -> Node:
        short = branch.rpartition(".")[2]
        for member in self.members:
            if member.branch in (branch, short):
                return member
        return self._found(native, branch)

    def _found(self, native: type, shown_as: Any) -> Node:
        """The member for a value that came without a name (so, if there is a choice, an unnamed)."""
        for kind in (native, float) if native is int else (native,):
            fitting = [member for member in self.members if member.native is kind]
            unnamed = [member for member in fitting if not _is_named(member)]
            for found in (unnamed, fitting):
                if len(found) == 1:
                    return found[0]
        raise Mismatch(f"no member of the union fits {shown(shown_as)}")


def _is_named(member: Node) -> bool:
    return isinstance(member.schema, dict) and "name" in member.schema
