"""Types that travel, with values for them: what the round-trip tests draw from."""

import dataclasses
import enum
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType
from uuid import UUID

from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypeAliasType

from headrace.schemas.codec import ParsedSchema, RecordCodec, parse, record_codec_for_signature
from headrace.schemas.errors import UnknownSchemaError


class Colour(enum.Enum):
    RED = "r"
    GREEN = (0, 255, 0)
    BLUE = None


class Shade(enum.StrEnum):
    LIGHT = "light"
    DARK = "dark"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int = 320


@dataclass(frozen=True)
class Box:
    """The same fields as Size, so that only its name tells it apart in a union."""

    width: int
    height: int = 320


@dataclass
class Parcel:
    size: Size
    tags: list[str] = field(default_factory=list)
    sender: str | None = None
    sent: datetime = datetime(2024, 2, 29, tzinfo=UTC)
    extra: dict[str, Size] = field(default_factory=dict)
    either: Size | Box | None = None


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Address(BaseModel):
    model_config = ConfigDict(strict=True)

    street: str = Field(alias="streetName")
    colour: Colour = Colour.RED
    sizes: set[Size] = set()
    price: Decimal = Field(default=Decimal("1.50"), max_digits=8, decimal_places=2)

    @field_validator("street")
    @classmethod
    def no_empty_street(cls, street: str) -> str:
        if not street:
            raise ValueError("a street has a name")
        return street


@pydantic_dataclass
class Job:
    address: Address
    weight: Annotated[int, Field(ge=0)] = 0


Customer = NewType("Customer", str)
Amount = TypeAliasType("Amount", int | None)

LONGS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats(allow_nan=False)
ZONES = st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES | st.just(UTC))  # noqa: DTZ001
SPANS = st.timedeltas(timedelta(days=-106_751_990), timedelta(days=106_751_990))
SIZES = st.builds(Size, LONGS, LONGS)
BOXES = st.builds(Box, LONGS, LONGS)
POINTS = st.builds(Point, FLOATS, FLOATS)
CENTS = st.decimals("-99999.99", "99999.99", places=2)
ADDRESSES = st.builds(
    lambda street, *rest: Address(streetName=street, colour=rest[0], sizes=rest[1], price=rest[2]),
    TEXTS.filter(bool),
    st.sampled_from(Colour),
    st.sets(SIZES, max_size=3),
    CENTS,
)
PARCELS = st.builds(
    Parcel,
    SIZES,
    st.lists(TEXTS, max_size=3),
    st.none() | TEXTS,
    INSTANTS,
    st.dictionaries(TEXTS, SIZES, max_size=2),
    st.none() | SIZES | BOXES,
)

SCALAR_TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (None, st.none()),
    (bool, st.booleans()),
    (int, LONGS),
    (float, FLOATS),
    (str, TEXTS),
    (bytes, st.binary(max_size=12)),
    (datetime, INSTANTS),
    (AwareDatetime, INSTANTS),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, SPANS),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Annotated[Decimal, Field(max_digits=7, decimal_places=2)], CENTS),
    (UUID, st.uuids()),
    (Colour, st.sampled_from(Colour)),
    (Shade, st.sampled_from(Shade)),
    (Level, st.sampled_from(Level)),
    (Literal["a", "image/png"], st.sampled_from(["a", "image/png"])),
    (Literal[1, "one"] | None, st.sampled_from([1, "one", None])),
    (Customer | Literal[1, 2] | None, TEXTS | st.sampled_from([1, 2, None])),
    (Literal["a", None] | None, st.sampled_from(["a", None])),  # noqa: PYI061 - the form that is tried
    (Annotated[int, Field(ge=0, le=9)], st.integers(0, 9)),
    (Customer, TEXTS),
    (Amount, LONGS | st.none()),
    (Size, SIZES),
    (Point, POINTS),
    (Parcel, PARCELS),
    (Address, ADDRESSES),
    (Job, st.builds(Job, ADDRESSES, st.integers(0, 2**40))),
    (int | float, LONGS | FLOATS),
    (float | int, LONGS | FLOATS),
    (bool | int | None, st.booleans() | LONGS | st.none()),
    (str | bytes, TEXTS | st.binary(max_size=5)),
    (date | datetime, st.dates() | INSTANTS),
    (int | date | UUID, LONGS | st.dates() | st.uuids()),
    (Size | Box | None, SIZES | BOXES | st.none()),
    (dict[str, int] | Size, st.dictionaries(TEXTS, LONGS, max_size=2) | SIZES),
    (Colour | str, st.sampled_from(Colour) | TEXTS),
    (Colour | Level | None, st.sampled_from(Colour) | st.sampled_from(Level) | st.none()),
    (timedelta | str, SPANS | TEXTS),
    (list[int] | str, st.lists(LONGS, max_size=3) | TEXTS),
]
HASHABLE_TYPES = [
    (int, LONGS),
    (str, TEXTS),
    (UUID, st.uuids()),
    (Size, SIZES),
    (Colour, st.sampled_from(Colour)),
    (date, st.dates()),
    (int | str | None, LONGS | TEXTS | st.none()),
]

