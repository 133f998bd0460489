"""From an annotation to its node: which rule is for which type, and why the rest is refused."""

import enum
import inspect
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, NewType, TypeVar, get_args, get_origin

from pydantic.fields import FieldInfo

from headrace.schemas.avro_types import choices, containers, names, records, scalars
from headrace.schemas.avro_types.node import Node, Refusal

_KNOWN = (
    "use bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID, an Enum, a "
    "Literal, list[...], tuple[...], set[...], dict[str, ...], a dataclass, a pydantic model, or a "
    "union of them"
)
_ANNOTATED: Any = Annotated  # built from values, which type checkers cannot follow
_LIST_LIKE = (list, set, frozenset)


class Derivation:
    """Derives the nodes of one schema, whose root record is called `root`."""

    def __init__(self, root: str) -> None:
        self.names = names.Names(root)

    def node(self, annotation: Any, path: str) -> Node:
        """The node of one annotation.

        Raises:
            Refusal: the type cannot travel, or would not come back as it went in.
        """
        if isinstance(annotation, NewType):
            return self.node(annotation.__supertype__, path)
        if type(annotation).__name__ == "TypeAliasType":  # `type X = ...`, from Python 3.12 on
            return self.node(annotation.__value__, path)
        if _hashable(annotation) and annotation in scalars.SCALARS:
            return scalars.SCALARS[annotation]
        origin = get_origin(annotation)
        if origin is None:
            return self._of_class(annotation, path)
        return self._of_parts(origin, annotation, path)

    def _of_parts(self, origin: Any, annotation: Any, path: str) -> Node:
        if origin is Annotated:
            return self._annotated(annotation, path)
        if choices.is_union(origin):
            members = [self.node(member, path) for member in get_args(annotation)]
            return choices.union_of(members, path)
        if choices.is_literal(origin):
            return choices.literal_of(annotation, path, self.node)
        if origin in _LIST_LIKE:
            return containers.list_like(origin, annotation, path, self.node)
        if origin is tuple:
            return containers.tuple_like(annotation, path, self.node, self.names)
        if origin is dict:
            return containers.map_of(annotation, path, self.node)
        raise _refusal(origin, annotation, path)

    def _of_class(self, annotation: Any, path: str) -> Node:
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return choices.enum_of(annotation, path, self.names)
        if records.is_record(annotation):
            return records.record_of(annotation, path, self.node, self.names)
        if annotation in _LIST_LIKE:
            return containers.list_like(annotation, annotation, path, self.node)
        if annotation is tuple:
            return containers.tuple_like(annotation, path, self.node, self.names)
        if annotation is dict:
            return containers.map_of(annotation, path, self.node)
        raise _refusal(annotation, annotation, path)

    def _annotated(self, annotation: Any, path: str) -> Node:
        base, *metadata = get_args(annotation)
        constraints = list(_flattened(metadata))
        _refuse_field_options(constraints, path)
        node = _decimal(constraints, path) if base is Decimal else self.node(base, path)
        narrowed = _ANNOTATED[(node.annotation, *metadata)]
        plain = node.plain and _only_bounds(constraints)
        return replace(node, annotation=narrowed, plain=plain, members=())


def _decimal(constraints: list[Any], path: str) -> Node:
    precision = _constraint(constraints, "max_digits")
    scale = _constraint(constraints, "decimal_places")
    if precision is None and scale is None:
        return scalars.SCALARS[Decimal]
    if precision is None or scale is None or not 0 <= scale <= precision or precision < 1:
        raise Refusal(
            path,
            "a Decimal with max_digits or decimal_places needs both, decimal_places the smaller",
            "write Field(max_digits=12, decimal_places=2), say, or a bare Decimal",
        )
    return scalars.fixed_point(precision, scale)


def _constraint(constraints: list[Any], name: str) -> int | None:
    found = (getattr(each, name, None) for each in constraints)
    return next((value for value in found if value is not None), None)


def _flattened(metadata: list[Any]) -> list[Any]:
    return [
        part
        for each in metadata
        for part in ((each, *each.metadata) if isinstance(each, FieldInfo) else (each,))
    ]


def _refuse_field_options(constraints: list[Any], path: str) -> None:
    for each in constraints:
        if isinstance(each, FieldInfo) and not each.is_required():
            raise Refusal(path, "a default inside Field(...)", "write it as `= value`")
        if isinstance(each, FieldInfo) and (each.alias or each.validation_alias):
            raise Refusal(path, "an alias inside Field(...)", "name the parameter itself so")


def _only_bounds(constraints: list[Any]) -> bool:
    """Whether pydantic still gives a value of the base type (a validator may give anything)."""
    modules = {type(each).__module__.partition(".")[0] for each in constraints}
    validators = [each for each in constraints if _changes_values(each)]
    return modules <= {"annotated_types", "pydantic", "builtins"} and not validators


def _changes_values(constraint: Any) -> bool:
    return type(constraint).__module__ == "pydantic.functional_validators"


def _refusal(kind: Any, annotation: Any, path: str) -> Refusal:
    if annotation is Any or annotation is object:
        return Refusal(path, f"{names.spoken(annotation)} says nothing about its values", _KNOWN)
    if isinstance(annotation, TypeVar):
        return Refusal(path, f"{annotation} is a type variable", "write the type itself")
    if kind is Callable or inspect.isfunction(annotation):
        return Refusal(path, "a function cannot travel", "send its name, and look it up")
    if records.is_record(kind):
        spoken = names.spoken(kind)
        return Refusal(path, f"{spoken} is generic", "subclass it with its types filled in")
    spoken = names.spoken(annotation)
    return Refusal(path, f"values of type {spoken} cannot be carried by Avro and back", _KNOWN)


def _hashable(annotation: Any) -> bool:
    try:
        hash(annotation)
    except TypeError:
        return False
    return True
