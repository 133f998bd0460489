"""What the statistics process publishes on `<pipeline>.stats`. Keys are paths, values JSON.

    cell/<partition>/<lane>/<job type>/<tenant>   the windows of a cell, as one partition told them
    lane/<lane>                                   its ready backlog: samples and forecast
    source/<partition>                            how far a partition of the events topic is counted

A record without a value is gone. Times are epoch milliseconds. Slashes in names are escaped.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from headrace.processors.statistics.figures import Cell, Figures
from headrace.processors.statistics.forecast import Sample, forecast
from headrace.processors.statistics.rows import COARSE, FINE, Rows
from headrace.processors.statistics.windows import MINUTE, WINDOWS

CELL: Final = "cell"
LANE: Final = "lane"
SOURCE: Final = "source"
MINUTES: Final = 30
"""Minutes of the history that is published with each cell."""
SERIES: Final = ("submitted", "succeeded", "failed")


@dataclass(frozen=True, slots=True)
class Record:
    """A record to publish: its value is the JSON of `value`, or none."""

    key: bytes
    value: bytes | None


def record(path: tuple[str, ...], value: Mapping[str, Any] | None) -> Record:
    """Make a record."""
    key = "/".join(quote(part, safe=" ") for part in path).encode()
    return Record(key, None if value is None else json.dumps(value, ensure_ascii=False).encode())


def path_of(key: bytes) -> tuple[str, ...]:
    """Take a key apart."""
    return tuple(unquote(part) for part in key.decode(errors="replace").split("/"))


def cell_path(partition: int, cell: Cell) -> tuple[str, ...]:
    """Name the record of a cell."""
    return (CELL, str(partition), *cell)


def cells(partition: int, sources: Sequence[Rows], now: int) -> Iterator[Record]:
    """Give a record for each cell of a partition that counted anything in the last hour.

    Args:
        partition: Of the events topic.
        sources: Rows that were counted from different topics; all of them are summed.
        now: When (epoch ms).
    """
    found = dict.fromkeys(cell for rows in sources for cell in rows.cells)
    for cell in found:
        windows = {window.name: Figures() for window in WINDOWS}
        for rows in sources:
            for window in WINDOWS:
                windows[window.name].merge(window.of(rows, cell, now))
        if any(windows.values()):
            yield record(cell_path(partition, cell), _cell(cell, windows, sources, now))


def _cell(
    cell: Cell, windows: Mapping[str, Figures], sources: Sequence[Rows], now: int
) -> dict[str, Any]:
    spans = {window.name: window.start(now) for window in WINDOWS}
    return {
        "at": now,
        "windows": {
            name: {"from": spans[name], **figures.as_json()} for name, figures in windows.items()
        },
        "minutes": _minutes(cell, sources, now),
        "recent": _recent(cell, sources, now),
    }


def _recent(cell: Cell, sources: Sequence[Rows], now: int) -> list[list[int]]:
    """Give start, successes and failures of each bucket of the last minute, as circuits need them."""
    found: dict[int, list[int]] = {}
    for rows in sources:
        for start, row in rows.series(cell, FINE, MINUTE.start(now), now):
            bucket = found.setdefault(start, [start, 0, 0])
            if row is not None:
                bucket[1] += row.figures["succeeded"]
                bucket[2] += row.figures["failed"]
    return [found[start] for start in sorted(found)]


def _minutes(cell: Cell, sources: Sequence[Rows], now: int) -> dict[str, list[int]]:
    start = COARSE.start(now) - (MINUTES - 1) * COARSE.size
    series = {name: [0] * MINUTES for name in SERIES}
    for rows in sources:
        for number, (_, row) in enumerate(rows.series(cell, COARSE, start, now)):
            if row is not None:
                for name in SERIES:
                    series[name][number] += row.figures[name]
    return series


def backlog(lane: str, samples: list[Sample], now: int) -> Record:
    """Make the record of a lane's backlog."""
    ahead = forecast(samples)
    expected = None
    if ahead is not None:
        expected = {"jobs": ahead.jobs, "at": ahead.at, "growth": ahead.growth}
    value = {"at": now, "samples": [list(each) for each in samples], "forecast": expected}
    return record((LANE, lane), value)


def source(partition: int, now: int, *, behind: int, lanes_counted: bool) -> Record:
    """Make the record that tells how far a partition is counted.

    Args:
        partition: Of the events topic.
        now: When.
        behind: Records of it that are not counted yet.
        lanes_counted: Whether the last hour of its lanes is counted, for `submitted`.
    """
    value = {"at": now, "behind": behind, "lanes_counted": lanes_counted}
    return record((SOURCE, str(partition)), value)
