import collections
import dataclasses
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Optional, Protocol, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr

from headrace.schemas.codec import record_codec_for_model, value_codec
from headrace.schemas.errors import SchemaError
from tests.schemas.codec_samples import Level, Shade, Size, codec_of

T = TypeVar("T")


class Duck(Protocol):
    def quack(self) -> None: ...


@dataclass
class Tree:
    children: "list[Tree]"


@dataclass
class Page(Generic[T]):
    items: list[T]


@dataclass
class Empty: ...


@dataclass(frozen=True)
class Wide(Size): ...


@dataclass
class Computed:
    width: int
    area: int = field(init=False, default=0)


@dataclass
class Seeded:
    seed: dataclasses.InitVar[int]


@dataclass(init=False)
class Handmade:
    width: int


@dataclass
class Umlaut:
    größe: int  # noqa: PLC2401


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Secretive(BaseModel):
    _secret: int = 1


class Names(RootModel[list[str]]): ...


class Generics(BaseModel, Generic[T]):
    item: T


class Rights(enum.Flag):
    READ = 1


class Greek(enum.Enum):
    α = 1  # noqa: PLC2401


def other_size() -> type:
    return dataclasses.make_dataclass("Size", [("depth", int)])


REFUSED = [
    (Any, "says nothing"),
    (object, "says nothing"),
    (T, "type variable"),
    (Callable, "cannot"),
    (Callable[[int], str], "cannot travel"),
    (Duck, "Duck"),
    (Path, "Path"),
    (complex, "complex"),
    (SecretStr, "SecretStr"),
    (Sequence[int], "Sequence"),
    (list, "list"),
    (dict, "dict"),
    (set, "set"),
    (tuple, "tuple"),
    (dict[int, str], "keys of type str"),
    (dict[UUID, str], "keys of type str"),
    (dict[Shade, int], "keys of type str"),
    (list[dict[int, str]], "keys of type str"),
    (list[None], "take no bytes"),
    (list[Empty], "take no bytes"),
    (UUID | str, "both string"),
    (Decimal | str, "both string"),
    (datetime | int, "both long"),
    (datetime | timedelta, "both long"),
    (time | timedelta, "both long"),
    (list[int] | list[str], "both array"),
    (list[int] | set[int], "both array"),
    (list[int] | tuple[int, ...], "both array"),
    (dict[str, int] | dict[str, str], "both map"),
    (Shade | str, "may be both"),
    (Level | int, "may be both"),
    (Size | Wide, "may be both"),
    (tuple[int, str] | tuple[str, int], "may be both"),
    (Literal[True], "Literal"),
    (Literal[Shade.DARK], "Literal"),
    (Tree, "contains itself"),
    (Page, "generic"),
    (Page[int], "generic"),
    (Generics[int], "generic"),
    (Computed, "not both stored and given"),
    (Seeded, "not both stored and given"),
    (Handmade, "init=False"),
    (Umlaut, "not an Avro name"),
    (Greek, "not an Avro name"),
    (Rights, "Flag"),
    (Open, "extra fields"),
    (Secretive, "private attributes"),
    (Names, "RootModel"),
    (collections.namedtuple("Bare", "x y"), "no types"),  # noqa: PYI024
    (tuple[Size, other_size()], "two different types"),  # type: ignore[misc]
    (Optional[Annotated[int | str, Field(description="x")]], "annotated union inside a union"),  # noqa: UP045
    (Annotated[Decimal, Field(max_digits=4)], "needs both"),
    (Annotated[int, Field(default=4)], "default inside"),
    (Annotated[int, Field(alias="n")], "alias inside"),
    ("Nowhere", "cannot be resolved"),
]


@pytest.mark.parametrize(("annotation", "reason"), REFUSED, ids=[str(each[0]) for each in REFUSED])
def test_a_type_that_would_not_come_back_is_refused_at_declaration_by_parameter(
    annotation: Any, reason: str
) -> None:
    def handler(good: int, bad: Any) -> None: ...

    handler.__annotations__["bad"] = annotation
    with pytest.raises(SchemaError) as refused:
        codec_of(handler)
    assert reason in str(refused.value)
    assert "Nowhere" in str(refused.value) or str(refused.value.parameter).startswith("bad")
    assert refused.value.remedy


def test_the_way_to_the_type_at_fault_is_named() -> None:
    @dataclass
    class Inner:
        thing: dict[str, list[complex]]

    def handler(a: int, box: Inner) -> None: ...

    handler.__annotations__["box"] = list[Inner]
    with pytest.raises(SchemaError, match=r"job: parameter `box\[\]\.thing\[\]\[\]`: .*complex"):
        codec_of(handler)


def unannotated(a: int, b) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001


def starred(a: int, *b: int) -> None: ...


def double_starred(a: int, **b: int) -> None: ...


def positional(b: int, /) -> None: ...


def wrong_default(b: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013


def huge_default(b: int = 2**63) -> None: ...


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (unannotated, "no annotation"),
        (starred, "variadic"),
        (double_starred, "variadic"),
        (positional, "positional-only"),
        (wrong_default, "default does not fit"),
        (huge_default, "default does not fit"),
    ],
)
def test_a_parameter_that_cannot_be_a_field_is_refused(
    handler: Callable[..., None], reason: str
) -> None:
    with pytest.raises(SchemaError, match=reason) as refused:
        codec_of(handler)
    assert refused.value.parameter == "b"


def test_the_result_of_a_handler_is_refused_by_the_same_rules() -> None:
    with pytest.raises(SchemaError, match="`value"):
        value_codec("job result", set[complex])


@pytest.mark.parametrize("model", [int, partial, date])
def test_arguments_declared_by_something_without_fields_are_refused(model: type) -> None:
    with pytest.raises(SchemaError, match="not a dataclass"):
        record_codec_for_model("job", model)
