"""A load, replayed through the rules of KEDA and the autoscaler."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from headrace.deploy.scaling.lane_scaler import LaneScaler, Told, told_by_backlog, told_by_lags
from headrace.deploy.scaling.lane_world import LaneWorld, Pods
from headrace.deploy.scaling.load import LaneLoad
from headrace.deploy.scaling.plan import Plan
from headrace.processors.scaler.demand import GROWING
from headrace.processors.statistics.forecast import Sample, forecast, recent

_SAMPLED: Final = 15.0
_FINE: Final = 6 * 3600
"""Seconds up to which a load is gone through second by second; a longer one in steps of five."""


@dataclass(frozen=True, slots=True)
class World:
    """What does not depend on the strategy.

    Attributes:
        start: From the decision to a pod that works.
        tail: How long it goes on when the load has ended.
    """

    start: timedelta = timedelta(seconds=20)
    tail: timedelta = timedelta(minutes=30)


class Sight(NamedTuple):
    """What is seen at one moment, `at` seconds after the beginning."""

    at: float
    arrivals: float
    backlog: int
    replicas: int
    working: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Course:
    """How a load went with one strategy.

    Attributes:
        lane: `queue.priority`.
        strategy: Its name.
        sights: What was seen, every 15 s.
        longest_wait: Seconds that a job waited at most; those that are left count with what they waited.
        p99_wait: Seconds within which 99 of 100 began.
        largest_backlog: Jobs.
        pod_hours: Of all pods, from the decision on.
        moves: How often the count changed.
        jobs: That came.
        left: That were not begun at the end.
    """

    lane: str
    strategy: str
    sights: tuple[Sight, ...]
    longest_wait: float
    p99_wait: float
    largest_backlog: int
    pod_hours: float
    moves: int
    jobs: int
    left: int


def simulate(plan: Plan, load: LaneLoad, world: World | None = None) -> Course:
    """Replay a load. The same every time: nothing is drawn by chance."""
    run = _Run(plan, load, world or World())
    sights = tuple(run.sights())
    return run.course(sights)


class _Run:
    def __init__(self, plan: Plan, load: LaneLoad, world: World) -> None:
        self._plan, self._load, self._world = plan, load, world
        self._tick = 1.0 if load.seconds <= _FINE else 5.0
        self._lane = LaneWorld(plan.partitions, plan.jobs_per_second)
        self._pods = Pods(plan.least, world.start.total_seconds())
        self._scaler = LaneScaler(plan, active_at=0)
        self._samples: list[Sample] = []
        self._pod_seconds, self._moves, self._largest, self._now = 0.0, 0, 0, 0.0

    def sights(self) -> Iterator[Sight]:
        """Go through it, and give what is seen every now and then."""
        shown = 0.0
        for arrivals in self._arrivals():
            self._turn(arrivals)
            if self._now >= shown:
                shown += _SAMPLED
                lane = self._lane
                yield Sight(
                    self._now,
                    arrivals,
                    lane.backlog,
                    len(self._pods),
                    self._pods.ready(self._now),
                    lane.oldest(self._now),
                )
            self._now += self._tick

    def course(self, sights: tuple[Sight, ...]) -> Course:
        """Sum it up."""
        left = self._lane.unfinished(self._now)
        waits = self._lane.waits + left
        return Course(
            self._load.lane,
            self._plan.strategy.name,
            sights,
            max(waits, default=0.0),
            quantile(waits, 0.99),
            self._largest,
            self._pod_seconds / 3600,
            self._moves,
            waits.total(),
            left.total(),
        )

    def _arrivals(self) -> Iterator[float]:
        yield from self._load.steps(self._tick)
        for _ in range(int(self._world.tail.total_seconds() / self._tick)):
            yield 0.0

    def _turn(self, arrivals: float) -> None:
        now = self._now
        self._lane.come(now, arrivals * self._tick)
        self._lane.work(now, self._pods.ready(now), self._tick)
        self._largest = max(self._largest, self._lane.backlog)
        if self._scaler.is_due(now):
            before = len(self._pods)
            wanted = self._scaler.turn(now, before, self._told())
            self._moves += wanted != before
            self._pods.scale(now, wanted)
        self._pod_seconds += len(self._pods) * self._tick

    def _told(self) -> Told:
        when = datetime.fromtimestamp(self._load.begin + self._now, UTC)
        if not self._plan.asks_scaler:
            return told_by_lags(self._plan, self._lane.lags, when)
        ready = self._expected() if self._plan.expects else self._lane.backlog
        return told_by_backlog(self._plan, ready, when)

    def _expected(self) -> float:
        """Say what the external scaler would: the backlog, or the one in a minute if it grows."""
        now, ready = round(self._now * 1000), self._lane.backlog
        if not self._samples or now - self._samples[-1].at >= _SAMPLED * 1000:
            self._samples = recent([*self._samples, Sample(now, ready)], now)
        found = forecast(self._samples)
        grows = found is not None and found.growth > GROWING
        return max(ready, found.jobs) if found is not None and grows else ready


def quantile(waits: Counter[float], share: float) -> float:
    """Give the wait within which a share of the jobs began; 0 without jobs."""
    needed = math.ceil(waits.total() * share)
    for wait in sorted(waits):
        needed -= waits[wait]
        if needed <= 0:
            return wait
    return 0.0
