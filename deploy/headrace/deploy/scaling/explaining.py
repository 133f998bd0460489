"""Why a lane has the pods that it has: every rule in the order in which it holds, with its numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.deploy.scaling import words
from headrace.deploy.scaling.kafka_trigger import PartitionOffsets, Reading
from headrace.deploy.scaling.lane_scaler import (
    LaneScaler,
    Told,
    Trouble,
    settle,
    told_by_backlog,
    told_by_lags,
)
from headrace.deploy.scaling.plan import Plan
from headrace.deploy.scaling.words import Step


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really to do in a lane, as far as it is known.

    Attributes:
        unfinished: Records that are not finished.
        finished: Above the commit points, which KEDA counts as lag.
        running: Jobs that workers tell that they run; None when nobody may read that.
        overdue: Jobs that are due and lie in the delay tiers still; None when not known.
        lost: Records that retention deleted before they were finished.
    """

    unfinished: int
    finished: int
    running: int | None = None
    overdue: int | None = None
    lost: int = 0

    @property
    def ready(self) -> int:
        """Jobs that are due and not started; an upper bound where something is not known."""
        return max(0, self.unfinished - (self.running or 0)) + (self.overdue or 0)

    @property
    def exact(self) -> bool:
        """Whether all of it is known."""
        return self.running is not None and self.overdue is not None


@dataclass(frozen=True, slots=True)
class Moment:
    """A lane at one moment.

    Attributes:
        when: With a zone.
        replicas: Pods that there are.
        offsets: What Kafka says of each partition; None when no broker can be reached.
        truth: What is really to do; None when nobody knows.
    """

    when: datetime
    replicas: int
    offsets: Sequence[PartitionOffsets] | None
    truth: Truth | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a lane gets the pods that it gets.

    Attributes:
        steps: Each rule with its numbers.
        replicas: Pods that there are.
        wanted: Pods that the metric asks for within the bounds; None when nobody knows.
        moves: How it goes on when nothing changes: seconds from now, and pods.
    """

    steps: tuple[Step, ...]
    replicas: int
    wanted: int | None
    moves: tuple[tuple[int, int], ...]

    @property
    def settled(self) -> int:
        """Pods that it comes to when nothing changes."""
        return self.moves[-1][1]

    def as_json(self) -> Mapping[str, Any]:
        """Give it for programs."""
        return {
            "replicas": self.replicas,
            "wanted": self.wanted,
            "settled": self.settled,
            "moves": [{"seconds": at, "replicas": pods} for at, pods in self.moves],
            "steps": [{"name": s.name, "says": s.says, **s.numbers} for s in self.steps],
        }


def explain(plan: Plan, moment: Moment) -> Explanation:
    """Say why, for a moment of which nothing before is known.

    What was wanted and changed within the last minutes is remembered by the cluster alone: the steps of
    windows and policies say so.
    """
    lags: Sequence[int] | Trouble = Trouble.UNREACHABLE
    if moment.offsets is not None:
        lags = [plan.trigger.lag_of(each) for each in moment.offsets]
    told = _told(plan, moment, lags)
    reading = None if isinstance(lags, Trouble) else plan.trigger.tell(lags)
    steps = tuple(_steps(plan, moment, told, reading))
    moves = tuple(settle(plan, moment.replicas, told))
    return Explanation(steps, moment.replicas, _wanted(plan, told), moves)


def _wanted(plan: Plan, told: Told) -> int | None:
    if told.trouble:
        return None
    if not told.active and plan.least == 0:
        return 0
    asked = (math.ceil(each.value / each.target) for each in told.metrics if each.value)
    return min(max([*asked, plan.least, 1]), plan.most)


def _told(plan: Plan, moment: Moment, lags: Sequence[int] | Trouble) -> Told:
    if not plan.asks_scaler:
        return told_by_lags(plan, lags, moment.when)
    ready = None if moment.truth is None else float(moment.truth.ready)
    return told_by_backlog(plan, ready, moment.when)


def _steps(plan: Plan, moment: Moment, told: Told, reading: Reading | None) -> Iterator[Step]:
    if moment.offsets is None or reading is None:
        yield words.unknown(plan, moment.replicas)
    else:
        yield words.lag(moment.offsets, reading)
        if moment.truth is not None:
            truth = moment.truth
            yield words.truth(
                reading.lag, truth.ready, truth.finished, truth.running, truth.overdue, truth.lost
            )
    yield words.threshold(plan)
    if plan.asks_scaler:
        yield words.backlog(plan, told.metrics[0])
    elif reading is not None:
        yield words.trigger(plan.trigger, reading)
    if plan.floors and told.trouble is not Trouble.UNREACHABLE:
        yield words.floors(plan, moment.when)
    yield words.activation(plan, moment.replicas, told)
    yield from _decision(plan, moment, told)
    yield words.cooldown(plan, moment.replicas, told)
    yield words.fallback(plan, moment.replicas)


def _decision(plan: Plan, moment: Moment, told: Told) -> Iterator[Step]:
    """From 0 on the autoscaler has its say when KEDA has made the first pod."""
    scaler = LaneScaler(plan, active_at=0)
    current = scaler.poll(0, moment.replicas, told)
    decision = scaler.sync(0, current, told)
    if decision.proposals:
        yield words.ratio(plan, decision)
    if decision.wanted is not None:
        yield words.bounds(plan, decision.wanted)
        yield words.windows(plan, current, decision.wanted)
        yield words.policies(plan, current, decision.wanted)