Typed = tuple[Any, st.SearchStrategy[Any]]


def parted(kind: type, *parts: Any) -> Any:
    """``kind[parts]``, from values."""
    return types.GenericAlias(kind, parts)


def containers_of(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    """Types made of a type, with values made of its values."""
    sized = inner.filter(lambda typed: typed[0] is not None)
    hashable = st.sampled_from(HASHABLE_TYPES)
    return st.one_of(
        sized.map(lambda t: (parted(list, t[0]), st.lists(t[1], max_size=3))),
        sized.map(lambda t: (parted(tuple, t[0], ...), st.lists(t[1], max_size=3).map(tuple))),
        inner.map(lambda t: (parted(dict, str, t[0]), st.dictionaries(TEXTS, t[1], max_size=3))),
        st.tuples(sized, inner).map(
            lambda ts: (parted(tuple, ts[0][0], ts[1][0]), st.tuples(ts[0][1], ts[1][1]))
        ),
        hashable.map(lambda t: (parted(set, t[0]), st.sets(t[1], max_size=3))),
        hashable.map(lambda t: (parted(frozenset, t[0]), st.frozensets(t[1], max_size=3))),
    )


TYPED: st.SearchStrategy[Typed] = st.recursive(
    st.sampled_from(SCALAR_TYPES), containers_of, max_leaves=4
)


class NoSchemas:
    """Knows nothing: a record of the codec's own schema must not ask."""

    def by_fingerprint(self, mark: bytes, /) -> ParsedSchema:
        raise UnknownSchemaError(f"fingerprint {mark.hex()}", "publish it")

    def by_registry_id(self, registry_id: int, /) -> ParsedSchema:
        raise UnknownSchemaError(f"registry id {registry_id}", "register it")


@dataclass(frozen=True)
class Known(NoSchemas):
    """Knows the schemas of some codecs, each under its place as registry id too."""

    codecs: tuple[RecordCodec, ...]

    def by_fingerprint(self, mark: bytes, /) -> ParsedSchema:
        for codec in self.codecs:
            if codec.fingerprint == mark:
                return parse(codec.schema_text)
        return super().by_fingerprint(mark)

    def by_registry_id(self, registry_id: int, /) -> ParsedSchema:
        return parse(self.codecs[registry_id].schema_text)


def codec_of(function: Callable[..., Any]) -> RecordCodec:
    return record_codec_for_signature("job", function, skip_first=False)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same type all the way down (datetimes: the same instant, in UTC)."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, datetime):
        return bool(other.utcoffset() == timedelta(0))
    if isinstance(one, Decimal):
        return str(one) == str(other) or str(other)[-3:-2] == "."  # two places, by its schema
    return all(same(*pair) for pair in zip(parts_of(one), parts_of(other), strict=True))


def parts_of(value: Any) -> list[Any]:
    """The values inside a value. Not those of sets, which have no order."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    if isinstance(value, list | tuple):
        return list(value)
    names: list[str] = []
    if isinstance(value, BaseModel):
        names = list(type(value).model_fields)
    elif dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value)]
    return [getattr(value, name) for name in names]
