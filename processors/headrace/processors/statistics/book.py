"""What one partition of the events topic has told, and how it is stored.

The table has one key for each row and one for each lane's `Counted`. Of a batch the rows are
written first and `Counted` last, to one partition of the table's changelog, which keeps their
order. So wherever a crash cuts it off: while `Counted` is the old one the batch is judged again as
it was the first time, and the rows that have it already say so by their offsets.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from headrace.processors.statistics.counted import Counted
from headrace.processors.statistics.counting import add_durations, names_of
from headrace.processors.statistics.figures import Cell, Figures
from headrace.processors.statistics.rows import GRAINS, Row, RowKey, Rows
from headrace.schemas.transitions import Transition

MOST_CELLS: Final = 2_000
"""Cells of one partition; jobs of further types are counted as `OTHER`: a name that somebody makes up
for each job must not fill the memory."""
OTHER: Final = "(other)"
_ROW: Final = "row"
_COUNTED: Final = "counted"
Stored = tuple[bytes, bytes]


class Book:
    """The figures of one partition of the events topic. Owned by one thread.

    Args:
        partition: Which one.
        tenants: Those that are counted by themselves.
        is_ordered: Whether a lane's jobs are retried in place.
    """

    def __init__(
        self, partition: int, tenants: Collection[str], is_ordered: Callable[[str], bool]
    ) -> None:
        self.partition = partition
        self.rows = Rows()
        self._tenants = frozenset(tenants)
        self._is_ordered = is_ordered
        self._counted: dict[str, Counted] = {}
        self._changed: dict[str, None] = {}

    def take(self, offset: int, appended: int, batch: Iterable[Transition]) -> None:
        """Count a batch.

        Args:
            offset: Of its record.
            appended: When the broker stored it (epoch ms): nothing in it is later than that.
            batch: Its transitions; what has been counted is left out.
        """
        found: dict[tuple[Cell, int], Figures] = {}
        lanes: dict[str, Counted] = {}
        for told in batch:
            counted = lanes.get(told.lane)
            if counted is None:
                counted = lanes[told.lane] = self._counted_of(told.lane, appended)
            if counted.offset < offset:
                self._count(told, counted, min(told.time, appended), found)
        self.rows.add(offset, found)
        for lane, counted in lanes.items():
            if counted.offset < offset:
                counted.offset = offset
                self._changed[lane] = None

    def _counted_of(self, lane: str, appended: int) -> Counted:
        counted = self._counted.get(lane)
        if counted is None:
            counted = self._counted[lane] = Counted(ordered=self._is_ordered(lane))
        counted.turn(appended)
        return counted

    def _count(
        self,
        told: Transition,
        counted: Counted,
        moment: int,
        found: dict[tuple[Cell, int], Figures],
    ) -> None:
        names = names_of(told, counted)
        if not names:
            return
        bucket = (self._cell(told), GRAINS[0].start(moment))
        figures = found.get(bucket)
        if figures is None:
            figures = found[bucket] = Figures()
        for name in names:
            figures.count(name)
        if names != ["started"]:
            add_durations(told, figures)

    def _cell(self, told: Transition) -> Cell:
        tenant = told.tenant if told.tenant in self._tenants else None
        cell = Cell(told.lane, told.job_type, tenant or "")
        if cell in self.rows or len(self.rows) < MOST_CELLS:
            return cell
        return Cell(told.lane, OTHER)

    def changes(self) -> Iterator[Stored]:
        """Give what changed since the last call as keys and values, in the order to write them."""
        for key in self.rows.changed:
            yield self.key_of(key), _dump(self.rows[key].as_json())
        for lane in self._changed:
            yield _dump([self.partition, _COUNTED, lane]), _dump(self._counted[lane].as_json())
        self.rows.changed.clear()
        self._changed.clear()

    def key_of(self, key: RowKey) -> bytes:
        """Write a row's key as the table has it."""
        return _dump([self.partition, _ROW, *key.cell, key.size, key.slot])

    def restore(self, stored: Iterable[Stored]) -> None:
        """Take what the table holds of this partition; what belongs to others is passed over."""
        for key, value in stored:
            partition, kind, *rest = json.loads(key)
            if partition != self.partition:
                continue
            if kind == _ROW:
                lane, job_type, tenant, size, slot = rest
                found = RowKey(Cell(lane, job_type, tenant), size, slot)
                if any(grain.size == size for grain in GRAINS):
                    self.rows.put(found, Row.from_json(json.loads(value)))
            elif kind == _COUNTED:
                lane = rest[0]
                counted = Counted.from_json(json.loads(value), ordered=self._is_ordered(lane))
                self._counted[lane] = counted


def partition_of_key(key: bytes) -> int:
    """Say which partition of the events topic a key of the table belongs to."""
    return int(key[1 : key.index(b",")])


def _dump(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
