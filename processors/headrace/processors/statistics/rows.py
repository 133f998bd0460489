"""Figures of cells in time: rings of buckets, ten seconds long for what is recent, a minute for the rest.

A row is one bucket of one cell. It is what the table of the statistics holds under one key, with
the offset up to which the events topic is in it: a batch that is read a second time, because its
effect was stored and its offset was not, changes no row a second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from headrace.processors.statistics.figures import Cell, Figures


class Grain(NamedTuple):
    """How long buckets are, in milliseconds, and how many of them are kept."""

    size: int
    slots: int

    def start(self, moment: int) -> int:
        """When the bucket begins that a moment (epoch ms) lies in."""
        return moment - moment % self.size

    def slot(self, start: int) -> int:
        """The place in the ring of the bucket that begins then."""
        return start // self.size % self.slots

    @property
    def reach(self) -> int:
        """Milliseconds that the ring goes back."""
        return self.size * self.slots


FINE: Final = Grain(10_000, 36)
COARSE: Final = Grain(60_000, 64)
GRAINS: Final = (FINE, COARSE)


class RowKey(NamedTuple):
    """Which row: a cell, the size of the bucket in milliseconds, and its place in the ring."""

    cell: Cell
    size: int
    slot: int


@dataclass(slots=True)
class Row:
    """One bucket. `start`: when it begins (epoch ms); `offset`: see above."""

    start: int
    offset: int = -1
    figures: Figures = field(default_factory=Figures)

    def as_json(self) -> dict[str, Any]:
        """Give the row as JSON holds it."""
        return {"start": self.start, "offset": self.offset, **self.figures.as_json()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Row":
        """Read what `as_json` gave."""
        return cls(int(found["start"]), int(found["offset"]), Figures.from_json(found))


class Rows:
    """The rows of some cells. Rows that changed are told by `changed` until it is cleared."""

    def __init__(self) -> None:
        self.changed: dict[RowKey, None] = {}
        self._rows: dict[RowKey, Row] = {}
        self._cells: dict[Cell, None] = {}

    @property
    def cells(self) -> list[Cell]:
        """Every cell that has a row."""
        return list(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __contains__(self, cell: Cell) -> bool:
        return cell in self._cells

    def __getitem__(self, key: RowKey) -> Row:
        return self._rows[key]

    def put(self, key: RowKey, row: Row) -> None:
        """Take a row as it was stored."""
        self._rows[key] = row
        self._cells[key.cell] = None

    def add(self, offset: int, found: Mapping[tuple[Cell, int], Figures]) -> None:
        """Add what a record of the events topic told: figures of cells at moments (epoch ms).

        Nothing is added twice, nor to a bucket that the ring has gone past.
        """
        for grain in GRAINS:
            buckets: dict[tuple[Cell, int], Figures] = {}
            for (cell, moment), figures in found.items():
                buckets.setdefault((cell, grain.start(moment)), Figures()).merge(figures)
            for (cell, start), figures in buckets.items():
                self._add(RowKey(cell, grain.size, grain.slot(start)), start, offset, figures)

    def _add(self, key: RowKey, start: int, offset: int, figures: Figures) -> None:
        row = self._rows.get(key)
        if row is None or row.start < start:
            row = Row(start)
            self.put(key, row)
        elif row.start > start or row.offset >= offset:
            return
        row.figures.merge(figures)
        row.offset = offset
        self.changed[key] = None

    def between(self, cell: Cell, grain: Grain, start: int, end: int) -> Figures:
        """Sum the buckets that begin at or after a time and not after another (epoch ms)."""
        total = Figures()
        for _, row in self.series(cell, grain, start, end):
            if row is not None:
                total.merge(row.figures)
        return total

    def series(
        self, cell: Cell, grain: Grain, start: int, end: int
    ) -> list[tuple[int, Row | None]]:
        """Give when each bucket of a time begins, and its row if anything fell into it."""
        found: list[tuple[int, Row | None]] = []
        for begin in range(grain.start(start), end + 1, grain.size):
            row = self._rows.get(RowKey(cell, grain.size, grain.slot(begin)))
            found.append((begin, row if row is not None and row.start == begin else None))
        return found

    def forget(self, now: int) -> list[RowKey]:
        """Drop the rows that lie behind their rings; gives their keys."""
        reach = {grain.size: grain.reach for grain in GRAINS}
        old = [key for key, row in self._rows.items() if row.start < now - reach[key.size]]
        for key in old:
            del self._rows[key]
            self.changed.pop(key, None)
        self._cells = dict.fromkeys(key.cell for key in self._rows)
        return old
