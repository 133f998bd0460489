"""Where the ready backlog will be: a straight line through its last minutes. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

AHEAD: Final = 60_000
"""Milliseconds that a forecast looks ahead."""
REACH: Final = 300_000
"""Milliseconds of samples that it looks back on."""
_LEAST_SAMPLES: Final = 4
_LEAST_SPAN: Final = 15_000
"""Milliseconds that samples must span: two that lie close together say nothing of a minute ahead."""


class Sample(NamedTuple):
    """How many jobs were ready and not finished at a time (epoch ms)."""

    at: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the samples point to.

    Attributes:
        jobs: The expected backlog at `at`; never below 0.
        at: When (epoch ms).
        growth: Jobs a second by which the backlog grows; negative when it shrinks.
    """

    jobs: float
    at: int
    growth: float


def forecast(samples: Sequence[Sample], ahead: int = AHEAD) -> Forecast | None:
    """Fit a line by least squares and follow it; None when there are too few samples.

    Args:
        samples: In the order of their times.
        ahead: Milliseconds after the last of them.
    """
    if len(samples) < _LEAST_SAMPLES or samples[-1].at - samples[0].at < _LEAST_SPAN:
        return None
    last = samples[-1].at
    times = [(each.at - last) / 1000 for each in samples]
    growth, level = line(times, [each.jobs for each in samples])
    return Forecast(max(0.0, level + growth * ahead / 1000), last + ahead, growth)


def line(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Give slope and value at 0 of the line with the least squares.

    Times must not all be equal.
    """
    count = len(times)
    mean_time, mean_value = sum(times) / count, sum(values) / count
    spread = sum((time - mean_time) ** 2 for time in times)
    common = sum((t - mean_time) * (v - mean_value) for t, v in zip(times, values, strict=True))
    slope = common / spread
    return slope, mean_value - slope * mean_time


def recent(samples: Sequence[Sample], now: int) -> list[Sample]:
    """Leave out the samples that lie too far back."""
    return [each for each in samples if each.at > now - REACH]
