"""What our own arithmetic would have decided, fed with what a recording says that Kafka told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from headrace.deploy.scaling.lane_scaler import LaneScaler, told_by_lags
from headrace.deploy.scaling.plan import Plan
from tests.cluster.recording import Moment

_NEVER = datetime(2020, 1, 1, tzinfo=UTC)
"""The time of day, which only floors ask for."""


@dataclass(frozen=True)
class Step:
    """A number of pods, and since when."""

    at: float
    replicas: int


def steps(moments: Sequence[Moment]) -> list[Step]:
    """When the real ones changed the number, as far as a look every half second tells."""
    return list(_changes((each.at, each.replicas) for each in moments))


def replayed(moments: Sequence[Moment], plan: Plan, sync: timedelta) -> list[Step]:
    """When our arithmetic would have changed it.

    Args:
        moments: What was recorded, from a time at which nothing had happened for long.
        plan: How the lane was scaled.
        sync: How often the cluster's autoscaler decides.
    """
    return list(_changes(_decided(moments, plan, sync.total_seconds())))


def _decided(moments: Sequence[Moment], plan: Plan, sync: float) -> Iterator[tuple[float, int]]:
    scaler, polling = LaneScaler(plan), plan.strategy.polling.total_seconds()
    current, next_poll, next_sync = moments[0].replicas, 0.0, 0.0
    for moment in [*moments, *_after(moments[-1], polling + sync)]:
        told = told_by_lags(plan, moment.lag, _NEVER)
        if moment.at >= next_poll:
            next_poll = moment.at + polling
            current = scaler.poll(moment.at, current, told)
        if moment.at >= next_sync:
            next_sync = moment.at + sync
            current = scaler.sync(moment.at, current, told).replicas
        yield moment.at, current


def _after(last: Moment, seconds: float) -> Iterator[Moment]:
    """The end of a recording, for as much longer as our polls may come later than the real ones."""
    for second in range(1, round(seconds) + 1):
        yield replace(last, at=last.at + second)


def _changes(found: Iterator[tuple[float, int]]) -> Iterator[Step]:
    last: int | None = None
    for at, replicas in found:
        if replicas != last:
            yield Step(at, replicas)
        last = replicas


def apart(real: Sequence[Step], ours: Sequence[Step]) -> list[float] | None:
    """Say by how many seconds each step of ours came later; None when the steps are not the same."""
    if [each.replicas for each in real] != [each.replicas for each in ours]:
        return None
    return [mine.at - theirs.at for mine, theirs in zip(ours, real, strict=True)]
