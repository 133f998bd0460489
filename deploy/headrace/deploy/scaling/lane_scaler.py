"""KEDA and the autoscaler together, on one lane."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from headrace.deploy.scaling.horizontal import SYNC, Decision, Metric
from headrace.deploy.scaling.operator import Failures
from headrace.deploy.scaling.plan import Plan

_LONGEST: Final = 4 * 3600
"""Seconds after which a count that still moves is taken as it is."""


class Trouble(StrEnum):
    """Why KEDA does not know what a lane needs."""

    REFUSED = "refused"
    """Whoever was asked answered with an error: a failure, of which so many make the fallback."""
    UNREACHABLE = "unreachable"
    """No broker takes a connection. KEDA 2.21 then cannot make the triggers of the lane, none of them, and
    what was not made is not counted as failed."""


class Told(NamedTuple):
    """What the triggers of a lane tell at one moment."""

    metrics: tuple[Metric, ...]
    active: bool
    trouble: Trouble | None = None


def told_by_lags(plan: Plan, lags: Sequence[int] | Trouble, when: datetime) -> Told:
    """Say what the triggers tell when the group is so far behind in each partition.

    Args:
        plan: How the lane is scaled.
        lags: As KEDA counts them, or why it cannot.
        when: For the floors, with a zone.
    """
    if lags is Trouble.UNREACHABLE:
        return Told((Metric("lag", None, plan.threshold),), active=False, trouble=lags)
    reading = None if isinstance(lags, Trouble) else plan.trigger.tell(lags)
    metric = Metric("lag", None if reading is None else reading.metric, plan.threshold)
    return _with_floors(plan, metric, reading is not None and reading.active, when)


def told_by_backlog(plan: Plan, ready: float | None, when: datetime) -> Told:
    """Say what the triggers tell when the external scaler tells so much; None when it answers with an error.

    That it does, too, while no broker can be reached: it is not the scaler whom KEDA misses.
    """
    metric = Metric("ready backlog", ready, plan.threshold)
    return _with_floors(plan, metric, ready is not None and ready > 0, when)


def _with_floors(plan: Plan, metric: Metric, active: bool, when: datetime) -> Told:
    floors = tuple(Metric("floor", float(each.wanted(when)), 1) for each in plan.floors)
    wanted = active or any(each.value for each in floors)
    return Told((metric, *floors), wanted, None if metric.value is not None else Trouble.REFUSED)


class LaneScaler:
    """Scales one lane: a poll in KEDA's own time, a decision in the autoscaler's.

    Args:
        plan: How the lane is scaled.
        active_at: When there was something to do last, as far as that is known.
    """

    def __init__(self, plan: Plan, active_at: float | None = None) -> None:
        self._horizontal = plan.horizontal()
        self._operator = plan.operator()
        self._operator.last_active = active_at
        self._failures = Failures(plan.fallback)
        self._polling = plan.strategy.polling.total_seconds()
        self._next_poll = self._next_sync = 0.0

    def is_due(self, now: float) -> bool:
        """Whether a turn would do anything now."""
        return now >= min(self._next_poll, self._next_sync)

    def turn(self, now: float, current: int, told: Told) -> int:
        """Do what is due now; gives the number of pods.

        Args:
            now: Seconds, from 0 on; never less than before.
            current: Pods that there are.
            told: What the triggers tell.
        """
        if now >= self._next_poll:
            self._next_poll = now + self._polling
            current = self.poll(now, current, told)
        if now >= self._next_sync:
            self._next_sync = now + SYNC.total_seconds()
            current = self.sync(now, current, told).replicas
        return current

    def poll(self, now: float, current: int, told: Told) -> int:
        """Let KEDA look; gives the number of pods."""
        seen = self._stood_in(told, current)
        if seen.trouble is Trouble.UNREACHABLE:
            return current
        failed = seen.trouble is not None
        return self._operator.poll(now, current, active=seen.active, failed=failed)

    def sync(self, now: float, current: int, told: Told) -> Decision:
        """Let the autoscaler decide."""
        asked = told if current == 0 else self._stood_in(told, current)
        return self._horizontal.decide(now, current, asked.metrics)

    def _stood_in(self, told: Told, current: int) -> Told:
        """Put the fallback in place of a metric that failed too often."""
        if told.trouble is Trouble.UNREACHABLE:
            return told
        pods = self._failures.pods(failed=told.trouble is not None, current=current)
        if pods is None:
            return told
        metrics = (
            each._replace(value=pods * each.target) if each.value is None else each
            for each in told.metrics
        )
        return Told(tuple(metrics), active=True)


def settle(plan: Plan, current: int, told: Told) -> list[tuple[int, int]]:
    """Say how the count moves when what is told stays the same: seconds from now, and pods.

    As if there had been something to do up to now, and all that was wanted before had been what there is.
    """
    scaler, moves = LaneScaler(plan, active_at=0), [(0, current)]
    strategy = plan.strategy
    quiet = max(strategy.up.window, strategy.down.window, strategy.cooldown).total_seconds()
    periods = (each.period for rules in (strategy.up, strategy.down) for each in rules.policies)
    patience = quiet + max(each.total_seconds() for each in periods) + 60
    for second in range(_LONGEST):
        current = scaler.turn(second, current, told)
        if current != moves[-1][1]:
            moves.append((second, current))
        if second - moves[-1][0] > patience:
            break
    return moves
