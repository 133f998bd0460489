"""Reading the published statistics: for the command line, metrics, the API and scaling."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.pipeline.compacted import read_latest
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.statistics.figures import QUANTILES, Cell, Figures
from headrace.processors.statistics.forecast import Forecast, Sample
from headrace.processors.statistics.publication import (
    CELL,
    LANE,
    MINUTES,
    SERIES,
    SOURCE,
    path_of,
)
from headrace.processors.statistics.windows import WINDOW_NAMES
from headrace.schemas.headers import format_time

_LOG = logging.getLogger("headrace.statistics")
FRESH: Final = 30_000
"""Milliseconds after which figures that were not renewed count as old."""


@dataclass(slots=True)
class WindowFigures:
    """Figures of a time.

    Attributes:
        start: When it begins (epoch ms).
        end: When it ends.
        figures: What is counted in it.
    """

    start: int
    end: int
    figures: Figures = field(default_factory=Figures)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(1, self.end - self.start) / 1000

    def rate(self, name: str) -> float:
        """Give how many a second there were of a name in `COUNTS`."""
        return self.figures[name] / self.seconds

    def merge(self, other: "WindowFigures") -> None:
        """Add what another one of the same name holds."""
        self.start, self.end = min(self.start, other.start), max(self.end, other.end)
        self.figures.merge(other.figures)

    def as_json(self) -> dict[str, Any]:
        """Give it for programs: counts, rates a second, error share, quantiles in milliseconds."""
        counts = self.figures.counts
        return {
            "from": format_time(self.start),
            "to": format_time(self.end),
            "counts": counts,
            "rates": {name: self.rate(name) for name in counts},
            "error_share": self.figures.error_share,
            "waiting_ms": quantiles(self.figures.waiting.quantile),
            "running_ms": quantiles(self.figures.running.quantile),
        }


def quantiles(quantile: Any) -> dict[str, float | None]:
    """Give the published quantiles of a sketch by their names: `p50` …."""
    return {f"p{share * 100:g}": quantile(share) for share in QUANTILES}


@dataclass(slots=True)
class Summary:
    """The windows of some cells together, by name, and their last minutes, the newest last."""

    windows: dict[str, WindowFigures]
    minutes: dict[str, list[int]]
    recent: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Successes and failures of the last minute by the start (epoch ms) of each ten seconds."""

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        windows = {name: window.as_json() for name, window in self.windows.items()}
        return {"windows": windows, "minutes": self.minutes}


@dataclass(frozen=True, slots=True)
class Backlog:
    """The ready backlog of a lane: jobs on it that are not finished."""

    samples: Sequence[Sample]
    forecast: Forecast | None

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        ahead = self.forecast
        return {
            "jobs": self.samples[-1].jobs if self.samples else None,
            "growth": None if ahead is None else ahead.growth,
            "forecast_jobs": None if ahead is None else ahead.jobs,
            "forecast_at": None if ahead is None else format_time(ahead.at),
        }


