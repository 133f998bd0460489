"""The windows that figures are published for: the last minute, five minutes, hour."""

from dataclasses import dataclass
from typing import Final

from headrace.processors.statistics.figures import Cell, Figures
from headrace.processors.statistics.rows import COARSE, FINE, Grain, Rows


@dataclass(frozen=True, slots=True)
class Window:
    """A time that ends now.

    Attributes:
        name: `1m`, `5m` or `1h`.
        grain: Whose buckets it is made of: it begins with a whole one and ends with the running
            one, so it is up to a bucket shorter than its name says. Rates take its real length.
        buckets: How many.
    """

    name: str
    grain: Grain
    buckets: int

    def start(self, now: int) -> int:
        """When it begins (epoch ms)."""
        return self.grain.start(now) - (self.buckets - 1) * self.grain.size

    def of(self, rows: Rows, cell: Cell, now: int) -> Figures:
        """Sum the figures of a cell in it."""
        return rows.between(cell, self.grain, self.start(now), now)


MINUTE: Final = Window("1m", FINE, 6)
FIVE_MINUTES: Final = Window("5m", FINE, 30)
HOUR: Final = Window("1h", COARSE, 60)
WINDOWS: Final = (MINUTE, FIVE_MINUTES, HOUR)
WINDOW_NAMES: Final = tuple(window.name for window in WINDOWS)
