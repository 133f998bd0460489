"""What a scheduler's threads count, as metrics.

They count in plain numbers of their own, which are read at each scrape.
"""

import time
from collections.abc import Mapping

from headrace.consumers.figures import SchedulerFigures
from headrace.consumers.scheduler import Scheduler
from headrace.consumers.schedules.figures import ScheduleFigures
from headrace.consumers.worker_metrics import beats_of
from headrace.pipeline.telemetry.metric_list import Metric
from headrace.pipeline.telemetry.metrics import LabelValues, Metrics


def register(metrics: Metrics, scheduler: Scheduler) -> None:
    """Show what a scheduler does in the metrics of its process."""
    figures = scheduler.figures
    owned = scheduler.partitions.owned
    metrics.register_collector(Metric.SCHEDULER_PARTITIONS, lambda: {(): len(owned)})
    metrics.register_collector(Metric.SCHEDULER_REBALANCES, lambda: _rebalances(figures))
    metrics.register_collector(Metric.SCHEDULER_POLL_AGE, lambda: _poll_age(figures))
    metrics.register_collector(Metric.SCHEDULER_DEAD_LETTERS, lambda: {(): _dead(figures)})
    metrics.register_collector(Metric.HEARTBEATS, lambda: beats_of(scheduler.heart))
    metrics.register_collector(Metric.HELD_RECORDS, lambda: {(): figures.held})
    metrics.register_collector(Metric.HELD_BYTES, lambda: {(): figures.held_bytes})
    metrics.register_collector(Metric.SPILLED, lambda: {(): figures.spilled})
    metrics.register_collector(Metric.RELEASED, lambda: _by_name(figures.released))
    metrics.register_collector(Metric.DROPPED, lambda: _by_name(figures.dropped))
    metrics.register_collector(Metric.HOPPED, lambda: _by_name(figures.hopped))
    metrics.register_histograms(Metric.LATENESS, lambda: {(): figures.lateness})
    metrics.register_histograms(
        Metric.SCHEDULER_HANDOVER_DURATION, lambda: {(): figures.handover_durations}
    )
    register_schedules(metrics, figures.schedules)


def register_schedules(metrics: Metrics, figures: ScheduleFigures) -> None:
    """Show what is counted of schedules in the metrics of the scheduler's process."""
    metrics.register_collector(Metric.SCHEDULE_FIRES, lambda: _by_name(figures.fired))
    metrics.register_collector(Metric.SCHEDULE_MISFIRES, lambda: _by_name(figures.missed))
    metrics.register_collector(Metric.SCHEDULE_OVERLAPS, lambda: _by_name(figures.overlapped))
    metrics.register_collector(Metric.SCHEDULES, lambda: {(): figures.in_charge})
    metrics.register_collector(Metric.SCHEDULES_FAILING, lambda: {(): len(figures.failing)})
    metrics.register_histograms(Metric.SCHEDULE_LATENESS, lambda: {(): figures.lateness})


def _rebalances(figures: SchedulerFigures) -> Mapping[LabelValues, float]:
    return {
        ("assigned",): figures.assigned,
        ("revoked",): figures.revoked,
        ("lost",): figures.lost_partitions,
    }


def _poll_age(figures: SchedulerFigures) -> Mapping[LabelValues, float]:
    return {(): time.monotonic() - figures.last_poll} if figures.last_poll else {}


def _dead(figures: SchedulerFigures) -> int:
    counts = figures.handovers.copy()
    return sum(count for (kind, _), count in counts.items() if kind == "dead")


def _by_name(counts: Mapping[str, int]) -> Mapping[LabelValues, float]:
    return {(name,): count for name, count in dict(counts).items()}
