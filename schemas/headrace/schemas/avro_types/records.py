"""Types with named fields: dataclasses, pydantic models and dataclasses, named tuples."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError

from headrace.schemas.avro_types import defaults, names
from headrace.schemas.avro_types.node import Build, Mismatch, Node, Refusal
from headrace.schemas.errors import shown

MISSING = inspect.Parameter.empty


class Declared(NamedTuple):
    """One field as the user wrote it. `default` is `MISSING` when there is none or a factory."""

    name: str
    annotation: Any
    default: Any = MISSING
    factory: Callable[[], Any] | None = None

    @property
    def required(self) -> bool:
        """Whether a caller must give it."""
        return self.default is MISSING and self.factory is None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record, with its node."""

    declared: Declared
    node: Node

    @property
    def name(self) -> str:
        """The name, the same in Python and Avro."""
        return self.declared.name

    @property
    def schema(self) -> dict[str, Any]:
        """The Avro field, with a default where Avro can say it."""
        return defaults.field_schema(self.name, self.node, _constant(self.declared))


def is_record(kind: Any) -> bool:
    """Whether the class declares named fields."""
    if not isinstance(kind, type):
        return False
    named_tuple = issubclass(kind, tuple) and hasattr(kind, "_field_defaults")
    return dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel) or named_tuple


def record_of(kind: type, path: str, build: Build, known: names.Names) -> Node:
    """A class with named fields as an Avro record."""
    known.enter(kind, path)
    declared = declared_fields(kind, path)
    name = known.claim(kind.__name__, kind, path)
    fields = fields_of(declared, f"{path}.", build)
    known.leave()
    shape = Shape(kind, tuple(fields), builder_of(kind))
    schema = {"type": "record", "name": name, "fields": [field.schema for field in fields]}
    return Node(schema, kind, (kind,), dict, name, shape.encode, shape.decode)


def fields_of(declared: list[Declared], prefix: str, build: Build) -> list[Field]:
    """The fields with their nodes.

    Raises:
        Refusal: a field's name or type cannot travel, or its default is not of its type.
    """
    fields = []
    for each in declared:
        path = prefix + each.name
        names.require_avro_name(each.name, path, "field")
        node = build(each.annotation, path)
        defaults.require_fitting(node, _constant(each), path)
        fields.append(Field(each, node))
    return fields


def declared_fields(kind: type, path: str) -> list[Declared]:
    """What the class says of its fields.

    Raises:
        Refusal: the class is generic, or has fields that would not come back.
    """
    if getattr(kind, "__parameters__", ()) or getattr(
        kind, "__pydantic_generic_metadata__", {}
    ).get("args"):
        raise Refusal(path, f"{kind.__name__} is generic", "subclass it with its types filled in")
    if issubclass(kind, BaseModel):
        return _model_fields(kind, path)
    hints = resolved_hints(kind, path)
    if hasattr(kind, "__pydantic_fields__"):
        return _pydantic_fields(kind, path)
    if dataclasses.is_dataclass(kind):
        return [_dataclass_field(kind, field, hints, path) for field in _init_fields(kind, path)]
    if tuple(hints) != getattr(kind, "_fields", ()):
        raise Refusal(path, f"{kind.__name__} has no types", "derive it from typing.NamedTuple")
    given: Mapping[str, Any] = getattr(kind, "_field_defaults", {})
    return [Declared(name, hints[name], given.get(name, MISSING)) for name in hints]


def resolved_hints(subject: Any, path: str) -> dict[str, Any]:
    """The annotations of a class or function, strings resolved.

    Raises:
        Refusal: a name in an annotation is not found.
    """
    try:
        return get_type_hints(subject, include_extras=True)
    except Exception as error:
        raise Refusal(
            path,
            f"its annotations cannot be resolved: {type(error).__name__}: {error}",
            "import the types it names at module level, outside TYPE_CHECKING",
        ) from error


