"""Durations as people write them: `100ms`, `30s`, `5m`, `2h`, `7d`, and sums like `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")
_LARGEST_FIRST: Final = ("d", "h", "m", "s", "ms")


def parse_duration(text: str) -> timedelta:
    """Read a duration. Spaces around it are ignored; units may come in any order and add up.

    Raises:
        ValueError: The text is no duration, or over `timedelta.max`; the message shows how one
            looks.
    """
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit (ms, s, m, h, d), such as "
            "100ms, 5m or 1h30m"
        )
    parts = _PART.findall(text)
    try:
        return sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is too long: {timedelta.max.days}d is the most") from None


def format_duration(duration: timedelta) -> str:
    """Write a duration in the largest units that keep it exact to the millisecond.

    `parse_duration` reads it back, save for a negative one, which begins with `-`. A fraction of
    a millisecond is rounded up, away from zero.
    """
    if duration < timedelta():
        return f"-{format_duration(-duration)}"
    milliseconds = to_milliseconds(duration)
    parts: list[str] = []
    for unit in _LARGEST_FIRST:
        count, milliseconds = divmod(milliseconds, to_milliseconds(_UNITS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def to_milliseconds(duration: timedelta) -> int:
    """Give whole milliseconds, rounded up: a wait may be longer than asked for, never shorter."""
    return -(-duration // timedelta(milliseconds=1))


def _read(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float):
        raise ValueError(  # noqa: TRY004 - pydantic collects ValueErrors
            f"a bare number has no unit: write {value}s or {value}m, or pass a timedelta"
        )
    return value


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta():
        raise ValueError(f"{format_duration(value)} is negative; a time cannot run backwards")
    return value


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than zero, such as 100ms or 5m")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_read),
    AfterValidator(_not_negative),
    PlainSerializer(format_duration, return_type=str),
]
"""A pydantic field type: a `timedelta` of zero or more that settings may write as `5m`."""

PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
"""A `Duration` that must not be zero."""
