"""Loads that need no file: what queues usually meet. All on the lane that is named, from time 0 on."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from headrace.deploy.scaling.load import LaneLoad, Point

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


class Shape(StrEnum):
    """How a load goes."""

    STEADY = "steady"
    """The peak for an hour."""
    BURST = "burst"
    """A twentieth of the peak for an hour, and from the tenth minute on five minutes of the peak."""
    RAMP = "ramp"
    """Up to the peak within half an hour, and down again."""
    DAILY = "daily"
    """A day: a tenth of the peak at night, the peak at 14:00."""


def shaped(shape: Shape, lane: str, peak: float) -> LaneLoad:
    """Make a load of a shape.

    Args:
        shape: Which.
        lane: `queue.priority`.
        peak: Jobs a second where it is highest.
    """
    return LaneLoad(lane, tuple(Point(at, peak * share) for at, share in _MADE[shape]()))


def _steady() -> list[tuple[float, float]]:
    return [(0, 1), (_HOUR, 0)]


def _burst() -> list[tuple[float, float]]:
    return [(0, 0.05), (10 * _MINUTE, 1), (15 * _MINUTE, 0.05), (_HOUR, 0)]


def _ramp() -> list[tuple[float, float]]:
    half = [(minute * _MINUTE, minute / 30) for minute in range(31)]
    return [*half, *((_HOUR - at, share) for at, share in reversed(half[:-1]))]


def _daily() -> list[tuple[float, float]]:
    quarters = range(24 * 4 + 1)
    height = {each: math.sin((each / 4 - 8) / 12 * math.pi) for each in quarters}
    return [(each * 15 * _MINUTE, 0.1 + 0.9 * max(0.0, height[each])) for each in quarters]


_MADE: Final[Mapping[Shape, Callable[[], list[tuple[float, float]]]]] = MappingProxyType(
    {Shape.STEADY: _steady, Shape.BURST: _burst, Shape.RAMP: _ramp, Shape.DAILY: _daily}
)