def _init_fields(kind: Any, path: str) -> tuple[Any, ...]:
    if not kind.__dataclass_params__.init:
        raise Refusal(path, f"{kind.__name__} is a dataclass with init=False", "leave init=True")
    for name, field in kind.__dataclass_fields__.items():
        kept_out = isinstance(field.type, dataclasses.InitVar) or "InitVar" in str(field.type)
        if kept_out or not field.init:
            raise Refusal(
                f"{path}.{name}",
                "a field that is not both stored and given to the constructor would not come back",
                "make it an ordinary field, or a property",
            )
    return dataclasses.fields(kind)


def _dataclass_field(kind: type, field: Any, hints: dict[str, Any], path: str) -> Declared:
    factory = None if field.default_factory is dataclasses.MISSING else field.default_factory
    default = MISSING if field.default is dataclasses.MISSING else field.default
    return Declared(field.name, hints[field.name], default, factory)


def _model_fields(kind: type[BaseModel], path: str) -> list[Declared]:
    if issubclass(kind, RootModel):
        raise Refusal(path, f"{kind.__name__} is a RootModel", "use the root's type itself")
    if kind.model_config.get("extra") == "allow":
        reason = f"{kind.__name__} allows extra fields, which no schema can hold"
        raise Refusal(path, reason, "declare them, or use a dict[str, ...] field")
    if kind.__private_attributes__:
        raise Refusal(path, f"{kind.__name__} has private attributes", "make them fields")
    return _pydantic_fields(kind, path)


def _pydantic_fields(kind: Any, path: str) -> list[Declared]:
    declared = []
    for name, info in kind.__pydantic_fields__.items():
        if info.init is False or info.init_var:
            raise Refusal(f"{path}.{name}", "the field is not stored", "make it an ordinary field")
        required = info.is_required() or info.default_factory is not None
        default = MISSING if required else info.default
        declared.append(Declared(name, info.rebuild_annotation(), default, info.default_factory))
    return declared


def _constant(declared: Declared) -> Any:
    """The default, where it is the same in every process; else `MISSING`."""
    if declared.factory in (list, dict, set, frozenset, tuple):
        return declared.factory()
    return declared.default


@dataclass(frozen=True, slots=True)
class Shape:
    """A record's way to Avro and back.

    Attributes:
        kind: the class of its values.
        fields: its fields.
        build: makes a value of the fields' values, or raises `Mismatch`.
        part: gives one field of a value.
    """

    kind: type
    fields: tuple[Field, ...]
    build: Callable[[dict[str, Any]], Any]
    part: Callable[[Any, str], Any] = getattr

    def encode(self, value: Any) -> dict[str, Any]:
        """The fields as the Avro writer takes them; what a reader would refuse is refused."""
        if type(value) is not self.kind:
            raise Mismatch(f"expected {self.kind.__name__} itself, got {shown(value)}")
        parts = {field.name: self.part(value, field.name) for field in self.fields}
        native = {field.name: _inside(field, field.node.encode, parts) for field in self.fields}
        self.build(parts)
        return native

    def decode(self, native: Any) -> Any:
        """The value; fields that its writer did not know get their defaults."""
        if type(native) is not dict:
            raise Mismatch(f"expected a record, found {shown(native)}")
        found = [field for field in self.fields if field.name in native]
        return self.build({f.name: _inside(f, f.node.decode, native) for f in found})


def builder_of(kind: type) -> Callable[[dict[str, Any]], Any]:
    """Makes values of the class from the values of its fields, defaults and validators included.

    What it gives back raises `Mismatch`, naming the field.
    """
    adapter: list[TypeAdapter[Any]] = []  # made at first use: many types are never built here

    def build(parts: dict[str, Any]) -> Any:
        if not adapter:
            adapter.append(TypeAdapter(kind))
        try:
            return adapter[0].validate_python(parts, by_alias=False, by_name=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise Mismatch(str(first["msg"]), tuple(str(part) for part in first["loc"])) from error

    return build


def _inside(field: Field, convert: Callable[[Any], Any], values: dict[str, Any]) -> Any:
    try:
        return convert(values[field.name])
    except Mismatch as mismatch:
        raise mismatch.inside(field.name) from None