@dataclass(frozen=True, slots=True)
class Source:
    """How far one partition of the events topic is counted; see `publication.source`."""

    at: int
    behind: int
    lanes_counted: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the statistics process published last.

    Attributes:
        pipeline: The declaration.
        cells: What each cell counted.
        backlogs: By lane's topic.
        sources: By partition of the events topic.
    """

    pipeline: Pipeline
    cells: Mapping[Cell, Summary]
    backlogs: Mapping[str, Backlog]
    sources: Mapping[int, Source]

    @property
    def at(self) -> int | None:
        """Of when the oldest of the figures are (epoch ms); None when there are none."""
        return min((source.at for source in self.sources.values()), default=None)

    def is_fresh(self, now: int) -> bool:
        """Whether somebody renews them."""
        return self.at is not None and now - self.at < FRESH

    @property
    def is_complete(self) -> bool:
        """Whether all is counted that the topics held when they were published."""
        return bool(self.sources) and all(
            source.lanes_counted and source.behind == 0 for source in self.sources.values()
        )

    def total(
        self,
        *,
        queue: str | None = None,
        priority: str | None = None,
        job_type: str | None = None,
        tenant: str | None = None,
    ) -> Summary:
        """Sum the cells of a queue, priority, job type or tenant; all of them when none is given."""
        return _sum(
            summary
            for cell, summary in self.cells.items()
            if _is(self.coordinates(cell), (queue, priority, job_type, tenant))
        )

    def by(self, *names: str) -> Mapping[tuple[str, ...], Summary]:
        """Sum the cells by one or more of `queue`, `priority`, `job_type`, `tenant`."""
        found: dict[tuple[str, ...], list[Summary]] = {}
        for cell, summary in self.cells.items():
            named: dict[str, str] = dict(zip(NAMES, self.coordinates(cell), strict=True))
            found.setdefault(tuple(named[name] for name in names), []).append(summary)
        return {key: _sum(summaries) for key, summaries in sorted(found.items())}

    def coordinates(self, cell: Cell) -> tuple[str, str, str, str]:
        """Give queue, priority, job type and tenant; a lane that is gone is its own queue."""
        lane = self.pipeline.topology.lane_of_topic(cell.lane)
        queue, priority = (cell.lane, "") if lane is None else (lane.queue, lane.priority)
        return (queue, priority, cell.job_type, cell.tenant)


NAMES: Final[tuple[str, ...]] = ("queue", "priority", "job_type", "tenant")
"""What figures can be summed by."""


def _is(found: tuple[str, ...], wanted: tuple[str | None, ...]) -> bool:
    return all(want in (None, have) for have, want in zip(found, wanted, strict=True))


def _sum(summaries: Iterable[Summary]) -> Summary:
    total = Summary({}, {name: [0] * MINUTES for name in SERIES})
    for summary in summaries:
        for name, window in summary.windows.items():
            known = total.windows.setdefault(name, WindowFigures(window.start, window.end))
            known.merge(window)
        for start, (succeeded, failed) in summary.recent.items():
            known_succeeded, known_failed = total.recent.get(start, (0, 0))
            total.recent[start] = (known_succeeded + succeeded, known_failed + failed)
        for name, values in summary.minutes.items():
            total.minutes[name] = [a + b for a, b in zip(total.minutes[name], values, strict=True)]
    return total


def read_statistics(kafka: KafkaSettings, pipeline: Pipeline) -> Statistics:
    """Read what was published last.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The topic does not exist, or may not be read.
    """
    topic = pipeline.topology.stats
    return statistics_of(pipeline, read_latest(kafka, [topic])[topic])


def statistics_of(pipeline: Pipeline, records: Mapping[bytes, bytes]) -> Statistics:
    """Put records of the topic together. One that cannot be read is logged and left out."""
    cells: dict[tuple[int, Cell], tuple[int, Summary]] = {}
    backlogs: dict[str, Backlog] = {}
    sources: dict[int, Source] = {}
    for key, value in records.items():
        try:
            path, found = path_of(key), json.loads(value)
            if path[0] == CELL:
                cells[int(path[1]), Cell(*path[2:])] = (int(found["at"]), _summary(found))
            elif path[0] == LANE:
                backlogs[path[1]] = _backlog(found)
            elif path[0] == SOURCE:
                counted = bool(found["lanes_counted"])
                sources[int(path[1])] = Source(int(found["at"]), int(found["behind"]), counted)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            _LOG.warning("a record of the statistics is ignored: %r: %s", key, error)
    return Statistics(pipeline, _renewed(cells, sources), backlogs, sources)


def _renewed(
    cells: Mapping[tuple[int, Cell], tuple[int, Summary]], sources: Mapping[int, Source]
) -> Mapping[Cell, Summary]:
    """Sum each cell over the partitions, without what was not renewed.

    All cells of a partition that counted anything in the last hour are renewed together with its
    source; one that was not when its process died would else tell old figures for ever.
    """
    found: dict[Cell, list[Summary]] = {}
    for (partition, cell), (at, summary) in cells.items():
        source = sources.get(partition)
        if source is None or at >= source.at:
            found.setdefault(cell, []).append(summary)
    return {cell: _sum(parts) for cell, parts in found.items()}


def _summary(found: Mapping[str, Any]) -> Summary:
    at, windows = int(found["at"]), {}
    for name in WINDOW_NAMES:
        window = found["windows"][name]
        windows[name] = WindowFigures(int(window["from"]), at, Figures.from_json(window))
    minutes = {name: [int(each) for each in found["minutes"][name]] for name in SERIES}
    recent = {int(start): (int(a), int(b)) for start, a, b in found.get("recent", ())}
    return Summary(windows, minutes, recent)


def _backlog(found: Mapping[str, Any]) -> Backlog:
    samples = [Sample(int(at), int(jobs)) for at, jobs in found["samples"]]
    ahead = found["forecast"]
    if ahead is None:
        return Backlog(samples, None)
    return Backlog(
        samples, Forecast(float(ahead["jobs"]), int(ahead["at"]), float(ahead["growth"]))
    )
