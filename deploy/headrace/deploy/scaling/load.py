"""A load: how many jobs a second come to each lane, over time, as a file says it.

CSV with a head, or JSON lines, with the same names: `time` (seconds of any clock; epoch seconds when
recorded), `lane` (`queue.priority`), `arrivals` (jobs a second from then on, until the lane's next
line). Other columns, such as those that a recording has besides, are passed over.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from headrace.deploy.errors import LoadFileError

COLUMNS: Final = ("time", "lane", "arrivals")


class Point(NamedTuple):
    """From `time` (seconds) on so many jobs a second come."""

    time: float
    arrivals: float


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """What comes to one lane, in the order of its times; the last point ends it.

    Attributes:
        lane: `queue.priority`.
        points: Two at least.
    """

    lane: str
    points: tuple[Point, ...]

    @property
    def begin(self) -> float:
        """When it begins."""
        return self.points[0].time

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.points[-1].time - self.begin

    def steps(self, tick: float) -> Iterator[float]:
        """Give the jobs a second at each tick."""
        index, last = 0, len(self.points) - 1
        for number in range(int(self.seconds / tick)):
            now = self.begin + number * tick
            while index < last and self.points[index + 1].time <= now:
                index += 1
            yield self.points[index].arrivals


def read_load(file: Path) -> tuple[LaneLoad, ...]:
    """Read a load, each lane of it.

    Raises:
        LoadFileError: It is none; names the line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LoadFileError(
            f"there is no {file}: write a file with the columns {', '.join(COLUMNS)}, record one with "
            "`headrace scale record`, or name a shape (--help lists them)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LoadFileError(f"{file} cannot be read: {error}") from error
    rows = _json_rows(text, file) if text.lstrip().startswith("{") else _csv_rows(text)
    points: dict[str, list[Point]] = defaultdict(list)
    for number, row in rows:
        lane, point = _point(row, f"{file}:{number}")
        if points[lane] and point.time <= points[lane][-1].time:
            raise LoadFileError(f"{file}:{number}: the times of lane {lane} do not go forward")
        points[lane].append(point)
    return _loads(points, file)


def _loads(points: Mapping[str, list[Point]], file: Path) -> tuple[LaneLoad, ...]:
    short = [lane for lane, found in points.items() if len(found) < 2]
    if short or not points:
        which = f"lane {short[0]} of {file}" if short else str(file)
        raise LoadFileError(f"{which} has fewer than two lines: the last one says when it ends")
    return tuple(LaneLoad(lane, tuple(found)) for lane, found in points.items())


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines())
    for row in reader:
        yield reader.line_num, row


def _json_rows(text: str, file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise LoadFileError(f"{file}:{number}: is no JSON: {error}") from error
        yield number, row if isinstance(row, dict) else {}


def _point(row: Mapping[str, Any], place: str) -> tuple[str, Point]:
    if missing := [name for name in COLUMNS if row.get(name) in (None, "")]:
        raise LoadFileError(
            f"{place}: `{missing[0]}` is missing; each line has {', '.join(COLUMNS)}"
        )
    try:
        point = Point(float(row["time"]), float(row["arrivals"]))
    except (TypeError, ValueError):
        raise LoadFileError(
            f"{place}: time and arrivals are numbers: seconds, and jobs a second"
        ) from None
    if point.arrivals < 0:
        raise LoadFileError(f"{place}: arrivals = {point.arrivals:g}: 0 or more")
    return str(row["lane"]), point


def joined(loads: Iterable[LaneLoad], lane: str | None) -> tuple[LaneLoad, ...]:
    """Take one lane out of several, or all.

    Raises:
        LoadFileError: The lane is not among them.
    """
    given = tuple(loads)
    chosen = tuple(each for each in given if lane is None or each.lane == lane)
    if not chosen:
        known = ", ".join(each.lane for each in given)
        raise LoadFileError(f"there is no lane {lane!r} in this load: it has {known}")
    return chosen
