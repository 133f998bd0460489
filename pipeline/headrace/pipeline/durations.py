"""Durations as people write them: `100ms`, `30s`, `5m`, `2h`, `7d`, and sums like `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    Raises:
        ValueError: The text is no duration; the message shows how one looks.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit (ms, s, m, h, d), such as "
            "100ms, 5m or 1h30m"
        )
    return sum((float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta())


def format_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it, in the largest units that keep it exact."""
    milliseconds = to_milliseconds(duration)
    parts: list[str] = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, milliseconds = divmod(milliseconds, to_milliseconds(_UNITS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def to_milliseconds(duration: timedelta) -> int:
    """Give whole milliseconds, rounded up: a wait may be longer than asked for, never shorter."""
    return -(-duration // timedelta(milliseconds=1))


def _read(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[
    timedelta,
    BeforeValidator(_read),
    PlainSerializer(format_duration, return_type=str),
]
"""A pydantic field type: a `timedelta` that settings may write as `5m`."""
