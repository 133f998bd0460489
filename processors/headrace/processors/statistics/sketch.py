"""Quantiles of durations: a DDSketch whose bins are plain counts.

Bins are those of ddsketch's logarithmic mapping (Masson, Rim, Lee: DDSketch, VLDB 2019), so a
quantile is wrong by 1 % at most, and the sketch of two sets is the sum of their bins, in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ddsketch.mapping import LogarithmicMapping

ACCURACY: Final = 0.01
"""The largest error of a quantile, relative to its true value."""
_MAPPING: Final = LogarithmicMapping(ACCURACY)
_ZERO: Final = -(2**31)
"""The bin of durations of less than a millisecond."""


@dataclass(slots=True)
class Sketch:
    """Durations in milliseconds. `bins`: how many of them lie in each bin."""

    bins: dict[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many durations it holds."""
        return sum(self.bins.values())

    def add(self, milliseconds: int) -> None:
        """Count a duration; a negative one, as two clocks make it, counts as 0."""
        key = _MAPPING.key(milliseconds) if milliseconds > 0 else _ZERO
        self.bins[key] = self.bins.get(key, 0) + 1

    def merge(self, other: "Sketch") -> None:
        """Add what another sketch holds."""
        bins = self.bins
        for key, count in other.bins.items():
            bins[key] = bins.get(key, 0) + count

    def quantile(self, share: float) -> float | None:
        """Give the duration below which a share (0 to 1) of them lies; None of an empty one.

        Milliseconds, within 1 %.
        """
        rank = share * (self.count - 1)
        passed = 0
        for key in sorted(self.bins):
            passed += self.bins[key]
            if passed > rank:
                return 0.0 if key == _ZERO else float(_MAPPING.value(key))
        return None

    def as_json(self) -> dict[str, int]:
        """Give the bins as JSON holds them."""
        return {str(key): count for key, count in self.bins.items()}

    @classmethod
    def from_json(cls, bins: Mapping[str, int]) -> "Sketch":
        """Read what `as_json` gave."""
        return cls({int(key): int(count) for key, count in bins.items()})
