"""Types of one value: null, numbers, text, bytes, points and spans of time, identifiers."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field

from headrace.schemas.avro_types.node import AvroSchema, Convert, Mismatch, Node
from headrace.schemas.errors import shown

LEAST_LONG = -(2**63)
GREATEST_LONG = 2**63 - 1
DURATION = "headrace-duration-micros"
"""Logical type over long: a span of time in whole microseconds."""
DECIMAL_TEXT = "headrace-decimal"
"""Logical type over string: a decimal as Python writes it, its exponent kept."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_LEAST_INSTANT = datetime.min.replace(tzinfo=UTC)
_GREATEST_INSTANT = datetime.max.replace(tzinfo=UTC)


def instance_of(expected: type) -> Convert:
    """A conversion that changes nothing and lets only values of exactly this class pass."""

    def check(value: Any) -> Any:
        if type(value) is expected:
            return value
        raise Mismatch(f"expected {expected.__name__}, got {shown(value)}")

    return check


def _check_long(value: Any) -> int:
    if type(value) is not int:
        raise Mismatch(f"expected int, got {shown(value)}")
    if not LEAST_LONG <= value <= GREATEST_LONG:
        raise Mismatch(f"{shown(value)} does not fit into 64 bits; send it as str or Decimal")
    return value


def _check_double(value: Any) -> float:
    if type(value) is float or type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise Mismatch(f"{shown(value)} is too large for a float") from error
    raise Mismatch(f"expected float, got {shown(value)}")


def _check_text(value: Any) -> str:
    if type(value) is not str:
        raise Mismatch(f"expected str, got {shown(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Mismatch(f"{shown(value)} holds a lone surrogate and is not UTF-8") from error
    return value


def _instant_to_micros(value: Any) -> int:
    if type(value) is not datetime or value.utcoffset() is None:
        raise Mismatch(f"expected a datetime with a time zone, got {shown(value)}")
    if not _LEAST_INSTANT <= value <= _GREATEST_INSTANT:
        raise Mismatch(f"{shown(value)} is outside the years 1 to 9999 in UTC")
    return (value - _EPOCH) // _MICROSECOND


def _instant_back(native: Any) -> datetime:
    if type(native) is datetime and native.tzinfo is not None:
        return native
    raise Mismatch(f"expected a timestamp in UTC, found {shown(native)}")


def _day_to_number(value: Any) -> int:
    if type(value) is not date:
        raise Mismatch(f"expected date, got {shown(value)}")
    return value.toordinal() - _EPOCH_DAY


def _time_to_micros(value: Any) -> int:
    if type(value) is not time or value.tzinfo is not None:
        raise Mismatch(f"expected a time of day without a time zone, got {shown(value)}")
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * 1_000_000 + value.microsecond


def _time_back(native: Any) -> time:
    if type(native) is not time:
        raise Mismatch(f"expected a time of day, found {shown(native)}")
    return native


def _span_to_micros(value: Any) -> int:
    if type(value) is not timedelta:
        raise Mismatch(f"expected timedelta, got {shown(value)}")
    micros = value // _MICROSECOND
    if not LEAST_LONG <= micros <= GREATEST_LONG:
        raise Mismatch(f"{shown(value)} is longer than 64 bits of microseconds (292,000 years)")
    return micros


def _span_back(native: Any) -> timedelta:
    if type(native) is not int:
        raise Mismatch(f"expected microseconds, found {shown(native)}")
    try:
        return timedelta(microseconds=native)
    except OverflowError as error:
        raise Mismatch(f"{native} microseconds are more than a timedelta holds") from error


def _uuid_to_text(value: Any) -> str:
    if type(value) is not UUID:
        raise Mismatch(f"expected UUID, got {shown(value)}")
    return str(value)


def _decimal_to_text(value: Any) -> str:
    if type(value) is not Decimal or not value.is_finite():
        raise Mismatch(f"expected a finite Decimal, got {shown(value)}")
    return str(value)


def _decimal_back(native: Any) -> Decimal:
    try:
        return Decimal(native) if type(native) is str else instance_of(Decimal)(native)
    except ArithmeticError as error:
        raise Mismatch(f"expected a decimal number, found {shown(native)}") from error


def fixed_point(precision: int, scale: int) -> Node:
    """A Decimal of at most `precision` digits, `scale` of them after the point.

    It comes back with exactly `scale` digits after the point: equal, though 1.5 became 1.50.
    """

    def encode(value: Any) -> bytes:
        if type(value) is not Decimal or not value.is_finite():
            raise Mismatch(f"expected a finite Decimal, got {shown(value)}")
        unscaled = _unscaled(value, precision, scale)
        if unscaled is None or abs(unscaled) >= 10**precision:
            raise Mismatch(f"{value} has more than {precision} digits, {scale} after the point")
        return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)

    schema = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    annotation = Annotated[Decimal, Field(max_digits=precision, decimal_places=scale)]
    check = instance_of(Decimal)
    return Node(schema, annotation, (Decimal,), Decimal, "bytes", encode, check)


def _unscaled(value: Decimal, precision: int, scale: int) -> int | None:
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + scale
    if not any(digits):
        return 0
    if shift > precision:
        return None
    number = int("".join(map(str, digits)))
    if shift >= 0:
        number *= int(10**shift)
    else:
        number, lost = divmod(number, int(10 ** min(-shift, len(digits))))
        if lost or -shift > len(digits):
            return None
    return -number if sign else number


def _logical(base: str, logical: str) -> AvroSchema:
    return {"type": base, "logicalType": logical}


def _plain(kind: type, schema: str, check: Convert, annotation: Any = None) -> Node:
    return Node(schema, annotation or kind, (kind,), kind, schema, check, check, plain=True)


_LONG = Annotated[int, Field(ge=LEAST_LONG, le=GREATEST_LONG)]
_NONE = type(None)
_INSTANT = Node(
    _logical("long", "timestamp-micros"),
    AwareDatetime,
    (datetime,),
    datetime,
    "long",
    _instant_to_micros,
    _instant_back,
)

SCALARS: dict[Any, Node] = {
    None: _plain(_NONE, "null", instance_of(_NONE)),
    _NONE: _plain(_NONE, "null", instance_of(_NONE)),
    bool: _plain(bool, "boolean", instance_of(bool)),
    int: _plain(int, "long", _check_long, _LONG),
    float: _plain(float, "double", _check_double),
    str: _plain(str, "string", _check_text),
    bytes: _plain(bytes, "bytes", instance_of(bytes)),
    datetime: _INSTANT,
    AwareDatetime: _INSTANT,
    date: Node(
        _logical("int", "date"), date, (date,), date, "int", _day_to_number, instance_of(date)
    ),
    time: Node(
        _logical("long", "time-micros"), time, (time,), time, "long", _time_to_micros, _time_back
    ),
    timedelta: Node(
        _logical("long", DURATION),
        timedelta,
        (timedelta,),
        int,
        "long",
        _span_to_micros,
        _span_back,
    ),
    UUID: Node(
        _logical("string", "uuid"), UUID, (UUID,), UUID, "string", _uuid_to_text, instance_of(UUID)
    ),
    Decimal: Node(
        _logical("string", DECIMAL_TEXT),
        Decimal,
        (Decimal,),
        str,
        "string",
        _decimal_to_text,
        _decimal_back,
    ),
}
"""The types that need no parts, by annotation. A constant: read it, never write it."""
