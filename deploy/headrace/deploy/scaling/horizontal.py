"""What a HorizontalPodAutoscaler (autoscaling/v2, with `behavior`) makes of its metrics.

The rules are those of Kubernetes 1.36, pkg/controller/podautoscaler: `replica_calculator.go`
(`GetExternalPerPodMetricReplicas`: KEDA's metrics are external ones with an average value, so the ratio
counts all pods, ready or not) and `horizontal.go` (`reconcileAutoscaler`,
`normalizeDesiredReplicasWithBehaviors`). Their order: metrics, the highest counts; windows; policies and
bounds. Times are seconds of any one clock.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from headrace.deploy.scaling.rules import Policy, PolicyKind, Rules, Select

SYNC: Final = timedelta(seconds=15)
"""How often it decides, unless a cluster says otherwise."""


class Metric(NamedTuple):
    """One metric at one moment.

    `value` is None when it cannot be had; `target` is what each pod is for.
    """

    name: str
    value: float | None
    target: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one metric asks for.

    Attributes:
        metric: Which.
        ratio: Value over what the pods that there are stand for; 1.0 is exactly enough.
        tolerated: Whether the ratio is near enough to 1 to change nothing.
        replicas: Pods that it asks for.
    """

    metric: Metric
    ratio: float
    tolerated: bool
    replicas: int


@dataclass(frozen=True, slots=True)
class Decision:
    """How a number came about.

    Attributes:
        current: Pods that there are.
        proposals: What each metric asked for; empty when none was asked.
        wanted: The highest of them; None when nobody can say, and nothing changes.
        steadied: What the windows left of it.
        lowest: The least that was wanted within the window of going up.
        highest: The most that was wanted within the window of going down.
        limit: How far the policies let it go in the direction that it takes; None when it takes none.
        replicas: What comes of it.
    """

    current: int
    proposals: tuple[Proposal, ...]
    wanted: int | None
    steadied: int
    lowest: int
    highest: int
    limit: int | None
    replicas: int


class _Change(NamedTuple):
    at: float
    pods: int


class Horizontal:
    """One autoscaler, with what it remembers.

    Args:
        up: Bounds of adding pods.
        down: Bounds of removing them.
        least: Pods at least. KEDA makes that 1 where a ScaledObject says 0.
        most: Pods at most.
    """

    def __init__(self, up: Rules, down: Rules, least: int, most: int) -> None:
        self.up, self.down = up, down
        self.least, self.most = max(1, least), most
        self._wanted: list[_Change] = []
        self._added: list[_Change] = []
        self._removed: list[_Change] = []

    def decide(self, now: float, current: int, metrics: Sequence[Metric]) -> Decision:
        """Decide, and remember it.

        Args:
            now: Never less than before.
            current: Pods that there are. With 0 it sleeps until KEDA makes one.
            metrics: What the triggers tell.
        """
        if not self._wanted:
            self._wanted.append(_Change(now, current))
        decision = self._decision(now, current, metrics)
        self._remember(now, decision)
        return decision

    def _decision(self, now: float, current: int, metrics: Sequence[Metric]) -> Decision:
        bounded = min(max(current, self.least), self.most)
        if current == 0 or bounded != current:
            given = 0 if current == 0 else bounded
            return Decision(current, (), None, given, given, given, None, given)
        proposals = tuple(
            self._proposal(current, each, each.value) for each in metrics if each.value is not None
        )
        wanted = max((each.replicas for each in proposals), default=None)
        missing = len(proposals) < len(metrics)
        if wanted is None or (missing and wanted < current):
            return Decision(current, proposals, None, current, current, current, None, current)
        lowest, highest = self._window(now, wanted)
        steadied = min(max(current, lowest), highest)
        limit = self._limit(now, current, steadied)
        replicas = self._bounded(current, steadied, limit)
        return Decision(current, proposals, wanted, steadied, lowest, highest, limit, replicas)

    def _proposal(self, current: int, metric: Metric, value: float) -> Proposal:
        ratio = value / (metric.target * current)
        tolerated = 1 - self.down.leeway <= ratio <= 1 + self.up.leeway
        asked = max(0, math.ceil(value / metric.target))
        return Proposal(metric, ratio, tolerated, current if tolerated else asked)

    def _window(self, now: float, wanted: int) -> tuple[int, int]:
        """Give the least and the most that was wanted within the windows, now included."""
        up, down = now - self.up.window.total_seconds(), now - self.down.window.total_seconds()
        lowest = min([each.pods for each in self._wanted if each.at > up], default=wanted)
        highest = max([each.pods for each in self._wanted if each.at > down], default=wanted)
        return min(lowest, wanted), max(highest, wanted)

    def _limit(self, now: float, current: int, wanted: int) -> int | None:
        if wanted > current:
            return max(current, self._reach(now, current, self.up, 1))
        if wanted < current:
            return min(current, self._reach(now, current, self.down, -1))
        return None

    def _reach(self, now: float, current: int, rules: Rules, way: int) -> int:
        """Say how far the policies let it go up (way 1) or down (-1)."""
        if rules.select is Select.DISABLED:
            return current
        reached = [self._reached(now, current, policy, way) for policy in rules.policies]
        furthest = (rules.select is Select.MAX) == (way > 0)
        return max(reached) if furthest else min(reached)

    def _reached(self, now: float, current: int, policy: Policy, way: int) -> int:
        since = now - policy.period.total_seconds()
        began = current - _within(self._added, since) + _within(self._removed, since)
        if policy.kind is PolicyKind.PODS:
            return began + way * policy.value
        # In its own floating point: 100 pods and 10 % more are 111
        reached = began * (1 + way * policy.value / 100)
        return math.ceil(reached) if way > 0 else int(reached)

    def _bounded(self, current: int, wanted: int, limit: int | None) -> int:
        if limit is None:
            return wanted
        if wanted > current:
            return min(wanted, self.most, limit)
        return max(wanted, self.least, limit)

    def _remember(self, now: float, decision: Decision) -> None:
        if decision.wanted is not None:
            self._wanted.append(_Change(now, decision.wanted))
        difference = decision.replicas - decision.current
        if difference:
            kept = self._added if difference > 0 else self._removed
            kept.append(_Change(now, abs(difference)))
        windows = (self.up.window, self.down.window)
        # Empty means that it never decided before, so the last one stays
        self._wanted = _since(self._wanted[:-1], now, windows) + self._wanted[-1:]
        periods = [each.period for rules in (self.up, self.down) for each in rules.policies]
        self._added = _since(self._added, now, periods)
        self._removed = _since(self._removed, now, periods)


def _within(changes: Iterable[_Change], since: float) -> int:
    return sum(each.pods for each in changes if each.at > since)


def _since(changes: Iterable[_Change], now: float, spans: Iterable[timedelta]) -> list[_Change]:
    edge = now - max(span.total_seconds() for span in spans)
    return [each for each in changes if each.at > edge]
